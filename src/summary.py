"""Show the layers of a net: python src/summary.py -m simple (flags: --help)."""

from chainer_cifar_command import script

if __name__ == '__main__':
    script('summary')

"""Compare runs: python src/compare.py RUN… (flags: --help)."""

from chainer_cifar_command import script

if __name__ == '__main__':
    script('compare')

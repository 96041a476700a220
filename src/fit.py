"""Train on your own pictures: python src/fit.py PICTURES (flags: --help)."""

from chainer_cifar_command import script

if __name__ == '__main__':
    script('fit')

"""Search for good flags: python src/search.py -m 'cnn;cnnbn' (flags: --help)."""

from chainer_cifar_command import script

if __name__ == '__main__':
    script('search')

"""Train a net: python src/train.py -m cnn (flags: --help)."""

from chainer_cifar_command import script

if __name__ == '__main__':
    script('train')

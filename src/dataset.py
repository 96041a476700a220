"""Precompute the preprocessed pickles: python src/dataset.py (flags: --help)."""

from chainer_cifar_command import script

if __name__ == '__main__':
    script('dataset')

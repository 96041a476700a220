"""Fetch CIFAR-10 or CIFAR-100: python src/download.py (flags: --help)."""

from chainer_cifar_command import script

if __name__ == '__main__':
    script('download')

"""``python -m chainer_cifar train …``: the ``chainer-cifar`` command without its script."""

from chainer_cifar.cli import main

if __name__ == '__main__':
    main('python -m chainer_cifar')

"""Measure trained weights: python src/evaluate.py models/RUN (flags: --help)."""

from chainer_cifar_command import script

if __name__ == '__main__':
    script('evaluate')

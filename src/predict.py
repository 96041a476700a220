"""Classify pictures: python src/predict.py models/RUN cat.jpg (flags: --help)."""

from chainer_cifar_command import script

if __name__ == '__main__':
    script('predict')

"""The registry's nets of the speed benchmark, layer by layer in PyTorch (2.x)."""

import torch.nn.functional as F
from torch import nn


def _batch_conv(inward, outward, ksize):
    return nn.Sequential(
        nn.Conv2d(inward, outward, ksize, padding=ksize // 2), nn.BatchNorm2d(outward), nn.ReLU()
    )


def _conv(inward, outward, ksize):
    return nn.Sequential(nn.Conv2d(inward, outward, ksize, padding=ksize // 2), nn.ReLU())


def _shallow(conv):
    layers = []
    for inward, outward in ((3, 64), (64, 64), (64, 128)):
        # 3x3 windows, stride 2; ceil_mode is Chainer's cover_all.
        layers += [conv(inward, outward, 5), nn.MaxPool2d(3, 2, ceil_mode=True)]
    head = [nn.Dropout(), nn.Linear(2048, 1000), nn.ReLU(), nn.Dropout(), nn.Linear(1000, 10)]
    return nn.Sequential(*layers, nn.Flatten(), *head)


def _vgg():
    layers, inward = [], 3
    for outward, count in ((64, 2), (128, 2), (256, 4)):
        for _ in range(count):
            layers.append(_batch_conv(inward, outward, 3))
            inward = outward
        layers += [nn.MaxPool2d(2), nn.Dropout(0.25)]
    head = [nn.Dropout(), nn.Linear(4096, 1024), nn.ReLU(), nn.Dropout(), nn.Linear(1024, 1024)]
    return nn.Sequential(*layers, nn.Flatten(), *head, nn.ReLU(), nn.Linear(1024, 10))


class _Block(nn.Module):
    def __init__(self, inward, outward, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(inward, outward, 3, stride, 1)
        self.bn1 = nn.BatchNorm2d(outward)
        self.conv2 = nn.Conv2d(outward, outward, 3, 1, 1)
        self.bn2 = nn.BatchNorm2d(outward)
        self.stride, self.new_channels = stride, outward - inward

    def forward(self, x):
        shortcut = x
        if self.stride > 1:
            shortcut = F.avg_pool2d(shortcut, 1, self.stride)
        if self.new_channels:
            shortcut = F.pad(shortcut, (0, 0, 0, 0, self.new_channels, 0))
        h = F.relu(self.bn1(self.conv1(x)))
        return F.relu(self.bn2(self.conv2(h)) + shortcut)


def _residual(depth):
    layers, inward = [_batch_conv(3, 16, 3)], 16
    for outward in (16, 32, 64):
        for _ in range(depth):
            layers.append(_Block(inward, outward, 1 if outward == inward else 2))
            inward = outward
    return nn.Sequential(*layers, nn.AvgPool2d(8), nn.Flatten(), nn.Linear(64, 10))


def create(name, depth):
    """The net that ``chainer_cifar.nets.create(name, res_depth=depth)`` makes, in PyTorch."""
    if name == 'residual':
        return _residual(depth)
    return {'cnn': lambda: _shallow(_conv), 'cnnbn': lambda: _shallow(_batch_conv), 'vgg': _vgg}[
        name
    ]()

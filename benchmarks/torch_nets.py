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


def _vgg16():
    layers, inward = [], 3
    for outward, count in ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3)):
        for _ in range(count):
            layers.append(_conv(inward, outward, 3))
            inward = outward
        layers.append(nn.MaxPool2d(2))
    head = [nn.Linear(512, 4096), nn.ReLU(), nn.Dropout(), nn.Linear(4096, 4096), nn.ReLU()]
    return nn.Sequential(*layers, nn.Flatten(), *head, nn.Dropout(), nn.Linear(4096, 10))


class _Bottleneck(nn.Module):
    def __init__(self, inward, outward, stride, first):
        super().__init__()
        inner = outward // 4
        self.bn1, self.bn2, self.bn3 = map(nn.BatchNorm2d, (inward, inner, inner))
        self.conv1 = nn.Conv2d(inward, inner, 1, stride, bias=False)
        self.conv2 = nn.Conv2d(inner, inner, 3, padding=1, bias=False)
        self.conv3 = nn.Conv2d(inner, outward, 1, bias=False)
        self.shortcut = nn.Conv2d(inward, outward, 1, stride, bias=False) if first else None

    def forward(self, x):
        active = F.relu(self.bn1(x))
        h = self.conv2(F.relu(self.bn2(self.conv1(active))))
        h = self.conv3(F.relu(self.bn3(h)))
        return h + (x if self.shortcut is None else self.shortcut(active))


def _resnet164(depth):
    layers, inward = [nn.Conv2d(3, 16, 3, padding=1, bias=False)], 16
    for outward in (64, 128, 256):
        for number in range(depth or 18):
            stride = 2 if number == 0 and outward > 64 else 1
            layers.append(_Bottleneck(inward, outward, stride, number == 0))
            inward = outward
    head = [nn.BatchNorm2d(256), nn.ReLU(), nn.AvgPool2d(8), nn.Flatten(), nn.Linear(256, 10)]
    return nn.Sequential(*layers, *head)


class _Scale(nn.Module):
    def forward(self, x):
        return x / 9


def _airbench94():
    def norm(channels):
        layer = nn.BatchNorm2d(channels, eps=1e-12, momentum=0.4)
        layer.weight.requires_grad = False
        return layer

    whiten = nn.Conv2d(3, 24, 2)
    whiten.weight.requires_grad = False
    layers, inward = [whiten, nn.GELU()], 24
    for outward in (64, 256, 256):
        layers += [nn.Conv2d(inward, outward, 3, padding=1, bias=False), nn.MaxPool2d(2)]
        layers += [norm(outward), nn.GELU()]
        layers += [nn.Conv2d(outward, outward, 3, padding=1, bias=False), norm(outward), nn.GELU()]
        inward = outward
    head = [nn.MaxPool2d(3), nn.Flatten(), nn.Linear(256, 10, bias=False), _Scale()]
    return nn.Sequential(*layers, *head)


def create(name, depth):
    """The net that ``chainer_cifar.nets.create(name, res_depth=depth)`` makes, in PyTorch."""
    return {
        'airbench94': _airbench94,
        'cnn': lambda: _shallow(_conv),
        'cnnbn': lambda: _shallow(_batch_conv),
        'vgg': _vgg,
        'vgg16': _vgg16,
        'residual': lambda: _residual(depth),
        'resnet164': lambda: _resnet164(depth),
    }[name]()

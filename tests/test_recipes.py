import shlex

import pytest

from chainer_cifar.config import TrainConfig
from chainer_cifar.recipes import recipes


@pytest.mark.parametrize('name', list(recipes))
def test_every_recipe_is_a_valid_config_with_a_source(name):
    recipe = recipes[name]
    assert TrainConfig(**recipe.flags).prefix == name
    assert recipe.source
    if recipe.source.startswith('article'):
        assert 0 < recipe.published_error < 100


def test_the_seven_commands_of_article_000():
    found = {
        name: (recipe.flags['model'], recipe.published_error)
        for name, recipe in recipes.items()
        if recipe.source == 'article 000'
    }
    assert found == {
        'cnn': ('cnn', 18.94),
        'cnn_zca': ('cnn', 18.76),
        'cnnbn': ('cnnbn', 12.40),
        'cnnbn_zca': ('cnnbn', 12.27),
        'vgg_adam': ('vgg', 7.65),
        'residual': ('residual', 8.06),
        'residual_skip': ('residual', 7.42),
    }
    assert recipes['residual_skip'].flags == {
        'model': 'residual',
        'batch_size': 128,
        'prefix': 'residual_skip',
        'skip_depth': True,
        'res_depth': 12,
        'optimizer': 'sgd',
        'lr': 0.1,
        'iter': 300,
        'lr_decay_iter': '100',
    }
    assert recipes['cnn_zca'].flags['dataset'] == 'dataset/image_norm_zca.pkl'


@pytest.mark.parametrize('name', list(recipes))
@pytest.mark.parametrize('width', [1, 65, 1000])
def test_as_flags_in_lines(name, width):
    recipe = recipes[name]
    assert '\n' not in recipe.as_flags()
    text = recipe.as_flags(width)
    # A shell reads the same words, and no flag is apart from its value.
    assert shlex.split(text.replace('\\\n', '')) == shlex.split(recipe.as_flags())
    lines = text.split(' \\\n')
    assert all(line.startswith('--') for line in lines)
    assert all(len(line) <= width - 2 or line.count(' --') == 0 for line in lines)
    assert len(lines) == {1: len(recipe.flags), 1000: 1}.get(width, len(lines))

import pytest

from chainer_cifar.training.config import from_dict
from chainer_cifar.training.recipes import recipes


@pytest.mark.parametrize('name', list(recipes))
def test_every_recipe_is_a_valid_config_with_a_source(name):
    recipe = recipes[name]
    assert from_dict(recipe.flags, name).prefix == name
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

import dataclasses
import pathlib

import pytest

from chainer_cifar import config as config_module
from chainer_cifar.config import GROUPS, TrainConfig, from_dict
from chainer_cifar.errors import UserError


def test_defaults_are_those_of_the_original_command_line():
    values = vars(TrainConfig())
    original = {
        'gpu': -1,
        'model': 'vgg',
        'batch_size': 100,
        'dataset': 'dataset/image.pkl',
        'label': 'dataset/label.pkl',
        'iter': 300,
        'save_iter': 0,
        'lr_decay_iter': '100',
        'lr_shape': 'multistep',
        'weight_decay': 0.0001,
        'optimizer': 'sgd',
        'lr': 0.01,
        'alpha': 0.001,
        'augment': 'crop,mirror',
        'no_valid_data': False,
        'res_depth': 18,
        'res_width': 2,
        'skip_depth': False,
        'swapout': False,
        'seed': 1,
    }
    assert {name: values[name] for name in original} == original
    assert values['prefix'] == 'vgg_sgd'


def test_every_flag_is_in_a_group():
    assert {field.metadata['group'] for field in dataclasses.fields(TrainConfig)} == set(GROUPS)


@pytest.mark.parametrize(
    ('dataset', 'label'),
    [
        ('dataset/image_zca.pkl', 'dataset/label.pkl'),
        ('dataset/own/image_raw', 'dataset/own/label.pkl'),
        ('elsewhere/own/image_raw/', 'elsewhere/own/label.pkl'),
        ('image.pkl', 'label.pkl'),
        ('', 'label.pkl'),
    ],
)
def test_labels_lie_beside_the_images(dataset, label, tmp_path, monkeypatch):
    assert TrainConfig(dataset=dataset).label == label
    assert TrainConfig(dataset=dataset, label='other.pkl').label == 'other.pkl'
    monkeypatch.chdir(tmp_path)
    config = TrainConfig(label='other.pkl')
    assert config.replaced({'dataset': dataset}).label == 'other.pkl'  # as where only images moved
    pathlib.Path(label).parent.mkdir(parents=True, exist_ok=True)
    pathlib.Path(label).touch()
    assert config.replaced({'dataset': dataset}).label == label
    assert config.replaced({'dataset': dataset, 'label': 'a.pkl'}).label == 'a.pkl'
    assert config.replaced({'gpu': 0}).label == 'other.pkl'


def test_unknown_engine():
    with pytest.raises(UserError, match=r"--cpu_engine 'onedn': must be .*, did you mean 'onednn'"):
        TrainConfig(cpu_engine='onedn')


def test_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        TrainConfig().lr = 1


def test_net_options_are_those_that_differ():
    assert TrainConfig().net_options() == {}
    config = TrainConfig(model='residual', res_depth=3, skip_depth=True)
    assert config.net_options() == {'res_depth': 3, 'skip_depth': True}


@pytest.mark.parametrize(
    ('flag', 'value'),
    [
        ('batch_size', 0),
        ('iter', 0),
        ('lr', -0.1),
        ('lr', float('nan')),
        ('alpha', float('inf')),
        ('weight_decay', -1),
        ('seed', -1),
        ('res_depth', 0),
        ('res_depth', 10**9),
        ('pyramid_alpha', 10**9),
        ('upscale', 10**6),
        ('save_iter', -1),
        ('prefix', '../x'),
        ('prefix', '/x'),
        ('model', 'vg'),
        ('optimizer', 'sdg'),
        ('lr_shape', 'cosin'),
        ('augment', 'crop,mirorr'),
        ('average', 'emma'),
        ('balance', 'samples'),
        ('lr_factors', 'bias'),
        ('accumulate', 0),
        ('accumulate', 101),
        ('patience', -1),
    ],
)
def test_values_that_make_no_sense(flag, value):
    with pytest.raises(UserError):
        TrainConfig(**{flag: value})


def test_mistyped_key_shows_the_nearest():
    with pytest.raises(UserError, match=r"file.json: no flag is called 'bach_size', did you mean"):
        from_dict({'bach_size': 3}, 'file.json')


def test_a_zero_byte():
    with pytest.raises(UserError, match=r"file\.json: .*prefix 'a\\x00b': holds a zero byte"):
        from_dict({'prefix': 'a\0b'}, 'file.json')


ODD = [None, True, 0, 1.5, 1e308, 10**400, 'x', '0.01', [], [1], {}, {'a': 1}, float('nan')]


@pytest.mark.parametrize('value', ODD, ids=repr)
@pytest.mark.parametrize('field', dataclasses.fields(TrainConfig), ids=lambda field: field.name)
def test_values_of_a_file_are_checked_for_type(field, value):
    """The value is taken as one of its flag's type, or refused in a line that names both."""
    try:
        config = from_dict({field.name: value}, 'models/x/config.json')
    except UserError as error:
        assert str(error).startswith('models/x/config.json: ')
        assert field.name in str(error) or type(value) is field.type
        assert len(str(error).splitlines()) == 1
    else:
        assert type(getattr(config, field.name)) is field.type
        assert getattr(config, field.name) == value or field.name == 'prefix'


def test_true_is_no_number():
    with pytest.raises(UserError, match=r'^f: batch_size must be a whole number, not true$'):
        from_dict({'batch_size': True}, 'f')
    with pytest.raises(UserError, match=r'^f: lr must be a number, not "0.01"$'):
        from_dict({'lr': '0.01'}, 'f')
    assert from_dict({'lr': 1}, 'f').lr == 1.0


def test_a_flag_that_has_been_renamed(monkeypatch):
    monkeypatch.setitem(config_module.RENAMED, 'epochs', 'iter')
    assert from_dict({'epochs': 7}, 'f').iter == 7


@pytest.mark.parametrize(
    ('flags', 'idle'),
    [
        ({'optimizer': 'adam', 'alpha': 0.1}, None),
        ({'optimizer': 'adam', 'lr': 0.1}, '--lr: .*adam, which takes --alpha;'),
        ({'optimizer': 'adam', 'momentum': 0.5}, '--momentum: .*adam'),
        ({'lr': 0.1, 'momentum': 0.5}, None),
        ({'optimizer': 'nesterov', 'alpha': 0.1}, '--alpha: .*which takes --lr and --momentum;'),
        ({'lr_decay_iter': '10'}, None),
        ({'lr_decay_iter': '10', 'lr_shape': 'warmup(5)|multistep'}, None),
        ({'lr_decay_iter': '10', 'lr_shape': 'warmup(5)|cosine'}, '--lr_decay_iter: .*multistep'),
    ],
)
def test_flags_without_a_use_are_refused(flags, idle):
    config = TrainConfig(**flags)
    if idle is None:
        config.require_used(flags)
    else:
        with pytest.raises(UserError, match=idle):
            config.require_used(flags)
    config.require_used({})  # those of a recipe may have none

"""Every registered net, whichever they are."""

import dataclasses
import inspect

import chainer
import chainer.functions as F
import numpy as np
import pytest
from chainer.utils import type_check

from chainer_cifar import nets
from chainer_cifar.config import TrainConfig
from chainer_cifar.errors import UserError
from chainer_cifar.nets.undrawn import undrawn

# Parameters of the articles' nets as Keras or Chainer 1 count them, of the original project's later
# ones as its classes have them, run on Chainer 7; a new net adds its line.
GOLDEN = {
    ('simple', ()): 591_390,
    ('simple_gap', ()): 6_390,
    ('conv10', ()): 2_972_298,
    ('resnet164', ()): 1_703_258,
    ('vgg16', ()): 33_638_218,
    ('vgg16', (('upscale', 224),)): 134_301_514,
    ('vgg16bn', ()): 33_646_666,
    ('cnn', ()): 2_371_266,
    ('cnnbn', ()): 2_371_778,
    ('vgg', ()): 7_583_562,
    ('residual', ()): 1_732_010,
    ('residual', (('res_depth', 12),)): 1_147_370,
    ('residual', (('res_depth', 12), ('skip_depth', True))): 1_147_370,
    ('residual', (('res_depth', 12), ('swapout', True))): 1_147_370,
    ('mobilenet', ()): 3_217_226,
    ('mobilenet_v2', ()): 2_236_682,
    ('efficientnet_lite0', ()): 3_383_818,
    ('cnnwn', ()): 2_371_266 + 64 + 64 + 128,  # cnn's, and one length a filter
    ('vgg_no_fc', ()): 2_330_954,
    ('vgg_wide', ()): 20_226_954,
    ('vgg_crelu', ()): 6_420_778,
    ('inception', ()): 4_194_442,
    # With the last batch normalization, of 64 channels, which the original lacks.
    ('identity_mapping', ()): 1_731_914 + 128,
    ('identity_mapping', (('res_depth', 12),)): 1_147_274 + 128,
    ('pyramid', ()): 1_777_090,
    ('pyramid', (('res_depth', 12), ('skip_depth', True))): 1_191_478,
    ('pyramid', (('pyramid_alpha', 84),)): 3_910_810,
    ('shake_residual', ()): 13_800_906,
    ('shake_residual', (('res_depth', 4),)): 2_925_258,
    ('shake_residual', (('res_depth', 4), ('res_width', 4))): 11_675_018,
    # Without the whitening filters, 288 numbers, which are not trained.
    ('airbench94', ()): 1_971_352,
    ('airbench95', ()): 4_604_440,
    ('airbench96', ()): 9_915_416,
}


def test_every_net_has_a_golden_count():
    assert {name for name, _ in GOLDEN} == set(nets.registry)


@undrawn()
@pytest.mark.parametrize(('name', 'options'), GOLDEN)
def test_number_of_parameters(name, options):
    assert nets.create(name, **dict(options)).count_params() == GOLDEN[name, options]


@undrawn()
def test_number_of_parameters_for_other_shapes():
    assert nets.create('residual', shape=(1, 96, 80)).count_params() == 1_732_010 - 2 * 16 * 9
    # The first fully connected layer has 12 x 10 x 128 inputs, not 4 x 4 x 128.
    assert nets.create('cnn', shape=(3, 96, 80)).count_params() == 2_371_266 + 104 * 128 * 1000
    assert nets.create('airbench94', shape=(1, 32, 32)).count_params() < GOLDEN['airbench94', ()]
    vgg16 = nets.create('vgg16', shape=(3, 32, 48), upscale=96)
    assert vgg16.fc1.W.shape == (4096, 512 * 2 * 3) and vgg16.flattened == {'fc1': (512, 2, 3)}


def small(name):
    """Options that make a net of many equal blocks a quick one."""
    return {'res_depth': 2} if name in nets.taking('res_depth') else {}


# CIFAR's; digits; larger, not square, and odd on the way down.
SHAPES = [nets.CIFAR, (1, 28, 28), (3, 42, 64)]


@pytest.mark.parametrize('shape', SHAPES, ids=str)
@pytest.mark.parametrize('name', nets.registry)
def test_forward_backward(name, shape):
    if min(shape[1:]) < nets.least_side(name):
        with pytest.raises(UserError, match=r'pixels or more, not 28x28 in grey; give another net'):
            nets.create(name, shape=shape)
        return
    np.random.seed(0)
    net = nets.create(name, n_class=7, shape=shape, **small(name))
    x = np.random.rand(2, *shape).astype(np.float32)
    t = np.array([1, 6], np.int32)
    logits = net(x)
    assert logits.shape == (2, 7) and logits.dtype == np.float32
    net.cleargrads()
    F.softmax_cross_entropy(logits, t).backward()
    for path, parameter in net.namedparams():
        assert parameter.grad is not None, path
        assert parameter.dtype == parameter.grad.dtype == np.float32, path
        assert np.isfinite(parameter.grad).all(), path
    assert any(np.abs(parameter.grad).max() > 0 for parameter in net.params())
    with chainer.using_config('train', False), chainer.no_backprop_mode():
        np.testing.assert_array_equal(net(x).array, net(x).array)


@undrawn()
@pytest.mark.parametrize('name', nets.registry)
def test_least_side(name):
    side = nets.least_side(name)
    for size in ((side, side + 3), (side + 3, side)):
        net = nets.create(name, shape=(1, *size), **small(name))
        with chainer.using_config('train', False), chainer.no_backprop_mode():
            assert net(np.zeros((1, 1, *size), np.float32)).shape == (1, 10)
    # It is not larger than it must be.
    if side > 1:
        with pytest.raises(UserError, match=rf'^model {name}: needs {side}x{side} pixels or more'):
            nets.create(name, shape=(3, side + 1, side - 1))
        too_small = np.zeros((1, 3, side - 1, side - 1), np.float32)
        with pytest.raises((ValueError, AssertionError, type_check.InvalidType)):
            nets.create(name)(too_small)


@pytest.mark.parametrize(
    ('name', 'shape', 'options', 'text'),
    [
        ('mobilenet', (1, 28, 28), {}, r'28x28 in grey; give another net, or --upscale 32$'),
        ('mobilenet', (3, 28, 56), {}, r'56x28 in colour; give another net, or --upscale 64$'),
        ('mobilenet', (3, 28, 56), {'upscale': 62}, r'needs 32x32 pixels or more'),
        ('vgg16', (3, 64, 64), {'upscale': 48}, r'^upscale 48: the images are 64 pixels wide'),
    ],
)
def test_shapes_that_do_not_fit(name, shape, options, text):
    with pytest.raises(UserError, match=text):
        nets.create(name, shape=shape, **options)


def test_a_net_without_shape_is_for_cifar_alone(monkeypatch):
    monkeypatch.setitem(nets.registry._items, 'old', lambda n_class: chainer.Chain())
    nets.create('old')
    with pytest.raises(UserError, match=r'^model old: is for 32x32 in colour, not 32x32 in grey$'):
        nets.create('old', shape=(1, 32, 32))


@pytest.mark.parametrize('name', nets.registry)
def test_defaults_of_options_are_those_of_the_flags(name):
    # A flag at its default is not passed on: the net's own default must say the same.
    parameters = inspect.signature(nets.registry[name]).parameters
    own = {
        option: parameters[option].default for option in nets.option_names() if option in parameters
    }
    assert own == {option: getattr(TrainConfig(), option) for option in own}


def test_each_option_has_a_flag():
    flags = {field.name for field in dataclasses.fields(TrainConfig)}
    assert set(nets.option_names()) <= flags and 'res_depth' in nets.option_names()


@pytest.mark.parametrize('name', nets.registry)
def test_one_line_description(name):
    assert 20 < len(nets.describe(name)) < 100


def test_unknown_net_and_option():
    with pytest.raises(UserError, match="'vg', did you mean 'vgg'"):
        nets.create('vg')
    with pytest.raises(UserError, match=r"^skip_depth has no meaning for net 'cnn'"):
        nets.create('cnn', skip_depth=True)


def test_nets_taking_an_option():
    assert nets.taking('res_width') == ['shake_residual']
    assert nets.taking('swapout') == ['identity_mapping', 'residual']
    assert nets.taking('n_class') == list(nets.registry)


@undrawn()
def test_all_articles_shapes_of_cnn():
    net = nets.create('cnn')
    shapes = {path: p.shape for path, p in net.namedparams() if path.endswith('/W')}
    assert shapes == {
        '/conv1/W': (64, 3, 5, 5),
        '/conv2/W': (64, 64, 5, 5),
        '/conv3/W': (128, 64, 5, 5),
        '/l1/W': (1000, 2048),
        '/l2/W': (10, 1000),
    }


def test_without_docstrings_there_is_no_description(monkeypatch):
    """As with `python -OO`."""
    monkeypatch.setattr(inspect, 'getdoc', lambda thing: None)
    assert nets.describe('vgg') == ''

"""Every registered net as ONNX: any batch, the same logits as Chainer's for real pictures."""

import chainer
import chainer.links as L
import numpy as np
import pytest

from chainer_cifar import nets
from chainer_cifar.data.input_transform import InputTransform
from chainer_cifar.data.normalize import Normalization
from chainer_cifar.data.preprocess import Raw
from chainer_cifar.export import check, input_graph, packages, session, trace

SHAPE = 3, 32, 32
OTHER_SHAPE = 1, 40, 36

# Whatever else a net's graph has; those with blocks are as deep as they must be to have all kinds.
OPTIONS = {'mobilenet_v2': {'upscale': 48}}


def transform(shape):
    mean, std = ([125, 123, 114], [63, 62, 67]) if shape[0] == 3 else ([123], [64])
    return InputTransform(Raw(), Normalization(mean, std), shape)


def make(name, pictures):
    """A net in which batch normalization has seen the pictures, so that it does something."""
    np.random.seed(3)
    options = {'res_depth': 2} if name in nets.taking('res_depth') else OPTIONS.get(name, {})
    shape = pictures.shape[1:]
    net = nets.create(name, shape=shape, **options)
    x = transform(shape)(pictures[::15])
    if hasattr(net, 'prepare'):
        net.prepare(x)
    norms = [link for link in net.links() if isinstance(link, L.BatchNormalization)]
    kept = [norm.decay for norm in norms]
    for norm in norms:
        norm.decay = 0
    with chainer.using_config('train', True), chainer.no_backprop_mode():
        net(x)
    for norm, decay in zip(norms, kept, strict=True):
        norm.decay = decay
    return net


@pytest.mark.parametrize('shape', [SHAPE, OTHER_SHAPE], ids=str)
@pytest.mark.parametrize('name', nets.registry)
def test_logits_are_those_of_chainer(name, shape, pictures):
    if shape == OTHER_SHAPE:
        pictures = np.pad(pictures[:, 1:2], ((0, 0), (0, 0), (3, 5), (2, 2)), mode='reflect')
    assert pictures.shape[1:] == shape
    net = make(name, pictures)
    treated = transform(shape)
    model = trace.trace(net, shape)
    input_graph.put_before(model, treated, shape)
    assert model.opset_import[0].version >= 13
    runnable = session.OnnxNet(model.SerializeToString(), name)
    pictures = pictures[[0, 1, 2, 50, 99]]
    with chainer.using_config('train', False), chainer.no_backprop_mode():
        expected = net(treated(pictures)).array
    scale = np.abs(expected).max()
    assert np.ptp(expected, axis=0).max() > 0.01 * scale  # or every picture would do
    for count in (1, 3, 20):  # of the last, some come again
        rows = np.arange(count) % len(pictures)
        found = runnable.logits(pictures[rows])
        assert found.shape == (count, 10)
        assert np.abs(found - expected[rows]).max() < check.MOST * scale


def test_the_same_net_gives_the_same_file(pictures):
    net = make('airbench94', pictures)
    once, again = (trace.trace(net, SHAPE).SerializeToString() for _ in range(2))
    assert once == again


@pytest.mark.parametrize('align_corners', [False, True])
@pytest.mark.parametrize(
    ('before', 'size'),
    # Of the last pairs, the quotients become smaller when they are rounded to float32.
    [((32, 32), (48, 40)), ((32, 32), (20, 32)), ((48, 96), (112, 224)), ((41, 46), (64, 224))],
)
def test_resized_images(before, size, align_corners):
    shape = 3, *before

    class Net(chainer.Chain):
        def forward(self, x):
            x = chainer.functions.resize_images(x, size, align_corners=align_corners)
            return chainer.functions.reshape(x, (len(x), -1))

    x = np.random.default_rng(1).normal(size=(3, *shape)).astype(np.float32)
    model = trace.trace(Net(), shape)
    found = (
        packages.onnxruntime()
        .InferenceSession(model.SerializeToString())
        .run(None, {trace.INPUT: x})
    )
    # Places of pixels are float32, too: at the 224th they are off by a hundred-thousandth.
    np.testing.assert_allclose(found[0], Net()(x).array, atol=1e-4)

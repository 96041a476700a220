"""The pieces of airbench against their definitions, in float64."""

import chainer
import numpy as np
import pytest

import chainer_onednn
from chainer_cifar import nets
from chainer_cifar.nets.airbench import Airbench, Block, Dirac, Whitening
from chainer_cifar.nets.undrawn import undrawn


def images(n=40):
    # Neighbouring pixels alike, as in pictures.
    x = np.random.RandomState(0).randn(n, 3, 32, 32).cumsum(axis=2).cumsum(axis=3)
    return (x / x.std()).astype(np.float32)


def test_whitening_makes_the_patches_white():
    link, x = Whitening(), images()
    link.prepare(x)
    y = link(x).array.astype(np.float64)
    assert y.shape == (40, 24, 31, 31)
    maps = y.transpose(1, 0, 2, 3).reshape(24, -1)
    np.testing.assert_allclose(maps[:12], -maps[12:], atol=1e-5)
    moment = maps[:12] @ maps[:12].T / maps.shape[1]
    # v / (v + 5e-4) of each axis, and no correlation; the largest first.
    off = moment - np.diag(np.diag(moment))
    assert abs(off).max() < 1e-3
    assert (np.diff(np.diag(moment)) < 1e-6).all() and 0.99 < moment[0, 0] < 1


def test_whitening_against_the_definition():
    link, x = Whitening(), images(7)
    link.prepare(x)
    patches = [
        x[i, :, r : r + 2, c : c + 2].ravel()
        for i in range(7)
        for r in range(31)
        for c in range(31)
    ]
    patches = np.array(patches, np.float64)
    variances, axes = np.linalg.eigh(patches.T @ patches / len(patches))
    expected = (axes / np.sqrt(variances + 5e-4)).T[::-1].reshape(12, 3, 2, 2)
    signs = np.sign((expected * link.W[:12]).sum(axis=(1, 2, 3), keepdims=True))
    np.testing.assert_allclose(link.W[:12], signs * expected, rtol=1e-3, atol=1e-4)


def test_only_the_bias_of_the_whitening_is_trained():
    net = nets.create('airbench94')
    assert [name for name, _ in net.whiten.namedparams()] == ['/b']
    serializer = chainer.serializers.DictionarySerializer()
    serializer.save(net)
    assert serializer.target['whiten/W'].shape == (24, 3, 2, 2)


def test_dirac():
    for shape in [(5, 3, 3, 3), (3, 5, 3, 3)]:
        w = np.full(shape, np.nan, np.float32)
        Dirac()(w)
        x = np.random.RandomState(0).randn(2, shape[1], 6, 6).astype(np.float32)
        y = chainer.functions.convolution_2d(x, w, pad=1).array
        np.testing.assert_array_equal(y[:, :3], x[:, :3])
        if shape[0] > shape[1]:
            rest = w[3:]
            assert 0 < abs(rest).max() <= 27**-0.5 and rest.std() > 0.4 * 27**-0.5


def test_batch_normalization():
    norm = Block(3, 4, 2).norms[0]
    assert [name for name, _ in norm.namedparams()] == ['/beta']
    assert norm.eps == 1e-12
    x = images(4)[:, :1].repeat(4, axis=1)
    norm(x)
    np.testing.assert_allclose(norm.avg_mean, 0.4 * x.mean(axis=(0, 2, 3)), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
    ('name', 'kept'), [('airbench94', 0.6), ('airbench95', 0.6), ('airbench96', 0.9)]
)
def test_how_fast_batch_normalization_forgets(name, kept):
    with undrawn():
        net = nets.create(name)
    assert {norm.decay for block in net.blocks for norm in block.norms} == {kept}


@pytest.mark.parametrize('name', ['airbench94', 'airbench96'])
def test_forward_written_out(name, monkeypatch):
    widths = {'airbench94': (64, 256, 256), 'airbench96': (128, 384, 512)}[name]
    assert [block.convs[0].W.shape[0] for block in nets.create(name).blocks] == list(widths)
    np.random.seed(0)
    net = Airbench(10, nets.CIFAR, (26, 30, 28), 2 if name == 'airbench94' else 3)
    x = images(6)
    net.prepare(x)
    from scipy import special

    def gelu(h):
        return h * 0.5 * (1 + special.erf(h / np.sqrt(2)))

    def conv(h, w, pad):
        h = np.pad(h, ((0, 0), (0, 0), (pad, pad), (pad, pad)))
        windows = np.lib.stride_tricks.sliding_window_view(h, w.shape[2:], (2, 3))
        return np.einsum('nchwij,mcij->nmhw', windows, w.astype(np.float64), optimize=True)

    def pool(h, k):
        n, c, s, _ = h.shape
        h = h[:, :, : s // k * k, : s // k * k].reshape(n, c, s // k, k, s // k, k)
        return h.max(axis=(3, 5))

    def norm(h):
        return (h - h.mean(axis=(0, 2, 3), keepdims=True)) / h.std(axis=(0, 2, 3), keepdims=True)

    h = gelu(conv(x.astype(np.float64), net.whiten.W, 0))
    sizes = [h.shape[2]]
    for block in net.blocks:
        h = first = gelu(norm(pool(conv(h, block.convs[0].W.array, 1), 2)))
        for number, layer in enumerate(list(block.convs)[1:], 1):
            h = norm(conv(h, layer.W.array, 1))
            h = gelu(h + first if number == 2 else h)
        sizes.append(h.shape[2])
    assert sizes == [31, 15, 7, 3]
    expected = pool(h, 3)[:, :, 0, 0] @ net.head.W.array.T.astype(np.float64) / 9
    np.testing.assert_allclose(net(x).array, expected, atol=2e-4)
    with chainer_onednn.enable():
        np.testing.assert_allclose(net(x).array, expected, atol=2e-3)

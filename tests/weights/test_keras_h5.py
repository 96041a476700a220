"""Keras' h5 files in each of their layouts, made by hand."""

import zlib

import chainer
import h5py
import numpy as np
import pytest

from chainer_cifar import nets
from chainer_cifar.errors import UserError
from chainer_cifar.weights import keras_h5
from chainer_cifar.weights.initialize import initialize
from known_weights import arrays_of, fill
from tiny_net import Tiny


def keras_weights(rng):
    """{layer: {weight: array}} of `Tiny` as Keras would build it, channels last."""

    def normalization():
        names = ('gamma', 'beta', 'moving_mean', 'moving_variance')
        return {name: rng.rand(4).astype(np.float32) + 0.5 for name in names}

    def array(*shape):
        return rng.randn(*shape).astype(np.float32)

    return {
        'conv1': {'kernel': array(3, 3, 2, 4), 'bias': array(4)},
        'conv1_bn': normalization(),
        'dw': {'depthwise_kernel': array(3, 3, 4, 1)},
        'dw_bn': normalization(),
        'fc1': {'kernel': array(36, 5), 'bias': array(5)},
        'fc2': {'kernel': array(5, 3), 'bias': array(3)},
    }


def keras_forward(layers, x):
    """`Tiny` in NumPy with x (N, H, W, C) and Keras' order of the flattened inputs of fc1."""

    def normalize(name, h):
        gamma, beta, mean, variance = layers[name].values()
        return np.maximum(gamma * (h - mean) / np.sqrt(variance + np.float32(2e-5)) + beta, 0)

    padded = np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    kernel = layers['conv1']['kernel']
    h = sum(padded[:, i : i + 6, j : j + 6] @ kernel[i, j] for i in range(3) for j in range(3))
    h = normalize('conv1_bn', h + layers['conv1']['bias'])
    padded = np.pad(h, ((0, 0), (1, 1), (1, 1), (0, 0)))
    kernel = layers['dw']['depthwise_kernel'][..., 0]
    h = sum(
        padded[:, i : i + 6 : 2, j : j + 6 : 2] * kernel[i, j] for i in range(3) for j in range(3)
    )
    h = normalize('dw_bn', h).reshape(len(x), -1)
    h = np.maximum(h @ layers['fc1']['kernel'] + layers['fc1']['bias'], 0)
    return h @ layers['fc2']['kernel'] + layers['fc2']['bias']


def official(file, layers):
    """Keras 2, weights only; names are bytes, and layers without weights are there, too."""
    file.attrs['layer_names'] = [name.encode() for name in ('input_1', *layers)]
    file.create_group('input_1').attrs['weight_names'] = []
    for layer, weights in layers.items():
        names = [f'{layer}/{weight}:0' for weight in weights]
        file.create_group(layer).attrs['weight_names'] = [name.encode() for name in names]
        for name, array in zip(names, weights.values(), strict=True):
            file[layer][name] = array


def whole_model(file, layers):
    """Keras 2, model.save: nested, with the optimizer's arrays beside."""
    official(file.create_group('model_weights'), layers)
    file['optimizer_weights/Adam/conv1/kernel:0'] = np.full((3, 3, 2, 4), 9, np.float32)


def nested_model(file, layers):
    """A model in a model, as article 001 builds it; the inner layers lie under its name."""
    for layer, weights in layers.items():
        outer = layer if layer == 'fc2' else 'mobilenet_1.00_224'
        for weight, array in weights.items():
            file[f'model_weights/{outer}/{layer}/{weight}:0'] = array


def keras3(file, layers):
    """Keras 3, model.save: no :0, and every kernel is called so."""
    for layer, weights in layers.items():
        for weight, array in weights.items():
            name = weight.removeprefix('depthwise_')
            file[f'model_weights/{layer}/{layer}/{name}'] = array


def built_twice(file, layers):
    """Keras on TensorFlow 1 where the model was the second in its process."""
    for layer, weights in layers.items():
        for weight, array in weights.items():
            file[f'{layer}/{layer}_1/{weight}:0'] = array


@pytest.mark.parametrize('layout', [official, whole_model, nested_model, keras3, built_twice])
def test_every_layout_gives_keras_output(tmp_path, layout):
    rng = np.random.RandomState(0)
    layers = keras_weights(rng)
    with h5py.File(tmp_path / 'a.h5', 'w') as file:
        layout(file, layers)
    net = Tiny()
    report = initialize(net, tmp_path / 'a.h5')
    assert not report.skipped and not report.missing
    x = rng.randn(5, 6, 6, 2).astype(np.float32)
    with chainer.using_config('train', False):
        got = net(x.transpose(0, 3, 1, 2)).array
    np.testing.assert_allclose(got, keras_forward(layers, x), rtol=1e-4, atol=1e-5)


def test_official_mobilenet_without_top(tmp_path):
    trained = nets.create('mobilenet')
    arrays = fill(trained)
    layers = {}
    for name, array in arrays.items():
        layer, weight = name.split('/')
        if layer == 'fc':
            continue
        if weight == 'W':
            depthwise = '_dw_' in layer
            weight = 'depthwise_kernel' if depthwise else 'kernel'
            array = array.transpose((2, 3, 0, 1) if depthwise else (2, 3, 1, 0))
        weight = {'avg_mean': 'moving_mean', 'avg_var': 'moving_variance'}.get(weight, weight)
        layers.setdefault(layer, {})[weight] = array
    with h5py.File(tmp_path / 'a.h5', 'w') as file:
        official(file, layers)
    net = nets.create('mobilenet', n_class=7)
    report = initialize(net, tmp_path / 'a.h5')
    assert len(report.loaded) == 27 + 4 * 27 and report.values == 3_228_864
    assert set(report.missing) == {'fc/W', 'fc/b'} and not report.skipped
    got = arrays_of(net)
    for name in report.loaded:
        np.testing.assert_array_equal(got[name], arrays[name])


def test_what_does_not_fit_is_told(tmp_path):
    layers = keras_weights(np.random.RandomState(0))
    layers['fc2'] = {'kernel': np.ones((5, 9), np.float32), 'bias': np.ones(9, np.float32)}
    layers['fc1']['kernel'] = np.ones((8, 5), np.float32)  # of another image size
    layers['dense_7'] = {'kernel': np.ones((2, 2), np.float32)}
    layers['conv1'] = {'pointwise_kernel': np.ones((1, 1, 2, 4), np.float32)}
    layers['dw'] = {'depthwise_kernel': np.ones(9, np.float32)}
    with h5py.File(tmp_path / 'a.h5', 'w') as file:
        official(file, layers)
    report = initialize(Tiny(), tmp_path / 'a.h5')
    assert set(report.skipped) == {
        'fc2/W',
        'fc2/b',
        'fc1/W',
        'dense_7/kernel',
        'conv1/pointwise_kernel',
        'dw/W',
    }
    assert report.skipped['fc2/W'] == '(9, 5) in the file, (3, 5) in the net'


def test_keras3_weights_file_is_refused(tmp_path):
    with h5py.File(tmp_path / 'a.weights.h5', 'w') as file:
        file['layers/conv2d/vars/0'] = np.ones((3, 3, 2, 4), np.float32)
    with pytest.raises(UserError, match=r"does not keep the names .* model\.save\('model\.h5'\)"):
        initialize(Tiny(), tmp_path / 'a.weights.h5')


def h5_bytes(path, fill_file):
    with h5py.File(path, 'w') as file:
        fill_file(file)
    return path.read_bytes()


def test_damaged_files_end_in_one_line(tmp_path):
    path = tmp_path / 'a.h5'
    whole = h5_bytes(path, lambda file: official(file, keras_weights(np.random.RandomState(0))))
    for data in (whole[:200], whole[: len(whole) // 2], whole[:-1], whole[:8] + b'x' * 999):
        path.write_bytes(data)
        with pytest.raises(UserError, match=r'a\.h5: not a readable h5 file') as error:
            initialize(Tiny(), path)
        assert '\n' not in str(error.value)


def test_other_content_ends_in_one_line(tmp_path):
    def strange(file):
        file['model_weights'] = np.zeros(3)

    def links(file):
        # To another file and to itself: neither is followed.
        file['conv1/W'] = h5py.ExternalLink('secret.h5', '/x')
        file['loop'] = h5py.SoftLink('/')

    for content in (strange, links, lambda file: None):
        h5_bytes(tmp_path / 'a.h5', content)
        with pytest.raises(UserError, match=r'a\.h5: ') as error:
            initialize(Tiny(), tmp_path / 'a.h5')
        assert '\n' not in str(error.value)


@pytest.mark.parametrize('kind', ['external', 'virtual', 'unallocated'])
def test_numbers_that_the_file_does_not_hold_are_refused(tmp_path, kind):
    secret = tmp_path / 'secret'
    secret.write_bytes(bytes(range(16)))
    with h5py.File(tmp_path / 'source.h5', 'w') as file:
        file['kernel'] = np.zeros((2, 2), np.float32)
    with h5py.File(tmp_path / 'weights.h5', 'w') as file:
        group = file.create_group('fc2')
        if kind == 'external':
            group.create_dataset('kernel', (2, 2), 'f4', external=[(str(secret), 0, 16)])
        elif kind == 'virtual':
            layout = h5py.VirtualLayout((2, 2), 'f4')
            layout[:] = h5py.VirtualSource(tmp_path / 'source.h5', 'kernel', (2, 2))
            group.create_virtual_dataset('kernel', layout)
        else:
            group.create_dataset('kernel', (50_000, 40_000), 'f4', chunks=(100, 100))
    reason = 'has no content' if kind == 'unallocated' else 'lies in another file'
    with pytest.raises(UserError, match=f"'/fc2/kernel' {reason}"):
        initialize(Tiny(), tmp_path / 'weights.h5')


def test_a_link_instead_of_the_weights_is_not_followed(tmp_path):
    with h5py.File(tmp_path / 'secret.h5', 'w') as file:
        file['fc2/kernel'] = np.zeros((5, 3), np.float32)
    for link in (h5py.ExternalLink(str(tmp_path / 'secret.h5'), '/'), h5py.SoftLink('/elsewhere')):
        with h5py.File(tmp_path / 'weights.h5', 'w') as file:
            file['model_weights'] = link
        assert keras_h5.read(tmp_path / 'weights.h5', Tiny()) == {}


def test_what_unpacks_to_too_much(tmp_path, monkeypatch):
    monkeypatch.setattr(keras_h5, 'LARGEST', 10_000)
    path = tmp_path / 'a.h5'
    with h5py.File(path, 'w') as file:
        for layer in ('fc1', 'fc2'):  # together; each alone would be small enough
            name = f'{layer}/{layer}/kernel:0'
            file.create_dataset(name, data=np.zeros((2, 1000), 'f4'), compression=9)
    with pytest.raises(UserError, match='unpacks to more than'):
        initialize(Tiny(), path)


def test_texts_in_the_place_of_numbers(tmp_path):
    """Each of many may be the same long one, so that nobody knows what they take in memory."""
    path = tmp_path / 'a.h5'
    with h5py.File(path, 'w') as file:
        file.create_dataset('fc2/fc2/kernel:0', data=['a' * 1000] * 3, dtype=h5py.string_dtype())
    with pytest.raises(UserError, match="'/fc2/fc2/kernel:0' has texts or lists, not numbers"):
        initialize(Tiny(), path)


@pytest.mark.parametrize(
    ('chunk', 'message'), [(1000, 'unpacks to more than'), (1, "'/a' unpacks to more than it says")]
)
def test_a_small_dataset_with_a_large_chunk(tmp_path, monkeypatch, chunk, message):
    monkeypatch.setattr(keras_h5, 'LARGEST', 3999)
    path = tmp_path / 'a.h5'
    with h5py.File(path, 'w') as file:
        kind = {'dtype': 'f4', 'chunks': (chunk,), 'maxshape': (None,), 'compression': 'gzip'}
        dataset = file.create_dataset('a', (1,), **kind)
        dataset.id.write_direct_chunk((0,), zlib.compress(bytes(4000)))
    with pytest.raises(UserError, match=message):
        initialize(Tiny(), path)


def test_packed_weights(tmp_path):
    rng = np.random.RandomState(0)
    array = np.concatenate([np.zeros((9, 3)), rng.randn(11, 3)]).astype(np.float32)
    for packing in ({}, {'shuffle': True, 'fletcher32': True}, {'fletcher32': True}):
        # HDF5 does not pack a chunk that would grow by it.
        for chunks in ((1, 1), (5, 3), (16, 2)):
            with h5py.File(tmp_path / 'a.h5', 'w') as file:
                kind = {'chunks': chunks, 'compression': 'gzip', **packing}
                file.create_dataset('fc2/fc2/kernel:0', data=array, **kind)
            found = keras_h5.read(tmp_path / 'a.h5', Tiny())['fc2/W']
            np.testing.assert_array_equal(found, array.T)
    with h5py.File(tmp_path / 'a.h5', 'w') as file:
        file.create_dataset('fc2/fc2/kernel:0', data=array, compression='lzf')
    with pytest.raises(UserError, match='packed in another way than gzip'):
        keras_h5.read(tmp_path / 'a.h5', Tiny())

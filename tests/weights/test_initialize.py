"""Loading what fits, and saying what was done."""

import io
import pickle
import re
import zipfile

import chainer
import numpy as np
import pytest

from chainer_cifar import nets
from chainer_cifar.errors import UserError
from chainer_cifar.weights.initialize import initialize
from known_weights import arrays_of, fill
from tiny_net import Tiny

INITIALIZED = 'wn_conv1/initialized'


def saved(path, **changes):
    """An npz of a filled `Tiny`, with some arrays changed or (None) left out; its arrays."""
    net = Tiny()
    arrays = fill(net) | changes
    arrays = {name: array for name, array in arrays.items() if array is not None}
    np.savez(path, **arrays)
    return arrays


def test_everything_of_our_own_file(tmp_path):
    trained = Tiny()
    arrays = fill(trained)
    path = tmp_path / 'best.npz'
    chainer.serializers.save_npz(path, trained)
    net = Tiny()
    report = initialize(net, path)
    got = arrays_of(net)
    for name, array in arrays.items():
        np.testing.assert_array_equal(got[name], array)
    assert set(report.loaded) == set(arrays) and not report.missing and not report.skipped
    values = sum(array.size for array in arrays.values())
    assert report.values == values
    assert str(report) == f'loaded 15 of 15 arrays ({values} values) from {path}'


def test_weight_normalization_is_not_initialized_again(tmp_path):
    trained = nets.create('cnnwn')
    x = np.random.RandomState(0).rand(2, 3, 32, 32).astype(np.float32)
    trained(x)  # sets the lengths and biases of the filters
    chainer.serializers.save_npz(tmp_path / 'best.npz', trained)
    net = nets.create('cnnwn', 3)
    initialize(net, tmp_path / 'best.npz')
    net(x * 9)
    expected, got = arrays_of(trained), arrays_of(net)
    assert not np.array_equal(expected['wn_conv1/g'], np.ones(64))
    np.testing.assert_array_equal(got['wn_conv1/g'], expected['wn_conv1/g'])


def test_classifier_of_another_number_of_classes_stays(tmp_path):
    saved(tmp_path / 'a.npz', extra=np.ones(3, np.float32))
    net = Tiny(n_class=7)
    before = arrays_of(net)
    report = initialize(net, tmp_path / 'a.npz')
    after = arrays_of(net)
    assert set(report.missing) == {'fc2/W', 'fc2/b'}
    for name in before:
        assert np.array_equal(before[name], after[name]) == (name in report.missing), name
    lines = str(report).splitlines()
    assert lines[0].startswith('loaded 13 of 15 arrays (')
    assert '(3, 5) in the file, (7, 5) in the net' in lines[1]
    assert 'extra (not in the net)' in lines[1]
    assert lines[2] == 'missing (keeps its initial values): fc2/W, fc2/b'


@pytest.mark.parametrize(('name', 'first'), [('simple_gap', 'conv2d_1/W'), ('cnnwn', 'wn_conv1/V')])
def test_filters_of_colours_are_summed_for_grey_images(tmp_path, name, first):
    np.random.seed(0)
    trained, net = nets.create(name, shape=(3, 28, 28)), nets.create(name, shape=(1, 28, 28))
    trained(np.random.rand(8, 3, 28, 28).astype(np.float32))  # which sets lengths and biases
    chainer.serializers.save_npz(tmp_path / 'best.npz', trained)
    report = initialize(net, tmp_path / 'best.npz')
    assert not report.missing and not report.skipped
    assert f'summed over the colours, for grey images: {first}' in str(report).splitlines()
    grey = np.random.rand(2, 1, 28, 28).astype(np.float32)
    with chainer.using_config('train', False):
        in_colour, found = trained(grey.repeat(3, axis=1)).array, net(grey).array
    np.testing.assert_allclose(found, in_colour, rtol=1e-4, atol=1e-4 * np.abs(in_colour).max())


@pytest.mark.parametrize('kind', ['S3', 'U3', 'M8[s]', 'V4', [('a', 'f4')]])
def test_what_are_no_filters_are_not_summed_for_grey_images(tmp_path, kind):
    net = nets.create('cnnwn', shape=(1, 28, 28))
    arrays = arrays_of(nets.create('cnnwn', shape=(3, 28, 28)))
    for odd in 'V', 'g':
        name = f'wn_conv1/{odd}'
        np.savez(tmp_path / 'a.npz', **{**arrays, name: np.zeros(arrays[name].shape, kind)})
        report = initialize(net, tmp_path / 'a.npz')
        assert name in report.missing


def test_long_lists_are_cut(tmp_path):
    arrays = saved(tmp_path / 'a.npz')
    np.savez(tmp_path / 'b.npz', **{'fc2/b': arrays['fc2/b']})
    missing = str(initialize(Tiny(), tmp_path / 'b.npz')).splitlines()[1]
    assert missing.endswith(' and 9 more') and missing.count(',') == 4


def test_snapshot(tmp_path):
    trained = Tiny()
    optimizer = chainer.optimizers.Adam().setup(chainer.links.Classifier(trained))
    images = [(np.ones((2, 6, 6), np.float32), np.int32(0))] * 2
    iterator = chainer.iterators.SerialIterator(images, 1)
    updater = chainer.training.StandardUpdater(iterator, optimizer)
    trainer = chainer.training.Trainer(updater, (2, 'iteration'), out=tmp_path)
    trainer.run()
    chainer.serializers.save_npz(tmp_path / 'snapshot-00000002.npz', trainer)
    net = Tiny()
    report = initialize(net, tmp_path / 'snapshot-00000002.npz')
    assert not report.skipped and not report.missing
    for name, array in arrays_of(trained).items():
        np.testing.assert_array_equal(arrays_of(net)[name], array)


def test_other_floats_are_converted(tmp_path):
    saved(tmp_path / 'a.npz', **{'fc2/b': np.array([1, 2, 1e-9])})
    net = Tiny()
    initialize(net, tmp_path / 'a.npz')
    assert net.fc2.b.dtype == np.float32
    np.testing.assert_array_equal(net.fc2.b.array, np.array([1, 2, 1e-9], np.float32))


def test_names_of_the_file_are_made_printable(tmp_path):
    saved(tmp_path / 'a.npz', **{'\x1b[31mred\n': np.zeros(1, np.float32)})
    text = str(initialize(Tiny(), tmp_path / 'a.npz'))
    assert 'red' in text and text.replace('\n', '').isprintable()
    assert len(text.splitlines()) == 2


def test_integers_are_skipped(tmp_path):
    saved(tmp_path / 'a.npz', **{'fc2/b': np.array([1, 2, 3])})
    report = initialize(Tiny(), tmp_path / 'a.npz')
    assert report.skipped == {'fc2/b': 'int64, not floating point'}


@pytest.mark.parametrize(
    ('lost', 'rest'), [('V', ['g', 'b', 'initialized']), ('g', ['initialized'])]
)
def test_half_a_weight_normalized_link_is_not_loaded(tmp_path, lost, rest):
    """Or the first batch would not set the lengths of filters that are random."""
    trained = nets.create('cnnwn')
    fill(trained)
    for link in (trained.wn_conv1, trained.wn_conv2):
        link.initialized = True
    chainer.serializers.save_npz(tmp_path / 'best.npz', trained)
    arrays = dict(np.load(tmp_path / 'best.npz'))
    arrays[f'wn_conv1/{lost}'] = np.ones(7, np.float32)
    np.savez(tmp_path / 'a.npz', **arrays)
    net = nets.create('cnnwn')
    before = arrays_of(net)
    report = initialize(net, tmp_path / 'a.npz')
    left = {f'wn_conv1/{name}' for name in rest}
    assert report.skipped.keys() == left | {f'wn_conv1/{lost}'}
    assert all(report.skipped[name] == f'of no use without {lost}' for name in left - {INITIALIZED})
    assert not net.wn_conv1.initialized and net.wn_conv2.initialized
    after = arrays_of(net)
    for name in report.missing:
        np.testing.assert_array_equal(after[name], before[name])
    assert {*report.missing} == left - {INITIALIZED} | {f'wn_conv1/{lost}'}


@pytest.mark.parametrize(
    ('value', 'reason'),
    [
        ('abc', '<U3, not int64'),
        (1.5, 'float64, not int64'),
        (np.nan, 'float64, not int64'),
        (True, 'bool, not int64'),
        (-1, 'negative, not a count'),
    ],
)
def test_counts_that_are_none_are_skipped(tmp_path, value, reason):
    trained = Tiny()
    arrays = fill(trained)
    np.savez(tmp_path / 'a.npz', **arrays, **{'conv1_bn/N': value})
    net = Tiny()
    report = initialize(net, tmp_path / 'a.npz')
    assert report.skipped == {'conv1_bn/N': reason} and not report.missing
    assert net.conv1_bn.N == 0
    np.savez(tmp_path / 'a.npz', **arrays, **{'conv1_bn/N': np.uint8(3)})
    assert not initialize(net, tmp_path / 'a.npz').skipped and net.conv1_bn.N == 3


def test_a_flag_that_is_none_is_skipped(tmp_path):
    trained = nets.create('cnnwn')
    chainer.serializers.save_npz(tmp_path / 'best.npz', trained)
    arrays = dict(np.load(tmp_path / 'best.npz')) | {'wn_conv1/initialized': np.int64(1)}
    np.savez(tmp_path / 'a.npz', **arrays)
    net = nets.create('cnnwn')
    report = initialize(net, tmp_path / 'a.npz')
    assert report.skipped == {'wn_conv1/initialized': 'int64, not bool'}
    assert net.wn_conv1.initialized is False


@pytest.mark.parametrize('value', [np.nan, np.inf, 1e300])
def test_no_number(tmp_path, value):
    saved(tmp_path / 'a.npz', **{'fc2/b': np.array([1, value, 3])})
    net = Tiny()
    before = arrays_of(net)
    with pytest.raises(UserError, match=r'a\.npz: fc2/b holds NaN or infinity'):
        initialize(net, tmp_path / 'a.npz')
    for name, array in arrays_of(net).items():
        np.testing.assert_array_equal(array, before[name])


def test_nothing_fits(tmp_path):
    np.savez(tmp_path / 'a.npz', **{'conv9/W': np.ones((2, 2), np.float32)})
    with pytest.raises(UserError, match='nothing in it fits the net; it has conv9/W, the net has'):
        initialize(Tiny(), tmp_path / 'a.npz')
    np.savez(tmp_path / 'a.npz', n=np.int64(3))
    with pytest.raises(UserError, match='nothing in it fits the net; it has n,'):
        initialize(Tiny(), tmp_path / 'a.npz')


def objects():
    file = io.BytesIO()
    np.savez(file, a=np.array([{}], object))
    return file.getvalue()


def zipped(name):
    file = io.BytesIO()
    with zipfile.ZipFile(file, 'w') as archive:
        archive.writestr(name, b'{}')
    return file.getvalue()


def npz():
    file = io.BytesIO()
    np.savez(file, a=np.zeros(100))
    return file.getvalue()


WRONG = {
    'objects': (objects(), 'not a readable npz'),
    'keras archive': (zipped('config.json'), "'config.json' in it is not a NumPy array"),
    'cut': (npz()[:-40], 'not a readable npz'),
    'damaged': (npz().replace(b'\0' * 80, b'\1' * 80), 'not a readable npz'),
    'pickle': (pickle.dumps({'a': 1}), 'neither an npz file of ours nor an h5'),
    'empty': (b'', 'neither an npz file of ours nor an h5'),
    'html': (b'<!DOCTYPE html><html></html>', 'neither an npz file of ours nor an h5'),
}


@pytest.mark.parametrize('name', WRONG)
def test_wrong_files_end_in_one_line(tmp_path, name):
    data, message = WRONG[name]
    (tmp_path / 'a.npz').write_bytes(data)
    with pytest.raises(UserError, match=re.escape(message)) as error:
        initialize(Tiny(), tmp_path / 'a.npz')
    assert str(tmp_path / 'a.npz') in str(error.value) and '\n' not in str(error.value)


def test_missing_file_and_folder(tmp_path):
    with pytest.raises(UserError, match=rf'^{tmp_path}/none\.npz: No such file'):
        initialize(Tiny(), tmp_path / 'none.npz')
    with pytest.raises(UserError, match=rf'^{tmp_path}/best\.npz: No such file'):
        initialize(Tiny(), tmp_path)


def test_a_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / 'models' / 'run' / 'best.npz'
    path.parent.mkdir(parents=True)
    saved(path)
    for name in ('models/run', 'results/run', 'run'):
        report = initialize(Tiny(), name)
        assert not report.missing and report.source == 'models/run/best.npz'

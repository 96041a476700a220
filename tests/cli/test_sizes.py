"""Images of other sizes than CIFAR's, grey or in colour: a run from its training to its report."""

import json

import numpy as np
import pytest
from PIL import Image

from chainer_cifar import runs
from chainer_cifar.data import input_transform, store
from chainer_cifar.data.preprocess import Raw

pytestmark = pytest.mark.usefixtures('without_curves')

SHAPES = [(1, 28, 28), (3, 40, 66)]


def write_data(folder, shape):
    """Raw images of three classes, a grey level each, under noise; classes as of tests/runs.py."""
    rng = np.random.default_rng(0)
    (folder / 'image_raw').mkdir(parents=True)
    labels = []
    for part, n in (('train', 60), ('test', 12)):
        label = (np.arange(n) % 3).astype(np.int32)
        noise = rng.integers(-40, 40, (n, *shape))
        images = 64 * (1 + label[:, None, None, None]) + noise
        np.save(folder / 'image_raw' / f'{part}.npy', images.astype(np.uint8))
        labels.append(label)
    store.write_statistics(folder / 'image_raw_stats.npz', Raw(), 'squash')
    store.write_split(folder / 'label.pkl', *labels)
    store.write_class_names(folder / 'classes.json', ['cat', 'dog', 'ship'])


def data_flags(folder):
    return '-d', folder / 'image_raw'  # beside which label.pkl lies


FLAGS = '-m residual --res_depth 1 -b 20 --iter 1 --normalize channel -p run --augment '


@pytest.fixture(params=SHAPES, ids=str)
def shape(request, command, tmp_path, monkeypatch):
    """The shape of the images of models/run, in the current directory."""
    monkeypatch.chdir(tmp_path)
    write_data(tmp_path / 'data', request.param)
    flags = [*FLAGS.split(), 'crop(4)|mirror|erase|randaugment', *data_flags(tmp_path / 'data')]
    status, _, err = command('train', *flags)
    assert status == 0, err
    return request.param


def test_every_command(shape, command, tmp_path):
    description = json.loads((tmp_path / 'results/run/config.json').read_text())
    transform = input_transform.read(tmp_path / 'models/run/input.npz')
    assert description['shape'] == list(shape)
    assert transform.shape == shape and transform.fit == 'squash'

    _, out, _ = command('summary', 'run')
    _, height, width = shape
    assert f'(N, 16, {height}, {width})' in out
    for name, path in (('evaluate', f'{runs.REPORT}-test.json'), ('visualize', 'activations.png')):
        status, _, err = command(name, 'run')
        assert status == 0 and (tmp_path / 'results/run' / path).exists(), err
    assert command('report', 'run')[0] == 0

    # Pictures of any size.
    for i, size in enumerate([(9, 9), (300, 200), (shape[2], shape[1])]):
        Image.new('RGB', size, (64 * (i + 1),) * 3).save(tmp_path / f'{i}.png')
    status, out, _ = command(
        'predict', 'run', *(f'{i}.png' for i in range(3)), '--gallery', 'all.png'
    )
    assert status == 0 and len(out.splitlines()) == 4
    with Image.open(tmp_path / 'all.png') as sheet:
        assert sheet.width > 300


def test_corruptions_and_heat_maps(shape, command, tmp_path):
    status, _, err = command('evaluate', 'run', '--corrupt', '--limit', 2)
    assert status == 0, err
    found = json.loads((tmp_path / 'results/run/corrupted-test-limit2.json').read_text())
    assert len(found['by_corruption']) == 15 and found['images'] == 2
    Image.effect_noise((90, 60), 80).save(tmp_path / 'noise.png')
    status, _, err = command('visualize', 'run', 'noise.png')
    assert status == 0, err
    with Image.open(tmp_path / 'results/run/cam.png') as sheet:
        assert sheet.width > 3 * 66 and sheet.height < 200


def test_onnx(shape, command, tmp_path):
    for package in ('onnx', 'onnxruntime'):
        pytest.importorskip(package, reason="needs the extra onnx: pip install '.[onnx]'")
    for name, options in (('model', []), ('small', ['--int8'])):
        status, _, err = command('export', 'run', '--onnx', f'{name}.onnx', *options)
        assert status == 0, err
    Image.effect_noise((90, 60), 80).convert('RGB').save(tmp_path / 'noise.png')
    for arguments in (['noise.png'], ['--first', 5]):
        ours, theirs, small = (
            json.loads(command('predict', name, *arguments, '--format', 'json')[1])
            for name in ('run', 'model.onnx', 'small.onnx')
        )
        for one, other in zip(ours, theirs, strict=True):
            for our, their in zip(one['top'], other['top'], strict=True):
                assert our['class'] == their['class']
                assert our['probability'] == pytest.approx(their['probability'], abs=1e-4)
        assert len(small) == len(ours)
    for name in ('run', 'model.onnx'):
        status, _, err = command('evaluate', name, '--out', f'out/{name}')
        assert status == 0, err
    (path,) = (tmp_path / 'out/model.onnx').glob('report-test-model.json')
    ours = json.loads((tmp_path / 'out/run/report-test.json').read_text())
    theirs = json.loads(path.read_text())
    assert theirs['confusion'] == ours['confusion'] and theirs['data_of_the_run']


def test_a_picture_of_the_size_of_the_images_is_one_of_them(shape, command, tmp_path):
    x = np.load(tmp_path / 'data' / 'image_raw' / 'test.npy')
    for i in range(3):
        picture = x[i, 0] if shape[0] == 1 else x[i].transpose(1, 2, 0)
        Image.fromarray(picture).save(tmp_path / f'{i}.png')
    _, files, _ = command('predict', 'run', '0.png', '1.png', '2.png', '--format', 'json')
    _, tests, _ = command('predict', 'run', '--first', 3, '--format', 'json')
    for ours, theirs in zip(json.loads(files), json.loads(tests), strict=True):
        assert ours['top'] == theirs['top']


def test_data_of_another_size(shape, refused, tmp_path):
    write_data(tmp_path / 'other', (3, 32, 32))
    other = data_flags(tmp_path / 'other')
    words = f'/other/image_raw: its images are 32x32 in colour, those of the run {shape[2]}x'
    assert words in refused('evaluate', 'run', *other)
    assert words in refused('visualize', 'run', '--only', 'mistakes', *other)
    assert f'{words}{shape[1]}' in refused('predict', 'run', '--first', 1, *other)


def test_resume_with_data_of_another_size(shape, command, tmp_path):
    write_data(tmp_path / 'other', (3, 32, 32))
    before = (tmp_path / 'models/run/best.npz').read_bytes()
    status, _, err = command(
        'train', '-p', 'run', '--resume', '--iter', 2, *data_flags(tmp_path / 'other')
    )
    assert status == 2 and err.count('\n') == 1
    assert '/other/image_raw: its images are 32x32 in colour, those of the run ' in err
    assert (tmp_path / 'models/run/best.npz').read_bytes() == before


@pytest.mark.parametrize(
    ('flags', 'words'),
    [
        ('-m mobilenet', '--model mobilenet: needs 32x32 pixels or more, not 28x28 in grey'),
        ('-m vgg16 --upscale 32 --augment crop(29)', "--augment 'crop(29)': "),
    ],
)
def test_what_does_not_suit_the_size(refused, tmp_path, monkeypatch, flags, words):
    monkeypatch.chdir(tmp_path)
    write_data(tmp_path / 'data', (1, 28, 28))
    assert words in refused('train', *flags.split(), *data_flags(tmp_path / 'data'))
    assert not (tmp_path / 'results').exists()

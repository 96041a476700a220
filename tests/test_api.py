"""The Python interface: fit, load, predict."""

import dataclasses
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

import chainer_cifar
import chainer_onednn
from chainer_cifar.errors import UserError


@pytest.fixture(scope='module')
def classifier(tmp_path_factory):
    """Two classes of one colour each, and a picture of both; fitted in a moment."""
    folder = tmp_path_factory.mktemp('api')
    rng = np.random.default_rng(0)
    for number, name in enumerate(('red <b>', 'blue')):
        (folder / 'pictures' / name).mkdir(parents=True)
        for i in range(24):
            noise = rng.integers(0, 90, (40, 48, 3))
            noise[..., 2 * number] += 150
            path = folder / 'pictures' / name / f'{i}.png'
            Image.fromarray(noise.astype(np.uint8)).save(path)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        fitted = chainer_cifar.fit(
            'pictures', minutes=0.02, init='none', size=32, name=None, leaks=False
        )
        yield folder, fitted
    chainer_onednn.disable()


def test_paths_images_and_arrays_are_the_same_picture(classifier):
    folder, net = classifier
    path = folder / 'pictures' / 'blue' / '3.png'
    image = Image.open(path)
    found = net.predict([path, image, np.asarray(image), str(path)])
    assert len(set(found.probabilities)) == 1 and len(found) == 4
    assert found[0]['image'] == str(path) and len(found[0]['top']) == 2
    assert sum(guess['probability'] for guess in found[0]['top']) == pytest.approx(1)
    assert net.predict(path).names == found.names[:1]
    one = net.predict(np.asarray(image))  # another batch size rounds otherwise
    assert one.probabilities == pytest.approx(found.probabilities[:1])


def saved(kind, path):
    """A picture whose pixels are not all of it: turned by EXIF, or with transparent parts."""
    coarse = np.random.default_rng(0).integers(0, 256, (5, 6, 3), dtype=np.uint8)
    image = Image.fromarray(coarse).resize((36, 30), Image.Resampling.NEAREST)
    exif = Image.Exif()
    exif[274] = 6
    if kind == 'turned':
        image.save(path, exif=exif)
    elif kind == 'palette':
        image.quantize(8).save(path, transparency=0)
    elif kind == 'one colour':
        image.save(path, transparency=tuple(coarse[0, 0].tolist()))
    else:
        Image.fromarray(coarse[..., 0].astype(np.uint16) * 257).save(path)


@pytest.mark.parametrize('kind', ['turned', 'palette', 'one colour', '16 bits'])
def test_an_image_is_read_as_its_file(classifier, tmp_path, kind):
    path = tmp_path / 'a.png'
    saved(kind, path)
    found = classifier[1].predict([path, Image.open(path)])
    np.testing.assert_array_equal(*found.images)
    assert found.images[0].std() > 20


def test_an_image_of_a_damaged_file(classifier, tmp_path):
    path = tmp_path / 'a.png'
    saved('turned', path)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(UserError, match='cannot be read as a picture'):
        classifier[1].predict(Image.open(path))


@pytest.mark.parametrize('dtype', [np.int8, np.int16, np.int32, np.float32])
def test_arrays_whose_white_nobody_knows(classifier, dtype):
    with pytest.raises(UserError, match='give uint8'):
        classifier[1].predict(np.full((8, 8), 100, dtype))


@pytest.mark.parametrize('flags', [{'foo': 1}, {'batch_size': '8'}, {'gpu': None}, {'gpu': '0'}])
def test_flags_that_make_no_sense(classifier, monkeypatch, flags):
    monkeypatch.chdir(classifier[0])
    with pytest.raises(UserError, match=next(iter(flags))):
        chainer_cifar.load('pictures', **flags)


def test_the_temperature(classifier):
    folder, net = classifier
    picture = folder / 'pictures' / 'blue' / '3.png'
    calm = chainer_cifar.api.Classifier(dataclasses.replace(net.trained, temperature=4.0))
    odds = []
    for each in (net, calm):
        best, other = each.predict(picture)[0]['top']
        odds.append(np.log(best['probability'] / other['probability']))
    assert odds[1] == pytest.approx(odds[0] / 4, rel=1e-4)


def test_what_a_notebook_shows(classifier):
    folder, net = classifier
    found = net.predict([folder / 'pictures' / 'red <b>' / '1.png'] * 2)
    page = found._repr_html_()
    assert page.count('<img src="data:image/png;base64,') == 2
    assert 'red &lt;b&gt;' in page and '<b>' not in page
    assert 'red &lt;b&gt;' in net._repr_html_() and '2 classes' in repr(net)
    assert len(found[:1]) == 1 and repr(found).count('%') == 4


@pytest.mark.parametrize(
    'bad',
    ['none.jpg', 3, None, *(np.zeros(shape, np.uint8) for shape in ((2, 2, 7), (0, 3), (3,)))],
)
def test_what_is_no_picture(classifier, bad):
    for pictures in (bad, [bad]):
        with pytest.raises(UserError):
            classifier[1].predict(pictures)


def test_an_array_of_paths_is_several_pictures(classifier):
    folder, net = classifier
    paths = [str(folder / 'pictures' / 'blue' / f'{i}.png') for i in (1, 2)]
    assert net.predict(np.array(paths)).probabilities == net.predict(paths).probabilities
    with pytest.raises(UserError, match='is no picture'):
        net.predict(np.array(paths[0], object))


def test_a_folder_whose_name_looks_like_a_flag(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / '-own').mkdir()
    with pytest.raises(UserError, match='-own: no picture in folders'):
        chainer_cifar.fit('-own', name='own')
    for name in ('--help', '@flags'):
        with pytest.raises(UserError, match=f'^{name}: no such folder of pictures'):
            chainer_cifar.fit(name)


def test_none_and_a_generator(classifier):
    folder, net = classifier
    assert len(net.predict([])) == 0 and repr(net.predict([])) == '<no pictures>'
    found = net.predict(folder / 'pictures' / 'blue' / f'{i}.png' for i in (1, 2))
    assert [row['image'][-5:] for row in found] == ['1.png', '2.png']
    with pytest.raises(UserError, match='top=0: must be'):
        net.predict([], top=0)


def test_the_same_call_goes_on_and_trains_nothing_anew(classifier, capsys, monkeypatch):
    monkeypatch.chdir(classifier[0])
    net = chainer_cifar.fit('pictures', minutes=0.02, init='none', size=32)
    assert 'trained already; --overwrite starts again' in capsys.readouterr().out
    assert net.classes == ['blue', 'red <b>']
    with pytest.raises(UserError, match='was made with size 32, not 64'):
        chainer_cifar.fit('pictures', init='none', size=64)


def test_what_fit_leaves(classifier):
    folder, _ = classifier
    for path in ('results/pictures/report.html', 'dataset/pictures/scan.txt'):
        assert (folder / path).stat().st_size > 200
    assert (folder / 'models/pictures/best.npz').exists()


def test_importing_the_package_is_cheap():
    code = (
        'import sys, chainer_cifar\n'
        "assert 'PIL' not in sys.modules and 'chainer_cifar.api' not in sys.modules\n"
        "assert not hasattr(chainer_cifar, 'nothing')"
    )
    environment = {'PYTHONPATH': ':'.join(path for path in sys.path if path)}
    subprocess.run([sys.executable, '-c', code], check=True, env=environment)

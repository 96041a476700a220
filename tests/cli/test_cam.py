"""visualize --only cam as a user runs it."""

import numpy as np
import pytest
from PIL import Image

from chainer_cifar.evaluation import heat_maps


def test_mistakes_of_the_net(in_run, command, tmp_path):
    status, out, err = command('visualize', 'run', '--only', 'cam', '--out', tmp_path)
    assert (status, err) == (0, '') and out == f'cam          {tmp_path / "cam.png"}\n'
    with Image.open(tmp_path / 'cam.png') as picture:
        assert picture.width > 4 * 128  # the picture, two maps of its class, one of the true one
        colours = np.asarray(picture.convert('RGB')).reshape(-1, 3)
        assert len(np.unique(colours, axis=0)) > 1000


def test_given_pictures(in_run, command, tmp_path):
    for number in range(2):
        Image.effect_noise((60, 40), 90).save(tmp_path / f'{number}.png')
    heights = []
    for files in ([tmp_path], [tmp_path / '0.png']):
        status, out, err = command('visualize', 'run', *files, '--out', tmp_path / 'out')
        assert (status, err) == (0, '') and out.count('\n') == 1
        with Image.open(tmp_path / 'out/cam.png') as picture:
            heights.append(picture.height)
            assert 3 * 128 < picture.width < 5 * 128 + 200
    assert heights[0] > heights[1] + 128


@pytest.mark.parametrize('given', [True, False])
@pytest.mark.parametrize('name', ['grad_cam', 'occlusion'])
def test_a_batch_at_a_time(in_run, command, tmp_path, monkeypatch, name, given):
    """The maps of given pictures, or of mistakes, are the same in batches of any size."""
    found = []
    compute = getattr(heat_maps, name)

    def spy(net, x, classes):
        found.append(compute(net, x, classes))
        return found[-1]

    monkeypatch.setattr(heat_maps, name, spy)
    for number in range(3):
        Image.effect_noise((60, 40), 90).save(tmp_path / f'{number}.png')
    files = [tmp_path] if given else ['--only', 'cam']
    # Of mistakes, Grad-CAM is asked twice about each batch: of the true class, too.
    of_predicted = slice(None, None, 2 if name == 'grad_cam' and not given else 1)
    maps = []
    for size in (2, 50):
        found.clear()
        assert command('visualize', 'run', *files, '-b', size, '--out', tmp_path / 'out')[0] == 0
        (tmp_path / 'out/cam.png').unlink()
        assert max(map(len, found)) <= size
        maps.append(np.concatenate(found[of_predicted]))
    np.testing.assert_allclose(*maps, atol=1e-3 * np.abs(maps[1]).max())


@pytest.mark.parametrize(
    ('arguments', 'word'),
    [
        (['none.png'], 'none.png: no such picture'),
        (['dataset/classes.json'], 'cannot be read as a picture'),
        (['dataset/classes.json', '--only', 'filters'], '--only cam'),
        (['dataset/classes.json', '--only', 'cam,filters'], '--only cam'),
    ],
)
def test_bad_arguments(in_run, refused, tmp_path, arguments, word):
    assert word in refused('visualize', 'run', *arguments, '--out', tmp_path)
    assert not any(tmp_path.iterdir())

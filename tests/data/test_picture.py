"""Pictures of any kind and size become images of one shape. More in test_picture_files.py."""

import concurrent.futures

import numpy as np
import pytest
from PIL import Image

from chainer_cifar.data import picture
from chainer_cifar.errors import UserError

RED, GREEN, BLUE = (255, 0, 0), (0, 255, 0), (0, 0, 255)


def read(image, folder, shape=(3, 32, 32), fit='crop', name='a.png', **kwargs):
    image.save(folder / name, **kwargs)
    found = picture.read(folder / name, shape, fit)
    assert found.dtype == np.uint8 and found.shape == shape
    return found.astype(int)


def flag(width, height):
    """Red at the left, green in the middle square, blue at the right (or above, below)."""
    image = Image.new('RGB', (width, height), GREEN)
    side = min(width, height)
    edge = (max(width, height) - side) // 2
    tall = height > width
    box = (width, edge) if tall else (edge, height)
    image.paste(RED, (0, 0, *box))
    image.paste(BLUE, (width - box[0], height - box[1], width, height))
    return image


@pytest.mark.parametrize('size', [(120, 40), (40, 120)])
def test_fits(tmp_path, size):
    image = flag(*size)
    middle = np.array(GREEN)[:, None, None]
    # Lanczos looks at the pixels just outside, too.
    assert (read(image, tmp_path, fit='crop')[:, 3:-3, 3:-3] == middle).all()

    padded = read(image, tmp_path, fit='pad')
    padded = padded if size[0] > size[1] else padded.transpose(0, 2, 1)
    assert (padded[:, [0, 9, 22, 31]] == picture.PAD).all()
    assert (padded[:, 12:20, 2].T == RED).all() and (padded[:, 12:20, -2].T == BLUE).all()

    squashed = read(image, tmp_path, fit='squash')
    squashed = squashed if size[0] > size[1] else squashed.transpose(0, 2, 1)
    assert (squashed[:, :, 2].T == RED).all() and (squashed[:, :, -2].T == BLUE).all()


def test_shapes_that_are_no_squares(tmp_path):
    image = flag(120, 40)
    green = np.array(GREEN)[:, None, None]
    assert (read(image, tmp_path, (3, 40, 20)) == green).all()
    whole = read(image, tmp_path, (3, 40, 120))
    np.testing.assert_array_equal(whole, np.asarray(image).transpose(2, 0, 1))
    np.testing.assert_array_equal(read(image, tmp_path, (3, 40, 120), 'pad'), whole)


@pytest.mark.parametrize('fit', ['crop', 'pad', 'squash'])
@pytest.mark.parametrize('size', [(1, 1), (1, 500), (33, 47), (101, 67), (700, 699)])
@pytest.mark.parametrize('shape', [(3, 48, 48), (1, 7, 19), (3, 224, 224)])
def test_every_size_fits(tmp_path, fit, size, shape):
    found = read(Image.new('RGB', size, (40, 90, 140)), tmp_path, shape, fit)
    colour = [(40, 90, 140)] if shape[0] == 3 else [(81,)]
    if fit == 'pad':
        colour.append((picture.PAD,) * shape[0])
    assert {tuple(pixel) for pixel in found.reshape(shape[0], -1).T} <= set(colour)


def test_grey(tmp_path):
    noise = Image.effect_noise((32, 32), 80).convert('RGB')
    found = read(noise, tmp_path, (1, 32, 32))
    np.testing.assert_array_equal(found[0], np.asarray(noise.convert('L')))


def test_cmyk(tmp_path):
    found = read(Image.new('RGB', (40, 40), (200, 30, 90)).convert('CMYK'), tmp_path, name='a.jpg')
    assert abs(found - np.array((200, 30, 90))[:, None, None]).max() <= 6


@pytest.mark.parametrize('name', ['a.gif', 'a.png', 'a.webp', 'a.tif'])
def test_the_first_frame_counts(tmp_path, name):
    frames = [Image.new('RGB', (32, 32), colour) for colour in (RED, GREEN, BLUE)]
    lossless = {'lossless': True} if name == 'a.webp' else {}
    found = read(
        frames[0], tmp_path, name=name, save_all=True, append_images=frames[1:], **lossless
    )
    assert (found == np.array(RED)[:, None, None]).all()


@pytest.mark.parametrize('fit', ['crop', 'pad', 'squash'])
def test_a_large_jpeg_is_decoded_small_and_looks_the_same(tmp_path, fit):
    rng = np.random.RandomState(0)
    coarse = Image.fromarray(rng.randint(256, size=(9, 12, 3)).astype(np.uint8))
    image = coarse.resize((1600, 1200), Image.Resampling.BICUBIC)
    exif = Image.Exif()
    exif[0x0112] = 6
    lossy = read(image, tmp_path, fit=fit, name='a.jpg', exif=exif, quality=95)
    exact = read(image.transpose(Image.Transpose.ROTATE_270), tmp_path, fit=fit)
    assert abs(lossy - exact).mean() < 1.5


def test_a_bomb_is_not_decoded(tmp_path, monkeypatch):
    Image.new('1', (20000, 10000)).save(tmp_path / 'a.png')

    def load(self):
        raise AssertionError('decoded')

    monkeypatch.setattr('PIL.ImageFile.ImageFile.load', load)
    with pytest.raises(UserError, match=r'a.png: has more than 89 megapixels'):
        picture.read(tmp_path / 'a.png')


@pytest.mark.filterwarnings('error')
def test_a_smaller_bomb_warns_of_nothing_where_warnings_are_errors(tmp_path, monkeypatch):
    monkeypatch.setattr(Image, 'MAX_IMAGE_PIXELS', 700)
    Image.new('L', (32, 32)).save(tmp_path / 'a.png')
    with pytest.raises(UserError, match='megapixels'):
        picture.read(tmp_path / 'a.png')


def test_threads_read_the_same(tmp_path):
    paths = []
    for i in range(40):
        paths.append(tmp_path / f'{i}.jpg')
        Image.effect_noise((90 + i, 70), 80).save(paths[-1])
    alone = [picture.read(path) for path in paths]
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        for one, other in zip(alone, pool.map(picture.read, paths), strict=True):
            np.testing.assert_array_equal(one, other)


def test_no_program_is_looked_for(tmp_path):
    assert not {'EPS', 'PDF', 'WMF'} & set(picture.formats())
    assert {'.png', '.jpg', '.jpeg', '.gif', '.webp'} <= picture.endings()
    assert not {'.eps', '.ps', '.pdf', '.txt'} & picture.endings()

import os
import struct

import numpy as np
import pytest
from PIL import Image, ImageOps

from chainer_cifar.data import picture
from chainer_cifar.errors import UserError
from chainer_cifar.evaluation import picture_files

RGB = np.random.RandomState(0).randint(256, size=(32, 32, 3)).astype(np.uint8)
IMAGE = Image.fromarray(RGB)
GREY = np.asarray(IMAGE.convert('L'))


def read(image, folder, name='a.png', **kwargs):
    image.save(folder / name, **kwargs)
    return picture_files.read(folder / name)


def test_32x32_is_untouched(tmp_path):
    found = read(IMAGE, tmp_path)
    assert found.dtype == np.uint8 and found.shape == (3, 32, 32)
    np.testing.assert_array_equal(found, RGB.transpose(2, 0, 1))


@pytest.mark.parametrize('name', ['a.bmp', 'a.ppm', 'a.tif', 'a.WEBP'])
def test_kinds(tmp_path, name):
    found = read(IMAGE, tmp_path, name, **({'lossless': True} if name == 'a.WEBP' else {}))
    np.testing.assert_array_equal(found, RGB.transpose(2, 0, 1))


@pytest.mark.parametrize('mode', ['L', 'LA', '1'])
def test_grey(tmp_path, mode):
    image = IMAGE.convert('L').convert(mode)
    found = read(image, tmp_path)
    for channel in found:
        np.testing.assert_array_equal(channel, np.asarray(image.convert('L')))


@pytest.mark.parametrize(('dtype', 'name'), [('<u2', 'a.png'), ('<u2', 'a.tif'), ('<i4', 'a.tif')])
def test_16_bits(tmp_path, dtype, name):
    found = read(Image.fromarray((GREY * np.array(257)).astype(dtype)), tmp_path, name)
    for channel in found:
        np.testing.assert_array_equal(channel, GREY)


def test_palette(tmp_path):
    image = IMAGE.quantize(16)
    expected = np.asarray(image.convert('RGB')).transpose(2, 0, 1)
    for name in ('a.png', 'a.gif'):
        np.testing.assert_array_equal(read(image, tmp_path, name), expected)


def test_what_is_transparent_is_white(tmp_path):
    alpha = np.zeros((32, 32), np.uint8)
    alpha[:16] = 255
    expected = np.where(alpha[..., None] > 0, RGB, 255).transpose(2, 0, 1)
    image = IMAGE.copy()
    image.putalpha(Image.fromarray(alpha))
    np.testing.assert_array_equal(read(image, tmp_path), expected)
    image = IMAGE.quantize(16)
    clear = (np.asarray(image) == 3)[..., None]
    expected = np.where(clear, 255, np.asarray(image.convert('RGB'))).transpose(2, 0, 1)
    np.testing.assert_array_equal(read(image, tmp_path, transparency=3), expected)


def test_exif_orientation(tmp_path):
    # Smooth, for JPEG.
    image = Image.linear_gradient('L').resize((32, 32)).convert('RGB')
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees clockwise
    turned = image.transpose(Image.Transpose.ROTATE_90)
    found = read(turned, tmp_path, 'a.jpg', exif=exif, quality=100)
    expected = np.asarray(image).transpose(2, 0, 1)
    assert abs(found.astype(int) - expected).max() <= 3


def exif_with(*entries):
    """EXIF data that turn by 90 degrees clockwise, with more entries: tag, type, count, value."""
    entries = sorted([(0x0112, 3, 1, 6), *entries])
    words = b''.join(struct.pack('<HHII', *entry) for entry in entries)
    return b'Exif\0\0II*\0' + struct.pack('<IH', 8, len(entries)) + words + bytes(4)


@pytest.mark.parametrize(
    'entry',
    [
        (0x0128, 4, 1, 2**32 - 1),  # the unit of the resolution as a long
        (0x011A, 2, 3, 0x31_32),  # the resolution as a text
        (0x0100, 2, 3, 0x31_32),  # the width as a text
    ],
    ids=['unit', 'resolution', 'width'],
)
def test_exif_of_odd_types_does_no_harm(tmp_path, entry):
    image = Image.linear_gradient('L').resize((32, 32)).convert('RGB')
    turned = image.transpose(Image.Transpose.ROTATE_90)
    found = read(turned, tmp_path, 'a.jpg', exif=exif_with(entry), quality=100)
    expected = np.asarray(image).transpose(2, 0, 1)
    assert abs(found.astype(int) - expected).max() <= 3


@pytest.mark.parametrize('name', ['a.jpg', 'a.png', 'a.webp', 'a.tif'])
@pytest.mark.parametrize('orientation', range(10))
def test_every_orientation(tmp_path, name, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    more = {'quality': 100} if name == 'a.jpg' else {'lossless': True} if name == 'a.webp' else {}
    IMAGE.resize((32, 24)).save(tmp_path / name, exif=exif, **more)
    with Image.open(tmp_path / name) as file:
        expected = np.asarray(ImageOps.exif_transpose(file))
    with Image.open(tmp_path / name) as file:
        np.testing.assert_array_equal(np.asarray(picture.upright(file)), expected)


def test_too_little_memory_is_no_damage(tmp_path, monkeypatch):
    def resize(*args, **named):
        raise MemoryError

    monkeypatch.setattr(Image.Image, 'resize', resize)
    Image.new('RGB', (50, 50)).save(tmp_path / 'a.png')
    with pytest.raises(UserError, match=r'a\.png: takes more memory than there is'):
        picture_files.read(tmp_path / 'a.png')


def test_the_middle_counts(tmp_path):
    for size in ((96, 32), (32, 96)):
        image = Image.new('RGB', size, 'red')
        image.paste(IMAGE, ((size[0] - 32) // 2, (size[1] - 32) // 2))
        np.testing.assert_array_equal(read(image, tmp_path), RGB.transpose(2, 0, 1))


def test_shrinking_smooths(tmp_path):
    # A checkerboard of single pixels: a net that saw every eighth would see black or white.
    board = np.indices((256, 256)).sum(axis=0) % 2 * 255
    found = read(Image.fromarray(board.astype(np.uint8)), tmp_path)
    assert abs(found.astype(int) - 127).max() <= 3


@pytest.mark.parametrize('size', [(1, 1), (1, 500), (3, 2)])
def test_tiny(tmp_path, size):
    found = read(Image.new('RGB', size, (10, 20, 30)), tmp_path)
    assert (found == np.array([10, 20, 30])[:, None, None]).all()


def test_not_pictures(tmp_path):
    whole = tmp_path / 'whole.png'
    IMAGE.save(whole)
    content = whole.read_bytes()
    bad = {'empty': b'', 'text': b'hello', 'cut': content[: len(content) // 2]}
    # A flipped bit in each part of the file: an error or a picture, never anything else.
    for name, data in bad.items():
        (tmp_path / name).write_bytes(data)
        with pytest.raises(UserError, match=rf'{name}: cannot be read as a picture \(.+\)$'):
            picture_files.read(tmp_path / name)
    for position in range(8, len(content), 97):
        changed = bytearray(content)
        changed[position] ^= 0x55
        (tmp_path / 'changed').write_bytes(changed)
        try:
            assert picture_files.read(tmp_path / 'changed').shape == (3, 32, 32)
        except UserError as error:
            assert '\n' not in str(error)


def test_fractions_are_refused(tmp_path):
    with pytest.raises(UserError, match='fractions'):
        read(Image.fromarray(np.zeros((4, 4), np.float32)), tmp_path, 'a.tif')


@pytest.mark.parametrize('limit', [700, 400])  # Pillow warns of the one, refuses the other
def test_huge(tmp_path, monkeypatch, limit):
    IMAGE.save(tmp_path / 'a.png')
    monkeypatch.setattr(Image, 'MAX_IMAGE_PIXELS', limit)
    with pytest.raises(UserError, match='megapixels'):
        picture_files.read(tmp_path / 'a.png')


def test_find(tmp_path):
    for folder in ('d.png', 'x/y', '.cache', 'x/.cache'):
        (tmp_path / folder).mkdir(parents=True)
    hidden = ('.hidden.png', '.cache/f.png', 'x/.cache/g.png', 'x/.h.png')
    shown = ('a.JPG', 'b.png', 'd.png/e.png', 'x/y/a.gif', 'x/z.png', 'y.png')
    for name in (*hidden, *shown, 'notes.txt', 'x/c.pdf'):
        (tmp_path / name).touch()
    (tmp_path / 'z.png').symlink_to('x/z.png')
    (tmp_path / 'folder').symlink_to('x')
    (tmp_path / 'x' / 'circle').symlink_to('..')
    notes, folder = str(tmp_path / 'notes.txt'), tmp_path / 'folder'
    found = picture_files.find([notes, tmp_path, folder])
    expected = [(tmp_path / name, tmp_path) for name in (*shown, 'z.png')]
    below = [(folder / name, folder) for name in ('y/a.gif', 'z.png')]
    assert found == [(tmp_path / 'notes.txt', None), *expected, *below]
    assert picture_files.find([tmp_path / '.cache'])[0].path.name == 'f.png'


def test_find_writes_paths_as_they_were_given(tmp_path, monkeypatch):
    (tmp_path / 'x').mkdir()
    (tmp_path / 'x' / 'a.png').touch()
    monkeypatch.chdir(tmp_path / 'x')
    for given, path in (('.', 'a.png'), ('../x/', '../x/a.png'), ('..', '../x/a.png')):
        assert [str(found.path) for found in picture_files.find([given])] == [path]


def test_a_folder_that_cannot_be_read(tmp_path, monkeypatch):
    (tmp_path / 'x').mkdir()
    (tmp_path / 'a.png').touch()

    def scandir(path, real=os.scandir):
        if str(path).endswith('x'):
            raise PermissionError(13, 'Permission denied', str(path))
        return real(path)

    monkeypatch.setattr(os, 'scandir', scandir)
    with pytest.raises(PermissionError):
        picture_files.find([tmp_path])


def test_find_nothing(tmp_path):
    (tmp_path / 'x').mkdir()
    with pytest.raises(UserError, match=r': no picture in this folder or below it$'):
        picture_files.find([tmp_path])
    with pytest.raises(UserError, match=r"^'': names no picture"):
        picture_files.find([''])
    os.mkfifo(tmp_path / 'pipe')
    for name in ('none.png', 'pipe'):
        with pytest.raises(UserError, match=f'{name}: no such picture file'):
            picture_files.find([tmp_path / name])


EPS = b"""%!PS-Adobe-3.0 EPSF-3.0
%%BoundingBox: 0 0 32 32
%%EndComments
0 0 32 32 rectfill
%%EOF
"""


@pytest.mark.parametrize('name', ['a.png', 'a.eps'])
def test_no_program_is_started_for_a_picture(tmp_path, monkeypatch, name):
    def start(*given, **options):
        raise AssertionError(given)

    monkeypatch.setattr('subprocess.Popen.__init__', start)
    monkeypatch.setattr('os.system', start)
    (tmp_path / name).write_bytes(EPS)
    with pytest.raises(UserError, match=f'{name}: cannot be read as a picture'):
        picture_files.read(tmp_path / name)


def test_folders_are_searched_for_what_can_be_read(tmp_path):
    for name in ('a.eps', 'b.ps', 'c.wmf', 'd.PNG', 'e.mpg'):
        (tmp_path / name).touch()
    assert [found.path.name for found in picture_files.find([tmp_path])] == ['d.PNG']


def test_libtiff_writes_nothing_of_its_own(tmp_path, capfd):
    path = tmp_path / 'a.tif'
    Image.effect_noise((64, 64), 100).save(path, compression='tiff_lzw')
    content = bytearray(path.read_bytes())
    content[8:2000] = b'\xff' * 1992  # the strips come first
    path.write_bytes(content)
    with pytest.raises(UserError, match='cannot be read as a picture'):
        picture_files.read(path)
    assert capfd.readouterr() == ('', '')

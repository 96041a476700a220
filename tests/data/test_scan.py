"""The scan of picture files, on generated ones."""

import pathlib

import numpy as np
import pytest
from PIL import Image

from chainer_cifar.data import scan, scan_report
from chainer_cifar.data.scan import File


def picture(seed, size=(120, 90)):
    coarse = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC)


@pytest.fixture
def save(tmp_path):
    """Saves a picture as LABEL/NAME and gives its `File`."""

    def save(image, name, part='', **options):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        image.save(path, **options)
        return File(path, path.parent.name, part)

    return save


def members(groups):
    return [group.members for group in groups]


def test_counts_sizes_and_colours(save):
    files = [save(picture(i), f'cat/{i}.jpg') for i in range(3)]
    files.append(save(picture(9, (40, 200)).convert('L'), 'dog/9.png'))
    found = scan.scan(files)
    assert found.counts == {'cat': 3, 'dog': 1} == found.few
    assert found.imbalance == 3
    assert found.sizes.tolist() == [[120, 90]] * 3 + [[40, 200]]
    assert found.grey.tolist() == [False] * 3 + [True]
    assert found.same == found.alike == () and found.problems == {}


def test_a_turned_photograph_has_its_upright_size(save):
    exif = Image.Exif()
    exif[0x0112] = 6
    upright = picture(1)
    turned = upright.transpose(Image.Transpose.ROTATE_90)
    files = [save(turned, 'cat/1.jpg', exif=exif), save(upright, 'cat/2.jpg')]
    found = scan.scan(files)
    assert found.sizes.tolist() == [[120, 90]] * 2
    assert members(found.alike) == [(0, 1)]


def test_finds_the_same_picture(save):
    one = save(picture(1), 'cat/1.png')
    again = File(one.path.with_name('again.png'), 'cat')
    again.path.write_bytes(one.path.read_bytes())
    # Other bytes, the same pixels.
    files = [one, save(picture(2), 'cat/2.png'), again, save(picture(1), 'dog/1.bmp')]
    found = scan.scan(files)
    assert members(found.same) == members(found.alike) == [(0, 2, 3)]
    assert found.same[0].contradicts and not found.same[0].leaks
    assert found.of_group().tolist() == [0, 1, 0, 0]


def test_copies_are_looked_up_once(save, monkeypatch):
    looked = []

    class Pairs(list):
        def __iter__(self):
            looked.append(self)
            return super().__iter__()

    pairs = scan._pairs
    monkeypatch.setattr(scan, '_pairs', lambda keys: Pairs(pairs(keys)))
    found = scan.scan([save(picture(i % 5), f'cat/{i}.png') for i in range(20)])
    assert len(found.same) == 5 and 0 < len(looked) < 5  # not once for each file


def test_a_jpeg_and_its_copy_without_loss_are_the_same(save):
    # At this size the scan decodes a JPEG at half its size or less, and others whole.
    photo = save(picture(1, (256, 256)), 'cat/1.jpg', 'train')
    with Image.open(photo.path) as image:
        copies = [save(image, f'cat/1.{kind}', 'test') for kind in ('png', 'bmp')]
    again = save(picture(1, (256, 256)), 'cat/2.jpg', 'test', quality=60)
    found = scan.scan([photo, *copies, again])
    assert members(found.same) == members(found.leaks) == [(0, 1, 2)]
    assert members(found.alike) == [(0, 1, 2, 3)]


def test_what_looks_alike(save):
    files = [
        save(picture(1), 'cat/1.png'),
        save(picture(1), 'cat/quality.jpg', quality=25),
        save(picture(1).resize((400, 300)), 'cat/large.jpg'),
        save(picture(1).transpose(Image.Transpose.FLIP_LEFT_RIGHT), 'cat/mirrored.jpg'),
        # Neither of these does.
        save(picture(1).rotate(90, expand=True), 'cat/turned.png'),
        save(picture(1).crop((20, 20, 100, 80)), 'cat/cut.png'),
        save(picture(2), 'cat/other.png'),
    ]
    found = scan.scan(files)
    assert found.same == ()
    assert members(found.alike) == [(0, 1, 2, 3)]
    assert {pair for pair in found.mirrored if 0 in pair} == {(0, 3)}


def test_a_picture_on_both_sides_leaks(save):
    files = [
        save(picture(1), 'cat/1.png', 'train'),
        save(picture(1), 'cat/2.png', 'test'),
        save(picture(2), 'dog/1.png', 'train'),
        save(picture(2), 'dog/2.png', 'train'),
    ]
    found = scan.scan(files)
    assert members(found.same) == [(0, 1), (2, 3)]
    assert members(found.leaks) == [(0, 1)]
    assert '2 files are copies in two parts (a leak)' in scan_report.warnings(found)


def test_transparent_parts_are_white(save):
    clear = picture(1).convert('RGBA')
    clear.putalpha(0)
    white = Image.new('RGB', (120, 90), 'white')
    found = scan.scan([save(clear, 'cat/1.png'), save(white, 'cat/2.png')])
    assert members(found.same) == [(0, 1)]


def test_tells_why_a_file_cannot_be_read(save, tmp_path, monkeypatch):
    monkeypatch.setattr(Image, 'MAX_IMAGE_PIXELS', 1e6)
    names = ('text.png', 'cut.jpg', 'large.png', 'larger.png')
    text, cut, large, larger = paths = [tmp_path / 'cat' / name for name in names]
    files = [save(picture(1), 'cat/1.png'), *(File(path, 'cat') for path in paths)]
    text.write_text('no picture')
    whole = save(picture(2), 'cat/whole.jpg').path.read_bytes()
    cut.write_bytes(whole[: len(whole) // 2])
    Image.new('1', (1001, 1000)).save(large)
    Image.new('1', (2001, 1000)).save(larger)  # which Pillow does not even open
    found = scan.scan([*files, File(tmp_path / 'none.png', 'cat')])
    assert found.readable == [0] and found.counts == {'cat': 1}
    reasons = [found.problems[i] for i in range(1, 6)]
    assert 'cannot identify' in reasons[0] and 'truncated' in reasons[1]
    assert reasons[2] == reasons[3] == 'has more than 1 megapixels'
    assert 'No such file' in reasons[4]


def test_odd_pictures(save):
    values = np.arange(120 * 90, dtype=np.uint16).reshape(90, 120) * 6
    palette = picture(1).quantize(16)
    frames = [picture(i) for i in (3, 4)]
    files = [
        save(Image.fromarray(values), 'cat/16bit.png'),
        save(palette, 'cat/palette.gif', transparency=0),
        save(picture(2).convert('CMYK'), 'cat/cmyk.jpg'),
        save(frames[0], 'cat/moving.gif', save_all=True, append_images=frames[1:]),
        save(picture(5).convert('1'), 'cat/bits.png'),
        save(picture(6).convert('LA'), 'cat/la.png'),
    ]
    found = scan.scan(files)
    assert found.problems == {} and (found.sizes == (120, 90)).all()
    assert found.grey.tolist() == [True, False, False, False, True, True]


def test_the_number_of_threads_changes_nothing(save):
    files = [save(picture(i % 7), f'cat/{i}.png') for i in range(20)]
    one, four = scan.scan(files, jobs=1), scan.scan(files, jobs=4)
    assert one.same == four.same and len(one.same) == 7
    assert (one.sizes == four.sizes).all()


def test_the_page(save, tmp_path):
    files = [save(picture(i, (64 + i, 64)), f'cat/{i}.png', 'train') for i in range(30)]
    files += [save(picture(i), f'子犬 dog/{i}.png', 'test') for i in range(40, 44)]
    files.append(save(picture(3, (67, 64)), 'cat/again.png', 'test'))
    bad = tmp_path / 'cat' / 'bad\n.png'
    bad.write_text('')
    page = scan_report.text(scan.scan([*files, File(bad, 'cat', 'test')]))
    assert page.splitlines()[0] == '35 pictures of 2 classes (5 test, 30 train)'
    assert 'all 64 to 120' in page and '子犬 dog (4)' in page
    assert 'the same picture again: 1 file, copies of 1 picture; 1 in two parts' in page
    assert '  cat/3.png = cat/again.png' in page
    assert r'cat/bad\n.png: cannot identify' in page
    assert str(tmp_path) not in page.replace(f'{tmp_path}/cat/bad', '')


def test_paths_from_the_root_beside_others(save, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    one, other = save(picture(1), 'cat/1.png'), save(picture(1), 'dog/2.png')
    page = scan_report.text(scan.scan([one, other._replace(path=pathlib.Path('dog/2.png'))]))
    assert f'  {one.path} = dog/2.png' in page


def test_the_page_of_many_classes_is_a_page(save):
    files = [save(picture(i, (32, 32)), f'class{i:03}/{i}.png') for i in range(100)]
    page = scan_report.text(scan.scan(files))
    assert '… 70 more' in page and len(page.splitlines()) < 50


def test_the_page_of_nothing_readable(tmp_path):
    page = scan_report.text(scan.scan([File(tmp_path / 'none.png', 'cat')]))
    assert page.splitlines()[0] == '0 pictures of 1 classes'

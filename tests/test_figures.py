"""Pictures, read back with Pillow."""

import numpy as np
import pytest
from PIL import Image

from chainer_cifar.figures import image_sheet

GAP = 2


def tile(path, row, column):
    sheet = np.asarray(Image.open(path))
    top, left = (GAP + place * (32 + GAP) for place in (row, column))
    return sheet[top : top + 32, left : left + 32].transpose(2, 0, 1)


@pytest.mark.parametrize(
    ('count', 'columns', 'rows'), [(100, 10, 10), (1, 10, 1), (11, 10, 2), (6, 3, 2)]
)
def test_sheet_has_a_tile_for_each_image(tmp_path, count, columns, rows):
    images = np.random.default_rng(0).normal(size=(count, 3, 32, 32))
    image_sheet(images, tmp_path / 'a.png', columns)
    with Image.open(tmp_path / 'a.png') as sheet:
        assert sheet.format == 'PNG' and sheet.mode == 'RGB'
        assert sheet.size == (columns * 34 + GAP, rows * 34 + GAP)
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize('dtype', [np.uint8, np.int32, np.float16, np.float64])
def test_each_image_has_its_own_range(tmp_path, dtype):
    rng = np.random.default_rng(0)
    images = np.stack([rng.integers(0, 50, (3, 32, 32)), rng.integers(90, 100, (3, 32, 32))])
    image_sheet(images.astype(dtype), tmp_path / 'a.png', columns=2)
    for i in range(2):
        low, high = images[i].min(), images[i].max()
        expected = (images[i] - low) * 255 / (high - low)
        assert abs(tile(tmp_path / 'a.png', 0, i).astype(float) - expected).max() <= 0.51


def test_a_flat_image_is_no_division_by_zero(tmp_path):
    with np.errstate(all='raise'):
        image_sheet(np.full((1, 3, 32, 32), -7.5), tmp_path / 'a.png')
    assert (tile(tmp_path / 'a.png', 0, 0) == 0).all()


def test_order_is_by_rows(tmp_path):
    images = np.zeros((6, 3, 32, 32))
    images[4, 1, 5, 7] = 1  # green, row 5, column 7
    image_sheet(images, tmp_path / 'a.png', columns=3)
    found = tile(tmp_path / 'a.png', 1, 1)
    assert found[1, 5, 7] == 255 and found.sum() == 255

"""Columns that are as wide in a terminal as they look."""

import pytest

from chainer_cifar.table import aligned, cells, counted, sized


@pytest.mark.parametrize(
    ('text', 'width'),
    [('', 0), ('cat', 3), ('東京', 4), ('ｶﾅ', 2), ('e\u0301', 1), ('a\u200db', 2)],
)
def test_cells(text, width):
    assert cells(text) == width


def test_aligned():
    rows = [['run', 'n'], ['東京', '10'], ['cafe\u0301s', '2']]
    assert aligned(rows, 1) == 'run     n\n東京   10\ncafe\u0301s   2'


def test_counted():
    told = [counted(count, 'test image') for count in (0, 1, 2000)]
    assert told == ['0 test images', '1 test image', '2,000 test images']


def test_sized():
    told = [sized(count) for count in (0, 12_345, 100_000, 1_234_567)]
    assert told == ['0.0 kB', '12.3 kB', '0.1 MB', '1.2 MB']

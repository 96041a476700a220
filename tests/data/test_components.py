"""Things that pairs join."""

import numpy as np
import pytest

from chainer_cifar.data import components


@pytest.mark.parametrize(
    ('one', 'other', 'wanted'),
    [
        ([], [], [{0}, {1}, {2}, {3}, {4}, {5}]),
        ([4, 2], [2, 0], [{0, 2, 4}, {1}, {3}, {5}]),
        ([5, 5, 0], [1, 1, 3], [{0, 3}, {1, 5}, {2}, {4}]),
    ],
)
def test_number(one, other, wanted):
    numbers = components.number(np.array(one, np.int64), np.array(other, np.int64), 6)
    found = [set(np.flatnonzero(numbers == number).tolist()) for number in np.unique(numbers)]
    assert sorted(found, key=min) == wanted

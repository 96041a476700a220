"""The split of listed pictures, by classes and groups."""

import pathlib

import numpy as np
import pytest

from chainer_cifar.data import listing
from chainer_cifar.errors import UserError


def make(counts, part='train', groups=None, more=()):
    """`counts` pictures of each class, and `more` pairs of class and part."""
    labels = [name for name, count in counts.items() for _ in range(count)]
    parts = [part] * len(labels) + [p for _, p in more]
    labels += [name for name, _ in more]
    paths = [pathlib.Path(f'top/{name}/{i}.png') for i, name in enumerate(labels)]
    return listing.make(paths, labels, parts, 'top', groups)


def test_test_pictures_are_a_share_of_each_class():
    found = listing.split(make({'a': 40, 'b': 3, 'c': 100}), 0.15, seed=1)
    test = found.parts == 'test'
    assert [int(test[found.labels == k].sum()) for k in range(3)] == [6, 1, 15]
    again = listing.split(make({'a': 40, 'b': 3, 'c': 100}), 0.15, seed=1)
    np.testing.assert_array_equal(found.parts, again.parts)
    other = listing.split(make({'a': 40, 'b': 3, 'c': 100}), 0.15, seed=2)
    assert (found.parts != other.parts).any()


def test_a_test_part_that_is_there_stays():
    given = make({'a': 4, 'b': 4}, more=[('a', 'test'), ('b', 'test'), ('a', 'valid')])
    assert listing.split(given, 0.5, 1).parts.tolist() == given.parts.tolist()


def test_a_valid_part_stays_and_test_comes_from_the_rest():
    given = make({'a': 4, 'b': 4}, more=[('a', 'valid'), ('b', 'valid')])
    found = listing.split(given, 0.25, 1)
    assert found.parts[-2:].tolist() == ['valid', 'valid'] and (found.parts == 'test').sum() == 2


def test_groups_by_pattern(tmp_path):
    paths = [tmp_path / f'{c}/car{i // 3}_{i}.png' for c in 'ab' for i in range(30)]
    given = listing.make(paths, [p.parent.name for p in paths], ['train'] * 60, str(tmp_path))
    found = listing.split(listing.group(given, r'^(\w/car\d+)_'), 0.2, 1)
    assert found.grouped and len(np.unique(found.groups)) == 20
    test = found.parts == 'test'
    assert test.sum() == 12 and not set(found.groups[test]) & set(found.groups[~test])


@pytest.mark.parametrize(
    ('pattern', 'message'),
    [
        ('(', "'(': no regular expression"),
        ('z', "'z': finds nothing in top/a/0.png"),
        ('(z?)', 'finds nothing'),
    ],
)
def test_bad_patterns(pattern, message):
    with pytest.raises(UserError) as error:
        listing.group(make({'a': 3, 'b': 3}), pattern)
    assert message in str(error.value)


@pytest.mark.parametrize(
    ('given', 'message'),
    [
        (make({'a': 9, 'b': 1}), "top: class 'b' has 1 picture; it needs 3 at least"),
        (make({'a': 9, 'b': 2}), "class 'b' has 2 pictures; it needs 3"),
        (make({'a': 9, 'b': 1}, more=[('a', 'test')]), "'b' has 1 picture in its train part"),
        (make({'a': 9, 'b': 3}, more=[('z', 'test')]), "'z' has 0 pictures in its train part"),
        (make({'a': 3, 'b': 3}, groups=list('aabccc')), "class 'a' has 2 groups; it needs 3"),
        (
            make({'a': 3, 'b': 3}, groups=list('abcdefa'), more=[('a', 'test')]),
            'top/a/0.png and top/a/6.png belong to one group and are in two parts',
        ),
    ],
)
def test_too_few(given, message):
    with pytest.raises(UserError) as error:
        listing.split(given, 0.15, 1)
    assert message in str(error.value)


def test_all_classes_with_too_few_are_named():
    with pytest.raises(UserError, match=r"class 'a' has 1 .* such classes: 'c', 'd'\)$"):
        listing.split(make({'a': 1, 'b': 9, 'c': 2, 'd': 1}), 0.15, 1)


def test_two_pictures_are_enough_if_there_is_a_test_part():
    given = make({'a': 2, 'b': 2}, more=[('a', 'test')])
    assert listing.split(given, 0.15, 1) is given

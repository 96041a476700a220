"""What fit leaves out and keeps together, of scans made by hand."""

import pathlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chainer_cifar.data import listing, scan, usable
from chainer_cifar.data.scan import Group, Scan
from chainer_cifar.errors import UserError


def case(labels, parts=None, groups=None, same=(), alike=(), problems=()):
    """A listing of pictures 0.png, 1.png … and its scan; `same` and `alike` are lists of places."""
    paths = [pathlib.Path(f'{i}.png') for i in range(len(labels))]
    found = listing.make(paths, labels, parts or ['train'] * len(labels), 'own', groups)
    files = scan.files_of(found)

    def made(places):
        return tuple(
            Group(
                tuple(each),
                tuple(sorted({files[i].part for i in each})),
                tuple(sorted({files[i].label for i in each})),
            )
            for each in places
        )

    n = len(labels)
    looked = Scan(
        files,
        np.full((n, 2), 9, np.int64),
        np.zeros(n, bool),
        dict.fromkeys(problems, 'damaged'),
        made(same),
        made([*same, *alike]),
        (),
    )
    return found, looked


def numbers(kept):
    return [int(path.stem) for path in kept.paths]


def test_leaves_out_copies_of_one_class_and_tells():
    kept, told = usable.choose(*case('aaaaabbbb', same=[(0, 2, 3, 5)]))
    # The copy with the other label stays: which of the two is right, nobody knows here.
    assert numbers(kept) == [0, 1, 4, 5, 6, 7, 8]
    assert told == ['left out 2 copies of pictures of the same class']
    assert kept.groups[0] == kept.groups[3] and len(set(kept.groups.tolist())) == 6


def test_a_class_of_copies_is_left_out():
    kept, told = usable.choose(*case('aaaabbbccc', same=[(0, 1, 2)]))
    assert kept.class_names == ('b', 'c') and set(kept.labels.tolist()) == {0, 1}
    assert numbers(kept) == [4, 5, 6, 7, 8, 9]
    assert told == [
        'left out 2 copies of pictures of the same class',
        'left out what has fewer than 3 different pictures: a (2)',
    ]


def test_what_looks_alike_and_what_the_user_grouped_stay_together():
    kept, told = usable.choose(*case('aaaaabbb', groups='11234567', alike=[(1, 2)]))
    assert numbers(kept) == list(range(8)) and told == []
    one = kept.groups
    assert one[0] == one[1] == one[2] and len(set(one.tolist())) == 6 and kept.grouped


def test_pictures_of_two_objects_are_not_enough():
    with pytest.raises(UserError, match=r'fewer than two classes .* \(one of each group counts\)'):
        usable.choose(*case('aaaabbbb', groups='11234567', alike=[(1, 2)]))


def test_leaves_out_what_cannot_be_read():
    kept, told = usable.choose(*case('aaaabbbb', problems=[1, 6]))
    assert numbers(kept) == [0, 2, 3, 4, 5, 7] and told == []


def test_keeps_pictures_as_the_user_split_them():
    parts = ['train', 'train', 'train', 'test'] * 2
    kept, told = usable.choose(*case('aaaabbbb', parts, same=[(0, 1)], alike=[(4, 5), (2, 3)]))
    assert numbers(kept) == list(range(8)) and told == []
    # In training they stay together; test and training stay apart.
    assert kept.grouped and kept.groups.tolist() == [0, 0, 1, 2, 3, 3, 4, 5]
    assert listing.split(kept, 0.2, 1).parts.tolist() == parts
    kept, _ = usable.choose(*case('aaaabbbb', parts, alike=[(2, 3)]))
    assert not kept.grouped  # messages speak of pictures


def test_a_validation_part_stays_apart():
    parts = ['train'] * 4 + ['valid'] + ['train'] * 4 + ['valid']
    found, looked = case('aaaaabbbbb', parts, same=[(0, 4)], alike=[(5, 9)])
    kept, told = usable.choose(found, looked)
    assert len(kept) == 10 and told == []
    listing.split(kept, 0.2, 1)  # no group is in two parts


def test_two_classes_at_least():
    with pytest.raises(UserError, match='own: fewer than two classes have 3 different pictures'):
        usable.choose(*case('aaaabb'))


@settings(max_examples=50)
@given(st.data())
def test_what_is_left_can_be_split(data):
    labels = data.draw(st.lists(st.sampled_from('abc'), min_size=8, max_size=30))
    places = st.lists(st.integers(0, len(labels) - 1), min_size=2, max_size=4, unique=True)
    same = [tuple(sorted(each)) for each in data.draw(st.lists(places, max_size=2))]
    same = same[:1] if len(same) == 2 and set(same[0]) & set(same[1]) else same
    try:
        kept, _ = usable.choose(*case(labels, same=same))
    except UserError:
        return
    try:
        split = listing.split(kept, 0.15, 1)
    except UserError as error:
        # Two classes of which all groups but a few are shared.
        assert 'it needs' in str(error)
        return
    for group in set(split.groups.tolist()):
        assert len(set(split.parts[split.groups == group])) == 1

"""Hashes of pictures: what looks alike is found, all of it, and nothing else."""

import numpy as np
import pytest

from chainer_cifar.data import look_alikes

rng = np.random.default_rng(0)


def distances(hashes, others):
    return np.array([[bin(int(a) ^ int(b)).count('1') for b in others] for a in hashes])


@pytest.mark.parametrize('distance', [0, 1, 6, 20])
def test_no_pair_within_the_distance_is_missed(distance):
    hashes = rng.integers(0, 2**64, 60, dtype=np.uint64)
    near = hashes.copy()
    for i in range(len(near)):  # i bits differ, up to 30
        for bit in rng.permutation(64)[: i // 2]:
            near[i] ^= np.uint64(1 << int(bit))
    found = {
        (int(i), int(j))
        for one, other in look_alikes.within(hashes, near, distance)
        for i, j in zip(one, other, strict=True)
    }
    expected = set(zip(*np.nonzero(distances(hashes, near) <= distance), strict=True))
    assert found == {(int(i), int(j)) for i, j in expected}
    assert len(found) >= 2 * distance + 1


def test_a_block_of_pairs_has_a_limit(monkeypatch):
    hashes = np.zeros(50, np.uint64)
    monkeypatch.setattr(look_alikes, '_BLOCK', 60)
    blocks = list(look_alikes.within(hashes, hashes, 0))
    assert max(len(one) for one, _ in blocks) == 50
    assert sum(len(one) for one, _ in blocks) == 2500


def pictures(n):
    """Pictures of low frequencies, as photographs mostly are."""
    coarse = rng.integers(0, 256, (n, 5, 5, 3))
    waves = coarse.repeat(4, axis=1).repeat(4, axis=2)[:, :16, :16]
    return waves.astype(np.uint8)


def test_a_mirror_image_has_the_mirrored_hash():
    thumbnails = pictures(20)
    hashes, mirrored = look_alikes.hash_all(thumbnails)
    theirs, back = look_alikes.hash_all(thumbnails[:, :, ::-1])
    assert np.diag(distances(mirrored, theirs)).max() <= 1  # rounding
    assert np.diag(distances(hashes, back)).max() <= 1
    assert np.median(distances(hashes, hashes)) > 15


def test_finds_copies_and_mirror_images_only():
    thumbnails = pictures(40)
    noise = rng.integers(-2, 3, thumbnails[3].shape)
    thumbnails[20] = (thumbnails[3].astype(int) + noise).clip(0, 255)
    thumbnails[30] = thumbnails[7][:, ::-1]
    found = look_alikes.find(thumbnails)
    assert list(zip(*found, strict=True)) == [(3, 20, False), (7, 30, True)]


def test_a_symmetric_copy_is_no_mirror_image():
    thumbnails = pictures(2)
    thumbnails[0] = np.maximum(thumbnails[0], thumbnails[0][:, ::-1])
    thumbnails[1] = thumbnails[0]
    assert list(zip(*look_alikes.find(thumbnails), strict=True)) == [(0, 1, False)]


def test_one_colour_is_not_another():
    thumbnails = np.zeros((3, 16, 16, 3), np.uint8)
    thumbnails[1], thumbnails[2] = 200, 201
    assert list(zip(*look_alikes.find(thumbnails), strict=True)) == [(1, 2, False)]


def test_of_no_pictures_there_are_no_pairs():
    assert len(look_alikes.find(np.zeros((0, 16, 16, 3), np.uint8)).one) == 0


def test_what_a_fixed_camera_saw_is_joined_by_few_pairs(monkeypatch):
    monkeypatch.setattr(look_alikes, '_PIECE', 100)
    monkeypatch.setattr(look_alikes, '_JOIN', 100)
    scenes = pictures(2).astype(int)
    noise = rng.integers(-2, 3, (300, 16, 16, 3))
    thumbnails = (scenes[np.arange(300) % 2] + noise).clip(0, 255).astype(np.uint8)
    found = look_alikes.find(thumbnails)
    assert len(found.one) < 3000 and not found.mirrored.any()  # of 22,350
    joined = look_alikes._joined([found], 300)
    assert len(set(joined)) == 2 and (joined == joined[np.arange(300) % 2]).all()

"""Suspected wrong labels, on a set with planted ones."""

import csv
import os

import numpy as np
import pytest
from PIL import Image
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_predict

from chainer_cifar.evaluation import suspects


@pytest.fixture(scope='module')
def planted():
    """Probabilities out of fold, true labels, given labels of which 30 of 600 are wrong."""
    rng = np.random.default_rng(0)
    true = np.arange(600) % 3
    centres = np.array([[0, 0], [4, 0], [0, 4]])
    x = centres[true] + rng.normal(size=(600, 2))
    given = true.copy()
    wrong = rng.choice(600, 30, replace=False)
    given[wrong] = (true[wrong] + rng.integers(1, 3, 30)) % 3
    p = cross_val_predict(LogisticRegression(), x, given, cv=5, method='predict_proba')
    return p, true, given


def test_finds_what_was_planted(planted):
    p, true, given = planted
    found = suspects.find(p, given)
    wrong = set(np.flatnonzero(true != given))
    among = set(found.places.tolist())
    # A picture counts from its class's mean probability on, which some of each class do not reach.
    assert len(wrong & among) >= 20
    assert len(wrong & among) / len(among) > 0.9
    top = found.places[:15]
    assert (true != given)[top].all()
    right = found.suggested[:15] == true[top]
    assert right.all()


def test_ranks_by_margin(planted):
    p, _, given = planted
    found = suspects.find(p, given)
    assert (np.diff(found.margin) >= 0).all() and found.margin.max() < 0
    expected = p[found.places, given[found.places]] - p[found.places, found.suggested]
    np.testing.assert_allclose(found.margin, expected)


def test_the_joint_by_hand():
    p = np.array([[0.9, 0.1], [0.7, 0.3], [0.2, 0.8], [0.1, 0.9], [0.45, 0.55], [0.95, 0.05]])
    labels = np.array([0, 0, 0, 1, 1, 1])
    found = suspects.find(p, labels)
    np.testing.assert_allclose(found.thresholds, [0.6, 0.5])
    assert found.joint.tolist() == [[2, 1], [1, 2]]
    assert found.places.tolist() == [5, 2] and found.suggested.tolist() == [0, 1]


def test_right_labels_raise_no_suspicion():
    labels = np.arange(50) % 5
    found = suspects.find(np.eye(5)[labels] * 0.8 + 0.04, labels)
    assert len(found.places) == 0 and (found.joint == 10 * np.eye(5)).all()


def test_a_net_that_is_sure_of_all():
    """Of a picture with a wrong label it is a little less so than it is of the others."""
    rest = np.array([1e-10, 2e-10, 1e-8, 1e-10, 3e-10])
    classes, labels = np.array([0, 0, 1, 1, 1]), np.array([0, 0, 0, 1, 1])
    p = np.where(np.eye(2)[classes] == 1, 1 - rest[:, None], rest[:, None])
    found = suspects.find(p, labels)
    assert found.places.tolist() == [2] and found.suggested.tolist() == [1]
    assert found.joint.tolist() == [[2, 1], [0, 2]]


def test_a_class_without_pictures_suspects_nobody():
    p = np.array([[0.1, 0.2, 0.7], [0.2, 0.1, 0.7], [0.3, 0.4, 0.3]])
    found = suspects.find(p, np.array([0, 0, 1]))
    assert np.isnan(found.thresholds[2]) and 2 not in found.suggested
    assert found.joint[:, 2].sum() == 0


def test_a_file_is_found_again_whatever_its_name(planted, tmp_path):
    probabilities, _, given = planted
    found = suspects.find(probabilities, given)
    names = [os.fsdecode(b'caf\xe9-%d.png' % number) for number in range(600)]
    path = tmp_path / 'suspects.csv'
    suspects.write(found, given, ['a', 'b', 'c'], names, path)
    assert path.read_bytes().splitlines()[1].startswith(b'caf\xe9-%d.png,' % found.places[0])


def test_gallery_and_table(planted, tmp_path):
    p, _, given = planted
    found = suspects.find(p, given)
    names = ['rot', '子犬', 'blue$']
    pictures = np.zeros((min(len(found.places), suspects.SHOWN), 3, 32, 32), np.uint8)
    files = [f'a/picture {i}.png' for i in range(600)]
    suspects.draw(found, pictures, given, names, files, tmp_path / 'suspects.png', 'title')
    assert Image.open(tmp_path / 'suspects.png').size[0] > 1000
    suspects.write(found, given, names, files, tmp_path / 'suspects.csv')
    with open(tmp_path / 'suspects.csv', encoding='utf-8') as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == len(found.places)
    assert rows[0]['image'] == f'a/picture {found.places[0]}.png'
    assert rows[0]['given'] == names[given[found.places[0]]] != rows[0]['suggested']

"""Which training pictures are the most similar ones."""

import dataclasses

import chainer
import numpy as np
import pytest

from chainer_cifar.data import dataset, store
from chainer_cifar.data.preprocess import Raw
from chainer_cifar.evaluation import image_sets, similar, trained
from chainer_cifar.evaluation.similar import SimilarPictures

FLAGS = {'cpu_engine': 'chainer', 'dataset': 'image_raw.pkl', 'label': 'label.pkl'}
N = 40


@pytest.fixture
def load(saved):
    """Loads a run of a net, and its data."""

    def load(model='simple', **flags):
        saved(model, **flags)
        rng = np.random.RandomState(0)
        # Large squares, since all noise is alike.
        squares = (rng.randint(256, size=(n, 3, 2, 2)).astype(np.uint8) for n in (N, 10))
        images = (each.repeat(16, axis=2).repeat(16, axis=3) for each in squares)
        store.write_split('image_raw.pkl', *(each.reshape(-1, 3072) for each in images))
        store.write_split('label.pkl', *(np.arange(n, dtype=np.int32) % 3 for n in (N, 10)))
        store.write_class_names('classes.json', ['cat', 'dog', 'ship'])
        store.write_statistics('image_raw_stats.npz', Raw())
        data = dataset.load('image_raw.pkl', 'label.pkl')
        loaded = trained.load('models/run', FLAGS)
        return dataclasses.replace(loaded, data_checksum=data.checksum()), data

    return load


def looked_through(model):
    found = SimilarPictures(model)
    for _ in found.look_through():
        pass
    return found


@pytest.mark.parametrize(('net', 'flags'), [('simple', {}), ('residual', {'res_depth': 1})])
def test_the_nearest_by_angle(load, net, flags):
    model, data = load(net, **flags)
    found = looked_through(model)
    assert found.ready and found.done == 1 and not found.problem
    _, index, _ = image_sets.choose(model, data, 'train')
    assert len(index) == N - N // 10
    pictures = data.train_images[index]
    taken = _taken_by_the_last(model, pictures)
    asked = model.input_transform(data.test_images[:1])
    (wanted,) = _taken_by_the_last(model, data.test_images[:1])
    angles = taken @ wanted / np.linalg.norm(taken, axis=1) / np.linalg.norm(wanted)
    best = np.argsort(-angles)[:5]
    nearest = found.find(asked, 5)
    rounding = 3e-4  # of features in float16
    assert np.median(angles) < angles[best].min() - 4 * rounding  # or any pictures would do
    similarities = [each.similarity for each in nearest]
    np.testing.assert_allclose(similarities, angles[best], rtol=0, atol=rounding)
    places = []
    for each in nearest:
        (place,) = np.flatnonzero((pictures == each.picture).all(axis=(1, 2, 3)))
        assert angles[place] == pytest.approx(each.similarity, abs=rounding)
        assert each.label == data.train_labels[index[place]]
        places.append(place)
    assert len(set(places)) == 5


def _taken_by_the_last(model, pictures):
    """What the linear layer that is called last takes, without hooks."""
    head = [link for link in model.net.links() if isinstance(link, chainer.links.Linear)]
    kept = {}
    for link in head:
        forward = link.forward

        def keep(x, link=link, forward=forward, **more):
            kept['last'] = np.array(getattr(x, 'array', x))
            return forward(x, **more)

        link.forward = keep
    try:
        with chainer.using_config('train', False):
            model.net(model.input_transform(pictures))
    finally:
        for link in head:
            del link.forward
    return kept['last'].reshape(len(pictures), -1)


def test_a_training_picture_is_most_similar_to_itself(load):
    model, data = load()
    found = looked_through(model)
    _, index, labels = image_sets.choose(model, data, 'train')
    for place in (0, len(index) - 1):
        image = data.train_images[index[place]]
        first, second = found.find(model.input_transform(image[None]), 2)
        assert first.similarity == pytest.approx(1, abs=1e-3)
        assert second.similarity < first.similarity
        assert first.label == labels[place]
        np.testing.assert_array_equal(first.picture, image)


def test_it_can_pause(load):
    model, _ = load(batch_size=10)
    found = SimilarPictures(model)
    seen = []
    for _ in found.look_through():
        assert not found.ready
        seen.append(found.done)
    # The data are read, summed up and brought into pictures before the first batch.
    assert seen == pytest.approx([0, 0, 0, 10 / 36, 20 / 36, 30 / 36, 1]) and found.ready


def test_the_data_are_summed_up_once(load, monkeypatch):
    model, _ = load()
    sums = []
    checksum = dataset.Dataset.checksum
    monkeypatch.setattr(
        dataset.Dataset, 'checksum', lambda data: sums.append(data) or checksum(data)
    )
    assert looked_through(model).ready and len(sums) == 1


def test_of_many_some_are_drawn(load, monkeypatch):
    monkeypatch.setattr(similar, 'MOST', 7)
    model, data = load()
    found = looked_through(model)
    assert len(found.find(model.input_transform(data.test_images[:1]), 50)) == 7


def test_without_the_data(load):
    model, _ = load()
    config = dataclasses.replace(model.config, dataset='none.pkl')
    found = looked_through(dataclasses.replace(model, config=config))
    assert found.problem.startswith('none.pkl: no such file') and not found.ready


def test_other_data(load):
    model, _ = load()
    found = looked_through(dataclasses.replace(model, data_checksum='other'))
    told = 'train: image_raw.pkl and label.pkl are not the data this run was trained on'
    assert found.problem.startswith(told) and found.problem.endswith('give those with -d and -l')


def test_a_net_that_shows_no_layers(load):
    class Closed(chainer.Chain):
        def forward(self, x):
            return chainer.Variable(np.zeros((len(x), 3), np.float32))

    model, _ = load()
    found = looked_through(dataclasses.replace(model, net=Closed()))
    assert 'does not show its layers' in found.problem

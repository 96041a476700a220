import chainer
import numpy as np
import pytest

from chainer_cifar.data import augment, batches
from chainer_cifar.data.normalize import Normalization
from chainer_cifar.errors import UserError
from strict_array import Device as StrictDevice
from taken import MANY, NORMALIZATION, assert_taken_in_order


def make(n=20, device=None):
    images = np.arange(n * 3072, dtype=np.float32).reshape(n, 3, 32, 32)
    labels = np.arange(n, dtype=np.int32)
    device = device or chainer.get_device('@numpy')
    return batches.DeviceImages(images, labels, device, NORMALIZATION), images, labels


def test_take_and_batches():
    data, images, labels = make()
    x, t = data.take([3, 1])
    np.testing.assert_array_equal(x, images[[3, 1]])
    np.testing.assert_array_equal(t, labels[[3, 1]])
    parts = list(data.batches(range(2, 13), 4))
    assert [len(t) for _, t in parts] == [4, 4, 3]
    assert [int(i) for _, t in parts for i in t] == list(range(2, 13))
    np.testing.assert_array_equal(parts[0][0][:, 1], (images[2:6, 1] - 2) / 4)


def test_bytes_become_floats():
    images = np.arange(2 * 3072, dtype=np.uint8).reshape(2, 3, 32, 32)
    device = chainer.get_device('@numpy')
    data = batches.DeviceImages(images, np.zeros(2, np.int32), device, Normalization(0, 255))
    (x, _), *_ = data.batches([1, 0], 2)
    assert x.dtype == np.float32
    np.testing.assert_array_equal(x, images[::-1] / np.float32(255))
    x, _ = data.augmenting_converter(augment.create('none'))([(1, 0), (0, 0)], None)
    np.testing.assert_array_equal(x, images[::-1] / np.float32(255))


def test_many_images_reach_a_device_in_order():
    images = np.arange(MANY * 3072, dtype=np.float32).reshape(MANY, 3, 32, 32)
    assert_taken_in_order(images, StrictDevice)


def test_converter_on_a_device():
    data, *_ = make(device=StrictDevice)
    convert = data.augmenting_converter(augment.create('crop,mirror,erase'))
    np.random.seed(0)
    x, t = convert([(np.int64(5), 0), (np.int64(2), 1)], None)
    assert x.shape == (2, 3, 32, 32) and t.get().tolist() == [5, 2]


def test_iterator_visits_each_image_once_an_epoch_in_another_order():
    iterator = batches.training_iterator(np.arange(10) * 7, 4)
    drawn = [example for _ in range(5) for example in iterator.next()]
    first, second = ([image for image, epoch in drawn if epoch == i] for i in (0, 1))
    assert sorted(first) == sorted(second) == list(range(0, 70, 7))
    assert first != second and [epoch for _, epoch in drawn] == [0] * 10 + [1] * 10


def test_the_images_of_an_iterator_are_those_of_chainers():
    for make in (batches.training_iterator, chainer.iterators.SerialIterator):
        np.random.seed(3)
        iterator = make(np.arange(50), 8)
        if make is batches.training_iterator:
            ours = [[image for image, _ in iterator.next()] for _ in range(20)]
    assert ours == [iterator.next() for _ in range(20)]


@pytest.mark.parametrize('batch_size', [3, 10])
def test_an_iterator_that_goes_on_knows_its_epochs(batch_size):
    iterator = batches.training_iterator(np.arange(10), batch_size)
    epochs = []
    for _ in range(12):
        state = chainer.serializers.DictionarySerializer()
        state.save(iterator)
        again = batches.training_iterator(np.arange(10), batch_size)
        chainer.serializers.NpzDeserializer(state.target).load(again)
        np.random.seed(0)
        examples = iterator.next()
        np.random.seed(0)
        assert again.next() == examples
        epochs += [epoch for _, epoch in examples]
    assert epochs == [i // 10 for i in range(12 * batch_size)]


def test_a_batch_knows_which_images_it_holds_and_their_epochs():
    data, images, labels = make()
    batch = data.batch([(7, 2), (3, 3)])
    assert batch.number.tolist() == [7, 3] and batch.epoch.tolist() == [2, 3]
    np.testing.assert_array_equal(batch.x, images[[7, 3]])
    assert batch.t.tolist() == labels[[7, 3]].tolist()


def test_batch_larger_than_the_data():
    with pytest.raises(UserError, match=r'^11: there are only 10'):
        batches.training_iterator(np.arange(10), 11)


def test_balanced_epochs():
    labels = np.array([0] * 70 + [1] * 25 + [2] * 5)
    index = np.random.RandomState(0).permutation(100)
    np.random.seed(3)
    iterator = batches.training_iterator(index, 100, labels)
    firsts = []
    for _ in range(3):
        epoch = np.array(iterator.next())[:, 0]
        counts = np.bincount(labels[epoch])
        assert sorted(counts) == [33, 33, 34]
        # Each image of a class nearly as often as the others of it.
        for label in range(3):
            times = np.bincount(epoch, minlength=100)[labels == label]
            assert times.max() - times.min() <= 1
        assert abs(labels[epoch][:50].mean() - 1) < 0.5  # shuffled, not class by class
        firsts.append(epoch[:20].tolist())
    assert firsts[0] != firsts[1] != firsts[2]
    np.random.seed(3)
    again = batches.training_iterator(index, 100, labels)
    assert [image for image, _ in again.next()[:20]] == firsts[0]

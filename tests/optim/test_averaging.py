import chainer
import chainer.links as L
import numpy as np
import pytest

from chainer_cifar.errors import UserError
from chainer_cifar.nets.weight_normalization import WeightNormalizedConvolution2D
from chainer_cifar.optim import averaging


def net():
    np.random.seed(0)
    return chainer.Sequential(L.Convolution2D(2, 3, 3), L.BatchNormalization(3))


def arrays(link):
    serializer = chainer.serializers.DictionarySerializer()
    serializer.save(link)
    return {name: np.array(array, np.float64) for name, array in serializer.target.items()}


def course(trained, average, steps):
    """What the weights were after each update, the average after it, and the weights then."""
    rng = np.random.RandomState(1)
    for step in range(1, steps + 1):
        for p in trained.params():
            p.array[...] += rng.randn(*p.shape)
        trained[1](rng.randn(2, 3, 4, 4).astype(np.float32))  # new statistics
        after = arrays(trained)
        average.after_update(step, step / steps)
        yield step, after, arrays(average.net), arrays(trained)


def test_ema_written_out():
    trained = net()
    average = averaging.create('ema(0.75)', trained)
    trained[0].b.array[...] = 7  # weights from a file, say
    average.begin()
    expected = arrays(trained)
    for step, after, found, then in course(trained, average, 40):
        keep = min(0.75, (1 + step) / (10 + step))
        for name in expected:
            expected[name] = keep * expected[name] + (1 - keep) * after[name]
            if name.endswith('/N'):
                expected[name] = after[name]
            np.testing.assert_allclose(found[name], expected[name], rtol=1e-4, atol=1e-5)
            np.testing.assert_array_equal(then[name], after[name])  # the trained net goes on


@pytest.mark.parametrize(('text', 'decay', 'power'), [('5', 0.5, 0), ('3, 0.7738, 3', 0.7738, 3)])
def test_lookahead_written_out(text, decay, power):
    trained, every = net(), int(text[0])
    average = averaging.create(f'lookahead({text})', trained)
    average.begin()
    slow = arrays(trained)
    for step, after, found, then in course(trained, average, 20):
        if step % every == 0:
            keep = decay * (step / 20) ** power
            for name in slow:
                slow[name] = keep * slow[name] + (1 - keep) * after[name]
                if name.endswith('/N'):
                    slow[name] = after[name]
        for name in slow:
            np.testing.assert_allclose(found[name], slow[name], rtol=1e-4, atol=1e-5)
            np.testing.assert_array_equal(then[name], (after, found)[step % every == 0][name])


@pytest.mark.parametrize('text', ['ema(0.9)', 'lookahead(2)'])
def test_what_the_first_batch_sets_is_not_averaged_with_what_was_before(text):
    trained = chainer.Sequential(WeightNormalizedConvolution2D(2, 3, 3))
    average = averaging.create(text, trained)
    average.begin()
    with chainer.using_config('train', True):
        trained(100 * np.random.RandomState(1).randn(4, 2, 8, 8).astype(np.float32))
    set_by_it = arrays(trained)
    assert (set_by_it['0/g'] < 0.1).all()  # from 1
    for step in (1, 2):
        average.after_update(step, 0.5)
    for name, value in arrays(average.net).items():
        np.testing.assert_allclose(value, set_by_it[name], rtol=1e-6)
    # Then as usual.
    trained[0].g.array[...] += 1
    average.after_update(4, 0.5)
    difference = arrays(average.net)['0/g'] - set_by_it['0/g']
    assert ((difference > 0.1) & (difference < 0.9)).all()


def test_the_average_is_a_net_of_its_own():
    trained = net()
    average = averaging.create('lookahead(1)', trained)
    average.begin()
    list(course(trained, average, 1))
    trained[0].W.array[...] = 3
    trained[1].avg_mean[...] = 3
    assert not (average.net[0].W.array == 3).any() and not (average.net[1].avg_mean == 3).any()


def test_lookahead_that_first_goes_along_may_keep_all_in_the_end():
    average = averaging.create('lookahead(5, 1, 3)', None)
    assert (average.decay, average.power) == (1, 3)


def test_none():
    assert averaging.create('none', net()) is None and averaging.create('', net()) is None


@pytest.mark.parametrize(
    ('text', 'reason'),
    [
        ('ema(2)', 'decay must be a number from 0 to 1'),
        ('emma', "did you mean 'ema'"),
        ('ema|lookahead', 'one at a time'),
        ('lookahead(0)', 'every must be a whole number'),
        ('lookahead(2.5)', 'every must be a whole number'),
        ('lookahead(5, 1)', 'decay 1 with power 0 would bring the first weights back'),
        ('ema(1,2,3)', r'write it as ema\(decay=0.999\)'),
    ],
)
def test_refused(text, reason):
    with pytest.raises(UserError, match=reason):
        averaging.create(text, None)

"""What fit chooses: sizes, stages, epochs; pure functions."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chainer_cifar.config import TrainConfig
from chainer_cifar.data.scan import Scan
from chainer_cifar.training import plan


def scanned(*sides):
    """A scan of square pictures of these sides; 0 cannot be read."""
    problems = {i: 'damaged' for i, side in enumerate(sides) if not side}
    sizes = np.array([(side, side) for side in sides], np.int64)
    return Scan((None,) * len(sides), sizes, np.zeros(len(sides), bool), problems, (), (), ())


@pytest.mark.parametrize(
    ('sides', 'pretrained', 'size'),
    [
        ([50] * 3 + [500], False, 32),
        ([64] * 4, False, 64),
        ([0, 0, 0, 64], False, 64),
        ([20] * 4, True, 96),
        ([127, 127, 500, 500], True, 96),
        ([20, 128, 128, 128, 300], True, 128),
    ],
)
def test_a_quarter_of_the_pictures_may_be_smaller(sides, pretrained, size):
    assert plan.size(scanned(*sides), pretrained) == size


@pytest.mark.parametrize('pretrained', [False, True])
@pytest.mark.parametrize('images', [4, 1999, 2000, 50_000])
@pytest.mark.parametrize('own_valid', [False, True])
def test_stages_are_flags_of_train(pretrained, images, own_valid):
    stages = plan.stages(pretrained, images, 3.1, own_valid)
    assert [stage.suffix for stage in stages] == (['_frozen', ''] if pretrained else [''])
    assert sum(stage.share for stage in stages) == 1
    for stage in stages:
        config = TrainConfig(**stage.flags)
        assert config.balance == 'sampler' and config.batch_size <= max(2, images)
        # A tenth of few pictures would choose an epoch by chance.
        assert config.no_valid_data == (images < 2000 and not own_valid)
    assert 'balance' not in plan.stages(pretrained, images, 3, own_valid)[0].flags


@given(
    seconds=st.floats(0.1, 1e5),
    rate=st.floats(0.1, 1e5),
    train=st.integers(1, 10**6),
    evaluate=st.integers(0, 10**6),
)
def test_epochs_fit_into_the_time_but_one_there_is(seconds, rate, train, evaluate):
    count = plan.epochs(seconds, rate, train, evaluate, 60)
    assert 1 <= count <= 60
    each = (train + evaluate / plan.BACKWARD) / rate
    assert count == 1 or count * each <= seconds
    assert count == 60 or (count + 1) * each > seconds

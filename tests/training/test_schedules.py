import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chainer_cifar.errors import UserError
from chainer_cifar.training.config import TrainConfig
from chainer_cifar.training.schedules import schedules

# shape, --lr_decay_iter, --iter: factors at epochs
TABLES = {
    ('multistep', '100', 300): {0: 1, 99.99: 1, 100: 0.1, 199.9: 0.1, 200: 0.01, 299.9: 0.01},
    ('multistep', '0', 300): {0: 1, 100: 1, 299: 1},
    ('multistep', '100,200', 500): {0: 1, 99.9: 1, 100: 0.1, 200: 0.01, 400: 0.01},
    ('multistep', '200, 50', 300): {49.9: 1, 50: 0.1, 199: 0.1, 200: 0.01},
    ('multistep', '80,', 300): {79: 1, 80: 0.1, 160: 0.1, 240: 0.1},
    ('cosine', '100', 300): {0: 1, 75: 0.5 + math.sqrt(0.125), 150: 0.5, 300: 0, 301: 0},
}


@pytest.mark.parametrize('case', TABLES)
def test_tables(case):
    shape, decay, epochs = case
    factor = schedules[shape](TrainConfig(lr_shape=shape, lr_decay_iter=decay, iter=epochs))
    for epoch, expected in TABLES[case].items():
        assert factor(epoch) == pytest.approx(expected, abs=1e-12), epoch


@pytest.mark.parametrize('shape', list(schedules))
@given(data=st.data(), epochs=st.integers(1, 400))
def test_every_schedule_is_a_pure_function_between_0_and_1(shape, data, epochs):
    factor = schedules[shape](TrainConfig(lr_shape=shape, iter=epochs))
    times = data.draw(st.lists(st.floats(0, epochs), min_size=2))
    values = [factor(time) for time in times]
    assert values == [factor(time) for time in times]
    assert all(0 <= value <= 1 for value in values)
    ordered = [factor(time) for time in sorted(times)]
    assert ordered == sorted(ordered, reverse=True)  # both of today's only fall


@pytest.mark.parametrize('text', ['', 'x', '-5', '10,x', '10,-1', '1.5', ','])
def test_bad_decay(text):
    with pytest.raises(UserError, match='--lr_decay_iter'):
        TrainConfig(lr_decay_iter=text)

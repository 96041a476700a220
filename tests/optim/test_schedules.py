import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chainer_cifar.config import TrainConfig
from chainer_cifar.errors import UserError
from chainer_cifar.optim import schedules
from chainer_cifar.optim.schedules import Position

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
    factor = create(lr_shape=shape, lr_decay_iter=decay, iter=epochs)
    for epoch, expected in TABLES[case].items():
        assert factor(Position(epoch)) == pytest.approx(expected, abs=1e-12), epoch


def create(**flags):
    return schedules.create(TrainConfig(**flags))


ALL = ['multistep', 'constant', 'cosine', 'warmup', 'triangular', 'decay(5e-4)', 'plateau']


def test_all_are_all():
    assert {text.split('(')[0] for text in ALL} == set(schedules.schedules)


@pytest.mark.parametrize('shape', ALL)
@given(data=st.data(), epochs=st.integers(1, 400))
def test_every_schedule_is_a_pure_function_between_0_and_1(shape, data, epochs):
    factor = create(lr_shape=shape, iter=epochs)
    positions = [
        Position(time, round(400 * time), [{'valid_error': 50.0}] * int(time))
        for time in data.draw(st.lists(st.floats(0, epochs), min_size=2))
    ]
    values = [factor(position) for position in positions]
    assert values == [factor(position) for position in positions]
    assert all(0 <= value <= 1 for value in values)
    if shape not in ('warmup', 'triangular'):
        assert [factor(position) for position in sorted(positions)] == sorted(values, reverse=True)


def test_factors_are_multiplied():
    factor = create(lr_shape='warmup(10, 0.2)|cosine(0.1)|decay(0.01)', iter=20)
    half_up, half_wave = 0.2 + 0.8 / 2, 0.1 + 0.9 * (1 + math.cos(math.pi / 4)) / 2
    assert factor(Position(5, 100)) == pytest.approx(half_up * half_wave / 2)


def test_article_004_decay():
    # By Keras: .01 -> .00911 after one epoch of 196 updates, .00505 after ten.
    factor = create(lr_shape='decay(5e-4)')
    assert 0.01 * factor(Position(1, 196)) == pytest.approx(0.00911, abs=5e-6)
    assert 0.01 * factor(Position(10, 1960)) == pytest.approx(0.00505, abs=5e-6)


def test_triangular():
    factor = create(lr_shape='triangular(0.25, 0.2, 0.05)', iter=40)
    values = [factor(Position(epoch)) for epoch in (0, 5, 10, 25, 40)]
    assert values == pytest.approx([0.2, 0.6, 1, 0.525, 0.05])


def cuts(errors, **flags):
    """The epochs after which the learning rate fell."""
    factor = create(**flags)
    rows = [{'valid_error': error} for error in errors]
    values = [factor(Position(n, n, rows[:n])) for n in range(len(rows) + 1)]
    return [n for n in range(1, len(values)) if values[n] < values[n - 1]], values


class TestPlateau:
    flat = (50.0,) * 18

    def test_as_keras_does_it_since_2_2_4(self):
        assert cuts(self.flat, lr_shape='plateau(patience=5)')[0] == [6, 11, 16]

    def test_as_keras_did_it_before(self):
        assert cuts(self.flat, lr_shape='plateau(patience=5, late=1)')[0] == [7, 12, 17]

    def test_a_better_epoch_starts_the_count_anew(self):
        errors = (50, 50, 50, 49.98, 50, 50, 50, 50)
        assert cuts(errors, lr_shape='plateau(patience=3)')[0] == [7]
        assert cuts(errors, lr_shape='plateau(patience=3, min_delta=1e-3)')[0] == [4, 7]

    def test_cooldown(self):
        # Keras: cut at 4, two epochs rest, then three that count.
        assert cuts(self.flat[:12], lr_shape='plateau(patience=3, cooldown=2)')[0] == [4, 8, 12]

    def test_floor(self):
        found, values = cuts(self.flat, lr=0.01, lr_shape='plateau(0.1, 2, min_lr=2e-4)')
        assert found == [3, 5] and values[-1] == pytest.approx(0.02)
        assert cuts(self.flat, lr=0.01, lr_shape='plateau(0.1, 2, min_lr=1)')[0] == []

    def test_needs_validation_images(self):
        with pytest.raises(UserError, match='leave out --no_valid_data'):
            create(lr_shape='plateau', no_valid_data=True)


@pytest.mark.parametrize(
    ('text', 'message'),
    [
        ('cosin', "did you mean 'cosine'"),
        ('decay', r'write it as decay\(rate\)'),
        ('plateau(2)', 'factor must be a number from 0 to 1'),
        ('warmup(five)', 'epochs must be a number'),
        ('cosine|(', 'cannot read it'),
    ],
)
def test_bad_shape(text, message):
    with pytest.raises(UserError, match=message):
        TrainConfig(lr_shape=text)


@pytest.mark.parametrize('text', ['', 'x', '-5', '10,x', '10,-1', '1.5', ','])
def test_bad_decay(text):
    with pytest.raises(UserError, match='--lr_decay_iter'):
        TrainConfig(lr_decay_iter=text)

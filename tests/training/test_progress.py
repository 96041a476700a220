import pytest

from chainer_cifar.training.progress import loss_column


@pytest.mark.parametrize(
    ('value', 'text'),
    [
        (2.30259, '  2.3026'),
        (999.99994, '999.9999'),
        (4684262146048.0, ' 4.7e+12'),
        (float('inf'), '     inf'),
    ],
)
def test_a_loss_takes_eight_characters(value, text):
    assert loss_column(value) == text

"""What cannot be written as ONNX ends in one line."""

import chainer
import chainer.functions as F
import pytest

from chainer_cifar.errors import UserError
from chainer_cifar.export import trace


def net(function):
    class Net(chainer.Chain):
        def forward(self, x):
            return function(x)

    return Net()


@pytest.mark.parametrize(
    ('function', 'word'),
    [
        (lambda x: F.reshape(x, (len(x), -1)) * len(x), 'depends on the number of images'),
        (lambda x: F.reshape(F.reshape(x, (3, -1)), (len(x), -1)), ''),
        (lambda x: F.reshape(x, (-1, 3 * 32 * 32))[: len(x) // 2], 'depends on the number'),
        (lambda x: F.cumsum(F.reshape(x, (len(x), -1)), axis=1), 'Cumsum'),
    ],
    ids=['factor', 'mixed', 'slice', 'unknown'],
)
def test_refused(function, word):
    if not word:
        trace.trace(net(function), (3, 32, 32))  # a Reshape may do anything
        return
    with pytest.raises(UserError, match=f'cannot be written as ONNX.*{word}'):
        trace.trace(net(function), (3, 32, 32))

"""Which images of a set are taken."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from chainer_cifar.evaluation import image_sets


@given(st.integers(0, 300), st.integers(1, 300))
def test_spread(count, most):
    index = np.arange(count)[::-1]
    found = image_sets.spread(index, most)
    assert len(found) == min(count, most)
    if len(found) > 1:
        steps = -np.diff(found)
        assert steps.min() >= 1 and steps.max() - steps.min() <= 1 and found[0] == index[0]

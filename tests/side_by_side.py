"""One function by oneDNN and by Chainer, from the same numbers."""

import chainer
import numpy as np

import chainer_onednn


def channels_last(array):
    """A copy of an image array whose memory is (N, H, W, C)."""
    return np.ascontiguousarray(array.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)


ORDERS = {
    'C': np.ascontiguousarray,
    'Fortran': np.asfortranarray,
    'channels last': lambda a: channels_last(a) if a.ndim == 4 else a,
    'a view with gaps': lambda a: np.repeat(a, 2, axis=-1)[..., ::2],
    'backwards': lambda a: a[::-1].copy()[::-1],
}


def random(rng, *shape):
    return rng.standard_normal(shape).astype(np.float32)


# No test draws its inputs from it: the gradient of the output must not be one of them, or a result
# that is the wrong one of the two looks right, and that of a normalization is nothing but rounding.
GRADIENT_SEED = 2**31


def run(function, inputs, dtype=np.float32, **backward):
    """Outputs and gradients of the inputs, for a random gradient of the output."""
    variables = [
        chainer.Variable(array if array.dtype == dtype else array.astype(dtype)) for array in inputs
    ]
    y = function(*variables)
    y.grad = np.random.RandomState(GRADIENT_SEED).standard_normal(y.shape).astype(dtype)
    y.backward(**backward)
    return [y.array, *(variable.grad for variable in variables)]


def compare(function, inputs, tolerance=2e-5, order='C', least=1e-30):
    """Assert that oneDNN's results are Chainer's.

    The bound is relative to the largest number of each result, as rounding is when many numbers
    are summed; but not to a number below `least`.
    """
    exact = run(function, inputs, dtype=np.float64)
    arranged = [ORDERS[order](array) for array in inputs]
    before = [array.copy() for array in arranged]
    with chainer_onednn.enable():
        got = run(function, arranged)
        again = run(function, arranged)
    for ours, same, wanted in zip(got, again, exact, strict=True):
        assert (ours is None) == (wanted is None)
        if ours is None:
            continue
        assert ours.shape == wanted.shape and ours.dtype == np.float32
        np.testing.assert_array_equal(ours, same)  # twice the same, to the last bit
        finite = np.isfinite(wanted)
        np.testing.assert_array_equal(ours[~finite], wanted[~finite])
        scale = max(np.abs(wanted[finite]).max(initial=0), least)
        assert np.abs(ours[finite] - wanted[finite]).max(initial=0) <= tolerance * scale
    for array, old in zip(arranged, before, strict=True):
        np.testing.assert_array_equal(array, old)  # inputs are never written to

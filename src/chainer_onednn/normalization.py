"""Batch normalization over images ``(N, C, H, W)`` and over vectors ``(N, C)``."""

import functools

import numpy as np
from chainer.functions.normalization import batch_normalization as chainers
from chainer.functions.normalization.batch_normalization import (
    BatchNormalization,
    FixedBatchNormalization,
)

from chainer_onednn import arrays, dnnl, lookahead
from chainer_onednn.replace import replaces

_AFFINE = dnnl.USE_SCALE | dnnl.USE_SHIFT


@replaces(BatchNormalization, 'apply')
def apply(original, self, inputs):
    exact = type(self) is BatchNormalization
    self._place = lookahead.place_of(*inputs[:2]) if exact else None
    outputs = original(self, inputs)
    guess = getattr(getattr(self, '_impl', None), 'guess', None)
    if guess is not None:
        lookahead.foresee(outputs[0], guess)
    return outputs


@replaces(BatchNormalization, 'forward')
def normalization(original, self, inputs):
    # Chainer asks a selector which implementation does the arithmetic, and does the rest itself.
    x = inputs[0]
    if self._impl_selector is chainers._impl_selector and _usable(self, *inputs):
        key = _as_image(x.shape), float(self.eps)
        for relu in (False, True):  # raise Unsupported before anything changes
            _training(*key, relu)
            _gradient(*key, relu)
        implementation = _Implementation(getattr(self, '_place', None))
        self._impl_selector = lambda function, inputs: implementation
    return original(self, inputs)


class _Implementation(chainers._BatchNormalizationImpl):
    """The arithmetic of one call, forward and backward.

    Args:
        place (dict or None): Of `lookahead.place_of`: is a ReLU expected?
    """

    def __init__(self, place):
        self.guess = None
        self._place = place

    def forward(
        self, axis, gamma, x, x_layout, xp, expander, beta, eps, decay, running_mean, running_var
    ):
        x, key = arrays.ours(x), (_as_image(x.shape), float(eps))
        gamma, beta = gamma.copy(), beta.copy()
        y, mean, var = arrays.empty(x.shape), np.empty_like(gamma), np.empty_like(gamma)
        if self._place is None or not _fuses_exactly(*key):
            _training(*key, False)(x, gamma, beta, mean, var, y)
        else:
            fused = _training(*key, True)
            self._mask = dnnl.aligned_empty(fused.layouts[dnnl.WORKSPACE].nbytes)
            fused(x, gamma, beta, mean, var, y, self._mask)
            self.guess = lookahead.Guess(
                y, lambda: _normalized(key, x, gamma, beta, mean, var), self._place
            )
        inv_std = np.reciprocal(np.sqrt(var + np.float32(eps)))
        if self.guess and not np.isfinite(gamma * inv_std * mean + beta).all():
            # oneDNN's ReLU makes NaN a zero.
            y, self.guess = self.guess.compute(), None
        if running_mean is not None:
            count = x.size // gamma.size
            adjust = count / max(count - 1.0, 1.0)  # unbiased estimate
            running_mean *= decay
            running_mean += (1 - decay) * mean
            running_var *= decay
            running_var += (1 - decay) * adjust * var
        return y, x_layout, running_mean, running_var, mean, var, inv_std, var

    def backward(
        self, axis, gamma, gy, x, x_layout, xp, expander, mean, inv_std, eps, var, forward_data
    ):
        if gy.shape != x.shape:
            return chainers.GeneralBatchNormalizationImpl().backward(
                axis, gamma, gy, x, x_layout, xp, expander, mean, inv_std, eps, var, None
            )
        x, gy, gamma = arrays.ours(x), arrays.ours(gy), np.ascontiguousarray(gamma)
        gx = arrays.empty(x.shape)
        ggamma, gbeta = np.empty_like(gamma), np.empty_like(gamma)
        key = _as_image(x.shape), float(eps)
        if self.guess is not None and self.guess.unmasked:
            self.guess.unmasked = False
            run, mask = _gradient(*key, True), (self._mask,)
        else:
            run, mask = _gradient(*key, False), ()
        run(x, mean, forward_data, gamma, gy, gx, ggamma, gbeta, *mask)
        return gx, x_layout, ggamma, gbeta


@functools.cache
def _fuses_exactly(shape, eps):
    # For some numbers of channels oneDNN has another implementation with a ReLU than without, with
    # other rounding. A place that is no longer guessed would then give other bits than it gave at
    # first, and so would a run that is resumed there.
    return _training(shape, eps, True).implementation == _training(shape, eps, False).implementation


def _normalized(key, x, gamma, beta, mean, var):
    y = arrays.empty(x.shape)
    _inference(*key)(x, gamma, beta, mean, var, y)
    return y


@replaces(FixedBatchNormalization, 'forward')
def fixed_normalization(original, self, inputs):
    if not _usable(self, *inputs):
        return original(self, inputs)
    x = inputs[0]
    run = _inference(_as_image(x.shape), float(self.eps))
    self.axis = chainers._compute_axis(x.ndim, 1, self.axis)
    self.key_axis = chainers._compute_key_axis(x.ndim, 1, self.axis)
    self.expander = (None, slice(None)) + (None,) * (x.ndim - 2)
    y = arrays.empty(x.shape)
    run(arrays.ours(x), *map(np.ascontiguousarray, inputs[1:]), y)
    self.retain_inputs((0, 1, 3, 4))
    return (y,)


def _usable(function, x, *vectors):
    return (
        x.ndim in (2, 4)
        and all(vector.shape == x.shape[1:2] for vector in vectors)
        and arrays.is_float32(x, *vectors)
        and function.axis in (None, (0, *range(2, x.ndim)))
        and all(layout is None for layout in function.input_layouts)
    )


def _as_image(shape):
    return shape if len(shape) == 4 else (*shape, 1, 1)


def _training(shape, eps, relu):
    return _forward(shape, eps, dnnl.FORWARD, dnnl.FUSE_RELU if relu else 0)


def _inference(shape, eps):
    return _forward(shape, eps, dnnl.INFERENCE, dnnl.USE_GLOBAL_STATS)


@dnnl.cached
def _forward(shape, eps, kind, flags):
    image, vector = arrays.layout(shape), arrays.layout(shape[1:2])
    return dnnl.Primitive(
        'batch_normalization_forward',
        kind,
        image,
        image,
        eps,
        _AFFINE | flags,
        layouts={
            dnnl.SRC: image,
            dnnl.SCALE: vector,
            dnnl.SHIFT: vector,
            dnnl.MEAN: vector,
            dnnl.VARIANCE: vector,
            dnnl.DST: image,
            **({dnnl.WORKSPACE: None} if flags & dnnl.FUSE_RELU else {}),
        },
    )


@dnnl.cached
def _gradient(shape, eps, relu):
    image, vector = arrays.layout(shape), arrays.layout(shape[1:2])
    return dnnl.Primitive(
        'batch_normalization_backward',
        dnnl.BACKWARD,
        image,
        image,
        image,
        eps,
        _AFFINE | (dnnl.FUSE_RELU if relu else 0),
        _training(shape, eps, relu),
        layouts={
            dnnl.SRC: image,
            dnnl.MEAN: vector,
            dnnl.VARIANCE: vector,
            dnnl.SCALE: vector,
            dnnl.DIFF_DST: image,
            dnnl.DIFF_SRC: image,
            dnnl.DIFF_SCALE: vector,
            dnnl.DIFF_SHIFT: vector,
            **({dnnl.WORKSPACE: None} if relu else {}),
        },
    )

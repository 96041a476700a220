"""Batch normalization over images ``(N, C, H, W)`` and over vectors ``(N, C)``.

By our own kernels, of which the ReLU behind and the sum between the two are part (see `pending`);
where there are none, by oneDNN.
"""

from typing import Any

import numpy as np
from chainer.functions.normalization import batch_normalization as chainers
from chainer.functions.normalization.batch_normalization import (
    BatchNormalization,
    FixedBatchNormalization,
)

from chainer_onednn import arrays, dnnl, graph, kernels, moments, pending
from chainer_onednn.hints import Array, Arrays, Inputs, Original, Shape, Variables
from chainer_onednn.replace import replaces

_AFFINE = dnnl.USE_SCALE | dnnl.USE_SHIFT


# ---- in training ---------------------------------------------------------------------------------


@replaces(BatchNormalization, 'apply')
def apply(original: Original, self: BatchNormalization, inputs: Inputs) -> Variables:
    variables = graph.inputs_of(self, inputs)
    if variables is None or not kernels.available() or type(self) is not BatchNormalization:
        return original(self, inputs)
    given = x, gamma, beta = tuple([variable.array for variable in variables])
    single = x.ndim in (2, 4) and x.size == x.shape[1]  # Chainer has a warning for it
    if self._impl_selector is not chainers._impl_selector or not _usable(self, *given) or single:
        return original(self, inputs)
    x = arrays.ours(x)
    mean, inv_std = _statistics(self, x, moments.of(variables[0], x))
    _set_axes(self, x.ndim)
    self._impl = chainers.GeneralBatchNormalizationImpl()  # for second derivatives
    # Copies: an optimizer may change the parameters before this is used.
    work = pending.Normalized(x, mean, gamma * inv_std, beta.copy())
    # Not the work itself, which would keep the output as long as the graph.
    self._affine = work.affine
    self.retain_inputs((0, 1))
    later = pending.is_ours(variables[0])
    return graph.connect(self, variables, (work if later else work.result(),))


def _statistics(function: Any, x: Array, found: moments.Moments | None) -> tuple[Array, Array]:
    """Mean and ``1 / sqrt(var + eps)`` of each channel; the running statistics go on.

    `found` are the `Moments` of x, or None.
    """
    channels = x.shape[1]
    if found is None:
        mean, var = np.empty((2, channels), np.float32)
        kernels.function('bn_statistics', 'pllppp')(
            x, x.size // channels, channels, mean, var, pending.scratch_for(channels)
        )
    else:
        mean, var = found.mean, found.var
    inv_std = _inv_std(var, function.eps)
    function.mean, function.var, function.inv_std = mean, var, inv_std
    running = function.running_mean, function.running_var
    _go_on(running, (mean, var), function.decay, x.size // channels)
    return mean, inv_std


def _inv_std(var: Array, eps: float) -> Array:
    return np.reciprocal(np.sqrt(var + np.float32(eps)))


def _go_on(running: tuple[Any, Any], found: tuple[Array, Array], decay: float, count: int) -> None:
    """Update the running statistics (or None) in place by those of a batch of `count`."""
    (running_mean, running_var), (mean, var) = running, found
    if running_mean is not None:
        adjust = count / max(count - 1.0, 1.0)  # unbiased estimate
        running_mean *= decay
        running_mean += (1 - decay) * mean
        running_var *= decay
        running_var += (1 - decay) * adjust * var


@replaces(BatchNormalization, 'backward')
def backward(
    original: Original, self: BatchNormalization, indexes: tuple[int, ...], grad_outputs: Variables
) -> Variables:
    affine, (gradient,) = vars(self).get('_affine'), grad_outputs
    if affine is None or gradient is None or not graph.is_final():
        return original(self, indexes, grad_outputs)
    node, x, gamma = self.inputs[0], self.inputs[0].data, self.inputs[1].data
    if not arrays.is_float32(x, gamma) or gamma.shape != x.shape[1:2]:
        return original(self, indexes, grad_outputs)
    # As Chainer, by what they are now: an optimizer may have changed gamma, and a user x.
    scale = gamma * self.inv_std
    as_then = '_array_was_set' not in vars(node) and bool((scale == affine[0]).all())
    gy, relu = _gradient_of_output(gradient, affine) if as_then else (gradient.array, False)
    if not arrays.is_float32(gy) or gy.shape != x.shape:
        return original(self, indexes, grad_outputs)
    x, gy, channels = arrays.ours(x), arrays.ours(gy), x.shape[1]
    gx = arrays.empty(x.shape)
    ggamma, gbeta = np.empty((2, channels), np.float32)
    kernels.function('bn_backward', 'ppllppppipppp')(
        *(x, gy, x.size // channels, channels, self.mean, self.inv_std, scale, affine[1]),
        *(relu, gx, ggamma, gbeta, pending.scratch_for(channels)),
    )
    return tuple([graph.make_variable(array) for array in (gx, ggamma, gbeta)])


def _gradient_of_output(gradient: Any, affine: pending.Affine) -> tuple[Array, bool]:
    """An array, and whether it is the gradient of the ReLU behind, which is still to be masked."""
    masked = pending.work_of(gradient)
    if isinstance(masked, pending.Masked) and masked.rectified.affine is affine:
        gy = masked.gy
        return (gy.result() if isinstance(gy, pending.Work) else gy), True
    return gradient.array, False


@replaces(BatchNormalization, 'forward')
def forward(original: Original, self: BatchNormalization, inputs: Arrays) -> Arrays:
    # Chainer asks a selector which implementation does the arithmetic, and does the rest itself.
    x = inputs[0]
    if self._impl_selector is chainers._impl_selector and _usable(self, *inputs):
        key = _as_image(x.shape), float(self.eps)
        _training(*key), _gradient(*key)  # raise Unsupported before anything changes
        self._impl_selector = lambda function, inputs: _ByOneDNN()
    return original(self, inputs)


class _ByOneDNN(chainers._BatchNormalizationImpl):
    """The arithmetic of one call, forward and backward."""

    def forward(
        self,
        axis: Any,
        gamma: Any,
        x: Any,
        x_layout: Any,
        xp: Any,
        expander: Any,
        beta: Any,
        eps: Any,
        decay: Any,
        running_mean: Any,
        running_var: Any,
    ) -> tuple[Any, ...]:
        x, gamma, beta = arrays.ours(x), gamma.copy(), beta.copy()
        y, (mean, var) = arrays.empty(x.shape), _moments(x)
        _inference(_as_image(x.shape), float(eps))(x, gamma, beta, mean, var, y)
        _go_on((running_mean, running_var), (mean, var), decay, x.size // gamma.size)
        inv_std = _inv_std(var, eps)
        return y, x_layout, running_mean, running_var, mean, var, inv_std, var

    def backward(
        self,
        axis: Any,
        gamma: Any,
        gy: Any,
        x: Any,
        x_layout: Any,
        xp: Any,
        expander: Any,
        mean: Any,
        inv_std: Any,
        eps: Any,
        var: Any,
        forward_data: Any,
    ) -> tuple[Any, ...]:
        if gy.shape != x.shape:
            return chainers.GeneralBatchNormalizationImpl().backward(
                axis, gamma, gy, x, x_layout, xp, expander, mean, inv_std, eps, var, None
            )
        x, gy, gamma = arrays.ours(x), arrays.ours(gy), np.ascontiguousarray(gamma)
        gx = arrays.empty(x.shape)
        ggamma, gbeta = np.empty_like(gamma), np.empty_like(gamma)
        run = _gradient(_as_image(x.shape), float(eps))
        run(x, mean, forward_data, gamma, gy, gx, ggamma, gbeta)
        return gx, x_layout, ggamma, gbeta


def _moments(x: Array) -> tuple[Array, Array]:
    """Mean and (biased) variance of each channel, float32.

    oneDNN adds up one number after the other in float32: of a large batch only three digits of the
    mean were right.
    """
    rows = np.moveaxis(x, 1, -1).reshape(-1, x.shape[1])
    exact = rows.mean(0, dtype=np.float64)
    mean = exact.astype(np.float32)
    squares = np.square(rows - mean).mean(0, dtype=np.float64)
    return mean, (squares - (exact - mean) ** 2).astype(np.float32)


# ---- in evaluation -------------------------------------------------------------------------------


@replaces(FixedBatchNormalization, 'apply')
def apply_fixed(original: Original, self: FixedBatchNormalization, inputs: Inputs) -> Variables:
    variables = graph.inputs_of(self, inputs)
    if variables is None or not kernels.available() or type(self) is not FixedBatchNormalization:
        return original(self, inputs)
    given = x, gamma, beta, mean, var = tuple([variable.array for variable in variables])
    if not _usable(self, *given):
        return graph.compute(original, self, variables)
    _set_axes(self, x.ndim)
    _keep_inverses(self, var)
    scale = gamma / np.sqrt(var + np.float32(self.eps))
    work = pending.Normalized(arrays.ours(x), mean.copy(), scale, beta.copy())
    self.retain_inputs((0, 1, 3, 4))
    later = pending.is_ours(variables[0])
    return graph.connect(self, variables, (work if later else work.result(),))


@replaces(FixedBatchNormalization, 'forward')
def fixed_normalization(
    original: Original, self: FixedBatchNormalization, inputs: Arrays
) -> Arrays:
    if not _usable(self, *inputs):
        return original(self, inputs)
    x = inputs[0]
    run = _inference(_as_image(x.shape), float(self.eps))
    _set_axes(self, x.ndim)
    _keep_inverses(self, inputs[4])
    y = arrays.empty(x.shape)
    run(arrays.ours(x), *map(np.ascontiguousarray, inputs[1:]), y)
    self.retain_inputs((0, 1, 3, 4))
    return (y,)


def _keep_inverses(function: Any, var: Array) -> None:
    """For Chainer's gradients: a pass in training changes the running variance in place."""
    function.inv_var = np.reciprocal(var + np.float32(function.eps))
    function.inv_std = np.sqrt(function.inv_var)


def _set_axes(function: Any, ndim: int) -> None:
    """What Chainer's own backward passes want to know."""
    function.axis = chainers._compute_axis(ndim, 1, function.axis)
    function.key_axis = chainers._compute_key_axis(ndim, 1, function.axis)
    function.expander = (None, slice(None)) + (None,) * (ndim - 2)


def _usable(function: Any, x: Array, *vectors: Array) -> bool:
    return (
        arrays.is_float32(x, *vectors)
        and x.ndim in (2, 4)
        and all(vector.shape == x.shape[1:2] for vector in vectors)
        and function.axis in (None, (0, *range(2, x.ndim)))
        and all(layout is None for layout in function.input_layouts)
    )


def _as_image(shape: Shape) -> Shape:
    return shape if len(shape) == 4 else (*shape, 1, 1)


def _training(shape: Shape, eps: float) -> dnnl.Primitive:
    return _forward(shape, eps, dnnl.FORWARD, 0)


def _inference(shape: Shape, eps: float) -> dnnl.Primitive:
    return _forward(shape, eps, dnnl.INFERENCE, dnnl.USE_GLOBAL_STATS)


@dnnl.cached
def _forward(shape: Shape, eps: float, kind: int, flags: int) -> dnnl.Primitive:
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
        },
    )


@dnnl.cached
def _gradient(shape: Shape, eps: float) -> dnnl.Primitive:
    image, vector = arrays.layout(shape), arrays.layout(shape[1:2])
    return dnnl.Primitive(
        'batch_normalization_backward',
        dnnl.BACKWARD,
        image,
        image,
        image,
        eps,
        _AFFINE,
        _training(shape, eps),
        layouts={
            dnnl.SRC: image,
            dnnl.MEAN: vector,
            dnnl.VARIANCE: vector,
            dnnl.SCALE: vector,
            dnnl.DIFF_DST: image,
            dnnl.DIFF_SRC: image,
            dnnl.DIFF_SCALE: vector,
            dnnl.DIFF_SHIFT: vector,
        },
    )

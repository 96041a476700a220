"""Keep parts of a net unchanged while the rest trains."""

import fnmatch

import chainer
import chainer.links as L

from chainer_cifar.arrays import Array
from chainer_cifar.errors import UserError
from chainer_cifar.nets.weight_normalization import WeightNormalizedConvolution2D
from chainer_cifar.optim import groups
from chainer_cifar.registry import nearest


def freeze(net: chainer.Chain, patterns: str) -> list[str]:
    """Exclude the links and parameters that match from training.

    Call it when the net is on its device and has its initial weights, and its optimizer is set up;
    when resuming, before restoring the snapshot. The optimizer then leaves the parameters alone,
    and does not decay them. If all parameters of a link are frozen and nothing before it trains,
    the link keeps nothing for backpropagation. A frozen batch normalization uses its stored
    statistics and leaves them unchanged.

    Names, serialization and ``copy.deepcopy`` of the net stay as before.

    Args:
        net: One of `chainer_cifar.nets`.
        patterns: Shell patterns with commas between them, ``stem*,blocks/[0-9],*_bn``. Each must
            match the whole name of a link (``blocks/3``, ``blocks/3/expand``), to freeze all that
            is in it, or of a parameter (``blocks/3/expand/W``); ``*`` matches ``/``, too.

    Returns:
        The names of the frozen parameters, such as ``conv1/W``.

    Raises:
        UserError: A pattern matches nothing, or all parameters would be frozen.
        ValueError: The net has no optimizer yet.
    """
    parameters = {name.lstrip('/'): parameter for name, parameter in net.namedparams()}
    links = {name.lstrip('/'): link for name, link in net.namedlinks(skipself=True)}
    if any(parameter.update_rule is None for parameter in parameters.values()):
        raise ValueError('freeze the net after the optimizer has been set up on it')
    frozen: set[str] = set()
    for pattern in filter(None, (text.strip() for text in patterns.split(','))):
        matching = [
            name for name in (*links, *parameters) if fnmatch.fnmatchcase(name, pattern.lstrip('/'))
        ]
        if not matching:
            raise UserError(
                f"'{pattern}': no part of the net is called so"
                f'{nearest(pattern.strip("/*"), (*links, *parameters))}'
            )
        for whole in matching:
            frozen |= {name for name in parameters if f'{name}/'.startswith(f'{whole}/')}
    if len(frozen) == len(parameters):
        raise UserError(f"'{patterns}': leaves nothing to train; name fewer parts")
    for name in frozen:
        groups.stop(parameters[name])
    # --lr_factors may have stopped others, whose links go on as in training.
    stopped = {id(parameters[name]) for name in frozen}
    for link in links.values():
        if type(link) in _FROZEN and stopped.issuperset(map(id, link.params())):
            # Its parent, the optimizer and snapshots know this link, so it cannot be a new one.
            link.__class__ = _FROZEN[type(link)]
        if isinstance(link, WeightNormalizedConvolution2D) and id(link.g) in stopped:
            link.initialized = True  # or the first batch would set its parameters
    return [name for name in parameters if name in frozen]


class _Frozen(chainer.Link):
    """A mixin: compute as in a test, and outside of the graph if nothing before trains."""

    def forward(self, x: Array | chainer.Variable) -> chainer.Variable:
        x = chainer.as_variable(x)
        with chainer.using_config('train', False):
            if x.requires_grad:
                return super().forward(x)
            with chainer.no_backprop_mode():
                return chainer.Variable(super().forward(x).array, requires_grad=False)


class _FrozenConvolution2D(_Frozen, L.Convolution2D):
    pass


class _FrozenLinear(_Frozen, L.Linear):
    pass


class _FrozenBatchNormalization(_Frozen, L.BatchNormalization):
    pass


_FROZEN = {
    L.Convolution2D: _FrozenConvolution2D,
    L.Linear: _FrozenLinear,
    L.BatchNormalization: _FrozenBatchNormalization,
}

"""Keep parts of a net as they are while the rest trains."""

import fnmatch

import chainer
import chainer.links as L

from chainer_cifar.errors import UserError
from chainer_cifar.nets.weight_normalization import WeightNormalizedConvolution2D
from chainer_cifar.registry import nearest


def freeze(net, patterns):
    """Exclude the links and parameters that match from training.

    Call it when the net is on its device, has its initial weights, and the optimizer is set up on
    it, and, on resuming, before the snapshot is restored. The optimizer then passes over them, and
    over their weight decay. A link all of whose parameters are frozen is computed without keeping
    anything for backpropagation where nothing before it trains, and if it is a batch normalization,
    with its stored statistics, which stay as they are.

    Names, serialization and ``copy.deepcopy`` of the net are as before.

    Args:
        net (chainer.Chain): One of `chainer_cifar.nets`.
        patterns (str): Shell patterns with commas between them, ``stem*,blocks/[0-9],*_bn``, each
            matched with the whole name of every link (``blocks/3``, ``blocks/3/expand``) and
            parameter (``blocks/3/expand/W``); ``*`` matches ``/`` too. What matches is frozen with
            all that is in it.

    Returns:
        list of str: Names of the frozen parameters, such as ``conv1/W``.

    Raises:
        UserError: A pattern matches nothing, or everything is frozen.
        ValueError: The optimizer has not been set up on the net.
    """
    parameters = {name.lstrip('/'): parameter for name, parameter in net.namedparams()}
    links = {name.lstrip('/'): link for name, link in net.namedlinks(skipself=True)}
    if any(parameter.update_rule is None for parameter in parameters.values()):
        raise ValueError('freeze the net after the optimizer has been set up on it')
    frozen = set()
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
        _stop_training(parameters[name])
    for link in links.values():
        if type(link) in _FROZEN and not any(p.update_rule.enabled for p in link.params()):
            # The link stays the one that its parent, the optimizer and a snapshot know.
            link.__class__ = _FROZEN[type(link)]
        if isinstance(link, WeightNormalizedConvolution2D) and not link.g.update_rule.enabled:
            link.initialized = True  # or the first batch would set its parameters
    return [name for name in parameters if name in frozen]


def _stop_training(parameter):
    parameter.update_rule.enabled = False
    # Then no gradient is computed, and none counts when gradients are clipped. Chainer has no
    # public way to say so of a parameter.
    parameter._requires_grad = parameter.node._requires_grad = False


class _Frozen:
    """Mixed into a link: forward as in a test, and outside of the graph where that can be."""

    def forward(self, x):
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

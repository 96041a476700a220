"""Learning rate and weight decay of some parameters, apart from those of the others.

A parameter is of one of four kinds: ``bn_gamma`` and ``bn_beta`` of batch normalization, ``bias``
of any other link, and ``weight``, which is all else.
"""

import fnmatch
import math
from collections.abc import Sequence
from typing import NamedTuple

import chainer
import chainer.links as L

from chainer_cifar.errors import UserError
from chainer_cifar.registry import nearest

KINDS = ('weight', 'bias', 'bn_gamma', 'bn_beta')


class Factor(NamedTuple):
    """One of ``--lr_factors``."""

    pattern: str  # a kind, or a shell pattern of the names of links and parameters
    factor: float
    epochs: float  # after so many the parameter stays as it is


def read(text: str) -> list[Factor]:
    """Read the factors that a text such as ``bn_beta=64,stem/*=0.1,whiten/b=1@3`` names.

    Raises:
        UserError: It is malformed.
    """
    factors = []
    for part in filter(None, (part.strip() for part in text.split(','))):
        pattern, equals, value = part.partition('=')
        number, at, epochs = value.partition('@')
        try:
            factor, until = float(number), float(epochs) if at else math.inf
        except ValueError:
            equals = ''
        if not (equals and pattern.strip()) or not 0 <= factor < math.inf or not until >= 0:
            raise UserError(
                f"'{part}': must be like bn_beta=64, or like stem/*=0.1@5 for five epochs"
            )
        factors.append(Factor(pattern.strip(), factor, until))
    return factors


def find(factors: list[Factor], net: chainer.Link) -> dict[str, Factor]:
    """Tell which factor is which parameter's, by its name; the last that fits counts.

    Raises:
        UserError: One fits no parameter.
    """
    found, names = {}, kinds(net)
    for factor in factors:
        fitting = [name for name, kind in names.items() if _fits(factor.pattern, name, kind)]
        if not fitting:
            hint = nearest(factor.pattern, (*KINDS, *names))
            raise UserError(f"'{factor.pattern}': no part of the net is called so{hint}")
        found.update(dict.fromkeys(fitting, factor))
    return found


def _fits(pattern: str, name: str, kind: str) -> bool:
    if pattern in KINDS:
        return kind == pattern
    parts = name.split('/')
    wholes = ('/'.join(parts[:length]) for length in range(1, len(parts) + 1))
    return any(fnmatch.fnmatchcase(whole, pattern.lstrip('/')) for whole in wholes)


def kinds(net: chainer.Link) -> dict[str, str]:
    """Return the kind of each parameter, by its name, such as ``conv1/W``."""
    links = {path.lstrip('/'): link for path, link in net.namedlinks()}
    found = {}
    for path, _ in net.namedparams():
        name = path.lstrip('/')
        parent, _, own = name.rpartition('/')
        if isinstance(links[parent], L.BatchNormalization):
            found[name] = f'bn_{own}'
        else:
            found[name] = 'bias' if own == 'b' else 'weight'
    return found


class Rates:
    """Set the learning rate of an optimizer, and of each parameter that has a factor.

    A value that a parameter's own rule has is not the optimizer's any more, so that all are set
    before each update.

    Args:
        optimizer: Set up on the net.
        attribute: Its learning rate's name.
        factors: Pairs of a `chainer.Parameter` and its `Factor`.
        decay: Decoupled weight decay, which is ``decay * rate`` a step.
    """

    def __init__(
        self,
        optimizer: chainer.Optimizer,
        attribute: str,
        factors: Sequence[tuple[chainer.Parameter, Factor]],
        decay: float | None = None,
    ) -> None:
        self.optimizer = optimizer
        self.attribute = attribute
        self.factors = factors
        self.decay = decay
        self._stop(epoch=0)  # already now: a snapshot has no momentum of what never moves

    def set(self, rate: float, epoch: float) -> None:
        """Set them for an update after `epoch` epochs, of which parts count, too."""
        setattr(self.optimizer, self.attribute, rate)
        if self.decay is not None:
            self.optimizer.weight_decay_rate = rate * self.decay
        for parameter, factor in self.factors:
            setattr(parameter.update_rule.hyperparam, self.attribute, rate * factor.factor)
        self._stop(epoch)

    def _stop(self, epoch: float) -> None:
        for parameter, factor in self.factors:
            if not factor.factor or epoch >= factor.epochs:
                stop(parameter)


def stop(parameter: chainer.Parameter) -> None:
    """Train a parameter no more; with a rate of 0, momentum and weight decay would go on.

    Args:
        parameter: One of a net on which an optimizer has been set up.
    """
    parameter.update_rule.enabled = False
    # Then nobody computes its gradient, or counts it when clipping gradients. Chainer has no public
    # way to set this on a parameter.
    parameter._requires_grad = parameter.node._requires_grad = False

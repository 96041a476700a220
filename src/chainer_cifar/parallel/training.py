"""Make the parts of Chainer's training loop act together with the other processes."""

import functools
from typing import Any

import chainer
import numpy as np

from chainer_cifar.parallel import world
from chainer_cifar.parallel.world import World


def join(optimizer: chainer.Optimizer) -> Any:
    """Return an optimizer that averages the gradients over all processes before each update.

    It is ChainerMN's. That one's first update would only send the first process' parameters to the
    others and drop the gradients, also when a run is resumed; `equalize` sends them instead.
    """
    together = world.current
    if together.size == 1:
        return optimizer
    import chainermn

    wrapped = chainermn.create_multi_node_optimizer(optimizer, together.communicator)
    wrapped.is_changed(optimizer.target)  # which notes the parameters: from here on none is new
    return wrapped


def equalize(model: chainer.Link) -> None:
    """Give all processes the first one's parameters, running statistics and counts."""
    together = world.current
    if together.size == 1:
        return
    for _, param in sorted(model.namedparams()):
        param.array[...] = _of_first(param.array, together)
    for link in model.links():
        for name in sorted(link._persistent):
            value = getattr(link, name)
            if isinstance(value, chainer.get_array_types()):
                value[...] = _of_first(value, together)
            else:
                setattr(link, name, together.from_first(functools.partial(getattr, link, name)))


def _of_first(array: Any, together: World) -> Any:
    on_host = together.from_first(lambda: chainer.cuda.to_cpu(array))
    return chainer.backend.get_array_module(array).asarray(on_host)


def share_report(model: chainer.Chain, reported: dict[str, Any]) -> None:
    """Report the means over the processes in place of what this one has reported of `model`.

    Args:
        model: The net with its loss.
        reported: Arrays without dimensions, by name.
    """
    together = world.current
    if together.size == 1:
        return
    means = together.mean([float(value) for value in reported.values()])
    xp = model.xp
    chainer.report(
        {
            name: chainer.Variable(xp.asarray(mean, np.float32))
            for name, mean in zip(reported, means, strict=True)
        },
        model,
    )

"""Put the state in a snapshot into a trainer, and check that it makes sense."""

from collections.abc import Mapping

import chainer
import numpy as np

from chainer_cifar.arrays import Array
from chainer_cifar.errors import first_line
from chainer_cifar.weights.deserializer import CheckedDeserializer, require_finite


def restore(trainer: chainer.training.Trainer, state: Mapping[str, Array]) -> None:
    """Put `state` into a trainer that was made from the same flags and data.

    Args:
        trainer: Of a run; see trainer.py.
        state: Arrays by name, from `snapshot.load`.

    Raises:
        KeyError: An array is missing.
        ValueError: The state makes no sense; do not use the trainer, except to restore another one.
    """
    model = trainer.updater.get_optimizer('main').target
    for param in model.params():
        param.update_rule._state = None  # left by a snapshot that did not fit
    try:
        CheckedDeserializer(state).load(trainer)
    except KeyError:
        raise
    except (TypeError, AttributeError, LookupError, OverflowError, RecursionError) as error:
        raise ValueError(first_line(error)) from None
    _check_place(trainer.updater, state)
    _check_arrays(model)


def _check_place(updater: chainer.training.Updater, state: Mapping[str, Array]) -> None:
    """Raise ValueError unless the numbers for the place in the run agree with each other."""
    iterator, count = updater.get_iterator('main'), len(updater.get_iterator('main').dataset)
    if not iterator.may_have(state['updater/iterator:main/order']):
        raise ValueError('the order of the images is not one of an epoch')
    passed = iterator.epoch * count + iterator.current_position
    inside = 0 <= iterator.current_position < count
    if not inside or passed != updater.iteration * iterator.batch_size:
        raise ValueError(f'iteration {updater.iteration} is not at this place of an epoch')
    rows = updater.log.rows
    if len(rows) != iterator.epoch:
        raise ValueError(f'the log has {len(rows)} rows after {iterator.epoch} epochs')


def _check_arrays(model: chainer.Link) -> None:
    """Raise ValueError unless all parameters are finite and fit their optimizer state."""
    require_finite(model)
    for name, param in model.namedparams():
        states = param.update_rule.state or {}
        dtype = np.promote_types(param.dtype, np.float32)  # that of the master; see optim/mixed.py
        for key, array in states.items():
            if (array.shape, array.dtype) != (param.shape, dtype):
                raise ValueError(
                    f'{key} of {name} is {array.dtype} {array.shape}, not {dtype} {param.shape}'
                )

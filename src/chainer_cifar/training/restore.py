"""Put the state in a snapshot into a trainer, and check that it can be one."""

import numpy as np

from chainer_cifar.weights.deserializer import CheckedDeserializer, require_finite


def restore(run, state):
    """Put `state` into a run that was made from the same flags and data.

    Args:
        run (chainer_cifar.training.trainer.Run): See trainer.py.
        state (dict): Arrays by their names, as `snapshot.load` gives them.

    Raises:
        KeyError: Something is missing in it.
        ValueError: Something in it cannot be; the trainer must not be used, but may be filled anew.
    """
    model = run.trainer.updater.get_optimizer('main').target
    for param in model.params():
        param.update_rule._state = None  # left by a snapshot that did not fit
    try:
        CheckedDeserializer(state).load(run.trainer)
    except (TypeError, AttributeError, LookupError, OverflowError, RecursionError) as error:
        if isinstance(error, KeyError):
            raise
        raise ValueError(str(error) or type(error).__name__) from None
    _check_place(run.trainer.updater, run.log, state)
    _check_arrays(model)


def _check_place(updater, log, state):
    """ValueError unless the numbers that say where a run is agree with each other."""
    iterator, count = updater.get_iterator('main'), len(updater.get_iterator('main').dataset)
    order = np.sort(state['updater/iterator:main/order'])
    if not np.array_equal(order, np.arange(count)):
        raise ValueError('the order of the images does not hold each of them once')
    passed = iterator.epoch * count + iterator.current_position
    inside = 0 <= iterator.current_position < count
    if not inside or passed != updater.iteration * iterator.batch_size:
        raise ValueError(f'iteration {updater.iteration} is not at this place of an epoch')
    if len(log.rows) != iterator.epoch:
        raise ValueError(f'the log has {len(log.rows)} rows after {iterator.epoch} epochs')


def _check_arrays(model):
    """ValueError unless all parameters are finite and have an optimizer state of their shape."""
    require_finite(model)
    for name, param in model.namedparams():
        states = param.update_rule.state or {}
        for key, array in states.items():
            if (array.shape, array.dtype) != (param.shape, param.dtype):
                raise ValueError(
                    f'{key} of {name} is {array.dtype} {array.shape}, '
                    f'not {param.dtype} {param.shape}'
                )

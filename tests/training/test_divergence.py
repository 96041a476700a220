import types
import warnings

import numpy as np
import pytest

import strict_array
from chainer_cifar.config import TrainConfig
from chainer_cifar.errors import UserError
from chainer_cifar.parallel import world
from chainer_cifar.training.divergence import (
    EVERY,
    LEARNED,
    FailOnNonNumber,
    WarnOfChance,
    single_values_told,
)


def module_of(values):
    """NumPy, or its stand-in for CuPy if the arrays are its."""
    return np if isinstance(values[0], np.ndarray) else strict_array.xp


def net(values):
    """As much of a net as is asked for."""
    params = [types.SimpleNamespace(array=value) for value in values]
    return types.SimpleNamespace(xp=module_of(values), params=lambda: iter(params))


def trainer(iteration, is_new_epoch=False, xp=np):
    """As much of a Trainer as is asked for."""
    updater = types.SimpleNamespace(
        iteration=iteration, is_new_epoch=is_new_epoch, device=types.SimpleNamespace(xp=xp)
    )
    return types.SimpleNamespace(updater=updater)


def fail_on(values, iteration, is_new_epoch=False):
    """Do what the extension does after an iteration that left these values."""
    FailOnNonNumber(net(values))(trainer(iteration, is_new_epoch, module_of(values)))


def arrays(bad):
    values = [np.ones((2, 3), np.float32), np.zeros(4, np.float32), np.ones(1, np.float32)]
    if bad is not None:
        values[1][2] = bad
    return values


@pytest.mark.parametrize('bad', [np.nan, np.inf, -np.inf])
def test_on_a_cpu_each_iteration_counts(bad):
    fail_on(arrays(None), 7)
    with pytest.raises(UserError, match=r'diverged.* after iteration 7; try a lower --lr'):
        fail_on(arrays(bad), 7)


@pytest.mark.parametrize('moment', [(EVERY, False), (EVERY + 7, True)])
def test_on_a_gpu_some_do(moment):
    on_gpu = [strict_array.StrictArray(value) for value in arrays(np.nan)]
    fail_on(on_gpu, EVERY + 7)
    with pytest.raises(UserError, match='diverged'):
        fail_on(on_gpu, *moment)


def test_the_gpu_is_asked_once(monkeypatch):
    asked = []
    answer = strict_array.StrictArray.__bool__
    monkeypatch.setattr(
        strict_array.StrictArray, '__bool__', lambda self: asked.append(1) or answer(self)
    )
    fail_on([strict_array.StrictArray(v) for v in arrays(None)], EVERY)
    assert len(asked) == 1


@pytest.mark.parametrize(
    ('errors', 'iteration', 'n_warnings'),
    [
        ([90.1, 89.5, 90.0], LEARNED, 1),
        ([80.0, 90.0], LEARNED, 1),
        ([88.9, 70.0], LEARNED, 0),
        ([90.1, 89.5], LEARNED - 1, 0),
    ],
)
def test_a_net_that_learns_nothing_is_told_of_once(capsys, errors, iteration, n_warnings):
    log = types.SimpleNamespace(rows=[])
    warn = WarnOfChance(log, n_class=10)
    for epoch, error in enumerate(errors, 1):
        log.rows.append({'epoch': epoch, 'train_error': error})
        warn(trainer(iteration, is_new_epoch=True))
    assert capsys.readouterr().err.count('warning: epoch ') == n_warnings


@pytest.mark.parametrize('first', [True, False])
@pytest.mark.parametrize('sync_bn', [True, False])
def test_single_values_in_several_processes(monkeypatch, capsys, sync_bn, first):
    monkeypatch.setattr(world, 'current', types.SimpleNamespace(size=4, first=first))
    with single_values_told(TrainConfig(batch_size=4, processes=4, sync_bn=sync_bn)):
        warnings.warn('A batch with no more than one sample has been given', stacklevel=1)
    err = capsys.readouterr().err
    assert err.count('\n') == (first and not sync_bn)
    assert not err or err.endswith('; give a larger --batch_size or --sync_bn\n')


def test_other_warnings_are_shown_beside_the_watch_for_single_values(capsys):
    with pytest.warns(UserWarning, match='^other$'), single_values_told(TrainConfig()):
        warnings.warn('other', stacklevel=1)
    assert capsys.readouterr().err == ''

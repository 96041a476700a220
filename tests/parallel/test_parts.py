"""What each of several processes computes, without any other process."""

import selectors
import signal
import socket
import sys
import threading
import time
import types

import chainer
import numpy as np
import pytest
from chainer.functions.noise.dropout import Dropout
from chainermn.functions.batch_normalization import _MpiImpl

import chainer_onednn
from chainer_cifar import randomness
from chainer_cifar.data import augment
from chainer_cifar.errors import UserError
from chainer_cifar.evaluation.metrics import loss_and_errors
from chainer_cifar.nets.weight_normalization import WeightNormalizedConvolution2D
from chainer_cifar.parallel import dropout, environment, launch, normalization, training, world


class Pretended(world.World):
    """A process of several, of which the others do nothing."""

    def __init__(self, rank, size):
        self.rank, self.size = rank, size


def test_parts_make_up_the_batch():
    parts = [Pretended(rank, 4).part(12) for rank in range(4)]
    assert [i for part in parts for i in range(12)[part]] == list(range(12))
    assert world.current.part(12) == slice(0, 12)


@pytest.mark.parametrize('text', ['crop,mirror', 'rotate(20)|altflip', 'erase|crop', 'mixup', ''])
def test_a_part_of_an_augmented_batch_is_that_of_the_whole(text):
    rng = np.random.RandomState(0)
    x = rng.randn(12, 3, 32, 32).astype(np.float32)
    number = np.arange(12)
    batch = augment.Batch(x, (number % 3).astype(np.int32), number, number % 2)
    step = augment.create(text, 1, 3, black=0)
    images, labels = step(np, batch, np.random.RandomState(5))
    found = []
    for rank in range(3):
        state = np.random.RandomState(5)
        found.append(step(np, batch, state, Pretended(rank, 3).part(12)))
        after = state.rand()
    np.testing.assert_array_equal(np.concatenate([x for x, _ in found]), images)
    np.testing.assert_array_equal(np.concatenate([t for _, t in found]), labels)
    state = np.random.RandomState(5)
    step(np, batch, state)
    assert state.rand() == after


@pytest.mark.parametrize('engine', [False, True])
def test_dropout_masks_do_not_depend_on_the_number_of_processes(monkeypatch, engine):
    x = np.ones((6, 5, 4, 4), np.float32)
    if engine:
        chainer_onednn.enable()
    try:
        np.random.seed(3)
        whole = chainer.functions.dropout(x, 0.3).array
        after = np.random.rand()
        monkeypatch.setattr(Dropout, 'forward', dropout._forward, raising=False)
        for rank in range(3):
            here = Pretended(rank, 3)
            monkeypatch.setattr(world, 'current', here)
            np.random.seed(3)
            part = chainer.functions.dropout(x[here.part(6)], 0.3).array
            np.testing.assert_array_equal(part, whole[here.part(6)])
            assert np.random.rand() == after
    finally:
        chainer_onednn.disable()


def test_all_start_from_the_net_of_the_first(monkeypatch):
    def net():
        return chainer.Sequential(
            WeightNormalizedConvolution2D(1, 2, 3),
            chainer.links.BatchNormalization(2),
            chainer.links.Linear(4, 3),
        )

    sent, (first, other) = [], (net(), net())
    first[0].initialized, first[1].N, first[1].avg_mean[:] = True, 7, 5
    here = Pretended(0, 2)
    here.from_first = lambda function: sent.append(function()) or sent[-1]
    monkeypatch.setattr(world, 'current', here)
    training.equalize(first)
    here.from_first = lambda function: sent.pop(0)
    training.equalize(other)
    assert other[0].initialized is True and other[1].N == 7 and other[1].avg_mean[0] == 5
    for (_, theirs), (_, ours) in zip(first.namedparams(), other.namedparams(), strict=True):
        np.testing.assert_array_equal(ours.array, theirs.array)


@pytest.mark.parametrize(('dtype', 'mean', 'std'), [('float16', 0, 100), ('float32', 100, 1e-3)])
def test_variance_by_chainermn_is_finite_and_not_negative(dtype, mean, std):
    alone = types.SimpleNamespace(_multi_node_mean=lambda sendbuf, recvbuf: None)
    x = (mean + std * np.random.RandomState(0).randn(8, 16, 8, 8)).astype(dtype)
    gamma = np.ones((1, 16, 1, 1), np.float32)
    impl = normalization._in_full_range(_MpiImpl)(alone)
    found = impl.get_mean_and_var((0, 2, 3), gamma, x, np, np.float32)
    wide = x.astype(np.float64)
    np.testing.assert_allclose(found[0], wide.mean((0, 2, 3)), rtol=1e-4, atol=1e-3)
    # Of numbers near 100 float32 keeps seven digits of the square, hence the tolerance.
    np.testing.assert_allclose(found[1], wide.var((0, 2, 3)), rtol=1e-4, atol=2e-3)
    assert found[1].dtype == np.float32 and (found[1] >= 0).all()


def test_numbers_for_images_do_not_depend_on_the_number_of_processes():
    np.random.seed(0)
    whole = randomness.uniform(np, (6, 1))
    try:
        for rank in range(2):
            randomness.set_part(rank, 2)
            np.random.seed(0)
            part = randomness.uniform(np, (3, 1))
            np.testing.assert_array_equal(part, whole[3 * rank : 3 * rank + 3])
    finally:
        randomness.set_part(0, 1)


def test_shared_evaluation_gives_the_same_bits():
    rng = np.random.RandomState(0)
    net = chainer.links.Linear(4, 12)
    batches = [
        (rng.randn(n, 4).astype(np.float32), rng.randint(12, size=n).astype(np.int32))
        for n in (8, 8, 8, 3)
    ]
    tables = []

    def keep(table):
        tables.append(table)
        return table

    expected = loss_and_errors(net, batches)
    for rank in range(3):
        loss_and_errors(net, Pretended(rank, 3).mine(batches), gather=keep)

    def all_rows(table):
        whole = np.empty((4, 5))
        for rank, part in enumerate(tables):
            whole[rank::3] = part
        return whole

    assert loss_and_errors(net, [], gather=all_rows) == expected
    assert 'top5_error' in expected


@pytest.mark.parametrize(
    ('variables', 'count'),
    [
        ({}, 1),
        ({'OMPI_COMM_WORLD_SIZE': '4'}, 4),
        ({'PMI_SIZE': '2'}, 2),
        ({'SLURM_PROCID': '0', 'SLURM_STEP_ID': '0', 'SLURM_STEP_NUM_TASKS': '8'}, 8),
        ({'SLURM_PROCID': '0', 'SLURM_NTASKS': '8'}, 1),  # the batch script's own process
    ],
)
def test_who_was_started_with_us(variables, count):
    assert environment.started_processes(variables) == count


class Blocking:
    """A communicator whose barrier takes as long as the test wants."""

    def __init__(self):
        self.begun, self.over = threading.Event(), threading.Event()

    def Barrier(self):
        self.begun.set()
        self.over.wait(10)


def test_how_long_a_process_has_waited():
    blocking = Blocking()
    comm = world.Watched(blocking)
    assert comm.seconds_waiting() == 0
    comm.wait_anew()
    assert comm.seconds_waiting() == 0
    thread = threading.Thread(target=comm.Barrier)
    thread.start()
    assert blocking.begun.wait(10)
    time.sleep(0.2)
    waited = comm.seconds_waiting()
    assert waited >= 0.2
    comm.wait_anew()
    assert comm.seconds_waiting() < waited
    blocking.over.set()
    thread.join()
    assert comm.seconds_waiting() == 0


@pytest.fixture
def family(tmp_path):
    """What looks after two processes, and the processes' ends of the lines to it."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / 'link'))
        listener.listen()
        found = launch._Family(2, None, listener, None, 'train.py')
        lines = []
        for _ in range(2):
            ours, theirs = socket.socketpair()
            found.processes.append(launch._Process(ours))
            found.selector.register(ours, selectors.EVENT_READ, found.processes[-1])
            lines.append(theirs)
        yield found, lines
        for line in lines:
            line.close()


def test_all_that_wait_are_told_of_once(capsys, family):
    looks_after, lines = family
    for message in ('begin 0 1234', 'waiting 30', 'waiting 30'):
        lines[0].sendall(f'{message}\n'.encode())
    looks_after._listen(1)
    assert capsys.readouterr().err == (
        'warning: waiting for a process for 30 seconds; is one of them stopped? '
        '(process ids: 1234)\n'
    )


def test_who_is_lost_is_told_once_and_by_name(capsys, family):
    looks_after, (one, other) = family
    for line, message in (
        (one, 'begin 0 1234'),
        (other, 'begin 1 5678'),
        (other, 'waiting 30'),
        (other, 'going'),
        (one, 'waiting 30'),
        (one, 'lost 600'),
        (other, 'lost 600'),
    ):
        line.sendall(f'{message}\n'.encode())
        looks_after._listen(1)
    assert capsys.readouterr().err.splitlines()[1:] == [
        'train.py: error: process 1 (process id 5678) did not answer for 600 seconds; '
        'continue with --resume'
    ]
    assert [each.status for each in looks_after.ended] == [2, 2]


def test_a_signal_before_they_begin_gives_them_some_time(monkeypatch, family):
    looks_after, lines = family
    now = [0.0]
    monkeypatch.setattr(launch, 'time', types.SimpleNamespace(monotonic=lambda: now[0]))
    looks_after._on_signal(signal.SIGTERM, None)
    assert not looks_after._overdue()
    now[0] = launch.BEGINNING + 1
    assert looks_after._overdue()
    monkeypatch.setattr(launch, '_send_signal', lambda *_: None)
    for rank, line in enumerate(lines):
        line.sendall(f'begin {rank} 1234\n'.encode())
        looks_after._listen(1)
    assert not looks_after._overdue()  # they end when they have written a snapshot


def test_no_signal_goes_to_one_that_is_lost(monkeypatch, family):
    looks_after, (one, other) = family
    sent = []
    monkeypatch.setattr(launch, '_send_signal', lambda pid, number: sent.append(pid))
    for line, message in (one, 'begin 0 1234'), (other, 'begin 1 5678'):
        line.sendall(f'{message}\n'.encode())
        looks_after._listen(1)
    one.shutdown(socket.SHUT_WR)
    looks_after._listen(1)
    looks_after._on_signal(signal.SIGTERM, None)
    assert sent == [5678]


class Ended(Exception):
    """In place of the end of a process."""


@pytest.mark.parametrize('started_by_us', [True, False])
def test_what_a_process_says_that_waits(monkeypatch, capsys, started_by_us):
    sent = []

    def end(status):
        raise Ended(status)

    waits = iter([0, 31, 32, 2, 31, 601])
    here = world.Several.__new__(world.Several)
    here.rank, here._abort, here._speak = 3, end, lambda: None
    here._link = types.SimpleNamespace(send=sent.append) if started_by_us else None
    here._comm = types.SimpleNamespace(seconds_waiting=lambda: next(waits))
    monkeypatch.setattr(world, 'time', types.SimpleNamespace(monotonic=lambda: 0, sleep=int))
    monkeypatch.setattr(sys, 'argv', ['src/train.py'])
    with pytest.raises(Ended, match='2'):
        here.watch()
    err = capsys.readouterr().err
    if started_by_us:
        assert sent == ['waiting 30', 'going', 'waiting 30', 'lost 600'] and err == ''
    else:
        assert err.startswith('train.py: error: process 3 (on ') and err.count('\n') == 1
        assert err.endswith(
            'another process did not answer for 600 seconds; continue with --resume\n'
        )


def test_a_reason_that_all_have_is_told_once_and_arrives_in_pieces(capsys, family):
    looks_after, lines = family
    message = 'end 2 no MPI in größe\n'.encode()
    within_a_letter = message.index(b'\xb6')
    for line in lines:
        for part in (message[:within_a_letter], message[within_a_letter:]):
            line.sendall(part)
            looks_after._listen(1)
    assert capsys.readouterr().err == 'train.py: error: no MPI in größe\n'
    assert [each.status for each in looks_after.ended] == [2, 2]


def test_on_how_many_machines():
    size = {'OMPI_COMM_WORLD_SIZE': '4'}
    assert environment.on_several_machines({**size, 'OMPI_COMM_WORLD_LOCAL_SIZE': '2'})
    assert not environment.on_several_machines({**size, 'OMPI_COMM_WORLD_LOCAL_SIZE': '4'})
    assert not environment.on_several_machines({})


def test_odd_environment():
    with pytest.raises(UserError, match='PMI_SIZE=x'):
        environment.started_processes({'PMI_SIZE': 'x'})

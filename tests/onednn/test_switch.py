import multiprocessing
import os
import pathlib
import shutil
import subprocess
import sys
import textwrap

import chainer
import chainer.functions as F
import numpy as np
import pytest
import threadpoolctl
from chainer.functions.activation.relu import ReLU
from chainer.functions.connection.convolution_2d import Convolution2DFunction

import chainer_onednn
from chainer_onednn import dnnl, kernels, library, replace, threads, winograd
from side_by_side import random


def methods():
    return [vars(owner).get(name) for owner, name, _ in replace._replacements]


def test_enable_and_disable():
    with chainer_onednn.enable():  # the replacing modules are imported at first use
        pass
    before = methods()
    chainer_onednn.enable()
    assert chainer_onednn.is_enabled() and chainer_onednn.describe().startswith('oneDNN 3.')
    chainer_onednn.enable()  # again: nothing more
    during = methods()
    assert all(now is not then for now, then in zip(during, before, strict=True))
    chainer_onednn.disable()
    assert methods() == before
    assert not chainer_onednn.is_enabled() and chainer_onednn.describe() is None
    assert 'forward_cpu' in vars(Convolution2DFunction) and 'apply' not in vars(ReLU)


def test_a_method_that_somebody_else_replaced_comes_back(monkeypatch):
    def mine(self, inputs):
        return (inputs[0] * 3,)

    monkeypatch.setattr(ReLU, 'forward_cpu', mine)
    with chainer_onednn.enable():
        pass
    assert vars(ReLU)['forward_cpu'] is mine


def test_context_managers_nest():
    with chainer_onednn.enable():
        with chainer_onednn.enable():
            assert chainer_onednn.is_enabled()
        assert chainer_onednn.is_enabled()
    assert not chainer_onednn.is_enabled()


@pytest.mark.parametrize('wanted', [False, True])
def test_disabled_for_a_block(wanted):
    with chainer_onednn.disable():
        pass
    assert not chainer_onednn.is_enabled()
    with chainer_onednn.enable(winograd=wanted):
        was = chainer_onednn.describe(), winograd.is_allowed()
        for _ in range(2):
            with chainer_onednn.disable(), chainer_onednn.disable():
                assert not chainer_onednn.is_enabled()
            assert (chainer_onednn.describe(), winograd.is_allowed()) == was
    assert not chainer_onednn.is_enabled()


def test_a_graph_survives_disabling():
    rng = np.random.RandomState(0)
    x = chainer.Variable(random(rng, 2, 3, 8, 8))
    link = chainer.Sequential(
        chainer.links.Convolution2D(3, 16, 3),
        chainer.links.BatchNormalization(16),
        F.relu,
        lambda h: F.max_pooling_2d(h, 2),
        chainer.links.Linear(10),
    )
    with chainer_onednn.enable():
        y = link(x)
        F.sum(y).backward(retain_grad=True)
        wanted = x.grad
        x.cleargrad()
        y = link(x)
    F.sum(y).backward()
    np.testing.assert_allclose(x.grad, wanted, atol=1e-5 * np.abs(wanted).max())


PROGRAM = textwrap.dedent(
    """
    import chainer_onednn
    import chainer, numpy as np
    import chainer.functions as F
    chainer_onednn.enable()
    chainer_onednn.enable()
    print(chainer_onednn.is_enabled())
    y = F.convolution_2d(np.ones((1, 3, 4, 4), 'f'), np.ones((2, 3, 3, 3), 'f'))
    print(F.relu(y).array.max())
    """
)


SOURCE = pathlib.Path(chainer_onednn.__file__).parent.parent


def python(program, source=SOURCE, **environment):
    return subprocess.run(
        [sys.executable, '-c', program],
        env={**os.environ, 'PYTHONPATH': str(source), **environment},
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_switched_off_by_the_environment():
    done = python(PROGRAM, CHAINER_ONEDNN='0')
    assert (done.stdout, done.stderr) == ('False\n27.0\n', '')


@pytest.mark.parametrize('content', [None, b'not a library', b''])
def test_a_wrong_library_is_told_in_one_line(tmp_path, content):
    path = tmp_path / 'libdnnl.so.3'
    if content is not None:
        path.write_bytes(content)
    done = python(PROGRAM, CHAINER_ONEDNN_LIBRARY=str(path))
    assert done.stdout == 'False\n27.0\n' and done.returncode == 0
    assert done.stderr.count('\n') == 1
    assert 'Chainer runs on its own' in done.stderr and str(path) in done.stderr


def test_a_library_of_something_else():
    done = python(PROGRAM, CHAINER_ONEDNN_LIBRARY='libm.so.6')
    assert done.stdout == 'False\n27.0\n' and done.stderr.count('\n') == 1


@pytest.fixture
def copy(tmp_path):
    """A folder with the engine and what it needs, without kernels."""
    for name in ('chainer_compat', 'chainer_onednn'):
        unwanted = shutil.ignore_patterns('*.so', '__pycache__')
        shutil.copytree(SOURCE / name, tmp_path / name, ignore=unwanted)
    return tmp_path


def as_if_wanted(source, **environment):
    return python(PROGRAM, source, **{kernels.VARIABLE: '', **environment})


def test_missing_kernels_are_told_in_one_line(copy):
    done = as_if_wanted(copy)
    assert done.stdout == 'True\n27.0\n' and done.returncode == 0
    assert done.stderr.count('\n') == 1, done.stderr
    assert 'was not built' in done.stderr and kernels.COMMAND in done.stderr
    done = as_if_wanted(copy, **{kernels.VARIABLE: '0'})
    assert (done.stdout, done.stderr) == ('True\n27.0\n', '')


@pytest.mark.skipif(not kernels.available(), reason='no kernels')
def test_kernels_of_other_sources_are_not_used(copy):
    for library_ in SOURCE.glob('chainer_onednn/kernels/*.so'):
        shutil.copy(library_, copy / 'chainer_onednn/kernels')
    assert as_if_wanted(copy).stderr == ''
    with open(copy / 'chainer_onednn/kernels/common.h', 'a', encoding='utf-8') as file:
        file.write('// more\n')
    done = as_if_wanted(copy)
    assert done.stdout == 'True\n27.0\n' and done.stderr.count('\n') == 1, done.stderr
    assert 'built from other sources' in done.stderr


@pytest.mark.parametrize('content', [b'', b'no library'])
def test_a_broken_library_of_kernels(copy, content):
    for name in ('avx2.so', 'avx512.so'):
        (copy / 'chainer_onednn/kernels' / name).write_bytes(content)
    done = as_if_wanted(copy)
    assert done.stdout == 'True\n27.0\n' and done.stderr.count('\n') == 1, done.stderr


@pytest.mark.parametrize(
    ('name', 'value', 'text'),
    [
        ('machine', lambda: 'aarch64', 'aarch64 is not x86-64'),
        ('version', lambda _: (2, 7, 3), 'oneDNN 2.7.3'),
        ('isa', 0x03, 'no AVX2'),
    ],
)
def test_unsuitable(monkeypatch, name, value, text):
    if name == 'machine':
        monkeypatch.setattr(library.platform, 'machine', value)
    elif name == 'version':
        monkeypatch.setattr(library, 'version', value)
    else:
        monkeypatch.setattr(library, 'AVX2', 0x8000)
    with pytest.raises(library.Unavailable, match=text):
        library.load()


def report(pipe=subprocess.PIPE):
    return subprocess.Popen(
        [sys.executable, '-m', 'chainer_onednn'],
        env={**os.environ, 'PYTHONPATH': str(SOURCE), 'OMP_NUM_THREADS': '1'},
        stdout=pipe,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_report_of_the_command():
    out, errors = (process := report()).communicate(timeout=120)
    assert process.returncode == 0 and 'the self-test passed' in out, errors
    assert out.startswith('oneDNN 3.') and out.splitlines()[0].endswith(', 1 thread')
    assert 'GFLOP/s' in out
    assert f'\nkernels  {kernels.describe()}\n' in out
    times = [line for line in out.splitlines() if ' ms' in line]
    assert all(line.count(' ms') == 2 + kernels.available() for line in times) and times


def test_the_report_ends_quietly_without_a_reader():
    with report() as process:
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == '' and process.wait(120) == 1


def test_number_of_threads():
    program = 'from chainer_onednn import threads; print(threads.count(), threads.described())'
    assert python(program, OMP_NUM_THREADS='1').stdout == '1 1 thread\n'
    assert python(program, OMP_NUM_THREADS='3').stdout == '3 3 threads\n'


@pytest.mark.parametrize('variable', ['OMP_THREAD_LIMIT=1', 'OMP_DYNAMIC=true'])
def test_fewer_threads_than_openmp_names(variable):
    # oneDNN left out what the other threads should have done.
    program = """
import numpy as np
import chainer_compat, chainer_onednn
import chainer.functions as F
x, w = np.ones((8, 16, 8, 8), 'f'), np.ones((16, 16, 3, 3), 'f')
wanted = F.convolution_2d(x, w, stride=2).array
chainer_onednn.enable()
np.testing.assert_allclose(F.convolution_2d(x, w, stride=2).array, wanted, rtol=1e-5)
np.testing.assert_allclose(F.linear(x, np.ones((16, 1024), 'f')).array, 1024, rtol=1e-5)
"""
    name, _, value = variable.partition('=')
    done = python(program, OMP_NUM_THREADS='4', **{name: value})
    assert done.returncode == 0, done.stderr


def test_openmp_keeps_the_users_number_of_threads(engine):
    with threadpoolctl.threadpool_limits(3, user_api='openmp'):
        assert threads.count() == 3
        with chainer_onednn.disable():
            assert threads.count() == 3
        assert threads.count() == 3


def _child(queue):
    with chainer_onednn.disable():  # after which the threads of the parent were expected here
        pass
    x, w = np.ones((8, 16, 8, 8), 'f'), np.ones((16, 16, 3, 3), 'f')
    queue.put(F.relu(F.convolution_2d(x, w, pad=1)).array)


@pytest.mark.filterwarnings('ignore:.*multi-threaded, use of fork:DeprecationWarning')
def test_a_forked_process_computes(engine):
    x, w = np.ones((8, 16, 8, 8), 'f'), np.ones((16, 16, 3, 3), 'f')
    wanted = F.relu(F.convolution_2d(x, w, pad=1)).array
    context = multiprocessing.get_context('fork')
    queue = context.Queue()
    child = context.Process(target=_child, args=(queue,))
    child.start()
    np.testing.assert_allclose(queue.get(timeout=60), wanted, rtol=1e-5)
    child.join(60)
    assert child.exitcode == 0
    np.testing.assert_array_equal(F.relu(F.convolution_2d(x, w, pad=1)).array, wanted)


def test_threads_of_one_process(engine):
    from concurrent.futures import ThreadPoolExecutor

    inputs = [random(np.random.RandomState(i), 4, 16, 8, 8) for i in range(8)]
    w = random(np.random.RandomState(9), 16, 16, 3, 3)

    def work(x):
        with chainer.no_backprop_mode():
            return F.relu(F.convolution_2d(x, w)).array

    wanted = [work(x) for x in inputs]
    with ThreadPoolExecutor(4) as pool:
        for _ in range(5):
            for got, want in zip(pool.map(work, inputs), wanted, strict=True):
                np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-4)


def test_the_cache_of_primitives_is_bounded(monkeypatch):
    monkeypatch.setattr(dnnl, '_LIMIT', 3)
    made = []

    @dnnl.cached
    def make(number):
        made.append(number)
        return number

    for _ in range(2):
        for number in range(5):
            assert make(number) == number
            assert make(number) == number
    assert len(made) <= 10 and len(dnnl._thread().caches) <= 3


def test_what_is_unsupported_is_remembered():
    tried = []

    @dnnl.cached
    def make():
        tried.append(1)
        raise dnnl.Unsupported('no')

    for _ in range(3):
        with pytest.raises(dnnl.Unsupported):
            make()
    assert len(tried) == 1

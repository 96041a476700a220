import sys
import types
import warnings

import chainer
import numpy as np
import pytest

import chainer_onednn
from chainer_cifar import device
from chainer_cifar.config import TrainConfig
from chainer_cifar.errors import UserError
from chainer_onednn import kernels, winograd


def test_cpu():
    assert device.get_device(-1).xp is np
    described = device.describe(device.get_device())
    assert described['kind'] == 'cpu' and described['name']


def test_cpu_engines():
    described = device.describe(device.get_device(-1, cpu_engine='onednn'))
    assert chainer_onednn.is_enabled() and described['engine'].startswith('oneDNN 3.')
    described = device.describe(device.get_device(-1, cpu_engine='onednn-direct'))
    assert chainer_onednn.is_enabled() and not winograd.is_allowed()
    if kernels.available():
        assert described['engine'].endswith('direct convolution')
    described = device.describe(device.get_device(-1, cpu_engine='onednn'))
    assert winograd.is_allowed() and 'direct' not in described['engine']
    described = device.describe(device.get_device(-1, cpu_engine='chainer'))
    assert described['engine'] is None
    assert not chainer_onednn.is_enabled()


def fake_cupy(monkeypatch, count):
    def get_count():
        if isinstance(count, Exception):
            raise count
        return count

    cupy = types.ModuleType('cupy')
    cupy.cuda = types.SimpleNamespace(runtime=types.SimpleNamespace(getDeviceCount=get_count))
    monkeypatch.setitem(sys.modules, 'cupy', cupy)


def test_without_cupy(monkeypatch):
    # None in sys.modules is how Python says that a module cannot be imported.
    monkeypatch.setitem(sys.modules, 'cupy', None)
    with pytest.raises(UserError, match=r'^CuPy is not installed'):
        device.get_device(0)
    with pytest.raises(UserError, match=r'^-g 0: CuPy is not installed.*, or give -g -1'):
        TrainConfig(gpu=0).open_device()


def test_without_a_driver(monkeypatch):
    fake_cupy(monkeypatch, RuntimeError('cudaErrorNoDevice: no CUDA-capable device\nmore'))
    with pytest.raises(UserError, match=r'no usable GPU \(cudaErrorNoDevice.*nvidia-smi') as error:
        device.get_device(0)
    assert '\n' not in str(error.value)


@pytest.mark.parametrize(('count', 'text'), [(0, 'none'), (1, '0 only'), (4, '0 to 3')])
def test_no_such_gpu(monkeypatch, count, text):
    fake_cupy(monkeypatch, count)
    with pytest.raises(UserError, match=rf'^no such GPU \(there is {text}\)'):
        device.get_device(7)


def fake_gpu(monkeypatch, use):
    """Let Chainer give a GPU that is made current by `use`, with its warning of a missing cuDNN."""

    def get(name):
        warnings.warn('cuDNN is not enabled.\nPlease reinstall CuPy', stacklevel=2)
        return types.SimpleNamespace(use=use)

    fake_cupy(monkeypatch, 1)
    monkeypatch.setattr(chainer, 'get_device', get)
    for name in ('cudnn_deterministic', 'autotune'):
        monkeypatch.setattr(chainer.global_config, name, getattr(chainer.global_config, name))
    monkeypatch.setattr(chainer.backends.cuda, 'set_max_workspace_size', lambda size: None)
    mended = []
    monkeypatch.setattr(device.cudnn_pooling, 'mend', lambda: mended.append(True))
    return mended


@pytest.mark.parametrize(
    'text', ['cudaErrorMemoryAllocation: out of memory', 'cudaErrorDevicesUnavailable: busy']
)
def test_a_gpu_that_is_full_or_taken(monkeypatch, text):
    def use():
        raise RuntimeError(f'{text}\nmore')

    fake_gpu(monkeypatch, use)
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        with pytest.raises(UserError, match=rf'^the GPU cannot be used \({text}\); see with nvid'):
            device.get_device(0)
        with pytest.raises(UserError, match=r'^-g 0: the GPU cannot .* or give -g -1') as error:
            TrainConfig(gpu=0).open_device()
    assert '\n' not in str(error.value)


def test_a_missing_cudnn_is_told_once(monkeypatch, capsys):
    fake_gpu(monkeypatch, lambda: None)
    with warnings.catch_warnings(record=True) as given:
        warnings.simplefilter('always')
        device.get_device(0)
    assert not given
    err = capsys.readouterr().err
    assert err.startswith('warning: this CuPy has no cuDNN') and err.count('\n') == 1


def test_a_gpu_gets_our_pooling(monkeypatch):
    mended = fake_gpu(monkeypatch, lambda: None)
    with warnings.catch_warnings():
        device.get_device(0)
    assert mended

"""A GPU or the CPU made ready, or one line that says what is missing."""

import warnings

import chainer
import numpy as np
from chainer.backends import cuda

import chainer_onednn
from chainer_cifar.errors import UserError
from chainer_cifar.streams import tell
from chainer_onednn import memory

# Bytes that a convolution of cuDNN may take for a faster algorithm; Chainer's default is 8 MiB.
WORKSPACE = 256 << 20

CPU_ENGINES = ('onednn', 'onednn-direct', 'chainer')


def get_device(gpu=-1, deterministic=False, cpu_engine='chainer'):
    """The device `gpu`, made current and configured.

    Args:
        gpu (int): Index of a CUDA GPU; negative for the CPU.
        deterministic (bool): Only cuDNN algorithms that give the same bits twice. A CPU always
            does, for one number of threads.
        cpu_engine (str): On the CPU, ``onednn`` (where it can be used; see `chainer_onednn`),
            ``onednn-direct``, the same without Winograd's algorithm, or ``chainer``, its own code.

    Returns:
        chainer.backend.Device: its ``xp`` is NumPy or CuPy; ``send`` brings arrays to it.

    Raises:
        UserError: CuPy, the driver or that GPU is missing.
    """
    if gpu < 0:
        memory.keep_freed()
        if cpu_engine == 'chainer':
            chainer_onednn.disable()
        else:
            chainer_onednn.enable(winograd=cpu_engine == 'onednn')
        return chainer.get_device('@numpy')
    _check_cuda(gpu)
    chainer.global_config.cudnn_deterministic = deterministic
    chainer.global_config.autotune = not deterministic
    device = chainer.get_device(f'@cupy:{gpu}')
    device.use()
    cuda.set_max_workspace_size(WORKSPACE)
    if not cuda.cudnn_enabled:
        warnings.filterwarnings('ignore', message='cuDNN is not enabled')  # Chainer, in three lines
        tell('warning: this CuPy has no cuDNN: slower, and takes more memory (docs/gpu.md)')
    return device


def synchronize(device):
    """Wait until a GPU has done all that it was told; on the CPU nothing is left undone."""
    if device.xp is not np:
        device.device.synchronize()


def _check_cuda(gpu):
    try:
        import cupy
    except ImportError as error:
        if isinstance(error, ModuleNotFoundError) and error.name == 'cupy':
            reason = "CuPy is not installed; pip install '.[gpu]' (see docs/gpu.md)"
        else:
            reason = f'CuPy is installed but does not import ({_first_line(error)})'
        raise UserError(reason) from None
    # `chainer.backends.cuda.available` is true with CUDA's libraries alone. Ask the driver.
    try:
        count = cupy.cuda.runtime.getDeviceCount()
    except Exception as error:  # CuPy has one class of exception for each CUDA library
        raise UserError(
            f'CuPy finds no usable GPU ({_first_line(error)}); '
            f'check the NVIDIA driver with nvidia-smi'
        ) from None
    if gpu >= count:
        present = f'0 to {count - 1}' if count > 1 else '0 only' if count else 'none'
        raise UserError(f'no such GPU (there is {present})')


def describe(device):
    """What a result was computed on, for its config.json."""
    if device.xp is np:
        return {'kind': 'cpu', 'name': _cpu_name(), 'engine': chainer_onednn.describe()}
    runtime = device.xp.cuda.runtime
    return {
        'kind': 'gpu',
        'name': runtime.getDeviceProperties(device.device.id)['name'].decode(),
        'compute capability': device.device.compute_capability,
        'driver': runtime.driverGetVersion(),
        'CUDA': runtime.runtimeGetVersion(),
        'cuDNN': cuda.libcudnn.getVersion() if cuda.cudnn_enabled else None,
    }


def in_words(facts):
    """What `describe` gave, or what config.json holds of it, as a few words for people."""
    return ', '.join(filter(None, (facts['name'], facts.get('engine'))))


def _cpu_name():
    try:
        with open('/proc/cpuinfo', encoding='utf-8') as file:
            return next(line.split(':', 1)[1].strip() for line in file if 'model name' in line)
    except (OSError, StopIteration):
        import platform

        return platform.processor() or platform.machine()


def _first_line(error):
    return str(error).strip().split('\n')[0] or type(error).__name__

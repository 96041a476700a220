"""Turn ``--gpu`` into a ready device, or say in one line what is missing."""

import warnings
from collections.abc import Mapping
from typing import TypeAlias

import chainer
from chainer.backends import cuda

import chainer_onednn
from chainer_cifar import cudnn_pooling, extras
from chainer_cifar.errors import UserError, first_line
from chainer_cifar.streams import tell
from chainer_onednn import memory

# Bytes that a cuDNN convolution may take for a faster algorithm; Chainer's default is 8 MiB.
WORKSPACE = 256 << 20

CPU_ENGINES = ('onednn', 'onednn-direct', 'chainer')

Facts: TypeAlias = dict[str, str | int | None]  # what `describe` tells of a device


def get_device(
    gpu: int = -1, deterministic: bool = False, cpu_engine: str = 'chainer'
) -> chainer.backend.Device:
    """Make the device `gpu` current, configure it and return it.

    Args:
        gpu: Index of a CUDA GPU; negative for the CPU.
        deterministic: Use only cuDNN algorithms that give the same bits twice. The CPU always does,
            as long as the number of threads stays the same.
        cpu_engine: What computes on the CPU: ``onednn`` (if it can be used; see `chainer_onednn`),
            ``onednn-direct``, the same without Winograd's algorithm, or ``chainer``, its own code.

    Returns:
        The device: its ``xp`` is NumPy or CuPy, and its ``send`` brings arrays to it.

    Raises:
        UserError: CuPy, the driver or that GPU is missing, or the GPU is full or taken.
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
    # Chainer warns of it in three lines when it is first asked for a GPU.
    warnings.filterwarnings('ignore', message='cuDNN is not enabled')
    device = chainer.get_device(f'@cupy:{gpu}')
    _use(device)
    cuda.set_max_workspace_size(WORKSPACE)
    cudnn_pooling.mend()
    if not cuda.cudnn_enabled:
        tell(
            'warning: this CuPy has no cuDNN: training is slower and takes more memory '
            '(docs/gpu.md)'
        )
    return device


def synchronize(device: chainer.backend.Device) -> None:
    """Wait until a GPU has done all that it was told to; the CPU has always done so."""
    if isinstance(device, chainer.backend.GpuDevice):
        device.device.synchronize()


def _check_cuda(gpu: int) -> None:
    try:
        import cupy
    except ImportError as error:
        if isinstance(error, ModuleNotFoundError) and error.name == 'cupy':
            reason = f'CuPy is not installed; {extras.install("gpu")} (see docs/gpu.md)'
        else:
            reason = f'CuPy is installed but cannot be imported ({first_line(error)})'
        raise UserError(reason) from None
    # `chainer.backends.cuda.available` is true with CUDA's libraries alone, so ask the driver.
    try:
        count = cupy.cuda.runtime.getDeviceCount()
    except Exception as error:  # CuPy has one class of exception for each CUDA library
        raise UserError(
            f'CuPy finds no usable GPU ({first_line(error)}); '
            f'check the NVIDIA driver with nvidia-smi'
        ) from None
    if gpu >= count:
        present = f'0 to {count - 1}' if count > 1 else '0 only' if count else 'none'
        raise UserError(f'no such GPU (there is {present})')


def _use(device: chainer.backend.Device) -> None:
    try:
        device.use()
    except Exception as error:
        raise UserError(
            f'the GPU cannot be used ({first_line(error)}); see with nvidia-smi whether other '
            f'programs hold it, and wait for them or take another'
        ) from None


def describe(device: chainer.backend.Device) -> Facts:
    """Tell what a result is computed on, for its config.json."""
    if not isinstance(device, chainer.backend.GpuDevice):
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


def in_words(facts: Mapping[str, str | int | None]) -> str:
    """Put what `describe` told, or config.json holds, into a few words for people."""
    return ', '.join(str(fact) for fact in (facts['name'], facts.get('engine')) if fact)


def _cpu_name() -> str:
    try:
        with open('/proc/cpuinfo', encoding='utf-8') as file:
            return next(line.split(':', 1)[1].strip() for line in file if 'model name' in line)
    except (OSError, StopIteration):
        import platform

        return platform.processor() or platform.machine()

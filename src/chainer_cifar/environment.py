"""What a result was computed with: written beside it, and compared on ``--resume``."""

import importlib.metadata
import pathlib
import platform
import subprocess

import chainer_cifar
from chainer_cifar import device as devices


def describe(device):
    """Versions, device and git revision, as plain values for config.json."""
    versions = {'python': platform.python_version(), 'chainer-cifar': chainer_cifar.__version__}
    for name in ('chainer', 'numpy', 'scipy'):
        versions[name] = importlib.metadata.version(name)
    if device.xp.__name__ == 'cupy':
        versions['cupy'] = device.xp.__version__
    return {'versions': versions, 'device': devices.describe(device), 'git': _revision()}


def _revision():
    """The commit of this checkout, ``-dirty`` if changed; None outside of one."""
    folder = pathlib.Path(__file__).parent

    def git(*arguments):
        command = ['git', '-C', str(folder), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    try:
        # A virtual environment may lie in a checkout of something else.
        git('ls-files', '--error-unmatch', pathlib.Path(__file__).name)
        return git('describe', '--always', '--dirty', '--abbrev=40', '--exclude=*')
    except (OSError, subprocess.CalledProcessError):
        return None

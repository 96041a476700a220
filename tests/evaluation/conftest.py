"""What a run leaves behind, without a training."""

import json

import chainer
import numpy as np
import pytest

from chainer_cifar import nets
from chainer_cifar.config import TrainConfig
from chainer_cifar.data.input_transform import InputTransform
from chainer_cifar.data.normalize import Normalization
from chainer_cifar.data.preprocess import Raw

NAMES = ['cat', 'dog', 'ship']


@pytest.fixture
def saved(tmp_path, monkeypatch):
    """Writes models/run with the weights of a new net there; returns the net."""
    monkeypatch.chdir(tmp_path)

    def save(model='simple', checksum='', **flags):
        config = TrainConfig(model=model, prefix='run', normalize='unit', **flags)
        np.random.seed(1)
        net = nets.create(model, len(NAMES), **config.net_options())
        folder = tmp_path / 'models' / 'run'
        folder.mkdir(parents=True)
        chainer.serializers.save_npz(folder / 'best.npz', net)
        description = {'flags': vars(config), 'classes': NAMES, 'data_checksum': checksum}
        (folder / 'config.json').write_text(json.dumps(description))
        InputTransform(Raw(), Normalization(0, 255)).write(folder / 'input.npz')
        return net

    return save

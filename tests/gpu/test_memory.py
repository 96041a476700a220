"""What a GPU's memory is used for, and how a run ends that needs more than there is."""

import chainer
import numpy as np
import pytest

from chainer_cifar import nets
from chainer_cifar.data import batches
from chainer_cifar.data.normalize import Normalization
from runs import DATA, SCRIPT, assert_no_traceback, environment

pytestmark = pytest.mark.gpu


@pytest.fixture
def pool(gpu):
    """CuPy's pool of memory, which holds nothing that nobody uses."""
    pool = gpu.xp.get_default_memory_pool()
    pool.free_all_blocks()
    return pool


@pytest.mark.parametrize('dtype', [np.float32, np.uint8])
def test_images_take_their_own_bytes_once(dtype, gpu, pool):
    images = np.zeros((10_000, 3072), dtype)
    before = pool.used_bytes()
    data = batches.DeviceImages(images, np.zeros(10_000, np.int32), gpu, Normalization(0, 1))
    assert len(data) == 10_000
    assert images.nbytes <= pool.used_bytes() - before < 1.01 * images.nbytes


def test_training_takes_no_more_with_time(gpu, pool):
    net = chainer.links.Classifier(nets.create('vgg'))
    net.to_device(gpu)
    optimizer = chainer.optimizers.MomentumSGD(0.01).setup(net)
    x = gpu.xp.ones((32, 3, 32, 32), np.float32)
    t = gpu.xp.zeros(32, np.int32)
    used, total = [], []
    for _ in range(20):
        optimizer.update(net, x, t)
        used.append(pool.used_bytes())
        total.append(pool.total_bytes())
    # The first steps make gradients, the optimizer's state and workspaces.
    assert len(set(used[5:])) == 1
    assert total[-1] == total[5]


def test_too_little_memory(fresh, spawn):
    arguments = [*DATA, '-m', 'vgg', '-b', '20', '-g', '0', '-p', 'run']
    limited = {**environment(), 'CUPY_GPU_MEMORY_LIMIT': str(20 << 20)}  # vgg's weights take 30
    process = spawn(SCRIPT, *arguments, cwd=fresh, env=limited)
    process.stdout, process.stderr = process.communicate(timeout=120)
    errors = assert_no_traceback(process)
    assert 'out of memory' in errors and 'a smaller --batch_size or net' in errors

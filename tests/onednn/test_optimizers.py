import chainer
import chainer.links as L
import numpy as np
import pytest

import chainer_onednn
from chainer_onednn import kernels, threads
from side_by_side import random

OPTIMIZERS = {
    'MomentumSGD': lambda: chainer.optimizers.MomentumSGD(0.1),
    'NesterovAG': lambda: chainer.optimizers.NesterovAG(0.1),
    'Adam': lambda: chainer.optimizers.Adam(),
    'AdamW': lambda: chainer.optimizers.Adam(weight_decay_rate=0.01, eta=0.5),
    'AMSGrad': lambda: chainer.optimizers.Adam(amsgrad=True),
    'AdaBound': lambda: chainer.optimizers.Adam(adabound=True),
}


@pytest.mark.parametrize('make', OPTIMIZERS.values(), ids=OPTIMIZERS.keys())
def test_the_bits_are_chainers(make, monkeypatch):
    """Blocks and threads change nothing in an arithmetic that takes each element by itself."""
    # Where there are kernels they do most of it; test_updates.py tests them.
    monkeypatch.setattr(kernels, 'available', lambda: False)
    sizes, in_blocks = [], threads.in_blocks
    monkeypatch.setattr(
        threads, 'in_blocks', lambda work, size: sizes.append(size) or in_blocks(work, size)
    )

    def train():
        rng = np.random.RandomState(0)
        # One parameter of several blocks and a rest, one below a block.
        net = L.Linear(
            250,
            3 * threads.BLOCK // 250 + 7,
            initialW=chainer.initializers.Normal(rng=np.random.RandomState(1)),
        )
        optimizer = make().setup(net)
        optimizer.add_hook(chainer.optimizer_hooks.WeightDecay(0.01))
        for _ in range(3):
            net.W.grad, net.b.grad = random(rng, *net.W.shape), random(rng, *net.b.shape)
            optimizer.update()
        return [
            net.W.array,
            net.b.array,
            *(state for p in net.params() for _, state in sorted(p.update_rule.state.items())),
        ]

    wanted = train()
    with chainer_onednn.enable():
        got = train()
    for ours, theirs in zip(got, wanted, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert sizes == [wanted[0].size] * 6  # the larger parameter: its decay and its update


def test_an_error_in_a_block_is_raised():
    def work(part):
        if part.start == threads.BLOCK:
            raise ValueError('in the second block')

    with pytest.raises(ValueError, match='second block'):
        threads.in_blocks(work, 5 * threads.BLOCK)


@pytest.mark.parametrize('size', [1, threads.BLOCK, threads.BLOCK + 1, 10 * threads.BLOCK - 1])
def test_blocks_cover_everything_once(size):
    seen = np.zeros(size, int)

    def work(part):
        seen[part] += 1

    threads.in_blocks(work, size)
    assert (seen == 1).all()


def test_numpy_error_settings_reach_every_thread():
    seen = []
    with np.errstate(over='raise'):
        threads.in_blocks(lambda part: seen.append(np.geterr()['over']), 5 * threads.BLOCK)
    assert set(seen) == {'raise'}

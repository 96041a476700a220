"""Plan, shortcut, stochastic depth and swapout, which the families of residual nets share.

Each net has three stages of `res_depth` blocks with two 3x3 convolutions. The first block of the
second and of the third stage has stride 2.
"""

from collections.abc import Sequence

import chainer
import chainer.functions as F
import numpy as np

from chainer_cifar.nets.blocks import dropout


def doubling(channels: int, depth: int) -> list[int]:
    """Return the channels after each of 3 x `depth` blocks; each stage doubles them."""
    return [channels * 2**stage for stage in range(3) for _ in range(depth)]


def three_stages(
    channels: int, widths: Sequence[int], skip_depth: bool = False
) -> list[tuple[int, int, int, float]]:
    """Plan the blocks of a net.

    Args:
        channels: Channels of the first block's input.
        widths: Channels after each of the 3 x `res_depth` blocks.
        skip_depth: Use stochastic depth (Huang et al., Deep Networks with Stochastic Depth, 2016):
            the probability that a training step skips a block rises linearly from 0 at the first
            block to 0.5 at the last; the two of stride 2 always stay.

    Returns:
        For each block (channels before, channels after, stride, probability of being skipped).
    """
    depth = len(widths) // 3
    last = 3 * depth - 3  # number of the last block, if one counts those that may be skipped
    plan = []
    number = 0
    for place, width in enumerate(widths):
        if place in (depth, 2 * depth):
            plan.append((channels, width, 2, 0.0))
        else:
            plan.append((channels, width, 1, 0.5 * number / last if skip_depth and last else 0.0))
            number += 1
        channels = width
    return plan


def shortcut(
    x: chainer.Variable, stride: int, new_channels: int, zeros_first: bool = True
) -> chainer.Variable:
    """Lead `x` past a block without parameters: subsample it and append channels of zeros.

    Args:
        x: ``(N, C, H, W)``.
        stride: The block's stride.
        new_channels: How many more channels the block's output has than its input.
        zeros_first: Put the zeros before `x` (article 000) instead of behind it.

    Returns:
        ``(N, C + new_channels, H / stride, W / stride)``.
    """
    if stride > 1:
        x = F.average_pooling_2d(x, 1, stride)
    if new_channels:
        before_after = (new_channels, 0) if zeros_first else (0, new_channels)
        x = F.pad(x, ((0, 0), before_after, (0, 0), (0, 0)), 'constant')
    return x


def is_skipped(skip_ratio: float) -> bool:
    """Draw whether this training step skips a block, with this probability; never at test time."""
    return chainer.config.train and skip_ratio > 0 and np.random.rand() < skip_ratio


def add(
    residual: chainer.Variable,
    shortcut: chainer.Variable,
    skip_ratio: float = 0.0,
    swapout: bool = False,
) -> chainer.Variable:
    """Add the two ways through a block that is not skipped.

    Args:
        residual: Output of the convolutions.
        shortcut: Output of the shortcut, of the same shape.
        skip_ratio: The block's; at test time the residual is multiplied by ``1 - skip_ratio``.
        swapout: Drop units of both independently (Singh et al., Swapout, 2016).
    """
    if skip_ratio and not chainer.config.train:
        residual = residual * (1 - skip_ratio)
    if swapout:
        residual, shortcut = dropout(residual), dropout(shortcut)
    return residual + shortcut

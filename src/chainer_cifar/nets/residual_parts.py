"""What the families of residual nets share: plan, shortcut, stochastic depth, swapout.

Each is a net of three stages of `res_depth` blocks with two 3x3 convolutions; the second and the
third stage begin with a block of stride 2.
"""

import chainer
import chainer.functions as F
import numpy as np

from chainer_cifar.nets.blocks import dropout


def doubling(channels, depth):
    """Channels after each of the 3 x `depth` blocks, twice as many in each stage as before it."""
    return [channels * 2**stage for stage in range(3) for _ in range(depth)]


def three_stages(channels, widths, skip_depth=False):
    """Plan of a net's blocks.

    Args:
        channels (int): Those that reach the first block.
        widths (list of int): Channels after each of the 3 x `res_depth` blocks.
        skip_depth (bool): Stochastic depth (Huang et al., Deep Networks with Stochastic Depth,
            2016): the probability that a training step leaves a block out rises linearly from 0 at
            the first block to 0.5 at the last; the two of stride 2 always stay.

    Returns:
        list: (channels before, channels after, stride, probability of being left out) of each
        block.
    """
    depth = len(widths) // 3
    last = 3 * depth - 3  # number of the last block, counting those that may be skipped
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


def shortcut(x, stride, new_channels, zeros_first=True):
    """The way past a block, without parameters: subsampled, and widened by channels of zeros.

    Args:
        x (chainer.Variable): ``(N, C, H, W)``.
        stride (int): Of the block.
        new_channels (int): Channels that the block has more at its output.
        zeros_first (bool): Put the zeros before x (article 000) or behind it.

    Returns:
        chainer.Variable: ``(N, C + new_channels, H / stride, W / stride)``.
    """
    if stride > 1:
        x = F.average_pooling_2d(x, 1, stride)
    if new_channels:
        before_after = (new_channels, 0) if zeros_first else (0, new_channels)
        x = F.pad(x, ((0, 0), before_after, (0, 0), (0, 0)), 'constant')
    return x


def is_skipped(skip_ratio):
    """Does this training step leave out a block of this probability? Never at test time."""
    return chainer.config.train and skip_ratio > 0 and np.random.rand() < skip_ratio


def add(residual, shortcut, skip_ratio=0.0, swapout=False):
    """Sum of the two ways through a block that is not left out.

    Args:
        residual (chainer.Variable): What the convolutions give.
        shortcut (chainer.Variable): Of the same shape.
        skip_ratio (float): The block's; at test time the residual counts ``1 - skip_ratio``.
        swapout (bool): Drop units of both independently (Singh et al., Swapout, 2016).
    """
    if skip_ratio and not chainer.config.train:
        residual = residual * (1 - skip_ratio)
    if swapout:
        residual, shortcut = dropout(residual), dropout(shortcut)
    return residual + shortcut

"""Compare an ONNX model with the net that it was made of, on real pictures."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from chainer_cifar.errors import UserError
from chainer_cifar.evaluation import inference
from chainer_cifar.evaluation.trained import Trained
from chainer_cifar.export.session import OnnxNet

BATCHES = 1, 3, 100  # pictures, the largest one last
MOST = 1e-4  # difference, as a share of the largest logit


class Checked(NamedTuple):
    """How far onnxruntime is from Chainer.

    Attributes:
        pictures: How many there were in the largest batch.
        difference: The largest of any logit in any batch, as a share of the largest logit.
        same: How many pictures of the largest batch get the same class from both.
    """

    pictures: int
    difference: float
    same: int


def against_chainer(trained: Trained, net: OnnxNet, pictures: NDArray[np.uint8]) -> Checked:
    """Compare in batches of several sizes, those of `BATCHES`.

    Args:
        trained: The net in Chainer.
        net: The same in ONNX.
        pictures: uint8 ``(N, C, H, W)``, from which the batches are taken from the front.

    Raises:
        UserError: They differ by more than `MOST`.
    """
    worst, compared, same = 0.0, 0, 0  # the last two of the last batch
    for size in BATCHES:
        some = pictures[:size]
        ours = inference.logits(trained.net, [trained.device.send(trained.input_transform(some))])
        theirs = net.logits(some)
        if theirs.shape != ours.shape:
            raise UserError(f'onnxruntime gives shape {theirs.shape}, Chainer {ours.shape}')
        difference = float(np.abs(ours - theirs).max() / max(float(np.abs(ours).max()), 1e-30))
        # Also if one is NaN.
        if not difference <= MOST:
            raise UserError(
                f'onnxruntime differs from Chainer by {difference:.1e} of the largest logit '
                f'(batch of {len(some)}), more than {MOST:.0e}; nothing is written'
            )
        worst = max(worst, difference)
        compared = len(some)
        same = int((ours.argmax(axis=1) == theirs.argmax(axis=1)).sum())
    return Checked(compared, worst, same)

"""Where the windows of convolutions and poolings lie."""

from chainer.utils.conv import get_conv_outsize

from chainer_onednn.dnnl import Unsupported


def output_size(size, kernel, stride, pad, dilate=(1, 1), cover_all=False):
    """Height and width of what comes out; each argument but the last is such a pair.

    Raises:
        Unsupported: there is none; Chainer's own code has the error for it.
    """
    out = tuple(
        get_conv_outsize(*sizes, cover_all=cover_all, d=step)
        for *sizes, step in zip(size, kernel, stride, pad, dilate, strict=True)
    )
    if min(out) <= 0:
        raise Unsupported('no output')
    return out


def right_padding(size, out, kernel, stride, pad, dilate=(1, 1)):
    """The padding below and to the right that an output of ``out`` needs.

    That is more than ``pad`` for Chainer's `cover_all`, and less than none where the last window
    does not reach the edge.
    """
    return tuple(
        (count - 1) * stride + (kernel - 1) * dilate + 1 - size - pad
        for size, count, kernel, stride, pad, dilate in zip(
            size, out, kernel, stride, pad, dilate, strict=True
        )
    )

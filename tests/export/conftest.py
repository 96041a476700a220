"""These tests need the extra `onnx`; without it they are skipped, and real pictures for them."""

import numpy as np
import pytest
from sklearn.datasets import load_sample_image

REASON = "needs the extra onnx: pip install '.[onnx]'"


@pytest.fixture(autouse=True)
def _packages(monkeypatch):
    # onnxruntime's threads wait in a loop, which takes the cores from the tests beside.
    monkeypatch.setenv('OMP_NUM_THREADS', '1')
    for package in ('onnx', 'onnxruntime'):
        pytest.importorskip(package, reason=REASON)


@pytest.fixture(scope='session')
def pictures():
    """Pieces of two photographs, uint8 (100, 3, 32, 32)."""
    pieces = []
    for name in ('china.jpg', 'flower.jpg'):
        photograph = load_sample_image(name)
        for number in range(50):
            top, left = divmod(number, 10)
            piece = photograph[top * 70 :, left * 60 :][:64:2, :64:2]
            pieces.append(piece.transpose(2, 0, 1))
    return np.stack(pieces)

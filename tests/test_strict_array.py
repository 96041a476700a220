import numpy as np
import pytest

from strict_array import xp


def test_refuses_what_cupy_refuses():
    device, host = xp.asarray(np.ones(3)), np.ones(3)
    for mix in (
        lambda: device + host,
        lambda: host + device,
        lambda: np.sum(device),
        lambda: np.asarray(device),
        lambda: xp.where(host > 0, device, device),
        lambda: device[np.array([0])],
        lambda: host[device],
    ):
        with pytest.raises((TypeError, IndexError)):
            mix()
    np.testing.assert_array_equal((device + 1).get(), host + 1)
    np.testing.assert_array_equal(xp.where(device > 0, device, -device).get(), host)

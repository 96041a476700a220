import pytest

import chainer_onednn


@pytest.fixture
def engine():
    """oneDNN enabled for one test."""
    with chainer_onednn.enable():
        if not chainer_onednn.is_enabled():
            pytest.skip('oneDNN cannot be used here')
        yield

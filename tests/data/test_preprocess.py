"""Mean, ZCA and contrast normalisation against independent references, on pictures of 8x8."""

import numpy as np
import pytest

from chainer_cifar.data import preprocess
from chainer_cifar.data.preprocess import Mean, NormZca, Zca, normalize_contrast, preprocessing

PIXELS = 3 * 8 * 8


@pytest.fixture(autouse=True)
def small_pictures(monkeypatch):
    monkeypatch.setattr(preprocess, 'PIXELS', PIXELS)
    monkeypatch.setattr(preprocess, 'CHUNK', 300)  # several, and the last one shorter


@pytest.fixture(scope='module')
def images():
    """uint8 (1000, 3, 8, 8), pixels correlated, covariance well conditioned."""
    rng = np.random.default_rng(0)
    mix = np.eye(PIXELS) + rng.normal(0, 0.03, (PIXELS, PIXELS))
    values = 120 + rng.normal(0, 30, (1000, PIXELS)) @ mix
    return values.clip(0, 255).astype(np.uint8).reshape(-1, 3, 8, 8)


def covariance(values):
    return np.cov(values.astype(np.float64), rowvar=False, bias=True)


def reference_zca(train, images, eps):
    """In float64, by a singular value decomposition of the data."""
    mean = train.mean(axis=0)
    _, singular, axes = np.linalg.svd(train - mean, full_matrices=False)
    variances = singular**2 / len(train)
    return (images - mean) @ (axes.T / np.sqrt(variances + eps * variances.mean())) @ axes


def test_mean_is_one_number(images):
    fitted = Mean.fit(images)
    assert fitted.mean == np.float32(images.astype(np.float64).mean())
    result = fitted(images[:5])
    assert result.dtype == np.float32 and result.shape == (5, PIXELS)
    np.testing.assert_array_equal(
        result, images[:5].reshape(5, -1).astype(np.float32) - fitted.mean
    )


@pytest.mark.parametrize('method', [Zca, NormZca])
def test_whitened_covariance_is_the_identity(images, method):
    result = method.fit(images, 0)(images)
    expected = np.eye(PIXELS)
    if method is NormZca:  # no image has a mean any more: that direction is gone
        expected -= 1 / PIXELS
    np.testing.assert_allclose(covariance(result), expected, atol=1e-4)
    np.testing.assert_allclose(result.mean(axis=0), 0, atol=1e-4)


@pytest.mark.parametrize('eps', [0, 1e-5, 0.1])
def test_zca_equals_a_float64_reference(images, eps):
    train, test = images[:700], images[700:]
    result = Zca.fit(train, eps)(test)
    rows = images.reshape(len(images), -1).astype(np.float64)
    np.testing.assert_allclose(result, reference_zca(rows[:700], rows[700:], eps), atol=1e-4)


def test_norm_zca_equals_a_float64_reference(images):
    train, test = images[:700], images[700:]
    rows = images.reshape(len(images), -1).astype(np.float64)
    rows = (rows - rows.mean(axis=1)[:, None]) / rows.std(axis=1)[:, None]
    result = NormZca.fit(train, 0.01)(test)
    np.testing.assert_allclose(result, reference_zca(rows[:700], rows[700:], 0.01), atol=1e-4)


def test_zca_turns_no_axis(images):
    """Of all whitenings it is the one with a symmetric, positive matrix."""
    matrix = Zca.fit(images, 0).matrix
    np.testing.assert_array_equal(matrix, matrix.T)
    assert np.linalg.eigvalsh(matrix.astype(np.float64)).min() > 0


def test_eps_is_relative_to_the_variance_of_the_pixels(images):
    dim = images // 4
    bright = dim * 4
    np.testing.assert_allclose(Zca.fit(bright, 0.1)(bright), Zca.fit(dim, 0.1)(dim), atol=1e-3)


def test_contrast_normalised_images_have_mean_0_and_deviation_1(images):
    result = normalize_contrast(images.reshape(-1, PIXELS))
    np.testing.assert_allclose(result.mean(axis=1), 0, atol=1e-12)
    np.testing.assert_allclose(result.std(axis=1), 1, atol=1e-12)


@pytest.mark.parametrize('value', [0, 77, 255])
def test_a_flat_image_becomes_zero(images, value):
    flat = np.full((1, PIXELS), value, np.uint8)
    np.testing.assert_array_equal(normalize_contrast(flat), np.zeros((1, PIXELS)))
    almost = flat.copy()
    almost[0, 0] ^= 1
    assert normalize_contrast(almost).std() == pytest.approx(1)
    assert np.isfinite(NormZca.fit(images, 1e-5)(flat)).all()


@pytest.mark.parametrize('eps', [0, 1e-5])
@pytest.mark.parametrize('method', [Zca, NormZca])
def test_fewer_images_than_pixels(images, method, eps):
    """Directions that no training image has are dropped, instead of divided by nothing."""
    train = images[:40]
    fitted = method.fit(train, eps)
    variances = np.linalg.eigvalsh(covariance(fitted(train)))
    rank = len(train) - 1
    np.testing.assert_allclose(variances[:-rank], 0, atol=1e-6)
    np.testing.assert_allclose(variances[-rank:], 1, atol=1e-2)
    assert abs(fitted(images)).max() < 100


def test_all_training_images_alike(images):
    same = np.repeat(images[:1], 5, axis=0)
    for method in preprocessing:
        assert np.isfinite(preprocessing[method].fit(same, 1e-5)(images)).all()


@pytest.mark.parametrize('name', list(preprocessing))
class TestEach:
    def test_images_and_rows_are_the_same(self, name, images):
        rows = images.reshape(len(images), -1)
        a, b = preprocessing[name].fit(images, 0.1), preprocessing[name].fit(rows, 0.1)
        np.testing.assert_array_equal(a(images), b(rows))

    def test_writes_into_out(self, name, images):
        fitted = preprocessing[name].fit(images, 0.1)
        out = np.empty((len(images), PIXELS), preprocessing[name].dtype)
        assert fitted(images, out) is out
        np.testing.assert_array_equal(out, fitted(images))

    def test_does_not_change_its_input(self, name, images):
        before = images.copy()
        preprocessing[name].fit(images, 0.1)(images)
        np.testing.assert_array_equal(images, before)

    def test_chunks_do_not_show(self, name, images, monkeypatch):
        by_chunks = preprocessing[name].fit(images, 0.1)(images)
        monkeypatch.setattr(preprocess, 'CHUNK', 10_000)
        np.testing.assert_allclose(
            by_chunks, preprocessing[name].fit(images, 0.1)(images), atol=1e-4
        )

    def test_tells_every_image_that_is_done(self, name, images):
        counts = []
        fitted = preprocessing[name].fit(images, 0.1, counts.append)
        assert sum(counts) == len(images) and len(counts) == (1 if name == 'raw' else 4)
        fitted(images, done=counts.append)
        assert sum(counts) == 2 * len(images)

    def test_refuses_fields_that_do_not_fit(self, name, images):
        fields = vars(preprocessing[name].fit(images, 0.1))
        for field, value in fields.items():
            for wrong in (value * np.float32('nan'), np.ones(7, np.float32), value.astype(float)):
                with pytest.raises(ValueError, match='float32'):
                    preprocessing[name](**{**fields, field: wrong})

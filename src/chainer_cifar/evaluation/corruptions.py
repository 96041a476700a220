"""Spoil pictures as the world does: the fifteen corruptions of CIFAR-10-C, at five strengths.

Hendrycks and Dietterich, Benchmarking Neural Network Robustness to Common Corruptions and
Perturbations, 2019. Theirs were made once and are a download of 2.7 GB; here they are computed,
with NumPy, SciPy and Pillow. Two differ in more than their random numbers: the ice of `frost` is
drawn by us, where they have photographs, and `motion_blur` and the flakes of `snow` are blurred by
our code, where they call ImageMagick.

They chose the strengths twice: for pictures of 32x32 (CIFAR-10-C) and of 224x224 (ImageNet-C). What
is far there is about as far as it is here, seen from the side of the picture, but noise and the
like are stronger, since a large picture bears more. Between the two, each number is theirs in the
middle, by the side of the picture; see `setting`.

A corruption takes pictures as floats, ``(N, H, W, C)`` from 0 to 1, C 3 or 1, a setting, and for
each picture a source of random numbers, so that a picture does not depend on those beside it.
"""

import io
import zlib
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import scipy
from numpy.typing import NDArray
from PIL import Image

from chainer_cifar.registry import Registry

STRENGTHS = 5
SIDES = 32, 224  # pixels, of the pictures that the paper has strengths for

Floats: TypeAlias = NDArray[np.float64]
Rngs: TypeAlias = Sequence[np.random.Generator]
Setting: TypeAlias = float | tuple[float, ...]


class Corruption(NamedTuple):
    """A way of spoiling pictures.

    Attributes:
        apply: See above.
        small: A setting for each strength, for pictures of `SIDES[0]`: a number, or several.
        large: The same for `SIDES[1]`. Where both are whole numbers, those between are, too.
    """

    apply: Callable[[Floats, Any, Rngs], Floats]
    small: Sequence[Setting]
    large: Sequence[Setting]

    def setting(self, strength: int, height: int, width: int) -> Setting:
        """Return the setting for a strength, 1 to 5, and pictures of this size.

        It goes in a straight line, by the smaller side, from that of 32 to that of 224 pixels.
        Smaller and larger pictures get those of 32 and 224.
        """
        small, large = self.small[strength - 1], self.large[strength - 1]
        first, last = SIDES
        share = min(max((min(height, width) - first) / (last - first), 0), 1)
        if isinstance(small, tuple) and isinstance(large, tuple):
            return tuple(_between(*ends, share) for ends in zip(small, large, strict=True))
        assert not isinstance(small, tuple) and not isinstance(large, tuple)
        return _between(small, large, share)


corruptions = Registry[Corruption]('corruption')


def corrupt(
    pictures: NDArray[np.uint8], name: str, strength: int, first: int = 0, seed: int = 0
) -> NDArray[np.uint8]:
    """Spoil pictures.

    Args:
        pictures: uint8 ``(N, C, H, W)``, in colour or grey; so is the result.
        name: A name in `corruptions`.
        strength: 1 to 5.
        first: The number of the first picture among all; random numbers depend on it. They are the
            same at each strength.
        seed: Of all random numbers.
    """
    chosen = corruptions[name]
    kind = zlib.crc32(name.encode())
    rngs = [np.random.default_rng((seed, kind, first + i)) for i in range(len(pictures))]
    x = pictures.transpose(0, 2, 3, 1) / 255
    spoilt = chosen.apply(x, chosen.setting(strength, *x.shape[1:3]), rngs)
    # They cut off what is below a level, too.
    levels = (spoilt.clip(0, 1) * 255 + 1e-6).astype(np.uint8)
    return np.ascontiguousarray(levels.transpose(0, 3, 1, 2))


def _between(small: float, large: float, share: float) -> float:
    found = (1 - share) * small + share * large
    return round(found) if isinstance(small, int) and isinstance(large, int) else found


def _corruption(
    small: Sequence[Setting], large: Sequence[Setting]
) -> Callable[[Callable[..., Floats]], Callable[..., Floats]]:
    """Register a function, by its name, with its settings for the strengths 1 to 5."""

    def enter(function: Callable[..., Floats]) -> Callable[..., Floats]:
        corruptions.register(function.__name__)(Corruption(function, small, large))
        return function

    return enter


# Noise.


@_corruption((0.04, 0.06, 0.08, 0.09, 0.10), (0.08, 0.12, 0.18, 0.26, 0.38))
def gaussian_noise(x: Floats, deviation: float, rngs: Rngs) -> Floats:
    """Add normal noise, as in little light."""
    return x + np.stack([rng.normal(0, deviation, x.shape[1:]) for rng in rngs])


@_corruption((500.0, 250.0, 100.0, 75.0, 50.0), (60.0, 25.0, 12.0, 5.0, 3.0))
def shot_noise(x: Floats, photons: float, rngs: Rngs) -> Floats:
    """Count a limited number of photons."""
    return np.stack(
        [rng.poisson(each * photons) / photons for each, rng in zip(x, rngs, strict=True)]
    )


@_corruption((0.01, 0.02, 0.03, 0.05, 0.07), (0.03, 0.06, 0.09, 0.17, 0.27))
def impulse_noise(x: Floats, share: float, rngs: Rngs) -> Floats:
    """Set a share of the values to black or to white."""
    drawn = np.stack([rng.random(x.shape[1:]) for rng in rngs])
    return np.where(drawn < share / 2, 0.0, np.where(drawn < share, 1.0, x))


# Blur.


@_corruption(
    ((0.3, 0.4), (0.4, 0.5), (0.5, 0.6), (1.0, 0.2), (1.5, 0.1)),
    ((3.0, 0.1), (4.0, 0.5), (6.0, 0.5), (8.0, 0.5), (10.0, 0.5)),
)
def defocus_blur(x: Floats, setting: tuple[float, float], rngs: Rngs) -> Floats:
    """Put the camera out of focus: every point becomes a disk."""
    radius, softness = setting
    # As OpenCV would, they smooth the disk by its neighbours; a large one by two on each side.
    # Beyond the edge, which a disk of 8 pixels and more touches, is its mirror image; so all gets a
    # little lighter.
    half, near = (8, 1) if radius <= 8 else (int(np.ceil(radius)), 2)
    away = np.arange(-half, half + 1)
    disk = (away[:, None] ** 2 + away**2 <= radius**2).astype(np.float64)
    edge = np.exp(-0.5 * (np.arange(1, near + 1) / softness) ** 2)
    taps = np.array([*edge[::-1], 1, *edge]) / (1 + 2 * edge.sum())
    kernel = scipy.ndimage.convolve(disk / disk.sum(), taps[:, None] * taps, mode='mirror')
    return _floats(scipy.ndimage.convolve(x, kernel[None, :, :, None], mode='mirror'))


@_corruption(
    ((0.05, 1, 1), (0.25, 1, 1), (0.4, 1, 1), (0.25, 1, 2), (0.4, 1, 2)),
    ((0.7, 1, 2), (0.9, 2, 1), (1.0, 2, 3), (1.1, 3, 2), (1.5, 4, 2)),
)
def glass_blur(x: Floats, setting: tuple[float, int, int], rngs: Rngs) -> Floats:
    """Look through frosted glass: each pixel is that one or another nearby.

    With a distance of 1, that is the one above or to the left. The paper swaps pixels. Its code
    copies them, since NumPy's rows are views; so do we, but all at a time.
    """
    sigma, far, rounds = setting
    x = _smooth(x, sigma)
    _, height, width, _ = x.shape
    # A picture may be too small for the distance; then all of it stays.
    inner = np.s_[far + 1 : max(height - far + 1, far + 1), far + 1 : max(width - far + 1, far + 1)]
    rows, columns = np.mgrid[inner]
    moves = np.stack([rng.integers(0, 2 * far, (rounds, 2, *rows.shape)) for rng in rngs], axis=2)
    for up, left in moves - (far - 1):
        pictures = np.arange(len(x))[:, None, None]
        x = x.copy()
        x[(slice(None), *inner)] = x[pictures, rows - up, columns - left]
    return _smooth(x, sigma)


@_corruption(
    ((6, 1.0), (6, 1.5), (6, 2.0), (8, 2.0), (9, 2.5)),
    ((10, 3.0), (15, 5.0), (15, 8.0), (15, 12.0), (20, 15.0)),
)
def motion_blur(x: Floats, setting: tuple[int, float], rngs: Rngs) -> Floats:
    """Move the camera, within 45 degrees of the horizontal."""
    radius, sigma = setting
    return _moved(x, radius, sigma, np.array([rng.uniform(-45, 45) for rng in rngs]))


@_corruption(
    # They write np.arange(1, 1.06, 0.01) and so on. Rounding decides whether the end is in it: 1.06
    # and 1.11 are, 1.16 is not.
    ((1.06, 0.01), (1.11, 0.01), (1.15, 0.01), (1.20, 0.01), (1.25, 0.01)),
    ((1.11, 0.01), (1.15, 0.01), (1.20, 0.02), (1.24, 0.02), (1.30, 0.03)),
)
def zoom_blur(x: Floats, setting: tuple[float, float], rngs: Rngs) -> Floats:
    """Move towards the middle of the picture."""
    most, step = setting
    factors = np.arange(1, most + step / 2, step)
    total = x.copy()
    for factor in factors:
        total += _zoomed(x, factor)
    return total / (len(factors) + 1)


# Weather.


@_corruption(
    (
        (0.1, 0.2, 1.0, 0.6, 8, 3.0, 0.95),
        (0.1, 0.2, 1.0, 0.5, 10, 4.0, 0.9),
        (0.15, 0.3, 1.75, 0.55, 10, 4.0, 0.9),
        (0.25, 0.3, 2.25, 0.6, 12, 6.0, 0.85),
        (0.3, 0.3, 1.25, 0.65, 14, 12.0, 0.8),
    ),
    (
        (0.1, 0.3, 3.0, 0.5, 10, 4.0, 0.8),
        (0.2, 0.3, 2.0, 0.5, 12, 4.0, 0.7),
        (0.55, 0.3, 4.0, 0.9, 12, 8.0, 0.7),
        (0.55, 0.3, 4.5, 0.85, 12, 8.0, 0.65),
        (0.55, 0.3, 2.5, 0.85, 12, 12.0, 0.55),
    ),
)
def snow(
    x: Floats, setting: tuple[float, float, float, float, int, float, float], rngs: Rngs
) -> Floats:
    """Let flakes fall, and make all paler."""
    mean, deviation, size, least, radius, sigma, kept = setting
    flakes = np.stack([rng.normal(mean, deviation, x.shape[1:3]) for rng in rngs])[..., None]
    flakes = _zoomed(flakes, size)
    flakes = np.where(flakes < least, 0, flakes).clip(0, 1)
    angles = np.array([rng.uniform(-135, -45) for rng in rngs])
    flakes = _moved(flakes, radius, sigma, angles)
    grey = _grey(x)
    pale = np.maximum(x, (1.5 * grey + 0.5)[..., None])
    return kept * x + (1 - kept) * pale + flakes + flakes[:, ::-1, ::-1]


@_corruption(
    ((1.0, 0.2), (1.0, 0.3), (0.9, 0.4), (0.85, 0.4), (0.75, 0.45)),
    ((1.0, 0.4), (0.8, 0.6), (0.7, 0.7), (0.65, 0.7), (0.6, 0.75)),
)
def frost(x: Floats, setting: tuple[float, float], rngs: Rngs) -> Floats:
    """Look through a window with ice on it, whose crystals are ridges of a rough landscape."""
    kept, strength = setting
    ridges = 1 - np.abs(2 * _landscape(x.shape[1], x.shape[2], 1.6, rngs) - 1)
    ice = (0.35 + 0.65 * ridges**3)[..., None] * np.array([0.86, 0.93, 1.0])
    return kept * x + strength * (ice if x.shape[-1] == 3 else _grey(ice)[..., None])


@_corruption(
    ((0.2, 3.0), (0.5, 3.0), (0.75, 2.5), (1.0, 2.0), (1.5, 1.75)),
    ((1.5, 2.0), (2.0, 2.0), (2.5, 1.7), (2.5, 1.5), (3.0, 1.4)),
)
def fog(x: Floats, setting: tuple[float, float], rngs: Rngs) -> Floats:
    """Put clouds before it."""
    density, smoothness = setting
    brightest = x.max(axis=(1, 2, 3), keepdims=True)
    clouds = _landscape(x.shape[1], x.shape[2], smoothness, rngs)[..., None]
    return (x + density * clouds) * brightest / (brightest + density)


@_corruption((0.05, 0.1, 0.15, 0.2, 0.3), (0.1, 0.2, 0.3, 0.4, 0.5))
def brightness(x: Floats, more: float, rngs: Rngs) -> Floats:
    """Raise the value of each pixel's colour, not its hue or saturation."""
    value = x.max(axis=-1, keepdims=True)
    raised = np.minimum(value + more, 1)
    return np.where(value > 0, x * raised / np.where(value > 0, value, 1), raised)


# What is done to a file.


@_corruption((0.75, 0.5, 0.4, 0.3, 0.15), (0.4, 0.3, 0.2, 0.1, 0.05))
def contrast(x: Floats, share: float, rngs: Rngs) -> Floats:
    """Bring all nearer to the mean of the picture."""
    mean = x.mean(axis=(1, 2), keepdims=True)
    return mean + share * (x - mean)


@_corruption(
    ((0.0, 0.0, 2.56), (1.6, 6.4, 2.24), (2.56, 1.92, 1.92), (3.2, 1.28, 1.6), (3.2, 0.96, 0.96)),
    # They write 244 for 224 here, as a factor of all.
    (
        (488.0, 170.8, 24.4),
        (488.0, 19.52, 48.8),
        (12.2, 2.44, 4.88),
        (17.08, 2.44, 4.88),
        (29.28, 2.44, 4.88),
    ),
)
def elastic_transform(x: Floats, setting: tuple[float, float, float], rngs: Rngs) -> Floats:
    """Pull at three points of the picture, then at every pixel a little."""
    amount, sigma, pull = setting
    height, width = x.shape[1:3]
    third = min(height, width) // 3
    middle = np.array([width // 2, height // 2], np.float64)
    corners = middle + third * np.array([[1.0, 1], [1, -1], [-1, -1]])
    pulled = corners + np.stack([rng.uniform(-pull, pull, (3, 2)) for rng in rngs])
    # The affine map from where the points are now to where they were, one for each picture.
    ones = np.ones((len(x), 3, 1))
    maps = np.linalg.solve(
        np.concatenate([pulled, ones], axis=2), np.broadcast_to(corners, pulled.shape)
    )
    rows, columns = np.mgrid[:height, :width].astype(np.float64)
    grid = np.stack([columns, rows, np.ones_like(rows)], axis=-1)
    source = np.einsum('hwk,nkd->nhwd', grid, maps)
    x = _sampled(x, source[..., 1], source[..., 0])
    if not amount:
        return x
    field = np.stack([rng.uniform(-1, 1, (2, height, width)) for rng in rngs])
    field = amount * scipy.ndimage.gaussian_filter(
        field, (0, 0, sigma, sigma), mode='reflect', truncate=3
    )
    return _sampled(x, rows + field[:, 0], columns + field[:, 1])


@_corruption((0.95, 0.9, 0.85, 0.75, 0.65), (0.6, 0.5, 0.4, 0.3, 0.25))
def pixelate(x: Floats, share: float, rngs: Rngs) -> Floats:
    """Make it smaller and larger again, without smoothing."""
    box = Image.Resampling.BOX

    def spoil(image: Image.Image) -> Image.Image:
        small = image.resize((int(image.width * share), int(image.height * share)), box)
        return small.resize(image.size, box)

    return _by_pillow(x, spoil)


@_corruption((80, 65, 58, 50, 40), (25, 18, 15, 10, 7))
def jpeg_compression(x: Floats, quality: int, rngs: Rngs) -> Floats:
    """Save it as JPEG."""

    def spoil(image: Image.Image) -> Image.Image:
        file = io.BytesIO()
        image.save(file, 'JPEG', quality=quality)
        return Image.open(file)

    return _by_pillow(x, spoil)


def _floats(array: Any) -> Floats:
    return np.asarray(array, np.float64)


def _grey(x: Floats) -> Floats:
    """Return how bright pictures are, ``(N, H, W)``."""
    return x @ np.array([0.299, 0.587, 0.114]) if x.shape[-1] == 3 else x[..., 0]


def _smooth(x: Floats, sigma: float) -> Floats:
    return _floats(scipy.ndimage.gaussian_filter(x, (0, sigma, sigma, 0), mode='nearest'))


def _zoomed(x: Floats, factor: float) -> Floats:
    """Enlarge the middle of pictures, bilinearly, to the size that they have."""
    height, width = x.shape[1:3]
    sizes = [int(np.ceil(side / factor)) for side in (height, width)]
    top, left = ((side - size) // 2 for side, size in zip((height, width), sizes, strict=True))
    middle = x[:, top : top + sizes[0], left : left + sizes[1]]
    large = _floats(scipy.ndimage.zoom(middle, (1, factor, factor, 1), order=1))
    top, left = (large.shape[1] - height) // 2, (large.shape[2] - width) // 2
    return large[:, top : top + height, left : left + width]


def _moved(x: Floats, radius: int, sigma: float, angles: Floats) -> Floats:
    """Smear pictures to one side, each in the direction of its angle (degrees from the right)."""
    steps = np.arange(2 * radius + 1)
    weights = np.exp(-0.5 * (steps / sigma) ** 2)
    weights /= weights.sum()
    down, right = np.sin(np.deg2rad(angles)), np.cos(np.deg2rad(angles))
    height, width = x.shape[1:3]
    pictures = np.arange(len(x))[:, None, None]
    total = np.zeros_like(x)
    for step, weight in zip(steps, weights, strict=True):
        rows = np.arange(height) + np.rint(step * down).astype(int)[:, None]
        columns = np.arange(width) + np.rint(step * right).astype(int)[:, None]
        rows, columns = rows.clip(0, height - 1), columns.clip(0, width - 1)
        total += weight * x[pictures, rows[:, :, None], columns[:, None, :]]
    return total


def _landscape(height: int, width: int, smoothness: float, rngs: Rngs) -> Floats:
    """Make random landscapes ``(N, H, W)`` from 0 to 1 by the diamond-square algorithm.

    Each level of detail is `smoothness` squared times lower than the one before.
    """
    side = 2 ** int(np.ceil(np.log2(max(height, width))))
    land = np.zeros((len(rngs), side, side))
    step, roughness = side, 1.0
    while step >= 2:
        half = step // 2

        def rough(four: Floats, roughness: float = roughness) -> Floats:
            noise = np.stack([rng.uniform(-1, 1, four.shape[1:]) for rng in rngs])
            return four / 4 + roughness * noise

        corners = land[:, ::step, ::step]
        four = corners + np.roll(corners, -1, axis=1)
        land[:, half::step, half::step] = rough(four + np.roll(four, -1, axis=2))
        centres = land[:, half::step, half::step]
        beside = corners + np.roll(corners, -1, axis=2)
        land[:, ::step, half::step] = rough(centres + np.roll(centres, 1, axis=1) + beside)
        beside = corners + np.roll(corners, -1, axis=1)
        land[:, half::step, ::step] = rough(centres + np.roll(centres, 1, axis=2) + beside)
        step, roughness = half, roughness / smoothness**2
    land -= land.min(axis=(1, 2), keepdims=True)
    land /= land.max(axis=(1, 2), keepdims=True)
    return land[:, :height, :width]


def _sampled(x: Floats, rows: Floats, columns: Floats) -> Floats:
    """Take pixels bilinearly at rows and columns ``(N, H, W)``; beyond an edge is its mirror."""
    pictures = np.arange(len(x))[:, None, None]
    top, left = np.floor(rows).astype(int), np.floor(columns).astype(int)
    below, beside = (rows - top)[..., None], (columns - left)[..., None]

    def at(row: NDArray[np.int_], column: NDArray[np.int_]) -> Floats:
        return x[pictures, _mirrored(row, x.shape[1]), _mirrored(column, x.shape[2])]

    upper = (1 - beside) * at(top, left) + beside * at(top, left + 1)
    lower = (1 - beside) * at(top + 1, left) + beside * at(top + 1, left + 1)
    return (1 - below) * upper + below * lower


def _mirrored(place: NDArray[np.int_], size: int) -> NDArray[np.int_]:
    last = size - 1
    place = np.abs(place) % max(2 * last, 1)
    return np.where(place > last, 2 * last - place, place)


def _by_pillow(x: Floats, spoil: Callable[[Image.Image], Image.Image]) -> Floats:
    images = np.rint(x * 255).astype(np.uint8)
    if x.shape[-1] == 1:
        images = images[..., 0]
    spoilt = [np.asarray(spoil(Image.fromarray(image))) / 255 for image in images]
    return np.stack(spoilt).reshape(x.shape)

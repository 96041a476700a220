"""The Winograd kernels by themselves, against float64, and where the engine uses them."""

import multiprocessing
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import chainer
import chainer.functions as F
import chainer.links as L
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import chainer_onednn
from chainer_onednn import arrays, convolution, kernels, winograd
from side_by_side import ORDERS, random, run

pytestmark = pytest.mark.skipif(not kernels.available(), reason='no compiled kernels')

# Largest error, as a multiple of the root of the mean square of the results. It grows slowly with
# the number of channels; benchmarks/convolution_accuracy.py finds half of this at 512.
TOLERANCE = {3: 4e-5, 5: 2e-4}


def geometry(n, inward, outward, size, kernel, pad):
    out = tuple(s + 2 * p - kernel + 1 for s, p in zip(size, pad, strict=True))
    shapes = (n, inward, *size), (n, outward, *out)
    return convolution.Geometry(*shapes, (kernel, kernel), (1, 1), pad, (1, 1), 1)


def inputs_of(geo, seed=0):
    """``(x, w, b, gy)``."""
    rng = np.random.RandomState(seed)
    x, gy = arrays.empty(geo.x), arrays.empty(geo.y)
    x[...], gy[...] = random(rng, *geo.x), random(rng, *geo.y)
    return x, random(rng, *geo.weight_shape), random(rng, geo.y[1]), gy


def spoiled(shape, plain=False):
    """An array of which every number has to be written; ``plain``: in the order of weights."""
    array = np.empty(shape, np.float32) if plain else arrays.empty(shape)
    array.fill(np.nan)
    return array


def by_kernels(geo, x, w, b, gy, threads=2):
    """``(y, gx, gw, gb)``, whatever the rule says."""
    y, gx, gw, gb = spoiled(geo.y), spoiled(geo.x), spoiled(w.shape, True), spoiled(b.shape)
    winograd._convolution(geo, 'forward', False, threads)(x, w, b, y)
    winograd._convolution(geo, 'data', False, threads)(gy, w, gx)
    winograd._gradient(geo, threads)(x, gy, gw, gb)
    return y, gx, gw, gb


def exact(geo, x, w, b, gy):
    """The same in float64, tap by tap."""
    (height, width), (top, left) = geo.y[2:], geo.pad
    x, w, gy = (array.astype(np.float64) for array in (x, w, gy))
    wide = np.pad(x, ((0, 0), (0, 0), (top, top), (left, left)))
    y, gx, gw = np.zeros(geo.y), np.zeros_like(wide), np.zeros_like(w)
    for i, j in np.ndindex(*geo.kernel):
        place = np.s_[:, :, i : i + height, j : j + width]
        y += np.einsum('nchw,kc->nkhw', wide[place], w[:, :, i, j], optimize=True)
        gx[place] += np.einsum('nkhw,kc->nchw', gy, w[:, :, i, j], optimize=True)
        gw[:, :, i, j] = np.einsum('nkhw,nchw->kc', gy, wide[place], optimize=True)
    gx = gx[:, :, top : top + geo.x[2], left : left + geo.x[3]]
    return y + b.astype(np.float64)[:, None, None], gx, gw, gy.sum(axis=(0, 2, 3))


def assert_close(got, wanted, tolerance):
    for ours, theirs in zip(got, wanted, strict=True):
        assert ours.shape == theirs.shape and ours.dtype == np.float32
        scale = np.sqrt(np.mean(theirs**2))
        assert np.abs(ours - theirs).max() <= tolerance * scale


channels = st.one_of(st.sampled_from([8, 16, 24, 32, 48, 64, 80]), st.integers(1, 40))
sizes = st.integers(1, 19)


@st.composite
def geometries(draw):
    kernel = draw(st.sampled_from([3, 5]))
    size = draw(st.tuples(sizes, sizes))
    pad = tuple(draw(st.integers(max(0, (kernel - s + 1) // 2), kernel + 1)) for s in size)
    return geometry(draw(st.integers(1, 4)), draw(channels), draw(channels), size, kernel, pad)


@settings(max_examples=40)
@given(geometries(), st.integers(1, 5), st.integers(0, 1000))
@example(geometry(2, 16, 16, (1, 1), 3, (1, 1)), 2, 0)
@example(geometry(2, 16, 16, (2, 3), 5, (4, 4)), 2, 0)
@example(geometry(3, 256, 128, (8, 8), 3, (1, 1)), 2, 0)  # sums are divided among threads
@example(geometry(1, 8, 128, (4, 4), 3, (1, 1)), 4, 0)  # fewer tiles than threads
@example(geometry(20, 16, 32, (16, 16), 3, (1, 1)), 3, 0)  # many blocks
@example(geometry(9, 16, 128, (48, 48), 3, (1, 1)), 2, 0)  # stored past the caches
def test_kernels(geo, threads, seed):
    given = inputs_of(geo, seed)
    before = [array.copy() for array in given]
    got = by_kernels(geo, *given, threads)
    assert_close(got, exact(geo, *given), TOLERANCE[geo.kernel[0]])
    for ours, again in zip(got, by_kernels(geo, *given, threads), strict=True):
        np.testing.assert_array_equal(ours, again)
    for array, old in zip(given, before, strict=True):
        np.testing.assert_array_equal(array, old)


def test_without_bias():
    geo = geometry(3, 16, 24, (9, 7), 3, (1, 1))
    x, w, b, gy = inputs_of(geo)
    y, gw = spoiled(geo.y), spoiled(w.shape, True)
    winograd._convolution(geo, 'forward', False, 2)(x, w, y)
    winograd._gradient(geo, 2)(x, gy, gw)
    wanted = exact(geo, x, w, np.zeros_like(b), gy)
    assert_close((y, gw), (wanted[0], wanted[2]), TOLERANCE[3])


@pytest.mark.parametrize('kernel', [3, 5])
def test_outputs_do_not_depend_on_threads_or_batch(kernel):
    """Those of forward and data: how they are cut up is of no consequence."""
    geo = geometry(9, 32, 48, (14, 10), kernel, (1, 1))
    given = inputs_of(geo)
    y, gx, *_ = by_kernels(geo, *given, 1)
    for threads in (2, 3, 40):
        again = by_kernels(geo, *given, threads)
        np.testing.assert_array_equal(y, again[0])
        np.testing.assert_array_equal(gx, again[1])
    alone = geometry(1, 32, 48, (14, 10), kernel, (1, 1))
    x, w, b, gy = given
    again = by_kernels(alone, x[5:6], w, b, gy[5:6])
    np.testing.assert_array_equal(y[5:6], again[0])
    np.testing.assert_array_equal(gx[5:6], again[1])


OTHER_SET = """
import numpy as np
from chainer_onednn import kernels
assert kernels.instruction_set() == 'avx2', kernels.instruction_set()
import test_winograd as t
for kernel in (3, 5):
    for n, inward, outward, size in (
        (3, 24, 40, (9, 13)), (2, 16, 16, (8, 8)), (1, 3, 5, (4, 4)), (4, 64, 160, (17, 5))
    ):
        geo = t.geometry(n, inward, outward, size, kernel, (1, 2))
        given = t.inputs_of(geo)
        t.assert_close(t.by_kernels(geo, *given), t.exact(geo, *given), t.TOLERANCE[kernel])
print('alike')
"""


@pytest.mark.skipif(
    kernels.available() and kernels.instruction_set() == 'avx2', reason='tested above'
)
def test_the_other_instruction_set():
    here = os.path.dirname(__file__)
    source = os.path.dirname(os.path.dirname(chainer_onednn.__file__))
    path = os.pathsep.join([source, here, os.path.dirname(here)])
    done = subprocess.run(
        [sys.executable, '-c', OTHER_SET],
        env={**os.environ, 'PYTHONPATH': path, 'ONEDNN_MAX_CPU_ISA': 'AVX2'},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.stdout == 'alike\n', done.stderr


# ---- in the engine -------------------------------------------------------------------------------


@pytest.fixture
def always(monkeypatch):
    """Winograd wherever the kernels can, also where it is slower."""
    monkeypatch.setattr(winograd, '_pays', lambda *args: True)


@pytest.mark.parametrize('order', sorted(ORDERS))
@pytest.mark.parametrize('kernel', [3, 5])
def test_order_of_memory(engine, always, order, kernel):
    rng = np.random.RandomState(0)
    inputs = [random(rng, 2, 16, 9, 8), random(rng, 24, 16, kernel, kernel), random(rng, 24)]

    def convolve(*xs):
        return F.convolution_2d(*xs, pad=1)

    wanted = run(convolve, inputs)
    got = run(convolve, [ORDERS[order](array) for array in inputs])
    for ours, theirs in zip(got, wanted, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert_close(got, run(convolve, inputs, dtype=np.float64), TOLERANCE[kernel])


def test_deconvolution(engine, always):
    rng = np.random.RandomState(0)
    inputs = [random(rng, 2, 16, 9, 8), random(rng, 16, 24, 3, 3), random(rng, 24)]
    got = run(lambda *xs: F.deconvolution_2d(*xs, pad=1), inputs)
    wanted = run(lambda *xs: F.deconvolution_2d(*xs, pad=1), inputs, dtype=np.float64)
    assert_close(got, wanted, TOLERANCE[3])


def no_direct(monkeypatch):
    for name in ('_forward', '_backward_data', '_backward_weights'):
        monkeypatch.setattr(convolution, name, lambda *args: pytest.fail('direct convolution'))


def step(inward=64, outward=64, kernel=3, images=32, **options):
    link = L.Convolution2D(inward, outward, kernel, pad=kernel // 2, **options)
    x = chainer.Variable(random(np.random.RandomState(0), images, inward, 8, 8))
    F.sum(link(x) ** 2).backward()
    return x.grad, link.W.grad, link.b.grad


def test_the_common_shapes_are_done_by_winograd(engine, monkeypatch):
    no_direct(monkeypatch)
    step()
    step(kernel=5)
    step(128, 256)


def test_other_convolutions_are_not(engine, monkeypatch):
    def fail(*args):
        pytest.fail('Winograd')

    monkeypatch.setattr(winograd, '_convolution', fail)
    monkeypatch.setattr(winograd, '_gradient', fail)
    step(3, 64)
    step(kernel=1)
    step(images=1)
    step(groups=2)
    step(dilate=2)
    step(stride=2)
    with chainer_onednn.enable(winograd=False):
        step()
        with chainer_onednn.enable():  # as the enclosing call said
            step()
    monkeypatch.undo()
    no_direct(monkeypatch)
    step()


def test_settings(monkeypatch):
    with chainer_onednn.enable(winograd=False):
        if not chainer_onednn.is_enabled():
            pytest.skip('oneDNN cannot be used here')
        assert not winograd.is_allowed()
        assert chainer_onednn.describe().endswith('), kernels, direct convolution')
        with chainer_onednn.enable(winograd=True):
            assert winograd.is_allowed() and chainer_onednn.describe().endswith('), kernels')
        assert not winograd.is_allowed()
    with chainer_onednn.enable():
        assert winograd.is_allowed()
    monkeypatch.setenv('CHAINER_ONEDNN_WINOGRAD', '0')
    with chainer_onednn.enable(winograd=True):
        assert not winograd.is_allowed()


@pytest.mark.parametrize('direction', ['forward', 'data', 'weights'])
def test_the_rule_looks_at_the_shape_alone(direction):
    shapes = [
        (n, inward, outward, (size, size), kernel, (1, 1))
        for n in (1, 2, 8, 32, 128)
        for inward in (3, 8, 16, 64, 256)
        for outward in (8, 16, 64, 256)
        for size in (4, 8, 32)
        for kernel in (3, 5)
    ]
    first = [winograd.suits(geometry(*shape), direction, 2) for shape in shapes]
    assert first == [winograd.suits(geometry(*shape), direction, 2) for shape in shapes]
    assert 0 < sum(first) < len(first)


# ---- weights that are kept -----------------------------------------------------------------------


def evaluated(link, x):
    with chainer.using_config('train', False), chainer.no_backprop_mode():
        return link(x).array


def count_transforms(monkeypatch):
    """A list that grows by True or False: was an entry found that is not stale?"""
    found, find = [], winograd._kept.find

    def watched(*args):
        entry = find(*args)
        found.append(entry is not None and not entry.stale)
        return entry

    monkeypatch.setattr(winograd._kept, 'find', watched)
    return found


def test_kept_weights_follow_changes_in_place(engine, monkeypatch):
    found = count_transforms(monkeypatch)
    link = L.Convolution2D(64, 64, 3, pad=1)
    link.b.array[...] = random(np.random.RandomState(1), 64)
    x = random(np.random.RandomState(0), 32, 64, 8, 8)
    changes = (
        lambda w: None,
        lambda w: None,
        lambda w: w.__setitem__((0, 0, 0, 0), w[0, 0, 0, 0] + 1),
        lambda w: w.__setitem__((-1, -1, -1, -1), 7),
        lambda w: w.__imul__(np.float32(2)),
        lambda w: w.__setitem__((5, 6, 1, 1), np.nan),
        lambda w: None,
    )
    for change in changes:
        change(link.W.array)
        got = evaluated(link, x)
        with chainer_onednn.enable(), chainer.using_config('enable_backprop', True):
            wanted = link(x).array  # nothing is kept while training, and all is forgotten
        np.testing.assert_array_equal(got, wanted)
        again = evaluated(link, x)
        np.testing.assert_array_equal(again, wanted)
        change(link.W.array)
        changed = evaluated(link, x)  # seen although the entry exists
        winograd._kept.forget()
        np.testing.assert_array_equal(changed, evaluated(link, x))
    assert True in found and False in found


def test_kept_weights_serve_all_batch_sizes(engine, monkeypatch):
    found = count_transforms(monkeypatch)
    winograd._kept.forget()
    link = L.Convolution2D(64, 64, 3, pad=1)
    x = random(np.random.RandomState(0), 40, 64, 8, 8)
    whole = evaluated(link, x)
    np.testing.assert_array_equal(evaluated(link, x[:33]), whole[:33])
    assert found == [False, True]


def test_kept_weights_are_bounded(engine, monkeypatch):
    winograd._kept.forget()
    monkeypatch.setattr(winograd._Kept, 'LIMIT', 3_000_000)  # four of these weights
    monkeypatch.setattr(winograd._Kept, 'LONG_AGO', 6)
    x = random(np.random.RandomState(0), 32, 64, 8, 8)
    links = [L.Convolution2D(64, 64, 3, pad=1) for _ in range(6)]
    for _ in range(3):
        for link in links:
            got = evaluated(link, x)
            with chainer_onednn.enable(winograd=False):
                direct = evaluated(link, x)
            np.testing.assert_allclose(got, direct, atol=1e-4)
            assert winograd._kept._size <= 3_000_000
    kept = set(winograd._kept._entries)
    assert 0 < len(kept) < 6
    for _ in range(10):
        evaluated(links[-1], x)
    assert kept != set(winograd._kept._entries)  # the old have given way
    sizes = [entry.nbytes for entry in winograd._kept._entries.values()]
    assert winograd._kept._size == sum(sizes)
    winograd._kept.forget()
    assert not winograd._kept._entries and winograd._kept._size == 0


# ---- numbers that are not finite -----------------------------------------------------------------


def reach(finite):
    """Where tiles of outputs have only finite pixels in ``finite``: all of a tile, or nothing."""
    height, width = finite.shape[2:]
    result = np.ones_like(finite)
    for i in range(0, height, winograd.TILE):
        for j in range(0, width, winograd.TILE):
            tile = np.s_[..., i : i + winograd.TILE, j : j + winograd.TILE]
            result[tile] = finite[tile].all(axis=(2, 3), keepdims=True)
    return result


@pytest.mark.parametrize('kernel', [3, 5])
@pytest.mark.parametrize('value', [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize('where', ['x', 'w', 'gy'])
def test_what_is_not_finite_spreads_over_its_tiles(kernel, value, where):
    pad = kernel // 2
    geo = geometry(2, 8, 16, (11, 14), kernel, (pad, pad))
    for seed in range(6):
        given = dict(zip(('x', 'w', 'b', 'gy'), inputs_of(geo, seed), strict=True))
        rng = np.random.RandomState(seed)
        given[where][tuple(rng.randint(size) for size in given[where].shape)] = value
        with np.errstate(invalid='ignore'):
            y, gx, gw, gb = (np.isfinite(found) for found in by_kernels(geo, **given))
            wanted = [np.isfinite(found) for found in exact(geo, **given)]
        assert not (y & ~wanted[0]).any() and not (gx & ~wanted[1]).any()
        assert not (gw & ~wanted[2]).any()
        assert (gb == wanted[3]).all()
        # No farther than the tiles; of weights, all images of the two channels.
        far = [found.all(axis=(0, 2, 3)) if where == 'w' else reach(found) for found in wanted[:2]]
        y, gx = (found.all(axis=(0, 2, 3)) if where == 'w' else found for found in (y, gx))
        assert (y >= far[0]).all() and (gx >= far[1]).all()
        assert (gw >= wanted[2].all(axis=(2, 3), keepdims=True)).all()


def test_nothing_is_lost_beside_the_engine(engine, always):
    """The same through Chainer's functions, at every pixel of a tile and its surroundings."""
    w = random(np.random.RandomState(1), 16, 16, 3, 3)
    x = random(np.random.RandomState(0), 100, 16, 10, 10)
    for i, (row, column) in enumerate(np.ndindex(10, 10)):
        x[i, i % 16, row, column] = np.nan
    got = np.isfinite(F.convolution_2d(x, w, pad=1).array)
    with chainer_onednn.enable(winograd=False):
        wanted = np.isfinite(F.convolution_2d(x, w, pad=1).array)
    assert not (got & ~wanted).any() and (got >= reach(wanted)).all()


# ---- threads and processes -----------------------------------------------------------------------


def test_threads_of_one_process(engine):
    link = L.Convolution2D(64, 64, 3, pad=1)
    inputs = [random(np.random.RandomState(i), 32, 64, 8, 8) for i in range(6)]
    wanted = [evaluated(link, x) for x in inputs]
    with ThreadPoolExecutor(4) as pool:
        for _ in range(4):
            got = pool.map(lambda x: evaluated(link, x), inputs)
            for ours, theirs in zip(got, wanted, strict=True):
                np.testing.assert_array_equal(ours, theirs)


def _child(queue):
    queue.put(step())


@pytest.mark.filterwarnings('ignore:.*multi-threaded, use of fork:DeprecationWarning')
def test_a_forked_process_computes(engine, monkeypatch):
    no_direct(monkeypatch)
    np.random.seed(0)
    wanted = step()
    np.random.seed(0)
    context = multiprocessing.get_context('fork')
    queue = context.Queue()
    child = context.Process(target=_child, args=(queue,))
    child.start()
    got = queue.get(timeout=60)
    child.join(60)
    assert child.exitcode == 0
    for ours, theirs in zip(got, wanted, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-4 * np.abs(theirs).max())

"""Which points, and which order of the sum, give Winograd convolutions small float32 errors?

    python benchmarks/winograd_points.py [--search]

For 8x8 tiles (4x4 outputs of 5x5 filters) and 6x6 tiles (4x4 outputs of 3x3 filters) and points 0,
±a, ±b (, ±c) and infinity, the root mean square and the largest error of the output, and of the
gradient of the weights, which transforms filters and outputs the other way round; relative to the
root mean square of what is right, in units of 1e-7. ``--search`` walks over a grid, too (minutes).

What it taught: ±1/2, ±1, ±2 and ±2/3, ±3/2 are best, and most of the error is not the transforms'
but of the sum over the channels, which is therefore made in blocks. Every step is rounded
to float32; a multiplication and an addition are one step, as in the hardware.
"""

import argparse
import itertools
from fractions import Fraction

import numpy as np

NAMED = {
    8: ['1/2 1 2', '1/2 1 7/4', '1/2 1 3/2', '3/5 1 5/3', '5/8 1 8/5', '2/3 1 3/2'],
    6: ['2/3 3/2', '5/8 8/5', '3/4 3/2', '3/4 4/3', '5/8 5/4', '1/2 5/4', '1/2 1', '1 2'],
}
GRID = {8: [(0.3, 0.9), (0.75, 1.3), (1.2, 2.5)], 6: [(0.35, 1), (0.9, 2.2)]}


def fma(x, factor, y):
    """``x * factor + y``, rounded once."""
    return (np.float64(x) * np.float32(factor) + y).astype(np.float32)


def matrices(points, m, r):
    """B^T, G and A^T for ``m`` outputs of ``r`` taps: 0, the points' pairs, and infinity."""
    points = [0, *(sign * point for point in points for sign in (1, -1))]
    a = [[point**k for k in range(m)] for point in points] + [[0] * (m - 1) + [1]]
    b, g = [], []
    for i, point in enumerate(points):
        others = np.delete(points, i)
        b.append([*np.poly(others)[::-1], 0])
        g.append([point**k / np.prod(point - others) for k in range(r)])
    return (
        np.array([*b, np.poly(points)[::-1]]),
        np.array([*g, [0] * (r - 1) + [1]]),
        np.transpose(a),
    )


def transform(matrix, x):
    """``matrix x matrix^T`` of tiles ``x``, whose first two axes are rows and columns."""
    for _ in range(2):
        total = np.zeros((len(matrix), *x.shape[1:]), np.float32)
        for row, factors in zip(total, matrix, strict=True):
            for factor, value in zip(factors, x, strict=True):
                if factor:
                    row[...] = fma(value, factor, row)
        x = total.swapaxes(0, 1)
    return x


def product(a, b, block):
    """Sums of ``a[..., t, i] * b[..., t, j]`` over t, of each block from zero as the kernels do."""
    total = np.float32(0)
    for start in range(0, a.shape[-2], block):
        part = np.float32(0)
        for t in range(start, min(start + block, a.shape[-2])):
            part = fma(a[..., t, :, None].astype(np.float64), b[..., t, None, :], part)
        total = total + part
    return total


def windows(d, m, r):
    """The pixels (m, m, …) that meet each of r x r taps."""
    return (d[i : i + m, j : j + m] for i in range(r) for j in range(r))


class Case:
    """Random tiles and filters, and the exact results; an error is a pair, rms and largest."""

    def __init__(self, size, m, tiles=128, channels=64, filters=8):
        rng, r = np.random.default_rng(0), size + 1 - m
        shapes = (size, size, tiles, channels), (m, m, tiles, filters), (r, r, channels, filters)
        self.d, self.gy, self.w = (rng.standard_normal(shape, np.float32) for shape in shapes)
        d, gy, w = (x.astype(np.float64) for x in (self.d, self.gy, self.w))
        taps = w.reshape(r * r, channels, filters)
        self.y = sum(x @ tap for x, tap in zip(windows(d, m, r), taps, strict=True))
        gw = [np.einsum('ijtc,ijtk->ck', x, gy, optimize=True) for x in windows(d, m, r)]
        self.gw = np.reshape(gw, w.shape)

    def winograd(self, points, block=32):
        m, r = len(self.gy), len(self.w)
        b, g, a = matrices(points, m, r)
        _, back, a_of_gw = matrices(points, r, m)
        v = transform(b, self.d)
        y = product(v.swapaxes(-1, -2), transform(g, self.w), block)
        gw = product(v, transform(back, self.gy), 32)
        return self.errors(transform(a, y), transform(a_of_gw, gw))

    def direct(self):
        m, r, channels = len(self.gy), len(self.w), self.d.shape[-1]
        x = np.concatenate(list(windows(self.d, m, r)), axis=-1)  # (m, m, tiles, taps x channels)
        y = product(x.swapaxes(-1, -2), self.w.reshape(r * r * channels, -1), 10**9)
        flat = (self.gy.size // self.gy.shape[-1], -1)
        gw = product(x.reshape(flat), self.gy.reshape(flat), 64)
        return self.errors(y, gw.reshape(self.w.shape))

    def errors(self, *results):
        found = []
        for result, exact in zip(results, (self.y, self.gw), strict=True):
            error = (result - exact) / np.sqrt(np.square(exact).mean())
            found += [1e7 * np.sqrt(np.square(error).mean()), 1e7 * np.abs(error).max()]
        return found


def show(name, errors):
    print(f'{name:32}' + ''.join(f'{error:8.1f}' for error in errors), flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--search', action='store_true')
    args = parser.parse_args()
    for size, names in NAMED.items():
        case = Case(size, 4)
        print(f'{size}x{size} tiles: rms and maximum of output, of gradient of weights')
        show('direct', case.direct())
        for name in names:
            show(name, case.winograd([float(Fraction(text)) for text in name.split()]))
        best = [float(Fraction(text)) for text in names[0].split()]
        for block in (64, 16, 8):
            show(f'{names[0]}, blocks of {block} channels', case.winograd(best, block))
        if args.search:
            grid = itertools.product(*(np.arange(low, high, 0.05) for low, high in GRID[size]))
            found = {points: case.winograd(points) for points in grid if min(np.diff(points)) > 0.1}
            for points in sorted(found, key=lambda key: found[key][0] * found[key][2])[:12]:
                show(' '.join(f'{value:.2f}' for value in points), found[points])


if __name__ == '__main__':
    main()

"""Pictures, read back with Pillow."""

import itertools

import numpy as np
import pytest
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from PIL import Image

from chainer_cifar import figures
from chainer_cifar.figures import image_sheet
from chainer_cifar.figures.plots import _scale, curve

GAP = 2


def tile(path, row, column):
    sheet = np.asarray(Image.open(path))
    top, left = (GAP + place * (32 + GAP) for place in (row, column))
    return sheet[top : top + 32, left : left + 32].transpose(2, 0, 1)


@pytest.mark.parametrize(
    ('count', 'columns', 'rows'), [(100, 10, 10), (1, 10, 1), (11, 10, 2), (6, 3, 2)]
)
def test_sheet_has_a_tile_for_each_image(tmp_path, count, columns, rows):
    images = np.random.default_rng(0).normal(size=(count, 3, 32, 32))
    image_sheet(images, tmp_path / 'a.png', columns)
    with Image.open(tmp_path / 'a.png') as sheet:
        assert sheet.format == 'PNG' and sheet.mode == 'RGB'
        assert sheet.size == (columns * 34 + GAP, rows * 34 + GAP)
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize('dtype', [np.uint8, np.int32, np.float16, np.float64])
def test_each_image_has_its_own_range(tmp_path, dtype):
    rng = np.random.default_rng(0)
    images = np.stack([rng.integers(0, 50, (3, 32, 32)), rng.integers(90, 100, (3, 32, 32))])
    image_sheet(images.astype(dtype), tmp_path / 'a.png', columns=2)
    for i in range(2):
        low, high = images[i].min(), images[i].max()
        expected = (images[i] - low) * 255 / (high - low)
        assert abs(tile(tmp_path / 'a.png', 0, i).astype(float) - expected).max() <= 0.51


def test_a_flat_image_is_no_division_by_zero(tmp_path):
    with np.errstate(all='raise'):
        image_sheet(np.full((1, 3, 32, 32), -7.5), tmp_path / 'a.png')
    assert (tile(tmp_path / 'a.png', 0, 0) == 0).all()


def test_order_is_by_rows(tmp_path):
    images = np.zeros((6, 3, 32, 32))
    images[4, 1, 5, 7] = 1  # green, row 5, column 7
    image_sheet(images, tmp_path / 'a.png', columns=3)
    found = tile(tmp_path / 'a.png', 1, 1)
    assert found[1, 5, 7] == 255 and found.sum() == 255


ROWS = [
    {'epoch': i, 'train_loss': 2 / i, 'train_error': 60 / i, 'valid_loss': 2.1 / i}
    | {'valid_error': 61 / i, 'test_loss': 2.2 / i, 'test_error': 62 / i}
    for i in (1, 2, 3)
]


def test_curves_are_the_same_file_each_time(tmp_path):
    figures.curves(ROWS, ROWS[2], 'title', tmp_path)
    first = {name: (tmp_path / name).read_bytes() for name in ('loss.png', 'error.png')}
    figures.curves(ROWS, ROWS[2], r'no formula: $\title$', tmp_path)
    figures.curves(ROWS, ROWS[2], 'title', tmp_path)
    for name, content in first.items():
        assert (tmp_path / name).read_bytes() == content
        with Image.open(tmp_path / name) as image:
            assert image.size == (840, 540)


def test_curves_show_the_rows(tmp_path):
    for rows in (ROWS, ROWS[:1], [{k: v for k, v in r.items() if 'valid' not in k} for r in ROWS]):
        figures.curves(rows, rows[-1], 'title', tmp_path)
    without_valid = (tmp_path / 'error.png').read_bytes()
    figures.curves(ROWS, ROWS[-1], 'title', tmp_path)
    assert (tmp_path / 'error.png').read_bytes() != without_valid


def axes_of(losses, quantity='loss'):
    """Of a run with these test losses; valid's are the same, train's half."""
    rows = [
        {'epoch': i, f'train_{quantity}': x / 2, f'valid_{quantity}': x, f'test_{quantity}': x}
        for i, x in enumerate(losses, 1)
    ]
    figure = curve(rows, rows[-1], 'title', quantity)
    figure.draw_without_rendering()
    (axes,) = figure.axes
    return axes


def drawn(monkeypatch, draw):
    """The first figure that `draw()` writes, in pixels as it is written."""
    seen = []

    def save(figure, *args, dpi, **kwargs):
        figure.dpi = dpi
        seen.append(figure)

    monkeypatch.setattr(Figure, 'savefig', save)
    draw()
    seen[0].draw_without_rendering()
    return seen[0]


def marks(axes):
    """Epochs and losses of the triangles that stand for what is not on the axis."""
    texts = [text.get_text() for text in axes.get_legend().get_texts()]
    told = [text for text in texts if text.startswith('above')]
    where = [line.get_xdata().tolist() for line in axes.lines if line.get_marker() == '^']
    return where, told


def assert_markers_inside(axes):
    box = axes.get_window_extent()
    for line in axes.lines:
        radius = line.get_markersize() / 2 * axes.figure.dpi / 72
        points = axes.transData.transform(line.get_xydata())
        assert (points - radius >= box.min).all() and (points + radius <= box.max).all()


COURSE = [2 * 0.85**i for i in range(20)]


@pytest.mark.parametrize(
    ('losses', 'quantity'),
    [
        (COURSE, 'loss'),
        (COURSE[:1], 'loss'),
        (COURSE[:2], 'loss'),
        ([0.0], 'loss'),
        ([60.0, *COURSE, 0.0], 'error'),
        ([0.0], 'error'),
    ],
)
def test_curves_of_a_usual_run_start_at_zero(losses, quantity):
    axes = axes_of(losses, quantity)
    assert axes.get_yscale() == 'linear'
    low, high = axes.get_ylim()
    assert -0.05 * high < low < 0 and marks(axes) == ([], [])
    assert_markers_inside(axes)
    left, right = axes.get_xlim()
    ticks = [tick for tick in axes.get_xticks() if left <= tick <= right]
    assert ticks and all(tick == round(tick) for tick in ticks)
    assert len(losses) > 1 or ticks == [1]


@pytest.mark.parametrize('place', [0, 8])
def test_a_high_loss_asks_for_a_log_axis(place):
    losses = COURSE.copy()
    losses[place] = 20.0
    axes = axes_of(losses)
    assert axes.get_yscale() == 'log' and marks(axes) == ([], [])
    assert_markers_inside(axes)
    # The other epochs have a good part of the height.
    low, high = np.log(axes.get_ylim())
    assert np.log(2 / COURSE[-1]) > 0.4 * (high - low)


@pytest.mark.parametrize(('loss', 'told'), [(1e12, '1e+12'), (345.6, '346'), (np.inf, 'inf')])
@pytest.mark.parametrize('place', [0, 8])
def test_a_huge_loss_is_told_beside_the_axis(place, loss, told):
    losses = COURSE.copy()
    losses[place] = loss
    axes = axes_of(losses)
    assert axes.get_yscale() == 'linear'
    assert 1.5 < axes.get_ylim()[1] < 2.5
    assert marks(axes) == ([[place + 1]], [f'above, up to {told}'])


def test_the_result_is_on_the_axis_however_high():
    axes = axes_of([*COURSE, 1e6])
    assert axes.get_ylim()[0] < COURSE[-1] and axes.get_ylim()[1] > 1e6
    assert_markers_inside(axes)


@pytest.mark.parametrize('count', [1, 60])
def test_valid_and_test_are_both_seen_where_they_agree(tmp_path, count):
    rows = [
        {'epoch': i, 'train_error': 90 / i, 'valid_error': 50 / i, 'test_error': 50 / i}
        for i in range(1, count + 1)
    ]
    axes = curve(rows, rows[-1], 'title', 'error').axes[0]
    axes.get_legend().remove()
    (ring,) = (line for line in axes.lines if line.get_marker() == 'o')
    ring.remove()
    axes.figure.savefig(tmp_path / 'a.png', dpi=120)
    picture = pixels(tmp_path / 'a.png')
    for color in ('tab:red', 'tab:orange'):
        near = abs(picture - 255 * np.array(to_rgb(color))).max(axis=2) < 40
        assert near.sum() > (20 if count == 1 else 500)


def pixels(path):
    with Image.open(path) as image:
        return np.asarray(image.convert('RGB'))


IMAGES = np.random.default_rng(0).integers(0, 256, (7, 3, 32, 32)).astype(np.uint8)


def test_gallery_shows_every_pixel(tmp_path):
    captions = [('one', 'two $x'), ('a name that is much too long for its tile', '')]
    captions += [('', 'Ünïcode')] * 5
    right = [True, False, None] + [True] * 4
    figures.gallery(IMAGES, captions, tmp_path / 'a.png', 'title', right, columns=3)
    sheet = pixels(tmp_path / 'a.png')
    assert sheet.shape == (3 * 180 + 34, 3 * 152 + 16, 3)
    for i, image in enumerate(IMAGES):
        top, left = 34 + 180 * (i // 3), 16 + 152 * (i % 3)
        inside = sheet[top + 4 : top + 132, left + 4 : left + 132]
        np.testing.assert_array_equal(inside[::4, ::4].transpose(2, 0, 1), image)
        np.testing.assert_array_equal(inside[3::4, 3::4].transpose(2, 0, 1), image)
        red, green, _ = sheet[top + 1, left + 60].astype(int)
        assert {True: green > red, False: red > green, None: red == green == 255}[right[i]]
        red, green, _ = sheet[top + 3, left + 60].astype(int)
        assert {True: green > red, False: red > green, None: red == green < 200}[right[i]]
        # Text stays below its own tile.
        assert (sheet[top : top + 170, left + 138 : left + 150] == 255).all()
    assert (sheet[34 + 138 : 34 + 164, 16:152] < 128).any()


@pytest.mark.parametrize(
    ('shape', 'drawn'),
    [
        ((1, 28, 28), (112, 112)),
        ((3, 64, 64), (128, 128)),
        ((3, 48, 90), (48, 90)),
        ((1, 8, 9), (112, 126)),
        ((3, 96, 224), (55, 128)),
        ((3, 300, 2), (128, 1)),
    ],
    ids=str,
)
def test_gallery_of_any_size(tmp_path, shape, drawn):
    (height, width), images = drawn, np.full((3, *shape), 7, np.uint8)
    assert figures.resized(images, 128).shape == (3, shape[0], height, width)
    figures.gallery(images, [('a', 'b')] * 3, tmp_path / 'a.png', '', columns=2)
    sheet = pixels(tmp_path / 'a.png')
    high = height + 2 + 2 * 14 + 16
    assert sheet.shape == (34 + 2 * high, 16 + 2 * 146, 3)
    for i in range(3):
        top, left = 35 + high * (i // 2), 17 + 146 * (i % 2)
        assert (sheet[top : top + height, left : left + width] == 7).all()
        assert (sheet[top - 1, left : left + width] == 160).all()


def test_resized_keeps_what_fits_and_smooths_what_does_not():
    assert figures.shrunk(IMAGES, 32) is IMAGES
    np.testing.assert_array_equal(figures.resized(IMAGES, 70)[:, :, ::2, 1::2], IMAGES)
    large = IMAGES.repeat(8, axis=2).repeat(8, axis=3)
    small = figures.resized(large, 128)
    assert small.shape == (7, 3, 128, 128) and small.dtype == np.uint8
    error = small.astype(int) - IMAGES.repeat(4, axis=2).repeat(4, axis=3)
    assert np.abs(error).mean() < 12


def test_pictures_begin_where_their_captions_do(tmp_path):
    white = np.full((2, 3, 32, 32), 255, np.uint8)
    for right, left in ((None, 16), ([None, True], 19)):
        figures.gallery(white, [('|', '|', '|')] * 2, tmp_path / 'a.png', '', right)
        sheet = pixels(tmp_path / 'a.png')
        size = 130 if right is None else 136
        assert sheet.shape == (34 + size + 3 * 14 + 16, 16 + 2 * (size + 16), 3)
        dark = np.flatnonzero((sheet[:, : size + 16] < 200).any(axis=(0, 2)))
        assert dark[0] == left and dark[-1] == left + 129  # the thin frame, 1 + 128 + 1
        bars = sheet[34 + size :, : size + 16].min(axis=(0, 2))  # below: the captions
        assert 0 <= np.flatnonzero(bars < 200)[0] - left < 5


def test_a_long_caption_loses_its_middle(tmp_path):
    seen = []
    for caption in ('a' * 30 + '1.png', 'a' * 30 + '2.png', 'a' * 15 + 'b' + 'a' * 14 + '2.png'):
        figures.gallery(IMAGES[:1], [(caption,)], tmp_path / 'a.png', 'title')
        seen.append(pixels(tmp_path / 'a.png'))
    assert (seen[0] != seen[1]).any() and (seen[1] == seen[2]).all()


def test_captions_of_wide_letters_stay_below_their_pictures(tmp_path):
    captions = [('MOUNTAIN_SUMMIT_WEST_0012.JPG', 'COMMON BOTTLEWOOD 97 %', 'WWWWWWWWWWWWWW')] * 3
    title = 'HIMAWARI_MODEL_COMMON_WWW: 12 OF 400 TEST IMAGES ARE MISCLASSIFIED WWMMWW'
    figures.gallery(IMAGES[:3], captions, tmp_path / 'a.png', title)
    sheet = pixels(tmp_path / 'a.png')
    assert (sheet[:, -8:] == 255).all()
    for gap in (16 + 130, 16 + 146 + 130):
        assert (sheet[34:, gap + 1 : gap + 15] == 255).all()
    # They are as long as there is room.
    assert (sheet[34 + 130 :, 16 + 110 : 16 + 130] < 128).any()


def test_one_picture_leaves_room_for_the_title(tmp_path):
    title = 'a title that is far wider than one picture is'
    figures.gallery(IMAGES[:1], [('a', 'b')], tmp_path / 'a.png', title)
    sheet = pixels(tmp_path / 'a.png')
    assert sheet.shape[1] > 300
    assert (sheet[:34, -8:] == 255).all() and (sheet[:34, 200:300] < 128).any()


def test_panels(tmp_path):
    large = IMAGES[0].repeat(4, axis=1).repeat(4, axis=2).transpose(1, 2, 0)
    small = large[:50, :60]
    figures.panels([[('one', large), ('two', small)]] * 2, tmp_path / 'a.png', 'title')
    sheet = pixels(tmp_path / 'a.png')
    assert sheet.shape == (34 + 2 * (128 + 14 + 16), 16 + (128 + 16) + (60 + 16), 3)
    for row in range(2):
        top = 34 + 16 + row * 158
        np.testing.assert_array_equal(sheet[top : top + 128, 16:144], large)
        np.testing.assert_array_equal(sheet[top : top + 50, 160:220], small)


def test_tiles():
    sheet = figures.tiled(IMAGES[:3, :1], columns=2, zoom=2)
    assert sheet.shape == (2 * 66 + 2, 2 * 66 + 2, 3)
    np.testing.assert_array_equal(sheet[2:66:2, 68:132:2, 2], IMAGES[1, 0])
    assert (sheet[68:, 68:] == 255).all()


def test_colours():
    assert figures.colours(IMAGES) is IMAGES
    found = figures.colours(IMAGES / 50 - 3)
    assert found.dtype == np.uint8 and found.min() == 0 and found.max() == 255
    np.testing.assert_array_equal(figures.colours(IMAGES[:, :1])[:, 2], IMAGES[:, 0])


@pytest.mark.parametrize('count', [2, 21, 400])
def test_confusion(tmp_path, count):
    matrix = np.diag(np.arange(count)).tolist()  # the first class has no image
    names = [rf'class $\no {number}$' for number in range(count)]
    figures.confusion(matrix, names, r'$\title', tmp_path / 'a.png')
    first = (tmp_path / 'a.png').read_bytes()
    sheet = pixels(tmp_path / 'a.png')
    assert (
        max(sheet.shape) < (4500 if count > 100 else 1200)
        and (sheet == [8, 48, 107]).all(axis=2).any()
    )  # a full share
    figures.confusion(matrix, names, r'$\title', tmp_path / 'a.png')
    assert (tmp_path / 'a.png').read_bytes() == first


def test_the_curves_of_several_runs_are_one_picture(tmp_path):
    """Also of many, of a name that is no formula, of several seeds, of a loss that diverged."""
    runs = [
        (
            f'$run{i}^',
            {
                'train_error': ([1, 2], [50.0, 40.0], [5.0, 4.0] if i else None),
                'valid_error': ([1], [30.0], None),
                'train_loss': ([1, 2], [float('nan'), float('inf')], None),
            },
        )
        for i in range(12)
    ]
    figures.comparison([*runs, ('begun', {})], tmp_path / 'a.png')
    with Image.open(tmp_path / 'a.png') as picture:
        picture.load()
        assert picture.format == 'PNG' and picture.width == round(120 * (0.8 + 2 * 4.4))


def test_the_parts_of_a_row_have_one_scale(tmp_path, monkeypatch):
    epochs = range(1, 17)
    tiny = [10.0 ** (-i / 3) for i in epochs]
    usual = {
        f'{part}_{measure}': (epochs, [scale * 2.0 / i for i in epochs], None)
        for part, scale in (('train', 1), ('test', 3))
        for measure in ('error', 'loss')
    }
    short = {'train_error': ([1, 2], [1.0, 2.0], None)}
    for curves, shared in ((usual, True), ({**usual, 'train_loss': (epochs, tiny, None)}, False)):
        runs = [('long', curves), ('short', short)]
        figure = drawn(monkeypatch, lambda runs=runs: figures.comparison(runs, tmp_path / 'a.png'))
        train, test, train_loss, test_loss = figure.axes
        assert train.get_ylim() == test.get_ylim() and train.get_ylim()[1] > 6
        # Tiny losses, on a logarithmic axis, would leave no room to the others.
        assert (train_loss.get_ylim() == test_loss.get_ylim()) == shared
    assert [line.get_marker() for line in train.lines] == ['None', '.']


@pytest.mark.parametrize('count', [4, 12])
def test_a_legend_of_long_names_is_within_the_picture(count, tmp_path, monkeypatch):
    names = [f'photographs_of_cats_and_dogs/with_what_LR_{i}' for i in range(count)]
    runs = [(name, {'train_error': ([1], [50.0], None)}) for name in names]
    figure = drawn(monkeypatch, lambda: figures.comparison(runs, tmp_path / 'a.png'))
    (legend,) = figure.legends
    box = legend.get_window_extent()
    assert box.x0 >= 0 and box.x1 <= figure.bbox.x1
    assert figure.axes[0].get_window_extent().height > 300


@pytest.mark.parametrize('count', [10, 20, 45])
def test_no_two_runs_are_drawn_alike(count, tmp_path, monkeypatch):
    runs = [(f'run{i}', {'train_error': ([1, 2], [i, i], None)}) for i in range(count)]
    figure = drawn(monkeypatch, lambda: figures.comparison(runs, tmp_path / 'a.png'))
    looks = [(line.get_color(), line.get_linestyle()) for line in figure.axes[0].lines]
    assert len(set(looks)) == count
    assert {line for _, line in looks[:20]} == {'-'}
    (legend,) = figure.legends
    assert [(line.get_color(), line.get_linestyle()) for line in legend.legend_handles] == looks


def test_accuracy_is_drawn_whole_and_few_images_are_faded(tmp_path, monkeypatch):
    figure = drawn(monkeypatch, lambda: figures.reliability([BINS], 'title', tmp_path / 'a.png'))
    top, bottom = figure.axes
    solid = [bar for bar in top.patches if bar.get_facecolor()[3] > 0]  # the others are outlines
    assert [bar.get_height() for bar in solid] == pytest.approx([10, 90])
    faded, whole = (bar.get_facecolor()[3] for bar in solid)
    assert faded < 0.5 and whole == 1
    gaps = [bar for bar in top.patches if bar.get_hatch()]
    assert [bar.get_y() for bar in gaps] == pytest.approx([10, 90])
    assert [bar.get_height() for bar in gaps] == pytest.approx([10, -20])
    shares = [bar.get_height() for bar in bottom.patches]
    assert shares == pytest.approx([100 * count / 49 for count in (9, 0, 40)])
    (legend,) = figure.legends
    assert 'of fewer than 20 images' in [text.get_text() for text in legend.get_texts()]
    box = legend.get_window_extent()
    assert box.y0 >= 0 and box.y1 <= bottom.get_tightbbox().y0


def test_limits_hold_the_bands():
    log, low, high = figures.limits('error', [([1, 2], [10, 20], [0, 15]), ([1], [30], None)])
    assert not log and low < 0 and high == pytest.approx(1.05 * 35)


def test_a_run_of_tiny_losses_leaves_the_others_on_the_axis():
    tiny = (range(40), [10.0 ** (-i / 5) for i in range(40)], None)
    usual = (range(9), [2 / (1 + i) for i in range(9)], None)
    huge = (range(3), [1e12, 2.0, 1.5], None)
    log, low, high = figures.limits('loss', [tiny, usual, huge])
    assert log and low < tiny[1][-1] and 2 < high < 10


@pytest.mark.parametrize('decades', range(1, 13))
def test_a_log_axis_has_some_ticks(decades):
    low, high = 0.7 * 10.0**-decades, 1.4
    axes = Figure(figsize=(4.6, 3.4)).add_subplot()
    _scale(axes, True, low, high)
    ticks = [tick for tick in axes.get_yticks() if low <= tick <= high]
    assert 2 <= len(ticks) <= 12
    boxes = [label.get_window_extent() for label in axes.get_yticklabels() if label.get_text()]
    heights = sorted((box.y0, box.y1) for box in boxes)
    assert all(under[1] < over[0] for under, over in itertools.pairwise(heights))


LONG = 'photographs_of_cats_and_dogs/resnet_wide_dropout_0.3/trial_001_and_on, test flip: 17.65 %'
BINS = ('bins', [9, 0, 40], [0.2, 0, 0.7], [0.1, 0, 0.9])


WAYS = {
    'curves': lambda title, path: figures.curves(ROWS[:1], ROWS[0], title, path.parent),
    'rate_test': lambda title, path: figures.rate_test([(0.1, 2), (0.2, 1)], 0.1, title, path),
    'confusion': lambda title, path: figures.confusion([[5, 1], [2, 9]], 'ab', title, path),
    'reliability': lambda title, path: figures.reliability([BINS], title, path),
    'search': lambda title, path: figures.search([], [], title, path),
}


@pytest.mark.parametrize(
    ('way', 'title', 'lines'),
    [
        *((way, LONG, 3) for way in WAYS),
        *(('confusion', title, 3) for title in ('WM' * 40, f'{LONG}/{LONG}' * 3)),
        ('confusion', 'a $ in it', 1),
    ],
    ids=lambda value: str(value)[:10],
)
def test_a_long_title_is_within_the_picture(way, title, lines, tmp_path, monkeypatch):
    figure = drawn(monkeypatch, lambda: WAYS[way](title, tmp_path / 'a.png'))
    shown = figure.get_suptitle()
    assert shown.count('\n') < lines and shown.endswith(title[-5:])
    box = figure._suptitle.get_window_extent()
    assert box.x0 >= 0 and box.x1 <= figure.bbox.x1 and box.y1 <= figure.bbox.y1
    # The axes keep their room.
    assert figure.axes[0].get_window_extent().height > 100


@pytest.mark.parametrize('count', [2, 30])
def test_long_names_of_classes_leave_the_matrix_its_room(count, tmp_path, monkeypatch):
    def side(name):
        matrix = np.diag(np.arange(count)).tolist()
        call = [matrix, [name] * count, 'title', tmp_path / 'a.png']
        figure = drawn(monkeypatch, lambda: figures.confusion(*call))
        box = figure.get_tightbbox()
        assert box.x0 > -0.1 and box.y0 > -0.1
        return figure.axes[0].get_window_extent().height

    assert side('A LONG NAME OF A CLASS, SEEN FROM BEHIND AND ABOVE') > 0.85 * side('cat')


POINTS = [
    figures.Point(2, 1.5, True, {'lr': 0.01, 'model': '$cnn^'}),
    figures.Point(4, 20.0, True, {'model': 'vgg'}),
    figures.Point(3, 60.0, False, {'lr': 0.1, 'model': '$cnn^'}),
]
SEARCHED = [
    figures.Flag('lr', [], (0.001, 0.1), True, 0.75),
    figures.Flag('model', ['$cnn^', 'vgg'], None, False, 0.25),
]


def drawn_search(points, flags, path, monkeypatch):
    """The figure that `figures.search` writes."""
    return drawn(monkeypatch, lambda: figures.search(points, flags, 'title', path))


def test_a_search_is_drawn(tmp_path, monkeypatch):
    figures.search(POINTS, SEARCHED, r'no formula: $\title$', tmp_path / 'a.png')
    with Image.open(tmp_path / 'a.png') as picture:
        picture.load()
        assert picture.format == 'PNG' and picture.width > 1000
    course, mattered, lr, model = drawn_search(
        POINTS, SEARCHED, tmp_path / 'b.png', monkeypatch
    ).axes
    # Errors from 1.5 to 60 are on a logarithmic axis, the same in all.
    assert {each.get_yscale() for each in (course, lr, model)} == {'log'}
    assert course.get_ylim() == lr.get_ylim() == model.get_ylim()
    assert lr.get_xscale() == 'log' and lr.get_xlim()[0] < 0.001 and lr.get_xlim()[1] > 0.1
    assert [bar.get_width() for bar in mattered.patches] == [25, 75]
    assert lr.get_title() == 'lr (75 %)'
    # The trial without this flag is not there, and the ring is about the best.
    places = sorted(tuple(point) for line in lr.lines for point in line.get_xydata())
    assert places == [(0.01, 1.5), (0.01, 1.5), (0.1, 60)]
    assert [text.get_text() for text in model.get_xticklabels()] == ['$cnn^', 'vgg']


@pytest.mark.parametrize('points', [[], POINTS[2:], [POINTS[2]._replace(error=0.0)]])
def test_a_search_without_an_end_is_drawn(points, tmp_path, monkeypatch):
    flags = [flag._replace(importance=None) for flag in SEARCHED]
    figure = drawn_search(points, flags, tmp_path / 'a.png', monkeypatch)
    assert len(figure.axes) == 3  # nothing mattered yet
    assert [each.get_yscale() for each in figure.axes] == ['linear'] * 3

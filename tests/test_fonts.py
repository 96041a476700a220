"""Titles of letters that Matplotlib's usual font lacks, drawn without a warning."""

import warnings

import matplotlib
import numpy as np
import pytest
from matplotlib import font_manager
from matplotlib.backends.backend_agg import RendererAgg

from chainer_cifar import figures
from chainer_cifar.figures import fonts

CAT = '猫'


@pytest.fixture(autouse=True)
def fresh(monkeypatch):
    """As in a new process, with DejaVu and the fonts of the case only."""
    monkeypatch.setattr(fonts, '_told', [])
    fonts._family_with.cache_clear()
    with matplotlib.rc_context(), warnings.catch_warnings():
        warnings.simplefilter('error')
        yield
    fonts._family_with.cache_clear()


def test_a_letter_of_another_font(monkeypatch, tmp_path, capsys):
    usual, other = (font_manager.findfont(name) for name in ('DejaVu Sans', 'STIXGeneral'))
    letters = set(font_manager.get_font(other).get_charmap())
    letter = chr(min(letters - set(font_manager.get_font(usual).get_charmap())))
    assert fonts.drawable(f'a{letter}') == f'a{letter}'
    assert len(matplotlib.rcParams['font.family']) == 2
    figures.confusion([[1, 0], [0, 1]], [letter, 'a'], f'title {letter}', tmp_path / 'a.png')
    assert capsys.readouterr().err == ''


def test_a_letter_of_no_font_is_told_once(monkeypatch, tmp_path, capsys):
    fonts_here = [f for f in font_manager.fontManager.ttflist if f.name == 'DejaVu Sans']
    monkeypatch.setattr(font_manager.fontManager, 'ttflist', fonts_here)
    assert fonts.drawable(f'{CAT}\n') == r'?\n'
    pictures = np.zeros((1, 3, 32, 32), np.uint8)
    for text in (CAT, 'いぬ', 'a\udcff'):
        figures.gallery(pictures, [(text,)], tmp_path / 'a.png', f'title {text}')
        figures.panels([[(text, pictures[0].T)]], tmp_path / 'b.png', text)
    told = capsys.readouterr().err
    assert told.count('\n') == 1 and f"no font here has the letter '{CAT}'" in told


def test_wide_letters_stay_below_their_picture(tmp_path, monkeypatch):
    """Also letters of a font that was added for them."""
    usual, other = (font_manager.findfont(name) for name in ('DejaVu Sans', 'STIXGeneral'))
    charmaps = [font_manager.get_font(path).get_charmap() for path in (usual, other)]
    letter = min(filter(str.isalpha, map(chr, set(charmaps[1]) - set(charmaps[0]))))
    drawn = []
    monkeypatch.setattr(
        'chainer_cifar.figures.sheets._write', lambda canvas, texts, path: drawn.extend(texts)
    )
    for text in (letter * 40, 'W' * 40, 'i' * 20):
        figures.gallery(np.zeros((1, 3, 32, 32), np.uint8), [(text,)], tmp_path / 'a.png', '')
        caption = drawn[-1][2]
        renderer, font = RendererAgg(1, 1, 100), font_manager.FontProperties(size=8)
        width = renderer.get_text_width_height_descent(caption, font, False)[0]
        assert ('…' in caption) == (text[0] != 'i')
        assert 90 < width <= 130 or '…' not in caption

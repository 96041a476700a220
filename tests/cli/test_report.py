"""src/report.py as a user runs it: what the page holds, and that it holds together."""

import html.parser
import io
import json
import os
import pathlib
import re
import shutil
import urllib.request

import numpy as np
import pytest
from PIL import Image

from browser import NEEDS_CHROMIUM, ask_browser

VOID = {'meta', 'link', 'img', 'br', 'input', 'hr'}
HOSTILE = '<script>alert("&")</script>'


class Page(html.parser.HTMLParser):
    """Parses a page; fails where a tag is not closed in its order.

    Attributes:
        tags: Every tag, with a dictionary of its attributes.
        texts: From a tag to the texts directly in such tags.
    """

    def __init__(self, text):
        super().__init__()
        self.tags, self.texts, self._open = [], {}, []
        self.feed(text)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag, attrs):
        names = [name for name, _ in attrs]
        assert len(set(names)) == len(names), self.get_starttag_text()
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)

    def handle_endtag(self, tag):
        assert self._open and self._open.pop() == tag, (tag, self.getpos())

    def handle_data(self, data):
        if self._open and data.strip():
            self.texts.setdefault(self._open[-1], []).append(data.strip())

    def all(self, tag):
        return [attributes for name, attributes in self.tags if name == tag]


def read(path):
    return Page(pathlib.Path(path).read_text(encoding='utf-8'))


@pytest.fixture
def several(own_run):
    """The run, a copy with a hostile name, and `many` of two seeds."""
    for name in ('<b>&"x', 'many/seed1', 'many/seed2'):
        for root in ('results', 'models'):
            shutil.copytree(f'{root}/run', pathlib.Path(root, name))
    path = pathlib.Path('results/many/seed2/log.json')
    rows = json.loads(path.read_text())
    rows[1]['valid_error'] = -1.0
    path.write_text(json.dumps(rows))
    flags = json.loads(pathlib.Path('results/run/config.json').read_text())['flags']
    seeds = {'version': 1, 'seeds': [1, 2], 'flags': flags}
    pathlib.Path('results/many/seeds.json').write_text(json.dumps(seeds))
    return own_run


def test_one_run(own_run, command):
    status, out, err = command('report', 'run')
    assert (status, out, err) == (0, 'report  results/run/report.html\n', '')
    page = read('results/run/report.html')
    summary = json.loads(pathlib.Path('results/run/summary.json').read_text())
    assert f'{summary["test_error"]:.2f} %' in page.texts['dd']
    # The numbers of evaluate.py.
    assert command('evaluate', 'run')[0] == 0
    report = json.loads(pathlib.Path('results/run/report-test.json').read_text())
    cells = [int(text) for text in page.texts['td'] if text.isdigit()]
    assert np.ravel(report['confusion']).tolist() == cells[:100]
    for row in report['classes']:
        assert f'{row["f1"]:.3f}' in page.texts['td'] and row['name'] in page.texts['th']
    wrong = round(report['error'] / 100 * 40)
    assert len([each for each in page.all('img') if each['alt'].startswith('a test')]) == wrong
    assert [each['alt'] for each in page.all('img')][wrong:] == [
        'filters before training',
        'filters after training',
    ]
    # Config, environment and data.
    config = json.loads(pathlib.Path('results/run/config.json').read_text())
    for text in ('--res_depth', '--normalize'):
        assert text in page.texts['th']
    assert config['data_checksum'] in page.texts['td']
    assert any(f'numpy {np.__version__}' in text for text in page.texts['td'])


def test_pictures_are_whole_and_in_the_page(own_run, command):
    command('report', 'run', '--out', 'a.html')
    sources = [each['src'] for each in read('a.html').all('img')]
    assert len(sources) > 3
    for source in sources:
        assert source.startswith('data:image/png;base64,')
        with Image.open(io.BytesIO(urllib.request.urlopen(source).read())) as picture:
            picture.load()


def test_one_of_the_seeds_had_no_validation(several, command):
    path = pathlib.Path('results/many/seed2/log.json')
    path.write_text(path.read_text().replace('"valid_', '"other_'))
    assert command('report', 'many') == (0, 'report  results/many/report.html\n', '')


def test_without_validation_images_the_first_seed_is_looked_at(several, command):
    for number, count in ((1, 2), (2, 1)):
        path = pathlib.Path(f'results/many/seed{number}/log.json')
        rows = json.loads(path.read_text())[:count]
        for row in rows:
            del row['valid_error'], row['valid_loss']
        path.write_text(json.dumps(rows))
        path = path.with_name('config.json')
        config = json.loads(path.read_text())
        config['flags'].update(no_valid_data=True, iter=9)
        path.write_text(json.dumps(config))
    assert command('report', 'many', '--out', 'a.html')[0] == 0
    assert 'many/seed1' in ' '.join(read('a.html').texts['h2'])


def test_nothing_comes_from_elsewhere(several, command):
    assert command('report', 'run', 'many', '<b>&"x')[0] == 0
    text = pathlib.Path('results/report.html').read_text()
    without_pictures = re.sub(r'base64,[A-Za-z0-9+/=]+', '', text)
    assert not re.search(r'https?:|//[a-z]|@import|url\(', without_pictures)
    page = Page(text)
    for tag, attributes in page.tags:
        for name in ('src', 'href', 'srcset', 'data', 'action'):
            value = attributes.get(name, 'data:')
            assert value.startswith(('data:', '#')), (tag, value)
        assert not any(name.startswith('on') for name in attributes)
    (policy,) = [each for each in page.all('meta') if 'http-equiv' in each]
    assert policy['content'].startswith("default-src 'none'; img-src data:")


def test_curves_tell_the_log(own_run, command):
    command('report', 'run', '--out', 'a.html')
    page = read('a.html')
    rows = json.loads(pathlib.Path('results/run/log.json').read_text())
    error, loss = (json.loads(text) for text in page.texts['script'][:2])
    assert error['epochs'] == [1, 2] and error['places'] == [0, 100]
    for line in error['lines']:
        assert line['texts'] == [f'{row[line["name"] + "_error"]:.2f}' for row in rows]
    assert [line['name'] for line in loss['lines']] == ['train', 'valid', 'test']
    assert loss['lines'][2]['texts'] == [f'{row["test_loss"]:.4f}' for row in rows]


def test_several_runs_are_compared_on_top(several, command):
    status, out, _ = command('report', 'run', 'many')
    assert status == 0 and out == 'report  results/report.html\n'
    page = read('results/report.html')
    assert page.texts['h2'] == ['Comparison', 'run', 'many', 'many/seed2']
    assert 'finished, 2 seeds' in page.texts['td'] and '--seed' in page.texts['td']
    together = json.loads(page.texts['script'][1])
    assert [line['name'] for line in together['lines']] == ['run', 'many']
    assert '±' in together['lines'][1]['texts'][1] and '±' not in together['lines'][0]['texts'][1]
    assert len([1 for each in page.all('path') if 'band' in each['class']]) > 3


def test_runs_of_other_data_are_told(several, command):
    def notes():
        assert command('report', 'run', 'many', '--out', 'a.html')[0] == 0
        return 'their errors cannot be compared' in pathlib.Path('a.html').read_text()

    assert not notes()
    path = pathlib.Path('results/run/config.json')
    config = json.loads(path.read_text())
    path.write_text(json.dumps({**config, 'data_checksum': '0badcafe'}))
    assert notes()


def test_names_are_escaped(several, command):
    for name in ('run', '<b>&"x'):
        for root in ('results', 'models'):
            path = pathlib.Path(root, name, 'config.json')
            config = json.loads(path.read_text())
            config['classes'][3] = HOSTILE
            config['command'] = [HOSTILE, HOSTILE]
            config['device']['name'] = HOSTILE
            path.write_text(json.dumps(config))
    path = pathlib.Path('dataset/classes.json')
    names = json.loads(path.read_text())
    names[3] = HOSTILE
    path.write_text(json.dumps(names))
    assert command('report', 'run', '<b>&"x', '--out', 'a.html')[0] == 0
    text = pathlib.Path('a.html').read_text()
    page = Page(text)
    assert HOSTILE in page.texts['th'] and '<b>&"x' in page.texts['h2']
    assert 'alert("' not in text and '<b>&"' not in text
    kinds = [each.get('type') for each in page.all('script')]
    assert kinds == ['application/json'] * (len(kinds) - 1) + [None]


def test_what_no_output_takes_is_replaced(own_run, command):
    path = pathlib.Path('results/run/config.json')
    config = json.loads(path.read_text())
    config['command'] = ['\ud800', '\x00']
    path.write_text(json.dumps(config))
    assert command('report', 'run')[0] == 0
    assert "'\ufffd' '\\x00'" in read('results/run/report.html').texts['td']


def test_bytes_that_are_no_text_are_shown_as_everywhere(own_run, command):
    name = os.fsdecode(b'm\xe4dchen')
    for root in ('results', 'models'):
        shutil.copytree(f'{root}/run', pathlib.Path(root, name))
    assert command('report', 'run', name, '--out', 'a.html')[0] == 0
    page = read('a.html')
    assert page.texts['h2'].count('m\ufffddchen') == 1
    assert page.texts['li'].count('m\ufffddchen') == 6  # in the legend of each chart
    lines = json.loads(page.texts['script'][0])['lines']
    assert [line['name'] for line in lines] == ['run', 'm\ufffddchen']


def test_without_data_or_weights_the_rest_is_told(own_run, command):
    shutil.move('dataset/image_raw.pkl', 'elsewhere.pkl')
    status, _, err = command('report', 'run')
    assert status == 0 and err.count('\n') == 1
    assert err.startswith('warning: run: The net could not be tried on the test images: dataset/')
    page = read('results/run/report.html')
    alts = [each['alt'] for each in page.all('img')]
    assert alts == ['filters before training', 'filters after training']
    # The data where it is now.
    assert command('report', 'run', '-d', 'elsewhere.pkl')[2] == ''
    shutil.rmtree('models/run')
    assert 'models/run' in command('report', 'run')[2]
    page = read('results/run/report.html')
    assert page.all('img') == [] and page.all('path') != []


def test_a_run_before_its_first_epoch(own_run, command):
    for name in ('log.json', 'log.csv', 'summary.json'):
        pathlib.Path('results/run', name).unlink()
    shutil.rmtree('models/run')
    assert command('report', 'run')[0] == 0
    page = read('results/run/report.html')
    assert 'unfinished, 0 of 2 epochs' in page.texts['dd'] and page.all('svg') == []


def test_other_data_is_told(own_run, command):
    path = pathlib.Path('models/run/config.json')
    path.write_text(path.read_text().replace('"data_checksum": "', '"data_checksum": "0'))
    assert 'not of the data it was trained on' in command('report', 'run')[2]


def test_refusals(own_run, refused, command):
    assert 'must be the name of an .html file' in refused('report', 'run', '--out', 'a.pdf')
    assert 'there is no such run' in refused('report', 'rum')
    for flags, told in ((['-b', 0], '--batch_size 0'), (['--cpu_engine', 'x'], '--cpu_engine')):
        assert told in refused('report', 'run', *flags)
    assert not pathlib.Path('results/run/report.html').exists()
    pathlib.Path('results/run/log.json').write_text('[')
    assert 'results/run/log.json: cannot be read' in refused('report', 'run')
    assert not pathlib.Path('results/run/report.html').exists()


# In a browser. The title tells what is in the page there, after its script has run.

PROBE = """
<script>
const wide = [...document.querySelectorAll('body *')].filter(
    (each) => !each.closest('.scroll, script'))
    .filter((each) => each.getBoundingClientRect().right > innerWidth + 1);
const plot = document.querySelector('.plot');
const box = plot.getBoundingClientRect();
const event = {bubbles: true, clientX: box.right - 1, clientY: box.top + 5};
plot.dispatchEvent(new PointerEvent('pointermove', event));
const tip = plot.querySelector('.tip').innerText;
plot.dispatchEvent(new PointerEvent('pointerleave', {bubbles: true}));
plot.focus();
plot.dispatchEvent(new KeyboardEvent('keydown', {key: 'ArrowLeft', bubbles: true}));
const colours = getComputedStyle(document.body);
document.title = JSON.stringify({
    width: innerWidth, whole: document.documentElement.scrollWidth,
    wide: wide.map((each) => each.tagName + '.' + each.className),
    tip: tip, keys: plot.querySelector('.tip').innerText,
    told: plot.getAttribute('aria-valuetext'), now: plot.getAttribute('aria-valuenow'),
    background: colours.backgroundColor, text: colours.color,
    pictures: [...document.images].every((each) => each.complete && each.naturalWidth > 0)});
</script>
"""


def address(page):
    return pathlib.Path(page).resolve().as_uri()


def luminance(colour):
    red, green, blue = map(int, re.findall(r'\d+', colour)[:3])
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@NEEDS_CHROMIUM
@pytest.mark.parametrize('width', [390, 1280])
@pytest.mark.parametrize('dark', [False, True])
def test_in_a_browser(several, command, tmp_path, width, dark):
    assert command('report', 'run', 'many', '<b>&"x', '--out', 'a.html')[0] == 0
    text = pathlib.Path('a.html').read_text()
    allowed = re.sub(r"script-src '[^']*'", "script-src 'unsafe-inline'", text)
    pathlib.Path('probe.html').write_text(allowed.replace('</body>', f'{PROBE}</body>'))
    found = ask_browser(address('probe.html'), tmp_path, width, dark)
    assert found['width'] == width and found['whole'] <= width and found['wide'] == []
    assert found['tip'].startswith('epoch 2\n') and found['keys'].startswith('epoch 1\n')
    assert found['told'].startswith('epoch 1, ') and found['now'] == '1'
    assert found['pictures']
    background, letters = luminance(found['background']), luminance(found['text'])
    assert (background < 60 and letters > 200) if dark else (background > 200 and letters < 60)


@NEEDS_CHROMIUM
def test_long_names_of_classes_hide_nothing_on_a_phone(own_run, command, tmp_path):
    name = 'golden retriever, a photograph of one, seen from behind'
    for path in ('models/run/config.json', 'dataset/classes.json'):
        content = json.loads(pathlib.Path(path).read_text())
        names = content['classes'] if path.endswith('config.json') else content
        names[0] = name
        pathlib.Path(path).write_text(json.dumps(content))
    assert command('report', 'run', '--out', 'a.html')[0] == 0
    probe = """<script>
        const find = (each) => document.querySelector(each);
        const right = (each) => find(each).getBoundingClientRect().right;
        document.title = JSON.stringify({
            width: innerWidth, header: right('.matrix tbody th'), cell: right('.matrix tbody td'),
            f1: right('.names td:nth-child(4)'), title: find('.matrix [scope=row]').title});
        </script>"""
    text = pathlib.Path('a.html').read_text()
    text = re.sub("script-src '[^']*'", "script-src 'unsafe-inline'", text)
    pathlib.Path('probe.html').write_text(text.replace('</body>', f'{probe}</body>'))
    found = ask_browser(address('probe.html'), tmp_path, 390, False)
    assert found['width'] == 390 and found['title'] == name
    assert 0 < found['header'] < 0.55 * 390 and found['cell'] < 390 and found['f1'] < 390


@NEEDS_CHROMIUM
def test_the_browser_runs_no_other_script(own_run, command, tmp_path):
    assert command('report', 'run', '--out', 'a.html')[0] == 0
    text = pathlib.Path('a.html').read_text()
    ours = 'document.title = JSON.stringify("ran");'
    slipped = text.replace('</body>', f'<script>{ours}</script></body>')
    pathlib.Path('slipped.html').write_text(slipped.replace('<title>run<', '<title>"ours"<'))
    assert ask_browser(address('slipped.html'), tmp_path, 390, False) == 'ours'

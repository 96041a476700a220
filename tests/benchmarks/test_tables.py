import functools
import importlib
import json
import pathlib
import re
import sys

import pytest
from PIL import Image

ROOT = pathlib.Path(__file__).resolve().parents[2]


@pytest.fixture(scope='module')
def tables():
    """The module; it makes each table once, for that of the nets makes every net."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT / 'benchmarks'))
        module = importlib.import_module('tables')
        made = {
            name: functools.cache(lambda rows=rows: [*rows()])
            for name, rows in module.TABLES.items()
        }
        patch.setattr(module, 'TABLES', made)
        yield module


def test_tables_of_the_documents_are_up_to_date(tables, monkeypatch):
    monkeypatch.setattr(sys, 'argv', ['tables.py', '--check'])
    tables.main()


def test_a_number_that_was_typed_gives_way(tables):
    pages = tables.read_pages()
    readme = ROOT / 'README.md'
    typed = re.sub(r'\*\*\d+\.\d+ %\*\*', '**2.10 %**', pages[readme], count=1)
    assert typed != pages[readme]
    assert tables.updated({**pages, readme: typed}) == pages


def test_each_table_has_one_place(tables):
    pages = tables.read_pages()
    with pytest.raises(SystemExit, match=r"2 places for table 'headline'"):
        tables.updated({**pages, 'copy': pages[ROOT / 'README.md']})
    del pages[ROOT / 'docs' / 'nets.md']
    with pytest.raises(SystemExit, match=r"0 places for table 'nets'"):
        tables.updated(pages)


def test_data_that_nobody_described_are_refused(tables, monkeypatch):
    run = {**tables._run('simple'), 'data_checksum': '00000000'}
    monkeypatch.setattr(tables, '_runs', lambda: [run])
    with pytest.raises(SystemExit, match='00000000'):
        list(tables.runs_table())


def test_kept_runs_have_a_name_each(tables, tmp_path, monkeypatch):
    run = tables._run('simple')
    monkeypatch.setattr(tables, 'RUNS', tmp_path / 'runs')
    tables.RUNS.mkdir()
    for name in ('results/many/seed1', 'results/other/seed1', 'results/cnn', 'saved/many/seed2'):
        folder = tmp_path / name
        folder.mkdir(parents=True)
        (folder / 'config.json').write_text(json.dumps({**run, 'command': ['/a/b/train.py']}))
        (folder / 'summary.json').write_text('{}')
        rows = [{'epoch': n, 'lr': 0.1, 'test_error': error} for n, error in ((1, 2.5), (2, 1.5))]
        (folder / 'log.json').write_text(json.dumps(rows))
        tables.add(folder)
    names = sorted(path.name for path in tables.RUNS.iterdir())
    assert names == ['cnn.json', 'many_seed1.json', 'many_seed2.json', 'other_seed1.json']
    kept = json.loads((tables.RUNS / 'cnn.json').read_text())
    assert kept['lowest_test_error'] == 1.5 and kept['command'] == ['train.py']
    assert kept['log'] == {'epoch': [1, 2], 'test_error': [2.5, 1.5]}
    monkeypatch.setattr(tables, 'CURVES', tmp_path / 'curves.png')
    tables.draw_curves()
    with Image.open(tables.CURVES) as picture:
        assert picture.format == 'PNG'


def test_bars_stay_in_their_cell_and_an_empty_row_begins_a_table(tables):
    assert tables.markdown([('a',), ('x|y',), (), ('b',), ()]) == (
        '| a |\n| --- |\n| x\\|y |\n\n| b |\n| --- |\n'
    )


def test_8_bit_nets(tables, tmp_path, monkeypatch):
    monkeypatch.setattr(tables, 'ROOT', tmp_path)
    heading, row = tables.onnx_table()
    assert row[0] == 'not measured' and len(row) == len(heading)
    ratio = {'ratio': 1.5, 'quartiles': [1.25, 1.75]}
    net = {
        'flags': {'model': 'residual', 'res_depth': 12, 'iter': 3, 'init': ''},
        'train_pictures': 18_000,
        'pictures': 10_000,
        'error': 20.0,
        'int8_error': 20.5,
        'changed': 123,
        'bytes': 2_840_000,
        'int8_bytes': 810_000,
        'speed': {'64': {'chainer': ratio, 'float32': ratio | {'ratio': 2.5}}},
    }
    (tmp_path / 'benchmarks').mkdir()
    (tmp_path / 'benchmarks' / tables.ONNX).write_text(json.dumps({'nets': [net]}))
    heading, row = tables.onnx_table()
    assert row == (
        *('`residual`, `--res_depth 12`', '3 epochs of 18,000 pictures', '2.8 MB', '0.8 MB'),
        *('20.00 %', '20.50 %', '1.23 %', '–', '–', '2.50 (1.25–1.75)', '1.50 (1.25–1.75)'),
    )
    assert len(row) == len(heading) and heading[-2].endswith('against float32, batch 64')

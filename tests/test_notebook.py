"""The notebook in docs/ runs from top to bottom."""

import os
import pathlib
import re

import nbformat
from nbclient import NotebookClient

ROOT = pathlib.Path(__file__).parents[1]


def test_the_notebook_runs(tmp_path, monkeypatch):
    path = [str(ROOT / 'src'), *filter(None, [os.environ.get('PYTHONPATH')])]
    monkeypatch.setenv('PYTHONPATH', os.pathsep.join(path))
    # Nothing of it belongs into anybody's home.
    monkeypatch.setenv('IPYTHONDIR', str(tmp_path / 'ipython'))
    notebook = nbformat.read(ROOT / 'docs' / 'own_pictures.ipynb', as_version=4)
    assert not any(cell.get('outputs') for cell in notebook.cells)
    (fitting,) = [cell for cell in notebook.cells if 'minutes=0.2' in cell.source]
    fitting.source = fitting.source.replace('minutes=0.2', 'minutes=0.02')  # nobody waits here
    work = tmp_path / 'work'
    work.mkdir()
    client = NotebookClient(notebook, timeout=120, resources={'metadata': {'path': str(work)}})
    client.execute()
    trained, *_, table, last = [cell for cell in notebook.cells if cell.get('outputs')]
    printed = [output for output in trained.outputs if output['output_type'] == 'stream']
    text = ''.join(output['text'] for output in printed)
    assert {output['name'] for output in printed} == {'stdout'}, printed
    assert 'epoch 1/' in text and 'test error' in text  # a bar, and the table
    shown = table.outputs[-1]['data']['text/html']
    assert shown.count('data:image/png;base64,') == 4
    # In a second a net learns little: that is no matter here.
    names = re.findall("'(one|two|three)'", last.outputs[-1]['data']['text/plain'])
    assert len(names) == 4
    assert (work / 'results' / 'pictures' / 'report.html').exists()

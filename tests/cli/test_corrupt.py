"""evaluate --corrupt and --limit as a user runs them."""

import json

import pytest
from PIL import Image


def test_corrupt(in_run, command, tmp_path):
    arguments = ['run', '--corrupt', '--limit', 12, '--out', tmp_path]
    status, out, err = command('evaluate', *arguments)
    assert status == 0 and err == ''
    found = json.loads((tmp_path / 'corrupted-test-limit12.json').read_text())
    assert len(found['by_corruption']) == 15 and found['images'] == 12
    plain = json.loads((tmp_path / 'report-test-limit12.json').read_text())
    assert found['clean_error'] == pytest.approx(plain['error'])
    values = [error for errors in found['by_corruption'].values() for error in errors]
    assert len(values) == 75 and found['corrupted_error'] == pytest.approx(sum(values) / 75)
    text = (tmp_path / 'corrupted-test-limit12.txt').read_text()
    for name, errors in found['by_corruption'].items():
        (line,) = [line for line in text.splitlines() if line.startswith(name)]
        assert line in out
        assert line.split()[1:6] == [f'{error:.2f}' for error in errors]
    with Image.open(tmp_path / 'corrupted-test-limit12.png') as picture:
        assert picture.format == 'PNG' and picture.height > 15 * 64


@pytest.mark.parametrize(
    ('arguments', 'word'),
    [(['--limit', '0'], '--limit 0'), (['--corrupt', '--tta', 'mirror'], 'leave out --tta')],
)
def test_mistakes(in_run, refused, arguments, word):
    assert word in refused('evaluate', 'run', *arguments)

"""JSON of strangers: what is no JSON of ours ends in an OSError or a ValueError, nothing else."""

import json
import math
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

import damage
from chainer_cifar import json_file

INT64 = st.integers(-(2**63), 2**63 - 1)
LEAVES = st.none() | st.booleans() | INT64 | st.floats(allow_nan=False) | st.text()


@given(st.recursive(LEAVES, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)))
def test_reads_what_python_writes(content):
    assert json_file.loads(json.dumps(content)) == content


def test_reads_a_file(tmp_path):
    path = tmp_path / 'a.json'
    path.write_text('{"猫": NaN}', encoding='utf-8')
    assert math.isnan(json_file.read(path)['猫'])


@pytest.mark.parametrize(
    ('text', 'reason'),
    [
        ('', 'Expecting value'),
        (damage.nested(), 'nested too deeply'),
        (f'[{2**63}]', 'a number of 19 digits'),
        (f'[-1{"0" * 400}]', 'a number of 402 digits'),
        (f'[{"9" * 5000}]', 'limit'),
    ],
)
def test_refuses(tmp_path, text, reason):
    path = tmp_path / 'a.json'
    path.write_text(text)
    with pytest.raises(ValueError, match=reason):
        json_file.read(path)


def test_refuses_large_files_other_encodings_and_pipes(tmp_path, monkeypatch):
    monkeypatch.setattr(json_file, 'LARGEST', 5)
    path = tmp_path / 'a.json'
    path.write_text('[1,2]')
    assert json_file.read(path) == [1, 2]
    path.write_text('[1,23]')
    with pytest.raises(ValueError, match='more than 5 letters'):
        json_file.read(path)
    path.write_bytes(b'"\xff"')
    with pytest.raises(ValueError, match='utf-8'):
        json_file.read(path)
    os.mkfifo(tmp_path / 'pipe')
    with pytest.raises(OSError, match='is a pipe or a device'):
        json_file.read(tmp_path / 'pipe')
    with pytest.raises(FileNotFoundError):
        json_file.read(tmp_path / 'none')

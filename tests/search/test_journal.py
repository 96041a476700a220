"""The journal after kills and accidents."""

import re

import pytest

pytest.importorskip('optuna', reason="needs the extra search: pip install '.[search]'")

from chainer_cifar.errors import UserError
from chainer_cifar.search import journal


def study_with(path, count):
    study = journal.open_study(path)
    for number in range(count):
        trial = study.ask()
        trial.suggest_float('lr', 0, 1)
        study.tell(trial, float(number))
    return study


def numbers(study):
    return [trial.value for trial in study.get_trials()]


def test_what_one_writes_the_other_reads(tmp_path):
    path = tmp_path / 'journal.jsonl'
    one, other = journal.open_study(path), journal.open_study(path)
    study_with(path, 2)
    assert numbers(one) == numbers(other) == [0, 1]


def test_half_a_line_of_a_killed_process_is_cut_off(tmp_path):
    path = tmp_path / 'journal.jsonl'
    before = study_with(path, 2)
    whole = path.read_bytes()
    path.write_bytes(whole + b'{"op_code": 5, "wor')
    assert numbers(before) == numbers(journal.open_study(path)) == [0, 1]
    study_with(path, 1)
    assert path.read_bytes().startswith(whole)
    assert numbers(journal.open_study(path)) == numbers(before) == [0, 1, 0]


@pytest.mark.parametrize('line', [b'x', b'{}', b'[]', b'3', b'null', b'{"op_code": 99}', b'\xff'])
@pytest.mark.parametrize('place', [0, 2, -1])
def test_a_damaged_line_is_one_line(tmp_path, line, place):
    path = tmp_path / 'journal.jsonl'
    study_with(path, 1)
    lines = path.read_bytes().splitlines()
    lines[place] = line
    path.write_bytes(b'\n'.join(lines) + b'\n')
    with pytest.raises(UserError, match=re.escape(f'{path}: cannot be read (')) as error:
        journal.open_study(path)
    assert '\n' not in str(error.value) and '--overwrite' in str(error.value)


def test_damage_while_it_is_open_is_one_line(tmp_path):
    path = tmp_path / 'journal.jsonl'
    study = study_with(path, 1)
    with open(path, 'ab') as file:
        file.write(b'x\n')
    with pytest.raises(UserError, match='cannot be read'):
        study.ask()


def test_values_of_a_wrong_type(tmp_path):
    path = tmp_path / 'journal.jsonl'
    study_with(path, 1)
    path.write_bytes(path.read_bytes().replace(b'"study_id":0', b'"study_id":[]'))
    with pytest.raises(UserError, match='cannot be read'):
        journal.open_study(path)

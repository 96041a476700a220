"""The first cases of each part of the campaign; ``make campaign`` runs more of them."""

import json
import os
import pathlib
import subprocess
import sys

import pytest

from campaign.parts import PARTS

CAMPAIGN = pathlib.Path(__file__).parent


@pytest.mark.parametrize('name', [name for name, part in PARTS.items() if part.in_tests])
def test_first_cases_hold(name, tmp_path):
    count = PARTS[name].in_tests
    # In a process of its own: this one may have computed, and then it must not fork.
    done = subprocess.run(
        [
            *(sys.executable, CAMPAIGN, '--part', name, '--cases', str(count), '--minutes', '60'),
            *('--results', tmp_path / 'results', '--scratch', tmp_path),
        ],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    rows = [json.loads(line) for line in (tmp_path / 'results').read_text().splitlines()[1:]]
    assert all(row['held'] for row in rows)
    if 'not tried' not in done.stdout:
        assert [row['case'] for row in rows] == list(range(count))
    assert os.listdir(tmp_path) == ['results']


@pytest.mark.parametrize('name', PARTS)
def test_cases_are_a_function_of_seed_and_number(name, tmp_path):
    part, numbers = PARTS[name](tmp_path), range(20)
    assert [part.case(1, n) for n in numbers] == [part.case(1, n) for n in numbers]
    assert {part.case(1, n).kind for n in range(1000)} == set(part.kinds)
    assert [part.case(1, n).facts for n in numbers] != [part.case(2, n).facts for n in numbers]

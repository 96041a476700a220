"""The first cases of each part of the campaign; ``make campaign`` runs more of them."""

import json
import os
import pathlib
import re
import subprocess
import sys

import pytest

from campaign.parts import PARTS

CAMPAIGN = pathlib.Path(__file__).parent


def test_first_cases_hold(tmp_path):
    """In one process, for parts share what their cases begin with, and what they must lead to.

    It is not this process, which may have computed, and then must not fork.
    """
    done = subprocess.run(
        [
            *(sys.executable, CAMPAIGN, '--few', '--minutes', '60'),
            *('--results', tmp_path / 'results', '--scratch', tmp_path),
        ],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    rows = [json.loads(line) for line in (tmp_path / 'results').read_text().splitlines()[1:]]
    assert all(row['held'] for row in rows)
    untried = re.findall('^not tried: (.*?):', done.stdout, re.MULTILINE)
    parts = [part(tmp_path) for part in PARTS.values()]
    cases = [part.case(1, number) for part in parts for number in range(part.in_tests)]
    assert {(row['part'], row['case']) for row in rows} == {
        (case.part, case.number) for case in cases if case.kind not in untried
    }
    assert os.listdir(tmp_path) == ['results']


@pytest.mark.parametrize('name', PARTS)
def test_cases_are_a_function_of_seed_and_number(name, tmp_path):
    part, numbers = PARTS[name](tmp_path), range(20)
    assert [part.case(1, n) for n in numbers] == [part.case(1, n) for n in numbers]
    assert {part.case(1, n).kind for n in range(1000)} == set(part.kinds)
    assert [part.case(1, n).facts for n in numbers] != [part.case(2, n).facts for n in numbers]

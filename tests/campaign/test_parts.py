"""The first cases of each part of the campaign; ``make campaign`` runs more of them."""

import pytest

from campaign.part import Impossible
from campaign.parts import PARTS
from campaign.run import SEED, attempt


@pytest.fixture(scope='module')
def part(request, tmp_path_factory):
    """The part of a name, made once."""
    return PARTS[request.param](tmp_path_factory.mktemp(request.param))


CASES = [(name, number) for name, part in PARTS.items() for number in range(part.in_tests)]


@pytest.mark.parametrize(('part', 'number'), CASES, indirect=['part'])
def test_holds(part, number):
    case = part.case(SEED, number)
    try:
        assert attempt(part, case) is None, str(case)
    except Impossible as missing:
        pytest.skip(f'{case.kind}: {missing}')


@pytest.mark.parametrize('part', PARTS, indirect=True)
def test_cases_are_a_function_of_seed_and_number(part):
    numbers = range(20)
    assert [part.case(1, n) for n in numbers] == [part.case(1, n) for n in numbers]
    assert {part.case(1, n).kind for n in range(1000)} == set(part.kinds)
    assert [part.case(1, n).facts for n in numbers] != [part.case(2, n).facts for n in numbers]

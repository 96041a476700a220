"""What a part of the campaign is: it draws cases, and runs them."""

import abc
import dataclasses
import pathlib
import random
from typing import Any, ClassVar


class Impossible(Exception):
    """A case cannot be tried on this machine; the text says what is missing."""


class Broke(Exception):
    """A case broke the promise; the text says how."""


def require(held: object, reason: str) -> None:
    """Raise Broke(reason) unless `held`."""
    if not held:
        raise Broke(reason)


def fraction(rng: random.Random) -> float:
    """Draw a number from 0 to below 1, short enough to be read."""
    return rng.randrange(10_000) / 10_000


@dataclasses.dataclass(frozen=True)
class Case:
    """What to do to which command.

    Attributes:
        part: The name of the part.
        number: Which case of this part, from 0.
        kind: One of the part's `kinds`.
        facts: What was drawn, in plain values for JSON.
    """

    part: str
    number: int
    kind: str
    facts: dict[str, Any]

    def __str__(self) -> str:
        facts = ', '.join(f'{name} {value}' for name, value in self.facts.items())
        return f'{self.part} {self.number}: {self.kind}; {facts}'


class Part(abc.ABC):
    """A part of the campaign.

    Args:
        workshop: A folder of its own for what its cases share, such as a finished run; it is empty,
            and stays until the campaign ends.
    """

    name: ClassVar[str]
    kinds: ClassVar[dict[str, str]]  # what a kind of case does, in words for the table
    share: ClassVar[float] = 1.0  # of the time, in comparison to other parts
    small: ClassVar[bool] = False  # its cases are so small that they run beside all others
    in_tests: ClassVar[int]  # how many cases the test suite runs with `--few`: the first ones

    def __init__(self, workshop: pathlib.Path) -> None:
        self.workshop = workshop

    def case(self, seed: int, number: int) -> Case:
        """Draw a case: the same one whenever it is asked for, without those before it."""
        rng = random.Random(f'{seed}/{self.name}/{number}')
        kind, facts = self.draw(number, rng)
        return Case(self.name, number, kind, facts)

    def close(self) -> None:  # noqa: B027
        """End what stays from case to case."""

    def kind_of(self, number: int) -> str:
        """Take the kinds in turn."""
        return list(self.kinds)[number % len(self.kinds)]

    @abc.abstractmethod
    def draw(self, number: int, rng: random.Random) -> tuple[str, dict[str, Any]]:
        """Draw kind and facts of a case."""

    @abc.abstractmethod
    def run(self, case: Case, folder: pathlib.Path) -> None:
        """Run a case in an empty folder, which is deleted if the promise held; raise Broke if not.

        It may also raise Impossible. What it starts has ended when it returns. Any other exception
        counts as a failure, too.
        """

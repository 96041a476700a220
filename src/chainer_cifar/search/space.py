"""The space of a search: flags of train whose values may be ranges or alternatives.

    --lr 1e-3..1e-1     any number from 0.001 to 0.1
    -m 'cnn;cnnbn'      one of these
    --momentum 0.9      always this

A range whose end is ten times its beginning or more is searched on a logarithmic scale, any other
on a linear one; ``linear(1e-3..1e-1)`` and ``log(0.5..0.9)`` say which. A flag without a value,
such as --skip_depth, may be ``'yes;no'``.
"""

import dataclasses
import itertools
import re
from collections.abc import Iterator, Mapping
from typing import Any, TypeAlias

from chainer_cifar import nets
from chainer_cifar.config import TrainConfig, meaningless_for
from chainer_cifar.errors import UserError
from chainer_cifar.recipes import recipes

LOG_FROM = 10  # the ratio of its ends from which on a range is logarithmic
DIGITS = 3  # of a number from a range, so that a user can type it

Number: TypeAlias = int | float
Value: TypeAlias = int | float | str | bool
Values: TypeAlias = Mapping[str, Value]  # of flags, by their names

FIELDS = {field.name: field for field in dataclasses.fields(TrainConfig)}

# Flags that are no part of a search, and why.
REFUSED = {
    'prefix': 'the trials are in folders below that of --name',
    'no_valid_data': 'the validation error decides',
    'folds': 'a trial trains once',
    'fold': 'a trial trains once',
    'processes': 'a trial trains in one process; start the search itself several times',
    'sync_bn': 'a trial trains in one process',
}
# Flags that are the same in all trials.
FIXED = (
    *('gpu', 'label', 'iter', 'save_iter', 'seed', 'cpu_engine', 'deterministic', 'recipe'),
    'tensorboard',
)
# The others may have a meaning only for some of their values.
DECIDING = ('model', 'optimizer', 'lr_shape')

_WORDS = {'yes': True, 'no': False}
_SCALE = re.compile(r'(log|linear)\((.*)\)')


@dataclasses.dataclass(frozen=True)
class Range:
    """Numbers from `low` to `high`, both included; whole ones if these are."""

    low: Number
    high: Number
    log: bool

    def rounded(self, number: Number) -> Number:
        """Return `number` with few digits, and still within the range."""
        if isinstance(self.low, int):
            return number
        return min(max(float(f'{number:.{DIGITS}g}'), self.low), self.high)


@dataclasses.dataclass(frozen=True)
class Choice:
    """One of several values."""

    values: tuple[Value, ...]


Item: TypeAlias = Range | Choice | Value


def parse(name: str, text: str) -> Item:
    """Read what a user types for the flag `name`.

    Raises:
        UserError: It is malformed; or the flag is not for a search.
    """
    kind: Any = FIELDS[name].type
    if name in REFUSED:
        raise UserError(f'--{name}: is no flag of a search: {REFUSED[name]}')
    words = [word.strip() for word in text.split(';')]
    if len(words) == 1:
        found = _range(name, words[0]) if kind in (int, float) else None
        if found is not None:
            _require_free(name, text)
            return found
        return _value(name, words[0])
    _require_free(name, text)
    if '' in words:
        raise UserError(f"--{name} '{text}': has an empty alternative; leave the ; out")
    values = tuple(_value(name, word) for word in words)
    for value in values:
        if values.count(value) > 1:
            raise UserError(f"--{name} '{text}': names {value} twice")
    return Choice(values)


def _require_free(name: str, text: str) -> None:
    if name in FIXED:
        raise UserError(f"--{name} '{text}': must be the same in all trials; give one value")


def _range(name: str, text: str) -> Range | None:
    scale = _SCALE.fullmatch(text)
    inside = scale[2] if scale else text
    first, dots, second = inside.partition('..')
    if not dots:
        if scale:
            raise UserError(f"--{name} '{text}': must hold a range, as in {scale[1]}(1..100)")
        return None
    low, high = (_number(name, text, word) for word in (first, second))
    if low > high:
        turned = f'{second.strip()}..{first.strip()}'
        raise UserError(f"--{name} '{text}': the range is reversed; write {turned}")
    if low == high:
        raise UserError(f"--{name} '{text}': holds one number only; write {first.strip()}")
    log = _is_wide(low, high) if scale is None else scale[1] == 'log'
    if log and low <= 0:
        raise UserError(f"--{name} '{text}': a logarithmic range begins above 0")
    return Range(low, high, log)


def _is_wide(low: Number, high: Number) -> bool:
    """Say whether a range is logarithmic by itself; ten times 3e-5 is more than 3e-4 by a bit."""
    return low > 0 and high * (1 + 1e-9) >= LOG_FROM * low


def _number(name: str, text: str, word: str) -> Number:
    kind: Any = FIELDS[name].type
    try:
        number: Number = kind(word)
        if abs(number) < float('inf'):
            return number
    except ValueError:
        pass
    what = 'whole numbers' if kind is int else 'numbers'
    raise UserError(f"--{name} '{text}': '{word.strip()}' is no end of a range of {what}")


def _value(name: str, word: str) -> Value:
    kind: Any = FIELDS[name].type
    if kind is bool:
        if word not in _WORDS:
            raise UserError(f"--{name} '{word}': must be yes, no, or 'yes;no'")
        return _WORDS[word]
    try:
        value: Value = kind(word)
    except ValueError:
        what = 'a whole number' if kind is int else 'a number'
        raise UserError(
            f"--{name} '{word}': must be {what}, a range as 1..100, or alternatives as '1;2'"
        ) from None
    return value


def write(item: Item) -> str:
    """Write an item as `parse` reads it."""
    if isinstance(item, Choice):
        return ';'.join(map(write, item.values))
    if isinstance(item, Range):
        text = f'{_short(item.low)}..{_short(item.high)}'
        usual = _is_wide(item.low, item.high)
        return text if item.log == usual else f'{"log" if item.log else "linear"}({text})'
    if isinstance(item, bool):
        return 'yes' if item else 'no'
    return item if isinstance(item, str) else _short(item)


def _short(number: Number) -> str:
    return str(number).removesuffix('.0')


class Space:
    """What a user typed: values that are fixed, and what is searched.

    Args:
        items: Of each flag that was typed, by its name.

    Attributes:
        items: The same.
        searched: The ranges and choices among them, those first that decide on the meaning of
            others.
    """

    def __init__(self, items: Mapping[str, Item]) -> None:
        self.items = dict(items)
        names = sorted(self.items, key=lambda name: name not in DECIDING)
        self.searched: dict[str, Range | Choice] = {}
        for name in names:
            item = self.items[name]
            if isinstance(item, (Range, Choice)):
                self.searched[name] = item

    @property
    def fixed(self) -> dict[str, Value]:
        """The values that are the same in all trials."""
        return {n: v for n, v in self.items.items() if not isinstance(v, (Range, Choice))}

    def has_meaning(self, name: str, values: Values) -> bool:
        """Say whether a flag has a meaning beside the `values` of those that decide on it."""
        optimizer, model, shape = (
            str(self._flag(each, values)) for each in ('optimizer', 'model', 'lr_shape')
        )
        if meaningless_for(name, optimizer, shape):
            return False
        return name not in nets.option_names() or model in nets.taking(name)

    def _flag(self, name: str, values: Values) -> Value:
        return {name: FIELDS[name].default, **self._preset, **self.fixed, **values}[name]

    @property
    def _preset(self) -> Mapping[str, Any]:
        recipe = self.fixed.get('recipe')
        return recipes[str(recipe)].flags if recipe else {}

    def flags(self, values: Values) -> dict[str, Value]:
        """Return the flags of a trial that a user would type, without a prefix.

        Args:
            values: Of what is searched.
        """
        flags = {name: v for name, v in self.fixed.items() if self.has_meaning(name, values)}
        return {**flags, **values}

    def typed(self, values: Values) -> dict[str, Value]:
        """Return the flags of a trial for a command line of `train`, likewise.

        It knows no word that takes back what a recipe switches on: then its flags stand for it.
        """
        flags, preset = self.flags(values), self._preset
        if all(flags.get(name, True) for name, value in preset.items() if value is True):
            return flags
        others = {n: v for n, v in preset.items() if n != 'prefix' and self.has_meaning(n, values)}
        return {**others, **{name: value for name, value in flags.items() if name != 'recipe'}}

    def config(self, values: Values, prefix: str = '') -> TrainConfig:
        """Make the config of a trial.

        Raises:
            UserError: The values do not go together.
        """
        flags: dict[str, Any] = {**self._preset, **self.flags(values), 'prefix': prefix}
        config = TrainConfig(**flags)
        if config.no_valid_data or config.folds:
            raise UserError(
                '--recipe: trains without validation images, whose error decides in a search; '
                'give its flags one by one'
            )
        return config

    def samples(self) -> Iterator[dict[str, Value]]:
        """Yield values that hold each alternative and each end of a range at least once.

        Each differs in one flag from the first, where what decides on its meaning allows.
        """
        ends = {name: _ends(item) for name, item in self.searched.items()}
        met: set[tuple[str, Value]] = set()
        for decided in self._decisions():
            others = [n for n in ends if n not in decided and self.has_meaning(n, decided)]
            first = decided | {name: ends[name][0] for name in others}
            if not set(first.items()) <= met:
                met |= set(first.items())
                yield first
            for name in others:
                for value in ends[name][1:]:
                    if (name, value) not in met:
                        met.add((name, value))
                        yield first | {name: value}

    def require_used(self) -> None:
        """Raise UserError for a flag that was typed and has no meaning in any trial."""
        every = self._decisions()
        for name in self.items:
            if not any(self.has_meaning(name, decided) for decided in every):
                config = self.config(every[0])
                config.require_used([name])
                raise UserError(f"--{name}: has no meaning for net '{config.model}'; leave it out")

    def _decisions(self) -> list[dict[str, Value]]:
        """List the values, one with another, of what is searched and decides on other flags."""
        ends = {name: _ends(item) for name, item in self.searched.items() if name in DECIDING}
        return [
            dict(zip(ends, chosen, strict=True)) for chosen in itertools.product(*ends.values())
        ]


def _ends(item: Range | Choice) -> tuple[Value, ...]:
    return item.values if isinstance(item, Choice) else (item.low, item.high)

"""What a search is: what is searched, how many trials, which are stopped; also in its journal."""

import dataclasses
import functools
from collections.abc import Mapping
from typing import Any

from chainer_cifar.config import TrainConfig
from chainer_cifar.errors import UserError
from chainer_cifar.runs import RunFolder
from chainer_cifar.search import halving, journal, space
from chainer_cifar.search.space import Space

VERSION = 1  # of what the journal holds beside Optuna's own


@dataclasses.dataclass(frozen=True)
class Settings:
    """What a search is.

    Attributes:
        space: What is searched.
        trials: How many trials; more may be added.
        halving: Of so many trials that have come as far, one goes on; 1: all do.
        keep: Keep the weights of trials that were stopped; from then on, all processes do.
    """

    space: Space
    trials: int
    halving: int
    keep: bool

    @functools.cached_property
    def config(self) -> TrainConfig:
        """Of one of the trials, for the flags that are the same in all."""
        return self.space.config(next(self.space.samples()))

    @property
    def epochs(self) -> int:
        """Of a trial that is not stopped."""
        return self.config.iter

    @property
    def rungs(self) -> list[int]:
        """The epochs after which trials are stopped."""
        return halving.rungs(self.epochs, self.halving)

    def saved(self) -> dict[str, Any]:
        """What must be the same when a search goes on, for the journal."""
        flags = {name: space.write(item) for name, item in self.space.items.items()}
        return {'flags': flags, 'halving': self.halving, 'version': VERSION}

    def require_same(self, folder: RunFolder, saved: Mapping[str, Any]) -> None:
        """Raise UserError unless `saved`, from the journal, is of the same search."""
        _check(folder, saved)
        advice = 'give the same flags, or another --name, or --overwrite to begin again'
        ours = self.saved()
        for name in {**ours['flags'], **saved['flags']}:
            mine, other = ours['flags'].get(name), saved['flags'].get(name)
            if mine != other:
                shown = f'--{name}' if mine is None else f"--{name} '{mine}'"
                before = 'without it' if other is None else f"with '{other}'"
                raise UserError(f'{shown}: the search {folder.name} was begun {before}; {advice}')
        if ours['halving'] != saved['halving']:
            raise UserError(
                f'--halving {ours["halving"]}: the search {folder.name} was begun with '
                f'{saved["halving"]}; {advice}'
            )


def read(folder: RunFolder) -> dict[str, Any]:
    """Read what the journal says of the search; empty if there is none.

    Raises:
        UserError: The journal is damaged.
    """
    if not folder.journal.exists():
        return {}
    study = journal.open_study(folder.journal, begin=False)
    if study is None or 'version' not in study.user_attrs:
        return {}
    attributes: dict[str, Any] = study.user_attrs
    _check(folder, attributes)
    return attributes


def _check(folder: RunFolder, attributes: Mapping[str, Any]) -> None:
    kinds: dict[str, type] = {'version': int, 'flags': dict, 'halving': int}
    for name, kind in kinds.items():
        if type(attributes.get(name)) is not kind:
            raise journal.damaged(folder.journal, ValueError(f"'{name}' in it is no {kind}"))
    flags, trials = attributes['flags'], attributes.get('trials', 1)
    if not (
        all(isinstance(value, str) for value in flags.values())
        and attributes['halving'] >= 1
        and type(trials) is int
        and trials >= 1
    ):
        raise journal.damaged(folder.journal, ValueError('its settings make no sense'))
    if attributes['version'] != VERSION:
        raise journal.damaged(folder.journal, ValueError(f'it is not of version {VERSION}'))

"""Named pieces: one decorator adds a net, a schedule, an augmentation …"""

import difflib
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TypeVar

from chainer_cifar.errors import UserError

T = TypeVar('T')


def nearest(name: str, known: Iterable[str]) -> str:
    """Return the hint ``, did you mean 'vgg'?`` for a mistyped name, or an empty string."""
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    return f", did you mean '{close[0]}'?" if close else ''


class Registry(Mapping[str, T]):
    """A dictionary of one `kind` of thing, which decorators fill.

    >>> net = Registry('net')
    >>> @net.register('tiny')
    ... def build(): ...
    >>> net['tiny'] is build
    True
    """

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self._items: dict[str, T] = {}

    def register(self, name: str) -> Callable[[T], T]:
        """Return a decorator that enters a function or class under `name`.

        Raises:
            ValueError: `name` is taken already (the decorator raises it).
        """

        def enter(item: T) -> T:
            if name in self._items:
                raise ValueError(f"{self.kind} '{name}' is registered twice")
            self._items[name] = item
            return item

        return enter

    def __getitem__(self, name: str) -> T:
        try:
            return self._items[name]
        except KeyError:
            hint = nearest(name, self._items) or f' (there are: {", ".join(self._items)})'
            raise UserError(f"no {self.kind} is called '{name}'{hint}") from None

    def require(self, name: str) -> None:
        """Raise the UserError for a mistyped name unless something is registered as `name`."""
        self[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._items)

    def __len__(self) -> int:
        return len(self._items)

    def __contains__(self, name: object) -> bool:
        return name in self._items

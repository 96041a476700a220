"""Named pieces: a net, a schedule, an augmentation … is added by one decorator."""

import collections.abc
import difflib

from chainer_cifar.errors import UserError


def nearest(name, known):
    """The hint ``, did you mean 'vgg'?`` for a mistyped name, or an empty string."""
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    return f", did you mean '{close[0]}'?" if close else ''


class Registry(collections.abc.Mapping):
    """A dictionary of one `kind` of thing that is filled by decorators.

    >>> net = Registry('net')
    >>> @net.register('tiny')
    ... def build(): ...
    >>> net['tiny'] is build
    True
    """

    def __init__(self, kind):
        self.kind = kind
        self._items = {}

    def register(self, name):
        """Decorator that enters a function or class under `name`; a name is taken once only."""

        def enter(item):
            if name in self._items:
                raise ValueError(f"{self.kind} '{name}' is registered twice")
            self._items[name] = item
            return item

        return enter

    def __getitem__(self, name):
        try:
            return self._items[name]
        except KeyError:
            hint = nearest(name, self._items) or f' (there are: {", ".join(self._items)})'
            raise UserError(f"no {self.kind} is called '{name}'{hint}") from None

    def require(self, name):
        """Raise the UserError of a mistyped name unless there is one of that name."""
        self[name]

    def __iter__(self):
        return iter(self._items)

    def __len__(self):
        return len(self._items)

    def __contains__(self, name):
        return name in self._items

"""Checks of arguments in the little language (language.py), which are numbers or words."""

from collections.abc import Collection

from chainer_cifar.registry import nearest


def require_number(name: str, value: object, low: float, high: float) -> None:
    """Raise ValueError unless `value` is a number with low <= value <= high."""
    if not isinstance(value, (int, float)) or not low <= value <= high:
        raise ValueError(f'{name} must be a number from {low} to {high}')


def require_whole(name: str, value: object, low: int, high: int) -> None:
    """Raise ValueError unless `value` is an integer with low <= value <= high."""
    if not isinstance(value, int) or not low <= value <= high:
        raise ValueError(f'{name} must be a whole number from {low} to {high}')


def require_word(name: str, value: object, words: Collection[str]) -> None:
    """Raise ValueError unless `value` is one of `words`."""
    if value not in words:
        hint = nearest(str(value), words)
        raise ValueError(f"{name} is '{value}'{hint}; it must be one of {', '.join(words)}")

"""Tell where paths lead, through links and ``..``; nothing is opened or written."""

import os
import pathlib
from typing import TypeAlias

Path: TypeAlias = str | os.PathLike[str]


def leads_out(name: Path) -> bool:
    """Tell whether a name of a file or folder below ours may lead out: absolute, or with ``..``."""
    path = pathlib.PurePath(name)
    return path.is_absolute() or '..' in path.parts


def real(path: Path) -> pathlib.Path:
    """Return a path without links; of links in a circle one is left, and opening it will tell."""
    return pathlib.Path(os.path.realpath(path))  # pathlib's own `resolve` raises RuntimeError then


def straight(path: Path) -> pathlib.Path:
    """Return a path from the root without ``..``; links behind the last of these stay.

    The system follows a link before it goes up from there; ``os.path.normpath`` does not.
    """
    parts = pathlib.Path(path).parts
    up = max((i for i, part in enumerate(parts, 1) if part == '..'), default=0)
    return real(pathlib.Path(*parts[:up])) / pathlib.Path(*parts[up:])


def seen_from(folder: Path, path: Path) -> str:
    """Return a path as one goes to it from a folder, also if links lead to that folder."""
    return os.path.relpath(straight(path), real(folder))

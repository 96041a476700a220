"""Read the true classes of picture files from a CSV file of ``name,label``."""

import collections
import csv
import os
import pathlib
from collections.abc import Callable, Sequence
from typing import NamedTuple

from chainer_cifar.errors import UserError
from chainer_cifar.evaluation.picture_files import Found
from chainer_cifar.files import open_text


class Line(NamedTuple):
    """A line of a labels file: the class of one picture."""

    number: int  # of the line in the file, from 1 up
    name: str  # of the picture; see `assign`
    label: int  # the class number


def read(path: str, class_names: Sequence[str]) -> list[Line]:
    """Read a labels file.

    A label is a class name or a class number. A first line ``name,label`` is skipped.

    Raises:
        UserError: The file cannot be read, a line is malformed, or there is no such class.
    """
    numbers = {str(number): number for number in range(len(class_names))}
    numbers |= {name: number for number, name in enumerate(class_names)}
    lines = []
    try:
        with open_text(path, 'utf-8-sig') as file:
            reader = csv.reader(file)
            for cells in reader:
                cells = [cell.strip() for cell in cells]
                if not any(cells) or (reader.line_num == 1 and cells == ['name', 'label']):
                    continue
                if len(cells) != 2 or not cells[0] or '\0' in cells[0]:
                    raise ValueError(f'{",".join(cells)!r} is not name,label')
                if cells[1] not in numbers:
                    raise ValueError(f'no class is called {cells[1]!r}')
                # ./a//b.png becomes a/b.png, as `find` writes it, in the encoding of file names.
                name = str(pathlib.PurePath(os.fsdecode(cells[0].encode())))
                lines.append(Line(reader.line_num, name, numbers[cells[1]]))
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, 'strerror', None) or 'not a text in UTF-8'
        raise UserError(f'{path}: cannot be read ({reason})') from None
    except (ValueError, csv.Error) as error:
        raise UserError(f'{path}: line {reader.line_num}: {error}') from None
    return lines


def assign(
    lines: Sequence[Line], pictures: Sequence[Found], path: str
) -> tuple[list[int | None], list[str]]:
    """Give each picture its label.

    A name means the picture with this path as it was given or found; if there is none, the one at
    this path from the folder of the labels file, then from the folder that was searched, then the
    one with this file name.

    Args:
        lines: What `read` returned.
        pictures: The pictures.
        path: The labels file.

    Returns:
        A class number for each picture, None if unknown; and the names that no picture has.

    Raises:
        UserError: A name may mean several pictures, or a picture gets two labels.
    """
    wheres = [_where(picture.path) for picture in pictures]
    find = _finder(pictures, wheres, pathlib.Path(path).parent)
    known: dict[str, Line] = {}
    unmatched: list[str] = []
    for line in lines:
        found = find(line.name)
        if not found:
            unmatched.append(line.name)
        if len(found) > 1:
            first, second, *_ = found.values()
            raise UserError(
                f'{path}: line {line.number}: {line.name!r} may be {first} or {second}; '
                f'write its path'
            )
        for where, picture in found.items():
            before = known.setdefault(where, line)
            if before.label != line.label:
                raise UserError(
                    f'{path}: lines {before.number} and {line.number} give different '
                    f'labels to {picture}; leave one out'
                )
    return [known[where].label if where in known else None for where in wheres], unmatched


def _finder(
    pictures: Sequence[Found], wheres: Sequence[str], folder: pathlib.Path
) -> Callable[[str], dict[str, pathlib.Path]]:
    """Make a function from a name to {where: path} of each picture that it may mean."""
    given: dict[str, dict[str, pathlib.Path]] = collections.defaultdict(dict)
    there: dict[str, dict[str, pathlib.Path]] = collections.defaultdict(dict)
    below: dict[str, dict[str, pathlib.Path]] = collections.defaultdict(dict)
    alone: dict[str, dict[str, pathlib.Path]] = collections.defaultdict(dict)
    for picture, where in zip(pictures, wheres, strict=True):
        keys = [(given, str(picture.path)), (there, where), (alone, picture.path.name)]
        if picture.folder is not None:
            keys.append((below, picture.short))
        for index, key in keys:
            index[key][where] = picture.path

    def find(name: str) -> dict[str, pathlib.Path]:
        return (
            given.get(name)
            or there.get(_where(folder / name))
            or below.get(name)
            or alone.get(name)
            or {}
        )

    return find


def _where(path: pathlib.Path) -> str:
    """Return the same for all ways to write a file's path; links to one file stay apart."""
    return os.path.join(os.path.realpath(path.parent), path.name)

"""Read and write a list of pictures as a CSV file."""

import contextlib
import csv
import os
import pathlib
from collections.abc import Iterator

from chainer_cifar.data import listing, store
from chainer_cifar.data.listing import PART_NAMES, TRAIN, VALID, Listing
from chainer_cifar.errors import UserError
from chainer_cifar.files import atomic_write, open_text
from chainer_cifar.paths import seen_from
from chainer_cifar.registry import nearest

PATH, LABEL, SPLIT, GROUP = COLUMNS = ('path', 'label', 'split', 'group')
_NEEDED = (PATH, LABEL)


def read(path: str | os.PathLike[str]) -> Listing:
    """List the pictures of a file whose first line is ``path,label``, ``split`` and ``group`` too.

    Paths are relative to the folder of the file. `split` is train, valid (or val, validation) or
    test; pictures of one `group` stay together, and one without a group is by itself. Other columns
    do not count. Semicolons or tabs may stand for commas.

    Raises:
        UserError: The file or a column is missing, a line makes no sense, or a picture is missing.
    """
    file = pathlib.Path(path)
    columns = _text(file)
    places, rows = columns.pop('line'), dict(columns)
    for line, *values in zip(places, *(rows[name] for name in _NEEDED), strict=True):
        for name, value in zip(_NEEDED, values, strict=True):
            if not value:
                raise UserError(f'{file}: line {line}: no {name}')
    _require_once(file, places, rows[PATH])
    paths = [file.parent / name for name in rows[PATH]]
    missing = [i for i, each in enumerate(paths) if not each.is_file()]
    if missing:
        first = missing[0]
        raise UserError(
            f'{file}: line {places[first]}: no such file: {paths[first]} ({len(missing)} of '
            f'{len(paths)} pictures are missing); paths are relative to the folder of the CSV file'
        )
    parts = [TRAIN] * len(paths)
    if SPLIT in rows:
        parts = [_part(file, line, word) for line, word in zip(places, rows[SPLIT], strict=True)]
    # A number is the name of no group.
    groups = [name or i for i, name in enumerate(rows[GROUP])] if GROUP in rows else None
    return listing.make(paths, rows[LABEL], parts, str(file), groups)


def write(path: pathlib.Path, *listings: Listing) -> None:
    """Write the pictures of some lists, one after another, into a file that `read` takes.

    It has a column split if not all are to train, and a column group if some belong together.
    """
    with atomic_write(path) as file:
        file.write(content(path.parent, *listings))


def content(folder: pathlib.Path, *listings: Listing) -> bytes:
    """Make the content of a file that `write` writes into a folder."""
    split = [SPLIT] if any(each.divided for each in listings) else []
    group = [GROUP] if any(each.grouped for each in listings) else []
    columns = [PATH, LABEL, *split, *group]

    def rows() -> Iterator[list[object]]:
        for each in listings:
            for i, file in enumerate(each.paths):
                values: dict[str, object] = {
                    PATH: seen_from(folder, file),
                    LABEL: each.class_names[each.labels[i]],
                    SPLIT: each.parts[i],
                    GROUP: each.groups[i],
                }
                yield [values[name] for name in columns]

    return store.table(columns, rows()).encode('utf-8', 'surrogateescape')


def _text(file: pathlib.Path) -> dict[str, list[str]]:
    """Read the columns; what is not in UTF-8 must be because files have such names."""
    try:
        return _columns(file)
    except UnicodeDecodeError:
        with contextlib.suppress(UserError):  # in UTF-16 it has no columns
            columns = _columns(file, 'surrogateescape')
            odd = [file.parent / name for name in columns[PATH] if not _is_utf8(name)]
            if odd and all(path.is_file() for path in odd):
                return columns
    raise UserError(f'{file}: not a text in UTF-8; save it as one')


def _is_utf8(text: str) -> bool:
    return text.encode(errors='replace') == text.encode(errors='surrogateescape')


def _columns(file: pathlib.Path, errors: str = 'strict') -> dict[str, list[str]]:
    """Read the columns that we know by name, and the number of each line as ``line``."""
    try:
        with open_text(file, 'utf-8-sig', errors) as stream:
            head = stream.readline()
            stream.seek(0)
            delimiter = max(',;\t', key=head.count)
            reader = csv.DictReader(stream, delimiter=delimiter, skipinitialspace=True)
            known = [(name or '').strip().lower() for name in reader.fieldnames or ()]
            _require_columns(file, known)
            reader.fieldnames = known
            found: dict[str, list[str]] = {name: [] for name in COLUMNS if name in known}
            found['line'] = []
            for row in reader:
                found['line'].append(str(reader.line_num))
                for name in COLUMNS:
                    if name in known:
                        found[name].append((row[name] or '').strip())
    except FileNotFoundError:
        raise UserError(f'{file}: no such CSV file') from None
    except OSError as error:
        raise UserError(f'{file}: {error.strerror}') from None
    except csv.Error as error:
        raise UserError(f'{file}: no CSV file ({error})') from None
    if not found['line']:
        raise UserError(f'{file}: names no picture')
    return found


def _require_columns(file: pathlib.Path, known: list[str]) -> None:
    for name in _NEEDED:
        if name not in known:
            there = f'it has: {", ".join(known)}' if any(known) else 'it is empty'
            raise UserError(
                f"{file}: no column is called '{name}' ({there}){nearest(name, known)}; its first "
                f'line must be path,label, and may go on with split and group'
            )


def _require_once(file: pathlib.Path, lines: list[str], names: list[str]) -> None:
    first: dict[str, str] = {}
    for line, name in zip(lines, names, strict=True):
        # However it is written, as ./a.png.
        known = first.setdefault(os.path.abspath(file.parent / name), line)
        if known != line:
            raise UserError(f'{file}: line {line}: {name} is in line {known} already')


def _part(file: pathlib.Path, line: str, word: str) -> str:
    try:
        return PART_NAMES[word.lower()]
    except KeyError:
        raise UserError(
            f"{file}: line {line}: split is '{word}'; it must be train, {VALID} or test"
        ) from None

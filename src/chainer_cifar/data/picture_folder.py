"""List the pictures in a folder of class folders."""

import collections
import os
import pathlib
from collections.abc import Iterable, Iterator
from typing import TypeAlias

from chainer_cifar.data import listing, picture
from chainer_cifar.data.listing import PART_NAMES, TRAIN, Listing
from chainer_cifar.errors import UserError, command_line
from chainer_cifar.streams import tell

# Pictures and films of kinds that Pillow does not read, or not always.
_UNREAD = frozenset(
    (
        *('.heic', '.heif', '.avif', '.jxl', '.webp', '.jp2', '.svg', '.eps', '.mp4', '.mov'),
        *('.cr2', '.cr3', '.nef', '.arw', '.dng', '.raf', '.orf', '.rw2'),
    )
)

Identity: TypeAlias = tuple[int, int]  # of a folder on this machine


def read(folder: str | os.PathLike[str]) -> Listing:
    """List the pictures in the class folders of `folder`, and in folders inside of these.

    If it holds a folder train, and valid (or val, validation) or test, and no other with pictures,
    these hold the class folders and are the parts. Links to folders are followed, but not in
    circles. Hidden files and folders do not count.

    Raises:
        UserError: It is no folder, or holds no class folders, or too few, with pictures; or parts
            and other folders.
    """
    root = pathlib.Path(folder)
    if not root.is_dir():
        raise UserError(f'{root}: no such folder of pictures')
    endings = picture.endings()
    parts = _parts(root, endings)
    paths: list[pathlib.Path] = []
    classes: list[str] = []
    of_parts: list[str] = []
    others: collections.Counter[str] = collections.Counter()
    for part, top in parts or [(TRAIN, root)]:
        for path in _folders(top):
            found = sorted(_pictures(path, endings, {_identity(root), _identity(top)}, others))
            if not found:
                _tell_empty(path)
            paths += found
            classes += [path.name] * len(found)
            of_parts += [part] * len(found)
    loose = {
        top: sum(_is_picture(path, endings) for path in top.iterdir())
        for top in (root, *(path for _, path in parts))
    }
    if any(loose.values()) and not paths:
        raise UserError(
            f'{root}: {sum(loose.values())} pictures and no class folders; put those of each class '
            f'into a folder of its own, or name their classes in a file for '
            f'{command_line("dataset")} --source csv'
        )
    if not paths:
        raise UserError(f'{root}: no picture in folders in it; each class needs a folder')
    for top, count in loose.items():
        if count:
            tell(f'warning: {top}: {count} pictures are in no class folder; passed over')
    if unread := sorted((end, others[end]) for end in others if end in _UNREAD):
        told = ', '.join(f'{count} {end}' for end, count in unread)
        tell(f'warning: {root}: files of kinds that cannot be read are passed over ({told})')
    _require_names(root, set(classes))
    return listing.make(paths, classes, of_parts, str(root))


def _require_names(root: pathlib.Path, names: set[str]) -> None:
    """Raise UserError if names would be one in a table, which drops the space around them."""
    for name in sorted(names):
        if name != name.strip() and name.strip() in names:
            raise UserError(f"{root}: '{name}' and '{name.strip()}' are two folders; rename one")


def _parts(root: pathlib.Path, endings: frozenset[str]) -> list[tuple[str, pathlib.Path]]:
    """Return the folders that are parts, each with its part; none if all are classes.

    Other folders without pictures do not count: an unpacked archive has its __MACOSX, and dataset
    writes its own image_raw beside the pictures if these lie in dataset/.
    """

    def holding(folders: Iterable[pathlib.Path]) -> list[pathlib.Path]:
        return [path for path in folders if any(_pictures(path, endings, {_identity(root)}))]

    inside = _folders(root)
    named = [(path.name.lower(), path) for path in inside]
    parts = [(PART_NAMES[name], path) for name, path in named if name in PART_NAMES]
    kinds = {part for part, _ in parts}
    others = [path for name, path in named if name not in PART_NAMES]
    foreign = holding(others)
    if len(kinds) == 1 and not foreign and holding(_folders(parts[0][1])):
        raise UserError(f'{root}: holds one part only; give the folder {parts[0][1]}')
    if TRAIN not in kinds or len(kinds) == 1:
        return []
    if not foreign:
        for path in others:
            _tell_empty(path)
        return parts
    # Pictures right in these folders say that they are classes: one may well be called train.
    filled = [(part, path.name) for part, path in parts if holding(_folders(path))]
    if TRAIN in (part for part, _ in filled) and len(filled) > 1:
        raise UserError(
            f'{root}: holds {" and ".join(name for _, name in filled)}, and other folders with '
            f'pictures, as {foreign[0].name}; move these elsewhere, or if all are classes, name '
            f'these in a file for {command_line("dataset")} --source csv'
        )
    return []


def _tell_empty(folder: pathlib.Path) -> None:
    tell(f'warning: {folder}: no picture in it; passed over')


def _folders(folder: pathlib.Path) -> list[pathlib.Path]:
    try:
        found = [path for path in folder.iterdir() if not path.name.startswith('.')]
        return sorted(path for path in found if path.is_dir())
    except OSError as error:
        raise UserError(f'{folder}: {error.strerror}') from None


def _pictures(
    folder: pathlib.Path,
    endings: frozenset[str],
    seen: set[Identity],
    others: 'collections.Counter[str] | None' = None,
) -> Iterator[pathlib.Path]:
    """Yield the pictures in a folder and below it, unless a link has led to one of the `seen`.

    `others` counts how the names of other files end.
    """
    try:
        if _identity(folder) in seen:
            return
        seen.add(_identity(folder))
        for path in sorted(folder.iterdir()):
            if path.name.startswith('.'):
                continue
            if path.is_dir():
                yield from _pictures(path, endings, seen, others)
            elif _is_picture(path, endings):
                yield path
            elif others is not None:
                others[path.suffix.lower()] += 1
    except OSError as error:
        raise UserError(f'{error.filename}: {error.strerror}') from None


def _identity(folder: pathlib.Path) -> Identity:
    status = folder.stat()
    return status.st_dev, status.st_ino


def _is_picture(path: pathlib.Path, endings: frozenset[str]) -> bool:
    hidden = path.name.startswith('.')
    return not hidden and path.suffix.lower() in endings and path.is_file()

"""The CIFAR archives: what each holds, and how its URL becomes a folder of its files."""

import collections
import contextlib
import dataclasses
import errno
import gzip
import hashlib
import json
import os
import pathlib
import shutil
import tarfile
from collections.abc import Iterator
from typing import BinaryIO, Protocol

import filelock

from chainer_cifar import json_file
from chainer_cifar.data.fetch import WrongSource, collected, discard, fetch, md5sum, part_of
from chainer_cifar.errors import UserError, file_and_reason, first_line
from chainer_cifar.files import atomic_write, make_folder, move_folder, naming, sync, sync_file
from chainer_cifar.registry import Registry
from chainer_cifar.streams import STDOUT, progress_bar, tell

MB = 10**6
CHUNK = 1 << 20  # bytes
NOTE = '.extracted.json'  # in the folder: md5 of its archive and of each of its files


class Unwritable(UserError):
    """The archive or its files cannot be put where they belong."""


@dataclasses.dataclass(frozen=True)
class Archive:
    """A tar.gz of one folder.

    `required` and `optional` map the name of each file to the most bytes that it may have. The
    limits leave room for a user's own archive, but none for a decompression bomb.
    """

    url: str
    md5: str
    size: int  # of the official tar.gz, in bytes
    folder: str
    required: dict[str, int]
    optional: dict[str, int]

    @property
    def filename(self) -> str:
        """The file name in the URL."""
        return self.url.rpartition('/')[2]

    @property
    def limits(self) -> dict[str, int]:
        """`required` and `optional` together."""
        return self.required | self.optional

    @property
    def limit(self) -> int:
        """The most bytes that the tar, and so the tar.gz, may have; headers take the last MB."""
        return sum(self.limits.values()) + MB


# https://www.cs.toronto.edu/~kriz/cifar.html; the official batches have 31.0 MB each, the train
# file of CIFAR-100 has 155.2 MB.
ARCHIVES = Registry[Archive]('archive')
ARCHIVES.register('cifar10')(
    Archive(
        url='https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz',
        md5='c58f30108f718f92721af3b95e74349a',
        size=170_498_071,
        folder='cifar-10-batches-py',
        required={
            **{f'data_batch_{i}': 40 * MB for i in range(1, 6)},
            'test_batch': 40 * MB,
            'batches.meta': MB,
        },
        optional={'readme.html': MB},
    )
)
ARCHIVES.register('cifar100')(
    Archive(
        url='https://www.cs.toronto.edu/~kriz/cifar-100-python.tar.gz',
        md5='eb9058c3a382ffc7106e4002c42a8d85',
        size=169_001_437,
        folder='cifar-100-python',
        required={'train': 200 * MB, 'test': 40 * MB, 'meta': MB},
        optional={'file.txt~': MB},
    ),
)


def obtain(
    archive: Archive,
    directory: str | os.PathLike[str],
    *,
    url: str,
    md5: str | None,
    retries: int,
) -> pathlib.Path:
    """Put the archive's verified files into `directory`; do nothing again that is done already.

    A second process may do the same at the same time, and this one may be killed at any moment.

    Args:
        archive: One of `ARCHIVES`.
        directory: Where to put them; made if missing.
        url: An http, https or file URL.
        md5: The md5 of the tar.gz. None takes whatever is there or comes.
        retries: See `fetch.fetch`.

    Returns:
        The folder with the files.

    Raises:
        WrongFile, WrongSource: There is another archive, or none.
        Unwritable: There is no place to put it.
        UserError: It cannot be fetched, or what is in `directory` already is in its way.

    Nothing that was there before is lost.
    """
    directory = pathlib.Path(directory)
    folder = directory / archive.folder
    with _plain_disk_errors():
        _refuse_huge_file(archive, directory / archive.filename)
        # Look before taking the lock, so that a finished folder may be read-only.
        if not _is_done(archive, directory, md5) or _is_untidy(archive, directory):
            make_folder(directory)
            with _lock(directory / f'.{archive.filename}.lock'):
                if not _is_done(archive, directory, md5):
                    _fetch_and_extract(archive, directory, url, md5, retries)
                    return folder
                _tidy(archive, directory)
    print(f'{folder} is complete: nothing to fetch or extract')
    return folder


def extract(
    archive: Archive,
    source: pathlib.Path,
    folder: pathlib.Path,
    *,
    md5: str,
    name: str | pathlib.Path,
) -> None:
    """Extract the tar.gz `source`, unless that is done, and replace `folder` if all is right.

    Args:
        archive: What `source` must hold; anything else in it is refused.
        source: The tar.gz.
        folder: Where to extract it; its parent exists.
        md5: The md5 of `source`, to be noted in the folder.
        name: What messages call `source`.

    Raises:
        UserError: `source` is not that archive.
        OSError: The files cannot be written.
    """
    if extracted_from(archive, folder) == md5:
        print(f'{folder} is complete: not extracting it again')
        return
    print(f'Extracting to {folder}', flush=True)
    temporary = _temporary(folder)
    shutil.rmtree(temporary, ignore_errors=True)  # a killed process may have left it
    new = temporary / 'new'
    new.mkdir(parents=True)
    try:
        digests: dict[str, hashlib._Hash] = collections.defaultdict(_md5)
        bytes_bar = progress_bar(
            folder.name, source.stat().st_size, 'B', unit_scale=True, leave=True
        )
        with open(source, 'rb') as file, bytes_bar as bar:
            for member, data in _read_members(archive, file, name):
                path = new / member
                with naming(path), open(path, 'ab') as output:
                    output.write(data)
                digests[member].update(data)
                bar.update(file.tell() - bar.n)
        files = {member: digest.hexdigest() for member, digest in digests.items()}
        with atomic_write(new / NOTE, 'w') as note:
            json.dump({'archive': md5, 'files': files}, note, indent=1)
        move_folder(new, folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    print(f'Extracted {len(files)} files', flush=True)


def extracted_from(archive: Archive, folder: pathlib.Path) -> str | None:
    """Return the md5 of the tar.gz that `folder` was extracted from.

    Return None if the folder is missing, incomplete, changed or made by hand.
    """
    try:
        note = json_file.read(folder / NOTE)
        files = note['files']
        if not archive.required.keys() <= files.keys() <= archive.limits.keys():
            return None
        for name, digest in files.items():
            path = folder / name
            if path.stat().st_size > archive.limits[name] or md5sum(path) != digest:
                return None
        md5 = note['archive']
        return md5 if isinstance(md5, str) else None
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        return None


def _refuse_huge_file(archive: Archive, path: pathlib.Path) -> None:
    """Refuse at once a file that cannot be the archive; its md5 would take minutes."""
    size = path.stat().st_size if path.exists() else 0
    if size > archive.limit:
        raise UserError(
            f'{path}: has {size:,} bytes, too many for this archive; move it away and run this '
            f'command again'
        )


def _is_done(archive: Archive, directory: pathlib.Path, md5: str | None) -> bool:
    made_from = extracted_from(archive, directory / archive.folder)
    if made_from is None or md5 not in (None, made_from):
        return False
    # Nobody needs the tar.gz any more, but if there is one it must not be damaged.
    path = directory / archive.filename
    return not path.exists() or md5sum(path) == made_from


def _is_untidy(archive: Archive, directory: pathlib.Path) -> bool:
    """Did a killed process leave something here that can be taken away?"""
    left = (
        collected(directory / archive.filename) or _temporary(directory / archive.folder).exists()
    )
    return left and os.access(directory, os.W_OK)


def _tidy(archive: Archive, directory: pathlib.Path) -> None:
    """Finish what was killed after it had extracted: keep the tar.gz, and no more than that."""
    path = directory / archive.filename
    part = part_of(path)
    extracted = extracted_from(archive, directory / archive.folder)
    if not path.exists() and part.exists() and md5sum(part) == extracted:
        _keep(path)
    discard(path)
    shutil.rmtree(_temporary(directory / archive.folder), ignore_errors=True)


def _temporary(folder: pathlib.Path) -> pathlib.Path:
    """Where the files of `folder` are put until all are there."""
    return folder.with_name(f'.{folder.name}.extracting')


def _keep(path: pathlib.Path) -> None:
    """Give the tar.gz its name."""
    os.replace(part_of(path), path)
    sync(path.parent)


def _fetch_and_extract(
    archive: Archive, directory: pathlib.Path, url: str, md5: str | None, retries: int
) -> None:
    path, folder = directory / archive.filename, directory / archive.folder
    if md5 is None or extracted_from(archive, folder) != md5:
        _refuse_foreign_files(archive, folder)
    actual = md5sum(path) if path.exists() else None
    if actual is not None and md5 in (None, actual):
        print(f'{path} is there already: not fetching it again', flush=True)
        try:
            extract(archive, path, folder, md5=actual, name=path)
        except UserError as error:
            raise UserError(f'{error}; delete it and run this command again') from None
        discard(path)  # a download that the user gave up for a file put there by hand
        return
    if actual is not None:
        tell(
            f'warning: {path} has md5 {actual}, not {md5}: fetching it again '
            f'(to use it as it is, give --md5 {actual} or --md5 skip)'
        )
    size = archive.size if md5 == archive.md5 else None
    actual = fetch(url, path, md5=md5, size=size, limit=archive.limit, retries=retries)
    # When the folder has its name, nothing of this is looked at again.
    sync_file(part_of(path))
    sync(directory)
    # Extract it before it replaces an older tar.gz, which may be the better one.
    try:
        extract(archive, part_of(path), folder, md5=actual, name=url)
    except UserError as error:
        discard(path)
        raise WrongSource(str(error)) from None
    _keep(path)
    discard(path)
    print(f'Keeping the archive as {path}, md5 {actual}')


def _refuse_foreign_files(archive: Archive, folder: pathlib.Path) -> None:
    """Raise UserError if `folder`, to be replaced, holds files that came from no archive."""
    foreign = {path.name for path in folder.iterdir()} if folder.exists() else set()
    foreign -= {*archive.limits, NOTE}
    if foreign:
        raise UserError(
            f'{folder}: is incomplete or from another archive, and replacing it would delete '
            f"'{min(foreign)}' in it; move that away and run this command again"
        )


def _read_members(
    archive: Archive, file: BinaryIO, name: str | pathlib.Path
) -> Iterator[tuple[str, bytes]]:
    """Yield (name of a member, some of its bytes) from the open tar.gz `file`, checking each.

    Raise UserError, even at the very end (checksum, missing members): believe nothing before that.
    """
    known = {f'{archive.folder}/{member}': member for member in archive.limits}
    seen: set[str] = set()
    try:
        with gzip.GzipFile(fileobj=file) as unzipped:
            stream = _Forward(unzipped, archive.limit)
            # Reading needs neither the write nor the close that mypy asks for.
            for entry in tarfile.TarFile(fileobj=stream):  # type: ignore[arg-type]
                if entry.name in seen:
                    raise _Refused(f'{entry.name!r} is in it twice')
                seen.add(entry.name)
                if entry.isdir() and entry.name == archive.folder:
                    continue
                if entry.name not in known:
                    raise _Refused(f'{entry.name!r} does not belong in this archive')
                if entry.type not in (tarfile.REGTYPE, tarfile.AREGTYPE) or entry.issparse():
                    raise _Refused(f'{entry.name!r} is not a plain file')
                member = known[entry.name]
                least, most = int(member in archive.required), archive.limits[member]
                if not least <= entry.size <= most:
                    raise _Refused(
                        f'{entry.name!r} has {entry.size:,} bytes, not {least} to {most:,}'
                    )
                yield member, b''
                for data in stream.read_chunks(entry.offset_data, entry.size):
                    yield member, data
            stream.skip_rest()  # to the end of the gzip file, which has its checksum
    except _Refused as error:
        raise UserError(f'{name}: refused: {error}') from None
    except Exception as error:
        # Hostile bytes make gzip and tarfile raise all kinds of errors.
        raise UserError(f'{name}: damaged, or not a tar.gz ({first_line(error)})') from None
    missing = [member for full, member in known.items() if full not in seen]
    missing = [member for member in missing if member in archive.required]
    if missing:
        raise UserError(f"{name}: has no '{archive.folder}/{missing[0]}'")


class _Refused(Exception):
    """The archive holds something that it must not."""


class _Readable(Protocol):
    def read(self, size: int, /) -> bytes: ...


class _Forward:
    """The decompressed stream as tarfile sees it: forwards only, and no more than `limit` bytes.

    tarfile itself believes the sizes and offsets in headers, however large or negative they are.
    """

    def __init__(self, stream: _Readable, limit: int) -> None:
        self.stream = stream
        self.limit = limit
        self.position = 0

    def tell(self) -> int:
        return self.position

    def read(self, size: int) -> bytes:
        """Read a header; even one with a long file name has only a few hundred bytes."""
        if not 0 <= size <= 8192:
            raise _Refused(f'a header of {size:,} bytes')
        return self._take(size)

    def seek(self, position: int) -> None:
        if position < self.position:
            raise _Refused('a member that begins before the end of the last one')
        for _ in self._chunks(position - self.position):
            pass

    def read_chunks(self, position: int, size: int) -> Iterator[bytes]:
        """Yield the `size` bytes at `position`, at most 1 MiB at a time; fewer if the stream ends.

        tarfile itself notices that a member was cut off when it looks for the next one.
        """
        self.seek(position)
        yield from self._chunks(size)

    def skip_rest(self) -> None:
        while self._take(CHUNK):
            pass

    def _chunks(self, size: int) -> Iterator[bytes]:
        while size and (data := self._take(min(size, CHUNK))):
            size -= len(data)
            yield data

    def _take(self, size: int) -> bytes:
        data = self.stream.read(size)
        self.position += len(data)
        if self.position > self.limit:
            raise _Refused(f'it unpacks to more than {self.limit:,} bytes')
        return data


@contextlib.contextmanager
def _lock(path: pathlib.Path) -> Iterator[None]:
    """Let one process in at a time; the system frees the lock of a killed one."""
    lock = filelock.FileLock(path)
    try:
        lock.acquire(timeout=0)
    except filelock.Timeout:
        tell(f'warning: waiting for another download to {path.parent}')
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


@contextlib.contextmanager
def _plain_disk_errors() -> Iterator[None]:
    """Turn an OSError of the disk into `Unwritable`."""
    try:
        yield
    except OSError as error:
        if error.filename in (None, STDOUT):
            raise  # see cli.run
        room = ' (400 MB are needed)' if error.errno in (errno.ENOSPC, errno.EDQUOT) else ''
        raise Unwritable(f'{file_and_reason(error)}{room}') from None


def _md5() -> 'hashlib._Hash':
    return hashlib.md5(usedforsecurity=False)

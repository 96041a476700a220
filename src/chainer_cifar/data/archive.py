"""The CIFAR archives: what each holds, and the way from its URL to a folder of its files."""

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
import sys
import tarfile

import filelock
from tqdm import tqdm

from chainer_cifar.data.fetch import discard, fetch, md5sum, part_of
from chainer_cifar.errors import UserError
from chainer_cifar.files import atomic_write
from chainer_cifar.registry import Registry

MB = 10**6
CHUNK = 1 << 20  # bytes
NOTE = '.extracted.json'  # in the folder: the md5 of its archive and of each of its files


@dataclasses.dataclass(frozen=True)
class Archive:
    """A tar.gz of one folder.

    `required` and `optional` map the names of its files to the most bytes that each may have; the
    limits leave room for an archive of one's own and none for a decompression bomb.
    """

    url: str
    md5: str
    size: int  # bytes of the official tar.gz
    folder: str
    required: dict
    optional: dict

    @property
    def filename(self):
        return self.url.rpartition('/')[2]

    @property
    def limits(self):
        return self.required | self.optional

    @property
    def limit(self):
        """Bytes that the tar, and so its tar.gz, may have; the headers take the last megabyte."""
        return sum(self.limits.values()) + MB


# https://www.cs.toronto.edu/~kriz/cifar.html; the official batches have 31.0 MB, the train file of
# CIFAR-100 155.2 MB.
ARCHIVES = Registry('archive')
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


def obtain(archive, directory, *, url, md5, retries):
    """Have the archive's verified files in `directory`; what is there already is not done again.

    Safe against a second process that does the same, and against being killed at any moment.

    Args:
        archive: One of `ARCHIVES`.
        directory: Made when missing.
        url: http, https or file.
        md5: Of the tar.gz. None takes what is there, or comes, as it is.
        retries: See `fetch.fetch`.

    Returns:
        pathlib.Path: The folder with the files.

    Raises:
        UserError: no archive, another archive, or no place to put it; nothing there before is lost.
    """
    directory = pathlib.Path(directory)
    folder = directory / archive.folder
    with _plain_disk_errors(directory):
        # Looked at before the lock is taken, so that what is finished may be read-only.
        if not _is_done(archive, directory, md5):
            directory.mkdir(parents=True, exist_ok=True)
            with _lock(directory / f'.{archive.filename}.lock'):
                if not _is_done(archive, directory, md5):
                    _fetch_and_extract(archive, directory, url, md5, retries)
                    return folder
    print(f'{folder} is complete: nothing is fetched or extracted again')
    return folder


def extract(archive, source, folder, *, md5, name):
    """Extract the tar.gz `source`; only when all of it is right does it take `folder`'s place.

    Args:
        archive: What it must hold; anything else in it is refused.
        source: The tar.gz.
        folder: Its parent exists.
        md5: Of `source`; noted in the folder.
        name: What messages call `source`.

    Raises:
        UserError: `source` is not that archive.
        OSError: the files cannot be written.
    """
    print(f'Extracting to {folder}', flush=True)
    temporary = folder.with_name(f'.{folder.name}.extracting')
    shutil.rmtree(temporary, ignore_errors=True)  # of a run that was killed
    new = temporary / 'new'
    new.mkdir(parents=True)
    try:
        digests = collections.defaultdict(_md5)
        with open(source, 'rb') as file, _bar(file, folder.name) as bar:
            for member, data in _read_members(archive, file, name):
                with open(new / member, 'ab') as output:
                    output.write(data)
                digests[member].update(data)
                bar.update(file.tell() - bar.n)
        files = {member: digest.hexdigest() for member, digest in digests.items()}
        with atomic_write(new / NOTE, 'w') as file:
            json.dump({'archive': md5, 'files': files}, file, indent=1)
        if folder.exists():
            folder.rename(temporary / 'old')
        new.rename(folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    print(f'Extracted {len(files)} files', flush=True)


def extracted_from(archive, folder):
    """The md5 of the tar.gz that `folder` was extracted from, when it is all there and unchanged.

    Returns:
        str or None: None for a folder that is missing, incomplete, changed or made by hand.
    """
    try:
        note = json.loads((folder / NOTE).read_text(encoding='utf-8'))
        files = note['files']
        if not archive.required.keys() <= files.keys() <= archive.limits.keys():
            return None
        if any(md5sum(folder / name) != digest for name, digest in files.items()):
            return None
        return note['archive']
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        return None


def _is_done(archive, directory, md5):
    made_from = extracted_from(archive, directory / archive.folder)
    if made_from is None or md5 not in (None, made_from):
        return False
    # The tar.gz is not needed any more, but one that is there must not be a damaged one.
    path = directory / archive.filename
    return not path.exists() or md5sum(path) == made_from


def _fetch_and_extract(archive, directory, url, md5, retries):
    path, folder = directory / archive.filename, directory / archive.folder
    if md5 is None or extracted_from(archive, folder) != md5:
        _refuse_foreign_files(archive, folder)
    actual = md5sum(path) if path.exists() else None
    if actual is not None and md5 in (None, actual):
        print(f'{path} is there already: not fetched again', flush=True)
        with _advice('delete it and run this command again'):
            _extract_unless_done(archive, path, folder, md5=actual, name=path)
        discard(path)  # a download that was given up for a file put there by hand
        return
    if actual is not None:
        print(
            f'{path} has md5 {actual}, not {md5}: fetched anew '
            f'(to use it as it is, give --md5 {actual} or --md5 skip)',
            file=sys.stderr,
            flush=True,
        )
    size = archive.size if md5 == archive.md5 else None
    actual = fetch(url, path, md5=md5, size=size, limit=archive.limit, retries=retries)
    # Extracted before it takes the place of an older tar.gz, which may be the better one.
    with _advice('check --url and --set'):
        try:
            _extract_unless_done(archive, part_of(path), folder, md5=actual, name=url)
        except UserError:
            discard(path)
            raise
    os.replace(part_of(path), path)
    discard(path)
    print(f'The archive is kept as {path}, md5 {actual}')


def _extract_unless_done(archive, source, folder, *, md5, name):
    if extracted_from(archive, folder) == md5:
        print(f'{folder} is complete: not extracted again')
    else:
        extract(archive, source, folder, md5=md5, name=name)


def _refuse_foreign_files(archive, folder):
    """Before `folder` is replaced: what is in it and not from an archive is someone's."""
    foreign = {path.name for path in folder.iterdir()} if folder.exists() else set()
    foreign -= {*archive.limits, NOTE}
    if foreign:
        raise UserError(
            f"{folder}: is incomplete or from another archive, and '{min(foreign)}' in it would "
            'be lost when it is replaced; move that away and run this command again'
        )


def _read_members(archive, file, name):
    """Yield (name of a member, some bytes of it) of the open tar.gz `file`, checked as they come.

    Raises UserError, also at the very end (checksum, missing members): believe nothing before that.
    """
    known = {f'{archive.folder}/{member}': member for member in archive.limits}
    seen = set()
    try:
        with gzip.GzipFile(fileobj=file) as stream:
            stream = _Forward(stream, archive.limit)
            for entry in tarfile.TarFile(fileobj=stream):
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
                    raise _Refused(f'{entry.name!r} has {entry.size:,} bytes, at most {most:,} fit')
                yield member, b''
                for data in stream.read_chunks(entry.offset_data, entry.size):
                    yield member, data
            stream.skip_rest()  # to the end of the gzip file, where its checksum is
    except _Refused as error:
        raise UserError(f'{name}: refused: {error}') from None
    except Exception as error:
        # gzip and tarfile raise whatever they stumble over in hostile bytes.
        reason = str(error) or type(error).__name__
        raise UserError(f'{name}: damaged, or not a tar.gz ({reason})') from None
    missing = [member for full, member in known.items() if full not in seen]
    missing = [member for member in missing if member in archive.required]
    if missing:
        raise UserError(f"{name}: has no '{archive.folder}/{missing[0]}'")


class _Refused(Exception):
    """The archive holds something that it must not."""


class _Forward:
    """The decompressed stream as tarfile sees it: forwards only, and no more than `limit` bytes.

    tarfile itself believes the sizes and offsets in headers, however large or negative.
    """

    def __init__(self, stream, limit):
        self.stream = stream
        self.limit = limit
        self.position = 0

    def tell(self):
        return self.position

    def read(self, size):
        """For headers; the longest ones, of file names, have a few hundred bytes."""
        if not 0 <= size <= 8192:
            raise _Refused(f'a header of {size:,} bytes')
        return self._take(size)

    def seek(self, position):
        if position < self.position:
            raise _Refused('a member that begins before the end of the last one')
        for _ in self._chunks(position - self.position):
            pass

    def read_chunks(self, position, size):
        """Yield the `size` bytes at `position`, at most 1 MiB at a time; fewer when it ends there.

        tarfile itself finds out that a member was cut off, when it looks for the next one.
        """
        self.seek(position)
        yield from self._chunks(size)

    def skip_rest(self):
        while self._take(CHUNK):
            pass

    def _chunks(self, size):
        while size and (data := self._take(min(size, CHUNK))):
            size -= len(data)
            yield data

    def _take(self, size):
        data = self.stream.read(size)
        self.position += len(data)
        if self.position > self.limit:
            raise _Refused(f'it unpacks to more than {self.limit:,} bytes')
        return data


@contextlib.contextmanager
def _lock(path):
    """One process at a time; the system frees the lock of one that is killed."""
    lock = filelock.FileLock(path)
    try:
        lock.acquire(timeout=0)
    except filelock.Timeout:
        print(f'Waiting for another download to {path.parent} to end', file=sys.stderr, flush=True)
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


@contextlib.contextmanager
def _advice(text):
    """What to do about an archive that is refused."""
    try:
        yield
    except UserError as error:
        raise UserError(f'{error}; {text}') from None


@contextlib.contextmanager
def _plain_disk_errors(directory):
    """An OSError of the disk in one line."""
    try:
        yield
    except BrokenPipeError:
        raise  # of print: see cli.run
    except OSError as error:
        what = error.filename or directory
        room = ' (400 MB are needed)' if error.errno in (errno.ENOSPC, errno.EDQUOT) else ''
        raise UserError(
            f'{what}: {error.strerror or error}{room}; '
            'put that right, or choose another folder with --dir'
        ) from None


def _bar(file, name):
    size = os.fstat(file.fileno()).st_size
    return tqdm(desc=name, total=size, unit='B', unit_scale=True, disable=None)


def _md5():
    return hashlib.md5(usedforsecurity=False)

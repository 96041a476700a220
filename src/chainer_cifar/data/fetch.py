"""Fetch a URL into a verified file: resume it, try again, and say what to do if that fails.

``<name>.part`` holds the bytes received so far, and ``<name>.part.json`` beside it says from where
they are. So a download that is cut off, interrupted or killed continues in the next run.
"""

import hashlib
import http.client
import itertools
import json
import os
import pathlib
import re
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, TypeAlias

import requests
import urllib3

from chainer_cifar import json_file
from chainer_cifar.errors import UserError
from chainer_cifar.files import atomic_write, naming, open_bytes
from chainer_cifar.streams import printable, progress_bar, tell

CHUNK = 1 << 16  # bytes; small, since a chunk that is cut off on its way is lost
TIMEOUT = 10, 30  # seconds: to connect, and between two reads
LONGEST_WAIT = 60  # seconds between two attempts
PROGRESS = 1 << 20  # bytes; after an attempt that brings this many, retries count from 0 again
GZIP = b'\x1f\x8b'  # the first bytes of every gzip file, and of no web page


class WrongFile(UserError):
    """What came has another md5 or size."""


class WrongSource(UserError):
    """What is at the URL cannot be used."""


State: TypeAlias = dict[str, Any]  # the part.json file: url, size and the two validators


def fetch(
    url: str,
    path: pathlib.Path,
    *,
    md5: str | None,
    size: int | None,
    limit: int,
    retries: int = 4,
    sleep: Callable[[float], object] = time.sleep,
) -> str:
    """Fetch the gzip file at `url` (http, https, file) to `part_of(path)` and verify it.

    The caller moves it to `path`, or gives it up, and then calls `discard(path)`.

    Args:
        url: A URL that `check_url` accepts.
        path: Where the file belongs; its folder exists.
        md5: 32 lower-case hexadecimal digits; None checks nothing.
        size: The file's size in bytes, if known.
        limit: The most bytes to accept.
        retries: How often to try again after an attempt that brought next to nothing.
        sleep: Waits this many seconds before another attempt.

    Returns:
        The file's md5.

    Raises:
        WrongFile: Another file came.
        WrongSource: The file of a file URL cannot be read.
        UserError: Nothing came; the error says what to do.
        OSError: The part file cannot be written.
    """
    transfer = _Transfer(url, path, size, limit, retries, sleep)
    try:
        transfer.run()
        actual = md5sum(transfer.part)
        if md5 not in (None, actual) and transfer.resumed:
            tell(f'warning: the parts of several answers have md5 {actual}: starting over')
            discard(path)
            transfer.run()
            actual = md5sum(transfer.part)
    except KeyboardInterrupt:
        raise KeyboardInterrupt('interrupted; run this command again to continue') from None
    if md5 not in (None, actual):
        discard(path)
        raise WrongFile(
            f'{url}: the file has md5 {actual}, expected {md5}: it is another one, or was changed '
            'on its way'
        )
    return actual


def part_of(path: pathlib.Path) -> pathlib.Path:
    """Return the file that collects the bytes for `path`."""
    return path.with_name(f'{path.name}.part')


def collected(path: pathlib.Path) -> bool:
    """Say whether something was collected for `path`."""
    return part_of(path).exists() or _state_of(path).exists()


def discard(path: pathlib.Path) -> None:
    """Delete what was collected for `path`."""
    _state_of(path).unlink(missing_ok=True)
    part_of(path).unlink(missing_ok=True)


def md5sum(path: str | os.PathLike[str]) -> str:
    """Return the md5 of a file as 32 hexadecimal digits."""
    digest = hashlib.md5(usedforsecurity=False)
    with open_bytes(path) as file:
        while data := file.read(1 << 20):
            digest.update(data)
    return digest.hexdigest()


def check_url(url: str) -> None:
    """Raise UserError unless `url` is a complete http, https or file URL."""
    try:
        parts = urllib.parse.urlsplit(url)
        host = parts.hostname
    except ValueError as error:
        raise UserError(f"'{url}' is not a URL: {error}") from None
    if parts.scheme in ('http', 'https') and host:
        return
    if parts.scheme == 'file' and host in (None, 'localhost') and parts.path.startswith('/'):
        return
    hint = '' if parts.scheme else f'; for a file give {pathlib.Path(url).absolute().as_uri()}'
    raise UserError(f"'{url}' is not a complete http, https or file URL{hint}")


class _Transient(Exception):
    """An attempt failed, but another one may succeed."""

    def __init__(self, reason: str, wait: int = 0) -> None:
        super().__init__(reason)
        self.wait = wait  # seconds, as the server asks


class _Restart(Exception):
    """The collected bytes are useless: the next request must ask for the whole file."""


class _Transfer:
    """The transfer from a URL to a part file."""

    def __init__(
        self,
        url: str,
        path: pathlib.Path,
        size: int | None,
        limit: int,
        retries: int,
        sleep: Callable[[float], object],
    ) -> None:
        self.url = url
        self.path = path
        self.part = part_of(path)
        self.size = size
        self.limit = limit
        self.retries = retries
        self.sleep = sleep
        self.received = 0  # bytes, in this run
        self.resumed = False  # whether the part file holds bytes of several answers

    def run(self) -> None:
        """Transfer until the part file is complete."""
        print(f'Fetching {printable(self.url)}', flush=True)
        start = time.monotonic()
        self.received = 0
        if urllib.parse.urlsplit(self.url).scheme == 'file':
            self.copy()
        else:
            self.download()
        if not self.received:
            return
        seconds = max(time.monotonic() - start, 1e-3)
        rate = self.received / 1e6 / seconds
        print(f'Received {self.received:,} bytes in {seconds:.1f} s, {rate:.1f} MB/s', flush=True)

    def copy(self) -> None:
        """Copy a file URL."""
        source = urllib.request.url2pathname(urllib.parse.urlsplit(self.url).path)
        try:
            file = open_bytes(source)  # only errors of this line are errors of the source
        except (OSError, ValueError) as error:  # a name with a zero byte is a ValueError
            reason = getattr(error, 'strerror', None) or error
            raise WrongSource(f'{source}: {reason}') from None
        try:
            with file:
                chunks = self.look(iter(lambda: file.read(CHUNK), b''))
                total = os.fstat(file.fileno()).st_size
                self.check_total(total)
                discard(self.path)
                self.receive(chunks, 0, total)
        except _Transient as error:  # the file is empty, or was cut meanwhile
            raise self.give_up(str(error)) from None

    def download(self) -> None:
        """Make attempts until the part file is complete."""
        failures, furthest = 0, self.collected()
        while True:
            try:
                return self.attempt()
            except _Restart as reason:
                tell(f'warning: {reason}: starting over')
                discard(self.path)
            except _Transient as error:
                if self.collected() >= furthest + PROGRESS:
                    failures, furthest = 0, self.collected()
                failures += 1
                if failures > self.retries:
                    times = 'once' if failures == 1 else f'{failures} times'
                    raise self.give_up(f'{error}; tried {times}') from None
                wait = min(max(2 ** (failures - 1), error.wait), LONGEST_WAIT)
                tell(f'warning: {error}; retry {failures} of {self.retries} in {wait} s')
                self.sleep(wait)

    def attempt(self) -> None:
        """Make one request: for the missing bytes if they are known, otherwise for all."""
        state = self.load_state()
        offset = self.collected() if state else 0
        self.resumed = offset > 0
        if state and offset and offset == state['size']:
            print(f'All {offset:,} bytes are in {self.part} already', flush=True)
            return
        headers = {'Accept-Encoding': 'identity'}
        if state and offset:
            headers['Range'] = f'bytes={offset}-'
            if validator := _strong_validator(state):
                headers['If-Range'] = validator
        with self.get(headers) as response:
            if offset and response.status_code == 416:
                if response.headers.get('Content-Range') != f'bytes */{offset}':
                    raise _Restart('the file on the server has changed')
            elif state and offset and response.status_code == 206:
                _check_continues(response, offset, state)
                print(f'Resuming at {offset:,} of {state["size"]:,} bytes', flush=True)
                self.receive(_stream(response), offset, state['size'])
            else:
                self.check_status(response)
                chunks = self.look(_stream(response))
                total = _number(response, 'Content-Length')
                self.check_total(total)
                total = self.size if total is None else total
                discard(self.path)
                self.resumed = False
                self.save_state(response.headers, total)
                self.receive(chunks, 0, total)

    def get(self, headers: Mapping[str, str]) -> requests.Response:
        """Send the request; raise `_Transient` or UserError if no answer comes."""
        try:
            return requests.get(self.url, headers=headers, stream=True, timeout=TIMEOUT)
        except (requests.ConnectionError, requests.Timeout) as error:
            reason = _innermost(error)
            if isinstance(error, requests.exceptions.ProxyError):
                reason = f'proxy: {reason}'
            if 'CERTIFICATE' in reason:
                raise self.give_up(reason) from None
            raise _Transient(reason) from None
        except (requests.RequestException, urllib3.exceptions.HTTPError, ValueError) as error:
            # Not all errors about odd hosts, in the URL or a redirection, are those of requests.
            raise self.give_up(_innermost(error)) from None

    def check_status(self, response: requests.Response) -> None:
        """Raise `_Transient` or UserError unless the answer holds the whole file."""
        code = response.status_code
        if code == 200:
            return
        reason = f'the server answers {code} {http.client.responses.get(code, "")}'.rstrip()
        if code in (408, 429) or code >= 500:
            raise _Transient(reason, wait=_number(response, 'Retry-After') or 0)
        raise self.give_up(reason)

    def look(self, chunks: Iterator[bytes]) -> Iterator[bytes]:
        """Return the same chunks if they begin like a gzip file; otherwise raise an error."""
        first = b''
        while len(first) < len(GZIP) and (more := next(chunks, b'')):
            first += more
        if not first:
            raise _Transient('the answer was empty')
        if first.lstrip()[:1] == b'<':
            raise self.give_up(
                'the answer is a web page, not an archive: the log-in page of this network, '
                'or the file has moved'
            )
        if not first.startswith(GZIP):
            raise self.give_up(f'the answer is not a gzip file, it begins with {first[:16]!r}')
        return itertools.chain([first], chunks)

    def check_total(self, total: int | None) -> None:
        """Refuse a file of another size before fetching it."""
        if total is not None and self.size not in (None, total):
            raise WrongFile(f'{self.url}: has {total:,} bytes, the official archive {self.size:,}')
        if total is not None and total > self.limit:
            raise UserError(f'{self.url}: has {total:,} bytes, too many for this archive')

    def receive(self, chunks: Iterable[bytes], offset: int, total: int | None) -> None:
        """Append `chunks` to the part file until it has `total` bytes, if that is known."""
        size = offset
        whole = f' of {total:,}' if total else ''
        with (
            naming(self.part),
            open(self.part, 'ab') as file,
            progress_bar(
                self.path.name, total, 'B', unit_scale=True, leave=True, initial=offset
            ) as bar,
        ):
            try:
                for data in chunks:
                    size += len(data)
                    if size > (total or self.limit):
                        raise UserError(f'{self.url}: sends more bytes than announced or allowed')
                    file.write(data)
                    self.received += len(data)
                    bar.update(len(data))
            except _Transient as reason:
                raise _Transient(f'cut off after {size:,}{whole} bytes: {reason}') from None
        if total is not None and size < total:
            raise _Transient(f'cut off after {size:,}{whole} bytes: {_CLOSED}')

    def collected(self) -> int:
        """Return the number of bytes in the part file."""
        return self.part.stat().st_size if self.part.exists() else 0

    def load_state(self) -> State | None:
        """Tell from where the part file's bytes are; None if unknown or from another URL."""
        try:
            state = json_file.read(_state_of(self.path))
        except (OSError, ValueError):
            return None
        if not isinstance(state, dict) or state.keys() != {'url', 'size', *_VALIDATORS}:
            return None
        texts = all(isinstance(state[name], str | None) for name in _VALIDATORS)
        known = texts and isinstance(state['size'], int | None) and state['url'] == self.url
        return state if known else None

    def save_state(self, headers: Mapping[str, str], size: int | None) -> None:
        """Note from where the bytes come that follow."""
        state = {'url': self.url, 'size': size, **{name: headers.get(name) for name in _VALIDATORS}}
        with atomic_write(_state_of(self.path), 'w') as file:
            json.dump(state, file, indent=1)

    def give_up(self, reason: str) -> UserError:
        """Make the error that says how the user can continue."""
        again = 'run this command again to continue, or ' if self.collected() else ''
        return UserError(
            f'cannot fetch {self.url} ({reason}); {again}fetch it by hand, save it as '
            f'{os.path.abspath(self.path)}, and run this command again'
        )


_VALIDATORS = 'ETag', 'Last-Modified'
_CLOSED = 'the connection was closed'


def _state_of(path: pathlib.Path) -> pathlib.Path:
    return path.with_name(f'{path.name}.part.json')


def _strong_validator(state: State) -> str | None:
    # If-Range must not hold a weak ETag (RFC 9110, 13.1.5).
    etag: str | None = state['ETag']
    modified: str | None = state['Last-Modified']
    return etag if etag and not etag.startswith('W/') else modified


def _check_continues(response: requests.Response, offset: int, state: State) -> None:
    content_range = response.headers.get('Content-Range', '')
    if not re.fullmatch(rf'bytes {offset}-\d+/{state["size"]}', content_range):
        raise _Restart('the server does not continue where its last answer ended')
    # Servers may leave Last-Modified out of a partial answer (RFC 9110, 15.3.7).
    if any(response.headers.get(name) not in (None, state[name]) for name in _VALIDATORS):
        raise _Restart('the file on the server has changed')


def _number(response: requests.Response, name: str) -> int | None:
    text = response.headers.get(name, '')
    return int(text) if re.fullmatch('[0-9]{1,15}', text) else None


def _stream(response: requests.Response) -> Iterator[bytes]:
    """Yield the bytes as they are on the server, whatever its Content-Encoding says."""
    try:
        yield from response.raw.stream(CHUNK, decode_content=False)
    except (urllib3.exceptions.HTTPError, OSError) as error:
        raise _Transient(_innermost(error)) from None


def _innermost(error: Exception) -> str:
    """Find the first cause, 'Connection refused', in what requests and urllib3 wrap around it."""
    while not isinstance(error, http.client.IncompleteRead):
        wrapped = (getattr(error, name, None) for name in ('reason', 'original_error'))
        causes = (*wrapped, error.__cause__, error.__context__)
        inner = next((cause for cause in causes if isinstance(cause, Exception)), None)
        if inner is None:
            return ' '.join((getattr(error, 'strerror', None) or str(error)).split())
        error = inner
    return _CLOSED

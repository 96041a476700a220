"""URL → verified file: goes on where it was cut, tries again, and says what to do when it cannot.

What has come so far is in ``<name>.part``; beside it ``<name>.part.json`` remembers whose bytes
they are. So a download that is cut, interrupted or killed goes on from there in the next run.
"""

import hashlib
import http.client
import itertools
import json
import os
import pathlib
import re
import sys
import time
import urllib.parse
import urllib.request

import requests
import urllib3
from tqdm import tqdm

from chainer_cifar.errors import UserError
from chainer_cifar.files import atomic_write

CHUNK = 1 << 16  # bytes; small, since a chunk that is cut off on its way is lost
TIMEOUT = 10, 30  # seconds: to connect, and between two reads
LONGEST_WAIT = 60  # seconds, between two attempts
PROGRESS = 1 << 20  # bytes; an attempt that brings this much starts the count of retries anew
GZIP = b'\x1f\x8b'  # how each gzip file begins, and no web page does


def fetch(url, path, *, md5, size, limit, retries=4, sleep=time.sleep):
    """Bring the gzip file at `url` (http, https, file) to `part_of(path)` and verify it.

    The caller moves it to `path`, or gives it up, and then calls `discard(path)`.

    Args:
        url: As `check_url` passes it.
        path: Where the file belongs; its folder exists.
        md5: 32 lower-case hexadecimal digits; None checks nothing.
        size: The file's bytes, when known.
        limit: More bytes than this are not taken.
        retries: How often to try again after an attempt that brought next to nothing.
        sleep: Called with the seconds to wait before another attempt.

    Returns:
        str: The file's md5.

    Raises:
        UserError: what came is not that file, or nothing came; it says what to do.
        OSError: the part file cannot be written.
    """
    transfer = _Transfer(url, path, size, limit, retries, sleep)
    try:
        transfer.run()
        actual = md5sum(transfer.part)
        if md5 not in (None, actual) and transfer.resumed:
            _notice(f'put together from several answers, it has md5 {actual}: starting over')
            discard(path)
            transfer.run()
            actual = md5sum(transfer.part)
    except KeyboardInterrupt:
        raise KeyboardInterrupt('interrupted; run this command again to go on') from None
    if md5 not in (None, actual):
        discard(path)
        raise UserError(
            f'{url}: what came has md5 {actual}, expected {md5}: another file, or changed on its '
            'way; try another --url, or give --md5 if this is the file you want'
        )
    return actual


def part_of(path):
    """The file in which the bytes for `path` are collected."""
    return path.with_name(f'{path.name}.part')


def discard(path):
    """Forget what was collected for `path`."""
    _state_of(path).unlink(missing_ok=True)
    part_of(path).unlink(missing_ok=True)


def md5sum(path):
    """The md5 of a file, as 32 hexadecimal digits."""
    digest = hashlib.md5(usedforsecurity=False)
    with open(path, 'rb') as file:
        while data := file.read(1 << 20):
            digest.update(data)
    return digest.hexdigest()


def check_url(url):
    """Raise UserError unless `url` is a whole http, https or file URL."""
    try:
        parts = urllib.parse.urlsplit(url)
        host = parts.hostname
    except ValueError as error:
        raise UserError(f"--url: '{url}' is no URL: {error}") from None
    if parts.scheme in ('http', 'https') and host:
        return
    if parts.scheme == 'file' and host in (None, 'localhost') and parts.path.startswith('/'):
        return
    hint = '' if parts.scheme else f'; for a file give {pathlib.Path(url).absolute().as_uri()}'
    raise UserError(f"--url: '{url}' is not a whole http, https or file URL{hint}")


class _Transient(Exception):
    """An attempt failed in a way that another one may not."""

    def __init__(self, reason, wait=0):
        super().__init__(reason)
        self.wait = wait  # seconds that the server asks for


class _Restart(Exception):
    """What was collected is of no use: the next request asks for the whole file."""


class _Transfer:
    """One URL on its way to one part file."""

    def __init__(self, url, path, size, limit, retries, sleep):
        self.url = url
        self.path = path
        self.part = part_of(path)
        self.size = size
        self.limit = limit
        self.retries = retries
        self.sleep = sleep
        self.received = 0  # bytes of this run
        self.resumed = False  # whether the part file holds bytes of several answers

    def run(self):
        """Return when the part file is whole."""
        print(f'Fetching {self.url}', flush=True)
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

    def copy(self):
        source = urllib.request.url2pathname(urllib.parse.urlsplit(self.url).path)
        try:
            file = open(source, 'rb')  # noqa: SIM115 - only this line's errors are the source's
        except OSError as error:
            raise UserError(f'--url: {source}: {error.strerror}') from None
        try:
            with file:
                chunks = self.look(iter(lambda: file.read(CHUNK), b''))
                total = os.fstat(file.fileno()).st_size
                self.check_total(total)
                discard(self.path)
                self.receive(chunks, 0, total)
        except _Transient as error:  # it is empty, or was cut meanwhile
            raise self.give_up(error) from None

    def download(self):
        """Attempt until the part file is whole."""
        failures, furthest = 0, self.collected()
        while True:
            try:
                return self.attempt()
            except _Restart as reason:
                _notice(f'{reason}: starting over')
                discard(self.path)
            except _Transient as error:
                if self.collected() >= furthest + PROGRESS:
                    failures, furthest = 0, self.collected()
                failures += 1
                if failures > self.retries:
                    times = 'once' if failures == 1 else f'{failures} times'
                    raise self.give_up(f'{error}; tried {times}') from None
                wait = min(max(2 ** (failures - 1), error.wait), LONGEST_WAIT)
                _notice(f'{error}; retry {failures} of {self.retries} in {wait} s')
                self.sleep(wait)

    def attempt(self):
        """One request: for what is missing when that is known, else for all."""
        state = self.load_state()
        offset = self.collected() if state else 0
        self.resumed = offset > 0
        if offset and offset == state['size']:
            print(f'All of its {offset:,} bytes are in {self.part} already', flush=True)
            return
        headers = {'Accept-Encoding': 'identity'}
        if offset:
            headers['Range'] = f'bytes={offset}-'
            if validator := _strong_validator(state):
                headers['If-Range'] = validator
        with self.get(headers) as response:
            if offset and response.status_code == 416:
                if response.headers.get('Content-Range') != f'bytes */{offset}':
                    raise _Restart('the file on the server has changed')
            elif offset and response.status_code == 206:
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

    def get(self, headers):
        try:
            return requests.get(self.url, headers=headers, stream=True, timeout=TIMEOUT)
        except (requests.ConnectionError, requests.Timeout) as error:
            reason = _innermost(error)
            if isinstance(error, requests.exceptions.ProxyError):
                reason = f'proxy: {reason}'
            if 'CERTIFICATE' in reason:
                raise self.give_up(reason) from None
            raise _Transient(reason) from None
        except requests.RequestException as error:
            raise self.give_up(_innermost(error)) from None

    def check_status(self, response):
        code = response.status_code
        if code == 200:
            return
        reason = f'the server answers {code} {http.client.responses.get(code, "")}'.rstrip()
        if code in (408, 429) or code >= 500:
            raise _Transient(reason, wait=_number(response, 'Retry-After') or 0)
        raise self.give_up(reason)

    def look(self, chunks):
        """The same chunks, when they begin as a gzip file does."""
        first = b''
        while len(first) < len(GZIP) and (more := next(chunks, b'')):
            first += more
        if not first:
            raise _Transient('the answer was empty')
        if first.lstrip()[:1] == b'<':
            raise self.give_up(
                'what comes is a web page, not an archive: the log-in page of this network, '
                'or the file has moved'
            )
        if not first.startswith(GZIP):
            raise self.give_up(f'what comes is no gzip file, it begins with {first[:16]!r}')
        return itertools.chain([first], chunks)

    def check_total(self, total):
        """Refuse what is certainly another file before fetching it."""
        if total is not None and self.size not in (None, total):
            raise UserError(
                f'{self.url}: has {total:,} bytes, the official archive {self.size:,}; '
                'for an archive of your own give its --md5 (or --md5 skip)'
            )
        if total is not None and total > self.limit:
            raise UserError(f'{self.url}: has {total:,} bytes, too many for this archive')

    def receive(self, chunks, offset, total):
        """Append `chunks` to the part file; with `total` bytes it is whole, when that is known."""
        look = {'desc': self.path.name, 'unit': 'B', 'unit_scale': True, 'disable': None}
        size = offset
        whole = f' of {total:,}' if total else ''
        with open(self.part, 'ab') as file, tqdm(initial=offset, total=total, **look) as bar:
            try:
                for data in chunks:
                    size += len(data)
                    if size > (total or self.limit):
                        raise UserError(f'{self.url}: sends more bytes than it announced or may')
                    file.write(data)
                    self.received += len(data)
                    bar.update(len(data))
            except _Transient as reason:
                raise _Transient(f'cut off after {size:,}{whole} bytes: {reason}') from None
        if total is not None and size < total:
            raise _Transient(f'cut off after {size:,}{whole} bytes: {_CLOSED}')

    def collected(self):
        """Bytes in the part file."""
        return self.part.stat().st_size if self.part.exists() else 0

    def load_state(self):
        """Whose bytes are in the part file; None when that is not known or not this URL."""
        try:
            state = json.loads(_state_of(self.path).read_text(encoding='utf-8'))
        except (OSError, ValueError):
            return None
        if not isinstance(state, dict) or state.keys() != {'url', 'size', *_VALIDATORS}:
            return None
        texts = all(isinstance(state[name], str | None) for name in _VALIDATORS)
        known = texts and isinstance(state['size'], int | None) and state['url'] == self.url
        return state if known else None

    def save_state(self, headers, size):
        state = {'url': self.url, 'size': size, **{name: headers.get(name) for name in _VALIDATORS}}
        with atomic_write(_state_of(self.path), 'w') as file:
            json.dump(state, file, indent=1)

    def give_up(self, reason):
        go_on = 'run this command again to go on with what came, or ' if self.collected() else ''
        return UserError(
            f'cannot fetch {self.url} ({reason}); {go_on}fetch it by hand, save it as '
            f'{os.path.abspath(self.path)}, and run this command again'
        )


_VALIDATORS = 'ETag', 'Last-Modified'
_CLOSED = 'the connection was closed'


def _state_of(path):
    return path.with_name(f'{path.name}.part.json')


def _strong_validator(state):
    # If-Range takes no weak ETag (RFC 9110, 13.1.5).
    etag = state['ETag']
    return etag if etag and not etag.startswith('W/') else state['Last-Modified']


def _check_continues(response, offset, state):
    content_range = response.headers.get('Content-Range', '')
    if not re.fullmatch(rf'bytes {offset}-\d+/{state["size"]}', content_range):
        raise _Restart('the server does not go on where its last answer ended')
    # Servers may leave Last-Modified out of a partial answer (RFC 9110, 15.3.7).
    if any(response.headers.get(name) not in (None, state[name]) for name in _VALIDATORS):
        raise _Restart('the file on the server has changed')


def _number(response, name):
    text = response.headers.get(name, '')
    return int(text) if re.fullmatch('[0-9]{1,15}', text) else None


def _stream(response):
    """The bytes as they are on the server, whatever it says in Content-Encoding of a .gz file."""
    try:
        yield from response.raw.stream(CHUNK, decode_content=False)
    except (urllib3.exceptions.HTTPError, OSError) as error:
        raise _Transient(_innermost(error)) from None


def _innermost(error):
    """The first cause, 'Connection refused', out of what requests and urllib3 wrap around it."""
    while not isinstance(error, http.client.IncompleteRead):
        wrapped = (getattr(error, name, None) for name in ('reason', 'original_error'))
        inner = (*wrapped, error.__cause__, error.__context__)
        inner = next((item for item in inner if isinstance(item, Exception)), None)
        if inner is None:
            return ' '.join((getattr(error, 'strerror', None) or str(error)).split())
        error = inner
    return _CLOSED


def _notice(text):
    print(text, file=sys.stderr, flush=True)

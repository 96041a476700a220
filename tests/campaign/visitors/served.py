"""A server in a fork, and what comes back from it."""

import contextlib
import http.client
import io
import json
import os
import pathlib
import re
import select
import socket
import time
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from campaign import commands, sandbox
from campaign.part import Broke, require

_SIMILAR = 3  # pictures, for which the training pictures are looked through meanwhile
_ADDRESS = re.compile(r'http://127\.0\.0\.1:(\d+)/')
_SETTLED = 20.0  # seconds until it has closed what visitors have left
# Of Starlette, uvicorn and ours; 500 is in none of them.
STATUSES = (200, 400, 403, 404, 405, 408, 413, 415, 503)


class Answer(NamedTuple):
    """What the server said to one request."""

    status: int
    kind: str
    body: bytes

    def require_told(self, statuses: Sequence[int] = STATUSES) -> None:
        """Raise Broke unless it is one of `statuses`, and an error is one line of JSON."""
        told = self.body[:200]
        require(self.status in statuses, f'answered with status {self.status}: {told!r}')
        # What is no HTTP never comes to ours.
        if self.kind.startswith('text/plain') and self.status in (400, 503):
            return
        if self.kind == 'application/json':
            content = json.loads(self.body)
            if self.status != 200 and 'error' in content:
                line = content['error']
                told = line.strip() and not sandbox.controls(line)
                require(told, f'an error of no or of odd letters: {line!r}')
            return
        page = self.status == 200 and self.kind.startswith('text/html')
        require(page or not self.body, f'status {self.status}, but no JSON: {told!r}')


class Served:
    """A running server.

    Args:
        started: Its process.
        port: Where it listens.

    Attributes:
        staying: Connections of visitors who stay until all have come.
    """

    def __init__(self, started: commands.Started, port: int) -> None:
        self.started = started
        self.port = port
        self.staying: list[socket.socket] = []

    def open(self) -> socket.socket:
        """Connect to it."""
        return socket.create_connection(('127.0.0.1', self.port), timeout=commands.SECONDS)

    def ask(self, request: bytes) -> Answer:
        """Send a whole request, and wait for its answer.

        Raises:
            OSError, http.client.HTTPException: It does not answer.
        """
        with self.open() as connection:
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                connection.sendall(request)  # what is too large is answered before it is there
            response = http.client.HTTPResponse(connection)
            response.begin()
            return _read(response)

    def provoke(self, parts: Sequence[bytes], patience: float) -> list[Answer]:
        """Send what may be no request, part by part; return the answers that come by then."""
        received = b''
        with contextlib.suppress(ConnectionError), self.open() as connection:
            with contextlib.suppress(ConnectionError):
                for part in parts:
                    connection.sendall(part)
            while select.select([connection], [], [], patience)[0]:
                more = connection.recv(1 << 16)
                if not more:
                    break
                received += more
        return list(_answers(received, parts[0].partition(b' ')[0] if parts else b''))

    def descriptors(self) -> int:
        """How many files and connections it has open."""
        return len(os.listdir(f'/proc/{self.started.pid}/fd'))

    def require_settled(self, before: int) -> None:
        """Let the visitors leave; raise Broke if it keeps more open than before they came."""
        for connection in self.staying:
            connection.close()
        end = time.monotonic() + commands.patience(_SETTLED)
        while (now := self.descriptors()) > before:
            require(time.monotonic() < end, f'{now} open files, {before} before the visitors came')
            time.sleep(0.02)


@contextlib.contextmanager
def serving(folder: pathlib.Path) -> Iterator[Served]:
    """Serve the run in a folder, on a port of its own."""
    flags = ('--port', 0, '--similar', _SIMILAR)
    with commands.start_forked('serve', 'run', *flags, cwd=folder) as started:
        while not (found := _ADDRESS.search(started.out())):
            if started.wait(0.01) is not None:
                raise Broke(f'serve has ended: {started.finish().err.strip()}')
            require(not started.is_late(), 'serve does not begin to listen')
        yield Served(started, int(found[1]))


class _Received(io.BytesIO):
    """What a connection has received, as http.client reads it, which closes it after an answer."""

    def makefile(self, mode: str) -> '_Received':
        return self

    def close(self) -> None:
        pass


def _answers(received: bytes, method: bytes) -> Iterator[Answer]:
    """Split what came into answers; a last one that has not come to its end is left out."""
    file = _Received(received)
    while file.tell() < len(received):
        begin = received[file.tell() : file.tell() + 9]
        require(re.fullmatch(rb'HTTP/1\.1 ?', begin), f'an answer that begins with {begin!r}')
        response = http.client.HTTPResponse(file, method=method.decode('latin-1'))
        try:
            response.begin()
            yield _read(response)
        except (http.client.HTTPException, ConnectionError):
            return


def _read(response: http.client.HTTPResponse) -> Answer:
    kind = response.headers.get('content-type', '')
    return Answer(response.status, kind, response.read())

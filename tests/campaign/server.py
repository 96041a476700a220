"""A server on this machine that misbehaves as it is told to, and then serves the archive."""

import contextlib
import http.server
import re
import threading
from collections.abc import Iterator, Sequence

from cifar_archive import CONTENT

STALL = 30  # seconds; a client of the campaign gives up before

STALLS = ('stalls', 'stalls at once')
WAYS = (
    *('honest', *STALLS, 'drops', 'drops at once', 'html', 'error', 'empty', 'circle', 'garbage'),
    *('short', 'long', 'wrong range', 'wrong total', 'always 206', 'never 206', 'changes', '416'),
)


class _Handler(http.server.BaseHTTPRequestHandler):
    server: 'Server'
    protocol_version = 'HTTP/1.1'

    def do_GET(self) -> None:
        self.close_connection = True
        circling = self.path.startswith('/circle/')
        way = 'circle' if circling else self.server.next_way()
        asked = re.fullmatch(r'bytes=(\d+)-', self.headers.get('Range', ''))
        start = min(int(asked[1]), len(CONTENT)) if asked else 0
        with contextlib.suppress(OSError):
            self._answer(way, start, bool(asked))

    def _answer(self, way: str, start: int, asked: bool) -> None:
        if way == 'stalls at once':
            self.server.closing.wait(STALL)
        if way in ('drops at once', 'stalls at once'):
            return None
        if way == 'error':
            return self._send(503, b'no', {'Retry-After': '0'})
        if way == 'circle':
            return self._send(302, b'', {'Location': '/circle/' + self.path.rsplit('/')[-1]})
        if way == 'html':
            return self._send(200, b'<html>log in</html>', {'Content-Type': 'text/html'})
        if way == '416':
            return self._send(416, b'', {'Content-Range': 'bytes */7'})
        content = {
            'empty': b'',
            'garbage': b'\x1f\x8b' + bytes(reversed(CONTENT[2:])),
        }.get(way, CONTENT)
        partial = (asked and way != 'never 206') or way == 'always 206'
        start = start if partial else 0
        body, total = content[start:], len(content)
        headers = {'ETag': '"2"' if way == 'changes' else '"1"'}
        if partial:
            first = start + 1000 if way == 'wrong range' else start
            total = total + 5 if way == 'wrong total' else total
            headers['Content-Range'] = f'bytes {first}-{total - 1}/{total}'
        said = len(body) + {'short': 10_000, 'long': -len(body) // 3}.get(way, 0)
        if way in ('stalls', 'drops'):
            body = body[: len(body) // 2]
        self._send(206 if partial else 200, body, headers, said)
        if way == 'stalls':
            self.wfile.flush()
            self.server.closing.wait(STALL)

    def _send(
        self, status: int, body: bytes, headers: dict[str, str], said: int | None = None
    ) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header('Content-Length', str(len(body) if said is None else said))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments: object) -> None:
        pass


class Server(http.server.ThreadingHTTPServer):
    """Answers in each of `ways`, one after the other, and from then on honestly."""

    daemon_threads = True

    def __init__(self, ways: Sequence[str]) -> None:
        super().__init__(('127.0.0.1', 0), _Handler)
        self.url = f'http://127.0.0.1:{self.server_port}/cifar-10-python.tar.gz'
        self.closing = threading.Event()
        self._ways = list(ways)
        self._lock = threading.Lock()

    def next_way(self) -> str:
        """The way to answer now."""
        with self._lock:
            return self._ways.pop(0) if self._ways else 'honest'

    def handle_error(self, *arguments: object) -> None:
        pass  # the client went away


@contextlib.contextmanager
def serving(ways: Sequence[str]) -> Iterator[Server]:
    """Run such a server during the block."""
    server = Server(ways)
    thread = threading.Thread(target=server.serve_forever, kwargs={'poll_interval': 0.01})
    thread.start()
    try:
        yield server
    finally:
        server.closing.set()
        server.shutdown()
        thread.join()
        server.server_close()

"""A server of ours in this process, and requests to it over a real connection."""

import contextlib
import http.client
import json
import threading
from typing import NamedTuple

from chainer_cifar.serving import server

BOUNDARY = 'boundary'


class Answer(NamedTuple):
    """What the server said."""

    status: int
    headers: http.client.HTTPMessage
    body: bytes

    @property
    def json(self):
        return json.loads(self.body)


class Client:
    """Asks the server on a port of this machine."""

    def __init__(self, port):
        self.port = port

    def ask(self, path, body=None, method=None, **headers):
        """Ask for a path, with POST if there is a body; ``content_type`` means Content-Type."""
        connection = http.client.HTTPConnection('127.0.0.1', self.port, timeout=60)
        with contextlib.closing(connection):
            named = {name.replace('_', '-'): value for name, value in headers.items()}
            chosen = method or ('GET' if body is None else 'POST')
            connection.request(chosen, path, body, named, encode_chunked=True)
            response = connection.getresponse()
            return Answer(response.status, response.headers, response.read())

    def send_files(self, path, *files):
        """Send files, pairs of a name and bytes, as a form."""
        return self.ask(path, form(*files), content_type=form_type())


def form(*files):
    parts = []
    for name, content in files:
        told = f'Content-Disposition: form-data; name="f"; filename="{name}"'
        parts.append(f'--{BOUNDARY}\r\n{told}\r\n\r\n'.encode() + content)
    return b'\r\n'.join([*parts, f'--{BOUNDARY}--\r\n'.encode()])


def form_type():
    return f'multipart/form-data; boundary={BOUNDARY}'


@contextlib.contextmanager
def serving(app):
    """Serve an application on a free port of this machine; a `Client` of it."""
    with server.listen('127.0.0.1', 0) as listening:
        port = listening.getsockname()[1]
        running = server.configured(app)
        thread = threading.Thread(target=running.run, kwargs={'sockets': [listening]})
        thread.start()
        try:
            yield Client(port)
        finally:
            running.should_exit = True
            thread.join(30)
            assert not thread.is_alive()

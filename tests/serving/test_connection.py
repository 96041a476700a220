"""Connections that ask nothing, that do not take their answers, or that send what is no HTTP."""

import asyncio
import contextlib
import itertools
import socket
import threading
import time

import pytest

pytest.importorskip('uvicorn', reason="needs the extra serve: pip install '.[serve]'")

from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import Route

from chainer_cifar.serving import connection, server
from served import serving

HEAD = b'GET / HTTP/1.1\r\nHost: localhost\r\n'
MOMENT = 0.2  # seconds


async def answer(request):
    """Answer after an hour, by the clock of the server; the body is not read."""
    loop = asyncio.get_running_loop()
    now = loop.time
    loop.time = lambda: now() + 3600
    for _ in range(5):
        await asyncio.sleep(0)  # what is due happens
    return Response()


@pytest.fixture
def connect():
    """Opens a connection to a server."""
    with serving(Starlette(routes=[Route('/', answer)])) as client, contextlib.ExitStack() as stack:

        def start():
            opened = socket.create_connection(('127.0.0.1', client.port), timeout=60)
            return stack.enter_context(opened)

        yield start


def is_closed(opened):
    """Wait for what the server says next; say whether it closes the connection."""
    try:
        return opened.recv(1000) == b''
    except ConnectionError:
        return True


@pytest.mark.parametrize('sent', [b'', b'GET', HEAD])
def test_without_a_whole_head_it_is_closed(connect, monkeypatch, sent):
    monkeypatch.setattr(connection, 'SECONDS', MOMENT)
    opened = connect()
    opened.sendall(sent)
    assert is_closed(opened)


def test_an_answer_may_take_its_time(connect):
    opened = connect()
    for _ in range(2):
        opened.sendall(HEAD + b'\r\n')
        assert opened.recv(1000).startswith(b'HTTP/1.1 200 ')


@pytest.mark.parametrize('before', [b'', HEAD + b'\r\n', HEAD + b'Content-Length: 999\r\n\r\n'])
def test_one_that_trickles_is_closed(connect, monkeypatch, before):
    """It sends a head; one after an answer; what its request announced, after the answer."""
    if before:
        opened = connect()
        opened.sendall(before)
        assert opened.recv(1000).startswith(b'HTTP/1.1 200 ')
    monkeypatch.setattr(connection, 'SECONDS', MOMENT)
    if not before:
        opened = connect()
    ended = threading.Event()

    def trickle():
        with contextlib.suppress(OSError):
            for letter in itertools.chain(HEAD, itertools.repeat(ord('x'))):
                opened.sendall(bytes([letter]))
                if ended.wait(MOMENT / 4):
                    return

    thread = threading.Thread(target=trickle)
    thread.start()
    try:
        assert is_closed(opened)
    finally:
        ended.set()
        thread.join(60)


LARGE = 2**19


async def answer_much(request):
    return Response(bytes(LARGE))


@pytest.fixture
def reader(monkeypatch):
    """Opens a connection of which little is kept on the way, and tells how many are open."""
    running = []
    listen, configured = server.listen, server.configured

    def listen_with_a_small_buffer(host, port):
        opened = listen(host, port)
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        return opened

    def remember(app):
        running.append(configured(app))
        return running[-1]

    monkeypatch.setattr(server, 'listen', listen_with_a_small_buffer)
    monkeypatch.setattr(server, 'configured', remember)
    app = Starlette(routes=[Route('/', answer_much)])
    with serving(app) as client, socket.socket() as opened:
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        opened.settimeout(60)
        opened.connect(('127.0.0.1', client.port))
        yield opened, lambda: len(running[0].server_state.connections)


def until(seen):
    deadline = time.monotonic() + 60
    while not seen():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.parametrize('asked', [1, 3])
def test_who_does_not_take_an_answer_is_left(reader, monkeypatch, asked):
    monkeypatch.setattr(connection, 'PATIENCE', MOMENT)
    opened, count = reader
    opened.sendall(asked * (HEAD + b'\r\n'))
    until(lambda: count() == 1)
    until(lambda: count() == 0)


def test_who_takes_it_slowly_gets_it_all(reader, monkeypatch):
    monkeypatch.setattr(connection, 'PATIENCE', MOMENT)
    opened, count = reader
    opened.sendall(HEAD + b'\r\n')
    size, start = 0, time.monotonic()
    while size < LARGE:
        got = len(opened.recv(2048))
        assert got
        size += got
        time.sleep(0.002)
    assert time.monotonic() - start > 2 * MOMENT and count() == 1


def test_what_is_no_http_after_an_early_answer(connect, caplog):
    opened = connect()
    opened.sendall(b'POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n')
    assert opened.recv(1000).startswith(b'HTTP/1.1 405 ')
    opened.sendall(b'zz\r\n')
    while not is_closed(opened):  # the rest of the answer
        pass
    assert 'Fatal' not in caplog.text

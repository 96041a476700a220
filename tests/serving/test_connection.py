"""Connections that ask nothing."""

import asyncio
import contextlib
import itertools
import socket
import threading

import pytest

pytest.importorskip('uvicorn', reason="needs the extra serve: pip install '.[serve]'")

from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import Route

from chainer_cifar.serving import connection
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
    opened = connect()
    if before:
        opened.sendall(before)
        assert opened.recv(1000).startswith(b'HTTP/1.1 200 ')
    monkeypatch.setattr(connection, 'SECONDS', MOMENT)
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

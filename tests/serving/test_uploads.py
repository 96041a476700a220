"""What the server takes, and what it refuses before it has read it."""

import socket
import tempfile
import time

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

pytest.importorskip('starlette', reason="needs the extra serve: pip install '.[serve]'")

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse
from starlette.routing import Route

from chainer_cifar.serving import uploads
from served import BOUNDARY, form, form_type, serving

LIMIT = 100_000
left = []  # clients


async def tell(request):
    try:
        contents = await uploads.read(request)
    except ClientDisconnect:
        left.append(request)
        raise HTTPException(499) from None
    return JSONResponse([[str(each), len(each.getvalue())] for each in contents])


async def tell_refusal(request, error):
    return JSONResponse(error.detail, error.status_code)


@pytest.fixture(scope='module')
def client():
    routes = [Route('/', tell, methods=['POST'])]
    with serving(Starlette(routes=routes, exception_handlers={HTTPException: tell_refusal})) as one:
        yield one


@pytest.fixture(autouse=True)
def _small(monkeypatch):
    monkeypatch.setattr(uploads, 'MOST_BYTES', LIMIT)


@pytest.mark.parametrize(
    'kind', ['image/png', 'application/octet-stream', 'application/x-www-form-urlencoded', '']
)
def test_the_body_is_a_picture(client, kind):
    found = client.ask('/', b'x' * LIMIT, content_type=kind)
    assert found.status == 200 and found.json == [['picture', LIMIT]]


def test_files_of_a_form(client):
    found = client.send_files('/', ('a.png', b'12'), ('b\tä.png', b'345'), ('', b'6'))
    assert found.status == 200
    assert found.json == [['a.png', 2], ['b\\tä.png', 3], ['picture', 1]]
    assert client.send_files('/', ('x' * 500, b'1')).json == [['x' * 200, 1]]


@pytest.mark.parametrize('kind', ['application/json', 'text/html', 'multipart/mixed', 'odd'])
def test_other_types(client, kind):
    found = client.ask('/', b'{}', content_type=kind)
    assert found.status == 415
    assert found.json == f'{kind}: send the bytes of a picture, or files as multipart/form-data'


@pytest.mark.parametrize(
    ('body', 'reason'),
    [
        (b'', 'no file in the form'),
        (b'no form', 'the form cannot be read'),
        (form()[:-4], 'no file in the form'),
        (form(('a.png', b'123'))[:-20], 'no file in the form'),  # cut
        (form(('a.png', b'')), 'a.png: is empty'),
        (form(('a.png', b'1'), ('b.png', b'')), 'b.png: is empty'),
        (form(('a.png', b'1')).replace(b'; filename="a.png"', b''), 'no file in the form'),
        (form(('a.png', b'1')).replace(b'name="f"', b''), 'the form cannot be read'),
        (form(*[('a.png', b'1')] * 21), 'the form cannot be read: Too many files'),
        (f'--{BOUNDARY}\r\n: \r\n\r\n'.encode(), 'the form cannot be read'),
    ],
)
def test_damaged_forms(client, body, reason):
    found = client.ask('/', body, content_type=form_type())
    assert found.status == 400 and found.json.startswith(reason), found


PARTS = [
    *(b'--boundary', b'--boundary--', b'--', b'\r\n', b'\n', b'\r', b';', b':', b'"'),
    *(b'Content-Disposition: form-data', b'; name="f"', b'; filename="', b"; filename*=utf-8''a"),
    b'Content-Transfer-Encoding: base64',
]


@given(
    st.lists(st.one_of(st.sampled_from(PARTS), st.binary(max_size=9)), max_size=12).map(b''.join)
)
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_form_makes_it_fail(client, body):
    found = client.ask('/', body, content_type=form_type())
    assert found.status in (200, 400)


def test_a_form_without_boundary(client):
    found = client.ask('/', form(('a.png', b'1')), content_type='multipart/form-data')
    assert found.status == 400 and 'boundary' in found.json


def test_nothing(client):
    found = client.ask('/', b'')
    assert found.status == 400 and found.json == 'picture: is empty; send the bytes of a picture'


def test_what_says_that_it_is_too_large_is_not_read(client):
    head = f'POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: {LIMIT + 1}\r\n\r\n'
    with socket.create_connection(('127.0.0.1', client.port), timeout=60) as connection:
        connection.sendall(head.encode())
        assert connection.recv(1000).startswith(b'HTTP/1.1 413 ')


@pytest.mark.parametrize('headers', [{}, {'content_type': form_type()}])
def test_what_is_larger_than_it_says_is_read_up_to_the_limit(client, headers):
    beginning = form(('a.png', b''))[: -len(f'\r\n--{BOUNDARY}--\r\n')] if headers else b''
    kind = ''.join(f'Content-Type: {value}\r\n' for value in headers.values())
    head = f'POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n{kind}\r\n'
    with socket.create_connection(('127.0.0.1', client.port), timeout=60) as connection:
        connection.sendall(head.encode())
        for part in (beginning, b'x' * LIMIT, b'x'):  # and it never ends
            if part:
                connection.sendall(b'%x\r\n%s\r\n' % (len(part), part))
        assert connection.recv(1000).startswith(b'HTTP/1.1 413 ')


def test_the_whole_of_a_form_is_limited(client):
    assert client.send_files('/', *[('a.png', b'x' * (LIMIT // 4))] * 3).status == 200
    found = client.send_files('/', *[('a.png', b'x' * (LIMIT // 4))] * 4)
    assert found.status == 413 and found.json.startswith('more than ')


def test_what_comes_too_slowly(client, monkeypatch):
    monkeypatch.setattr(uploads, 'SECONDS', 0.2)
    head = b'POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\n12345'
    with socket.create_connection(('127.0.0.1', client.port), timeout=60) as connection:
        connection.sendall(head)
        assert connection.recv(1000).startswith(b'HTTP/1.1 408 ')


@pytest.mark.parametrize('kind', ['image/png', form_type()])
def test_who_leaves_does_no_harm(client, kind):
    left.clear()
    head = f'POST / HTTP/1.1\r\nHost: localhost\r\nContent-Type: {kind}\r\n'
    with socket.create_connection(('127.0.0.1', client.port), timeout=60) as connection:
        connection.sendall(f'{head}Content-Length: 50\r\n\r\n--{BOUNDARY}'.encode())
    deadline = time.monotonic() + 30
    while not left:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert client.ask('/', b'x').status == 200


def test_a_form_that_no_folder_can_keep(client, monkeypatch, caplog):
    monkeypatch.setattr(tempfile, 'tempdir', '/nowhere')
    monkeypatch.setattr(uploads, 'MOST_BYTES', 3 * 2**20)
    found = client.send_files('/', ('a.png', bytes(2 * 2**20)))
    assert found.status == 500 and 'the form cannot be kept (' in found.json
    assert caplog.text == ''

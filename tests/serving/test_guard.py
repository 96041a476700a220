"""Who may ask the server."""

import pytest

pytest.importorskip('starlette', reason="needs the extra serve: pip install '.[serve]'")

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.responses import JSONResponse
from starlette.routing import Route

from chainer_cifar.serving.guard import HEADERS, Guard, is_loopback
from served import serving


async def answer(request):
    return JSONResponse('fine', headers={'cache-control': 'max-age=5'})


def guarded(names):
    route = Route('/', answer, methods=['GET', 'POST'])
    return serving(Starlette(routes=[route], middleware=[Middleware(Guard, names=names)]))


@pytest.fixture(scope='module')
def client():
    with guarded([]) as client:
        yield client


@pytest.mark.parametrize(
    ('name', 'is_ours'),
    [
        *(('localhost', True), ('LocalHost', True), ('127.0.0.1', True), ('127.9.0.1', True)),
        *(('::1', True), ('0.0.0.0', False), ('::', False), ('192.168.0.1', False), ('', False)),
        *(
            ('localhost.example.org', False),
            ('127.0.0.1.example.org', False),
            ('2130706433', False),
        ),
    ],
)
def test_loopback(name, is_ours):
    assert is_loopback(name) == is_ours


@pytest.mark.parametrize(
    ('host', 'status'),
    [
        *(('127.0.0.1', 200), ('127.0.0.1:99', 200), ('localhost:99', 200), ('[::1]:99', 200)),
        *(('example.org', 403), ('127.0.0.1.example.org:80', 403), ('[::1', 403), ('::1', 403)),
        *(('localhost@example.org', 403), ('192.168.0.1', 403), ('', 403)),
    ],
)
def test_the_host_is_checked(client, host, status):
    found = client.ask('/', host=host)
    assert found.status == status
    if status == 403:
        text = 'this server answers requests for 127.0.0.1 and localhost only'
        assert found.json == {'error': text}


def test_any_host_where_others_reach_it():
    with guarded(None) as client:
        assert client.ask('/', host='example.org').status == 200
        assert client.ask('/', b'', origin='http://example.net', host='example.org').status == 403


@pytest.mark.parametrize(
    ('host', 'headers', 'status'),
    [
        # As nginx sends it on, from a page by https, and by http, where browsers say less.
        ('pictures.org', {'sec_fetch_site': 'same-origin', 'origin': 'https://pictures.org'}, 200),
        ('pictures.org', {'origin': 'http://pictures.org'}, 200),
        ('Pictures.org:8080', {'origin': 'http://Pictures.org:8080'}, 200),
        ('127.0.0.1:99', {}, 200),
        ('pictures.org', {'origin': 'http://example.org'}, 403),
        ('pictures.org', {'sec_fetch_site': 'cross-site'}, 403),
        ('example.org', {'origin': 'http://example.org'}, 403),
        ('a.pictures.org', {}, 403),
        ('', {}, 403),
    ],
)
def test_a_name_of_its_own(host, headers, status):
    with guarded(['pictures.org']) as client:
        assert client.ask('/', b'', host=host, **headers).status == status


@pytest.mark.parametrize(
    ('headers', 'status'),
    [
        ({'origin': 'http://localhost:99'}, 200),
        ({'origin': 'http://localhost:98'}, 403),
        ({'origin': 'http://example.org'}, 403),
        ({'origin': 'null'}, 403),
        ({'origin': ''}, 403),
        ({'sec_fetch_site': 'same-origin'}, 200),
        ({'sec_fetch_site': 'none'}, 200),
        ({'sec_fetch_site': 'cross-site'}, 403),
        ({'sec_fetch_site': 'same-site', 'sec_fetch_mode': 'no-cors'}, 403),
        # A link, and a form of another page.
        ({'sec_fetch_site': 'cross-site', 'sec_fetch_mode': 'navigate'}, 200),
        (
            {
                'sec_fetch_site': 'cross-site',
                'sec_fetch_mode': 'navigate',
                'origin': 'http://example.org',
            },
            403,
        ),
    ],
)
def test_other_pages_may_not_ask(client, headers, status):
    assert client.ask('/', b'', host='localhost:99', **headers).status == status


def test_every_answer_has_the_headers(client):
    for found in (client.ask('/'), client.ask('/none'), client.ask('/', host='example.org')):
        assert {name: found.headers[name] for name in HEADERS} == {
            **HEADERS,
            'cache-control': 'max-age=5' if found.status == 200 else 'no-store',
        }
        assert 'server' not in found.headers
        assert not [name for name in found.headers if name.lower().startswith('access-control')]

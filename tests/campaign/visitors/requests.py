"""Requests to the server as raw bytes: good ones, and such as are odd in some way."""

import random
from collections.abc import Iterable

from campaign.inputs import odd, raw_bytes

_Headers = list[tuple[str, str]]
_BOUNDARY = 'boundary'
_HOST = ('Host', '127.0.0.1')

_METHODS = (
    'GET',
    'POST',
    'HEAD',
    'PUT',
    'DELETE',
    'OPTIONS',
    'CONNECT',
    'TRACE',
    'get',
    '',
    '\xff',
)
_PATHS = (
    *('/', '/about', '/health', '/predict', '/explain', '/predict/', '//', '/../../etc/passwd'),
    *('*', '/%00', '/%', '/predict%2f', '/\xff', 'http://example.org/', 'example.org:443', '', ' '),
    *('/about?' + '&' * 5000, '/predict#top', '/' + 'a' * 9000, '/' + 'a' * 70_000),
)
_QUERIES = ('/predict?top=', '/explain?class=', '/explain?number=', '/explain?number=0&class=')
_VERSIONS = ('HTTP/1.0', 'HTTP/0.9', 'HTTP/2.0', 'HTTP/9.9', 'http/1.1', '', 'ICY')
_NAMES = (
    *('Content-Length', 'Transfer-Encoding', 'Content-Type', 'Host', 'Expect', 'Connection'),
    *('Origin', 'Sec-Fetch-Site', 'Sec-Fetch-Mode', 'Range', 'If-None-Match', 'Content-Encoding'),
    *('Upgrade', 'Cookie', 'Authorization', 'X-Forwarded-For', 'TE', 'Trailer', '', 'a b', '\xff'),
)
_VALUES = (
    *('', '0', '-1', '+5', '5,5', '0x10', '5 5', '1' * 400, '999999999999', 'chunked', 'gzip'),
    *('chunked, chunked', 'identity', '100-continue', 'close', 'keep-alive', 'upgrade', 'h2c'),
    *('multipart/form-data', 'multipart/form-data; boundary=', 'image/png', 'text/html', '\xff'),
    *('null', 'http://127.0.0.1', 'cross-site', 'same-origin', 'navigate', 'example.org', '[::1'),
    *('127.0.0.1:x', 'localhost:99999999', '127.1', 'a@127.0.0.1', 'bytes=0-', 'a' * 70_000),
    *('a\r\n b', 'a\0b', 'a\nContent-Length: 3'),
)
_SIZES = (
    b'5',
    b'0',
    b'-1',
    b'+5',
    b'0x5',
    b'ffffffffffffffff',
    b'5;a=b',
    b'5 ',
    b'',
    b'g',
    b'00005',
)
_NO_HTTP = (
    b'\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03' + bytes(500),  # TLS
    b'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n' + bytes(9),
    *(b'\r\n' * 3000, b'\0' * 100_000, b'SSH-2.0-x\r\n', b'*1\r\n$4\r\nPING\r\n', b'\n', b' '),
)
MUCH = 40 << 20  # more than the server takes


def get(path: str) -> bytes:
    """A request for a page."""
    return _request('GET', path, [_HOST])


def post(path: str, kind: str, body: bytes) -> bytes:
    """A request with a body, and all that it should have."""
    headers = [_HOST, ('Content-Type', kind), ('Content-Length', str(len(body)))]
    return _request('POST', path, headers) + body


def odd_form(rng: random.Random, picture: bytes) -> tuple[str, bytes]:
    """The type and the body of a form of odd parts, perhaps damaged."""
    parts = [
        (_head_of_a_part(rng), picture if rng.random() < 0.7 else b'')
        for _ in range(rng.choice([0, 1, 2, 20, 21, 300]))
    ]
    kind, body = _form(parts)
    if rng.random() < 0.4:
        body = raw_bytes.damage(rng, body)[1]
    if rng.random() < 0.2:
        boundary = rng.choice(['', '"', 'x' * 300, '--', '\xff', "a'b", _BOUNDARY[:-1]])
        kind = f'multipart/form-data; boundary={boundary}'
    return kind, body


def odd_request(rng: random.Random, picture: bytes) -> list[bytes]:
    """The bytes of what is odd in some way, in the parts in which they are sent."""
    whole = rng.choice(_WAYS)(rng, picture)
    if rng.random() < 0.3 and len(whole) > 2:
        place = rng.randrange(1, min(len(whole), 400))
        return [whole[:place], whole[place:]]
    return [whole]


def _request(method: str, path: str, headers: _Headers, version: str = 'HTTP/1.1') -> bytes:
    lines = [f'{method} {path} {version}', *(f'{name}: {value}' for name, value in headers)]
    return '\r\n'.join([*lines, '', '']).encode('latin-1', 'replace')


def _form(parts: Iterable[tuple[str, bytes]]) -> tuple[str, bytes]:
    """The type and the body of a form of parts: the head of each, and its bytes."""
    found = [
        f'--{_BOUNDARY}\r\n{head}\r\n\r\n'.encode('utf-8', 'surrogatepass') + content
        for head, content in parts
    ]
    body = b'\r\n'.join([*found, f'--{_BOUNDARY}--\r\n'.encode()])
    return f'multipart/form-data; boundary={_BOUNDARY}', body


def _head_of_a_part(rng: random.Random) -> str:
    name = rng.choice(['p.png', '../../x', 'a"b', 'a' * 3000, odd.text(rng)])
    file = f'Content-Disposition: form-data; name="f"; filename="{name}"'
    return rng.choice(
        [
            *[file] * 4,
            f'{file}\r\nContent-Type: text/html',
            f'{file}\r\n' + 'X: y\r\n' * 200 + 'X: y',
            f"Content-Disposition: form-data; name=f; filename*=UTF-8''{name}",
            'Content-Disposition: form-data; name="f"',
            'Content-Disposition: attachment',
            'Content-Disposition:',
            f'X: {name}',
        ]
    )


def _damaged(rng: random.Random, picture: bytes) -> bytes:
    kind, form = _form([('Content-Disposition: form-data; name="f"; filename="p"', picture)])
    whole = rng.choice(
        [
            *(get('/'), get('/about'), get('/health')),
            *(post('/predict', 'image/png', picture), post('/explain?number=1', kind, form)),
        ]
    )
    return raw_bytes.damage(rng, whole)[1]


def _odd_line(rng: random.Random, picture: bytes) -> bytes:
    path = rng.choice(_PATHS)
    if rng.random() < 0.5:
        path = rng.choice(_QUERIES) + odd.text(rng)
    version = rng.choice(_VERSIONS) if rng.random() < 0.3 else 'HTTP/1.1'
    method = rng.choice(_METHODS)
    body = picture if method in ('POST', 'PUT') else b''
    length = [('Content-Length', str(len(body)))] if body else []
    return _request(method, path, [_HOST, *length], version) + body


def _odd_headers(rng: random.Random, picture: bytes) -> bytes:
    count = rng.choice([1, 1, 2, 3, 500])
    headers = [(rng.choice(_NAMES), rng.choice(_VALUES)) for _ in range(count)]
    if rng.random() < 0.8:
        headers.append(_HOST)
    if rng.random() < 0.6:
        headers.append(('Content-Length', str(len(picture))))
    rng.shuffle(headers)
    return _request(rng.choice(['GET', 'POST']), '/predict', headers) + picture


def _odd_chunks(rng: random.Random, picture: bytes) -> bytes:
    whole, body = f'{len(picture):x}'.encode(), b''
    for _ in range(rng.choice([1, 2, 5])):
        size = whole if rng.random() < 0.5 else rng.choice(_SIZES)
        body += size + rng.choice([b'\r\n', b'\r\n', b'\n']) + picture + b'\r\n'
    body += rng.choice([b'0\r\n\r\n', b'', b'0\r\nX: y\r\n\r\n', b'0\r\n' + b'X' * 70_000])
    return _request('POST', '/predict', [_HOST, ('Transfer-Encoding', 'chunked')]) + body


def _too_much(rng: random.Random, picture: bytes) -> bytes:
    if rng.random() < 0.5:
        headers = [_HOST, ('Content-Length', str(MUCH * rng.choice([1, 10**6])))]
        return _request('POST', '/predict', headers) + bytes(MUCH)
    chunk = b'100000\r\n' + bytes(1 << 20) + b'\r\n'
    head = _request('POST', '/predict', [_HOST, ('Transfer-Encoding', 'chunked')])
    return head + chunk * (MUCH >> 20) + b'0\r\n\r\n'


def _several(rng: random.Random, picture: bytes) -> bytes:
    """Requests one after the other, none of which waits for the answer of the one before."""
    ways = (_damaged, _odd_line, _odd_headers)
    asked = [get('/health'), post('/predict', 'image/png', picture)]
    return b''.join(rng.choice([*asked, rng.choice(ways)(rng, picture)]) for _ in range(5))


def _no_http(rng: random.Random, picture: bytes) -> bytes:
    return rng.choice([*_NO_HTTP, rng.randbytes(3000), picture])


_WAYS = (*(_damaged, _odd_line, _odd_headers) * 3, _odd_chunks, _too_much, _several, _no_http)

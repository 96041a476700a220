"""fetch against a local server that does everything servers and networks do wrong."""

import contextlib
import gzip
import hashlib
import http.server
import json
import random
import re
import socket
import ssl
import threading
from unittest.mock import ANY

import pytest
import requests
from hypothesis import given, settings
from hypothesis import strategies as st

from chainer_cifar.data import fetch as module
from chainer_cifar.data.fetch import WrongSource, check_url, discard, fetch, md5sum, part_of
from chainer_cifar.errors import UserError

CONTENT = gzip.compress(random.Random(0).randbytes(200_000), 0, mtime=0)
MD5 = hashlib.md5(CONTENT).hexdigest()
OTHER = gzip.compress(random.Random(1).randbytes(200_000), 0, mtime=0)
PAGE = b'\n<!doctype html><html>Please log in</html>'


class Site:
    """What the server serves. Each request takes the next of `faults`, or none."""

    def __init__(self, content=CONTENT):
        self.content = content
        self.etag = '"1"'
        self.modified = None
        self.ranges = True
        self.heeds_if_range = True
        self.chunked = False
        self.headers = {}
        self.faults = []  # 'page', a status, a negative number of bytes to leave out …
        self.requests = []  # their headers
        self.gate = threading.Event()  # closed: a 'stall' waits for it

    @contextlib.contextmanager
    def serve(self):
        server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), Handler)
        server.site = self
        thread = threading.Thread(target=server.serve_forever, kwargs={'poll_interval': 0.01})
        thread.start()
        try:
            yield f'http://127.0.0.1:{server.server_port}/archive.tar.gz'
        finally:
            self.gate.set()
            server.shutdown()
            thread.join()
            server.server_close()


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'

    def do_GET(self):
        site = self.server.site
        site.requests.append(self.headers)
        fault = site.faults.pop(0) if site.faults else None
        if isinstance(fault, tuple):
            status, headers = fault
            return self.answer(status, b'sorry', headers)
        if fault == 'page':
            return self.answer(200, PAGE, {'Content-Type': 'text/html'})
        if fault == 'hang up':
            self.close_connection = True
            return None
        validators = {'ETag': site.etag, 'Last-Modified': site.modified}
        headers = {name: value for name, value in validators.items() if value} | site.headers
        body, status, size = site.content, 200, len(site.content)
        asked = re.fullmatch(r'bytes=(\d+)-', self.headers.get('Range', ''))
        unchanged = self.headers.get('If-Range') in (None, site.etag, site.modified)
        if asked and site.ranges and (unchanged or not site.heeds_if_range):
            start = int(asked[1])
            if start >= size:
                return self.answer(416, b'', {'Content-Range': f'bytes */{size}'})
            headers['Content-Range'] = f'bytes {start}-{size - 1}/{size}'
            body, status = body[start:], 206
        return self.answer(status, body, headers, fault)

    def answer(self, status, body, headers, fault=None):
        self.send_response(status)
        self.send_header('Connection', 'close')  # an answer that is cut must not be waited for
        for name, value in headers.items():
            self.send_header(name, value)
        if self.server.site.chunked:
            self.send_header('Transfer-Encoding', 'chunked')
            body = b''.join(b'%x\r\n%s\r\n' % (len(part), part) for part in (body[:1], body[1:]))
            body += b'0\r\n\r\n'
        else:
            self.send_header('Content-Length', str(len(body)))
        self.end_headers()
        self.close_connection = True
        with contextlib.suppress(OSError):
            self.wfile.write(body[:fault] if isinstance(fault, int) else body[: len(body) // 2])
            if fault == 'stall':
                self.server.site.gate.wait(10)
            elif fault is None:
                self.wfile.write(body[len(body) // 2 :])

    def log_message(self, *arguments):
        pass


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch):
    monkeypatch.setenv('NO_PROXY', '127.0.0.1')


@pytest.fixture
def site():
    return Site()


@pytest.fixture
def url(site):
    with site.serve() as url:
        yield url


@pytest.fixture
def path(tmp_path):
    return tmp_path / 'archive.tar.gz'


@pytest.fixture
def waits():
    return []


@pytest.fixture
def get(url, path, waits):
    def get(url=url, md5=MD5, size=None, limit=10**6, retries=4):
        return fetch(
            url, path, md5=md5, size=size, limit=limit, retries=retries, sleep=waits.append
        )

    return get


def test_brings_the_file_and_its_md5(get, path, waits, capsys):
    assert get(size=len(CONTENT)) == MD5
    assert part_of(path).read_bytes() == CONTENT
    assert not path.exists()
    assert waits == []
    out, err = capsys.readouterr()
    assert [line.split()[0] for line in out.splitlines()] == ['Fetching', 'Received']
    assert err == ''


def test_discard_leaves_nothing(get, path):
    get()
    discard(path)
    assert list(path.parent.iterdir()) == []


def test_without_a_length_all_that_comes_is_the_file(get, site, path):
    site.chunked = True
    assert get(md5=None) == MD5
    assert part_of(path).read_bytes() == CONTENT


def test_a_content_encoding_of_the_gz_file_itself_is_not_undone(get, site):
    site.headers = {'Content-Encoding': 'gzip'}
    assert get() == MD5


def test_asks_for_the_bytes_as_they_are(get, site):
    get()
    assert site.requests[0]['Accept-Encoding'] == 'identity'


class TestResume:
    def test_of_a_stream_that_is_cut(self, get, site, path, waits):
        site.faults = [70_000]
        assert get() == MD5
        assert part_of(path).read_bytes() == CONTENT
        assert site.requests[1]['Range'] == 'bytes=70000-'
        assert site.requests[1]['If-Range'] == '"1"'
        assert waits == [1]

    def test_of_a_stream_that_stalls(self, get, site, monkeypatch, capsys):
        monkeypatch.setattr(module, 'TIMEOUT', (5, 0.1))
        site.faults = ['stall']
        assert get() == MD5
        assert 'Range' in site.requests[1]
        assert 'timed out; retry 1 of 4 in 1 s' in capsys.readouterr().err

    def test_in_the_next_run(self, get, site, path):
        site.faults = [70_000]
        with pytest.raises(UserError, match=r'cut off after 70,000 of .*; tried once\); run this'):
            get(retries=0)
        assert part_of(path).read_bytes() == CONTENT[:70_000]
        assert get() == MD5
        assert len(site.requests) == 2
        assert 'Range' in site.requests[1]

    def test_starts_over_where_ranges_are_not_served(self, get, site):
        site.faults = [70_000]
        site.ranges = False
        assert get() == MD5

    def test_a_whole_answer_of_another_md5_is_final(self, get, site):
        site.faults = [70_000]
        site.ranges = False
        with pytest.raises(UserError, match='expected 0000'):
            get(md5='0' * 32)
        assert len(site.requests) == 2

    def test_by_modification_time_where_the_etag_is_weak(self, get, site):
        site.etag, site.modified = 'W/"1"', 'Fri, 21 Nov 2025 10:00:00 GMT'
        site.faults = [70_000]
        assert get() == MD5
        assert site.requests[1]['If-Range'] == site.modified

    @pytest.mark.parametrize('heeds_if_range', [True, False])
    def test_starts_over_when_the_file_has_changed(self, get, site, heeds_if_range):
        site.faults = [70_000]
        with pytest.raises(UserError):
            get(retries=0)
        site.content, site.etag, site.heeds_if_range = OTHER, '"2"', heeds_if_range
        assert get(md5=None) == hashlib.md5(OTHER).hexdigest()

    def test_starts_over_when_only_the_length_tells_of_a_change(self, get, site):
        site.etag = None
        site.faults = [70_000]
        with pytest.raises(UserError):
            get(retries=0)
        site.content = gzip.compress(bytes(80_000), 0)
        assert get(md5=None) == hashlib.md5(site.content).hexdigest()

    def test_starts_over_once_when_only_the_md5_tells_of_a_change(self, get, site, capsys):
        site.etag = None
        site.content = OTHER
        site.faults = [70_000]
        with pytest.raises(UserError):
            get(retries=0)
        site.content = CONTENT
        assert get() == MD5
        told = capsys.readouterr().err.splitlines()[-1]
        assert told.startswith('warning: ') and told.endswith('starting over')
        assert [('Range' in headers) for headers in site.requests] == [False, True, False]

    def test_starts_over_when_the_server_has_less_than_last_time(self, get, site):
        site.etag = None
        site.faults = [150_000]
        with pytest.raises(UserError):
            get(retries=0)
        site.content = gzip.compress(b'short')
        assert get(md5=None) == hashlib.md5(site.content).hexdigest()

    def test_of_a_whole_file_asks_for_nothing(self, get, site, url, path, capsys):
        get()
        capsys.readouterr()
        assert get() == MD5
        assert len(site.requests) == 1
        assert capsys.readouterr().out.splitlines() == [
            f'Fetching {url}',
            f'All {len(CONTENT):,} bytes are in {part_of(path)} already',
        ]

    def test_of_a_whole_file_of_unknown_length(self, get, site):
        site.chunked = True
        get()
        assert get() == MD5  # by a 416 that tells the length
        assert site.requests[1]['Range'] == f'bytes={len(CONTENT)}-'

    def test_not_of_another_url(self, get, site, url):
        site.faults = [70_000]
        with pytest.raises(UserError):
            get(retries=0)
        assert get(url=f'{url}?mirror') == MD5
        assert 'Range' not in site.requests[1]

    @pytest.mark.parametrize(
        'change', [None, {}, {'url': 1}, {'size': '200038'}, {'ETag': 1}, {'Last-Modified': [1]}]
    )
    def test_not_when_the_note_about_it_is_damaged(self, get, site, path, change):
        site.faults = [70_000]
        with pytest.raises(UserError):
            get(retries=0)
        note = path.with_name(f'{path.name}.part.json')
        state = json.loads(note.read_text())
        assert state == {'url': ANY, 'size': len(CONTENT), 'ETag': '"1"', 'Last-Modified': None}
        note.write_text(json.dumps(state | change if change else change))
        assert get() == MD5
        assert 'Range' not in site.requests[1]

    def test_after_an_interrupt(self, url, site, path, get):
        def interrupt(seconds):
            raise KeyboardInterrupt

        site.faults = [70_000]
        with pytest.raises(KeyboardInterrupt, match='run this command again to continue'):
            fetch(url, path, md5=MD5, size=None, limit=10**6, sleep=interrupt)
        assert get() == MD5
        assert 'Range' in site.requests[1]


class TestRetries:
    @pytest.mark.parametrize('fault', [(500, {}), (503, {}), (429, {}), (408, {}), 'hang up', 0])
    def test_what_may_pass(self, get, site, waits, fault):
        site.faults = [fault, fault]
        assert get() == MD5
        assert waits == [1, 2]

    def test_heeds_retry_after(self, get, site, waits):
        site.faults = [(429, {'Retry-After': '7'}), (503, {'Retry-After': '99999'})]
        assert get() == MD5
        assert waits == [7, 60]

    def test_do_without_a_retry_after_that_is_no_number(self, get, site, waits):
        site.faults = [(503, {'Retry-After': value}) for value in ('soon', '9' * 5000, '')]
        assert get() == MD5
        assert waits == [1, 2, 4]

    @pytest.mark.parametrize('status', [401, 403, 404, 410])
    def test_not_what_will_not_pass(self, get, site, path, waits, status):
        site.faults = [(status, {})]
        with pytest.raises(UserError, match=str(status)) as caught:
            get()
        assert len(site.requests) == 1
        assert str(path) in str(caught.value)
        assert '\n' not in str(caught.value)

    def test_end(self, get, site, url, waits):
        site.faults = [(500, {})] * 9
        with pytest.raises(UserError, match=r'500 Internal Server Error; tried 5 times') as caught:
            get()
        assert url in str(caught.value)
        assert waits == [1, 2, 4, 8]
        assert len(site.requests) == 5

    def test_nobody_listens(self, get, path, waits):
        with socket.socket() as unused:
            unused.bind(('127.0.0.1', 0))
            url = f'http://127.0.0.1:{unused.getsockname()[1]}/archive.tar.gz'
            with pytest.raises(UserError, match='Connection refused; tried 3 times') as caught:
                get(url=url, retries=2)
        assert waits == [1, 2]
        assert url in str(caught.value)
        assert f'save it as {path}' in str(caught.value)

    def test_tell_when_it_is_the_proxy(self, get, monkeypatch):
        with socket.socket() as unused:
            unused.bind(('127.0.0.1', 0))
            proxy = f'http://127.0.0.1:{unused.getsockname()[1]}'
            for name in ('http_proxy', 'HTTP_PROXY'):
                monkeypatch.setenv(name, proxy)
            with pytest.raises(UserError, match='proxy: Connection refused; tried once'):
                get(url='http://host.invalid/archive.tar.gz', retries=0)

    def test_not_of_a_certificate_that_is_refused(self, get, url, monkeypatch, waits):
        def refuse(*arguments, **options):
            reason = '[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: expired'
            raise requests.exceptions.SSLError(ssl.SSLCertVerificationError(1, reason))

        monkeypatch.setattr(requests, 'get', refuse)
        with pytest.raises(UserError, match='certificate verify failed: expired'):
            get()
        assert waits == []

    def test_of_an_answer_that_is_shorter_than_the_known_size(self, get, site):
        site.chunked = True
        size = len(CONTENT)
        with pytest.raises(UserError, match=f'cut off after {size:,} of {size + 2:,} bytes'):
            get(size=size + 2, retries=0)

    def test_are_not_counted_while_bytes_come(self, get, site, monkeypatch, waits):
        monkeypatch.setattr(module, 'PROGRESS', 10_000)
        site.faults = [10_000] * 15
        assert get(retries=1) == MD5
        assert waits == [1] * 15

    def test_are_counted_when_the_same_bytes_come_again(self, get, site, monkeypatch):
        monkeypatch.setattr(module, 'PROGRESS', 10_000)
        site.ranges = False
        site.faults = [10_000] * 15
        with pytest.raises(UserError, match='tried 2 times'):
            get(retries=1)
        assert len(site.requests) == 2


class TestRefusals:
    def test_a_wrong_md5(self, get, site, path):
        with pytest.raises(UserError) as caught:
            get(md5='0' * 32)
        assert MD5 in str(caught.value)
        assert '0' * 32 in str(caught.value)
        assert len(site.requests) == 1
        assert not part_of(path).exists()

    def test_a_web_page(self, get, site, path):
        site.faults = ['page']
        with pytest.raises(UserError, match='web page'):
            get(size=len(CONTENT))
        assert not part_of(path).exists()

    def test_a_web_page_costs_nothing_of_what_has_come(self, get, site, path):
        site.faults = [70_000]
        with pytest.raises(UserError):
            get(retries=0)
        site.faults = ['page']
        with pytest.raises(UserError, match='web page'):
            get()
        assert part_of(path).read_bytes() == CONTENT[:70_000]
        assert get() == MD5

    def test_what_is_no_gzip_file(self, get, site):
        site.content = b'PK\x03\x04' + bytes(100)
        with pytest.raises(UserError, match=r"not a gzip file, it begins with b'PK"):
            get(md5=None)

    def test_another_size_than_the_known_one(self, get, site, path):
        with pytest.raises(UserError, match=f'has {len(CONTENT):,} bytes, the official archive 7$'):
            get(size=7)
        assert not part_of(path).exists()

    def test_too_many_bytes_announced(self, get, path):
        with pytest.raises(UserError, match='too many'):
            get(limit=1000)
        assert not part_of(path).exists()

    def test_too_many_bytes_not_announced(self, get, site, path):
        site.chunked = True
        with pytest.raises(UserError, match='more bytes'):
            get(limit=1000)
        assert part_of(path).stat().st_size <= 1000

    def test_an_endless_redirection(self, get, site):
        site.faults = [(302, {'Location': '/again'})] * 50
        with pytest.raises(UserError, match='redirects'):
            get()

    @pytest.mark.parametrize('host', ['a' * 64, 'a..b', '.a', '[v1.x]', 'a b'])
    def test_a_host_that_cannot_be_one(self, get, site, host, waits):
        with pytest.raises(UserError, match='cannot fetch'):
            get(url=f'http://{host}/x')
        site.faults = [(302, {'Location': f'http://{host}/x'})]
        with pytest.raises(UserError, match='cannot fetch'):
            get(retries=0)


class TestFileUrl:
    def test_of_a_name_that_no_file_can_have(self, get):
        with pytest.raises(WrongSource, match='null byte'):
            get(url='file:///%00')

    def test_is_copied(self, get, path, tmp_path):
        source = tmp_path / 'a name.gz'
        source.write_bytes(CONTENT)
        assert get(url=source.as_uri()) == MD5
        assert part_of(path).read_bytes() == CONTENT
        assert source.read_bytes() == CONTENT

    def test_replaces_what_an_earlier_run_left(self, get, site, tmp_path):
        site.faults = [70_000]
        with pytest.raises(UserError):
            get(retries=0)
        source = tmp_path / 'source.gz'
        source.write_bytes(OTHER)
        assert get(url=source.as_uri(), md5=None) == hashlib.md5(OTHER).hexdigest()

    @pytest.mark.parametrize('kind', ['missing', 'folder', 'empty', 'page'])
    def test_is_refused(self, get, path, tmp_path, kind):
        source = tmp_path / 'source.gz'
        if kind == 'folder':
            source.mkdir()
        elif kind != 'missing':
            source.write_bytes(PAGE if kind == 'page' else b'')
        with pytest.raises(UserError, match=r'source\.gz'):
            get(url=source.as_uri())
        assert not part_of(path).exists()


@pytest.mark.parametrize(
    'url',
    [
        'http://host/a.tar.gz',
        'https://user@host:8080/a?b#c',
        'file:///a/b',
        'FILE://localhost/a/b',
        'HTTP://host/',
    ],
)
def test_check_url_admits(url):
    check_url(url)


@pytest.mark.parametrize(
    'url',
    ['', 'a.tar.gz', '/a/b', 'ftp://host/a', 'http:///a', 'http://[::1/', 'file:a', 'file://h/a'],
)
def test_check_url_refuses(url):
    with pytest.raises(UserError, match=r'^.* is not a (complete .* )?URL') as caught:
        check_url(url)
    assert '\n' not in str(caught.value)


def test_check_url_tells_the_url_of_a_file(tmp_path):
    with pytest.raises(UserError, match=f'give {tmp_path.as_uri()}/a%20b.gz'):
        check_url(f'{tmp_path}/a b.gz')


FAULTS = st.one_of(
    st.integers(0, 300),
    st.sampled_from(['page', 'hang up', (500, {}), (404, {}), (416, {}), (206, {}), (204, {})]),
)


@settings(max_examples=60)
@given(
    body=st.binary(max_size=200),
    faults=st.lists(FAULTS, max_size=6),
    ranges=st.booleans(),
    heeds_if_range=st.booleans(),
    chunked=st.booleans(),
    etag=st.sampled_from([None, '"1"', 'W/"1"']),
    change_after=st.integers(0, 6),
)
def test_whatever_happens_it_is_the_right_file_or_one_line(
    tmp_path_factory, body, faults, ranges, heeds_if_range, chunked, etag, change_after
):
    path = tmp_path_factory.mktemp('fetch') / 'archive.tar.gz'
    site = Site(gzip.compress(body, mtime=0))
    site.ranges, site.heeds_if_range, site.chunked, site.etag = (
        ranges,
        heeds_if_range,
        chunked,
        etag,
    )
    site.faults = faults
    md5 = hashlib.md5(site.content).hexdigest()

    def sleep(seconds):
        if len(site.requests) == change_after:
            site.content = gzip.compress(body + b'changed', mtime=0)

    with site.serve() as url:
        for _ in range(2):
            try:
                assert fetch(url, path, md5=md5, size=None, limit=10**4, sleep=sleep) == md5
                assert md5sum(part_of(path)) == md5
            except UserError as error:
                assert '\n' not in str(error)

"""src/download.py as its user runs it, with an archive of a few bytes on a local server."""

import contextlib
import functools
import http.server
import os
import pathlib
import re
import resource
import signal
import socket
import threading
import time

import pytest

from cifar_archive import CONTENT, FILES, MD5, pack

SCRIPT = pathlib.Path(__file__).parents[2] / 'src' / 'download.py'
FOLDER = pathlib.Path('dataset', 'cifar-10-batches-py')
ARCHIVE = pathlib.Path('dataset', 'cifar-10-python.tar.gz')


class Handler(http.server.BaseHTTPRequestHandler):
    """Serves CONTENT with ranges; holds back its second half until the gate is open."""

    def do_GET(self):
        server = self.server
        asked = re.fullmatch(r'bytes=(\d+)-', self.headers.get('Range', ''))
        start = int(asked[1]) if asked else 0
        server.starts.append(start)
        self.send_response(206 if asked else 200)
        if asked:
            self.send_header('Content-Range', f'bytes {start}-{len(CONTENT) - 1}/{len(CONTENT)}')
        self.send_header('Content-Length', str(len(CONTENT) - start))
        self.send_header('ETag', '"1"')
        self.end_headers()
        half = max(start, len(CONTENT) // 2)
        with contextlib.suppress(OSError):
            self.wfile.write(CONTENT[start:half])
            server.gate.wait(20)
            self.wfile.write(CONTENT[half:])

    def log_message(self, *arguments):
        pass


@pytest.fixture
def server():
    server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), Handler)
    server.url = f'http://127.0.0.1:{server.server_port}/cifar-10-python.tar.gz'
    server.starts = []
    server.gate = threading.Event()
    server.gate.set()
    thread = threading.Thread(target=server.serve_forever, kwargs={'poll_interval': 0.01})
    thread.start()
    yield server
    server.gate.set()
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def start(spawn, tmp_path):
    """Starts the command as a process."""
    settings = {'cwd': tmp_path, 'env': {**os.environ, 'NO_PROXY': '127.0.0.1'}}
    return functools.partial(spawn, SCRIPT, **settings)


@pytest.fixture
def run(command, tmp_path, monkeypatch):
    """Runs the command in this process: (exit status, stdout, stderr)."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv('NO_PROXY', '127.0.0.1')
    return functools.partial(command, 'download')


def check_folder(tmp_path):
    for name, data in FILES.items():
        assert (tmp_path / FOLDER / name).read_bytes() == data


def test_fetches_verifies_and_extracts_once(server, run, tmp_path):
    arguments = '--url', server.url, '--md5', MD5.upper()
    status, out, err = run(*arguments)
    assert (status, err) == (0, '')
    assert out.splitlines()[0] == f'Fetching {server.url}'
    assert re.fullmatch(r'Received [\d,]+ bytes in [\d.]+ s, [\d.]+ MB/s', out.splitlines()[1])
    check_folder(tmp_path)
    assert (tmp_path / ARCHIVE).read_bytes() == CONTENT

    again = f'{FOLDER} is complete: nothing to fetch or extract\n'
    assert run(*arguments) == (0, again, '')
    assert len(server.starts) == 1


def test_file_url_and_dir(run, tmp_path):
    (tmp_path / 'my.tar.gz').write_bytes(CONTENT)
    url = (tmp_path / 'my.tar.gz').as_uri()
    status, _, err = run('--url', url, '--md5', MD5, '--dir', 'some/where')
    assert (status, err) == (0, '')
    assert (tmp_path / 'some/where' / ARCHIVE.name).read_bytes() == CONTENT


def test_cifar100(run, tmp_path):
    files = {'train': b'1', 'test': b'2', 'meta': b'3', 'file.txt~': b''}
    (tmp_path / 'my.tar.gz').write_bytes(pack('cifar-100-python', files))
    url = (tmp_path / 'my.tar.gz').as_uri()
    assert run('--set', 'cifar100', '--url', url, '--md5', 'skip')[0] == 0
    folder = tmp_path / 'dataset' / 'cifar-100-python'
    assert {name: (folder / name).read_bytes() for name in files} == files


def test_md5_skip_says_so(server, run, tmp_path):
    status, out, err = run('--url', server.url, '--md5', 'skip')
    assert status == 0
    assert err.startswith('WARNING: --md5 skip: the checksum is NOT compared')
    assert f'md5 {MD5}' in out  # to be given the next time
    check_folder(tmp_path)


def test_wrong_md5(server, run, tmp_path):
    status, _, err = run('--url', server.url, '--md5', '0' * 32)
    assert status == 2
    assert len(err.splitlines()) == 1
    assert MD5 in err
    assert '0' * 32 in err
    assert [path.name for path in (tmp_path / 'dataset').iterdir()] == [f'.{ARCHIVE.name}.lock']


def test_another_archive_without_its_md5_is_refused_by_its_size(server, run):
    status, _, err = run('--url', server.url)
    assert status == 2
    assert f'has {len(CONTENT):,} bytes, the official archive 170,498,071; try ano' in err
    assert 'give its --md5 (or --md5 skip)' in err


def test_offline(run, tmp_path):
    with socket.socket() as unused:
        unused.bind(('127.0.0.1', 0))
        url = f'http://127.0.0.1:{unused.getsockname()[1]}/cifar-10-python.tar.gz'
        status, _, err = run('--url', url, '--retries', '0')
    assert status == 2
    assert len(err.splitlines()) == 1
    assert f'cannot fetch {url} (Connection refused; tried once)' in err
    assert f'save it as {tmp_path / ARCHIVE}, and run this command again' in err


def test_offline_but_fetched_by_hand(run, tmp_path):
    (tmp_path / 'dataset').mkdir()
    (tmp_path / ARCHIVE).write_bytes(CONTENT)
    status, out, err = run('--url', 'http://127.0.0.1:9/', '--md5', MD5)
    assert (status, err) == (0, '')
    assert out.startswith(f'{ARCHIVE} is there already: not fetching it again\n')
    check_folder(tmp_path)


@pytest.mark.parametrize(
    ('number', 'status'), [(signal.SIGINT, 130), (signal.SIGKILL, -signal.SIGKILL)]
)
def test_goes_on_after_it_was_stopped(server, start, run, tmp_path, number, status):
    arguments = '--url', server.url, '--md5', MD5
    server.gate.clear()
    part = tmp_path / f'{ARCHIVE}.part'
    process = start(*arguments)
    deadline = time.monotonic() + 30
    while not (part.exists() and part.stat().st_size) and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(number)
    _, err = process.communicate(timeout=30)
    assert process.returncode == status
    assert err == (
        'download.py: interrupted; run this command again to continue\n' if status > 0 else ''
    )
    size = part.stat().st_size
    assert size > 0

    server.gate.set()
    status, out, err = run(*arguments)
    assert (status, err) == (0, '')
    assert server.starts == [0, size]
    assert f'Resuming at {size:,} of {len(CONTENT):,} bytes' in out
    check_folder(tmp_path)
    assert not part.exists()


def test_two_at_once(server, start, tmp_path):
    arguments = '--url', server.url, '--md5', MD5
    server.gate.clear()
    first = start(*arguments)
    assert first.stdout.readline().startswith('Fetching')
    second = start(*arguments)
    assert second.stderr.readline() == 'warning: waiting for another download to dataset\n'
    server.gate.set()
    assert first.wait(60) == 0
    out, err = second.communicate(timeout=60)
    assert (second.returncode, err) == (0, '')
    assert out == f'{FOLDER} is complete: nothing to fetch or extract\n'
    assert len(server.starts) == 1
    check_folder(tmp_path)


def test_a_reader_of_its_output_that_left(server, start, tmp_path):
    process = start('--url', server.url, '--md5', MD5)
    process.stdout.close()
    assert process.stderr.read() == ''
    assert process.wait(60) == 128 + signal.SIGPIPE


def test_disk_that_takes_no_more(server, start, run, tmp_path):
    arguments = '--url', server.url, '--md5', MD5

    def limit():
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, resource.RLIM_INFINITY))

    process = start(*arguments, preexec_fn=limit)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 2
    assert err.splitlines() == [
        'download.py: error: dataset/cifar-10-python.tar.gz.part: File too large; correct that, '
        'or choose another folder with --dir'
    ]
    assert run(*arguments)[0] == 0
    assert server.starts == [0, 100_000]
    check_folder(tmp_path)


def test_what_is_far_too_large_is_not_read(server, run, tmp_path):
    """Its md5 would take minutes; these files are holes, of 50 GB."""
    path, huge = (tmp_path / FOLDER).with_name('cifar-10-python.tar.gz'), 50 * 2**30
    path.parent.mkdir()
    path.touch()
    os.truncate(path, huge)
    status, out, err = run('--url', server.url, '--md5', 'skip')
    assert (status, out) == (2, '')
    assert 'cifar-10-python.tar.gz: has 53,687,091,200 bytes, too many for this archive' in err
    assert path.stat().st_size == huge
    path.unlink()
    assert run('--url', server.url, '--md5', MD5)[0] == 0
    os.truncate(tmp_path / FOLDER / 'data_batch_1', huge)
    status, out, err = run('--url', server.url, '--md5', MD5)
    assert (status, err) == (0, '')
    check_folder(tmp_path)


def test_hostile_archive(run, tmp_path):
    (tmp_path / 'my.tar.gz').write_bytes(pack('cifar-10-batches-py', {'../../evil': b'x'} | FILES))
    url = (tmp_path / 'my.tar.gz').as_uri()
    status, _, err = run('--url', url, '--md5', 'skip')
    assert status == 2
    assert "refused: 'cifar-10-batches-py/../../evil' does not belong in this archive" in err
    assert err.endswith('; check --url and --set\n')
    assert not (tmp_path / 'evil').exists()
    assert not (tmp_path / FOLDER).exists()


@pytest.mark.parametrize(
    'arguments',
    [
        ('--md5', 'abc'),
        ('--retries', '-1'),
        ('--url', 'cifar.tar.gz'),
        ('--dir', 'file/below'),
        ('--ur', 'x'),
    ],
)
def test_bad_flags(run, tmp_path, arguments):
    (tmp_path / 'file').touch()
    status, out, err = run(*arguments)
    assert (status, out) == (2, '')
    assert err.splitlines()[-1].startswith('download.py: error: ')
    assert 'Traceback' not in err


def test_an_archive_that_is_not_known(run):
    expected = "download.py: error: no archive is called 'cifar11', did you mean 'cifar10'?\n"
    assert run('--set', 'cifar11') == (2, '', expected)


def test_help_tells_the_defaults(run, capsys):
    with pytest.raises(SystemExit, match='0'):
        run('--help')
    text = ' '.join(capsys.readouterr().out.split())
    for default in ('cifar10', 'official', 'dataset', '4'):
        assert f'(default: {default})' in text

"""obtain and extract: honest archives, damaged ones and hostile ones."""

import dataclasses
import errno
import gzip
import hashlib
import io
import os
import tarfile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chainer_cifar.data import archive as module
from chainer_cifar.data.archive import ARCHIVES, Unwritable, extract, extracted_from, obtain
from chainer_cifar.data.fetch import WrongFile, WrongSource
from chainer_cifar.errors import UserError

CIFAR10 = ARCHIVES['cifar10']
# The same with limits that a test can reach.
SMALL = dataclasses.replace(
    CIFAR10, required=dict.fromkeys(CIFAR10.required, 2000), optional={'readme.html': 2000}
)
FOLDER = CIFAR10.folder
NOTE = '.extracted.json'
FILES = {name: f'bytes of {name}'.encode() * 50 for name in [*SMALL.required, 'readme.html']}


def tar_of(entries):
    """tar bytes of [(TarInfo or name, data)]"""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode='w') as tar:
        for info, data in entries:
            if isinstance(info, str):
                info = tarfile.TarInfo(info)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


def entries_of(files, folder=FOLDER):
    return [(f'{folder}/{name}', data) for name, data in files.items()]


def write(path, tar):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(tar, 1, mtime=0))
    return path


def md5_of(path):
    return hashlib.md5(path.read_bytes()).hexdigest()


def read_folder(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.name != NOTE}


def tree(folder):
    """All that is in a folder: names and contents."""
    return {
        path.relative_to(folder): path.read_bytes() if path.is_file() else None
        for path in folder.rglob('*')
    }


@pytest.fixture
def source(tmp_path):
    return write(tmp_path / 'source' / 'source.tar.gz', tar_of(entries_of(FILES)))


@pytest.fixture
def home(tmp_path):
    return tmp_path / 'dataset'


@pytest.fixture
def bring(source, home):
    def bring(url=None, md5='right'):
        md5 = md5_of(source) if md5 == 'right' else md5
        return obtain(SMALL, home, url=url or source.as_uri(), md5=md5, retries=0)

    return bring


@pytest.fixture
def unpack(tmp_path):
    """extract to a folder that has room for what a hostile archive may throw out of it"""

    def unpack(tar, archive=SMALL):
        path = write(tmp_path / 'source.tar.gz', tar)
        folder = tmp_path / 'in' / FOLDER
        folder.parent.mkdir(exist_ok=True)
        before = tree(tmp_path)
        try:
            extract(archive, path, folder, md5='0' * 32, name='the archive')
        except UserError as error:
            assert tree(tmp_path) == before
            assert '\n' not in str(error)
            raise
        return read_folder(folder)

    return unpack


class TestArchives:
    def test_admit_the_official_sizes(self):
        official = {
            'cifar10': {'data_batch_3': 31_035_999, 'test_batch': 31_035_526, 'batches.meta': 158},
            'cifar100': {'train': 155_249_918, 'test': 31_049_902, 'meta': 1_526},
        }
        for name, sizes in official.items():
            assert all(ARCHIVES[name].limits[file] > size for file, size in sizes.items())
            assert ARCHIVES[name].size < ARCHIVES[name].limit

    def test_have_the_names_of_the_official_files(self):
        assert ARCHIVES['cifar10'].filename == 'cifar-10-python.tar.gz'
        assert ARCHIVES['cifar100'].filename == 'cifar-100-python.tar.gz'


class TestObtain:
    def test_from_nothing(self, bring, home, source):
        assert bring() == home / FOLDER
        assert read_folder(home / FOLDER) == FILES
        assert (home / SMALL.filename).read_bytes() == source.read_bytes()
        assert {path.name for path in home.iterdir()} == {
            FOLDER,
            SMALL.filename,
            f'.{SMALL.filename}.lock',
        }

    @pytest.mark.parametrize('md5', ['right', None])
    def test_does_nothing_again(self, bring, source, home, capsys, md5):
        bring()
        before = {path: path.stat().st_mtime_ns for path in home.rglob('*')}
        source.unlink()
        capsys.readouterr()
        bring(md5=md5_of(home / SMALL.filename) if md5 else None)
        out = capsys.readouterr().out
        assert out == f'{home / FOLDER} is complete: nothing to fetch or extract\n'
        assert {path: path.stat().st_mtime_ns for path in home.rglob('*')} == before

    def test_needs_no_archive_beside_a_complete_folder(self, bring, home):
        bring()
        (home / SMALL.filename).unlink()
        bring(url='file:///nowhere')
        assert not (home / SMALL.filename).exists()

    def test_takes_an_archive_put_there_by_hand(self, bring, home, source):
        home.mkdir()
        (home / SMALL.filename).write_bytes(source.read_bytes())
        (home / f'{SMALL.filename}.part').write_bytes(b'given up')
        bring(url='file:///nowhere')
        assert read_folder(home / FOLDER) == FILES
        assert not (home / f'{SMALL.filename}.part').exists()

    def test_fetches_a_damaged_archive_anew_but_leaves_the_folder(self, bring, home, capsys):
        bring()
        path = home / SMALL.filename
        good = path.read_bytes()
        path.write_bytes(good[:-9])
        capsys.readouterr()
        bring()
        out, err = capsys.readouterr()
        assert path.read_bytes() == good
        assert 'not extracting it again' in out
        assert err.startswith(f'warning: {path} has md5 ')

    @pytest.mark.parametrize('damage', ['change', 'remove', 'remove note', 'spoil note'])
    def test_extracts_a_damaged_folder_anew(self, bring, home, source, damage):
        bring()
        source.unlink()  # the archive at home is enough
        file = home / FOLDER / 'data_batch_3'
        note = home / FOLDER / NOTE
        if damage == 'change':
            file.write_bytes(file.read_bytes()[::-1])
        elif damage == 'remove':
            file.unlink()
        elif damage == 'remove note':
            note.unlink()
        else:
            note.write_text('{"files": ["data_batch_1"], "archive": 1}')
        bring(md5=md5_of(home / SMALL.filename))
        assert read_folder(home / FOLDER) == FILES

    def test_replaces_another_archive_and_its_folder(self, bring, home, source):
        bring()
        files = FILES | {'test_batch': b'another'}
        write(source, tar_of(entries_of(files)))
        bring()
        assert read_folder(home / FOLDER) == files
        assert (home / SMALL.filename).read_bytes() == source.read_bytes()

    def test_keeps_all_when_the_other_archive_is_no_good(self, bring, home, source):
        bring()
        before = tree(home)
        write(source, tar_of(entries_of({'test_batch': b'alone'})))
        with pytest.raises(WrongSource, match=r'has no .*data_batch_1'):
            bring()
        assert tree(home) == before

    def test_keeps_all_when_the_md5_is_wrong(self, bring, home):
        bring()
        before = tree(home)
        with pytest.raises(UserError, match='expected ffff'):
            bring(md5='f' * 32)
        assert tree(home) == before

    def test_does_not_delete_what_is_not_its_own(self, bring, home):
        bring()
        (home / FOLDER / 'notes.txt').write_text('mine')
        bring()  # complete: all the same
        (home / FOLDER / 'test_batch').unlink()
        before = tree(home)
        with pytest.raises(UserError, match=r"would delete 'notes\.txt' in it"):
            bring()
        assert tree(home) == before

    def test_replaces_a_link_to_a_folder_and_not_what_it_points_to(self, bring, home, tmp_path):
        elsewhere = tmp_path / 'elsewhere'
        elsewhere.mkdir()
        (elsewhere / 'test_batch').write_text('mine')
        home.mkdir()
        (home / FOLDER).symlink_to(elsewhere)
        bring()
        assert read_folder(home / FOLDER) == FILES
        assert read_folder(elsewhere) == {'test_batch': b'mine'}

    def test_cleans_up_after_a_run_that_was_killed(self, bring, home):
        left = home / f'.{FOLDER}.extracting' / 'new'
        left.mkdir(parents=True)
        (left / 'data_batch_1').write_text('half')
        bring()
        assert not left.parent.exists()
        assert read_folder(home / FOLDER) == FILES

    def test_keeps_the_older_folder_if_the_new_one_cannot_get_its_name(
        self, bring, home, monkeypatch
    ):
        bring()
        (home / FOLDER / 'data_batch_1').write_text('older')
        before = tree(home)

        def full(new, folder):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        monkeypatch.setattr(module, 'move_folder', full)
        with pytest.raises(OSError, match='No space left'):
            bring()
        assert tree(home) == before

    @pytest.mark.parametrize('renamed', [True, False])
    def test_finishes_what_was_killed_after_it_had_extracted(self, bring, home, source, renamed):
        bring()
        archive, part = home / SMALL.filename, home / f'{SMALL.filename}.part'
        before = tree(home)
        part.with_name(f'{part.name}.json').write_text('{}')
        (home / f'.{FOLDER}.extracting' / 'old').mkdir(parents=True)
        if not renamed:
            archive.rename(part)
        bring(url='file:///nowhere')
        assert tree(home) == before

    def test_without_md5_takes_what_is_there(self, bring, home, source):
        home.mkdir()
        (home / SMALL.filename).write_bytes(source.read_bytes())
        bring(url='file:///nowhere', md5=None)
        assert read_folder(home / FOLDER) == FILES

    def test_without_md5_says_what_to_do_about_a_bad_one(self, bring, home):
        home.mkdir()
        (home / SMALL.filename).write_text('<html>')
        with pytest.raises(UserError, match='delete it and run this command again'):
            bring(md5=None)

    def test_with_the_official_md5_refuses_another_size_at_once(self, bring, source):
        with pytest.raises(WrongFile, match=r'the official archive 170,498,071$'):
            bring(md5=SMALL.md5)

    def test_when_interrupted_goes_on_from_there(self, bring, home, source, monkeypatch):
        with monkeypatch.context() as patch:
            patch.setattr(module, '_read_members', interrupt)
            with pytest.raises(KeyboardInterrupt):
                bring()
        assert {path.name for path in home.iterdir()} == {
            f'{SMALL.filename}.part',
            f'.{SMALL.filename}.lock',
        }
        bring()
        assert read_folder(home / FOLDER) == FILES

    def test_says_when_there_is_no_room(self, bring, home, monkeypatch):
        def write(*arguments):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), 'batches.meta')
            yield

        with monkeypatch.context() as patch:
            patch.setattr(module, '_read_members', write)
            with pytest.raises(UserError, match=r'No space left on device \(400 MB are needed\)'):
                bring()
        assert not (home / FOLDER).exists()
        bring()
        assert read_folder(home / FOLDER) == FILES

    def test_says_when_the_folder_cannot_be_made(self, bring, home):
        home.write_text('a file')
        with pytest.raises(Unwritable) as caught:
            bring()
        assert str(home) in str(caught.value)
        assert '\n' not in str(caught.value)

    @pytest.mark.skipif(os.geteuid() == 0, reason='root may write everywhere')
    def test_in_a_read_only_folder(self, bring, home):
        home.mkdir()
        home.chmod(0o555)
        with pytest.raises(Unwritable, match='Permission denied'):
            bring()
        home.chmod(0o755)
        bring()
        home.chmod(0o555)
        bring()
        home.chmod(0o755)


def interrupt(*arguments):
    raise KeyboardInterrupt
    yield


class TestExtractedFrom:
    def test_is_none_without_a_folder(self, home):
        assert extracted_from(SMALL, home / FOLDER) is None

    @pytest.mark.parametrize(
        'note',
        [
            '',
            'null',
            '[]',
            '{}',
            '{"archive": "x"}',
            '{"archive": "x", "files": {}}',
            '{"archive": "x", "files": {"../../etc/passwd": "x"}}',
        ],
    )
    def test_is_none_for_a_bad_note(self, bring, home, note):
        bring()
        assert extracted_from(SMALL, home / FOLDER) is not None
        (home / FOLDER / NOTE).write_text(note)
        assert extracted_from(SMALL, home / FOLDER) is None


class TestExtract:
    def test_cifar100_with_its_stray_file(self, unpack, tmp_path):
        files = {'train': b'a', 'test': b'b', 'meta': b'c', 'file.txt~': b''}
        archive = ARCHIVES['cifar100']
        assert unpack(tar_of(entries_of(files, archive.folder)), archive) == files

    @pytest.mark.parametrize('format', [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT])
    def test_other_formats(self, unpack, format):
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode='w', format=format) as tar:
            for name, data in entries_of(FILES):
                info = tarfile.TarInfo(name)
                info.size = len(data)
                tar.addfile(info, io.BytesIO(data))
        assert unpack(buffer.getvalue()) == FILES

    def test_what_tarfile_makes_of_a_folder(self, unpack, tmp_path):
        folder = tmp_path / 'made' / FOLDER
        folder.mkdir(parents=True)
        for name, data in FILES.items():
            (folder / name).write_bytes(data)
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode='w') as tar:  # extended headers, a folder entry
            tar.add(folder, FOLDER)
        assert unpack(buffer.getvalue()) == FILES

    def test_without_optional_files(self, unpack):
        files = {name: FILES[name] for name in SMALL.required}
        assert unpack(tar_of(entries_of(files))) == files

    @pytest.mark.parametrize('size', [511, 512, 513, 2000])
    def test_sizes_around_a_block(self, unpack, size):
        files = dict.fromkeys(FILES, bytes(size))
        assert unpack(tar_of(entries_of(files))) == files

    @pytest.mark.parametrize(
        ('changed', 'message'),
        [
            ({'test_batch': b''}, 'has 0 bytes'),
            ({'test_batch': bytes(2001)}, 'has 2,001 bytes, not 1 to 2,000'),
            ({'readme.html': bytes(2001)}, 'has 2,001 bytes'),
            ({'data_batch_6': b'x'}, 'does not belong'),
            ({'../../evil': b'x'}, 'does not belong'),
            ({'data_batch_1/x': b'x'}, 'does not belong'),
            ({'./test_batch': b'x'}, 'does not belong'),
        ],
    )
    def test_refuses_a_file(self, unpack, changed, message):
        with pytest.raises(UserError, match=message):
            unpack(tar_of(entries_of(FILES | changed)))

    @pytest.mark.parametrize(
        'name', ['/etc/evil', '../evil', 'evil', f'/{FOLDER}/test_batch', 'new\nline\x1b[31m']
    )
    def test_refuses_a_path(self, unpack, name):
        with pytest.raises(UserError, match='does not belong'):
            unpack(tar_of([(name, b'x'), *entries_of(FILES)]))

    @pytest.mark.parametrize(
        'kind',
        [
            tarfile.LNKTYPE,
            tarfile.SYMTYPE,
            tarfile.CHRTYPE,
            tarfile.BLKTYPE,
            tarfile.FIFOTYPE,
            tarfile.CONTTYPE,
            tarfile.DIRTYPE,
        ],
    )
    def test_refuses_what_is_no_plain_file(self, unpack, kind):
        info = tarfile.TarInfo(f'{FOLDER}/readme.html')
        info.type, info.linkname = kind, '../../evil'
        files = {name: FILES[name] for name in SMALL.required}
        with pytest.raises(UserError, match='not a plain file'):
            unpack(tar_of([(info, b''), *entries_of(files)]))

    def test_refuses_a_sparse_file(self, unpack):
        info = tarfile.TarInfo(f'{FOLDER}/test_batch')
        info.pax_headers = {'GNU.sparse.map': '0,5,1000,5', 'GNU.sparse.realsize': '1005'}
        files = {name: data for name, data in FILES.items() if name != 'test_batch'}
        with pytest.raises(UserError, match='not a plain file'):
            unpack(tar_of([*entries_of(files), (info, bytes(10))]))

    def test_refuses_the_same_file_twice(self, unpack):
        with pytest.raises(UserError, match='twice'):
            unpack(tar_of(entries_of(FILES) * 2))

    @pytest.mark.parametrize('missing', SMALL.required)
    def test_refuses_without_a_file(self, unpack, missing):
        files = {name: data for name, data in FILES.items() if name != missing}
        with pytest.raises(UserError, match=f'has no .*{missing}'):
            unpack(tar_of(entries_of(files)))

    def test_refuses_an_empty_tar(self, unpack):
        with pytest.raises(UserError, match='has no'):
            unpack(tar_of([]))

    def test_refuses_a_bomb_behind_the_members(self, unpack):
        with pytest.raises(UserError, match='unpacks to more than'):
            unpack(tar_of(entries_of(FILES)) + bytes(2_000_000))

    def test_refuses_a_giant_header(self, unpack):
        info = tarfile.TarInfo(f'{FOLDER}/test_batch')
        info.pax_headers = {'comment': 'x' * 20_000}
        with pytest.raises(UserError, match=r'a header of 20,\d\d\d bytes'):
            unpack(tar_of([(info, b'x')]))

    @pytest.mark.parametrize('size', [-512, -1, 8**11 - 1, 2**60])
    def test_refuses_a_size_that_leads_elsewhere(self, unpack, size):
        tar = bytearray(tar_of(entries_of(FILES)))
        field = tarfile.itn(size, 12, tarfile.GNU_FORMAT)
        tar[124:136] = field
        tar[148:156] = b'%06o\0 ' % tarfile.calc_chksums(bytes(tar[:512]))[0]
        with pytest.raises(UserError):
            unpack(bytes(tar))

    def test_refuses_headers_within_headers(self, unpack):
        info = tarfile.TarInfo('x')
        info.type = tarfile.XGLTYPE
        with pytest.raises(UserError):
            unpack(info.tobuf(tarfile.USTAR_FORMAT) * 3000 + tar_of(entries_of(FILES)))

    @pytest.mark.parametrize('size', [1024, 1500])  # on and off the end of a block
    @pytest.mark.parametrize('left', [0, 1, 100, 511, 512, 1000])
    def test_refuses_a_last_member_that_is_cut_off(self, unpack, size, left):
        files = dict.fromkeys(FILES, bytes(size))
        tar = tar_of(entries_of(files))
        begin = 512 + (len(files) - 1) * (512 + -(-size // 512) * 512)
        with pytest.raises(UserError, match='unexpected end of data'):
            unpack(tar[: begin + left])

    def test_goes_forwards_only(self):
        # tarfile of Python < 3.13.6 follows negative sizes backwards, for ever.
        stream = module._Forward(io.BytesIO(b'0123456789'), limit=100)
        stream.seek(5)
        assert stream.read(2) == b'56'
        with pytest.raises(module._Refused, match='begins before'):
            stream.seek(3)

    def test_refuses_a_wrong_checksum(self, tmp_path):
        path = write(tmp_path / 'source.tar.gz', tar_of(entries_of(FILES)))
        data = path.read_bytes()
        path.write_bytes(data[:-8] + bytes(4) + data[-4:])
        with pytest.raises(UserError, match='CRC check failed'):
            extract(SMALL, path, tmp_path / FOLDER, md5='', name=path)
        assert list(tmp_path.iterdir()) == [path]


NAMES = st.sampled_from(
    [
        *(f'{FOLDER}/{name}' for name in FILES),
        FOLDER,
        '..',
        f'{FOLDER}/..',
        '../evil',
        f'{FOLDER}/../../evil',
        '/tmp/evil',
        f'{FOLDER}//test_batch',
        f'{FOLDER}/evil',
        '',
        'a' * 300,
    ]
)
TYPES = st.sampled_from([tarfile.REGTYPE] * 6 + [bytes([c]) for c in b'\x00123456717LKSVNxgX'])


@st.composite
def hostile_entries(draw):
    info = tarfile.TarInfo(draw(NAMES))
    info.type = draw(TYPES)
    info.linkname = draw(st.sampled_from(['', '../../evil', '/etc/passwd', f'{FOLDER}/test_batch']))
    return info, draw(st.binary(max_size=700))


def damaged(data, changes):
    data = bytearray(data)
    for place, bit in changes:
        data[place % len(data)] ^= 1 << bit
    return bytes(data)


def outcome(root, content):
    """Extract `content`; what came, or None after an error that left nothing behind."""
    path = root / 'source.tar.gz'
    path.write_bytes(content)
    folder = root / 'in' / FOLDER
    folder.parent.mkdir()
    try:
        extract(SMALL, path, folder, md5='', name=path)
    except UserError as error:
        assert '\n' not in str(error)
        assert set(root.rglob('*')) == {path, folder.parent}
        return None
    assert {entry.name for entry in root.iterdir()} == {'source.tar.gz', 'in'}
    assert list(folder.parent.iterdir()) == [folder]
    return read_folder(folder)


@settings(max_examples=150)
@given(
    before=st.lists(hostile_entries(), max_size=2),
    after=st.lists(hostile_entries(), max_size=2),
    complete=st.booleans(),
)
def test_hostile_members(tmp_path_factory, before, after, complete):
    files = FILES if complete else {}
    tar = tar_of([*before, *entries_of(files), *after])
    came = outcome(tmp_path_factory.mktemp('tar'), gzip.compress(tar, 1))
    if came is not None:
        assert came.keys() <= FILES.keys()
        assert SMALL.required.keys() <= came.keys()
        assert all(0 <= len(data) <= 2000 for data in came.values())


CHANGES = st.lists(st.tuples(st.integers(0, 2**20), st.integers(0, 7)), max_size=4)
GOOD_TAR = tar_of(entries_of(FILES))


@settings(max_examples=150)
@given(changes=CHANGES, length=st.integers(0, len(GOOD_TAR)) | st.none())
def test_damaged_tars(tmp_path_factory, changes, length):
    """Inside a sound gzip, so that it is for the tar's own checks to find."""
    content = gzip.compress(damaged(GOOD_TAR, changes)[:length], 1)
    came = outcome(tmp_path_factory.mktemp('tar'), content)
    assert came is None or SMALL.required.keys() <= came.keys() <= FILES.keys()


@settings(max_examples=150)
@given(changes=CHANGES, length=st.integers(0, 1 << 12) | st.none())
def test_damaged_gzips(tmp_path_factory, changes, length):
    """Here the checksum sees to it that what comes is what was packed."""
    content = gzip.compress(GOOD_TAR, 1, mtime=0)
    came = outcome(tmp_path_factory.mktemp('tar'), damaged(content, changes)[:length])
    assert came in (None, FILES)


@settings(max_examples=60)
@given(st.binary(max_size=2000))
def test_any_bytes(tmp_path_factory, content):
    assert outcome(tmp_path_factory.mktemp('tar'), content) is None

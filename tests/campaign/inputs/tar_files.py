"""Archives: members of every kind, odd names, sizes and headers; gzip streams that lie."""

import bz2
import gzip
import io
import lzma
import pathlib
import random
import tarfile
import zlib

from campaign.inputs import odd, raw_bytes
from campaign.sandbox import Trial, put

NAME = 'cifar-10-python.tar.gz'
FOLDER = 'cifar-10-batches-py'


def make(rng: random.Random) -> Trial:
    data = pathlib.Path(NAME).read_bytes()
    kind = rng.random()
    if kind < 0.15:
        how, data = raw_bytes.damage(rng, data)
    elif kind < 0.3:
        how, plain = raw_bytes.damage(rng, gzip.decompress(data))
        data = gzip.compress(plain, 1, mtime=0)
    elif kind < 0.45:
        how, data = _gzip(rng, data)
    else:
        how, data = _members(rng)
    put('other.tar.gz', data)
    url = pathlib.Path('other.tar.gz').resolve().as_uri()
    argv = ('download', '--dir', 'new', '--url', url, '--md5', 'skip', '--retries', '0')
    if rng.random() < 0.3:  # put there by hand
        put(NAME, data)
        argv = ('download', '--dir', '.', '--md5', 'skip')
    return Trial(f'tar: {how}', argv, ('other.tar.gz',))


_KINDS = {
    'a link': tarfile.SYMTYPE,
    'a hard link': tarfile.LNKTYPE,
    'a device': tarfile.CHRTYPE,
    'a disk': tarfile.BLKTYPE,
    'a pipe': tarfile.FIFOTYPE,
    'a folder': tarfile.DIRTYPE,
    'contiguous': tarfile.CONTTYPE,
    'sparse': tarfile.GNUTYPE_SPARSE,
    'a long name': tarfile.GNUTYPE_LONGNAME,
    'a long link': tarfile.GNUTYPE_LONGLINK,
    'a header': tarfile.XHDTYPE,
    'a header for all': tarfile.XGLTYPE,
    'old': tarfile.AREGTYPE,
    'unknown': b'Z',
}
_NAMES = (
    *('../../outside/ran', '/tmp/canary', f'{FOLDER}/../../outside/ran', f'./{FOLDER}/test_batch'),
    *(f'{FOLDER}/test_batch/', f'{FOLDER}//test_batch', f'{FOLDER}/x\n\x1b[31my', 'a' * 300, '/'),
    *(f'{FOLDER}/\udcff', f'{FOLDER}/test_batch\0canary', '', '.', f'{FOLDER}/.extracted.json'),
    *('C:\\canary', '~/canary', f'{FOLDER}/' + 'd/' * 2000, 'cifar-10-batches-py '),
)
_PAX = (
    {'path': '../../outside/ran'},
    {'path': f'{FOLDER}/test_batch'},
    {'size': '99999999999999'},
    {'size': '-1'},
    {'size': 'canary'},
    {'linkpath': '../../outside/secret'},
    {'GNU.sparse.major': '1', 'GNU.sparse.minor': '0', 'GNU.sparse.realsize': '100000000000'},
    {'GNU.sparse.map': '0,99999999999', 'GNU.sparse.size': '99999999999'},
    {'GNU.sparse.name': '../../outside/ran', 'GNU.sparse.major': '1', 'GNU.sparse.minor': '0'},
    {'mtime': 'nan'},
    {'mtime': '1e400'},
    {'hdrcharset': 'BINARY'},
    {'uid': '9' * 400},
    {'comment': 'canary ' * 200_000},
    {'charset': '\x1b[31m'},
)


def _members(rng: random.Random) -> tuple[str, bytes]:
    """A tar of the right files, of which some are odd."""
    entries = []
    for path in sorted(pathlib.Path(FOLDER).glob('[bdt]*')):
        info = tarfile.TarInfo(f'{FOLDER}/{path.name}')
        content = path.read_bytes()
        info.size = len(content)
        entries.append((info, content))
    how = ''
    for _ in range(rng.choice([1, 1, 2])):
        place = rng.randrange(len(entries))
        info, content = entries[place]
        way = rng.choice(['kind', 'name', 'pax', 'size', 'twice', 'gone', 'more', 'fields'])
        how = way
        if way == 'kind':
            how = rng.choice(list(_KINDS))
            info.type = _KINDS[how]
            info.linkname = rng.choice(['../../outside/secret', '/etc/passwd', info.name, ''])
        elif way == 'name':
            info.name = rng.choice(_NAMES)
        elif way == 'pax':
            info.pax_headers = dict(rng.choice(_PAX))
        elif way == 'size':
            info.size = rng.choice([0, 1, len(content) * 2, 2**33 - 1, 39_999_999])
        elif way == 'twice':
            entries.insert(rng.randrange(len(entries)), (info, b'canary'.ljust(info.size)))
        elif way == 'gone':
            del entries[place]
        elif way == 'more':
            other = tarfile.TarInfo(rng.choice([*_NAMES, f'{FOLDER}/canary.py']))
            other.type = rng.choice(list(_KINDS.values()))
            other.linkname = '../../outside/secret'
            entries.insert(place, (other, b''))
        else:
            info.mode, info.uid, info.mtime = rng.choice([(0o7777, 2**31, 0), (0, 0, 2**40)])
            info.uname = odd.text(rng).encode('utf-8', 'replace').decode()[:20]
    form = rng.choice([tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
    return how, gzip.compress(_tar(rng, entries, form), 1, mtime=0)


def _tar(rng: random.Random, entries: list[tuple[tarfile.TarInfo, bytes]], form: int) -> bytes:
    stream = io.BytesIO()
    for info, content in entries:
        for kind in (form, tarfile.PAX_FORMAT, tarfile.GNU_FORMAT):
            try:
                head = info.tobuf(kind, 'utf-8', 'surrogateescape')
                break
            except ValueError:  # this format has no room for it
                head = tarfile.TarInfo('odd').tobuf()
        if rng.random() < 0.05:
            head = raw_bytes.damage(rng, head)[1]
        stream.write(head + content + bytes(-len(content) % 512))
    return stream.getvalue() + bytes(1024)


def _gzip(rng: random.Random, data: bytes) -> tuple[str, bytes]:
    plain = gzip.decompress(data)
    ways = {
        'not packed': lambda: plain,
        'of bzip2': lambda: bz2.compress(plain),
        'of xz': lambda: lzma.compress(plain),
        'packed twice': lambda: gzip.compress(data, mtime=0),
        'in two parts': lambda: (
            gzip.compress(plain[:5000], 1, mtime=0) + gzip.compress(plain[5000:], 1, mtime=0)
        ),
        'with junk after': lambda: data + b'canary' * 100,
        'with a wrong checksum': lambda: data[:-8] + b'\0\1\2\3' + data[-4:],
        'with a wrong length': lambda: data[:-4] + b'\xff\xff\xff\xff',
        'of zeros': lambda: gzip.compress(bytes(10**6), mtime=0),
        'a bomb': _bomb,
        'empty': lambda: gzip.compress(b'', mtime=0),
        'text': lambda: b'<html>canary</html>',
        'a zip': lambda: b'PK\3\4' + data,
        'with a long name': lambda: (
            b'\x1f\x8b\x08\x08' + bytes(6) + b'a' * 100_000 + b'\0' + data[10:]
        ),
    }
    way = rng.choice(list(ways))
    return way, ways[way]()


def _bomb(megabytes: int = 5000) -> bytes:
    """A member with the right name that has gigabytes of zeros."""
    info = tarfile.TarInfo(f'{FOLDER}/data_batch_1')
    info.size = min(megabytes * 2**20, 8**11 - 1)
    pack = zlib.compressobj(9, zlib.DEFLATED, 31)
    first = pack.compress(info.tobuf()) + pack.flush(zlib.Z_FULL_FLUSH)
    block = pack.compress(bytes(2**20)) + pack.flush(zlib.Z_FULL_FLUSH)
    return first + block * megabytes + pack.flush()

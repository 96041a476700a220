"""Pictures of every format that Pillow writes, in every mode, damaged and under other names."""

import io
import random
import struct
import zlib

import numpy as np
from PIL import Image

from campaign.inputs import odd, raw_bytes
from campaign.sandbox import Trial, put

_MODES = ('1', 'L', 'P', 'RGB', 'RGBA', 'CMYK', 'YCbCr', 'LAB', 'HSV', 'I', 'F', 'I;16', 'LA', 'PA')
_SIZES = ((12, 9), (1, 1), (1, 700), (700, 1), (8, 8), (257, 3), (64, 64), (1500, 1000))
_OPTIONS: dict[str, list[dict]] = {
    'TIFF': [
        {'compression': c} for c in ('raw', 'tiff_lzw', 'jpeg', 'tiff_adobe_deflate', 'group4')
    ],
    'PNG': [{}, {'compress_level': 0}, {'optimize': True}],
    'JPEG': [
        {},
        {'progressive': True},
        {'quality': 100, 'subsampling': 0},
        {'exif': b'Exif\0\0MM'},
    ],
    'WEBP': [{}, {'lossless': True}],
    'GIF': [{}, {'save_all': True, 'append_images': [Image.new('L', (5, 5))], 'loop': 2**16 - 1}],
}


def make(rng: random.Random) -> Trial:
    how, data = draw(rng)
    form = how.partition(' ')[0]
    end = f'.{form.lower()}' if form in Image.SAVE else '.png'
    end = {'.jpeg2000': '.jp2', '.jpeg': '.jpg'}.get(end, end)
    end = rng.choice([end, *_ENDS])
    name = f'pictures/c/x{end}'
    put(name, data)
    argv = rng.choice(
        [
            *[('predict', 'run', name)] * 5,
            ('predict', 'run', 'pictures', '--format', rng.choice(['csv', 'json', 'table'])),
            (
                'dataset',
                'pictures',
                '--size',
                '8',
                '--out',
                'new',
                '-j',
                '1',
                *_FIT[rng.randrange(3)],
            ),
        ]
    )
    return Trial(f'picture: {how}', argv, (name,))


def draw(rng: random.Random) -> tuple[str, bytes]:
    """What was done to which kind of picture, and the bytes of it."""
    if rng.random() < 0.15:
        how, made = rng.choice(list(_CRAFTED.items()))
        return how, made(rng)
    how, data = _picture(rng)
    if rng.random() < 0.8:
        way, data = raw_bytes.damage(rng, data)
        how = f'{how}, {way}'
    return how, data


_ENDS = ('.png', '.jpg', '.tif', '.eps', '.gif')
_FIT = (('--fit', 'pad'), ('--fit', 'squash', '--grey'), ())


def _picture(rng: random.Random) -> tuple[str, bytes]:
    """A picture in some format; formats know some modes only."""
    Image.init()
    for _ in range(50):
        form = rng.choice(sorted(Image.SAVE))
        mode, size = rng.choice(_MODES), rng.choice(_SIZES)
        options = rng.choice(_OPTIONS.get(form, [{}]))
        noise = np.frombuffer(rng.randbytes(size[0] * size[1] * 3), np.uint8)
        image = Image.fromarray(noise.reshape(size[1], size[0], 3))
        stream = io.BytesIO()
        try:
            image = _in_mode(image, mode)
            if rng.random() < 0.1:
                exif = Image.Exif()
                exif[0x0112] = rng.choice([0, 3, 6, 8, 9, 65535])
                exif[0x010E] = odd.text(rng)
                options = {**options, 'exif': exif}
            image.save(stream, form, **options)
        except Exception:  # not of this mode or size
            continue
        return f'{form} {mode} {size[0]}x{size[1]}', stream.getvalue()
    return 'BMP', b'BM'


def _in_mode(image: Image.Image, mode: str) -> Image.Image:
    if mode == 'LAB':
        return Image.fromarray(np.asarray(image), 'RGB').convert('YCbCr')
    if mode == 'I;16':
        return Image.fromarray(np.asarray(image.convert('L')).astype(np.uint16) * 257)
    return image.convert('L').convert(mode) if mode in ('LA', 'PA') else image.convert(mode)


def _png(*chunks: tuple[bytes, bytes]) -> bytes:
    found = b'\x89PNG\r\n\x1a\n'
    for kind, content in chunks:
        found += struct.pack('>I', len(content)) + kind + content
        found += struct.pack('>I', zlib.crc32(kind + content))
    return found


def _huge_png(rng: random.Random) -> bytes:
    size = rng.choice([(2**31 - 1, 1), (100_000, 100_000), (9000, 9000), (0, 5), (30_000, 2900)])
    bits, colour = rng.choice([(8, 2), (16, 6), (1, 0), (8, 3), (3, 7)])
    head = struct.pack('>2I5B', *size, bits, colour, 0, 0, rng.choice([0, 1]))
    body = rng.choice([b'', zlib.compress(bytes(10**6))])
    return _png((b'IHDR', head), (b'IDAT', body), (b'IEND', b''))


def _text_png(rng: random.Random) -> bytes:
    head = struct.pack('>2I5B', 4, 4, 8, 2, 0, 0, 0)
    bomb = b'canary\0\0' + zlib.compress(bytes(300 * 10**6))
    kind = rng.choice([b'zTXt', b'iTXt', b'iCCP', b'eXIf', b'acTL', b'fcTL', b'PLTE', b'tRNS'])
    content = rng.choice(
        [bomb, b'', b'\xff' * 100, b'canary\0\1\0\0\0' + zlib.compress(bytes(10**6))]
    )
    rows = zlib.compress((b'\0' + bytes(12)) * 4)
    return _png((b'IHDR', head), (kind, content), (b'IDAT', rows), (b'IEND', b''))


def _postscript(rng: random.Random) -> bytes:
    return (
        b'%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n'
        b'(%pipe%touch ../outside/ran # canary) (w) file closefile\n'
        b'(../outside/secret) (r) file pop showpage\n%%EOF\n'
    )


def _tiff(rng: random.Random) -> bytes:
    """A directory of odd tags, perhaps in a circle."""
    tags = []
    for _ in range(rng.choice([1, 5, 12])):
        tag = rng.choice([256, 257, 258, 259, 262, 273, 277, 278, 279, 320, 330, 34665, 700, 33432])
        kind, count = (
            rng.choice([1, 2, 3, 4, 5, 7, 11, 12, 99]),
            rng.choice([0, 1, 4, 2**20, 2**32 - 1]),
        )
        tags.append(
            struct.pack('<2HII', tag, kind, count, rng.choice([0, 1, 8, 64, 2**31, 2**32 - 1]))
        )
    following = rng.choice([0, 8, 2**31])
    return (
        b'II*\0\x08\0\0\0'
        + struct.pack('<H', len(tags))
        + b''.join(tags)
        + struct.pack('<I', following)
    )


def _gif(rng: random.Random) -> bytes:
    size = rng.choice([(65535, 65535), (0, 0), (1, 1), (5000, 5000)])
    frame = b',' + struct.pack('<4HB', 0, 0, *rng.choice([(65535, 65535), (1, 1), (0, 0)]), 0)
    return b'GIF89a' + struct.pack('<2H3B', *size, 0x80, 0, 0) + bytes(6) + frame + b'\2\2L\1\0;'


def _text(rng: random.Random) -> bytes:
    return rng.choice(
        [
            b'#define x_width 99999\n#define x_height 99999\nstatic char x_bits[] = {0};',
            b'/* XPM */\nstatic char *x[] = {"4000000 4000000 2 1","a c #000000","b c #fff","ab"};',
            b'P6\n99999999 99999999\n255\n',
            b'P5 1 1 99999999999999999999 \0',
            b'P1\n3 3\n# canary\n0 1 x',
            b'Pf\n3 3\n-1.0\n' + bytes(36),
            b'Py1\n' + bytes(40),
            b'<svg xmlns="http://www.w3.org/2000/svg"><image href="../outside/secret"/></svg>',
            b'%PDF-1.4\n1 0 obj<</S/JavaScript/JS(canary)>>endobj',
            b'<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]><x>&e;</x>',
        ]
    )


_CRAFTED = {
    'a huge PNG': _huge_png,
    'a PNG of odd chunks': _text_png,
    'PostScript': _postscript,
    'an odd TIFF': _tiff,
    'an odd GIF': _gif,
    'text': _text,
    'nothing': lambda rng: b'',
    'noise': lambda rng: rng.randbytes(rng.choice([10, 5000])),
    'a head alone': lambda rng: rng.choice(_HEADS),
    'a head and noise': lambda rng: rng.choice(_HEADS) + rng.randbytes(500),
}
_HEADS = (
    *(
        b'\x89PNG\r\n\x1a\n',
        b'\xff\xd8\xff\xe0',
        b'GIF89a',
        b'BM',
        b'II*\0',
        b'MM\0*',
        b'RIFF\xff\0\0\0WEBP',
    ),
    *(
        b'\0\0\1\0\1\0',
        b'icns\0\0\xff\xff',
        b'8BPS\0\1',
        b'DDS \x7c\0\0\0',
        b'qoif',
        b'\x01\xda\x01\x01',
    ),
    *(b'\x0a\x05\x01\x08', b'\0\0\0\x0cjP  \r\n\x87\n', b'\xff\x4f\xff\x51', b'\0\0\0\x20ftypavif'),
    *(
        b'/* XPM */',
        b'#define ',
        b'FLIF',
        b'SIMPLE  =',
        b'\xd7\xcd\xc6\x9a',
        b'GRIB',
        b'BUFR',
        b'\x89HDF',
    ),
    *(
        b'\0\0\2\0\0\0\0\0',
        b'II+\0\x08\0',
        b'\xc5\xd0\xd3\xc6',
        b'BLP2',
        b'FTEX',
        b'\xb1\x68\xde\x3a',
    ),
)

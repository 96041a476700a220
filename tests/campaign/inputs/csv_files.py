"""Listings and labels: odd delimiters, quotes, columns, paths and encodings."""

import pathlib
import random

from campaign.inputs import odd, raw_bytes
from campaign.sandbox import Trial, put

READERS: dict[str, tuple[tuple[str, ...], ...]] = {
    'listing.csv': (
        ('dataset', 'listing.csv', '--size', '8', '--out', 'new', '-j', '1'),
        ('fit', 'listing.csv', '--minutes', '0.01', '--size', '8', '--init', 'none', '--name', 'x'),
    ),
    'labels.csv': (('predict', 'run', 'pictures', '--labels', 'labels.csv'),),
    'flags.txt': (('train', '@flags.txt', '--dry_run', '-d', 'dataset/image_raw.pkl'),),
}
_WEIGHTS = (6, 6, 2)


def make(rng: random.Random) -> Trial:
    (name,) = rng.choices(list(READERS), _WEIGHTS)
    data = pathlib.Path(name).read_bytes()
    if rng.random() < 0.2:
        how, data = raw_bytes.damage(rng, data)
    else:
        how, data = _change(rng, data.decode())
    put(name, data)
    readers = READERS[name]
    argv = readers[0] if rng.random() < 0.95 else readers[-1]  # fit trains, which takes long
    return Trial(f'csv: {name}: {how}', argv, (name,), names_outside=True, asks_for_much=True)


def _change(rng: random.Random, text: str) -> tuple[str, bytes]:
    lines = [line.split(',') for line in text.splitlines()]
    how = ''
    for _ in range(rng.choice([1, 1, 2, 3])):
        row = rng.choice(lines)
        way = rng.choice(
            ['cell', 'cell', 'path', 'less', 'more', 'column', 'twice', 'swap', 'head']
        )
        how = way
        if way == 'cell' and row:
            row[rng.randrange(len(row))] = odd.text(rng)
        elif way == 'path' and row:
            row[0] = rng.choice(_PATHS)
        elif way == 'less' and len(row) > 1:
            del row[rng.randrange(len(row))]
        elif way == 'more':
            row.insert(rng.randrange(len(row) + 1), odd.text(rng))
        elif way == 'column':
            name = rng.choice(['split', 'group', 'label', 'path', 'x', '', 'Split ', 'GROUP'])
            words = rng.choice([['train', 'valid', 'test'], ['1', '2'], ['', 'x'], [odd.text(rng)]])
            for number, line in enumerate(lines):
                line.append(rng.choice(words) if number else name)
        elif way == 'twice':
            lines.insert(rng.randrange(len(lines)), row)
        elif way == 'swap':
            rng.shuffle(lines)
        elif way == 'head':
            lines[0][:] = rng.choice(
                [['label', 'path'], ['Path', ' Label '], ['path'], [], ['a', 'b']]
            )
    mark = rng.choice([',', ',', ',', ';', '\t', '|', ', ', ' '])
    end = rng.choice(['\n', '\n', '\r\n', '\r', '\n\n', '\x0b'])
    quote = rng.choice(['', '', '"', '""', "'"])
    whole = end.join(mark.join(f'{quote}{cell}{quote}' for cell in line) for line in lines)
    return how, _as_bytes(rng, whole)


def _as_bytes(rng: random.Random, text: str) -> bytes:
    kind = rng.random()
    if kind < 0.7:
        return text.encode('utf-8', 'surrogateescape' if '\ud800' not in text else 'surrogatepass')
    if kind < 0.75:
        return text.encode(
            rng.choice(['utf-16', 'latin-1', 'cp932', 'utf-8-sig', 'utf-7']), 'replace'
        )
    odd_texts = {
        'a long cell': text + 'x' * 200_000,
        'a quote without end': text.replace(',', ',"', 1),
        'many lines': text + '\n'.join(f'pictures/c/{i}.png,c' for i in range(20_000)),
        'many columns': 'path,label' + ',x' * 20_000 + '\n' + text,
        'a zero byte': text.replace(',', ',\0', 3),
        'formulas': text.replace(',', ',=cmd|"/c canary"!A1', 3),
        'empty': '',
        'the head only': text.partition('\n')[0],
        'no head': text.partition('\n')[2],
    }
    return odd_texts[rng.choice(list(odd_texts))].encode('utf-8', 'surrogatepass')


_PATHS = (
    *('../outside/secret', '/etc/passwd', '/dev/zero', '/dev/null', 'pictures', '.', '', '~', '-'),
    *('pictures/c/../c/00.png', './pictures/c/00.png', 'pictures//c/00.png', 'dataset/image.pkl'),
    *('http://localhost:1/x.png', 'file:///etc/passwd', 'a' * 300, 'a/' * 3000, '\x1b[31m.png'),
    *('@flags.txt', '$(touch ../outside/ran)', 'models/run/best.npz', 'pictures/c/00.png\n'),
)

"""Flags of every command: odd values, twice, without a value, mistyped, in odd letters."""

import argparse
import importlib
import itertools
import random

from campaign.inputs import odd
from campaign.inputs.world import TRAIN
from campaign.sandbox import Trial

_NET = ('-m', 'residual', '--res_depth', '1')
LINES: tuple[tuple[str, ...], ...] = (
    (*TRAIN, '--dry_run', '-d', 'dataset/image_raw.pkl'),
    ('train', '--list_recipes'),
    ('train', '--resume', '-p', 'run'),
    ('summary', *_NET),
    ('summary', 'run'),
    ('compare', 'run'),
    ('report', 'run'),
    ('predict', 'run', 'pictures/c/00.png'),
    ('predict', 'run', '--first', '2'),
    ('evaluate', 'run', '--limit', '4'),
    ('visualize', 'run', '--only', 'filters'),
    ('dataset', 'pictures', '--size', '8', '--out', 'new', '-j', '1'),
    ('dataset', '--dir', '.', '--only', 'raw', '--out', 'new'),
    ('download', '--dir', '.', '--md5', 'skip', '--retries', '0'),
    ('export', 'run', '--onnx', 'new.onnx'),
    ('fit', 'pictures', '--name', 'fitted', '--size', '8', '--init', 'none', '--minutes', '0.01'),
)
# Such a command takes seconds, or as long as it is told to.
_WEIGHTS = (8, 1, 2, 8, 2, 1, 1, 3, 2, 1, 2, 3, 2, 3, 1, 1)


def make(rng: random.Random) -> Trial:
    (line,) = rng.choices(LINES, _WEIGHTS)
    words = list(line)
    done = ''
    for _ in range(rng.choice([1, 1, 2, 3])):
        done = _change(rng, words)
    words = [word.replace('\0', '\\0') for word in words]  # no command line can hold it
    words = [
        word.encode('utf-8', 'surrogatepass').decode('utf-8', 'surrogateescape') for word in words
    ]
    if words[0] == 'train' and not any(word.startswith('--iter') for word in words):
        words += ['--iter', '1']  # not 300
    return Trial(
        f'{words[0]}: {done}', tuple(words), names_outside=True, asks_for_much=True, fetches=True
    )


def _change(rng: random.Random, words: list[str]) -> str:
    places = range(1, len(words))
    way = rng.choice(['flag', 'flag', 'flag', 'flag', 'value', 'word', 'less', 'twice', 'mistyped'])
    if way == 'flag':
        action = rng.choice(_actions(words[0]))
        flag = rng.choice(action.option_strings)
        if action.nargs == 0:
            words.append(flag)
            return flag
        value = _value(rng, action)
        words += [f'{flag}={value}'] if rng.random() < 0.5 and flag[1] == '-' else [flag, value]
        return f'{flag} {ascii(value)[:60]}'
    if not places:
        words.append(odd.text(rng))
        return 'a word'
    place = rng.choice(places)
    if way == 'value':
        words[place] = _any(rng)
    elif way == 'word':
        words.insert(place, odd.text(rng))
    elif way == 'less':
        del words[place]
    elif way == 'twice':
        words.insert(place, words[place])
    else:
        letters = list(words[place])
        rng.shuffle(letters)
        words[place] = ''.join(letters)
    return way


def _actions(name: str) -> list[argparse.Action]:
    """The flags of a command, which its parser knows when it parses."""
    if name not in _FLAGS:
        found: list[argparse.ArgumentParser] = []
        module = importlib.import_module(f'chainer_cifar.commands.{name}')
        parse = getattr(module, '_parser', None) or module.parse
        original = argparse.ArgumentParser.parse_known_args

        class Found(Exception):
            pass

        def keep(self: argparse.ArgumentParser, *_: object, **__: object) -> None:
            found.append(self)
            raise Found

        argparse.ArgumentParser.parse_known_args = keep  # type: ignore[method-assign,assignment]
        try:
            made = parse(name) if parse.__name__ == '_parser' else parse([], name)
            found.append(made)
        except Found:
            pass
        finally:
            argparse.ArgumentParser.parse_known_args = original  # type: ignore[method-assign]
        _FLAGS[name] = [a for a in found[0]._actions if a.option_strings and _is_quick(a)]
    return _FLAGS[name]


_FLAGS: dict[str, list[argparse.Action]] = {}


def _is_quick(action: argparse.Action) -> bool:
    """Leave out what makes a command train, or start processes, however long it likes."""
    long = ('--find_lr', '--overwrite', '--seeds', '--processes', '--minutes', '--url', '--corrupt')
    return not set(action.option_strings) & set(long)


def _value(rng: random.Random, action: argparse.Action) -> str:
    kind = getattr(action.type, '__name__', 'str')
    if rng.random() < 0.5 and kind in ('int', 'float'):
        return str(rng.choice([-1, 0, 1, 2, 3, 10, 17, 100, 1000, 0.5, 0.99, 1e-3, 1e3]))
    if rng.random() < 0.3 and action.default is not argparse.SUPPRESS:
        return str(action.default)
    return _any(rng)


def _any(rng: random.Random) -> str:
    kind = rng.random()
    if kind < 0.3:
        number = odd.number(rng)
        return str(number) if not isinstance(number, int) or abs(number) < 10**50 else '9' * 500
    if kind < 0.6:
        return odd.text(rng)
    if kind < 0.8:
        return rng.choice(_WORDS)
    steps = (f'{rng.choice(_WORDS)}({rng.choice(_ARGUMENTS)})' for _ in range(30))
    return '|'.join(itertools.islice(steps, rng.choice([1, 2, 30])))


_ARGUMENTS = ('', '1', '-1', 'nan', '1e400', 'a=1', '999999999', '0.5', '1,2,3', 'none')
_WORDS = (
    *(
        'crop',
        'mirror',
        'shift',
        'cutout',
        'rotate',
        'mixup',
        'cutmix',
        'warmup',
        'cosine',
        'decay',
    ),
    *('step', 'plateau', 'ema', 'swa', 'sgd', 'adam', 'imagenet', 'none', 'unit', 'channel', 'raw'),
    *(
        'mean',
        'zca',
        'chainer',
        'onednn',
        'auto',
        'loss',
        'sampler',
        'train',
        'valid',
        'test',
        'mirror',
    ),
    *(
        'models/run',
        'run',
        'several',
        'w.h5',
        'model.onnx',
        'dataset/image.pkl',
        'dataset/label.pkl',
    ),
    *(
        'csv',
        'json',
        'table',
        'markdown',
        'x.png',
        'x.csv',
        'residual',
        'pyramid',
        'vgg',
        'conv*',
        '*',
    ),
    *('dataset/own/image_raw', 'dataset/own/label.pkl', 'pictures', 'labels.csv', 'cam', 'batch'),
)

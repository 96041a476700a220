"""Compare the files below a folder with those of an undisturbed run, all but the times in them."""

import json
import pathlib
import re
import zipfile
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from PIL import Image

import runs
from campaign.part import Broke
from chainer_cifar.data import pickles
from chainer_cifar.runs import EVENTS, TENSORBOARD
from chainer_cifar.search import journal
from chainer_cifar.training import tensorboard

WRITTEN = ('dataset', 'models', 'results', 'out')  # the folders that commands write
# The revision and the path of the program, too, are none of the result.
TIMES = ('seconds', 'images_per_second', 'elapsed', 'git', 'command')
# What a user's own next run does away with, or needs.
_PASSING = re.compile(r'\.lock|\..*\.lock')
_SNAPSHOT = re.compile(r'snapshot-\d+\.npz')


def files(folder: pathlib.Path) -> Iterator[pathlib.Path]:
    """Every file below the folders that commands write, but locks."""
    for name in WRITTEN:
        for path in sorted((folder / name).rglob('*')):
            if path.is_file() and not _PASSING.fullmatch(path.name):
                yield path


def content(folder: pathlib.Path) -> dict[str, Any]:
    """What is in each file, in a form that two equal runs have in common.

    Of each run's snapshots only the newest counts: a stopped run has others before it.
    """
    found = {}
    for path in files(folder):
        if path.match(f'{TENSORBOARD}/{EVENTS}'):
            # A resumed run has written several, which TensorBoard shows as one.
            together = found.setdefault(str(path.parent.relative_to(folder)), set())
            together |= set(_events(path))
            continue
        snapshot = _SNAPSHOT.fullmatch(path.name)
        if not snapshot or path == max(path.parent.glob('snapshot-*.npz')):
            found[str(path.relative_to(folder))] = _read(path)
    return found


def _read(path: pathlib.Path) -> Any:
    if path.suffix == '.npz':
        # Of a snapshot without the times; the order of names in weights is by chance.
        arrays = runs.state(path)
        return {name: (str(array.dtype), array.tobytes()) for name, array in arrays.items()}
    if path.suffix == '.json':
        return without_times(json.loads(path.read_text(encoding='utf-8')))
    if path.suffix == '.jsonl':
        return _trials(path)
    if path.suffix == '.html':
        return path.read_text(encoding='utf-8').count('<')
    if path.suffix == '.txt':
        text = path.read_text(encoding='utf-8')
        # The program of a command to type, which depends on how it was started.
        text = re.sub(r'^  .*\btrain(\.py)? ', '  train ', text, flags=re.MULTILINE)
        # Of a summary of seeds the last column, of a report the speed.
        lines = re.sub(r'[\d.,]+ images/s|( +[\d.]+( ± [\d.]+)?)$', '', text, flags=re.MULTILINE)
        return [line.split() for line in lines.splitlines()]  # columns are as wide as the times
    return path.read_bytes()


def _events(path: pathlib.Path) -> Iterator[tuple[int, str, bytes]]:
    """What an event file of TensorBoard shows: step, name and value, but for the speed."""
    for event, _ in tensorboard.events(path):
        for value in event.summary.value:
            if value.tag != tensorboard.SPEED:
                # The flags are within it as bytes, in an order by chance: their number must do.
                content = value.SerializeToString()
                flags = value.tag.startswith('_hparams_')
                yield event.step, value.tag, str(len(content)).encode() if flags else content


def _trials(path: pathlib.Path) -> Any:
    """The trials of a search's journal; its lines also tell who wrote them, and when."""
    study = journal.open_study(path, begin=False)
    return [
        (trial.state.name, trial.params, trial.values, trial.intermediate_values)
        for trial in study.get_trials()
    ]


def progress(folder: pathlib.Path) -> dict[str, int]:
    """How far each run has come: the iteration of its newest snapshot, by its folder."""
    found: dict[str, int] = {}
    for path in files(folder):
        if _SNAPSHOT.fullmatch(path.name):
            name, number = str(path.parent.relative_to(folder)), int(path.stem.partition('-')[2])
            found[name] = max(found.get(name, 0), number)
    return found


def without_times(value: Any) -> Any:
    """Leave the times out of what JSON holds."""
    if isinstance(value, dict):
        return {key: without_times(v) for key, v in value.items() if key not in TIMES}
    if isinstance(value, list):
        return [without_times(each) for each in value]
    return value


def require_same(folder: pathlib.Path, truth: dict[str, Any]) -> None:
    """Raise Broke unless `content(folder)` is `truth`."""
    found = content(folder)
    for name in sorted(truth.keys() - found.keys()):
        raise Broke(f'{name} is missing')
    for name in sorted(found.keys() - truth.keys()):
        raise Broke(f'{name} was left behind')
    for name, value in truth.items():
        if found[name] != value:
            raise Broke(f'{name} differs from that of an undisturbed run')
    for name in WRITTEN:
        for path in (folder / name).rglob('*'):
            if path.is_dir() and not any(path.iterdir()):
                raise Broke(f'{path.relative_to(folder)}: an empty folder was left behind')


def require_either(folder: pathlib.Path, older: dict[str, Any], new: dict[str, Any]) -> None:
    """Raise Broke unless each file of `older` is there as it was, or as it is in `new`."""
    found = content(folder)
    for name, value in older.items():
        if name not in found and name in new:
            raise Broke(f'{name} is gone, the older one and the new one')
        if name in found and found[name] not in (value, new.get(name)):
            raise Broke(f'{name} is neither the older one nor the new one')


def require_finished(folder: pathlib.Path, older: dict[str, Any], new: dict[str, Any]) -> None:
    """Raise Broke if a file that `require_whole` cannot read is neither the older one nor the new.

    Such a file, as an archive or a graph of ONNX, is written at once; but a journal grows, and a
    lock comes and goes.
    """
    for path in files(folder):
        name = str(path.relative_to(folder))
        if path.suffix in (*_CHECKS, '.jsonl', '.lock') or name not in new:
            continue
        if _read(path) not in (new[name], older.get(name)):
            raise Broke(f'{name} is half-written')


def require_whole(folder: pathlib.Path) -> None:
    """Raise Broke if a file that has its final name cannot be read to its end."""
    for path in files(folder):
        inside = path.relative_to(folder).parts
        if any(part.startswith('.') for part in inside) or '.part' in path.name:
            continue
        check = _CHECKS.get(path.suffix)
        if check is None:
            continue
        try:
            check(path)
        except Exception as error:
            raise Broke(f'{path.relative_to(folder)} is half-written: {error}') from None


def _whole_zip(path: pathlib.Path) -> None:
    with zipfile.ZipFile(path) as file:
        damaged = file.testzip()
    if damaged:
        raise ValueError(f'{damaged} in it is damaged')


def _whole_picture(path: pathlib.Path) -> None:
    with Image.open(path) as picture:
        picture.load()


def _whole_page(path: pathlib.Path) -> None:
    if not path.read_text(encoding='utf-8').rstrip().endswith('</html>'):
        raise ValueError('it has no end')


def _whole_table(path: pathlib.Path) -> None:
    if not path.read_text(encoding='utf-8').endswith('\n'):
        raise ValueError('it ends inside of a line')


_CHECKS: dict[str, Callable[[pathlib.Path], Any]] = {
    '.npz': _whole_zip,
    '.npy': lambda path: np.load(path, allow_pickle=False),
    '.png': _whole_picture,
    '.json': lambda path: json.loads(path.read_text(encoding='utf-8')),
    '.html': _whole_page,
    '.csv': _whole_table,
    '.txt': _whole_table,
    '.pkl': lambda path: pickles.load(path),
}

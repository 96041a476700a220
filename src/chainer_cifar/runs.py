"""The folders of a run: every path and file name in them, how a run is found, and config.json.

The run NAME has two folders: results/NAME holds what is read (log, curves, reports, pictures), and
models/NAME what is loaded again (weights, snapshots). config.json lies in both and tells what the
run is and was made of; input.npz beside the weights tells what is done to a new picture.

The same run for several seeds is the runs NAME/seed1, NAME/seed2 …; then results/NAME holds
seeds.json instead of config.json, and what comes out of them together.
"""

import contextlib
import dataclasses
import json
import os
import pathlib
import re

import filelock

from chainer_cifar.config import FORMAT
from chainer_cifar.errors import UserError
from chainer_cifar.files import atomic_write
from chainer_cifar.registry import nearest

MODELS, RESULTS = pathlib.Path('models'), pathlib.Path('results')

CONFIG = 'config.json'

# Under models/.
WEIGHTS = 'best.npz'  # of the best epoch; see training/log.py
EPOCH_WEIGHTS = 'epoch-{:04d}.npz'
SNAPSHOT = 'snapshot-{:08d}.npz'  # the number of iterations
INPUT_TRANSFORM = 'input.npz'

# Under results/.
LOG, LOG_JSON, SUMMARY = 'log.csv', 'log.json', 'summary.json'
SEEDS, SEEDS_TABLE = 'seeds.json', 'summary.txt'  # of a run with several seeds
PAGE = 'report.html'
LOSS_CURVE, ERROR_CURVE = 'loss.png', 'error.png'  # see figures.curves
REPORT, CONFUSION = 'report', 'confusion'  # how the names of what `evaluate` writes begin
PICTURES = ('filters', 'activations', 'mistakes', 'batch')  # … of what `visualize` draws

# Patterns of everything that belongs to a run, and so of what --overwrite deletes.
SNAPSHOTS = 'snapshot-*.npz'
_FILES = {
    RESULTS: (
        *(CONFIG, LOG, LOG_JSON, LOSS_CURVE, ERROR_CURVE, SUMMARY, SEEDS, SEEDS_TABLE, PAGE),
        *(f'{REPORT}-*.txt', f'{REPORT}-*.json', f'{CONFUSION}-*.png'),
        *(f'{name}*.png' for name in PICTURES),
    ),
    MODELS: (WEIGHTS, 'epoch-*.npz', SNAPSHOTS, INPUT_TRANSFORM, CONFIG),
}

_SNAPSHOT_NAME = re.compile(r'snapshot-(\d+)\.npz')
_SEED_FOLDER = re.compile(r'seed\d+')


@dataclasses.dataclass(frozen=True)
class RunFolder:
    """The two folders of the run `name`, which is its ``--prefix``; they need not be there."""

    name: str

    @property
    def results(self) -> pathlib.Path:
        return RESULTS / self.name

    @property
    def models(self) -> pathlib.Path:
        return MODELS / self.name

    @property
    def config(self) -> pathlib.Path:
        return self.results / CONFIG

    @property
    def log(self) -> pathlib.Path:
        return self.results / LOG

    @property
    def log_json(self) -> pathlib.Path:
        return self.results / LOG_JSON

    @property
    def summary(self) -> pathlib.Path:
        return self.results / SUMMARY

    @property
    def seeds(self) -> pathlib.Path:
        return self.results / SEEDS

    @property
    def seeds_table(self) -> pathlib.Path:
        return self.results / SEEDS_TABLE

    @property
    def page(self) -> pathlib.Path:
        return self.results / PAGE

    @property
    def curves(self) -> tuple[pathlib.Path, ...]:
        return self.results / LOSS_CURVE, self.results / ERROR_CURVE

    @property
    def weights(self) -> pathlib.Path:
        return self.models / WEIGHTS

    @property
    def input_transform(self) -> pathlib.Path:
        return self.models / INPUT_TRANSFORM

    @property
    def lock(self) -> pathlib.Path:
        return self.models / '.lock'

    def epoch_weights(self, epoch: int) -> pathlib.Path:
        """The weights after that epoch, counted from 1."""
        return self.models / EPOCH_WEIGHTS.format(epoch)

    def snapshot(self, iteration: int) -> pathlib.Path:
        """The snapshot after so many iterations."""
        return self.models / SNAPSHOT.format(iteration)

    def snapshots(self) -> list[pathlib.Path]:
        """The snapshots that are there, of the latest iteration first."""
        found = {path: _SNAPSHOT_NAME.fullmatch(path.name) for path in self.models.glob(SNAPSHOTS)}
        whole = [path for path, match in found.items() if match]
        return sorted(whole, key=lambda path: int(found[path][1]), reverse=True)

    def occupied(self) -> pathlib.Path | None:
        """The folder in which there is something of a run already; None if there is none."""
        for folder, pattern in (
            (self.results, SEEDS),
            (self.results, CONFIG),
            (self.models, WEIGHTS),
            (self.models, SNAPSHOTS),
        ):
            if any(folder.glob(pattern)):
                return folder
        return None

    def of_seed(self, seed: int) -> 'RunFolder':
        """The run of one of several seeds."""
        return RunFolder(f'{self.name}/seed{seed}')

    def of_seeds(self) -> list['RunFolder']:
        """The runs of a run with several seeds that are there; none of a run with one."""
        if not self.seeds.exists():
            return []
        paths = [path for root in (self.results, self.models) for path in root.glob('seed*')]
        names = sorted({path.name for path in paths if _SEED_FOLDER.fullmatch(path.name)})
        return [RunFolder(f'{self.name}/{name}') for name in names]

    def in_use(self) -> bool:
        """Is a process training into it? Asking takes the lock for a moment."""
        if not self.lock.exists():
            return False
        try:
            with filelock.FileLock(self.lock, timeout=0):
                return False
        except filelock.Timeout:
            return True
        except OSError:  # somebody else's folder
            return False

    def delete(self) -> None:
        """Delete what belongs to the run, of all seeds; other files in its folders stay."""
        for run in self.of_seeds():
            run.delete()
            for folder in (run.results, run.models):
                with contextlib.suppress(OSError):  # there is something else in it, or no folder
                    folder.rmdir()
        for root, patterns in _FILES.items():
            for pattern in patterns:
                for path in (root / self.name).glob(pattern):
                    path.unlink()

    def write_description(self, description: dict) -> None:
        """Write config.json into both folders."""
        # Into results/ last, for that is the file by which a run is known to exist.
        for folder in (self.models, self.results):
            with atomic_write(folder / CONFIG, 'w') as file:
                json.dump(description, file, indent=1)


def containing(path: str | os.PathLike, roots=(MODELS, RESULTS)) -> RunFolder | None:
    """The run whose folder `path` is, seen from here; None if that is not below one of `roots`."""
    folder = pathlib.Path(os.path.realpath(path))  # unlike resolve, it takes links in a circle
    for root in map(os.path.realpath, roots):
        if folder.is_relative_to(root):
            return RunFolder(str(folder.relative_to(root)))
    return None


def find(name: str | os.PathLike) -> RunFolder:
    """The run that `name` means: RUN, results/RUN or models/RUN; of one seed or of several.

    Raises:
        UserError: There is none of that name.
    """
    path = pathlib.Path(name)
    inside = containing(path)
    plain = RunFolder(str(path)) if not path.is_absolute() and '..' not in path.parts else None
    for folder in filter(None, (inside, plain)):
        if folder.config.is_file() or folder.seeds.is_file():
            return folder
    raise UserError(f'{name}: there is no such run under {RESULTS}/{nearest(str(name), names())}')


def names() -> list[str]:
    """The runs under results/; of one with several seeds, the whole and each."""
    found = {path.parent for pattern in (CONFIG, SEEDS) for path in RESULTS.rglob(pattern)}
    return sorted(str(path.relative_to(RESULTS)) for path in found)


def read_description(path: pathlib.Path, needed: set[str], advice: str) -> dict:
    """The content of a config.json.

    Args:
        path: The file.
        needed: Keys that must be there.
        advice: What the user is told to do if the file is damaged.

    Raises:
        FileNotFoundError: There is no such file.
        UserError: It is damaged.
    """
    try:
        description = json.loads(path.read_text(encoding='utf-8'))
        if not isinstance(description, dict) or not description.keys() >= needed:
            raise ValueError('something is missing in it')
        _check(description)
        return description
    except FileNotFoundError:
        raise
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(f'{path}: cannot be read ({error}); {advice}') from None


# What config.json holds, where it holds it; see training/description.py.
_TYPES = {
    'format': int,
    'flags': dict,
    'versions': dict,
    'device': dict,
    'classes': list,
    'data_checksum': str,
    'command': list,
    'resumed': list,
}


def _check(description):
    """ValueError unless each part is of its type, and the format is one that we know."""
    for key, kind in _TYPES.items():
        if key in description and type(description[key]) is not kind:
            raise ValueError(f"'{key}' in it is no {kind.__name__}")
    require_format(description.get('format', 1))
    if 'classes' in description and not _are_names(description['classes']):
        raise ValueError("'classes' in it is no list of names")
    for change in description.get('resumed', []):
        if not isinstance(change, dict):
            raise ValueError("'resumed' in it is no list of dicts")
        _check(change)
        if not change.keys() >= {'flags', 'versions', 'device'}:
            raise ValueError("something is missing in 'resumed'")


def require_format(number: int) -> None:
    """ValueError if a file of ours is of a later format than this version knows."""
    if number > FORMAT:
        raise ValueError(f'format {number}: a later version of chainer-cifar wrote it; update')


def _are_names(classes: object) -> bool:
    named = isinstance(classes, list) and all(isinstance(name, str) for name in classes)
    return named and bool(classes)


def find_weights(name: str | os.PathLike) -> pathlib.Path:
    """The file of weights that `name` means.

    Args:
        name: A file; or a run, for its best.npz, as models/RUN, results/RUN or RUN.

    Returns:
        If there is none, what `name` would be by itself.
    """
    path = pathlib.Path(name)
    itself = _in_folder(path)
    # What is under results/ may be written in many ways.
    results, seen = (pathlib.Path(os.path.realpath(each)) for each in (RESULTS, path))
    run = seen.relative_to(results) if seen.is_relative_to(results) else path
    under_models = _in_folder(MODELS / run)
    if not itself.is_file() and under_models.is_file() and '..' not in run.parts:
        return under_models
    return itself


def _in_folder(path):
    return path / WEIGHTS if path.is_dir() else path


def with_weights() -> list[pathlib.Path]:
    """The folders of runs with weights under models/, the newest first."""
    files = [path for path in MODELS.rglob(WEIGHTS) if path.is_file()]
    return [path.parent for path in sorted(files, key=lambda path: -path.stat().st_mtime)]

"""Know the folders of a run: all paths and file names in them, how to find one, config.json.

The run NAME has two folders. results/NAME is for people: log, curves, reports, pictures.
models/NAME is for programs: weights, snapshots. config.json lies in both and describes the run;
input.npz beside the weights says how to treat a new picture.

The same run for several seeds is the runs NAME/seed1, NAME/seed2 …; then results/NAME holds
seeds.json instead of config.json, and what comes out of them together. So it is for the folds of a
cross-validation, NAME/fold1, NAME/fold2 … The trials of a search are the runs NAME/trial_001 …, and
results/NAME holds its journal.
"""

import contextlib
import dataclasses
import json
import os
import pathlib
import re
from collections.abc import Container, Iterable, Mapping
from typing import Any

import filelock

from chainer_cifar import json_file
from chainer_cifar.config import FORMAT
from chainer_cifar.data.store import CIFAR_SHAPE, Shape, require_shape
from chainer_cifar.errors import UserError
from chainer_cifar.files import atomic_write
from chainer_cifar.paths import leads_out, real
from chainer_cifar.registry import nearest

MODELS, RESULTS = pathlib.Path('models'), pathlib.Path('results')

CONFIG = 'config.json'

# Under models/.
WEIGHTS = 'best.npz'  # those after the best epoch; see training/log.py
EPOCH_WEIGHTS = 'epoch-{:04d}.npz'
SNAPSHOT = 'snapshot-{:08d}.npz'  # the number of iterations
INPUT_TRANSFORM = 'input.npz'
TEMPERATURE = '{}.temperature.json'  # the stem of the weights' name

# Under results/.
LOG, LOG_JSON, SUMMARY = 'log.csv', 'log.json', 'summary.json'
SEEDS, SEEDS_TABLE = 'seeds.json', 'summary.txt'  # of a run with several seeds
PAGE = 'report.html'
OUT_OF_FOLD = 'folds.npz'  # what nets say of images that they did not train on
SUSPECTS, SUSPECTS_TABLE = 'suspects.png', 'suspects.csv'
# Of a search; its journal says which trials there are.
JOURNAL, SEARCH, SEARCH_TABLE = 'journal.jsonl', 'search.json', 'search.txt'
SEARCH_PICTURE = 'search.png'
SEARCH_LOCKS = 'search.lock', 'search.held'  # under models/
LOSS_CURVE, ERROR_CURVE = 'loss.png', 'error.png'  # see figures.curves
RATE_TEST = 'find_lr.png'
TENSORBOARD, EVENTS = 'tensorboard', 'events.out.tfevents.*'  # a folder, and files in it
# Names of what `evaluate` writes begin with these.
REPORT, CONFUSION = 'report', 'confusion'
RELIABILITY, CORRUPTED = 'reliability', 'corrupted'
# Names of what `visualize` draws, too.
PICTURES = ('filters', 'activations', 'mistakes', 'batch', 'cam')

# Patterns for all files that belong to a run; --overwrite deletes them.
SNAPSHOTS = 'snapshot-*.npz'
_WEIGHTS = WEIGHTS, 'epoch-*.npz', SNAPSHOTS
_FILES = {
    RESULTS: (
        *(CONFIG, LOG, LOG_JSON, LOSS_CURVE, ERROR_CURVE, SUMMARY, RATE_TEST),
        *(SEEDS, SEEDS_TABLE, PAGE, OUT_OF_FOLD, SUSPECTS, SUSPECTS_TABLE),
        *(f'{REPORT}-*.txt', f'{REPORT}-*.json', f'{CONFUSION}-*.png', f'{RELIABILITY}-*.png'),
        *(f'{CORRUPTED}-*{end}' for end in ('.txt', '.json', '.png')),
        *(f'{name}*.png' for name in PICTURES),
        f'{TENSORBOARD}/{EVENTS}',
        *(f'{JOURNAL}*', SEARCH, SEARCH_TABLE, SEARCH_PICTURE),
    ),
    MODELS: (
        *(*_WEIGHTS, INPUT_TRANSFORM, CONFIG),
        TEMPERATURE.format('*'),
        *(*SEARCH_LOCKS, 'trial_*.claim', 'trial_*.beat'),
    ),
}

_SNAPSHOT_NAME = re.compile(r'snapshot-(\d+)\.npz')
_SEED_FOLDER = re.compile(r'(seed|fold)\d+')
_TRIAL_FOLDER = re.compile(r'trial_\d{3,}')


@dataclasses.dataclass(frozen=True)
class RunFolder:
    """The two folders of the run with the ``--prefix`` `name`, whether or not they exist."""

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
    def journal(self) -> pathlib.Path:
        return self.results / JOURNAL

    @property
    def search(self) -> pathlib.Path:
        return self.results / SEARCH

    @property
    def search_table(self) -> pathlib.Path:
        return self.results / SEARCH_TABLE

    @property
    def search_picture(self) -> pathlib.Path:
        return self.results / SEARCH_PICTURE

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
        """Return the path of the weights after an epoch, counted from 1."""
        return self.models / EPOCH_WEIGHTS.format(epoch)

    def snapshot(self, iteration: int) -> pathlib.Path:
        """Return the path of the snapshot after so many iterations."""
        return self.models / SNAPSHOT.format(iteration)

    def snapshots(self) -> list[pathlib.Path]:
        """Find the snapshots, the latest iteration first."""
        found: dict[pathlib.Path, int] = {}
        for path in self.models.glob(SNAPSHOTS):
            if match := _SNAPSHOT_NAME.fullmatch(path.name):
                found[path] = int(match[1])
        return sorted(found, key=found.__getitem__, reverse=True)

    def occupied(self) -> pathlib.Path | None:
        """Return a folder that holds something of a run already; None if neither does."""
        for folder, pattern in (
            (self.results, SEEDS),
            (self.results, JOURNAL),
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

    def of_fold(self, fold: int) -> 'RunFolder':
        """The run of one of several folds."""
        return RunFolder(f'{self.name}/fold{fold}')

    def of_trial(self, number: int) -> 'RunFolder':
        """The run of one of the trials of a search, counted from 1."""
        return RunFolder(f'{self.name}/trial_{number:03d}')

    def of_seeds(self) -> list['RunFolder']:
        """The runs of a run with several seeds or folds that are there; none of a run with one."""
        return self._below(_SEED_FOLDER) if self.seeds.exists() else []

    def of_trials(self) -> list['RunFolder']:
        """The runs of the trials of a search that are there."""
        return self._below(_TRIAL_FOLDER)

    def below(self) -> list['RunFolder']:
        """All runs that it consists of: those of seeds, folds or trials."""
        return self.of_seeds() + (self.of_trials() if self.journal.exists() else [])

    def _below(self, pattern: re.Pattern[str]) -> list['RunFolder']:
        paths = [path for root in (self.results, self.models) for path in root.glob('*[0-9]')]
        names = sorted({path.name for path in paths if pattern.fullmatch(path.name)})
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

    def delete(self, keep: Container[str] = ()) -> None:
        """Delete all files of the run, for all seeds or trials, but those of some names.

        Other files in its folders stay.
        """
        for run in self.below():
            held = run.in_use()  # by this process, which has refused all others
            run.delete()
            if not held:
                with contextlib.suppress(OSError):
                    run.lock.unlink()  # a lock of many folders that go
            for folder in (run.results, run.models):
                with contextlib.suppress(OSError):  # there is something else in it, or no folder
                    folder.rmdir()
        for root, patterns in _FILES.items():
            for pattern in patterns:
                for path in (root / self.name).glob(pattern):
                    if path.name not in keep:
                        path.unlink()
        with contextlib.suppress(OSError):
            (self.results / TENSORBOARD).rmdir()

    def delete_weights(self) -> None:
        """Delete the weights and snapshots; what people read stays."""
        for pattern in _WEIGHTS:
            for path in self.models.glob(pattern):
                path.unlink(missing_ok=True)

    def write_description(self, description: Mapping[str, Any]) -> None:
        """Write config.json into both folders."""
        # results/ comes last, because a run exists if its file there does.
        for folder in (self.models, self.results):
            with atomic_write(folder / CONFIG, 'w') as file:
                json.dump(description, file, indent=1)


def containing(
    path: str | os.PathLike[str], roots: Iterable[pathlib.Path] = (MODELS, RESULTS)
) -> RunFolder | None:
    """Return the run whose folder is `path`; None if that is not below one of `roots`."""
    folder = real(path)
    for root in map(real, roots):
        if folder.is_relative_to(root):
            return RunFolder(str(folder.relative_to(root)))
    return None


def find(name: str | os.PathLike[str]) -> RunFolder:
    """Find the run that `name` means: RUN, results/RUN or models/RUN; of one seed or of several.

    Raises:
        UserError: There is none of that name.
    """
    path = pathlib.Path(name)
    plain = None if leads_out(path) else RunFolder(str(path))
    for folder in filter(None, (containing(path), plain)):
        if folder.config.is_file() or folder.seeds.is_file():
            return folder
    raise UserError(f'{name}: there is no such run under {RESULTS}/{nearest(str(name), names())}')


def require_name(name: str) -> None:
    """Raise UserError unless `name` can be that of a run.

    Raises:
        UserError: It is empty or leads out of results/.
    """
    if leads_out(name) or not pathlib.PurePath(name).parts:
        raise UserError(f'{name}: must be a name, not a path out')


def names() -> list[str]:
    """List the runs under results/; one with several seeds as the whole and each seed."""
    found = {path.parent for pattern in (CONFIG, SEEDS) for path in RESULTS.rglob(pattern)}
    return sorted(str(path.relative_to(RESULTS)) for path in found)


def read_description(path: pathlib.Path, needed: set[str], advice: str) -> dict[str, Any]:
    """Read a config.json.

    Args:
        path: The file.
        needed: Keys that it must have.
        advice: What to tell the user to do if the file is damaged.

    Raises:
        FileNotFoundError: There is no such file.
        UserError: It is damaged.
    """
    try:
        description = json_file.read(path)
        if not isinstance(description, dict) or not description.keys() >= needed:
            raise ValueError('something is missing in it')
        _check(description)
        return description
    except FileNotFoundError:
        raise
    except (OSError, ValueError) as error:
        raise UserError(f'{path}: cannot be read ({error}); {advice}') from None


def of_now(description: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return flags, versions and device of a run, from its config.json: those of its last part.

    When a run resumes, its data may have moved, and the number of its epochs may be another.
    """
    parts: list[Mapping[str, Any]] = [description, *description.get('resumed', ())]
    return parts[-1]


def image_shape(description: Mapping[str, Any]) -> Shape:
    """Return ``(C, H, W)`` of the images of a run, from its config.json.

    Raises:
        ValueError: It is not the shape of an image.
    """
    shape = description.get('shape', CIFAR_SHAPE)  # earlier versions knew no other
    if not all(type(length) is int for length in shape):
        raise ValueError("'shape' in it is not a list of numbers")
    return require_shape(tuple(shape))


# The type of each part that config.json may have; see training/description.py.
_TYPES: dict[str, type] = {
    'format': int,
    'flags': dict,
    'versions': dict,
    'device': dict,
    'gpus': list,
    'classes': list,
    'shape': list,
    'data_checksum': str,
    'command': list,
    'resumed': list,
}


def _check(description: Mapping[str, Any]) -> None:
    """Raise ValueError unless each part has its type, and we know the format."""
    for key, kind in _TYPES.items():
        if key in description and type(description[key]) is not kind:
            raise ValueError(f"'{key}' in it is not a {kind.__name__}")
    require_format(description.get('format', 1))
    if 'classes' in description and not _are_names(description['classes']):
        raise ValueError("'classes' in it is not a list of names")
    image_shape(description)
    if not all(type(gpu) is int and gpu >= 0 for gpu in description.get('gpus', [])):
        raise ValueError("'gpus' in it is not a list of numbers from 0 up")
    for change in description.get('resumed', []):
        if not isinstance(change, dict):
            raise ValueError("'resumed' in it is not a list of dicts")
        _check(change)
        if not change.keys() >= {'flags', 'versions', 'device'}:
            raise ValueError("something is missing in 'resumed'")


class LaterFormat(ValueError):
    """A later version of chainer-cifar wrote a file."""


def require_format(number: int) -> None:
    """Raise LaterFormat if a file of ours has a later format than this version knows."""
    if number > FORMAT:
        raise LaterFormat(f'format {number}: a later version of chainer-cifar wrote it; update')


def _are_names(classes: object) -> bool:
    named = isinstance(classes, list) and all(isinstance(name, str) for name in classes)
    return named and bool(classes)


def find_weights(name: str | os.PathLike[str]) -> pathlib.Path:
    """Find the file of weights that a user means by `name`.

    Args:
        name: A file; or models/RUN, results/RUN or RUN, for the best.npz of this run.

    Returns:
        Its path; if there is no such file, the path that `name` would be by itself.
    """
    path = pathlib.Path(name)
    itself = _in_folder(path)
    # A user may write a path under results/ in many ways.
    results, seen = real(RESULTS), real(path)
    run = seen.relative_to(results) if seen.is_relative_to(results) else path
    under_models = _in_folder(MODELS / run)
    if not itself.is_file() and under_models.is_file() and '..' not in run.parts:
        return under_models
    return itself


def _in_folder(path: pathlib.Path) -> pathlib.Path:
    return path / WEIGHTS if path.is_dir() else path


def with_weights() -> list[pathlib.Path]:
    """Find the folders of runs with weights under models/, the newest first."""
    files = [path for path in MODELS.rglob(WEIGHTS) if path.is_file()]
    return [path.parent for path in sorted(files, key=lambda path: -path.stat().st_mtime)]

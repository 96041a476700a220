"""Where the weights of a run are."""

import os
import pathlib

WEIGHTS = 'best.npz'  # of the best epoch; see training/log.py

_MODELS, _RESULTS = pathlib.Path('models'), pathlib.Path('results')


def find(name):
    """The file of weights that `name` means.

    Args:
        name (str or path): A file; or a run, for its best.npz, as models/RUN, results/RUN or RUN.

    Returns:
        pathlib.Path: If there is none, what `name` would be by itself.
    """
    path = pathlib.Path(name)
    itself = _in_folder(path)
    # What is under results/ may be written in many ways.
    results, seen = (pathlib.Path(os.path.realpath(each)) for each in (_RESULTS, path))
    run = seen.relative_to(results) if seen.is_relative_to(results) else path
    under_models = _in_folder(_MODELS / run)
    if not itself.is_file() and under_models.is_file() and '..' not in run.parts:
        return under_models
    return itself


def _in_folder(path):
    return path / WEIGHTS if path.is_dir() else path


def runs():
    """The folders of runs with weights under models/, the newest first."""
    files = [path for path in _MODELS.rglob(WEIGHTS) if path.is_file()]
    return [path.parent for path in sorted(files, key=lambda path: -path.stat().st_mtime)]

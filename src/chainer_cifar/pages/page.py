"""Write the page: what is in it, then page.html filled in. Nothing in it comes from elsewhere."""

import pathlib
from typing import Any

from chainer_cifar.evaluation import comparison
from chainer_cifar.evaluation.history import History, SeveralSeeds
from chainer_cifar.files import atomic_write
from chainer_cifar.pages import charts, details, folds, template


def write(
    runs: list[History | SeveralSeeds], path: pathlib.Path, flags: dict[str, Any]
) -> list[str]:
    """Write the report of some runs; of several, with their comparison on top.

    Args:
        runs: Read by history.py.
        path: The HTML file.
        flags: Flags of `TrainConfig` that replace those of the runs, such as ``gpu``.

    Returns:
        Lines on what is missing in it.
    """
    sections = [_section(run, flags) for run in runs]
    together = None
    if len(runs) > 1:
        together = {
            'results': comparison.result_rows(runs),
            'flags': comparison.flag_rows(runs),
            'charts': charts.of_runs(runs),
            'data_note': comparison.data_note(runs),
        }
    title = runs[0].name if len(runs) == 1 else f'{len(runs)} runs'
    page = template.render(
        'page.html',
        'charts.js',
        ['style.css'],
        title=title,
        sections=sections,
        comparison=together,
        folds=[run.is_fold for run in runs],
    )
    with atomic_write(path) as file:
        file.write(page.encode('utf-8'))
    found = [section[part] for section in sections for part in ('folds', 'details')]
    return [f'{each.run.name}: {note}' for each in found if each for note in each.notes]


def _section(run: History | SeveralSeeds, flags: dict[str, Any]) -> dict[str, Any]:
    several = isinstance(run, SeveralSeeds)
    shown = _closest(run)
    return {
        'run': run,
        'facts': _facts(run),
        'charts': charts.of_run(run),
        'seeds': comparison.result_rows(run.histories) if several and run.histories else None,
        'folds': folds.find(run, flags),
        'details': details.find(shown, flags) if shown else None,
    }


def _closest(run: History | SeveralSeeds) -> History | None:
    """The run of one seed that is looked at closely: of several, that of the lowest error.

    Without validation images, it is the first.
    """
    found = [(best.get('valid_error', 0), each) for each in run.counted if (best := each.best)]
    if not found:
        return run if isinstance(run, History) else None
    return min(found, key=lambda pair: pair[0])[1]


_FACTS = {
    'test_error': ('test error', ' %'),
    'valid_error': ('validation error', ' %'),
    'best_epoch': ('best epoch', ''),
    'epochs': ('epochs', ''),
    'seconds': ('seconds', ''),
    'images_per_second': ('images/s', ''),
    'parameters': ('parameters', ''),
}


def _facts(run: History | SeveralSeeds) -> list[tuple[str, str]]:
    facts, found = [('state', run.state)], comparison.measured(run)
    forms = {each.name: each.form for each in comparison.QUANTITIES}
    for name, (words, unit) in _FACTS.items():
        if value := found[name]:
            facts.append((words, value.text(forms[name]) + unit))
    return facts

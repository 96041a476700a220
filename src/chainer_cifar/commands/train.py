"""Train a net and draw its curves."""

import argparse
import dataclasses
import json
import pathlib
import shutil
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

from chainer_cifar import __version__, nets, paths, runs
from chainer_cifar.arguments import ArgumentParser, add_flags
from chainer_cifar.config import GROUPS, RUN, TrainConfig
from chainer_cifar.errors import UserError, prefixed
from chainer_cifar.nets.undrawn import undrawn
from chainer_cifar.parallel import world
from chainer_cifar.parallel.environment import sees_one_gpu, started_processes
from chainer_cifar.parallel.launch import launch
from chainer_cifar.parallel.session import together
from chainer_cifar.recipes import recipes
from chainer_cifar.training import run, seeds

TAKES_BATCH_SIZE = True


# Flags that may differ between the processes that train together.
_OWN_OF_A_PROCESS = ('gpu', 'dataset', 'label')


def main(argv: Sequence[str], prog: str) -> int:
    started = started_processes()
    if started == 1:
        return _alone(argv, prog)
    with together(started):  # so that what all would print is printed once
        return _together(argv, prog)


def _alone(argv: Sequence[str], prog: str) -> int:
    given, flags, gpus = _read(argv, prog)
    if _list(given):
        return 0
    config = _config(given, flags)
    count = _processes(given, flags, config, gpus)
    if count > 1:
        _require_one(given)
        resumed = None if given.resume is None else _to_resume(given, config)[0]
        if resumed and resumed.seeds.exists():
            raise _of_one_process(f'--resume {resumed.name}')
        run.require_files(config, resumed)
        return launch(count, argv, prog)
    if given.resume is not None:
        flags['processes'] = 1  # the snapshot may be older than config.json, and say another
    _train(given, flags, config)
    return 0


def _together(argv: Sequence[str], prog: str) -> int:
    try:
        given, flags, gpus = _read(argv, prog)
    except SystemExit:  # --help
        return 0
    # Before one of them waits for what another does not do.
    typed = {k: v for k, v in vars(given).items() if k not in _OWN_OF_A_PROCESS}
    world.current.require_same(json.dumps([typed, bool(gpus), __version__]), 'the command line')
    if not _list(given):
        _require_one(given)
        flags |= _share(given, flags, gpus)
        _train(given, flags, _config(given, flags))
    return 0


def _read(
    argv: Sequence[str], prog: str
) -> tuple[argparse.Namespace, dict[str, Any], tuple[int, ...]]:
    """Return what the user typed, the flags in it that are of `TrainConfig`, and the GPUs."""
    given = _parser(prog).parse_args(argv)
    flags = {name: value for name, value in vars(given).items() if name not in _ACTIONS}
    gpus = flags.get('gpu', ())
    if gpus:
        flags['gpu'] = gpus[0]
    return given, flags, gpus


def _list(given: argparse.Namespace) -> bool:
    """Print the list that the user asks for; say if it is one."""
    if given.list_models:
        _list_models()
    elif given.list_recipes:
        _list_recipes()
    return bool(given.list_models or given.list_recipes)


def _config(given: argparse.Namespace, flags: Mapping[str, Any]) -> TrainConfig:
    preset = recipes[flags['recipe']].flags if flags.get('recipe') else {}
    if given.resume is not None:
        # The processes share the mini-batch of the run, which `run.resume` knows; the default must
        # not refuse their number.
        count = max(flags.get('processes', 1), 1)
        preset = {**preset, 'batch_size': TrainConfig.batch_size * count}
    config = TrainConfig(**{**preset, **flags})
    if given.resume is None:
        config.require_used(flags)
    return config


def _train(given: argparse.Namespace, flags: Mapping[str, Any], config: TrainConfig) -> None:
    if given.seeds is not None:
        _train_seeds(given, flags, config)
    elif given.resume is not None:
        _resume(given, flags, config)
    elif given.dry_run:
        run.dry_run(_one_fold(config))
    elif given.find_lr:
        run.find_rate(_one_fold(config))
    elif config.folds and not config.fold:
        numbers = tuple(range(1, config.folds + 1))
        seeds.start(config, numbers, given.overwrite, named='prefix' in flags)
    else:
        run.start(config, given.overwrite, named='prefix' in flags)


def _processes(
    given: argparse.Namespace, flags: Mapping[str, Any], config: TrainConfig, typed: Sequence[int]
) -> int:
    """Return in how many processes the user wants to train; `typed` are the GPUs of ``-g``."""
    if typed and typed[0] >= 0:
        count = flags.get('processes', len(typed))
        if count != len(typed):
            raise _too_few(typed, count)
        return count
    before = _before(given, config)
    count = flags.get('processes', before.processes)
    if not typed and before.gpus and count not in (1, len(before.gpus)):
        raise _too_few(before.gpus, count)
    return count


def _share(
    given: argparse.Namespace, flags: Mapping[str, Any], typed: tuple[int, ...]
) -> dict[str, Any]:
    """Return this process' own flags; let it compute on its GPU."""
    here = world.current
    if flags.get('processes', here.size) != here.size:
        raise UserError(
            f'--processes {flags["processes"]}: {here.size} were started already; leave it out'
        )
    own: dict[str, Any] = {'processes': here.size}
    gpus = typed or here.from_first(lambda: _before(given, _config(given, flags)).gpus)
    if gpus and gpus[0] >= 0:
        if here.local_size > len(gpus) and not (len(gpus) == 1 and sees_one_gpu()):
            raise _too_few(gpus, here.local_size)
        own['gpu'] = gpus[here.local_rank % len(gpus)]
        here.use_gpus(gpus)
    return own


def _before(given: argparse.Namespace, config: TrainConfig) -> run.Place:
    """Return where the run to resume was trained last, or what the flags of a new one say."""
    if given.resume is None:
        return run.Place(config.processes)
    return run.place(_to_resume(given, config)[0])


def _too_few(gpus: Sequence[int], count: int) -> UserError:
    return UserError(
        f'-g {",".join(map(str, gpus))}: must name a GPU for each of the {count} processes (on a '
        f'machine); give -g with as many, or --processes {len(gpus)}'
    )


def _require_one(given: argparse.Namespace) -> None:
    flags = vars(given)
    for name in ('seeds', 'find_lr', *([] if flags.get('fold') else ['folds'])):
        if flags.get(name):
            raise _of_one_process(f'--{name}')


def _of_one_process(what: str) -> UserError:
    return UserError(f'{what}: runs in one process only; leave out --processes (or -g 0)')


_ACTIONS = ('seeds', 'resume', 'overwrite', 'dry_run', 'find_lr', 'list_models', 'list_recipes')


def _train_seeds(given: argparse.Namespace, flags: Mapping[str, Any], config: TrainConfig) -> None:
    if config.folds:
        raise UserError('--seeds: has no meaning beside --folds; leave one of them out')
    with prefixed('--seeds '):
        numbers = seeds.parse(given.seeds)
    if 'seed' in flags:
        raise UserError('--seeds: has no meaning beside --seed; leave one of them out')
    if given.dry_run:
        raise UserError('--seeds: has no meaning beside --dry_run, which any seed tells the same')
    if given.find_lr:
        raise UserError('--seeds: has no meaning beside --find_lr; leave one of them out')
    if given.resume is not None:
        raise UserError(
            '--seeds: has no meaning beside --resume, for a run knows its seeds; leave it out'
        )
    seeds.start(config, numbers, given.overwrite, named='prefix' in flags)


def _one_fold(config: TrainConfig) -> TrainConfig:
    """Choose a fold for what one is enough for."""
    return dataclasses.replace(config, fold=1) if config.folds and not config.fold else config


def _resume(given: argparse.Namespace, flags: Mapping[str, Any], config: TrainConfig) -> None:
    folder, snapshot = _to_resume(given, config)
    if snapshot or not folder.seeds.exists():
        run.resume(folder, flags, snapshot)
    elif world.current.size > 1:
        raise _of_one_process(f'--resume {folder.name}')
    elif 'seed' in flags:
        raise UserError('--seed: has no meaning for a run with several seeds; leave it out')
    else:
        seeds.resume(folder, flags)


def _to_resume(given: argparse.Namespace, config: TrainConfig) -> tuple[runs.RunFolder, str | None]:
    """Find the run that ``--resume`` names, and the snapshot if it names one."""
    if not given.resume:
        return runs.RunFolder(config.prefix), None
    path = pathlib.Path(given.resume)
    is_snapshot = path.suffix == '.npz'
    folder = runs.containing(paths.real(path).parent if is_snapshot else path)
    if folder is None:
        raise UserError(
            f'--resume {path}: not under models/ or results/ of this directory; '
            f'give the folder of a run there, or a snapshot in it'
        )
    return folder, given.resume if is_snapshot else None


_EPILOG = """\
@FILE reads flags from a file, as if you had typed them (# starts a comment).

example: {prog} -m residual --skip_depth --res_depth 12 -b 128 --lr 0.1 -p my_run
"""


def _parser(prog: str) -> ArgumentParser:
    parser = ArgumentParser(
        prog=prog,
        description='Train a net on CIFAR or your own pictures; write its log, curves and weights.',
        epilog=_EPILOG.format(prog=prog),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        fromfile_prefix_chars='@',
        # The result holds only what the user typed; TrainConfig adds defaults and recipes.
        argument_default=argparse.SUPPRESS,
    )
    groups = add_flags(parser, TrainConfig, groups=GROUPS, train=True)
    parser.read_with('gpu', _gpus)
    groups[RUN].add_argument(
        '--seeds',
        default=None,
        metavar='N',
        help='train with each of the seeds 1 to N, or of a list 1,2,5, in folders seed1, seed2 …; '
        'print mean and standard deviation',
    )
    ways = groups[RUN].add_mutually_exclusive_group()
    ways.add_argument(
        '--resume',
        nargs='?',
        const='',
        default=None,
        metavar='PATH',
        help='continue the run with this prefix, or the one at PATH: its folder, or a snapshot',
    )
    for action, text in (
        ('overwrite', 'replace an earlier run with the same prefix'),
        ('dry_run', 'build the net, count its parameters, time a few batches; write nothing'),
        ('find_lr', 'try learning rates from low to high: a table, a picture, a suggestion'),
        ('list_models', 'list the nets with their numbers of parameters'),
        ('list_recipes', 'list the recipes with their sources and flags'),
    ):
        ways.add_argument(f'--{action}', action='store_true', default=False, help=text)
    return parser


def _gpus(text: str) -> tuple[int, ...]:
    """Read ``-1``, ``0`` or ``0,1,2,3``."""
    try:
        numbers = tuple(map(int, text.split(',')))
    except ValueError:
        numbers = ()
    several = len(numbers) > 1
    if not numbers or (several and (min(numbers) < 0 or len(set(numbers)) < len(numbers))):
        raise UserError(f'-g {text}: must be the index of one GPU, or of several different ones')
    return numbers


@undrawn()
def _list_models() -> None:
    for name in nets.registry:
        text = nets.describe(name).replace('`', '')  # the table in docs needs this markup
        print(f'{name:18} {nets.create(name).count_params():>10,}  {text}')


def _list_recipes() -> None:
    column, indent = max(map(len, recipes)) + 1, ' ' * 4
    width = max(shutil.get_terminal_size().columns, 60)
    for name, recipe in recipes.items():
        published = f', test error {recipe.published_error} %' if recipe.published_error else ''
        source = recipe.source.replace('`', '')  # as above
        head = f'{name:{column}}{source}{published}'
        print(textwrap.fill(head, width, subsequent_indent=' ' * column))
        print(textwrap.indent(recipe.as_flags(width - len(indent)), indent))

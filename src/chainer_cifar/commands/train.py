"""Train a net and draw its curves."""

import argparse
import shutil
import textwrap

from chainer_cifar import nets, runs
from chainer_cifar.arguments import ArgumentParser, add_flags
from chainer_cifar.config import GROUPS, RUN, TrainConfig
from chainer_cifar.errors import UserError, prefixed
from chainer_cifar.recipes import recipes
from chainer_cifar.training import run, seeds

TAKES_BATCH_SIZE = True


def main(argv, prog):
    given = _parser(prog).parse_args(argv)
    flags = {name: value for name, value in vars(given).items() if name not in _ACTIONS}
    if given.list_models:
        _list_models()
    elif given.list_recipes:
        _list_recipes()
    else:
        preset = recipes[flags['recipe']].flags if flags.get('recipe') else {}
        config = TrainConfig(**{**preset, **flags})
        if given.resume is None:
            config.require_used(flags)
        if given.seeds is not None:
            _train_seeds(given, flags, config)
        elif given.dry_run:
            run.dry_run(config)
        elif given.find_lr:
            run.find_rate(config)
        elif given.resume is not None:
            _resume(given, flags, config)
        else:
            run.start(config, given.overwrite, named='prefix' in flags)


_ACTIONS = (*('seeds', 'resume', 'overwrite', 'dry_run', 'find_lr', 'list_models', 'list_recipes'),)


def _train_seeds(given, flags, config):
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


def _resume(given, flags, config):
    folder = runs.containing(given.resume) if given.resume else runs.RunFolder(config.prefix)
    if folder is not None and folder.seeds.exists():
        seeds.resume(folder, flags)
    else:
        run.resume(config, flags, given.resume or None)


_EPILOG = """\
@FILE reads flags from a file, as if they were typed there (# starts a comment).

example: {prog} -m residual --skip_depth --res_depth 12 -b 128 --lr 0.1 -p my_run
"""


def _parser(prog):
    parser = ArgumentParser(
        prog=prog,
        description='Train a net on CIFAR images; write its log, curves and weights.',
        epilog=_EPILOG.format(prog=prog),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        fromfile_prefix_chars='@',
        # Only what is typed is in the result; defaults and recipes come from TrainConfig.
        argument_default=argparse.SUPPRESS,
    )
    groups = add_flags(parser, TrainConfig, groups=GROUPS)
    groups[RUN].add_argument(
        '--seeds',
        default=None,
        metavar='N',
        help='the same run for the seeds 1 to N, or for those of a list 1,2,5, each in a folder '
        'seed1, seed2 … of its own; tell mean and standard deviation',
    )
    ways = groups[RUN].add_mutually_exclusive_group()
    ways.add_argument(
        '--resume',
        nargs='?',
        const='',
        default=None,
        metavar='PATH',
        help='continue the run of this prefix, or of PATH: its folder, or one snapshot of it',
    )
    for action, text in (
        ('overwrite', 'replace an earlier run of the same prefix'),
        ('dry_run', 'build the net, count its parameters, time a few batches; write nothing'),
        ('find_lr', 'try learning rates from low to high: a table, a picture, a suggestion'),
        ('list_models', 'list the nets with their numbers of parameters'),
        ('list_recipes', 'list the recipes with their sources and flags'),
    ):
        ways.add_argument(f'--{action}', action='store_true', default=False, help=text)
    return parser


def _list_models():
    for name in nets.registry:
        text = nets.describe(name).replace('`', '')  # markup is for the table in docs
        print(f'{name:18} {nets.create(name).count_params():>10,}  {text}')


def _list_recipes():
    indent = ' ' * 15
    width = max(shutil.get_terminal_size().columns, 60)
    for name, recipe in recipes.items():
        published = f', test error {recipe.published_error} %' if recipe.published_error else ''
        head = f'{name:14} {recipe.source}{published}'
        print(textwrap.fill(head, width, subsequent_indent=indent))
        print(textwrap.indent(recipe.as_flags(width - len(indent)), indent))

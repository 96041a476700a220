"""Fetch CIFAR-10 or CIFAR-100, verify and extract it."""

import argparse
import re
from collections.abc import Sequence

from chainer_cifar.arguments import ArgumentParser
from chainer_cifar.data.archive import ARCHIVES, Unwritable, obtain
from chainer_cifar.data.fetch import WrongFile, WrongSource, check_url
from chainer_cifar.errors import advised, prefixed
from chainer_cifar.streams import tell

DESCRIPTION = """\
Fetch CIFAR-10 or CIFAR-100 (170 MB), verify and extract it.

Files in --dir that have the right md5 are not fetched or extracted again. An interrupted download
continues where it stopped. Without a network, fetch the archive elsewhere,
put it into --dir under its own name (cifar-10-python.tar.gz) and run this command.
"""


def main(argv: Sequence[str], prog: str) -> None:
    args = parse(argv, prog)
    archive = ARCHIVES[args.set]
    url = archive.url if args.url == 'official' else args.url
    with prefixed('--url: '):
        check_url(url)
    md5 = {'official': archive.md5, 'skip': None}.get(args.md5, args.md5)
    if md5 is None:
        tell(WARNING)
    with advised(ADVICE):
        obtain(archive, args.dir, url=url, md5=md5, retries=args.retries)


ADVICE = {
    WrongFile: 'try another --url; for an archive of your own give its --md5 (or --md5 skip)',
    WrongSource: 'check --url and --set',
    Unwritable: 'correct that, or choose another folder with --dir',
}

WARNING = (
    'WARNING: --md5 skip: the checksum is NOT compared, so a damaged or forged archive can go '
    'unnoticed; only the names, kinds and sizes of the files in it are checked'
)


class Formatter(argparse.ArgumentDefaultsHelpFormatter, argparse.RawDescriptionHelpFormatter):
    """Show defaults in the help, and keep its paragraphs."""


def parse(argv: Sequence[str], prog: str) -> argparse.Namespace:
    """Parse the arguments."""
    parser = ArgumentParser(prog=prog, description=DESCRIPTION, formatter_class=Formatter)
    parser.add_argument('--set', default='cifar10', help=f'which archive: {", ".join(ARCHIVES)}')
    parser.add_argument(
        '--url',
        default='official',
        help='another place for it, http, https or file; its md5 must still be the official one '
        'unless --md5 says otherwise',
    )
    parser.add_argument(
        '--md5',
        type=md5,
        default='official',
        help='32 hexadecimal digits that the archive must have; or skip: nothing is compared, and '
        'an archive that is in --dir already is used as it is, whatever --url says',
    )
    parser.add_argument(
        '--dir', default='dataset', help='where the archive and its extracted folder go'
    )
    parser.add_argument(
        '--retries',
        type=count,
        default=4,
        metavar='N',
        help='tries after the first when the connection fails, with growing waits between them; '
        'a try that brings 1 MB or more starts the count anew',
    )
    return parser.parse_args(argv)


def md5(text: str) -> str:
    """Read ``--md5``."""
    if text not in ('official', 'skip') and not re.fullmatch('[0-9a-fA-F]{32}', text):
        raise argparse.ArgumentTypeError(f"'{text}' is not skip or 32 hexadecimal digits")
    return text.lower()


def count(text: str) -> int:
    """Read ``--retries``."""
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"'{text}' is not a whole number of 0 or more")
    return int(text)

"""Show trained weights as a web page on this machine, and as a JSON endpoint.

The page names what is in the pictures that are dropped on it, shows where the net looks, and the
training pictures that are most similar. Only this machine can reach it, unless --host says more.
"""

import argparse
import re
from collections.abc import Sequence

import numpy as np

from chainer_cifar import extras, streams
from chainer_cifar.arguments import ArgumentParser
from chainer_cifar.commands._answer_flags import add_answer_flags, check_answer_flags
from chainer_cifar.commands._weights_parser import load, weights_parser
from chainer_cifar.errors import UserError
from chainer_cifar.streams import printable, tell

TAKES_BATCH_SIZE = True

HOST, PORT = '127.0.0.1', 8765
MOST_SIMILAR = 50
_NAME = 'pictures.example.org'
_PACKAGES = ('starlette', 'uvicorn', 'python_multipart')


def main(argv: Sequence[str], prog: str) -> None:
    given = _parser(prog).parse_args(argv)
    _check(given)
    for name in _PACKAGES:
        extras.package(name, 'serve', 'serve')
    # These need the packages.
    from chainer_cifar.serving import app, guard, server
    from chainer_cifar.serving.answers import Answers, Settings
    from chainer_cifar.serving.worker import Worker

    model = load(given, onnx=True)
    # What is not known of the run's images is told now, not with each picture.
    model.input_transform(np.zeros((1, *model.input_transform.shape), np.uint8))
    settings = Settings(given.top, given.reject, given.tta, given.similar)
    with streams.apart(), server.listen(given.host, given.port) as listening:
        address = server.address_of(listening)
        local = guard.is_loopback(listening.getsockname()[0])
        if not local:
            tell(
                f'warning: --host {given.host}: everyone who can reach {address} may use it; '
                f'there is no password'
            )
        names = [given.name.lower()] if given.name else [] if local else None
        answers = Answers(model, settings)
        worker = Worker(model.device, answers.look_through())
        try:
            print(f'{printable(model.weights)}: {address}  (Ctrl-C stops it)', flush=True)
            server.run(app.create(answers, worker, names), listening)
        finally:
            worker.stop(server.END)


def _check(given: argparse.Namespace) -> None:
    check_answer_flags(given)
    if not 0 <= given.port <= 65535:
        raise UserError(f'--port {given.port}: must be a number from 0 to 65535')
    if not given.host:
        raise UserError(f'--host: give an address of this machine, such as {HOST}')
    if not re.fullmatch('[a-zA-Z0-9.-]*', given.name):
        raise UserError(
            f'--name {given.name}: must be the name alone, of the letters a to z, digits, dots and '
            f'hyphens, as in --name {_NAME}'
        )
    if not 0 <= given.similar <= MOST_SIMILAR:
        raise UserError(f'--similar {given.similar}: must be a number from 0 to {MOST_SIMILAR}')


def _parser(prog: str) -> ArgumentParser:
    parser = weights_parser(prog, __doc__, onnx=True)
    parser.add_argument(
        '--host',
        default=HOST,
        help=f'the address to listen on (default: {HOST}, which only this machine can reach; '
        '0.0.0.0: all that this machine has)',
    )
    parser.add_argument(
        '--port',
        type=int,
        default=PORT,
        metavar='N',
        help=f'the port to listen on (default: {PORT}; 0: any that is free)',
    )
    parser.add_argument(
        '--name',
        default='',
        help=f'the name by which visitors reach the server, as {_NAME}, where it is behind '
        'nginx or the like; requests by other names are refused (default: localhost, with --host '
        'any)',
    )
    add_answer_flags(parser, top=5)
    parser.add_argument(
        '--similar',
        type=int,
        default=6,
        metavar='N',
        help='how many similar training pictures to show (default: 6; 0: none, and the data are '
        'not read)',
    )
    return parser

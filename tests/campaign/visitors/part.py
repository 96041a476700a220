"""Let odd visitors come to the server of serve.py; those who ask well are answered as ever."""

import concurrent.futures
import contextlib
import http.client
import importlib
import importlib.util
import io
import pathlib
import random
import signal
import socket
import struct
from typing import Any, ClassVar

import numpy as np
from PIL import Image

from campaign import trees
from campaign.inputs import picture_files
from campaign.jobs import JOBS, OfJobs
from campaign.part import Case, Impossible, fraction, require
from campaign.visitors import requests
from campaign.visitors.served import Answer, Served, serving

ODD, PICTURES, FORMS = 'odd requests', 'odd pictures', 'odd forms'
LEAVING, MANY, STOP = 'visitors that leave', 'many at once', 'a signal'

VISITS = 12  # odd ones in a case
MOST = 60  # visitors at once
PATIENCE = 0.2  # seconds to wait for the answer to what may be no request
_WAITING, _LATEST = 10, 0.3  # who wait when a signal comes, and seconds until it does
_LEAVES = ('hangs up', 'resets', 'stays silent', 'sends half', 'does not read')
_PACKAGES = ('starlette', 'uvicorn', 'python_multipart')
_NEEDS = JOBS['report']  # a finished run and its data


class Visitors(OfJobs):
    """A case is a server, and visitors of one kind; between them comes one who asks well."""

    name = 'visitors'
    kinds: ClassVar = {
        ODD: 'requests with odd lines, headers, lengths and chunks, or that are no HTTP',
        PICTURES: "pictures of all of Pillow's formats, damaged",
        FORMS: 'forms of odd parts, names and ends',
        LEAVING: 'visitors that hang up, say nothing, or do not read',
        MANY: f'up to {MOST} visitors at once',
        STOP: 'Ctrl-C or SIGTERM while visitors wait',
    }
    in_tests = 6

    def draw(self, number: int, rng: random.Random) -> tuple[str, dict[str, Any]]:
        kind, facts = self.kind_of(number), {'draw': rng.getrandbits(64)}
        if kind == MANY:
            facts['visitors'] = rng.choice([5, 20, MOST])
        if kind == STOP:
            facts |= {'signal': rng.choice(('SIGINT', 'SIGTERM')), 'moment': fraction(rng)}
        return kind, facts

    def run(self, case: Case, folder: pathlib.Path) -> None:
        self._import()
        self.truths.prepare(_NEEDS, folder)
        before, rng = trees.content(folder), random.Random(case.facts['draw'])
        number = getattr(signal, case.facts.get('signal', 'SIGTERM'))
        with serving(folder) as served:
            good = served.ask(_GOOD)
            good.require_told([200])
            open_before = served.descriptors()
            if case.kind == STOP:
                _stop(served, good, number, case.facts['moment'])
            elif case.kind == MANY:
                _many(served, good, case.facts['visitors'])
            else:
                for _ in range(VISITS):
                    _VISITORS[case.kind](served, rng)
                    _require_same(served.ask(_GOOD), good)
            if case.kind != STOP:
                served.require_settled(open_before)
                served.started.send(number)
            done = served.started.finish()
        done.require_told([128 + number])
        require(done.err.count('\n') == 1, f'says more than that it stopped: {done.err.strip()}')
        trees.require_same(folder, before)

    def _import(self) -> None:
        """Import here what each fork would import anew."""
        if not all(map(importlib.util.find_spec, _PACKAGES)):
            raise Impossible('needs the extra serve')
        importlib.import_module('chainer_cifar.serving.app')
        importlib.import_module('chainer_cifar.serving.server')


def _png(rng: random.Random) -> bytes:
    noise = np.frombuffer(rng.randbytes(20 * 24 * 3), np.uint8).reshape(20, 24, 3)
    stream = io.BytesIO()
    Image.fromarray(noise).save(stream, 'PNG')
    return stream.getvalue()


_GOOD = requests.post('/predict', 'image/png', _png(random.Random(0)))


def _odd(served: Served, rng: random.Random) -> None:
    parts = requests.odd_request(rng, _png(rng))
    for answer in served.provoke(parts, PATIENCE):
        answer.require_told()


def _picture(served: Served, rng: random.Random) -> None:
    _, content = picture_files.draw(rng)
    path = rng.choice(['/predict', '/predict?top=2', '/explain'])
    served.ask(requests.post(path, rng.choice(['image/png', '']), content)).require_told([200, 400])


def _form(served: Served, rng: random.Random) -> None:
    kind, body = requests.odd_form(rng, _png(rng))
    path = rng.choice(['/predict', '/explain'])
    served.ask(requests.post(path, kind, body)).require_told([200, 400, 415])


def _leaves(served: Served, rng: random.Random) -> None:
    """Send something and leave, but for those who stay until the last visitor has left."""
    request = requests.post(rng.choice(['/predict', '/explain']), 'image/png', _png(rng))
    for _ in range(rng.choice([1, 5])):
        way, connection = rng.choice(_LEAVES), served.open()
        with contextlib.suppress(ConnectionError):
            if way == 'sends half':
                connection.sendall(request[: rng.randrange(1, len(request))])
            elif way == 'does not read':
                connection.sendall(requests.get('/') * 50)
            elif way != 'stays silent':
                connection.sendall(request)
        if way == 'resets':
            linger = struct.pack('ii', 1, 0)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        if way in ('does not read', 'stays silent'):
            served.staying.append(connection)
        else:
            connection.close()


_VISITORS = {ODD: _odd, PICTURES: _picture, FORMS: _form, LEAVING: _leaves}


def _many(served: Served, good: Answer, visitors: int) -> None:
    """Ask from many threads at once: each is answered as ever, or told to try again."""
    with concurrent.futures.ThreadPoolExecutor(visitors) as pool:
        answers = list(pool.map(lambda _: served.ask(_GOOD), range(visitors)))
    for answer in answers:
        if answer.status == 503:
            answer.require_told()
        else:
            _require_same(answer, good)
    require(good in answers, 'none of the visitors was answered')


def _stop(served: Served, good: Answer, number: int, moment: float) -> None:
    """Send a signal while some ask: each is answered as ever, told to try again, or hung up on."""

    def ask(_: int) -> Answer | None:
        try:
            return served.ask(_GOOD)
        except (OSError, http.client.HTTPException):
            return None

    with concurrent.futures.ThreadPoolExecutor(_WAITING) as pool:
        asked = [pool.submit(ask, each) for each in range(_WAITING)]
        served.started.wait(moment * _LATEST)
        served.started.send(number)
        answers = [each.result() for each in asked]
    for answer in answers:
        if answer is not None and answer.status != 503:
            _require_same(answer, good)


def _require_same(answer: Answer, good: Answer) -> None:
    require(answer == good, f'another answer than before: {answer.status}, {answer.body[:200]!r}')

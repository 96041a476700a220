"""The addresses of the server and what each answers; errors are JSON with one line."""

import asyncio
import contextlib
from collections.abc import Callable, Iterator, Sequence
from http import HTTPStatus
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from chainer_cifar.errors import UserError
from chainer_cifar.pages import serve as page
from chainer_cifar.serving import uploads
from chainer_cifar.serving.answers import Answers, NoPicture
from chainer_cifar.serving.guard import Guard
from chainer_cifar.serving.reply import Reply
from chainer_cifar.serving.worker import Worker
from chainer_cifar.streams import printable

MOST_WAITING = 16  # requests with pictures, of which one is computed
_GONE = 499  # of a client that left; nobody reads it


def create(answers: Answers, worker: Worker, names: Sequence[str] | None) -> Starlette:
    """Make the application.

    Args:
        answers: Says what the net says.
        worker: The thread in which it does.
        names: See `Guard`.
    """
    handlers: dict[Any, Any] = {
        HTTPException: _tell_refusal,
        NoPicture: _tell(HTTPStatus.BAD_REQUEST),
        UserError: _tell(HTTPStatus.INTERNAL_SERVER_ERROR),
        MemoryError: _tell(
            HTTPStatus.INTERNAL_SERVER_ERROR, 'out of memory; try a smaller picture'
        ),
        ClientDisconnect: _tell(_GONE, 'gone'),
        # Starlette raises it again afterwards, so that the terminal tells where it was.
        Exception: _tell(HTTPStatus.INTERNAL_SERVER_ERROR, "failed; the server's terminal tells"),
    }
    served = _Served(answers, worker)
    routes = [
        Route('/', served.page),
        Route('/about', served.about),
        Route('/health', served.health),
        Route('/predict', served.predict, methods=['POST']),
        Route('/explain', served.explain, methods=['POST']),
    ]
    middleware = [Middleware(Guard, names=names)]
    found = Starlette(routes=routes, middleware=middleware, exception_handlers=handlers)
    # It would send /predict/ to /predict at the host that the request names, with no word of why.
    found.router.redirect_slashes = False
    return found


class _Served:
    """What the addresses answer.

    The methods run in one thread, that of the server, and wait for the worker.
    """

    def __init__(self, answers: Answers, worker: Worker) -> None:
        self._answers = answers
        self._worker = worker
        self._waiting = 0

    async def page(self, request: Request) -> Response:
        shown = page.make(self._answers.about(), uploads.MOST_BYTES)
        return HTMLResponse(shown.text, headers={'content-security-policy': shown.policy})

    async def about(self, request: Request) -> Response:
        limits = {'bytes': uploads.MOST_BYTES, 'pictures': uploads.MOST_PICTURES}
        return Reply({**self._answers.about(), 'limits': limits})

    async def health(self, request: Request) -> Response:
        alive = self._worker.alive
        status = HTTPStatus.OK if alive else HTTPStatus.SERVICE_UNAVAILABLE
        return Reply({'status': 'ok' if alive else 'failed'}, status)

    async def predict(self, request: Request) -> Response:
        top = self._top(request)
        with self._turn():
            contents = await uploads.read(request)
            rows = await self._compute(request, lambda: self._answers.predict(contents, top))
        return Reply({'predictions': rows})

    async def explain(self, request: Request) -> Response:
        of_class = self._class(request)
        with self._turn():
            contents = await uploads.read(request)
            if len(contents) > 1:
                raise HTTPException(400, f'{len(contents)} pictures; one at a time is explained')
            found = await self._compute(
                request, lambda: self._answers.explain(contents[0], of_class)
            )
        return Reply(found)

    def _top(self, request: Request) -> int:
        text = request.query_params.get('top', str(self._answers.settings.top))
        most = len(self._answers.trained.class_names)
        if not (_is_number(text) and int(text)):
            raise HTTPException(400, f'top must be a number from 1 to {most}')
        return min(int(text), most)

    def _class(self, request: Request) -> int | None:
        """Read the number of a class, given as it is or by name; None: none is given."""
        names = self._answers.trained.class_names
        number, name = (request.query_params.get(key) for key in ('number', 'class'))
        if number is not None:
            if not (_is_number(number) and int(number) < len(names)):
                raise HTTPException(400, f'number must be one from 0 to {len(names) - 1}')
            return int(number)
        if name is not None and name not in names:
            raise HTTPException(400, f"no class is called '{printable(name)}'")
        return None if name is None else names.index(name)

    @contextlib.contextmanager
    def _turn(self) -> Iterator[None]:
        """Count who waits, from before the picture is received: it takes memory, too."""
        if self._waiting >= MOST_WAITING:
            raise HTTPException(
                503, 'too many pictures are waiting; try again', headers={'retry-after': '1'}
            )
        self._waiting += 1
        try:
            yield
        finally:
            self._waiting -= 1

    async def _compute(self, request: Request, job: Callable[[], Any]) -> Any:
        """Have a job done, unless who asks for it leaves before its turn comes.

        Raises:
            ClientDisconnect: They have left.
        """
        computed = asyncio.wrap_future(self._worker.submit(job))
        left = asyncio.ensure_future(_until_left(request))
        try:
            await asyncio.wait((computed, left), return_when=asyncio.FIRST_COMPLETED)
            if not computed.done():
                raise ClientDisconnect
            return computed.result()
        finally:
            computed.cancel()
            left.cancel()


async def _until_left(request: Request) -> None:
    while (await request.receive())['type'] != 'http.disconnect':
        pass


def _is_number(text: str) -> bool:
    # A longer one than this is none that anybody means.
    return text.isascii() and text.isdecimal() and len(text) < 10


def _tell(status: int, text: str = '') -> Any:
    """Make a handler that answers with the text, or with that of the error."""

    async def answer(request: Request, error: Exception) -> Response:
        return Reply({'error': text or str(error)}, status)

    return answer


async def _tell_refusal(request: Request, error: HTTPException) -> Response:
    text = error.detail
    if text == HTTPStatus(error.status_code).phrase:  # Starlette's own
        text = f'{request.method} {request.url.path}: {text.lower()}; GET / shows a page'
    return Reply({'error': text}, error.status_code, headers=error.headers)

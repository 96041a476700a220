"""Take pictures from a request, without believing what it says of itself.

What is too large is refused by what the request says of its length, or else as soon as it is longer
than that, never after all of it was read. A picture is what Pillow can read as one, whatever its
name or type say.
"""

import asyncio

from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.types import Message

from chainer_cifar.data.picture import Content
from chainer_cifar.errors import first_line
from chainer_cifar.streams import printable

MOST_BYTES = 32 * 2**20  # of a request
MOST_PICTURES = 20
SECONDS = 60  # to send it

_LONGEST_NAME = 200
_MULTIPART = 'multipart/form-data'
# curl says the last one of everything, unless it is told another.
_PLAIN = ('', 'application/octet-stream', 'application/x-www-form-urlencoded')


async def read(request: Request) -> list[Content]:
    """Read the pictures of a request: its body, or the files in it if it is a form.

    Raises:
        HTTPException: It is too large or too slow, of another type, damaged or empty.
        ClientDisconnect: Whoever sent it has left.
    """
    kind = request.headers.get('content-type', '').partition(';')[0].strip().lower()
    if kind not in (*_PLAIN, _MULTIPART) and not kind.startswith('image/'):
        raise HTTPException(
            415, f'{_name(kind)}: send the bytes of a picture, or files as {_MULTIPART}'
        )
    limited = _limited(request)
    try:
        reading = _files(limited) if kind == _MULTIPART else _body(limited)
        contents = await asyncio.wait_for(reading, SECONDS)
    except asyncio.TimeoutError:
        raise HTTPException(408, f'the picture did not arrive within {SECONDS} seconds') from None
    for name, content in contents:
        if not content:
            raise HTTPException(400, f'{name}: is empty; send the bytes of a picture')
    return [Content(content, name) for name, content in contents]


def _limited(request: Request) -> Request:
    """Return the same request, which fails as soon as it has more than `MOST_BYTES`."""
    too_large = HTTPException(413, f'more than {MOST_BYTES // 2**20} MB, make the picture smaller')
    told = request.headers.get('content-length', '')
    if told.isdecimal() and int(told) > MOST_BYTES:
        raise too_large
    received = 0

    async def receive() -> Message:
        nonlocal received
        message: Message = await request.receive()
        received += len(message.get('body', b''))
        if received > MOST_BYTES:
            raise too_large
        return message

    return Request(request.scope, receive)


async def _body(request: Request) -> list[tuple[str, bytes]]:
    return [('picture', await request.body())]


async def _files(request: Request) -> list[tuple[str, bytes]]:
    try:
        form = await request.form(max_files=MOST_PICTURES, max_fields=MOST_PICTURES)
    except HTTPException as error:
        if error.status_code != 400:
            raise
        raise HTTPException(400, f'the form cannot be read: {error.detail}') from None
    except ValueError as error:  # of the parser of forms, in older versions of Starlette
        raise HTTPException(400, f'the form cannot be read: {first_line(error)}') from None
    except OSError as error:  # a form of more than 1 MB is kept in files
        raise HTTPException(
            500,
            f'the form cannot be kept ({error.strerror}); the server needs a temporary folder with '
            'room in it',
        ) from None
    try:
        files = [value for _, value in form.multi_items() if isinstance(value, UploadFile)]
        if not files:
            raise HTTPException(400, 'no file in the form; send one or several')
        return [(_name(file.filename), await file.read()) for file in files]
    finally:
        await form.close()


def _name(text: str | None) -> str:
    return printable(text or 'picture')[:_LONGEST_NAME]

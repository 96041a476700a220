"""Listen on an address until a signal comes."""

import errno
import logging
import signal
import socket
from types import FrameType

import uvicorn
from starlette.applications import Starlette

from chainer_cifar.errors import Interrupted, UserError
from chainer_cifar.serving.connection import Connection

_IDLE = 5  # seconds for which a connection without requests is kept
END = 5  # seconds for requests that are being answered when the server stops
_CONNECTIONS = 100


def listen(host: str, port: int) -> socket.socket:
    """Open an address for requests.

    Args:
        host: A name or an address of this machine.
        port: 0: any that is free.

    Raises:
        UserError: It is taken, or no address of this machine; names the flag.
    """
    try:
        family, *_, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        # Chosen by the address, since a name may stand for several.
        return socket.create_server(address, family=family)
    except (socket.gaierror, UnicodeError):
        raise UserError(f'--host {host}: no such host; give an address of this machine') from None
    except PermissionError:
        raise UserError(f'--port {port}: not allowed; give one from 1024 up') from None
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise UserError(
                f'--port {port}: taken, perhaps by another server; give another, or 0 for any'
            ) from None
        if error.errno == errno.EADDRNOTAVAIL:
            raise UserError(f'--host {host}: no address of this machine; give one') from None
        raise UserError(f'--host {host}: {error.strerror or error}') from None


def address_of(listening: socket.socket) -> str:
    """Return the address of a page there, as ``http://127.0.0.1:8765/``."""
    host, port = listening.getsockname()[:2]
    return f'http://[{host}]:{port}/' if ':' in host else f'http://{host}:{port}/'


def configured(app: Starlette) -> uvicorn.Server:
    """Make the server; nothing of it depends on what else is installed."""
    return uvicorn.Server(
        uvicorn.Config(
            app,
            loop='asyncio',
            http=Connection,
            ws='none',
            lifespan='off',
            interface='asgi3',
            proxy_headers=False,
            server_header=False,
            access_log=False,
            log_config=None,
            limit_concurrency=_CONNECTIONS,
            timeout_keep_alive=_IDLE,
            timeout_graceful_shutdown=END,
        )
    )


def run(app: Starlette, listening: socket.socket) -> None:
    """Answer requests until Ctrl-C or SIGTERM, then finish those that have begun.

    Raises:
        Interrupted: That came.
    """
    before = {number: signal.signal(number, _stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        # On a signal the server stops in good order, and then raises it again. It calls what it has
        # to leave undone an error.
        server = configured(app)
        logging.getLogger('uvicorn.error').addFilter(lambda record: not server.should_exit)
        server.run(sockets=[listening])
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _stop(number: int, frame: FrameType | None) -> None:
    raise Interrupted('stopped', number)

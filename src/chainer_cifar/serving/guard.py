"""Keep strangers' pages away from the server, and say to browsers what its own may do.

A page from anywhere can send requests to 127.0.0.1. It cannot read the answers, unless its name
resolves to 127.0.0.1 meanwhile (DNS rebinding); then the requests name a strange host.
"""

import ipaddress
import urllib.parse
from collections.abc import Sequence

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from chainer_cifar.serving.reply import Reply

# Of every answer of ours (not those to what is no HTTP, or beyond all connections); the page has a
# policy of its own.
HEADERS = {
    'content-security-policy': "default-src 'none'; frame-ancestors 'none'",
    'x-content-type-options': 'nosniff',
    'x-frame-options': 'DENY',
    'referrer-policy': 'no-referrer',
    'cross-origin-resource-policy': 'same-origin',
    'cache-control': 'no-store',
}


class Guard:
    """Refuse requests that came by a strange host's name or from a page of another origin.

    Args:
        app: What answers the others.
        names: By which it is asked, beside those that mean this machine; None: any may be its own.
    """

    def __init__(self, app: ASGIApp, names: Sequence[str] | None) -> None:
        self.app = app
        self.names = names

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope['type'] != 'http':
            return
        headers = Headers(scope=scope)

        async def send_with_headers(message: Message) -> None:
            if message['type'] == 'http.response.start':
                sent = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    sent.setdefault(name, value)
            await send(message)

        app = self.app
        host = headers.get('host', '')
        name = _name_of(host)
        if self.names is not None and name not in self.names and not is_loopback(name):
            known = ' and '.join(['127.0.0.1', 'localhost', *self.names])
            app = _refusal(f'this server answers requests for {known} only')
        elif _is_foreign(headers, host):
            app = _refusal('pages of other origins may not ask this server')
        await app(scope, receive, send_with_headers)


def is_loopback(name: str) -> bool:
    """Say whether a host's name or address means this machine, and nothing else."""
    if name.lower() == 'localhost':
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def _name_of(host: str) -> str:
    """Return the name in a Host header, in small letters without port and brackets; or nothing."""
    try:
        return urllib.parse.urlsplit(f'//{host}').hostname or ''
    except ValueError:
        return ''


def _is_foreign(headers: Headers, host: str) -> bool:
    """Say whether a page of another origin made the browser ask; links to here are fine."""
    site = headers.get('sec-fetch-site')
    if site is not None and headers.get('sec-fetch-mode') != 'navigate':
        return site not in ('same-origin', 'none')
    origin = headers.get('origin')
    return origin is not None and origin.partition('://')[2] != host


def _refusal(text: str) -> ASGIApp:
    return Reply({'error': text}, 403)

"""Make the page of the server: what the net is, and a script that asks the server of pictures."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from chainer_cifar.pages import template

_SCRIPT = 'serve.js'
_STYLES = ['style.css', 'serve.css']


class Page(NamedTuple):
    """A page, and what the browser may do with it, as the header Content-Security-Policy says."""

    text: str
    policy: str


def make(about: Mapping[str, Any], most_bytes: int) -> Page:
    """Make the page.

    Args:
        about: What `Answers.about` says of the net.
        most_bytes: How large a picture may be.
    """
    text = template.render('serve.html', _SCRIPT, _STYLES, about=about, most_bytes=most_bytes)
    return Page(
        text,
        "default-src 'none'; img-src data: blob:; "
        f"style-src '{template.checksum(_STYLES)}'; script-src '{template.checksum([_SCRIPT])}'; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    )

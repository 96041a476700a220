"""Fill in a page: one text with its style and its script inside, so that nothing is elsewhere.

Names of runs and classes come from anywhere: bytes that are no text become replacement characters,
as on a screen, and Jinja2 escapes every text. Should something slip through, the browser runs no
script but ours: the page's policy names its checksum.
"""

import base64
import hashlib
import pathlib
from collections.abc import Sequence
from typing import Any

import jinja2
from markupsafe import Markup

import chainer_cifar
from chainer_cifar.streams import printable

_HERE = pathlib.Path(__file__).parent


def render(name: str, script: str, styles: Sequence[str], **values: Any) -> str:
    """Fill in a template of this folder.

    Args:
        name: The template. It has ``version``, ``style``, ``script`` and ``script_hash`` beside the
            values.
        script: The name of its script.
        styles: The names of its styles.
        values: What else it shows.
    """
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, finalize=_printable
    )
    return environment.from_string(_read(name)).render(
        version=chainer_cifar.__version__,
        style=Markup(''.join(map(_read, styles))),
        script=Markup(_read(script)),
        script_hash=checksum([script]),
        **values,
    )


def checksum(names: Sequence[str]) -> str:
    """Write the checksum of a script, or of styles that stand together, as a policy names it."""
    text = ''.join(map(_read, names))
    digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
    return f'sha256-{digest}'


def _printable(value: object) -> object:
    # Markup is what has gone through here already.
    return printable(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def _read(name: str) -> str:
    return (_HERE / name).read_text(encoding='utf-8')

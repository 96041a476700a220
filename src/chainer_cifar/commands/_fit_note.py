"""Read and write fit.json, what fit chose for the pictures, in the folder of the data."""

import json
import pathlib
from collections.abc import Mapping
from typing import Any

from chainer_cifar import json_file
from chainer_cifar.errors import UserError
from chainer_cifar.files import atomic_write

NAME, LISTING = 'fit.json', 'listing.csv'
VERSION = 1

_TYPES: dict[str, type] = {
    'version': int,
    'settings': dict,
    'pretrained': bool,
    'imbalance': float,
    'prepared': bool,
    'minutes': float,
    'epochs': dict,
}


def read(folder: pathlib.Path) -> dict[str, Any]:
    """Read fit.json; empty if there is none."""
    path = folder / NAME
    try:
        content = json_file.read(path)
        if not isinstance(content, dict) or content.get('version') != VERSION:
            raise ValueError(f'not of version {VERSION}')
        for name, kind in _TYPES.items():
            if type(content.get(name)) is not kind:
                raise ValueError(f"'{name}' in it is no {kind.__name__}")
        if not all(type(count) is int and count > 0 for count in content['epochs'].values()):
            raise ValueError("'epochs' in it are no numbers")
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise UserError(f'{path}: cannot be read ({error}); start again with --overwrite') from None
    return content


def write(folder: pathlib.Path, content: Mapping[str, Any]) -> None:
    with atomic_write(folder / NAME, 'w') as file:
        json.dump(content, file, indent=1)

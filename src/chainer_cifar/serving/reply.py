"""What the server sends: JSON in ASCII."""

import json
from typing import Any

from starlette.responses import JSONResponse


class Reply(JSONResponse):
    """JSON as ``predict --format json`` writes it.

    A name of a run or a class may hold bytes that are no text. Python keeps them as lone
    surrogates, which have no UTF-8, but can be escaped.
    """

    def render(self, content: Any) -> bytes:
        return json.dumps(content, allow_nan=False).encode('ascii')

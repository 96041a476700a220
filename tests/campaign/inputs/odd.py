"""Values that programs stumble over: texts, numbers, JSON."""

import json
import math
import random
from typing import Any

TEXTS = (
    *('', ' ', '\n', 'a\nb', '\r', '\t', '\x00', 'a\x00b', '\x07', '\x7f', '\x9b31m', '\u2028'),
    *('\x1b[31mred', '\x1b]0;title\x07', '\u202eabc', '\ufeff', '\ud800', '\udcff', 'a\udc80b'),
    *('猫', 'é', 'e\u0301', '🐈' * 40, 'a' * 300, 'ß' * 5000, '١٢', '½', 'Ⅷ'),
    *('.', '..', '/', '~', '../../outside/secret', '../outside/secret.json', '/etc/passwd'),
    *('/dev/zero', '/dev/stdin', '/proc/self/mem', 'file:///etc/passwd', 'C:\\x', 'con', 'nul'),
    *('%s%n', '{0}', '{canary}', '$(touch ../outside/ran)', '`touch ../outside/ran`', '; canary'),
    *("__import__('os').system('touch ../outside/ran')", '@flags.txt', '-', '--', '-h', '--help'),
    *('nan', 'inf', '-inf', '1e400', '1_000', '0x10', '1e5', '-0', '00', '1,2', '1|2', 'none'),
    *('None', 'True', 'null', '[]', '{}', '*', '?', '**/*', '(', ')', '(((((', '[a', 'a(b', '\\'),
)

INTEGERS = (
    *(0, -1, 1, 2, 3, 7, 255, 256, 2**15, 2**31 - 1, 2**31, -(2**31), 2**32, 2**53, 2**63 - 1),
    *(2**63, -(2**63), 2**64, 10**18, 10**19, 10**40, 10**400, -(10**400)),
)
FLOATS = (0.5, -0.0, 1e308, -1e308, 1e-320, 0.1, 1.5, 1e16, math.nan, math.inf, -math.inf)


def text(rng: random.Random) -> str:
    if rng.random() < 0.8:
        return rng.choice(TEXTS)
    kinds = ((0x20, 0x7F), (0, 0x20), (0x80, 0x800), (0x800, 0xD800), (0x10000, 0x11000))
    return ''.join(chr(rng.randrange(*rng.choice(kinds))) for _ in range(rng.randrange(12)))


def number(rng: random.Random) -> int | float:
    return rng.choice(INTEGERS if rng.random() < 0.6 else FLOATS)


def value(rng: random.Random, depth: int = 2) -> Any:
    """A value that JSON (as Python writes it) can hold."""
    kind = rng.randrange(9 if depth else 6)
    if kind == 0:
        return rng.choice([None, True, False])
    if kind in (1, 2):
        return number(rng)
    if kind < 6:
        return text(rng)
    items = [value(rng, depth - 1) for _ in range(rng.choice([0, 1, 2, 3, 12]))]
    return items if kind < 8 else {text(rng): item for item in items}


def dumped(content: Any) -> bytes:
    """JSON, with what is no JSON but Python reads."""
    return json.dumps(content).encode('utf-8', 'surrogatepass')

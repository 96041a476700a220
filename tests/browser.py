"""Pages in a headless Chromium, where there is one; what is in them is told by --dump-dom."""

import html
import json
import os
import re
import shutil
import subprocess

import pytest

# The shell first: a whole Chromium has no windows as narrow as a phone.
_NAMES = ('chromium-headless-shell', 'chromium', 'google-chrome')
CHROMIUM = os.environ.get('CHROMIUM') or next(filter(None, map(shutil.which, _NAMES)), None)

NEEDS_CHROMIUM = pytest.mark.skipif(
    CHROMIUM is None, reason='there is no chromium (nor CHROMIUM that names one)'
)


def ask_browser(address, folder, width, dark, milliseconds=3000):
    """Open an address and return the page's title, as JSON, after so long at most.

    Args:
        address: Of the page.
        folder: For files of the browser.
        width: Of the window.
        dark: Whether dark pages are preferred.
        milliseconds: By the page's clock, which stands still while it waits for a server.
    """
    modes = ['--force-dark-mode', '--blink-settings=preferredColorScheme=0'] if dark else []
    sandbox = ['--no-sandbox'] if os.getuid() == 0 else []
    done = subprocess.run(
        [
            *(CHROMIUM, '--headless', '--disable-gpu', '--hide-scrollbars', *sandbox, *modes),
            *(f'--user-data-dir={folder / "profile"}', f'--window-size={width},900'),
            *(f'--virtual-time-budget={milliseconds}', '--dump-dom', address),
        ],
        capture_output=True,
        text=True,
        timeout=300,
    )
    (title,) = re.findall('<title>(.*?)</title>', done.stdout)
    return json.loads(html.unescape(title))

"""``python tests/campaign``."""

import pathlib
import signal
import sys

TESTS = pathlib.Path(__file__).resolve().parents[1]
sys.path[:0] = [str(TESTS), str(TESTS.parent / 'src')]

from campaign.run import main  # noqa: E402

if __name__ == '__main__':
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) != signal.SIG_IGN:  # as under nohup
            signal.signal(number, signal.default_int_handler)  # so that nothing is left behind
    sys.exit(main())

"""``python tests/campaign``."""

import pathlib
import sys

TESTS = pathlib.Path(__file__).resolve().parents[1]
sys.path[:0] = [str(TESTS), str(TESTS.parent / 'src')]

from campaign.run import main  # noqa: E402

if __name__ == '__main__':
    sys.exit(main())

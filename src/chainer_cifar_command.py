"""Where a command begins: src/NAME.py and ``chainer-cifar`` come here before anything is imported.

The processes of ``train --processes`` run this file itself, with what the user typed as JSON.

Python turns Ctrl-C into an exception, which during the imports would be a traceback. Nothing is to
be saved or told yet, so until the command runs, Ctrl-C ends the process at once; see cli.py.
"""

# `signal` itself takes milliseconds to import, and Ctrl-C would be a traceback meanwhile.
import _signal as signal  # type: ignore[import-not-found]


def script(name: str) -> None:
    """Run src/<name>.py."""
    _end_at_once()
    from chainer_cifar import cli

    cli.script(name)


def main() -> None:
    """Run the ``chainer-cifar`` command."""
    _end_at_once()
    from chainer_cifar import cli

    cli.main()


def again() -> None:
    """Run the train command a second time, as one of the processes that it starts."""
    _end_at_once()
    from chainer_cifar import cli

    cli.again()


def _end_at_once() -> None:
    # A job in the background may ignore Ctrl-C, and goes on doing so.
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)


if __name__ == '__main__':
    again()

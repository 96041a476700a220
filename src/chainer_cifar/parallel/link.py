"""The line between the processes and the one that the user started, which looks after them.

It is a Unix socket. The process at its other end hands its standard output and error over as they
are, so that a terminal, a file or a pipe works as with one process; mpirun would copy what the
processes write. Messages are lines:

* ``begin RANK PID``
* ``waiting SECONDS`` for the others, and ``going`` when it waits no more
* ``lost SECONDS``: it ends, since it has waited for so long
* ``end STATUS``, or ``end STATUS REASON`` if nobody has told the user
"""

import contextlib
import os
import socket
import threading

VARIABLE = 'CHAINER_CIFAR_LINK'  # holds the socket's path


class Link:
    """The end of a process that was started."""

    def __init__(self, path: str) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.connect(path)
        _, self._streams, _, _ = socket.recv_fds(self._socket, 1, 2)

    @classmethod
    def from_environment(cls) -> 'Link | None':
        """Make it if this process was started by `launch`."""
        path = os.environ.get(VARIABLE)
        return cls(path) if path else None

    def take_over_streams(self) -> None:
        """Write to the standard output and error of the process at the other end from now on."""
        for descriptor, own in zip(self._streams, (1, 2), strict=True):
            os.dup2(descriptor, own)
            os.close(descriptor)

    def send(self, message: str) -> None:
        """Send a message; the other end may be gone."""
        with contextlib.suppress(OSError):
            self._socket.sendall(f'{message}\n'.encode())

    def end_with_it(self) -> None:
        """End this process, too, as soon as the one at the other end is gone."""
        threading.Thread(target=self._wait_for_end, daemon=True).start()

    def _wait_for_end(self) -> None:
        with contextlib.suppress(OSError):
            while self._socket.recv(100):
                pass
        os._exit(1)

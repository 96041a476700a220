"""Write the course of a run for TensorBoard: ``--tensorboard``.

The event files of results/RUN/tensorboard hold loss and error, learning rate and speed of each
epoch, the flags, and a histogram of the weights of each layer from time to time. A run that resumes
at an earlier epoch than it had reached cuts off what lies beyond, so each epoch is there once.
"""

import os
import pathlib
import struct
import time
from collections.abc import Iterator, Mapping
from typing import Any

import chainer
from chainer import cuda
from chainer.training import extension

from chainer_cifar import extras, runs
from chainer_cifar.config import TrainConfig
from chainer_cifar.training.log import Log, Row
from chainer_cifar.training.progress import Progress

HISTOGRAMS = 30  # of each layer in a whole run, at most, so that the files stay small
BINS = 64

# Columns of the log by their names here; TensorBoard shows names with the same beginning together.
TAGS = {
    'learning_rate': 'lr',
    **{
        f'{what}/{part}': f'{part}_{what}'
        for what in ('loss', 'error', 'top5_error')
        for part in ('train', 'valid', 'test')
    },
}
SPEED = 'images_per_second'
_FLAGS_TAG = '_hparams_/session_start_info'

# A record: length of the data, its checksum, the data, their checksum.
_HEADER, _FOOTER = struct.Struct('<QI'), struct.Struct('<I')


def require() -> None:
    """Raise UserError if the package that writes the files is missing."""
    _tensorboardx('summary')


def _tensorboardx(module: str) -> Any:
    return extras.package(f'tensorboardX.{module}', 'tensorboard', '--tensorboard')


class TensorBoard(extension.Extension):
    """Write what an epoch brought, after it and before its snapshot.

    It has no state in the snapshot, so that a run may begin and stop to write at any resumption.

    Args:
        config: The flags of the run.
        net: The net that is trained, for the histograms.
        log: Of the run.
        progress: Knows the time.
    """

    def __init__(
        self, config: TrainConfig, net: chainer.Chain, log: Log, progress: Progress
    ) -> None:
        self.config = config
        self.net = net
        self.log = log
        self.progress = progress
        self.every = -(-config.iter // HISTOGRAMS)
        self._writer: Any = None

    def initialize(self, trainer: chainer.training.Trainer) -> None:
        self._folder = pathlib.Path(trainer.out) / runs.TENSORBOARD
        self._epoch = len(self.log.rows)
        self._seen = _cut(self._folder, self._epoch)
        self._last = trainer.updater.iteration, self.progress.seconds

    def __call__(self, trainer: chainer.training.Trainer) -> None:
        if self._writer is None:
            self._open()
        self._write_row(self.log.rows[-1], {SPEED: self._speed(trainer.updater)})
        epoch = trainer.updater.epoch
        if epoch % self.every == 0 or epoch == self.config.iter:
            self._write_histograms(epoch)
        self._writer.flush()

    def _speed(self, updater: chainer.training.Updater) -> float:
        """Return the images a second since the last call."""
        now = updater.iteration, self.progress.seconds
        iterations, seconds = now[0] - self._last[0], now[1] - self._last[1]
        self._last = now
        size: int = updater.get_iterator('main').batch_size
        return iterations * size / seconds

    def finalize(self) -> None:
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    def _open(self) -> None:
        """Begin a file, with what the older ones lack."""
        self._folder.mkdir(parents=True, exist_ok=True)
        # The library's own name tells no two files of one second apart.
        suffix = f'.{os.getpid()}.{self._epoch}'
        prefix = str(self._folder / 'events')
        self._writer = _tensorboardx('event_file_writer').EventsWriter(prefix, suffix)
        protocol = _tensorboardx('proto.event_pb2')
        # A TensorBoard that is looking on forgets what was cut off.
        start = protocol.SessionLog(status=protocol.SessionLog.START)
        self._write_event(self._epoch + 1, session_log=start)
        if (_FLAGS_TAG, 0) not in self._seen:
            metrics = {f'error/{part}': 0.0 for part in ('valid', 'test')}
            flags = vars(self.config)
            for summary in _tensorboardx('summary').hparams(flags, metrics)[:2]:
                self._write_event(0, summary=summary)
        for row in self.log.rows[: self._epoch]:
            if ('loss/train', row['epoch']) not in self._seen:
                self._write_row(row, {})

    def _write_row(self, row: Row, more: Mapping[str, float]) -> None:
        values = {tag: row[column] for tag, column in TAGS.items() if column in row}
        scalar = _tensorboardx('summary').scalar
        for tag, value in {**values, **more}.items():
            self._write_event(row['epoch'], summary=scalar(tag, value))

    def _write_histograms(self, epoch: int) -> None:
        histogram = _tensorboardx('summary').histogram
        for name, parameter in self.net.namedparams():
            if parameter.ndim > 1:  # a kernel, and no bias or batch normalization
                values = cuda.to_cpu(parameter.array)
                self._write_event(epoch, summary=histogram(f'weights{name}', values, BINS))

    def _write_event(self, step: float, **content: Any) -> None:
        event = _tensorboardx('proto.event_pb2').Event(step=int(step), **content)
        event.wall_time = time.time()
        self._writer.write_event(event)


def _cut(folder: pathlib.Path, epoch: int) -> set[tuple[str, int]]:
    """Cut off what lies beyond an epoch, and torn ends; return the tags and steps that stay."""
    seen: set[tuple[str, int]] = set()
    for path in sorted(folder.glob(runs.EVENTS)):
        end = 0
        for event, after in events(path):
            if event.step > epoch and not event.HasField('session_log'):
                break
            seen |= {(value.tag, event.step) for value in event.summary.value}
            end = after
        os.truncate(path, end)
    return seen


def events(path: pathlib.Path) -> Iterator[tuple[Any, int]]:
    """Read an event file up to its first damaged record.

    Yields:
        An event, and where in the file it ends.
    """
    protocol = _tensorboardx('proto.event_pb2')
    checksum = _tensorboardx('record_writer').masked_crc32c
    content = path.read_bytes()
    place = 0
    while place + _HEADER.size <= len(content):
        length, _ = _HEADER.unpack_from(content, place)
        start = place + _HEADER.size
        place = start + length + _FOOTER.size
        data = content[start : start + length]
        if place > len(content) or _FOOTER.unpack_from(content, start + length)[0] != checksum(
            data
        ):
            return
        yield protocol.Event.FromString(data), place

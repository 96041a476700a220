"""Train a tiny net for thousands of epochs: memory, descriptors and time an epoch do not grow."""

import itertools
import os
import pathlib
import random
import statistics
from typing import Any, ClassVar, NamedTuple

import runs
from campaign import commands
from campaign.commands import Started
from campaign.part import Case, Part, require

EPOCHS = 3000
FEW = 150
# What the end of the run may have more than its beginning: bytes, since the first picture takes
# some for good; descriptors, which come and go; times as much processor time an epoch.
MEMORY, DESCRIPTORS, TIME = 64 << 20, 4, 1.5
# Other work on the machine slows some of these parts of a beginning or an end; growth, all of them.
SLICES = 10

_COMMAND = '-m simple -b 12 -d data/image.pkl -l data/label.pkl -p run --cpu_engine onednn'
_AVERAGE = '--average ema(0.9) --optimizer adam --augment mirror'
SHORT = 'short'
_WAYS = {'train': '', 'train with an average': _AVERAGE, SHORT: ''}


class LongRun(Part):
    """A case is a way to train."""

    name = 'long run'
    kinds: ClassVar = {
        'train': f'{EPOCHS:,} epochs of a tiny net',
        'train with an average': f'{EPOCHS:,} epochs with an average, Adam and augmentation',
        SHORT: f'{FEW} epochs, as make test does',
    }
    share = 0.5
    in_tests = 1

    def draw(self, number: int, rng: random.Random) -> tuple[str, dict[str, Any]]:
        kind = self.kind_of(number - 1)  # the first is the short one
        epochs = FEW if kind == SHORT else EPOCHS
        return kind, {'epochs': epochs, 'seed': rng.getrandbits(16)}

    def run(self, case: Case, folder: pathlib.Path) -> None:
        runs.write_data(folder / 'data')
        epochs = case.facts['epochs']
        flags = ['--iter', epochs, '--seed', case.facts['seed'], *_WAYS[case.kind].split()]
        samples: list[_Sample] = []
        seconds = 20 * commands.SECONDS
        with commands.start_forked(
            *('train', *_COMMAND.split(), *flags), cwd=folder, seconds=seconds
        ) as started:
            while started.wait(0.05) is None:
                # One that waits for ever takes no processor time.
                require(not started.is_late(), f'train: has not ended after {seconds:.0f} s')
                sample = _look(started, folder)
                if sample and (not samples or sample.epoch > samples[-1].epoch):
                    samples.append(sample)
            done = started.finish()
        done.require_told([0])
        _require_even(samples, epochs)
        if case.kind != SHORT:  # other work on the machine decides over so few seconds
            _require_even_time(samples, epochs)


class _Sample(NamedTuple):
    epoch: int
    seconds: float  # of processor time
    memory: int  # bytes
    descriptors: int


def _look(started: Started, folder: pathlib.Path) -> _Sample | None:
    process = pathlib.Path(f'/proc/{started.pid}')
    try:
        log = (folder / 'results/run/log.csv').read_text().splitlines()
        facts = commands.facts_of(process)
        pages = int((process / 'statm').read_text().split()[1])
        ticks = (int(facts[11]) + int(facts[12])) / os.sysconf('SC_CLK_TCK')
        files = len(list((process / 'fd').iterdir()))
        return _Sample(int(log[-1].split(',')[0]), ticks, pages * os.sysconf('SC_PAGE_SIZE'), files)
    except (OSError, ValueError, IndexError):  # nothing yet, or no more
        return None


def _require_even(samples: list[_Sample], epochs: int) -> None:
    early, late = _early_and_late(samples, epochs)
    memory = [statistics.median(each.memory for each in some) for some in (early, late)]
    _require_at_most(memory[0] + MEMORY, 'memory', *memory)
    files = [max(each.descriptors for each in some) for some in (early, late)]
    _require_at_most(files[0] + DESCRIPTORS, 'descriptors', *files)


def _require_even_time(samples: list[_Sample], epochs: int) -> None:
    paces = [_fastest_pace(some) for some in _early_and_late(samples, epochs)]
    _require_at_most(paces[0] * TIME, 'time an epoch', *paces)


def _early_and_late(samples: list[_Sample], epochs: int) -> list[list[_Sample]]:
    found = [
        [each for each in samples if first * epochs <= each.epoch < last * epochs]
        for first, last in ((0.1, 0.3), (0.8, 1.0))
    ]
    require(min(map(len, found)) > 1, 'too few samples')
    return found


def _fastest_pace(samples: list[_Sample]) -> float:
    """Give the seconds an epoch takes where the machine had the least other work."""
    ends = itertools.pairwise(samples[:: -(-len(samples) // (SLICES + 1))])
    return min((b.seconds - a.seconds) / (b.epoch - a.epoch) for a, b in ends)


def _require_at_most(most: float, what: str, before: float, after: float) -> None:
    require(after <= most, f'{what}: {before:.4g} early in the run, {after:.4g} late')

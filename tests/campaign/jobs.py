"""Commands with all that they need, small enough to be run thousands of times.

A job begins in a folder that `Truths.prepare` filled, and goes on there after a kill, as its user
would. A `Truth` is what an undisturbed run of it leaves.
"""

import contextlib
import dataclasses
import functools
import pathlib
import shutil
import tempfile
import time
from collections.abc import Iterator, Sequence
from typing import Any

import own_pictures
from campaign import commands, trees
from campaign.commands import Done
from campaign.part import Part
from campaign.server import serving
from cifar_archive import MD5, write_cifar10

_NET = '-m residual --res_depth 1 -b 32 -d dataset/image.pkl -l dataset/label.pkl -p run --iter 3'
# All that has a state: optimizer, average, schedule, dropout, stochastic depth, augmentation.
_RICH = (
    '-m residual --res_depth 2 --skip_depth --swapout --optimizer adam --average ema(0.9) '
    '--augment shift(0.1)|mirror|cutout(8) --lr_shape plateau(0.5,1)|decay(1e-3) -b 32 '
    '-d dataset/image.pkl -l dataset/label.pkl -p run --iter 4 --save_iter 2'
)
_SEARCHED = (
    '-m residual --res_depth 1 -b 32 -d dataset/image.pkl -l dataset/label.pkl --name run '
    '--lr 1e-3..1e-1 --augment mirror;crop --iter 3 --trials 4'
)


@dataclasses.dataclass(frozen=True)
class Job:
    """A command.

    Attributes:
        command: Its name and arguments.
        needs: Names of folders and files of the workshop that it finds in its folder.
        resumes: A run that `--resume` continues.
        replaces: Older results lie where it writes, and each file is theirs or its own at any time.
    """

    command: tuple[str, ...]
    needs: tuple[str, ...] = ()
    resumes: bool = False
    replaces: bool = False

    @property
    def name(self) -> str:
        """Such as ``train``."""
        return self.command[0]

    def again(self, done: Done | None) -> tuple[str, ...]:
        """What a user types next after `done`, or at first after None."""
        if not self.resumes or done is None:
            return self.command
        if 'there is no run to resume' in done.err:
            return self.command  # it was stopped before anything was written
        return self.resumed

    @property
    def resumed(self) -> tuple[str, ...]:
        """The command that continues its run."""
        return ('train', '--resume', '-p', 'run')


def _job(text: str, *needs: str, resumes: bool = False, replaces: bool = False) -> Job:
    return Job(tuple(text.split()), needs, resumes, replaces)


# A new command, or a way to call one, is a line here.
JOBS = {
    'train': _job(f'train {_NET}', 'dataset', resumes=True),
    'train with all that has a state': _job(f'train {_RICH}', 'dataset', resumes=True),
    'train on own pictures': _job(
        'train -m residual --res_depth 1 -b 4 -d out/image_raw -l out/label.pkl -p run --iter 3',
        'out',
        resumes=True,
    ),
    'train --seeds': _job(f'train {_NET} --iter 2 --seeds 2', 'dataset', resumes=True),
    'train --folds': _job(f'train {_NET} --iter 2 --folds 2', 'dataset', resumes=True),
    'train --processes': _job(f'train {_NET} --iter 2 --processes 2', 'dataset', resumes=True),
    'train --tensorboard': _job(f'train {_NET} --tensorboard', 'dataset', resumes=True),
    'train --find_lr': _job(f'train {_NET} --find_lr', 'dataset'),
    'dataset': _job('dataset --dir cifar --only mean,raw --out out', 'cifar'),
    'dataset of own pictures': _job('dataset own --size 24 --out out', 'own'),
    'dataset over another': _job('dataset own --size 24 --out out', 'own', 'out', replaces=True),
    'train --overwrite': _job(f'train {_NET} --iter 2 --overwrite', 'dataset', 'models', 'results'),
    'download': _job(f'download --md5 {MD5} --retries 0 --url'),  # and the URL of a server
    'evaluate': _job('evaluate run --calibrate', 'dataset', 'models', 'results'),
    'predict': _job(
        'predict run own --gallery out/gallery.png', 'dataset', 'models', 'results', 'own'
    ),
    # So little time that the number of epochs is always the least.
    'fit': _job('fit own --minutes 0.0001 --size 16 --name own --init none', 'own'),
    'fit --folds': _job('fit own --minutes 0.0001 --size 16 --folds 2 --init none', 'own'),
    'search': _job(f'search {_SEARCHED} --halving 1', 'dataset'),
    # Which trials are stopped depends on which were done before.
    'search --halving': _job(f'search {_SEARCHED} --halving 2', 'dataset'),
    'visualize': _job('visualize run --only filters,batch', 'dataset', 'models', 'results'),
    'report': _job('report run', 'dataset', 'models', 'results'),
    'compare': _job('compare run', 'results', 'models'),
    'export': _job('export run --onnx out/run.onnx', 'dataset', 'models', 'results'),
    'export --int8': _job('export run --onnx out/run.onnx --int8', 'dataset', 'models', 'results'),
}


def make_inputs(workshop: pathlib.Path) -> None:
    """Make what jobs need: a data set, CIFAR's batches, pictures, a finished run."""
    own_pictures.write(workshop / 'own', per_class=6)
    write_cifar10(workshop / 'cifar', 20)
    for text in (
        'dataset --dir cifar --only mean,raw --out dataset',
        'dataset own --size 16 --out out',
        f'train {_NET}',
    ):
        commands.forked(*text.split(), cwd=workshop).require_told([0])


@dataclasses.dataclass(frozen=True)
class Truth:
    """What an undisturbed run of a job leaves, and takes.

    Attributes:
        content: What is in each file; see trees.py.
        seconds: How long it took.
        written: The bytes of each file that it wrote, in the order in which these were ready.
    """

    content: dict[str, Any]
    seconds: float
    written: tuple[int, ...]


@contextlib.contextmanager
def served(job: Job, answers: Sequence[str] = ()) -> Iterator[tuple[str, ...]]:
    """Run the server of a job that fetches; yield what the command of the job needs more."""
    if job.name != 'download':
        yield ()
        return
    with serving(answers) as server:
        yield (server.url,)


class OfJobs(Part):
    """A part whose cases are jobs.

    Attributes:
        shared: A folder for what it has in common with the parts beside it.
        truths: Of all jobs.
    """

    def __init__(self, workshop: pathlib.Path) -> None:
        super().__init__(workshop)
        self.shared = workshop.parent / 'shared'
        self.truths = truths(self.shared)

    @contextlib.contextmanager
    def begun(
        self, name: str, folder: pathlib.Path, answers: Sequence[str] = ()
    ) -> Iterator[tuple[tuple[str, ...], Truth]]:
        """Prepare a job in a folder; yield what its command needs more, and its truth.

        During the block, a server answers as `answers` say, and then as it should.
        """
        job = JOBS[name]
        with served(job) as honest, served(job, answers) as arguments:
            truth = self.truths.of(name, honest)
            self.truths.prepare(job, folder)
            yield arguments, truth


def require_sound(job: Job, folder: pathlib.Path, older: dict[str, Any], truth: Truth) -> None:
    """Raise Broke if a file is half-written, or neither older nor new where a job replaces some.

    `older` is the content of the folder before the job.
    """
    trees.require_whole(folder)
    trees.require_finished(folder, older, truth.content)
    if job.replaces:
        trees.require_either(folder, older, truth.content)


@functools.cache
def truths(folder: pathlib.Path) -> 'Truths':
    """The truths in a folder, which parts beside each other share."""
    return Truths(folder)


class Truths:
    """The truth of each job, found when it is asked for.

    Args:
        shared: A folder for them and for the inputs.

    Attributes:
        inputs: The folder of what jobs need.
        folder: One for jobs to be run in.
    """

    def __init__(self, shared: pathlib.Path) -> None:
        self.inputs = shared / 'inputs'
        self.folder = shared / 'truths'
        self.folder.mkdir(parents=True, exist_ok=True)
        self._known: dict[str, Truth] = {}

    def prepare(self, job: Job, folder: pathlib.Path) -> None:
        """Copy into `folder` what the job needs; make it at the first time."""
        for name in job.needs:
            self.copy(name, folder)

    def copy(self, name: str, folder: pathlib.Path) -> None:
        """Copy one of the inputs into `folder`; make them all at the first time."""
        if not self.inputs.exists():
            made = pathlib.Path(tempfile.mkdtemp(dir=self.folder))
            make_inputs(made)
            made.rename(self.inputs)
        shutil.copytree(self.inputs / name, folder / name)

    def of(self, name: str, arguments: Sequence[str] = ()) -> Truth:
        """The truth of the job `name`, to whose command `arguments` are added."""
        if name not in self._known:
            folder = pathlib.Path(tempfile.mkdtemp(dir=self.folder))
            job = JOBS[name]
            self.prepare(job, folder)
            begin, start = time.time_ns(), time.monotonic()
            done = commands.forked(*job.command, *arguments, cwd=folder)
            seconds = time.monotonic() - start
            done.require_told([0])
            facts = sorted(
                (path.stat() for path in trees.files(folder)), key=lambda each: each.st_mtime_ns
            )
            written = tuple(each.st_size for each in facts if each.st_mtime_ns > begin)
            self._known[name] = Truth(trees.content(folder), seconds, written)
            shutil.rmtree(folder)
        return self._known[name]

"""Share out the time over the parts, run their cases, and show a table."""

import argparse
import contextlib
import hashlib
import importlib.metadata
import json
import multiprocessing
import os
import pathlib
import platform
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from typing import Any

from campaign.part import Broke, Case, Impossible, Part
from campaign.parts import PARTS
from campaign.results import Results
from chainer_cifar import device, environment
from chainer_cifar.table import aligned

ROOT = pathlib.Path(__file__).resolve().parents[2]
MINUTES, SEED = 10.0, 1


def main(argv: Sequence[str] | None = None) -> int:
    """Run the campaign that the flags ask for; return the exit status."""
    args = _parse(argv)
    with (
        # What cannot be removed shall not keep the table from being shown.
        tempfile.TemporaryDirectory(
            prefix='campaign-', dir=args.scratch, ignore_cleanup_errors=True
        ) as scratch,
        contextlib.ExitStack() as stack,
    ):
        stack.enter_context(_temporary_files_in(pathlib.Path(scratch)))
        parts = _parts(args.part or list(PARTS), pathlib.Path(scratch))
        for part in parts:
            stack.callback(part.close)
        if args.case is not None:
            return _repeat(parts, args.seed, args.case, pathlib.Path(scratch).parent)
        path, known = args.results or _results(args.seed), facts(args.seed)
        results = Results(path, known)
        try:
            ended = _side_by_side(parts, results, args.seed, args.minutes * 60, args.few)
        except KeyboardInterrupt:
            ended = True
            print('stopped; the same command goes on')
        results = Results(path, known)  # with what was found beside
    if pathlib.Path(scratch).exists():
        print(f'{scratch}: could not be removed')
    print(f'\n{table(parts, results)}')
    if args.json:
        args.json.write_text(
            json.dumps(results.summary(_words(parts)), indent=1) + '\n', encoding='utf-8'
        )
    if not ended:
        print('the process of the small cases has died; above is what was tried before')
    return 1 if results.failed() or not ended else 0


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog='campaign', description=__doc__)
    path = pathlib.Path
    parser.add_argument('--minutes', type=float, default=MINUTES, help='for all parts together')
    parser.add_argument('--seed', type=int, default=SEED, help='decides every case')
    parser.add_argument('--part', action='append', choices=PARTS, help='this one only; repeatable')
    parser.add_argument(
        '--few', action='store_true', help='the first cases of each part only, as make test does'
    )
    parser.add_argument('--case', type=int, help='run this case alone, whatever came out before')
    parser.add_argument('--json', type=path, metavar='FILE', help='write the counts into it')
    parser.add_argument('--results', type=path, metavar='FILE', help='default: in build/campaign')
    parser.add_argument('--scratch', type=path, metavar='FOLDER', help='for the folders of cases')
    args = parser.parse_args(argv)
    args.scratch = args.scratch and args.scratch.absolute()  # commands run elsewhere
    if args.case is not None and len(args.part or ()) != 1:
        parser.error('--case needs one --part')
    return args


@contextlib.contextmanager
def _temporary_files_in(scratch: pathlib.Path) -> Iterator[None]:
    """Let killed commands leave there what they leave in the folder for temporary files."""
    folder = scratch / 'tmp'
    folder.mkdir()
    variable, module = os.environ.get('TMPDIR'), tempfile.tempdir
    os.environ['TMPDIR'] = tempfile.tempdir = str(folder)
    try:
        yield
    finally:
        tempfile.tempdir = module
        if variable is None:
            del os.environ['TMPDIR']
        else:
            os.environ['TMPDIR'] = variable


def _results(seed: int) -> pathlib.Path:
    return ROOT / 'build' / 'campaign' / f'seed-{seed}.jsonl'


def _parts(names: Sequence[str], scratch: pathlib.Path) -> list[Part]:
    parts = []
    for name in names:
        workshop = scratch / name
        workshop.mkdir()
        parts.append(PARTS[name](workshop))
    return parts


def facts(seed: int) -> dict[str, object]:
    """What the results depend on: seed, revision, machine and versions."""
    described = environment.describe(device.get_device())
    readers = {name: importlib.metadata.version(name) for name in ('pillow', 'h5py', 'requests')}
    return {
        'seed': seed,
        'git': described['git'],
        'changes': _changes(),
        'machine': f'{described["device"]["name"]}, {platform.system()}',
        'versions': {**described['versions'], **readers},
    }


def _changes() -> str:
    """A number for what is not committed: cases of other code do not count. Empty: nothing is."""
    line = ['git', '-C', str(ROOT), 'diff', 'HEAD']
    try:
        found = subprocess.run(line, capture_output=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return ''
    return hashlib.sha256(found).hexdigest()[:12] if found else ''


def _side_by_side(parts: Sequence[Part], results: Results, *limits: Any) -> bool:
    """Call `campaign` in a process of its own for the parts of small cases, as these are many.

    Returns:
        Whether that process came to its end.
    """
    groups = [[part for part in parts if part.small == small] for small in (True, False)]
    if not all(groups):
        campaign(parts, results, *limits)
        return True
    beside = multiprocessing.get_context('fork').Process(
        target=_beside, args=(groups[0], results, *limits)
    )
    beside.start()
    try:
        campaign(groups[1], results, *limits)
    except KeyboardInterrupt:
        beside.terminate()  # a SIGTERM came to this process only
        raise
    finally:
        beside.join()
    return beside.exitcode == 0


def _beside(*arguments: Any) -> None:
    with contextlib.suppress(KeyboardInterrupt):  # of which the other process tells
        campaign(*arguments)


def campaign(parts: Sequence[Part], results: Results, seed: int, seconds: float, few: bool) -> None:
    """Run cases until all of them together took so many seconds, those of earlier runs included.

    Of each part run only its `in_tests` first ones if they shall be `few`.

    The next case is always one of the part that has had the least of its share of the time.
    """
    used = {part: results.seconds(part.name) for part in parts}
    numbers = {part: results.next_number(part.name) for part in parts}
    impossible: dict[str, str] = {}
    while left := [part for part in parts if not few or numbers[part] < part.in_tests]:
        if sum(used.values()) >= seconds:
            break
        part = min(left, key=lambda part: used[part] / part.share)
        case = part.case(seed, numbers[part])
        numbers[part] += 1
        start = time.monotonic()
        try:
            reason = attempt(part, case)
        except Impossible as missing:
            impossible[case.kind] = str(missing)
            used[part] += round(time.monotonic() - start, 4)
            continue
        took = round(time.monotonic() - start, 4)
        used[part] += took
        results.add(case, reason, took)
        if reason is not None:
            print(f'FAILED {case}\n       {reason}', flush=True)
    for kind, missing in impossible.items():
        print(f'not tried: {kind}: {missing}')


def attempt(part: Part, case: Case, kept: pathlib.Path | None = None) -> str | None:
    """Run a case in a new folder; return how it broke the promise, or None if it held.

    Args:
        part: The part.
        case: One of its cases.
        kept: Use this folder, and leave it; None: one that is deleted.

    Raises:
        Impossible: It cannot be tried here.
    """
    folder = kept or pathlib.Path(
        tempfile.mkdtemp(prefix=f'case-{case.number}-', dir=part.workshop)
    )
    try:
        part.run(case, folder)
    except Impossible:
        raise
    except Broke as reason:
        return str(reason)
    except Exception as error:
        return f'{type(error).__name__}: {error}'
    finally:
        if kept is None:
            shutil.rmtree(folder, ignore_errors=True)
    return None


def _repeat(parts: Sequence[Part], seed: int, number: int, place: pathlib.Path) -> int:
    (part,) = parts
    case = part.case(seed, number)
    print(case, flush=True)
    folder = pathlib.Path(tempfile.mkdtemp(prefix=f'{part.name}-{number}-', dir=place))
    try:
        reason = attempt(part, case, folder)
    except Impossible as missing:
        print(f'not tried: {missing}')
        return 1
    print(f'{"held" if reason is None else f"FAILED: {reason}"}\nits folder: {folder}')
    return 0 if reason is None else 1


def _words(parts: Sequence[Part]) -> dict[str, dict[str, str]]:
    return {part.name: part.kinds for part in parts}


def table(parts: Sequence[Part], results: Results) -> str:
    """Count what was tried and what held, for each kind of each part."""
    counts = results.summary(_words(parts))['parts']
    rows = [['part', 'kind', 'tried', 'held', 'failed']]
    for part in parts:
        for kind in part.kinds:
            count = counts.get(part.name, {}).get(kind, {'tried': 0, 'held': 0})
            tried, held = count['tried'], count['held']
            rows.append([part.name, kind, f'{tried:,}', f'{held:,}', f'{tried - held:,}'])
    return aligned(rows, 2)

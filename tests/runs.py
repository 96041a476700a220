"""``src/train.py`` as a user runs it, on a small data set, and what it leaves in its folders."""

import os
import pathlib
import pickle
import subprocess
import sys

import numpy as np

DATA = ('-d', 'data/image.pkl', '-l', 'data/label.pkl')  # as `write_data` writes them
SCRIPT = pathlib.Path(__file__).parents[1] / 'src' / 'train.py'


def environment():
    variables = {
        k: v for k, v in os.environ.items() if k not in ('MPLBACKEND', 'DISPLAY', 'COLUMNS')
    }
    # Two threads, on whatever machine, and patient ones, since several tests run at a time.
    threads = {'OMP_NUM_THREADS': '2', 'OMP_WAIT_POLICY': 'passive', 'OPENBLAS_NUM_THREADS': '1'}
    return {**variables, **threads}


def train(*arguments, cwd):
    return subprocess.run(
        [sys.executable, SCRIPT, *map(str, arguments)],
        cwd=cwd,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=120,
    )


def write_data(folder, seed=0, n_train=40, n_test=10):
    """image.pkl, label.pkl and classes.json of three classes, noise on a pattern of each."""
    rng = np.random.default_rng(seed)
    patterns = rng.normal(size=(3, 3072))
    labels, images = {}, {}
    for part, n in (('train', n_train), ('test', n_test)):
        labels[part] = (np.arange(n) % 3).astype(np.int32)
        noise = rng.normal(size=(n, 3072))
        images[part] = (0.5 * patterns[labels[part]] + noise).astype(np.float32)
    folder.mkdir(exist_ok=True)
    for name, value in (('image.pkl', images), ('label.pkl', labels)):
        with open(folder / name, 'wb') as file:
            pickle.dump(value, file)
    (folder / 'classes.json').write_text('["cat", "dog", "ship"]')


def files(folder):
    """Every path below `folder`, and what is in it."""
    return {
        str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None
        for path in folder.rglob('*')
    }


def snapshots(folder):
    """Newest first."""
    return sorted((folder / 'models' / 'run').glob('snapshot-*.npz'), reverse=True)


def arrays(path):
    with np.load(path, allow_pickle=False) as npz:
        return {name: npz[name] for name in npz.files}


def assert_same_arrays(one, other):
    assert one.keys() == other.keys()
    for name in one:
        assert one[name].dtype == other[name].dtype, name
        # Bits, not values: -0 is not 0, and NaN is NaN.
        assert one[name].tobytes() == other[name].tobytes(), name


def state(path):
    """What decides how a run goes on: all but the times, and the flags, which say how long."""
    times = ('config', 'Progress/', 'elapsed')
    return {k: v for k, v in arrays(path).items() if not any(word in k for word in times)}


def assert_same_run(folder, finished):
    """Log and curves by the byte, weights and state of the newest snapshot by the bit."""
    for name in ('log.csv', 'log.json', 'loss.png', 'error.png'):
        path = pathlib.Path('results', 'run', name)
        assert (folder / path).read_bytes() == (finished / path).read_bytes(), name
    best = pathlib.Path('models', 'run', 'best.npz')
    assert_same_arrays(arrays(folder / best), arrays(finished / best))
    assert snapshots(folder)[0].name == snapshots(finished)[0].name
    assert_same_arrays(state(snapshots(folder)[0]), state(snapshots(finished)[0]))


def assert_no_traceback(done):
    assert done.returncode == 2, done.stderr
    assert 'Traceback' not in done.stderr
    assert done.stderr.splitlines()[-1].startswith('train.py: error: ')
    return done.stderr

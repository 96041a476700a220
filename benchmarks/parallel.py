"""Training in several processes on a CPU: its speed, what communication costs, a model of it.

    python benchmarks/parallel.py [--nets vgg,cnn,residual-12] [--rounds 5] [--json FILE]

For each net, two processes with a thread each against one process with two threads, in turns: whole
steps (forward, backward, averaging of the gradients, momentum SGD) on random images. The ratio of
each round is images per second of the two over those of the one; the median is reported. The share
of communication is the time inside of the averaging, with waiting for the other process.

Then 2 processes, 4, and so on up to a core for each, average buffers of many sizes, and `fit` finds
latency and bandwidth:

    t(P, bytes) = 2 log2(P) latency + 2 (P - 1) / P bytes / bandwidth

`predict` uses them for 8, 64 and 1,024 processes, each with its images, on a network as fast as
what was measured. On one machine that is its memory: give what your network has by --latency
(seconds) and --bandwidth (bytes a second).
"""

import argparse
import json
import math
import os
import pathlib
import statistics
import subprocess
import sys
import time

import numpy as np
import scipy.optimize

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / 'src'))

from chainer_cifar.parallel.environment import cores  # noqa: E402

NETS = ('vgg', 'cnn', 'residual-12')
WARM_UP = 3
SIZES = tuple(4**power for power in range(1, 13))  # numbers in a buffer
SCALES = (8, 64, 1024)
WAYS = {'2x1': (2, 1), '1x2': (1, 2)}  # processes, threads of each


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--nets', default=','.join(NETS))
    parser.add_argument('--batch_size', type=int, default=128)
    parser.add_argument('--rounds', type=int, default=5)
    parser.add_argument('--steps', type=int, default=10)
    parser.add_argument('--latency', type=float)
    parser.add_argument('--bandwidth', type=float)
    parser.add_argument('--json', type=pathlib.Path)
    parser.add_argument('--worker', nargs='+', help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.worker:
        work(args.worker, args.batch_size, args.steps)
        return
    speed = {net: compare(net, args) for net in args.nets.split(',')}
    times = {count: start(count, 1, ['messages'], args) for count in _counts()}
    latency, bandwidth = fit(times)
    print(f'latency {latency * 1e6:.1f} us, bandwidth {bandwidth / 1e9:.2f} GB/s')
    network = args.latency or latency, args.bandwidth or bandwidth
    scaling = {net: predict(row, *network) for net, row in speed.items()}
    for net, rows in scaling.items():
        words = (f'{count}: {row["efficiency"]:.0%}' for count, row in rows.items())
        print(f'{net:12} efficiency on paper  {"  ".join(words)}')
    if args.json:
        args.json.write_text(
            json.dumps(
                {
                    'batch_size': args.batch_size,
                    'speed': speed,
                    'messages': times,
                    'latency': latency,
                    'bandwidth': bandwidth,
                    'network_of_scaling': network,
                    'scaling': scaling,
                },
                indent=1,
            )
        )


def _counts():
    """Numbers of processes that have a core each, but 2 at least: others wait for their turn."""
    return [2**power for power in range(1, max(cores().bit_length(), 2))]


def compare(net, args):
    """Let both ways take turns; the numbers of each round, and the median ratio."""
    rounds = []
    for _ in range(args.rounds):
        rounds.append({way: start(*counts, ['net', net], args) for way, counts in WAYS.items()})
    ratios = [row['1x2']['seconds'] / row['2x1']['seconds'] for row in rounds]
    shares = [row['2x1']['communication'] / row['2x1']['seconds'] for row in rounds]
    found = {
        'ratio': statistics.median(ratios),
        'share_of_communication': statistics.median(shares),
        'seconds': {way: statistics.median(row[way]['seconds'] for row in rounds) for way in WAYS},
        'bytes': rounds[0]['2x1']['bytes'],
        'rounds': rounds,
    }
    print(
        f'{net:12} 2 processes x 1 thread: {found["ratio"]:.3f} of the images/s of 1 x 2; '
        f'communication {found["share_of_communication"]:.1%} of a step'
    )
    return found


def start(processes, threads, worker, args):
    """Run `work` in several processes; what the first one found."""
    from chainer_cifar.parallel import launch

    command = [sys.executable, __file__, '--batch_size', str(args.batch_size)]
    command += ['--steps', str(args.steps), '--worker', *worker]
    if processes > 1:
        command = [*launch._mpirun_command(launch.find_mpirun(), processes), *command]
    environment = {**os.environ, 'OMP_NUM_THREADS': str(threads)}
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def work(what, batch_size, steps):
    from chainer_cifar.parallel import environment, session

    started = environment.started_processes()
    if started > 1:
        session.connect(started)
    found = messages() if what[0] == 'messages' else train(what[1], batch_size, steps)
    print(json.dumps(found))  # only the first process has a standard output


def train(name, batch_size, steps):
    """Median seconds of a step and of the communication in it; bytes of the gradients."""
    import chainer
    import chainer.links as L

    from chainer_cifar import device, nets
    from chainer_cifar.parallel import training, world

    device.get_device(-1, cpu_engine='onednn')
    model_name, _, depth = name.partition('-')
    options = {'res_depth': int(depth)} if depth else {}
    model = L.Classifier(nets.create(model_name, 10, **options))
    optimizer = chainer.optimizers.MomentumSGD(lr=0.01).setup(model)
    optimizer = training.join(optimizer)
    training.equalize(model)
    spent = [0.0]
    communicator = world.current.communicator
    if communicator:
        average = communicator.mean_in_place

        def timed(arrays):
            begin = time.perf_counter()
            average(arrays)
            spent[0] = time.perf_counter() - begin

        communicator.mean_in_place = timed
    n = batch_size // world.current.size
    rng = np.random.RandomState(world.current.rank)
    x = rng.randn(n, 3, 32, 32).astype(np.float32)
    t = rng.randint(10, size=n).astype(np.int32)
    seconds, communication = [], []
    for step in range(WARM_UP + steps):
        begin = time.perf_counter()
        optimizer.update(model, x, t)
        if step >= WARM_UP:
            seconds.append(time.perf_counter() - begin)
            communication.append(spent[0])
    return {
        'seconds': statistics.median(seconds),
        'communication': statistics.median(communication),
        'bytes': 4 * sum(param.size for param in model.params()),
    }


def messages(mean=None, sizes=SIZES, rounds=7, most=20):
    """Median seconds in which all processes average a buffer, by its bytes.

    Several in a row are timed, since after a barrier no two processes begin at once. What counts is
    the slowest of them: the first may leave the barrier when all others have begun already.
    """
    from chainer_cifar.parallel import world

    here, found = world.current, {}
    mean = mean or here.communicator.mean_in_place
    for size in sizes:
        array, seconds = np.zeros(size, np.float32), []
        in_a_row = max(3, min(most, 2**20 // size))
        for _ in range(rounds):
            here.barrier()
            begin = time.perf_counter()
            for _ in range(in_a_row):
                mean([array])
            (nanoseconds,) = here.largest(int(1e9 * (time.perf_counter() - begin)))
            seconds.append(nanoseconds / 1e9 / in_a_row)
        found[4 * size] = statistics.median(seconds)
    return found


def fit(times):
    """Latency in seconds and bytes a second, by least squares of the logarithms of times.

    Those of relative errors would forgive a model whose times are too short by any factor.
    """
    rows = [
        (*_shares(count, int(size)), seconds)
        for count, by_size in times.items()
        for size, seconds in by_size.items()
    ]
    steps, shares, measured = np.array(rows).T
    logarithms = np.log(measured)

    def errors(found):
        latency, slowness = np.exp(found)
        return np.log(steps * latency + shares * slowness) - logarithms

    begin = np.log([(measured / steps).min(), (measured / shares).min()])
    latency, slowness = np.exp(scipy.optimize.least_squares(errors, begin).x)
    return float(latency), float(1 / slowness)


def model(count, size, latency, bandwidth):
    """Seconds in which `count` processes average `size` bytes, by the formula above."""
    steps, share = _shares(count, size)
    return steps * latency + share / bandwidth


def _shares(count, size):
    return 2 * math.log2(count), 2 * (count - 1) / count * size


def predict(row, latency, bandwidth):
    """For each of `SCALES`, with as many images a process as measured: seconds and efficiency."""
    compute = row['seconds']['2x1'] * (1 - row['share_of_communication'])
    found = {}
    for count in SCALES:
        exchange = model(count, row['bytes'], latency, bandwidth)
        found[count] = {'seconds': compute + exchange, 'efficiency': compute / (compute + exchange)}
    return found


if __name__ == '__main__':
    main()

"""Whole training steps on the CPU: chainer_onednn against Chainer's own code, PyTorch and Keras.

    python benchmarks/cpu_training.py [--nets cnn,residual-3] [--peer_python PYTHON] [--json FILE]

One process for each contender stays alive; they take single steps in turn (forward, backward,
momentum SGD; batch of 128, float32), so that all meet the machine in the same mood. A ratio is
their time over ours in the same round; the median of the ratios and their quartiles are reported.
PyTorch and Keras (on TensorFlow) are looked for in PYTHON, an interpreter of another environment,
or in this one; what is not there is left out.
"""

import argparse
import collections
import json
import pathlib
import statistics
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / 'src'), str(ROOT / 'benchmarks')]

NETS = ('cnn', 'cnnbn', 'vgg', 'residual-3', 'residual-12')
CONTENDERS = ('onednn', 'chainer', 'torch', 'torch_channels_last', 'keras')
WARM_UP = 3


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--nets', default=','.join(NETS))
    parser.add_argument('--contenders', default=','.join(CONTENDERS))
    parser.add_argument('--batch_size', type=int, default=128)
    parser.add_argument('--rounds', type=int, default=20)
    parser.add_argument('--peer_python', default=sys.executable)
    parser.add_argument('--json', type=pathlib.Path)
    parser.add_argument('--worker', nargs=2, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.worker:
        work(*args.worker, args.batch_size)
        return
    contenders = args.contenders.split(',')
    results = [compare(net, contenders, args) for net in args.nets.split(',')]
    for contender in contenders[1:]:
        ratios = [row[contender]['ratio'] for row in results if contender in row]
        if ratios:
            print(f'geometric mean against {contender}: {statistics.geometric_mean(ratios):.2f}')
    if args.json:
        facts = {'command': sys.argv, 'machine': _machine(args.peer_python), 'nets': results}
        args.json.write_text(json.dumps(facts, indent=1) + '\n', encoding='utf-8')


def compare(net, contenders, args):
    """Race the contenders on one net; print and return a table row."""
    workers = {}
    for contender in contenders:
        worker = Worker(contender, net, args)
        if worker.read() is None:
            print(f'{net}: no {contender} here')
        else:
            workers[contender] = worker
    times = {contender: [] for contender in workers}
    for number in range(WARM_UP + args.rounds):
        for contender, worker in workers.items():
            # Plain Chainer takes seconds a step and is far behind; a quarter of the rounds do.
            if contender == 'chainer' and number % 4:
                times[contender].append(None)
                continue
            times[contender].append(worker.ask('step'))
            time.sleep(0.02)  # let the others' threads fall asleep
    ours = times['onednn'][WARM_UP:]
    row = {'net': net, 'batch_size': args.batch_size, 'rounds': args.rounds}
    print(f'{net}, batch of {args.batch_size}')
    for contender, worker in workers.items():
        pairs = [
            (theirs, own)
            for theirs, own in zip(times[contender][WARM_UP:], ours, strict=True)
            if theirs
        ]
        ratios = [theirs / own for theirs, own in pairs]
        low, high = (statistics.quantiles(ratios, n=4)[i] for i in (0, 2))
        seconds = statistics.median(theirs for theirs, _ in pairs)
        row[contender] = {
            'seconds': seconds,
            'ratio': statistics.median(ratios),
            'quartiles': [low, high],
            **worker.ask('report'),
        }
        facts = row[contender]
        print(
            f'  {contender:20} {args.batch_size / seconds:7.1f} images/s  '
            f'ratio {facts["ratio"]:5.2f} ({low:.2f}-{high:.2f})  '
            f'peak {facts["peak_mb"]:5.0f} MB'
            + (f'  convolutions {share(facts):.0%}' if 'profile' in facts else ''),
            flush=True,
        )
        worker.close()
    return row


def share(facts):
    """The roofline: which part of a step the bare convolution primitives take."""
    times = facts['profile']
    return sum(times[name] for name in times if name.startswith('convolution')) / sum(
        times.values()
    )


def _machine(peer_python):
    """What was raced on: processor, threads, versions."""
    import importlib.metadata
    import os
    import platform

    from chainer_cifar import device

    program = 'import torch; print(torch.__version__)'
    torch = subprocess.run([peer_python, '-c', program], capture_output=True, text=True)
    return {
        'cpu': device.describe(device.get_device(cpu_engine='onednn')),
        'cores': os.cpu_count(),
        'python': platform.python_version(),
        **{name: importlib.metadata.version(name) for name in ('chainer', 'numpy')},
        'torch': torch.stdout.strip() or None,
    }


class Worker:
    """A contender's process, and the conversation with it: a JSON value a line."""

    def __init__(self, contender, net, args):
        python = sys.executable if contender in ('onednn', 'chainer') else args.peer_python
        self._process = subprocess.Popen(
            [python, __file__, '--worker', contender, net, '--batch_size', str(args.batch_size)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )

    def read(self):
        line = self._process.stdout.readline()
        return json.loads(line) if line else None

    def ask(self, question):
        print(question, file=self._process.stdin, flush=True)
        return self.read()

    def close(self):
        self._process.stdin.close()
        self._process.wait()


def work(contender, net, batch_size):
    """The life of a worker."""
    name, _, depth = net.partition('-')
    make = {'onednn': _chainer, 'chainer': _chainer, 'keras': _keras}.get(contender, _torch)
    step, report = make(contender, name, int(depth or 0), batch_size)
    print('true', flush=True)
    for question in sys.stdin:
        if question.strip() == 'step':
            start = time.perf_counter()
            step()
            print(time.perf_counter() - start, flush=True)
        else:
            print(json.dumps({'peak_mb': _peak(), **report()}), flush=True)


def _peak():
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _data(batch_size):
    import numpy as np

    rng = np.random.RandomState(0)
    images = rng.standard_normal((batch_size, 3, 32, 32)).astype(np.float32)
    return images, rng.randint(10, size=batch_size).astype(np.int32)


def _chainer(contender, name, depth, batch_size):
    from chainer_cifar import nets  # first, for it lets Chainer import

    import chainer  # isort: skip
    import chainer_onednn  # isort: skip

    if contender == 'onednn':
        chainer_onednn.enable()
    net = chainer.links.Classifier(nets.create(name, **({'res_depth': depth} if depth else {})))
    optimizer = chainer.optimizers.MomentumSGD(0.01).setup(net)
    images, labels = _data(batch_size)

    def step():
        optimizer.update(net, images, labels)

    def report():
        return {'profile': profile(step)} if contender == 'onednn' else {}

    return step, report


def profile(step, steps=5):
    """Where a step's time goes: seconds in each kind of oneDNN's primitives, and the rest."""
    from chainer_onednn import dnnl

    seconds = collections.Counter()
    call = dnnl.Primitive.__call__

    def timed(primitive, *given):
        start = time.perf_counter()
        call(primitive, *given)
        seconds[primitive.name] += (time.perf_counter() - start) / steps

    dnnl.Primitive.__call__ = timed
    start = time.perf_counter()
    for _ in range(steps):
        step()
    total = (time.perf_counter() - start) / steps
    dnnl.Primitive.__call__ = call
    return {**seconds, 'rest': total - sum(seconds.values())}


def _torch(contender, name, depth, batch_size):
    import torch
    import torch_nets

    layout = torch.channels_last if contender.endswith('last') else torch.contiguous_format
    net = torch_nets.create(name, depth).to(memory_format=layout)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.01, momentum=0.9)
    images, labels = (torch.from_numpy(array) for array in _data(batch_size))
    images, labels = images.to(memory_format=layout), labels.long()

    def step():
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(net(images), labels).backward()
        optimizer.step()

    return step, dict


def _keras(contender, name, depth, batch_size):
    import os

    os.environ['KERAS_BACKEND'] = 'tensorflow'
    import keras
    import keras_nets

    net = keras_nets.create(name, depth)
    net.compile(
        keras.optimizers.SGD(0.01, momentum=0.9),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        jit_compile=False,
    )
    images, labels = _data(batch_size)
    images = images.transpose(0, 2, 3, 1).copy()
    return lambda: net.train_on_batch(images, labels), dict


if __name__ == '__main__':
    main()

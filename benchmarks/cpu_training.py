"""Whole training steps on the CPU: chainer_onednn against Chainer's own code, PyTorch and Keras.

    python benchmarks/cpu_training.py [--nets cnn,residual-3] [--json FILE]
        [--torch_python PYTHON] [--keras_python PYTHON]
    OMP_NUM_THREADS=1 python benchmarks/cpu_training.py             # on one thread
    ONEDNN_MAX_CPU_ISA=AVX2 ATEN_CPU_CAPABILITY=avx2 python …       # without AVX-512
    python benchmarks/cpu_training.py --evaluate --batch_size 100   # forward passes only

One process for each contender stays alive; they take single steps in turn (forward, backward,
momentum SGD; batch of 128, float32), so that all meet the machine in the same mood. A ratio is
their time over ours in the same round; the median of the ratios and their quartiles are reported,
and as `torch_better` the ratio to the better of PyTorch's layouts in each round. PyTorch and Keras
(on TensorFlow) are looked for in those interpreters of other environments, or in this one; what is
not there is left out. Ours comes once more without Winograd's algorithm (`onednn_direct`), and
without anything pending (`onednn_eager`, see chainer_onednn/pending.py).
"""

import argparse
import collections
import os
import pathlib
import statistics
import sys
import time

import race

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / 'src'), str(ROOT / 'benchmarks')]

NETS = ('cnn', 'cnnbn', 'vgg', 'residual-3', 'residual-12')
CONTENDERS = (
    *('onednn', 'onednn_direct', 'onednn_eager'),
    *('chainer', 'torch', 'torch_channels_last', 'keras'),
)
LAYOUTS = ('torch', 'torch_channels_last')
CONVOLUTIONS = ('convolution', 'winograd', 'first_layer')  # how their names begin


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--nets', default=','.join(NETS))
    parser.add_argument('--contenders', default=','.join(CONTENDERS))
    parser.add_argument('--batch_size', type=int, default=128)
    parser.add_argument('--rounds', type=int, default=20)
    parser.add_argument('--evaluate', action='store_true')
    parser.add_argument('--torch_python', default=sys.executable)
    parser.add_argument('--keras_python', default=sys.executable)
    parser.add_argument('--json', type=pathlib.Path)
    parser.add_argument('--worker', nargs=2, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.worker:
        work(*args.worker, args.batch_size, args.evaluate)
        return
    contenders = args.contenders.split(',')
    results = [compare(net, contenders, args) for net in args.nets.split(',')]
    race.print_means(results, (*contenders[1:], 'torch_better'))
    if args.json:
        race.write(args.json, _machine(args.torch_python), results)


def compare(net, contenders, args):
    """Race the contenders on one net; print and return a table row."""
    workers = race.start_all(lambda contender: start(contender, net, args), contenders)
    for contender in contenders:
        if contender not in workers:
            print(f'{net}: no {contender} here')
    times = {contender: [] for contender in workers}
    for number in range(race.WARM_UP + args.rounds):
        for contender, worker in workers.items():
            # Plain Chainer takes seconds a step and is far behind; a quarter of the rounds do.
            if contender == 'chainer' and number % 4:
                times[contender].append(None)
                continue
            times[contender].append(worker.ask('step'))
            time.sleep(0.02)  # let the others' threads fall asleep
    ours = times['onednn'][race.WARM_UP :]
    row = {'net': net, 'batch_size': args.batch_size, 'rounds': args.rounds}
    print(f'{net}, batch of {args.batch_size}')
    for contender, worker in workers.items():
        pairs = zip(times[contender][race.WARM_UP :], ours, strict=True)
        theirs, own = zip(*(pair for pair in pairs if pair[0]), strict=True)
        seconds = statistics.median(theirs)
        row[contender] = {'seconds': seconds, **race.ratio(theirs, own), **worker.ask('report')}
        facts = row[contender]
        print(
            f'  {contender:20} {args.batch_size / seconds:7.1f} images/s  '
            f'ratio {race.in_words(facts)}  '
            f'peak {facts["peak_mb"]:5.0f} MB'
            + (f'  convolutions {share(facts):.0%}' if 'profile' in facts else ''),
            flush=True,
        )
        worker.close()
    if all(layout in times for layout in LAYOUTS):
        better = map(min, *(times[name][race.WARM_UP :] for name in LAYOUTS))
        row['torch_better'] = race.ratio(list(better), ours)
        print(f'  against the better PyTorch: {race.in_words(row["torch_better"])}')
    return row


def share(facts):
    """Which part of a step the bare convolutions take."""
    times = facts['profile']
    return sum(times[name] for name in times if name.startswith(CONVOLUTIONS)) / sum(times.values())


def _machine(peer_python):
    """What was raced on: processor, threads, versions."""
    import importlib.metadata
    import platform

    from chainer_cifar import device

    return {
        'cpu': device.describe(device.get_device(cpu_engine='onednn')),
        'cores': os.cpu_count(),
        'python': platform.python_version(),
        **{name: importlib.metadata.version(name) for name in ('chainer', 'numpy')},
        'torch': race.torch_version(peer_python),
    }


def start(contender, net, args):
    """A process for the contender, which calls `work`."""
    python = {
        'onednn': sys.executable,
        'chainer': sys.executable,
        'torch': args.torch_python,
        'keras': args.keras_python,
    }[contender.partition('_')[0]]
    command = [python, __file__, '--worker', contender, net]
    command += ['--batch_size', str(args.batch_size), *['--evaluate'] * args.evaluate]
    environment = dict(os.environ)
    if contender == 'onednn_direct':
        environment['CHAINER_ONEDNN_WINOGRAD'] = '0'
    return race.Worker(command, environment)


def work(contender, net, batch_size, evaluate):
    """The life of a contender's process."""
    name, _, depth = net.partition('-')
    make = {'onednn': _chainer, 'chainer': _chainer, 'torch': _torch, 'keras': _keras}
    make = make[contender.partition('_')[0]]
    step, report = make(contender, name, int(depth or 0), batch_size, evaluate)
    race.work(step, lambda: {'peak_mb': _peak(), **report()})


def _peak():
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _chainer(contender, name, depth, batch_size, evaluate):
    from chainer_cifar import nets  # first, for it lets Chainer import

    import chainer  # isort: skip
    import chainer_onednn  # isort: skip
    from chainer_onednn import pending  # isort: skip

    if contender != 'chainer':
        chainer_onednn.enable()
    pending.ON = contender != 'onednn_eager'
    net = chainer.links.Classifier(nets.create(name, **({'res_depth': depth} if depth else {})))
    optimizer = chainer.optimizers.MomentumSGD(0.01).setup(net)
    images, labels = race.batch(batch_size)

    def train():
        optimizer.update(net, images, labels)

    def evaluation():
        with chainer.no_backprop_mode(), chainer.using_config('train', False):
            net.predictor(images).array  # noqa: B018 - what is pending is computed

    step = evaluation if evaluate else train

    def report():
        return {'profile': profile(step)} if contender == 'onednn' else {}

    return step, report


def profile(step, steps=5):
    """Where a step's time goes: seconds in each kernel and kind of primitive, and the rest."""
    from chainer_onednn import dnnl, kernels, linear

    seconds = collections.Counter()

    def timed(call, name):
        def measured(*given, **options):
            start = time.perf_counter()
            result = call(*given, **options)
            seconds[name] += (time.perf_counter() - start) / steps
            return result

        return measured

    def primitive(self, *given):
        timed(lambda *arrays: call(self, *arrays), self.name)(*given)

    call, function, matmul = dnnl.Primitive.__call__, kernels.function, linear.matmul
    dnnl.Primitive.__call__ = primitive
    kernels.function = lambda name, *types: timed(function(name, *types), name)
    linear.matmul = timed(matmul, 'linear')
    dnnl.forget()  # what holds kernels that are not timed
    step()
    seconds.clear()
    start = time.perf_counter()
    for _ in range(steps):
        step()
    total = (time.perf_counter() - start) / steps
    dnnl.Primitive.__call__, kernels.function, linear.matmul = call, function, matmul
    dnnl.forget()
    return {**seconds, 'rest': total - sum(seconds.values())}


def _torch(contender, name, depth, batch_size, evaluate):
    import torch
    import torch_nets

    layout = torch.channels_last if contender.endswith('last') else torch.contiguous_format
    net = torch_nets.create(name, depth).to(memory_format=layout)
    trained = [array for array in net.parameters() if array.requires_grad]
    optimizer = torch.optim.SGD(trained, lr=0.01, momentum=0.9)
    images, labels = (torch.from_numpy(array) for array in race.batch(batch_size))
    images, labels = images.to(memory_format=layout), labels.long()

    def step():
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(net(images), labels).backward()
        optimizer.step()

    def evaluation():
        with torch.no_grad():
            net(images)

    net.train(not evaluate)
    return evaluation if evaluate else step, dict


def _keras(contender, name, depth, batch_size, evaluate):
    os.environ['KERAS_BACKEND'] = 'tensorflow'
    import keras
    import keras_nets

    net = keras_nets.create(name, depth)
    net.compile(
        keras.optimizers.SGD(0.01, momentum=0.9),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        jit_compile=False,
    )
    images, labels = race.batch(batch_size)
    images = images.transpose(0, 2, 3, 1).copy()
    if evaluate:
        return lambda: net.predict_on_batch(images), dict
    return lambda: net.train_on_batch(images, labels), dict


if __name__ == '__main__':
    main()

"""Whole training steps on a GPU: Chainer through CuPy against PyTorch.

    python benchmarks/gpu_training.py [--nets vgg,residual-12] [--json FILE] [--torch_python PYTHON]

One process for each contender stays alive; they take turns, STEPS steps at a time (forward,
backward, momentum SGD; batch of 128, float32), after which they wait for the GPU. Both let cuDNN
look for its fastest algorithms and, from Ampere on, round to TF32, as each does by default. A ratio
is their time over ours in the same round; the median of the ratios and their quartiles are
reported. PyTorch is looked for in that interpreter of another environment, or in this one; if it is
not there, ours is measured alone. Without a GPU nothing is measured, and the status is 0.
"""

import argparse
import os
import pathlib
import statistics
import sys

import race

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / 'src'), str(ROOT / 'benchmarks')]

NETS = ('cnn', 'cnnbn', 'vgg', 'residual-3', 'residual-12', 'vgg16', 'resnet164')
CONTENDERS = ('chainer', 'torch', 'torch_channels_last')
STEPS = 10  # of a turn


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--nets', default=','.join(NETS))
    parser.add_argument('--batch_size', type=int, default=128)
    parser.add_argument('--rounds', type=int, default=20)
    parser.add_argument('--torch_python', default=sys.executable)
    parser.add_argument('--json', type=pathlib.Path)
    parser.add_argument('--worker', nargs=2, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.worker:
        work(*args.worker, args.batch_size)
        return
    from chainer_cifar import device as devices
    from chainer_cifar.errors import UserError

    try:
        facts = devices.describe(devices.get_device(0))
    except UserError as reason:
        print(f'no GPU, so no speed to measure: {reason}')
        return
    print(', '.join(f'{name} {value}' for name, value in facts.items()))
    results = [compare(net, args) for net in args.nets.split(',')]
    race.print_means(results, CONTENDERS[1:])
    if args.json:
        machine = {'gpu': facts, 'torch': race.torch_version(args.torch_python)}
        race.write(args.json, machine, results)


def start(contender, net, args):
    """A process for the contender, which calls `race.work`."""
    python = sys.executable if contender == 'chainer' else args.torch_python
    command = [python, __file__, '--worker', contender, net]
    command += ['--batch_size', str(args.batch_size)]
    return race.Worker(command, dict(os.environ))


def compare(net, args):
    """Race the contenders on one net; print and return a table row."""
    print(f'{net}, batch of {args.batch_size}')
    workers = race.start_all(lambda contender: start(contender, net, args), CONTENDERS)
    for contender in CONTENDERS:
        if contender not in workers:
            print(f'  {contender:20} cannot run here')
    times = {contender: [] for contender in workers}
    for _ in range(race.WARM_UP + args.rounds):
        for contender, worker in workers.items():
            times[contender].append(worker.ask('step') / STEPS)
    row = {'net': net, 'batch_size': args.batch_size, 'rounds': args.rounds}
    for contender, worker in workers.items():
        counted = times[contender][race.WARM_UP :]
        seconds = statistics.median(counted)
        row[contender] = {'seconds': seconds, **worker.ask('report')}
        text = (
            f'{args.batch_size / seconds:8.0f} images/s  peak {row[contender]["peak_mb"]:5.0f} MB'
        )
        if 'chainer' in workers and contender != 'chainer':
            row[contender] |= race.ratio(counted, times['chainer'][race.WARM_UP :])
            text += f'  ratio {race.in_words(row[contender])}'
        print(f'  {contender:20} {text}', flush=True)
        worker.close()
    return row


def work(contender, net, batch_size):
    """The life of a contender's process."""
    name, _, depth = net.partition('-')
    make = _chainer if contender == 'chainer' else _torch
    step, wait, peak = make(contender, name, int(depth or 0), batch_size)

    def turn():
        for _ in range(STEPS):
            step()
        wait()

    race.work(turn, lambda: {'peak_mb': peak() / 2**20})


def _chainer(contender, name, depth, batch_size):
    from chainer_cifar import device as devices  # first, for it lets Chainer import
    from chainer_cifar import nets

    import chainer  # isort: skip

    device = devices.get_device(0)
    net = chainer.links.Classifier(nets.create(name, **({'res_depth': depth} if depth else {})))
    net.to_device(device)
    optimizer = chainer.optimizers.MomentumSGD(0.01).setup(net)
    images, labels = map(device.send, race.batch(batch_size))

    def step():
        optimizer.update(net, images, labels)

    # CuPy's pool keeps what was freed, so this is the most that was in use.
    peak = device.xp.get_default_memory_pool().total_bytes
    return step, lambda: devices.synchronize(device), peak


def _torch(contender, name, depth, batch_size):
    import torch
    import torch_nets

    torch.backends.cudnn.benchmark = True
    layout = torch.channels_last if contender.endswith('last') else torch.contiguous_format
    net = torch_nets.create(name, depth).to('cuda', memory_format=layout)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.01, momentum=0.9)
    images, labels = (torch.from_numpy(array).to('cuda') for array in race.batch(batch_size))
    images, labels = images.to(memory_format=layout), labels.long()

    def step():
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(net(images), labels).backward()
        optimizer.step()

    return step, torch.cuda.synchronize, torch.cuda.max_memory_reserved


if __name__ == '__main__':
    main()

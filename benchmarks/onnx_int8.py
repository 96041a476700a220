"""Nets as ONNX files in float32 and in 8-bit integers: error, size, and speed against Chainer.

    python src/export.py models/vgg --onnx onnx/vgg.onnx
    python src/export.py models/vgg --onnx onnx/vgg_int8.onnx --int8
    python benchmarks/onnx_int8.py vgg [RUN ...] [--folder onnx] [--json FILE]

Run it in the folder that holds models/ and the data of the runs. Both files of a run classify the
same test pictures. Then Chainer with the CPU engine, onnxruntime in float32 and onnxruntime in
8-bit integers take turns, each on one thread, from bytes to logits. A ratio is the time of another
over that of the 8-bit integers in the same round; the median and the quartiles are reported.

A busy machine changes no error and no size: --rounds 0 finds these alone.
"""

import argparse
import os
import pathlib
import statistics
import sys

import race

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / 'src'))

BATCHES = (1, 64)  # pictures at a time
INT8 = 'int8'
CONTENDERS = ('chainer', 'float32', INT8)
PICTURES = 64  # in a step, whatever the batch, so that no step is too short to be timed


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('runs', nargs='+', metavar='RUN', help='a folder in models/')
    parser.add_argument('--folder', type=pathlib.Path, default=pathlib.Path('onnx'))
    parser.add_argument('--rounds', type=int, default=30)
    parser.add_argument('--json', type=pathlib.Path)
    parser.add_argument('--worker', nargs=2, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.worker:
        work(args.runs[0], args.folder, *args.worker)
        return
    nets = [compare(run, args) for run in args.runs]
    if args.json:
        race.write(args.json, _machine(), nets)


def compare(run, args):
    """What 8-bit integers cost and give."""
    found = accuracy(run, args.folder)
    print(
        f'{run:14} error {found["error"]:.2f} % -> {found["int8_error"]:.2f} %, '
        f'{found["changed"]} of {found["pictures"]} pictures get another class, '
        f'{found["bytes"] / 1e6:.2f} MB -> {found["int8_bytes"] / 1e6:.2f} MB',
        flush=True,
    )
    found['speed'] = {}
    for batch in BATCHES if args.rounds else ():
        found['speed'][batch] = row = speed(run, batch, args)
        ratios = (f'{name} {race.in_words(row[name])}' for name in CONTENDERS if name != INT8)
        rate = 1 / row[INT8]['seconds']
        print(f'{"":14} batch {batch:2}: {rate:.0f} pictures/s; {"; ".join(ratios)}', flush=True)
    return found


def accuracy(run, folder):
    """Error and class of every test picture, by both files."""
    import numpy as np

    from chainer_cifar.evaluation import image_sets

    found, classes = {'net': run}, []
    for prefix, path in zip(('', 'int8_'), paths(run, folder), strict=True):
        trained = load(path)
        data = image_sets.load(trained)
        images, index, labels = image_sets.choose(trained, data, 'test')
        classes.append(image_sets.logits(trained, images, index).argmax(axis=1))
        found[f'{prefix}error'] = 100 * float((classes[-1] != labels).mean())
        found[f'{prefix}bytes'] = path.stat().st_size
    found |= {'pictures': len(labels), 'changed': int(np.sum(classes[0] != classes[1]))}
    _, _, trained_on = image_sets.choices['train'](trained, data)
    return found | {'flags': vars(trained.config), 'train_pictures': len(trained_on)}


def speed(run, batch, args):
    """Seconds a picture of each contender, and the ratio of its times to those of int8."""
    environment = {**os.environ, 'OMP_NUM_THREADS': '1', 'OPENBLAS_NUM_THREADS': '1'}

    def start(contender):
        command = [sys.executable, __file__, run, '--folder', str(args.folder)]
        return race.Worker([*command, '--worker', contender, str(batch)], environment)

    workers = race.start_all(start, CONTENDERS)
    if len(workers) < len(CONTENDERS):
        raise SystemExit(f'{run}: {set(CONTENDERS) - set(workers)} cannot run; try evaluate.py')
    times = {contender: [] for contender in CONTENDERS}
    for number in range(race.WARM_UP + args.rounds):
        for contender, worker in workers.items():
            seconds = worker.ask('step')
            if number >= race.WARM_UP:
                times[contender].append(seconds / PICTURES)
    for worker in workers.values():
        worker.close()
    return {
        contender: {'seconds': statistics.median(each), **race.ratio(each, times[INT8])}
        for contender, each in times.items()
    }


def work(run, folder, contender, batch):
    """The life of a contender's process: a step classifies `PICTURES` test pictures."""
    import numpy as np

    from chainer_cifar.evaluation import image_sets, inference, trained

    plain, quantized = paths(run, folder)
    onnx = load(quantized if contender == INT8 else plain)
    images = image_sets.load(onnx).test_images
    pictures = np.ascontiguousarray(images[np.arange(PICTURES) % len(images)])
    batches = np.split(pictures, PICTURES // int(batch))
    if contender == 'chainer':
        model = trained.load(run, {'gpu': -1, 'cpu_engine': 'onednn'})

        def classify(some):
            return inference.logits(model.net, [model.device.send(model.input_transform(some))])

    else:
        classify = onnx.net.logits

    def step():
        for some in batches:
            classify(some).argmax(axis=1)

    race.work(step, dict)


def paths(run, folder):
    """The files of a run, in float32 and in 8-bit integers."""
    return folder / f'{run}.onnx', folder / f'{run}_int8.onnx'


def load(path):
    from chainer_cifar.export import session

    return session.load(path, {})


def _machine():
    import onnxruntime

    from chainer_cifar import device

    os.environ['OMP_NUM_THREADS'] = '1'
    return {
        'cpu': device.describe(device.get_device(cpu_engine='onednn')),
        'onnxruntime': onnxruntime.__version__,
        'load': os.getloadavg()[0],
    }


if __name__ == '__main__':
    main()

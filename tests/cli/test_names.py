"""The names of runs that nobody named, and flags by the names that other tools have for them."""

import json
import pathlib

TRAIN = (
    *('train', '--arch', 'simple', '--epochs', '1', '--batchsize', '20'),
    *('-d', 'dataset/image_raw.pkl', '--normalize', 'unit'),
)


def test_a_run_that_nobody_named_gets_a_number(own_run, command, refused, without_curves):
    for name in ('simple_sgd', 'simple_sgd-2', 'simple_sgd-3'):
        status, out, _ = command(*TRAIN)
        assert status == 0 and pathlib.Path('models', name, 'best.npz').exists()
        first = f'simple_sgd: there is such a run already; this one is {name}\n'
        assert out.startswith(first) == (name != 'simple_sgd')
        assert f'weights  models/{name}/best.npz' in out
    flags = json.loads(pathlib.Path('models/simple_sgd-3/config.json').read_text())['flags']
    assert (flags['prefix'], flags['iter'], flags['batch_size']) == ('simple_sgd-3', 1, 20)
    # A name that was typed is meant, and so is the default name with --overwrite or --resume.
    assert 'simple_sgd: holds a run already' in refused(*TRAIN, '-p', 'simple_sgd')
    assert 'finished already' in command('train', '--resume', '-m', 'simple')[1]
    assert 'weights  models/simple_sgd/best.npz' in command(*TRAIN, '--overwrite')[1]
    assert len(list(pathlib.Path('models').glob('simple*'))) == 3

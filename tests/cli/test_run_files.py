"""What belongs to a run, as runs.py lists it, is all that the commands write into its folders."""

from chainer_cifar.runs import RunFolder


def test_every_file_of_a_run_is_known(own_run, command):
    assert command('evaluate', 'run', '--tta', 'mirror')[0] == 0
    assert command('evaluate', 'models/run/epoch-0001.npz', '--set', 'valid')[0] == 0
    assert command('visualize', 'run')[0] == 0
    assert command('report', 'run')[0] == 0
    run = RunFolder('run')
    kinds = {path.suffix for path in run.results.iterdir()}
    assert (
        kinds == {'.csv', '.html', '.json', '.png', '.txt'}
        and len(list(run.results.iterdir())) > 12
    )
    run.delete()
    assert list(run.results.iterdir()) == []
    assert [path for path in run.models.iterdir() if path != run.lock] == []

"""What the comparison with an undisturbed run finds."""

import json

import numpy as np
import pytest

from campaign import trees
from campaign.part import Broke


@pytest.fixture
def folder(tmp_path):
    for name in ('models/run', 'results/run'):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / 'results/run/summary.json').write_text('{"error": 1, "seconds": 2}')
    (tmp_path / 'results/run/log.csv').write_text('a,b\n1,2\n')
    (tmp_path / 'models/run/.lock').touch()
    for number, value in (('1', 1.0), ('2', 2.0)):
        np.savez(tmp_path / f'models/run/snapshot-{number}.npz', w=value, config='x')
    return tmp_path


def test_times_and_older_snapshots_are_of_no_account(folder):
    truth = trees.content(folder)
    (folder / 'results/run/summary.json').write_text('{"error": 1, "seconds": 3}')
    (folder / 'models/run/snapshot-1.npz').unlink()
    np.savez(folder / 'models/run/snapshot-2.npz', w=2.0, config='y', elapsed_time=3)
    trees.require_same(folder, truth)
    trees.require_whole(folder)


@pytest.mark.parametrize(
    ('change', 'reason'),
    [
        (lambda f: (f / 'results/run/log.csv').write_text('a,b\n1,3\n'), 'differs'),
        (lambda f: (f / 'results/run/log.csv').unlink(), 'is missing'),
        (lambda f: (f / 'results/run/.log.csv.x.tmp').touch(), 'was left behind'),
        (lambda f: (f / 'results/other').mkdir(), 'an empty folder was left behind'),
        (lambda f: np.savez(f / 'models/run/snapshot-2.npz', w=2.5), 'differs'),
        (lambda f: (f / 'results/run/summary.json').write_text('{"error": 2}'), 'differs'),
    ],
)
def test_differences(folder, change, reason):
    truth = trees.content(folder)
    change(folder)
    with pytest.raises(Broke, match=reason):
        trees.require_same(folder, truth)


@pytest.mark.parametrize(
    'name', ['models/run/snapshot-2.npz', 'results/run/summary.json', 'results/run/log.csv']
)
def test_half_a_file(folder, name):
    trees.require_whole(folder)
    path = folder / name
    path.write_bytes(path.read_bytes()[:-3])
    with pytest.raises(Broke, match='half-written'):
        trees.require_whole(folder)


def test_half_a_file_that_only_its_truth_tells(folder):
    graph = folder / 'out/run.onnx'
    graph.parent.mkdir()
    graph.write_bytes(b'new one')
    truth = trees.content(folder)
    for content in (b'new one', b'older'):
        graph.write_bytes(content)
        trees.require_finished(folder, {'out/run.onnx': b'older'}, truth)
    graph.write_bytes(b'new')
    with pytest.raises(Broke, match='half-written'):
        trees.require_finished(folder, {'out/run.onnx': b'older'}, truth)


def test_times_are_left_out_at_every_depth():
    value = [{'seconds': 1, 'a': {'images_per_second': 2, 'b': 3}}]
    assert trees.without_times(json.loads(json.dumps(value))) == [{'a': {'b': 3}}]

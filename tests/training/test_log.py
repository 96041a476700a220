import csv
import io
import json
import types

import chainer
import numpy as np
import pytest

from chainer_cifar.runs import RunFolder
from chainer_cifar.training import log as log_module
from chainer_cifar.training.log import BestWeights, Curves, Log


def log_of(*errors):
    log = Log()
    log.rows = [{'epoch': i + 1, 'valid_error': e, 'test_error': -e} for i, e in enumerate(errors)]
    return log


def test_best_is_the_first_of_the_lowest_validation_errors():
    assert log_of(3, 1, 2).best()['epoch'] == 2
    assert log_of(3, 1, 1, 2).best()['epoch'] == 2
    # The test error, which rises here with each better validation error, chooses nothing.
    assert log_of(1).best()['test_error'] == -1


def test_best_without_validation_is_the_last():
    log = Log()
    log.rows = [{'epoch': 1, 'test_error': 1.0}, {'epoch': 2, 'test_error': 5.0}]
    assert log.best()['epoch'] == 2


def test_best_of_a_fold_is_the_last():
    log = log_of(1, 3)
    log.last_counts = True
    assert log.best()['epoch'] == 2


def test_the_files_are_those_of_all_rows_whenever_they_are_written(tmp_path):
    log = log_of(3.25)
    for epoch in range(2, 6):
        log.write(tmp_path)
        text = io.StringIO()
        writer = csv.DictWriter(text, log.rows[0])
        writer.writeheader()
        writer.writerows(log.rows)
        assert (tmp_path / 'log.csv').read_bytes() == text.getvalue().encode()
        assert (tmp_path / 'log.json').read_text() == json.dumps(log.rows, indent=1)
        log.rows.append({'epoch': epoch, 'valid_error': 1e-30, 'test_error': float(epoch)})


def test_each_row_is_formatted_once(tmp_path, monkeypatch):
    """Or each epoch would take longer than the one before it."""
    dumped = []
    dumps = json.dumps
    monkeypatch.setattr(json, 'dumps', lambda row, **more: dumped.append(row) or dumps(row, **more))
    log = Log()
    for epoch in range(1, 6):
        log.rows.append({'epoch': epoch, 'iteration': epoch, 'lr': 1.0, 'test_error': 0.1})
        log.write(tmp_path)
        chainer.serializers.save_npz(tmp_path / 'snapshot.npz', log)
    # Chainer writes the names of what it averages, of which there are none here.
    assert [each for each in dumped if each] == log.rows
    with np.load(tmp_path / 'snapshot.npz') as file:
        assert json.loads(str(file['rows'])) == log.rows


def test_a_log_before_the_end_of_the_first_epoch(tmp_path):
    chainer.serializers.save_npz(tmp_path / 'snapshot.npz', Log())
    with np.load(tmp_path / 'snapshot.npz') as file:
        assert json.loads(str(file['rows'])) == []


def test_curves_are_drawn_now_and_then_and_at_the_end(tmp_path, monkeypatch):
    drawn = []
    monkeypatch.setattr(log_module.figures, 'curves', lambda rows, *more: drawn.append(len(rows)))
    curves = Curves(log_of(3, 2), 'title')
    trainer = types.SimpleNamespace(out=tmp_path)
    curves.initialize(trainer)
    curves(trainer)
    assert drawn == []
    curves.seconds = -1
    curves(trainer)
    curves.log.rows.append(curves.log.rows[0])
    curves.finalize()
    assert drawn == [2, 3]


def test_a_restored_log_forgets_what_it_had_written(tmp_path):
    log = log_of(3, 1)
    log.write(tmp_path)
    row = {'epoch': 1, 'iteration': 1, 'lr': 1.0, 'valid_error': 9.0}
    row |= {f'{part}_{what}': 2.0 for part in ('train', 'test') for what in ('loss', 'error')}
    log._summary = type('Summary', (), {'serialize': lambda *given: None})()
    log.serialize(Deserializer(json.dumps([row])))
    log.write(tmp_path)
    assert json.loads((tmp_path / 'log.json').read_text()) == [row]


class Deserializer:
    """Holds the rows of a snapshot, and nothing else."""

    def __init__(self, rows):
        self.rows = rows

    def __getitem__(self, name):
        return self

    def __call__(self, name, value):
        return self.rows


class TestBestWeightsAfterResumption:
    """Weights of 7 are those of a snapshot; on the disk are those of a later epoch, all 0."""

    @pytest.fixture(autouse=True)
    def folder(self, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        folder = RunFolder('run')
        for each in (folder.results, folder.models):
            each.mkdir(parents=True)
        return folder

    def run(self, *errors, weight=0.0):
        """A run after epochs of these errors."""
        log = Log(last_counts=errors[-1] is None)
        other = {f'{part}_{what}': 2.0 for part in ('train', 'test') for what in ('loss', 'error')}
        for epoch, error in enumerate(errors, 1):
            log.rows.append({'epoch': epoch, 'iteration': epoch, 'lr': 1.0, **other})
            if error is not None:
                log.rows[-1]['valid_error'] = error
        net = chainer.links.Scale(W_shape=(1,))
        net.W.array[...] = weight
        return BestWeights(log, net, RunFolder('run'), every=0)

    def leave(self, *errors):
        """Leave a log and the best weights on the disk."""
        run = self.run(*errors)
        run.log.write(run.folder.results)
        run(types.SimpleNamespace())
        if not run.folder.weights.exists():
            chainer.serializers.save_npz(run.folder.weights, run.net)

    def resume(self, *errors, is_new_epoch=True, exact=False):
        updater = types.SimpleNamespace(is_new_epoch=is_new_epoch)
        self.run(*errors, weight=7.0).after_resumption(updater, exact)

    def kept(self, folder):
        with np.load(folder.weights) as file:
            return file['W'].item()

    @pytest.mark.parametrize('exact', [True, False])
    @pytest.mark.parametrize('gone', [True, False])
    def test_they_are_written_if_they_are_at_hand(self, folder, capsys, gone, exact):
        self.leave(3, 2, 4, 1)
        if gone:
            folder.weights.unlink()
        self.resume(3, 2, exact=exact)
        assert (self.kept(folder), capsys.readouterr().err) == (7, '')

    @pytest.mark.parametrize('is_new_epoch', [True, False])
    @pytest.mark.parametrize('errors', [(3, 1), (3, 1, 2)])
    def test_they_stay_if_they_are_right(self, folder, capsys, errors, is_new_epoch):
        self.leave(3, 1, 2)
        self.resume(*errors, is_new_epoch=is_new_epoch)
        assert (self.kept(folder), capsys.readouterr().err) == (0, '')

    @pytest.mark.parametrize('gone', [True, False])
    @pytest.mark.parametrize('is_new_epoch', [True, False])
    def test_those_of_the_last_epoch_are_at_hand_at_its_end(
        self, folder, capsys, is_new_epoch, gone
    ):
        self.leave(3, 1, 2)  # as an earlier version left those of a fold
        if gone:
            folder.weights.unlink()
        self.resume(None, None, None, is_new_epoch=is_new_epoch)
        assert capsys.readouterr().err == ''
        if is_new_epoch:
            assert self.kept(folder) == 7
        else:
            assert folder.weights.exists() != gone

    def test_a_warning_tells_of_an_epoch_that_is_left_behind(self, folder, capsys):
        self.leave(2, 3, 4, 1)
        self.resume(2, 3, exact=True)
        assert capsys.readouterr().err == ''  # it is trained again, to the same bits
        self.resume(2, 3)
        told = capsys.readouterr().err
        assert f'{folder.weights}: is of epoch 4' in told and 'better than epoch 1' in told
        assert self.kept(folder) == 0

    @pytest.mark.parametrize('errors', [(2, 3), (3, 2)])
    def test_a_warning_tells_that_they_are_missing(self, folder, capsys, errors):
        """The snapshot is of another epoch, or lies in the middle of the next one."""
        self.resume(*errors, is_new_epoch=False, exact=True)
        assert f'{folder.weights}: is missing' in capsys.readouterr().err
        assert not folder.weights.exists()

    @pytest.mark.parametrize('text', ['', '[]', '[1]', '{'])
    def test_a_log_that_cannot_be_read_tells_nothing(self, folder, capsys, text):
        self.leave(2, 3, 4, 1)
        folder.log_json.write_text(text)
        self.resume(2, 3)
        assert (self.kept(folder), capsys.readouterr().err) == (0, '')


def test_the_training_loss_of_very_many_steps_keeps_its_digits(tmp_path):
    log, count = Log(), 45_000
    observation = {f'main/{name}': np.float32(2.302585) for name in ('loss', 'accuracy')}
    updater = types.SimpleNamespace(is_new_epoch=False, epoch=1, iteration=count)
    trainer = types.SimpleNamespace(
        observation={**observation, 'lr': 0.1}, updater=updater, out=tmp_path
    )
    for _ in range(count - 1):
        log(trainer)
    updater.is_new_epoch = True
    log(trainer)
    assert log.rows[0]['train_loss'] == pytest.approx(2.302585, abs=1e-6)

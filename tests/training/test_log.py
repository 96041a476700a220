import csv
import io
import json

from chainer_cifar.training.log import Log


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

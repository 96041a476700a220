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

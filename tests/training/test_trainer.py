"""The whole trainer in this process, on a net that takes milliseconds."""

import errno
import functools
import shutil
import signal
import weakref

import chainer
import chainer.links as L
import numpy as np
import pytest

import chainer_onednn
import damage as damages
from augmented import EVERY
from chainer_cifar import nets, npz_file
from chainer_cifar.config import TrainConfig
from chainer_cifar.data.dataset import Dataset
from chainer_cifar.data.normalize import Normalization
from chainer_cifar.errors import Interrupted, UserError
from chainer_cifar.runs import RunFolder
from chainer_cifar.training import rate_test, snapshot, trainer
from chainer_cifar.weights import npz

NONE = Normalization(0, 1)
CPU = chainer.get_device('@numpy')


class Tiny(chainer.Chain):
    """Average colour, dropout, logits."""

    def __init__(self, n_class=10):
        super().__init__()
        with self.init_scope():
            self.bn = L.BatchNormalization(3)
            self.fc = L.Linear(3, n_class)

    def forward(self, x):
        h = chainer.functions.average_pooling_2d(self.bn(x), 32)
        return self.fc(chainer.functions.dropout(h, 0.3))


@pytest.fixture
def tiny(monkeypatch, tmp_path, without_curves):
    monkeypatch.setitem(nets.registry._items, 'tiny', Tiny)
    monkeypatch.chdir(tmp_path)


def data(n=50, n_class=3):
    rng = np.random.RandomState(0)
    labels = (np.arange(n + 20) % n_class).astype(np.int32)
    images = rng.randn(n + 20, 3, 1024).astype(np.float32)
    images[np.arange(n + 20), labels % 3] += 1
    images = images.reshape(-1, 3, 32, 32)
    return Dataset(images[:n], labels[:n], images[n:], labels[n:], list('abc'))


def config(**flags):
    return TrainConfig(**{'model': 'tiny', 'batch_size': 8, 'iter': 4, 'lr': 0.1, **flags})


def state_of(run):
    serializer = chainer.serializers.DictionarySerializer()
    serializer.save(run.trainer)
    ignored = ('elapsed', 'second')
    return {k: v for k, v in serializer.target.items() if not any(i in k for i in ignored)}


def test_learns_and_logs(tiny, capsys):
    run = trainer.create(config(), data(), CPU, NONE)
    run.trainer.run()
    rows = run.log.rows
    assert [row['epoch'] for row in rows] == [1, 2, 3, 4]
    # 45 images in batches of 8: the batch that ends an epoch begins the next.
    assert [row['iteration'] for row in rows] == [6, 12, 17, 23]
    assert rows[-1]['train_loss'] < rows[0]['train_loss']
    assert rows[-1]['test_error'] < 20
    out = capsys.readouterr().out
    assert out.count('\n') == 6 and '\r' not in out


def test_evaluation_is_of_the_right_images(tiny):
    d = data()
    run = trainer.create(config(iter=1), d, CPU, NONE)
    run.trainer.run()
    row = run.log.rows[0]
    net = run.net
    with chainer.using_config('train', False):
        logits = net(d.test_images).array
    assert row['test_error'] == pytest.approx(100 * (logits.argmax(1) != d.test_labels).mean())
    saved = nets.create('tiny', 3)
    chainer.serializers.load_npz('models/tiny_sgd/best.npz', saved)
    for a, b in zip(saved.params(), net.params(), strict=True):
        np.testing.assert_array_equal(a.array, b.array)


class Pooled(Tiny):
    """Normalizes average colours: maps of one pixel."""

    def forward(self, x):
        return self.fc(self.bn(chainer.functions.average_pooling_2d(x, 32)))


@pytest.mark.parametrize('engine', ['chainer', 'onednn'])
@pytest.mark.parametrize(
    ('net', 'flags', 'advice'),
    [
        (Pooled, {'batch_size': 1}, 'a larger --batch_size'),
        (Pooled, {'accumulate': 8}, 'a larger --batch_size or a smaller --accumulate'),
        (Pooled, {'accumulate': 4}, None),
        (Tiny, {'batch_size': 1}, None),
    ],
)
def test_a_single_value_in_batch_normalization_is_told_of_once(
    tiny, monkeypatch, capsys, net, flags, advice, engine
):
    monkeypatch.setitem(nets.registry._items, 'tiny', net)
    c = config(iter=1, cpu_engine=engine, **flags)
    try:
        trainer.create(c, data(), c.open_device(), NONE).trainer.run()
    finally:
        chainer_onednn.disable()
    err = capsys.readouterr().err
    told = 'warning: batch normalization gets one value of each channel: '
    assert err.count(told) == err.count('\n') == (advice is not None)
    assert advice is None or err.endswith(f'; give {advice}\n')


class Stop(Exception):
    """What `stop_after` raises."""


def stop_after(run, iteration, c):
    """Run as far as `iteration`, save a snapshot, and stop as if killed."""

    def stop(trainer):
        if trainer.updater.iteration == iteration:
            snapshot.save(trainer, c)
            raise Stop

    run.trainer.extend(stop, priority=-200)
    with pytest.raises(Stop):
        run.trainer.run(show_loop_exception_msg=False)


WAYS = {
    'sgd': {},
    'adam': {'optimizer': 'adam'},
    'ema': {'optimizer': 'adamw', 'average': 'ema(0.9)', 'balance': 'sampler'},
    'lookahead': {'average': 'lookahead(4,0.8,2)', 'lr_factors': 'bn_beta=3,fc/b=1@1.5'},
    'mixed16': {'precision': 'mixed16', 'optimizer': 'adam', 'accumulate': 2},
    'fixed': {'lr_factors': 'fc/b=0,bn=1@0'},
    'parts': {'optimizer': 'nesterov', 'accumulate': 3, 'balance': 'loss', 'no_decay_bn': True},
}


def with_a_state(way):
    """Flags and data of a run in which nearly all has a state."""
    c = config(**WAYS[way], augment=EVERY, label_smoothing=0.1, lr_shape='cosine')
    uneven = np.where(np.arange(50) % 5, 0, data().train_labels)
    assert len(set(uneven)) == 3
    return c, data()._replace(train_labels=uneven.astype(np.int32))


@pytest.fixture(scope='module')
def undisturbed(tmp_path_factory):
    """Gives the state in which the run of a way ends; each is trained once."""

    @functools.cache
    def state(way):
        with pytest.MonkeyPatch.context() as patch:
            patch.setitem(nets.registry._items, 'tiny', Tiny)
            patch.chdir(tmp_path_factory.mktemp('undisturbed'))
            whole = trainer.create(*with_a_state(way), CPU, NONE, black=0)
            whole.trainer.run()
            return state_of(whole)

    return state


@pytest.mark.parametrize('iteration', [1, 5, 6, 14])
@pytest.mark.parametrize('way', WAYS)
def test_a_snapshot_of_any_iteration_continues_bit_for_bit(tiny, undisturbed, iteration, way):
    c, d = with_a_state(way)
    stop_after(trainer.create(c, d, CPU, NONE, black=0), iteration, c)

    found = snapshot.newest(RunFolder(c.prefix))
    assert found.config == c
    resumed = trainer.create(found.config, d, CPU, NONE, black=0)
    snapshot.restore(resumed.trainer, found)
    assert resumed.trainer.updater.iteration == iteration
    np.random.seed(99)  # whatever was drawn in between
    resumed.trainer.run()
    expected, found = undisturbed(way), state_of(resumed)
    assert expected.keys() == found.keys()
    for key in expected:
        np.testing.assert_array_equal(expected[key], found[key], err_msg=key)


def test_train_accuracy_of_mixed_images_counts_the_larger_share(tiny):
    run = trainer.create(config(augment='mixup(5)'), data(), CPU, NONE)
    model = run.trainer.updater.get_optimizer('main').target
    loss, seen = model.lossfun, []
    model.lossfun = lambda logits, labels: seen.append((logits, labels)) or loss(logits, labels)
    run.trainer.updater.update()
    ((logits, shares),) = seen
    assert shares.shape == (8, 3) and ((shares > 0.01) & (shares < 0.99)).any()
    right = logits.array.argmax(axis=1) == shares.argmax(axis=1)
    assert float(model.accuracy.array) == pytest.approx(right.mean())


def test_steps_on_colours_need_some(tiny):
    with pytest.raises(UserError, match=r"^--augment 'jitter': acts on colours"):
        trainer.create(config(augment='jitter'), data(), CPU, NONE)


def test_seed_decides_everything(tiny):
    states = []
    for seed in (1, 1, 2):
        run = trainer.create(config(seed=seed, iter=1), data(), CPU, NONE)
        run.trainer.run()
        states.append(state_of(run)['updater/model:main/predictor/fc/W'])
    np.testing.assert_array_equal(states[0], states[1])
    assert not np.array_equal(states[0], states[2])


def test_learning_rate_follows_the_schedule(tiny):
    run = trainer.create(config(lr_decay_iter='2'), data(), CPU, NONE)
    rates = []
    run.trainer.extend(lambda t: rates.append(t.updater.get_optimizer('main').lr), name='rates')
    run.trainer.run()
    # Epoch 2 is reached by the update that takes the 90th image, the 12th: it still has the old.
    np.testing.assert_allclose(rates[:12], 0.1)
    np.testing.assert_allclose(rates[12:], 0.01)


def test_the_rate_of_a_parameter_follows_the_schedule_too(tiny):
    run = trainer.create(config(lr_decay_iter='2', lr_factors='fc/b=3@3'), data(), CPU, NONE)
    rates = []
    rule = run.net.fc.b.update_rule
    run.trainer.extend(lambda t: rates.append(rule.hyperparam.lr), name='rates')
    run.trainer.run()
    np.testing.assert_allclose(rates[:12], 0.3)
    np.testing.assert_allclose(rates[12:17], 0.03)
    assert not rule.enabled


# Six updates: after the fourth one the trained net goes on from the average.
@pytest.mark.parametrize('average', ['ema(0.5)', 'lookahead(4)'])
def test_the_average_is_evaluated_and_saved(tiny, average):
    d = data()
    run = trainer.create(config(iter=1, average=average), d, CPU, NONE)
    run.net.fc.b.array[...] = 1  # as weights from a file, after all is set up
    run.trainer.run()
    averaged = run.trainer.updater.average.net
    assert not np.array_equal(averaged.fc.W.array, run.net.fc.W.array)
    with chainer.using_config('train', False):
        logits = averaged(d.test_images).array
    expected = 100 * (logits.argmax(1) != d.test_labels).mean()
    assert run.log.rows[0]['test_error'] == pytest.approx(expected)
    loss = chainer.functions.softmax_cross_entropy(logits, d.test_labels).item()
    assert run.log.rows[0]['test_loss'] == pytest.approx(loss)
    folder = RunFolder('tiny_sgd')
    # A snapshot taken for weights is the average, too.
    for path in (folder.weights, folder.snapshot(6)):
        saved = npz.read(path)
        np.testing.assert_array_equal(saved['fc/W'], averaged.fc.W.array)
        np.testing.assert_array_equal(saved['bn/avg_mean'], averaged.bn.avg_mean)


class WithoutChance(Tiny):
    """`Tiny` without dropout and batch normalization."""

    def forward(self, x):
        return self.fc(chainer.functions.average_pooling_2d(x, 32))


@pytest.mark.parametrize('parts', [2, 3, 8])
def test_parts_of_a_batch_make_the_same_update(tiny, monkeypatch, parts):
    monkeypatch.setitem(nets.registry._items, 'tiny', WithoutChance)
    runs = []
    for accumulate in (1, parts):
        run = trainer.create(config(accumulate=accumulate, weight_decay=0), data(), CPU, NONE)
        run.trainer.run()
        runs.append(run)
    one, other = runs
    assert len(one.log.rows) == 4
    for before, after in zip(one.log.rows, other.log.rows, strict=True):
        assert after == pytest.approx(before, rel=1e-5)
    np.testing.assert_allclose(one.net.fc.W.array, other.net.fc.W.array, rtol=1e-4, atol=1e-6)


def test_parts_of_a_batch_are_as_even_as_can_be(tiny, monkeypatch):
    seen = []
    forward = Tiny.forward
    monkeypatch.setattr(Tiny, 'forward', lambda net, x: seen.append(len(x)) or forward(net, x))
    run = trainer.create(config(batch_size=10, accumulate=4), data(), CPU, NONE)
    run.trainer.updater.update()
    assert seen == [3, 3, 2, 2]


class Alone(WithoutChance):
    """Counts the passes that another one's graph has outlived."""

    before, beside = None, 0

    def forward(self, x):
        Alone.beside += Alone.before is not None and Alone.before() is not None
        y = super().forward(x)
        Alone.before = weakref.ref(y.node)
        return y


def test_parts_of_a_batch_take_the_memory_of_one(tiny, monkeypatch):
    monkeypatch.setitem(nets.registry._items, 'tiny', Alone)
    run = trainer.create(config(accumulate=4), data(), CPU, NONE)
    for _ in range(2):
        run.trainer.updater.update()
    assert Alone.before is not None and Alone.beside == 0


def test_patience(tiny, capsys):
    # With a learning rate of 0 and all dropout off, no epoch is better than the first.
    c = config(lr=0, patience=2, iter=9)
    run = trainer.create(c, data(), CPU, NONE)
    run.trainer.run()
    errors = [row['valid_error'] for row in run.log.rows]
    best = int(np.argmin(errors))
    assert len(errors) == best + 3 < 9
    # It is over, and a resumed run knows.
    again = trainer.create(c, data(), CPU, NONE)
    snapshot.restore(again.trainer, snapshot.newest(RunFolder(c.prefix)))
    assert trainer.is_over(c, again.trainer.updater, again.log)
    again.trainer.run()
    assert len(again.log.rows) == best + 3


def test_balanced_by_weights(tiny):
    d = data()
    rare = np.flatnonzero(d.train_labels == 2)[3:]
    d.train_labels[rare] = 0
    run = trainer.create(config(balance='loss', iter=1), d, CPU, NONE)
    loss = run.trainer.updater.get_optimizer('main').target.lossfun
    logits = np.zeros((2, 3), np.float32)
    labels = np.array([0, 2], np.int32)
    each = [float(loss(logits[i : i + 1], labels[i : i + 1]).array) for i in range(2)]
    # As rare as it is, so much more it counts, among the images that train.
    index = run.trainer.updater.get_iterator('main').dataset
    counts = np.bincount(d.train_labels[index], minlength=3)
    assert each[1] / each[0] == pytest.approx(counts[0] / counts[2])


class Prepared(Tiny):
    """`Tiny` with a bias that is computed from images."""

    def prepare(self, images):
        assert images.dtype == np.float32 and images.shape[1:] == (3, 32, 32)
        self.fc.b.array[...] = images.mean() * len(images)


def test_a_net_that_is_prepared(tiny, monkeypatch):
    monkeypatch.setitem(nets.registry._items, 'tiny', Prepared)
    d = data()
    c = config(iter=1, lr=0)
    run = trainer.create(c, d, CPU, Normalization(1, 2))
    train = d.train_images[run.trainer.updater.get_iterator('main').dataset]
    assert len(train) == 45
    np.testing.assert_allclose(run.net.fc.b.array, (train.mean() - 1) / 2 * 45, rtol=1e-4)
    run.net.fc.b.array[...] = 5
    run.trainer.run()
    again = trainer.create(c, d, CPU, Normalization(1, 2))
    snapshot.restore(again.trainer, snapshot.newest(RunFolder(c.prefix)))
    np.testing.assert_array_equal(again.net.fc.b.array, 5)


def test_top_5_error_from_ten_classes_on(tiny):
    d = data(n_class=10)._replace(class_names=list('abcdefghij'))
    run = trainer.create(config(iter=2), d, CPU, NONE)
    run.trainer.run()
    assert all(0 < row['test_top5_error'] < row['test_error'] for row in run.log.rows)
    assert 'valid_top5_error' in run.log.rows[0] and 'train_top5_error' not in run.log.rows[0]
    few = trainer.create(config(iter=1, prefix='few'), data(), CPU, NONE)
    few.trainer.run()
    assert 'test_top5_error' not in few.log.rows[0]


def test_rate_test(tiny):
    run = trainer.create(config(iter=1, optimizer='nesterov'), data(), CPU, NONE)
    rows = rate_test.measure(run)
    rates = np.array(rows)[:, 0]
    assert rates[0] == rate_test.LOW and rates[-1] <= rate_test.HIGH * 1.001
    np.testing.assert_allclose(rates[1:] / rates[:-1], rates[1] / rates[0])
    suggested = rate_test.suggest(rows)
    assert 1e-3 < suggested < 10
    lines = rate_test.table(rows).splitlines()
    assert len(lines) == 16 and float(lines[1].split()[0]) == rate_test.LOW


def test_rate_test_of_a_batch_in_parts(tiny, monkeypatch):
    monkeypatch.setitem(nets.registry._items, 'tiny', WithoutChance)
    one, parts = (
        rate_test.measure(trainer.create(config(accumulate=count), data(), CPU, NONE))[:100]
        for count in (1, 3)
    )
    np.testing.assert_allclose(one, parts, rtol=1e-4)


def test_suggestion_is_a_tenth_of_the_best():
    rows = [(1e-3, 2.3), (1e-2, 1.7), (1e-1, 1.9), (1, 8.0)]
    assert rate_test.suggest(rows) == pytest.approx(1e-3)


def test_diverged(tiny):
    run = trainer.create(config(lr=1e30), data(), CPU, NONE)
    with np.errstate(all='ignore'), pytest.raises(UserError, match=r'diverged.*--lr'):
        run.trainer.run(show_loop_exception_msg=False)


def test_the_advice_after_a_signal_can_be_pasted(tiny):
    run = trainer.create(config(prefix='my run'), data(), CPU, NONE)
    extension = run.trainer.get_extension('Snapshot')
    extension.asked = signal.SIGINT
    with pytest.raises(Interrupted, match=r"continue with --resume -p 'my run'$"):
        extension.stop_if_asked(run.trainer)


def test_two_snapshots_are_kept_and_later_ones_go(tiny):
    c = config()
    run = trainer.create(c, data(), CPU, NONE)
    run.trainer.run()
    folder = RunFolder(c.prefix)
    names = [path.name for path in folder.snapshots()]
    assert names == ['snapshot-00000023.npz', 'snapshot-00000017.npz']
    again = trainer.create(c, data(), CPU, NONE)
    snapshot.restore(again.trainer, snapshot.load(folder.snapshot(17)))
    stop_after(again, 19, c)
    assert folder.snapshots() == [folder.snapshot(19), folder.snapshot(17)]


def test_a_second_ctrl_c_stops_at_once_and_the_last_snapshot_stays(tiny, capsys):
    run = trainer.create(config(), data(), CPU, NONE)

    def interrupt(trainer):
        if trainer.updater.iteration == 8:
            for _ in range(2):
                signal.raise_signal(signal.SIGINT)

    run.trainer.extend(interrupt)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            run.trainer.run(show_loop_exception_msg=False)
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGINT, before)
    assert capsys.readouterr().err.count('stopping after this iteration') == 1
    folder = RunFolder(config().prefix)
    assert folder.snapshots() == [folder.snapshot(6)]
    assert snapshot.newest(folder).config == config()


@pytest.mark.parametrize(('seconds', 'iterations'), [(-1, [6, 5]), (600, [6])])
def test_a_long_epoch_has_snapshots_inside(tiny, monkeypatch, seconds, iterations):
    monkeypatch.setattr(snapshot, 'SECONDS', seconds)
    c = config(iter=1)
    trainer.create(c, data(), CPU, NONE).trainer.run()
    folder = RunFolder(c.prefix)
    assert folder.snapshots() == [folder.snapshot(iteration) for iteration in iterations]


@pytest.mark.parametrize('damage', ['truncate', 'flip', 'empty', 'weights'])
def test_damaged_snapshot_is_passed_over(tiny, capsys, damage):
    c = config()
    trainer.create(c, data(), CPU, NONE).trainer.run()
    folder = RunFolder(c.prefix)
    path = folder.snapshot(23)
    content = bytearray(path.read_bytes())
    if damage == 'truncate':
        content = content[: len(content) // 2]
    elif damage == 'flip':
        content[content.index(b'fc/W') + 400] ^= 1  # in the array that follows this name
    elif damage == 'weights':
        content = folder.weights.read_bytes()
    else:
        content = b''
    path.write_bytes(content)
    assert snapshot.newest(folder).path.name == 'snapshot-00000017.npz'
    assert 'snapshot-00000023.npz' in capsys.readouterr().err
    folder.snapshot(17).write_bytes(b'PK')
    with pytest.raises(UserError, match='none of its 2 snapshots'):
        snapshot.newest(folder)


FC = 'updater/model:main/predictor/fc/'
LOG = 'extensions/Log/'

# What is odd in a snapshot that is a sound npz file, and a word of what is said of it.
ODD = {
    'shape': ({FC + 'b': np.zeros(1, np.float32)}, 'fc/b is float32 (1,)'),
    'dtype': ({FC + 'b': np.zeros(3)}, 'fc/b is float64'),
    'text': ({FC + 'b': np.array(['a', 'b', 'c'])}, 'fc/b is <U1'),
    'nan': ({FC + 'b': np.array([0, np.nan, 0], np.float32)}, 'NaN'),
    'infinite': ({FC + 'W': np.full((3, 3), np.inf, np.float32)}, 'NaN or infinity'),
    'missing': ({FC + 'b': None}, f"no '{FC}b'"),
    'momentum': ({'updater/optimizer:main/predictor/fc/b/v': np.float32(0)}, 'v of /'),
    'order': ({'updater/iterator:main/order': np.zeros(45, int)}, 'order of the images'),
    'place': ({'updater/iterator:main/current_position': 44}, 'at this place of an epoch'),
    'beyond': ({'updater/iterator:main/current_position': 10**6}, 'at this place of an epoch'),
    'fraction': ({'updater/iteration': 22.5}, 'not one value'),
    'rows': ({LOG + 'rows': '[{}]'}, 'row 1 of the log'),
    'few rows': ({LOG + 'rows': '[]'}, '0 rows after 4 epochs'),
    'no rows': ({LOG + 'rows': '{"epoch": 1}'}, 'not a list of rows'),
    'no JSON': ({LOG + 'rows': '['}, 'Expecting value'),
    'deep rows': ({LOG + 'rows': damages.nested()}, 'nested too deeply'),
    'bytes': ({LOG + 'rows': np.bytes_('[]')}, 'not one value'),
    'names': ({LOG + 'summary/_names': '[[1]]'}, 'unhashable'),
    'config': ({'config': '5'}, 'config is not a JSON object'),
    'listed config': ({'config': '["gpu"]'}, 'config is not a JSON object'),
    'deep config': ({'config': damages.nested()}, 'nested too deeply'),
    'no config': ({'config': '{'}, 'damaged snapshot'),
    'other flag': ({'config': '{"modle": "vgg"}'}, "did you mean 'model'?"),
    'objects': ({'config': np.array([None])}, 'allow_pickle'),
    'infinite format': ({'format': np.inf}, 'format is no whole number'),
    'listed format': ({'format': np.ones(1, int)}, 'format is no whole number'),
}


@pytest.fixture(scope='module')
def finished(tmp_path_factory):
    """A folder with the two snapshots of a run. Not to be changed."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(nets.registry._items, 'tiny', Tiny)
        patch.chdir(tmp_path_factory.mktemp('finished'))
        trainer.create(config(), data(), CPU, NONE).trainer.run()
        return RunFolder(config().prefix).models.resolve()


@pytest.fixture
def two(tiny, finished):
    """Work beside copies of them."""
    shutil.copytree(finished, RunFolder(config().prefix).models)


@pytest.mark.parametrize('kind', [*ODD, *damages.HEADERS])
def test_of_two_snapshots_the_older_is_taken_where_the_newest_cannot_be(two, capsys, kind):
    c = config()
    folder = RunFolder(c.prefix)
    newest = folder.snapshot(23)
    if kind in ODD:
        changes, told = ODD[kind]
        damages.change(newest, **changes)
    else:
        damages.header(newest, kind)
        told = 'damaged snapshot'
    run = trainer.create(c, data(), CPU, NONE)
    capsys.readouterr()
    snapshot.restore(run.trainer, snapshot.newest(folder), folder)
    assert run.trainer.updater.iteration == 17
    warning = capsys.readouterr().err
    assert warning.count('\n') == 1 and warning.startswith(f'warning: {newest}: ')
    assert told in warning
    whole = dict(np.load(folder.snapshot(17)))
    serializer = chainer.serializers.DictionarySerializer()
    serializer['updater'].save(run.trainer.updater)
    for name, array in serializer.target.items():
        np.testing.assert_array_equal(array, whole[name], err_msg=name)
    # By its own name, it is refused.
    with pytest.raises(UserError) as error:
        snapshot.restore(run.trainer, snapshot.load(newest))
    assert str(error.value).startswith(f'{newest}: ') and told in str(error.value)


@pytest.mark.parametrize(
    'error',
    [PermissionError(errno.EACCES, 'x'), OSError(errno.EMFILE, 'x'), MemoryError()],
    ids=lambda error: type(error).__name__,
)
def test_a_snapshot_that_cannot_be_read_now_is_not_given_up(two, monkeypatch, capsys, error):
    def fail(*args, **kwargs):
        raise error

    monkeypatch.setattr(npz_file.np, 'load', fail)
    with pytest.raises(type(error)):
        snapshot.newest(RunFolder(config().prefix))
    assert not capsys.readouterr().err


def test_a_snapshot_of_a_later_version_is_not_given_up(two, capsys):
    folder = RunFolder(config().prefix)
    damages.change(folder.snapshot(23), format=99)
    with pytest.raises(UserError, match=r'00023.npz: format 99: a later version .*; update'):
        snapshot.newest(folder)
    assert not capsys.readouterr().err


def test_no_snapshot_fits(two, capsys):
    c = config()
    folder = RunFolder(c.prefix)
    for path in folder.snapshots():
        damages.change(path, **{FC + 'b': np.zeros(1, np.float32)})
    run = trainer.create(c, data(), CPU, NONE)
    with pytest.raises(UserError, match=r'00017.npz: damaged snapshot \(.*fc/b'):
        snapshot.restore(run.trainer, snapshot.newest(folder), folder)
    assert '00023.npz: damaged snapshot' in capsys.readouterr().err

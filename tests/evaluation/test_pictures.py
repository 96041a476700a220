import chainer
import numpy as np
import pytest
from PIL import Image

from chainer_cifar import initial, runs
from chainer_cifar.data import store
from chainer_cifar.data.preprocess import Raw
from chainer_cifar.evaluation import heat_maps, pictures, trained  # noqa: F401 (it registers one)
from chainer_cifar.training import trainer

FLAGS = {'cpu_engine': 'chainer', 'dataset': 'image_raw.pkl', 'label': 'label.pkl'}


@pytest.fixture
def make_net_and_data(saved):
    def make(model='simple', **flags):
        saved(model, **flags)
        rng = np.random.RandomState(0)
        store.write_split(
            'image_raw.pkl', *(rng.randint(256, size=(n, 3072)).astype(np.uint8) for n in (40, 10))
        )
        store.write_split('label.pkl', *(np.arange(n, dtype=np.int32) % 3 for n in (40, 10)))
        store.write_class_names('classes.json', ['cat', 'dog', 'ship'])
        store.write_statistics('image_raw_stats.npz', Raw())
        return pictures.NetAndData(trained.load('models/run', FLAGS))

    return make


def test_each_picture_belongs_to_the_run():
    assert tuple(pictures.pictures) == runs.PICTURES


def test_what_training_began_with(make_net_and_data, monkeypatch):
    """The initial weights and the first augmented batch are bit for bit those of the trainer."""
    looked_at = make_net_and_data(augment='crop,altflip,cutmix', batch_size=12, seed=3)
    trained = looked_at.trained
    normalization = trained.input_transform.normalization
    run = trainer.create(trained.config, looked_at.data, trained.device, normalization)
    net = run.net
    before = {name: param.array.copy() for name, param in net.namedparams()}
    again = initial.draw_net(trained.config, 3, (3, 32, 32), trained.device)
    for name, param in again.namedparams():
        np.testing.assert_array_equal(param.array, before[name])

    seen = []
    monkeypatch.setattr(
        net, 'forward', lambda x: seen.append(x) or chainer.Variable(x[:, :3, 0, 0])
    )
    run.trainer.updater.update()
    drawn = []
    monkeypatch.setattr('chainer_cifar.figures.panels', lambda rows, *_: drawn.extend(rows[0]))
    for name in ('tiled', 'resized'):
        monkeypatch.setattr(f'chainer_cifar.figures.{name}', lambda images, *_: images)
    assert pictures.batch(looked_at, 'batch.png')
    (_, plain), (caption, augmented) = drawn
    assert caption == '--augment crop,altflip,cutmix' and augmented.shape == (12, 3, 32, 32)
    np.testing.assert_array_equal(augmented.astype(np.float32) / 255, seen[0])
    assert (plain != augmented).any()


def test_filters(make_net_and_data, tmp_path, monkeypatch):
    looked_at = make_net_and_data()
    drawn = []
    monkeypatch.setattr('chainer_cifar.figures.panels', lambda rows, *_: drawn.extend(rows[0]))
    assert pictures.filters(looked_at, tmp_path / 'a.png')
    assert [caption for caption, _ in drawn] == ['before training', 'after training']
    assert drawn[0][1].shape == (5 * 47 + 2, 6 * 47 + 2, 3)  # 30 filters, 5x5 in 45x45 pixels
    assert (drawn[0][1] != drawn[1][1]).any()
    # With weights from elsewhere, nobody knows what was before.
    del drawn[:]
    object.__setattr__(looked_at.trained.config, 'init', 'weights.npz')
    assert pictures.filters(looked_at, tmp_path / 'a.png')
    assert [caption for caption, _ in drawn] == ['after training']


def test_activations(make_net_and_data, tmp_path):
    looked_at = make_net_and_data('conv10')
    assert looked_at.convolutions == [f'conv2d_{number}' for number in range(1, 10)]
    assert pictures.activations(looked_at, tmp_path / 'a.png')
    with Image.open(tmp_path / 'a.png') as picture:
        assert picture.width > 3 * 272


def test_activations_name_the_class_of_each_image(make_net_and_data, tmp_path, monkeypatch):
    looked_at, drawn = make_net_and_data(), []
    ordered = np.sort(looked_at.data.test_labels)  # as those of own pictures are
    looked_at.data = looked_at.data._replace(test_labels=ordered)
    monkeypatch.setattr('chainer_cifar.figures.panels', lambda *args: drawn.append(args))
    assert pictures.activations(looked_at, tmp_path / 'a.png')
    shown = ordered[np.arange(pictures.IMAGES) * len(ordered) // pictures.IMAGES]
    assert len(set(shown)) > 1
    names = looked_at.trained.class_names
    assert [row[0][0] for row in drawn[0][0]] == [names[label] for label in shown]


def test_mistakes(make_net_and_data, tmp_path, monkeypatch):
    looked_at = make_net_and_data()
    drawn = []
    monkeypatch.setattr('chainer_cifar.figures.gallery', lambda *args: drawn.append(args))
    assert pictures.mistakes(looked_at, tmp_path / 'a.png')
    images, captions, _, title = drawn[0]
    model, data = looked_at.trained, looked_at.data
    x = data.test_images.reshape(-1, 3, 32, 32)
    with chainer.using_config('train', False):
        p = chainer.functions.softmax(model.net(model.input_transform(x))).array
    wrong = [i for i in np.argsort(-p.max(axis=1)) if p[i].argmax() != data.test_labels[i]]
    assert title.startswith(f'run: {len(wrong)} of 10 test images')
    np.testing.assert_array_equal(images, x[wrong])
    names = model.class_names
    for i, (first, second) in zip(wrong, captions, strict=True):
        assert first == f'{names[p[i].argmax()]} ({100 * p[i].max():.0f} %)'
        assert second == f'truth: {names[data.test_labels[i]]}'


def test_nothing_to_show(make_net_and_data, tmp_path, monkeypatch):
    looked_at = make_net_and_data()
    looked_at.convolutions = []
    assert not pictures.filters(looked_at, tmp_path / 'a.png')
    assert not pictures.activations(looked_at, tmp_path / 'a.png')
    labels = np.eye(3, dtype=np.float32)[looked_at.data.test_labels]
    monkeypatch.setattr('chainer_cifar.evaluation.inference.logits', lambda *a, **k: labels)
    assert not pictures.mistakes(looked_at, tmp_path / 'a.png')
    assert not (tmp_path / 'a.png').exists()

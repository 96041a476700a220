"""The treatment of the pictures within the file is that of `InputTransform`."""

import numpy as np
import pytest

from chainer_cifar.data.input_transform import InputTransform
from chainer_cifar.data.normalize import Normalization
from chainer_cifar.data.preprocess import Zca, preprocessing
from chainer_cifar.errors import UserError
from chainer_cifar.export import input_graph, packages

SHAPE = 3, 32, 32


def through(transform, pictures):
    """What the nodes that `put_before` adds make of the pictures."""
    onnx = packages.onnx()
    helper, kind = onnx.helper, onnx.TensorProto.FLOAT
    ends = [helper.make_tensor_value_info(n, kind, ['N', *SHAPE]) for n in ('images', 'logits')]
    graph = helper.make_graph(
        [helper.make_node('Identity', ['images'], ['logits'])], 'graph', ends[:1], ends[1:]
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid('', 13)], ir_version=7)
    input_graph.put_before(model, transform, SHAPE)
    session = packages.onnxruntime().InferenceSession(model.SerializeToString())
    return session.run(None, {input_graph.PICTURES: pictures})[0]


@pytest.mark.parametrize('normalization', [(0, 1), ([1, 2, 3], [64, 65, 66])], ids=['none', 'all'])
@pytest.mark.parametrize('name', preprocessing)
def test_the_same_as_in_training(name, normalization, pictures):
    pictures = pictures.copy()
    pictures[7] = 99  # flat
    kind = preprocessing[name]
    if issubclass(kind, Zca):  # to fit it takes ten seconds
        rng = np.random.default_rng(0)
        mean, matrix = rng.normal(size=3072), 0.1 * rng.normal(size=(3072, 3072))
        fitted = kind(mean.astype(np.float32), matrix.astype(np.float32))
    else:
        fitted = kind.fit(pictures, 0)
    transform = InputTransform(fitted, Normalization(*normalization))
    expected = transform(pictures)
    found = through(transform, pictures)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, atol=2e-5 * np.abs(expected).max(), rtol=0)


def test_unknown_preprocessing(pictures):
    with pytest.raises(UserError, match='nobody knows how the training images'):
        through(InputTransform(None, Normalization(0, 1)), pictures)

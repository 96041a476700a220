"""ONNX files of strangers, damaged ones, and those of ours."""

import dataclasses
import json
import pathlib

import numpy as np
import pytest

from chainer_cifar.config import TrainConfig
from chainer_cifar.errors import UserError
from chainer_cifar.export import packages, session, write
from chainer_cifar.export.check import Checked
from chainer_cifar.export.metadata import Metadata


@pytest.fixture
def model():
    """A file of ours but for its net: the mean of each channel for a class."""
    onnx = packages.onnx()
    helper, kinds = onnx.helper, onnx.TensorProto
    nodes = [
        helper.make_node('Cast', ['pictures'], ['images'], to=kinds.FLOAT),
        helper.make_node('ReduceMean', ['images'], ['logits'], axes=[2, 3], keepdims=0),
    ]
    graph = helper.make_graph(
        nodes,
        'graph',
        [helper.make_tensor_value_info('pictures', kinds.UINT8, ['N', 3, 32, 32])],
        [helper.make_tensor_value_info('logits', kinds.FLOAT, ['N', 3])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid('', 13)], ir_version=7)
    about = Metadata(
        ['red', 'green', 'blue'],
        vars(TrainConfig(prefix='run', accumulate=8)),  # more than some batches have images
        'w',
        'MIT',
        '',
        temperature=1.0,
        fit='pad',
        checked={},
        quantized={},
    )
    for key, value in about.properties().items():
        model.metadata_props.add(key=key, value=value)
    return model


@pytest.fixture
def load(tmp_path):
    def load(content, **flags):
        path = tmp_path / 'model.onnx'
        content = content if isinstance(content, bytes) else content.SerializeToString()
        path.write_bytes(content)
        return session.load(path, flags)

    return load


def set_property(model, key, value):
    (found,) = [each for each in model.metadata_props if each.key == key]
    found.value = value


def test_a_good_file(model, load, pictures):
    found = load(model, batch_size=7)
    assert found.class_names == ['red', 'green', 'blue']
    assert found.config.prefix == 'run' and found.config.batch_size == 7
    assert found.config.dataset == 'dataset/image_raw.pkl'
    assert found.input_transform.shape == (3, 32, 32) and found.input_transform.fit == 'pad'
    logits = found.net(found.input_transform(pictures)).array
    assert logits == pytest.approx(pictures.mean(axis=(2, 3)), rel=1e-5)


@pytest.mark.parametrize(
    ('key', 'value', 'word'),
    [
        ('chainer_cifar_format', '2', 'later version'),
        ('classes', '[1, 2, 3]', 'damaged'),
        ('classes', '["a", "b"]', '2 logits'),
        ('classes', '[', 'damaged'),
        ('classes', '[' * 100_000, 'damaged'),
        ('flags', '{"modell": "vgg"}', "did you mean 'model'"),
        ('flags', '7', 'damaged'),
        ('temperature', '0', 'damaged'),
        ('temperature', 'NaN', 'damaged'),
        ('fit', 'pat', 'damaged'),
    ],
)
def test_bad_metadata(model, load, key, value, word):
    set_property(model, key, value)
    with pytest.raises(UserError, match=word) as error:
        load(model)
    assert 'model.onnx' in str(error.value) and '\n' not in str(error.value)


def test_of_another_program(model, load):
    del model.metadata_props[:]
    with pytest.raises(UserError, match=r'not made by export\.py'):
        load(model)


@pytest.mark.parametrize('content', [b'', b'PK\3\4', b'\x08\x07', b'\xff' * 1000])
def test_no_onnx(load, content):
    with pytest.raises(UserError, match=r'model\.onnx: '):
        load(content)


def test_too_large(tmp_path):
    with open(tmp_path / 'large.onnx', 'wb') as file:
        file.truncate(session.MOST + 1)  # it takes no room on the disk
    with pytest.raises(UserError, match=r'large\.onnx: has more than 2 GB'):
        session.load(tmp_path / 'large.onnx', {})


def test_every_truncation(model, load):
    content = model.SerializeToString()
    for length in range(0, len(content), 97):
        with pytest.raises(UserError):
            load(content[:length])


def test_external_data(model, load, tmp_path):
    """It would read, say, /etc/passwd as weights."""
    onnx = packages.onnx()
    (tmp_path / 'secret').write_bytes(bytes(12))
    tensor = onnx.TensorProto(name='secret', data_type=1, dims=[3])
    tensor.data_location = onnx.TensorProto.EXTERNAL
    tensor.external_data.add(key='location', value=str(tmp_path / 'secret'))
    as_initializer, as_constant = onnx.ModelProto(), onnx.ModelProto()
    for hostile in (as_initializer, as_constant):
        hostile.CopyFrom(model)
    as_initializer.graph.initializer.append(tensor)
    constant = onnx.helper.make_node('Constant', [], ['secret'], value=tensor)
    as_constant.graph.node.insert(0, constant)
    for hostile in (as_initializer, as_constant):
        with pytest.raises(UserError, match='weights in other files'):
            load(hostile)


def test_loops_functions_and_foreign_operators(model, load):
    onnx = packages.onnx()
    looping, foreign, own = onnx.ModelProto(), onnx.ModelProto(), onnx.ModelProto()
    for hostile in (looping, foreign, own):
        hostile.CopyFrom(model)
    looping.graph.node.append(onnx.helper.make_node('Loop', ['', ''], ['out'], body=model.graph))
    foreign.graph.node[1].domain = 'evil'
    own.functions.add(name='f', domain='own')
    for hostile, word in ((looping, 'Loop'), (foreign, "of 'evil'"), (own, 'functions')):
        with pytest.raises(UserError, match=word):
            load(hostile)


def test_more_memory_than_there_is(model, load, pictures):
    onnx = packages.onnx()
    shape = onnx.numpy_helper.from_array(np.array([2**40, 2**20]), 'shape')
    model.graph.initializer.append(shape)
    model.graph.node.insert(0, onnx.helper.make_node('ConstantOfShape', ['shape'], ['huge']))
    model.graph.node.insert(1, onnx.helper.make_node('ReduceMean', ['huge'], ['one'], keepdims=0))
    model.graph.node[3].output[0] = 'mean'
    model.graph.node.append(onnx.helper.make_node('Add', ['mean', 'one'], ['logits']))
    with pytest.raises(UserError, match='onnxruntime cannot run it'):
        load(model).net.logits(pictures)


@pytest.mark.parametrize('flag', ['gpu', 'cpu_engine'])
def test_flags_of_chainer(model, load, flag):
    with pytest.raises(UserError, match=f'--{flag}: has no meaning for an ONNX file'):
        load(model, **{flag: 0})


def test_batches_of_another_size_than_those_that_were_shared_out(model, load):
    flags = vars(TrainConfig(prefix='run', processes=4, accumulate=8))
    set_property(model, 'flags', json.dumps(flags))
    assert load(model, batch_size=7).config.batch_size == 7


def test_files_that_do_not_say_how_pictures_fit(model, load):
    """They are of earlier versions."""
    (told,) = [each for each in model.metadata_props if each.key == 'fit']
    model.metadata_props.remove(told)
    assert load(model).input_transform.fit == 'crop'


@pytest.mark.parametrize('size', [(3, 48, 64), (3, 128, 128)], ids=str)
def test_pictures_of_any_size(model, load, size):
    dimensions = model.graph.input[0].type.tensor_type.shape.dim[1:]
    for dimension, length in zip(dimensions, size, strict=True):
        dimension.dim_value = length
    found = load(model)
    assert found.input_transform.shape == size
    pictures = np.random.default_rng(0).integers(0, 256, (2, *size), np.uint8)
    logits = found.net(found.input_transform(pictures)).array
    assert logits == pytest.approx(pictures.mean(axis=(2, 3)), rel=1e-5)


@pytest.mark.parametrize('length', [0, 4096, 'any'])
def test_pictures_of_a_size_that_is_none(model, load, length):
    dimension = model.graph.input[0].type.tensor_type.shape.dim[3]
    if isinstance(length, str):
        dimension.dim_param = length
    else:
        dimension.dim_value = length
    with pytest.raises(UserError, match='takes no pictures of a size of ours'):
        load(model)


def test_other_ends(model, load):
    model.graph.input[0].type.tensor_type.elem_type = packages.onnx().TensorProto.FLOAT
    with pytest.raises(UserError, match='takes no pictures'):
        load(model)


@pytest.mark.parametrize('threads', ['canary', '2,1', '', '-3', '9' * 30])
def test_odd_numbers_of_threads(model, load, pictures, monkeypatch, threads):
    monkeypatch.setenv('OMP_NUM_THREADS', threads)
    assert load(model).net.logits(pictures[:2]).shape == (2, 3)


def test_names_that_are_no_text(model, load, tmp_path):
    """Linux takes any bytes in the name of a run and in arguments; ONNX takes text."""
    trained = dataclasses.replace(load(model), weights=pathlib.Path('models/\udcff/best.npz'))
    exported = write.Exported(model, Checked(1, 0.0, 1), None, '')
    about = write.describe(trained, exported, 'CC0\n\udcff', {})
    write.write(tmp_path / 'written.onnx', model, about)
    _, found = session.read(tmp_path / 'written.onnx')
    assert (found.weights, found.license) == ('models/\ufffd/best.npz', 'CC0\n\ufffd')

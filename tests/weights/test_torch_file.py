"""PyTorch's old file format: tensors of every layout, and nothing but tensors."""

import os

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import torch_writer
from chainer_cifar.errors import UserError
from chainer_cifar.weights import torch_file
from torch_writer import Call, Global, Persistent, storage, tensor

fuzz = settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])

SAMPLE = torch_writer.save(
    {
        'conv.weight': np.arange(24, dtype=np.float32).reshape(2, 3, 2, 2),
        'bn.num_batches_tracked': np.array(7),
        'half': np.ones((2, 0), np.float16),
        'double': np.linspace(0, 1, 5),
    }
)


def test_contiguous_tensors_of_each_dtype():
    back = torch_file.load(SAMPLE, 'a.pth')
    assert list(back) == ['conv.weight', 'bn.num_batches_tracked', 'half', 'double']
    np.testing.assert_array_equal(back['conv.weight'], np.arange(24).reshape(2, 3, 2, 2))
    assert back['conv.weight'].dtype == np.float32
    assert back['bn.num_batches_tracked'].shape == () and back['bn.num_batches_tracked'] == 7
    assert back['half'].shape == (2, 0) and back['half'].dtype == np.float16
    np.testing.assert_array_equal(back['double'], np.linspace(0, 1, 5))


def test_parts_of_one_storage_with_strides():
    flat = np.arange(20, dtype=np.float32)
    shared = storage('s', flat)
    tensors = {
        'transposed': tensor(shared, 0, (4, 5), (1, 4)),
        'part': tensor(shared, 6, (2, 3), (5, 2)),
        'last': tensor(shared, 19, (1,), (1,)),
        'empty': tensor(shared, 20, (0, 3), (3, 1)),
    }
    back = torch_file.load(torch_writer.write(tensors, {'s': flat}), 'a.pth')
    np.testing.assert_array_equal(back['transposed'], flat.reshape(5, 4).T)
    np.testing.assert_array_equal(back['part'], [[6, 8, 10], [11, 13, 15]])
    np.testing.assert_array_equal(back['last'], [19])
    assert back['empty'].shape == (0, 3)


@fuzz
@given(cut=st.integers(0, len(SAMPLE) - 1))
def test_truncated(cut):
    with pytest.raises(UserError, match=r'a\.pth: '):
        torch_file.load(SAMPLE[:cut], 'a.pth')


@fuzz
@given(flips=st.lists(st.tuples(st.integers(0, 10_000), st.integers(0, 7)), min_size=1, max_size=8))
def test_flipped_bits_give_tensors_or_one_line(flips):
    data = bytearray(SAMPLE)
    for place, bit in flips:
        data[place % len(data)] ^= 1 << bit
    try:
        back = torch_file.load(bytes(data), 'a.pth')
    except UserError as error:
        assert str(error).startswith('a.pth: ') and '\n' not in str(error)
    else:
        assert sum(array.nbytes for array in back.values()) <= 4 * len(data)


FLAT = np.arange(6, dtype=np.float32)


def one(value, **options):
    return torch_writer.write({'x': value}, {'s': FLAT}, **options)


def alone(value):
    """Without a storage, which would be one that nobody asks for."""
    return torch_writer.write({'x': value}, {})


S = storage('s', FLAT)
FLOAT = Global('torch.FloatStorage')

BEYOND = 'a tensor reaches beyond its storage'
SHAPE = 'the shape of a tensor is malformed'
OTHER = 'it holds something other than tensors'
PLAIN = 'it asks for something other than a plain storage'
FORMAT = 'it has another format'

# Each with the reason for which it is refused; that of some is Python's own.
HOSTILE = {
    'beyond the storage': (one(tensor(S, 0, (7,), (1,))), BEYOND),
    'offset beyond': (one(tensor(S, 1, (6,), (1,))), BEYOND),
    'stride beyond': (one(tensor(S, 0, (2, 2), (5, 1))), BEYOND),
    'negative offset': (one(tensor(S, -1, (6,), (1,))), SHAPE),
    'negative stride': (one(tensor(S, 5, (6,), (-1,))), SHAPE),
    'negative shape': (one(tensor(S, 0, (-2, -3), (3, 1))), SHAPE),
    'stride of zero makes it huge': (one(tensor(S, 0, (2**40,), (0,))), BEYOND),
    'wild numbers': (one(tensor(S, 0, (2**200,), (1,))), SHAPE),
    'shape and strides differ': (one(tensor(S, 0, (2, 3), (1,))), 'zip() argument 2'),
    'shape is no tuple': (one(tensor(S, 0, [6], (1,))), SHAPE),
    'many dimensions': (one(tensor(S, 0, (1,) * 40, (1,) * 40)), SHAPE),
    'storage that is not there': (alone(tensor(S, 0, (6,), (1,))), 'a tensor has no storage'),
    'storage of no tensor': (one(tensor(storage('t', FLAT), 0, (6,), (1,))), "('s')"),
    'storage shorter than announced': (
        one(tensor(storage('s', FLAT[:5]), 0, (5,), (1,))),
        'a storage is not as long as announced',
    ),
    'storage that is text': (alone(tensor('s', 0, (6,), (1,))), OTHER),
    'view of a storage': (
        one(tensor(Persistent(('storage', FLOAT, 's', 'cpu', 6, ('v', 0, 6))), 0, (6,), (1,))),
        PLAIN,
    ),
    'other persistent id': (one(tensor(Persistent('s'), 0, (6,), (1,))), 'to unpack (expected 6'),
    'storage of no dtype': (
        one(tensor(Persistent(('storage', 'f4', 's', 'cpu', 6, None)), 0, (6,), (1,))),
        PLAIN,
    ),
    'a number': (alone(3), OTHER),
    'a storage': (one(S), OTHER),
    'a class': (alone(Global('torch._utils._rebuild_tensor_v2')), OTHER),
    'dictionary from pairs': (
        one(Call(Global('collections.OrderedDict'), ([('a', 1)],))),
        'positional argument',
    ),
    'call of a dtype': (one(Call(FLOAT, (3,))), 'not callable'),
    'big endian': (one(tensor(S, 0, (6,), (1,)), little_endian=False), 'little-endian'),
    'other magic': (one(tensor(S, 0, (6,), (1,)), magic=1), FORMAT),
    'other version': (one(tensor(S, 0, (6,), (1,)), protocol=1002), FORMAT),
    'zip of a newer PyTorch': (b'PK\x03\x04' + b'\0' * 100, "opcode b'P'"),
    'empty': (b'', 'it ends too early'),
}


@pytest.mark.parametrize('name', HOSTILE)
def test_hostile(name):
    data, reason = HOSTILE[name]
    with pytest.raises(UserError) as error:
        torch_file.load(data, 'a.pth')
    text = str(error.value)
    assert text.startswith('a.pth: ') and '\n' not in text and len(text) < 300
    assert reason in text


def test_deep_tuple_as_the_key_of_a_storage():
    # Python hashes it by recursion, without a limit in C.
    keys = b'\x80\x02](' + b')' + b'\x85' * 400_000 + b'e.'
    data = torch_writer.write({'x': tensor(S, 0, (6,), (1,))}, {})
    assert data.endswith(b'\x80\x02]q\x00.')
    with pytest.raises(UserError, match='a storage has no name'):
        torch_file.load(data[: -len(b'\x80\x02]q\x00.')] + keys, 'a.pth')


@pytest.mark.parametrize(
    'name', ['os.system', 'builtins.eval', 'torch.load', 'numpy.dtype', 'torch._utils._rebuild']
)
def test_nothing_is_called(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=f'refused: it asks for .{name}'):
        torch_file.load(one(Call(Global(name), ('mkdir made',))), 'a.pth')
    assert not os.listdir()


def test_globals_outside_the_state_dict():
    evil = b'\x80\x02' + torch_writer.opcodes(Call(Global('collections.OrderedDict'), ())) + b'.'
    with pytest.raises(UserError, match='refused: it asks for'):
        torch_file.load(evil, 'a.pth')

"""The reader of pickles: everything that is data, nothing that is a program."""

import io
import os
import pickle
import struct
import tracemalloc

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from chainer_cifar.data import pickles
from chainer_cifar.errors import UserError
from cifar_archive import dump_python2

fuzz = settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])

numeric = arrays.arrays(
    dtype=st.one_of(
        arrays.integer_dtypes(endianness='<'),
        arrays.unsigned_integer_dtypes(endianness='>'),
        arrays.floating_dtypes(endianness='='),
        arrays.floating_dtypes(endianness='>'),
    ).filter(lambda dtype: dtype.itemsize <= 8),
    shape=arrays.array_shapes(max_dims=4, max_side=12),
)
plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.tuples(inner, inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


def load(path, data):
    path.write_bytes(data)
    return pickles.load(path)


def sample(protocol=5):
    content = {
        'train': np.arange(24, dtype=np.float32).reshape(4, 6),
        'test': np.asfortranarray(np.arange(12, dtype='>i4').reshape(3, 4)),
        'names': ['a', 'b'],
        'pair': (1, 2.5),
    }
    return pickle.dumps(content, protocol)


@fuzz
@given(array=numeric, fortran=st.booleans(), protocol=st.integers(2, 5))
def test_arrays_of_every_protocol_come_back(tmp_path, array, fortran, protocol):
    array = np.asfortranarray(array) if fortran else array
    back = load(tmp_path / 'a.pkl', pickle.dumps({'x': array}, protocol))['x']
    assert back.dtype == array.dtype and back.shape == array.shape
    np.testing.assert_array_equal(back, array)


@fuzz
@given(value=plain, protocol=st.integers(2, 5))
def test_plain_values_come_back(tmp_path, value, protocol):
    try:
        back = load(tmp_path / 'a.pkl', pickle.dumps({'x': value}, protocol))['x']
    except UserError as error:
        assert 'LONG4' in str(error)  # an integer of more than 255 bytes
    else:
        assert repr(back) == repr(value)


@fuzz
@given(array=numeric, fortran=st.booleans())
def test_python_2_form_comes_back(tmp_path, array, fortran):
    array = np.asfortranarray(array) if fortran else array
    data = dump_python2({'x': array, 'names': ['caf\xe9'], 'n': [-1, 0, 255, 256, 70000]})
    # The form itself is right: pickle agrees.
    np.testing.assert_array_equal(pickle.loads(data, encoding='latin1')['x'], array)
    back = load(tmp_path / 'a.pkl', data)
    np.testing.assert_array_equal(back['x'], array)
    assert back['names'] == ['caf\xe9'] and back['n'] == [-1, 0, 255, 256, 70000]


@pytest.mark.parametrize('protocol', [2, 3, 4, 5])
@pytest.mark.parametrize(('package', 'other'), [('_core', 'core'), ('core', '_core')])
def test_both_names_of_the_numpy_core(tmp_path, protocol, package, other):
    array = np.arange(6.0).reshape(2, 3)
    data = pickle.dumps({'x': array, 'y': array[:, ::2]}, protocol)
    for module in ('multiarray', 'numeric'):
        old, new = f'numpy.{other}.{module}', f'numpy.{package}.{module}'
        data = data.replace(b'c%s\n' % old.encode(), b'c%s\n' % new.encode())
        data = data.replace(
            b'\x8c%c%s' % (len(old), old.encode()), b'\x8c%c%s' % (len(new), new.encode())
        )
    assert f'numpy.{package}.'.encode() in data and f'numpy.{other}.'.encode() not in data
    back = load(tmp_path / 'a.pkl', data)
    np.testing.assert_array_equal(back['x'], array)
    np.testing.assert_array_equal(back['y'], array[:, ::2])


@fuzz
@given(
    data=st.sampled_from([sample(2), sample(3), sample(5)]),
    cut=st.integers(0, 10_000),
)
def test_truncated(tmp_path, data, cut):
    with pytest.raises(UserError, match=r'a\.pkl: '):
        load(tmp_path / 'a.pkl', data[: cut % len(data)])


@fuzz
@given(
    data=st.sampled_from([sample(2), sample(3), sample(5)]),
    flips=st.lists(st.tuples(st.integers(0, 10_000), st.integers(0, 7)), min_size=1, max_size=8),
)
def test_flipped_bits_give_a_dictionary_or_one_line(tmp_path, data, flips):
    data = bytearray(data)
    for place, bit in flips:
        data[place % len(data)] ^= 1 << bit
    check_dictionary_or_one_line(tmp_path / 'a.pkl', bytes(data))


OPCODES = [getattr(pickle, name) for name in dir(pickle) if name.isupper()]
OPCODES = [value for value in OPCODES if isinstance(value, bytes) and len(value) == 1]


@fuzz
@given(
    parts=st.lists(
        st.sampled_from(OPCODES)
        | st.binary(max_size=3)
        | st.sampled_from([b'cnumpy\ndtype\n', b'cnumpy.core.multiarray\n_reconstruct\n'])
        | st.sampled_from([b'}', b'U\x01a', b'K\x01', b'(', b't', b'R', b'b', b's', b'u']),
        max_size=60,
    )
)
def test_garbage_gives_a_dictionary_or_one_line(tmp_path, parts):
    check_dictionary_or_one_line(tmp_path / 'a.pkl', b''.join(parts) + b'.')


def check_dictionary_or_one_line(path, data):
    try:
        value = load(path, data)
    except UserError as error:
        assert str(error).startswith(f'{path}: ') and '\n' not in str(error)
    else:
        assert type(value) is dict


class Call:
    """Pickles as the call of any function."""

    def __init__(self, function, *arguments):
        self.reduced = function, arguments

    def __reduce__(self):
        return self.reduced


@pytest.mark.parametrize('protocol', [2, 3, 4, 5])
@pytest.mark.parametrize('function', [os.system, os.mkdir, eval, getattr, np.load, io.open])
def test_nothing_is_called(tmp_path, monkeypatch, protocol, function):
    monkeypatch.chdir(tmp_path)
    evil = pickle.dumps({'train': Call(function, 'mkdir made')}, protocol)
    with pytest.raises(UserError, match='refused: it asks for') as error:
        load(tmp_path / 'a.pkl', evil)
    assert '\n' not in str(error.value)
    assert sorted(os.listdir()) == ['a.pkl']


def array_program(shape, data=b'', kind='f4', order=b'<'):
    """A protocol-2 array with any shape, given as opcodes."""
    return (
        b'\x80\x02}U\x05traincnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b'
        b'\x87R(K\x01'
        + shape
        + b'cnumpy\ndtype\nU'
        + struct.pack('B', len(kind))
        + kind.encode()
        + b'K\x00K\x01\x87R(K\x03U\x01'
        + order
        + b'NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89T'
        + struct.pack('<I', len(data))
        + data
        + b'tbs.'
    )


def test_array_program_is_right(tmp_path):
    back = load(tmp_path / 'a.pkl', array_program(b'K\x02\x85', b'\0\0\x80\x3f' * 2))
    np.testing.assert_array_equal(back['train'], np.ones(2, np.float32))


# A list that holds a list twice that holds … : 2**60 brackets, were it ever printed.
ENDLESS = b'\x80\x04]q\0' + b''.join(b']h%cah%caq%c' % (i, i, i + 1) for i in range(60))

HOSTILE = {
    'endless name': ENDLESS + b'h\x3ch\x3c\x93.',
    'endless encoding': ENDLESS + b'c_codecs\nencode\nX\x01\0\0\0ah\x3c\x86R.',
    'endless dtype': ENDLESS + array_program(b'K\x01\x85').replace(b'U\x02f4', b'h\x3c'),
    'endless shape': ENDLESS + array_program(b'h\x3c'),
    'endless order': ENDLESS + array_program(b'K\x01\x85').replace(b'U\x01<', b'h\x3c'),
    'huge shape': array_program(b'J\xff\xff\xff\x7fJ\xff\xff\xff\x7f\x86'),
    'shape times 0': array_program(b'K\x00' + b'\x8a\xff' + b'\x7f' * 255 + b'\x86'),
    'negative shape': array_program(b'J\xfe\xff\xff\xffJ\xfe\xff\xff\xff\x86', b'\0' * 16),
    'many dimensions': array_program(b'(' + b'K\x01' * 70 + b't', b'\0' * 4),
    'shape is a list': array_program(b']K\x01a', b'\0' * 4),
    'objects': array_program(b'K\x01\x85', b'\0' * 8, kind='O8', order=b'|'),
    'text dtype': array_program(b'K\x01\x85', b'\0' * 4, kind='S4', order=b'|'),
    'wide float': array_program(b'K\x01\x85', b'\0' * 16, kind='f16'),
    'odd byte order': array_program(b'K\x01\x85', b'\0' * 4, order=b'f'),
    'structured': pickle.dumps({'train': np.zeros(3, [('a', 'f4')])}, 4),
    'array of objects': pickle.dumps({'train': np.array([None])}, 4),
    'memo that is not there': b'\x80\x02}U\x01aj\xff\xff\xff\x7fs.',
    'length of 8 exabytes': b'\x80\x05}\x8e' + b'\xff' * 7 + b'\x7f.',
    'bytearray of 8 exabytes': b'\x80\x05}\x96' + b'\xff' * 7 + b'\x7f.',
    'deep tuple as a key': b'\x80\x02}(' + b')' + b'\x85' * 400_000 + b'K\x01u.',
    'deep marks': b'\x80\x02' + b'(' * 400_000 + b'.',
    'deep lists': b'\x80\x02' + b']' * 400_000 + b'a' * 399_999 + b'.',
    'a list': pickle.dumps([1]),
    'an array': pickle.dumps(np.zeros(3)),
    'a class': b'\x80\x02cnumpy\nndarray\n.',
    'a method': b'\x80\x02}U\x01acnumpy\ndtype\n(U\x02f4tR}bs.',
    'state on a function': b'\x80\x02cnumpy.core.multiarray\n_reconstruct\n}b.',
    'other codec': b'\x80\x02}U\x01ac_codecs\nencode\nX\x01\0\0\0aX\x05\0\0\0rot13\x86Rs.',
    'newline in a name': b'\x80\x04}\x8c\x04a\nb\n\x8c\x01c\x93.',
    'protocol 0': pickle.dumps({'a': 1}, 0),
    'empty': b'',
    'html': b'<!DOCTYPE html><html><body>404</body></html>',
    'out-of-band buffer': b'\x80\x05}U\x01a\x97s.',
    'persistent id': b'\x80\x02}U\x01aK\x01Qs.',
    'extension registry': b'\x80\x02}U\x01a\x82\x01s.',
}


@pytest.mark.parametrize('name', HOSTILE)
def test_hostile(tmp_path, name):
    with pytest.raises(UserError) as error:
        load(tmp_path / 'a.pkl', HOSTILE[name])
    text = str(error.value)
    assert text.startswith(f'{tmp_path / "a.pkl"}: ') and '\n' not in text and len(text) < 300


def test_a_memo_far_away_takes_no_memory(tmp_path):
    assert load(tmp_path / 'a.pkl', b'\x80\x02}r\xff\xff\xff\x7f.') == {}


def test_one_text_in_many_places_takes_its_memory_once(tmp_path):
    size, places = 10**6, 300
    text = b'\x80\x02X' + struct.pack('<I', size) + b'a' * size + b'q\0'
    encode = b'c_codecs\nencode\nq\1X\6\0\0\0latin1q\2'
    calls = b'(' + b'h\1h\0h\2\x86R' * places + b't'
    tracemalloc.start()
    try:
        with pytest.raises(UserError, match='does not hold a dictionary'):
            load(tmp_path / 'a.pkl', text + encode + calls + b'.')
        assert tracemalloc.get_traced_memory()[1] < 20 * size
    finally:
        tracemalloc.stop()


def test_one_text_of_many_arrays_takes_its_memory_once(tmp_path):
    length, places = 250, 2000  # the longest text; all of these arrays share it
    array = np.frombuffer(b'\1' * length, np.uint8)
    one = dump_python2({'a': array})
    assert one.count(bytes(array)) == 1
    many = dump_python2({f'a{i}': array for i in range(places)})
    path = tmp_path / 'a.pkl'
    path.write_bytes(many)
    back = pickles.load(path)
    assert len({a.__array_interface__['data'][0] for a in back.values()}) == 1


def test_too_many_parts(tmp_path, monkeypatch):
    monkeypatch.setattr(pickles, 'MOST', 1000)
    assert load(tmp_path / 'a.pkl', pickle.dumps({'a': [1] * 400}))['a'] == [1] * 400
    with pytest.raises(UserError, match='more than 1,000 parts'):
        load(tmp_path / 'a.pkl', pickle.dumps({'a': [1] * 1000}))


def test_too_little_memory_is_no_damage(tmp_path, monkeypatch):
    def full(self, count):
        raise MemoryError

    monkeypatch.setattr(pickles.Machine, 'take', full)
    with pytest.raises(MemoryError):
        load(tmp_path / 'a.pkl', pickle.dumps({}))


def test_a_list_that_holds_itself(tmp_path):
    value = []
    value.append(value)
    back = load(tmp_path / 'a.pkl', pickle.dumps({'x': value}))['x']
    assert back[0] is back


def test_missing_file_and_folder(tmp_path):
    with pytest.raises(UserError, match='No such file'):
        pickles.load(tmp_path / 'none.pkl')
    with pytest.raises(UserError, match='directory'):
        pickles.load(tmp_path)

"""src/export.py as a user runs it, and what the others do with its files."""

import json
import re
import shutil
import sys

import numpy as np
import pytest
from PIL import Image

from chainer_cifar.data import store
from chainer_cifar.export import check, session

REASON = "needs the extra onnx: pip install '.[onnx]'"


@pytest.fixture
def _packages():
    for package in ('onnx', 'onnxruntime'):
        pytest.importorskip(package, reason=REASON)


@pytest.fixture
def exported(_packages, own_run, command):
    """A copy of the run, with model.onnx of it; what the command printed."""
    status, out, err = command('export', 'run', '--onnx', 'model.onnx', '--license', 'CC0-1.0')
    assert status == 0 and err == ''
    return out


def test_the_file_says_what_it_is(exported, own_run):
    assert re.search(r'^model\.onnx  \d\.\d MB$', exported, re.MULTILINE)
    assert '40 of 40 test pictures get the same class' in exported
    _, about = session.read(own_run / 'model.onnx')
    config = json.loads((own_run / 'models/run/config.json').read_text())
    assert about.classes == config['classes'] and about.license == 'CC0-1.0'
    assert about.flags == config['flags'] and about.flags['cpu_engine'] == 'onednn'
    assert about.data_checksum == config['data_checksum']
    assert about.checked['difference'] < check.MOST


def test_evaluate_gives_the_same_numbers(exported, own_run, command):
    reports = []
    for name, options in (('run', []), ('model.onnx', ['-b', 7])):
        for part in ('test', 'valid'):
            out = f'out/{name}'
            status, _, err = command('evaluate', name, '--set', part, '--out', out, *options)
            assert (status, err) == (0, '')
    for part in ('test', 'valid'):
        ours = json.loads((own_run / f'out/run/report-{part}.json').read_text())
        (path,) = (own_run / 'out/model.onnx').glob(f'report-{part}-model.json')
        theirs = json.loads(path.read_text())
        assert theirs['confusion'] == ours['confusion'] and theirs['data_of_the_run']
        assert theirs['loss'] == pytest.approx(ours['loss'], rel=1e-4)
        reports.append(theirs['error'])
    assert max(reports) > 0


def test_predict_gives_the_same_classes(exported, own_run, command, cifar10_folder):
    Image.effect_noise((90, 70), 80).save('noise.png')
    for arguments in (['--first', 10], ['noise.png'], ['noise.png', '--tta', 'mirror_shift']):
        rows = [
            json.loads(command('predict', name, *arguments, '--format', 'json')[1])
            for name in ('run', 'model.onnx')
        ]
        for ours, theirs in zip(*rows, strict=True):
            for our, their in zip(ours['top'], theirs['top'], strict=True):
                assert our['class'] == their['class']
                assert our['probability'] == pytest.approx(their['probability'], abs=1e-4)


def test_nothing_is_written_where_they_differ(_packages, own_run, refused, monkeypatch):
    (own_run / 'model.onnx').write_text('before')
    monkeypatch.setattr(check, 'MOST', -1.0)
    assert 'differs from Chainer' in refused('export', 'run', '--onnx', 'model.onnx')
    assert (own_run / 'model.onnx').read_text() == 'before'


def test_without_the_packages(in_run, refused, monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, 'onnx', None)
    (tmp_path / 'model.onnx').write_bytes(b'')
    for arguments in (['export', 'run', '--onnx', 'x.onnx'], ['evaluate', tmp_path / 'model.onnx']):
        line = refused(*arguments)
        assert "pip install --editable '.[onnx]'" in line and 'onnx' in line


@pytest.mark.parametrize(
    ('arguments', 'word'),
    [
        (['run'], '--onnx: say where'),
        (['run', '--onnx', 'model.pb'], '.onnx file'),
        (['runn', '--onnx', 'a.onnx'], 'no such file'),
        (['run', '--onnx', 'a.onnx', '-d', 'none.pkl'], 'none.pkl: no such file'),
    ],
)
def test_mistakes(_packages, in_run, refused, arguments, word):
    assert word in refused('export', *arguments)


def test_other_commands_need_the_run(in_run, refused, tmp_path):
    (tmp_path / 'model.onnx').write_bytes(b'')
    for name in ('visualize', 'report', 'summary'):
        assert 'model.onnx' in refused(name, tmp_path / 'model.onnx')


def test_a_damaged_file(exported, own_run, refused):
    content = (own_run / 'model.onnx').read_bytes()
    shutil.copy('model.onnx', 'whole.onnx')
    (own_run / 'model.onnx').write_bytes(content[: len(content) // 2])
    assert 'model.onnx: ' in refused('evaluate', 'model.onnx')
    assert 'export it again' in refused('predict', 'model.onnx', '--first', 1)


def test_int8(_packages, own_run, command):
    status, out, err = command('export', 'run', '--onnx', 'small.onnx', '--int8')
    assert status == 0 and err == ''
    assert re.search(
        r'^int8     error [\d.]+ % before, [\d.]+ % after, of 4 validation pictures',
        out,
        re.MULTILINE,
    )
    _, about = session.read(own_run / 'small.onnx')
    assert about.quantized['pictures'] == 4 and about.quantized['difference'] > 0
    assert command('export', 'run', '--onnx', 'large.onnx')[0] == 0
    reports = []
    for name in ('small', 'large'):
        assert command('evaluate', f'{name}.onnx', '--out', name)[0] == 0
        reports.append(json.loads((own_run / f'{name}/report-test-{name}.json').read_text()))
    assert reports[0]['loss'] != reports[1]['loss']
    assert reports[0]['loss'] == pytest.approx(reports[1]['loss'], rel=0.2)


def test_what_onnxruntime_cannot_quantize(_packages, own_run, refused, monkeypatch):
    from onnxruntime import quantization

    class InvalidProtobuf(Exception):  # its errors have no class in common
        pass

    def fail(*args, **named):
        raise InvalidProtobuf('serialization failed\nmore')

    monkeypatch.setattr(quantization, 'quantize_static', fail)
    line = refused('export', 'run', '--onnx', 'small.onnx', '--int8')
    assert 'cannot quantize this net (serialization failed)' in line
    assert not (own_run / 'small.onnx').exists()


def test_other_data_than_those_of_the_run(_packages, own_run, command, refused):
    labels = store.read_labels('dataset/label.pkl')
    store.write_split('dataset/other.pkl', np.roll(labels['train'], 1), labels['test'])
    given = ('-l', 'dataset/other.pkl')
    told = 'dataset/image_raw.pkl and dataset/other.pkl are not the data this run was trained on'
    status, _, err = command('export', 'run', '--onnx', 'model.onnx', *given)
    assert status == 0 and err.count('\n') == 1 and err.startswith(f'warning: {told}')
    about = session.read(own_run / 'model.onnx')[1]
    assert about.data_checksum == '' and about.flags['label'] == 'dataset/other.pkl'
    assert about.flags['cpu_engine'] == 'onednn'
    line = refused('evaluate', 'model.onnx', '--set', 'valid', *given)
    assert f'--set valid: {told}' in line
    line = refused('export', 'run', '--onnx', 'small.onnx', '--int8', *given)
    assert f'--int8: models/run/best.npz: valid: {told}' in line
    assert not (own_run / 'small.onnx').exists()


def test_the_temperature_goes_with_it(_packages, own_run, command, refused):
    assert command('evaluate', 'run', '--calibrate')[0] == 0
    assert command('export', 'run', '--onnx', 'model.onnx')[0] == 0
    rows = [
        json.loads(command('predict', name, '--first', 3, '--format', 'json')[1])
        for name in ('run', 'model.onnx')
    ]
    for ours, theirs in zip(*rows, strict=True):
        chances = [each['top'][0]['probability'] for each in (ours, theirs)]
        assert chances[0] == pytest.approx(chances[1], abs=1e-4)
    assert 'give the run' in refused('evaluate', 'model.onnx', '--calibrate')

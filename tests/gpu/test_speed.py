"""A GPU is worth its flag. How fast it is beside PyTorch, benchmarks/gpu_training.py measures."""

import re

import pytest

from runs import DATA, train, write_data

pytestmark = pytest.mark.gpu


def images_per_second(folder, *flags):
    done = train(*DATA, '-m', 'vgg', '-b', '128', '--dry_run', *flags, cwd=folder)
    assert done.returncode == 0, done.stderr
    return float(re.search(r'about (\d+) images/s', done.stdout)[1])


def test_faster_than_the_cpu(gpu, tmp_path):
    write_data(tmp_path / 'data', n_train=2000)
    on_gpu = images_per_second(tmp_path, '-g', '0')
    assert on_gpu > 2 * images_per_second(tmp_path)


def test_augmentation_does_not_keep_the_gpu_waiting(gpu, tmp_path):
    write_data(tmp_path / 'data', n_train=2000)
    plain = images_per_second(tmp_path, '-g', '0', '--augment', 'none')
    augmented = images_per_second(tmp_path, '-g', '0', '--augment', 'crop,mirror')
    assert augmented > plain / 2

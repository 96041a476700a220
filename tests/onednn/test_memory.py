"""Large arrays lie in huge pages, where the system has them."""

import pathlib
import subprocess
import sys

import pytest

SETTING = pathlib.Path('/sys/kernel/mm/transparent_hugepage/enabled')

CHILD = """
import chainer_onednn
from chainer_onednn import arrays
with chainer_onednn.enable():
    kept = [arrays.empty((2**19,)) for _ in range(60)]
    address = kept[-1].ctypes.data
for line in open('/proc/self/smaps'):
    words = line.split()
    if '-' in words[0] and not words[0].endswith(':'):
        start, stop = (int(end, 16) for end in words[0].split('-'))
    if words[0] == 'VmFlags:' and start <= address < stop:
        print('hg' in words)
"""


@pytest.mark.skipif(
    not SETTING.exists() or '[never]' in SETTING.read_text(), reason='there are no huge pages here'
)
def test_huge_pages_are_asked_for():
    found = subprocess.run([sys.executable, '-c', CHILD], capture_output=True, text=True)
    assert found.stdout == 'True\n', found.stderr

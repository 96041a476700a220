"""Chainer's own tests, with its own code and with chainer_onednn; lists what only ours fails.

    git clone --branch v7.8.1 https://github.com/chainer/chainer CHECKOUT
    python benchmarks/chainer_own_tests.py CHECKOUT [--folders functions_tests/pooling_tests,…]

Chainer must be installed here; of the checkout, only the tests are used. Tests of GPUs and iDeep
are left out. The exit status is 1 if a test fails with oneDNN that passes without.
"""

import argparse
import os
import pathlib
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ElementTree

ROOT = pathlib.Path(__file__).resolve().parents[1]
# Of everything that the engine replaces.
FOLDERS = (
    'functions_tests/activation_tests/test_relu.py',
    'functions_tests/array_tests/test_concat.py',
    'functions_tests/array_tests/test_reshape.py',
    'functions_tests/connection_tests',
    'functions_tests/math_tests/test_basic_math.py',
    'functions_tests/noise_tests',
    'functions_tests/normalization_tests',
    'functions_tests/pooling_tests',
    'links_tests/connection_tests',
    'links_tests/normalization_tests',
    'optimizers_tests',
    'optimizer_hooks_tests',
    'test_optimizer.py',
)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('checkout', type=pathlib.Path)
    parser.add_argument('--folders', default=','.join(FOLDERS))
    args = parser.parse_args()
    tests = args.checkout.resolve() / 'tests' / 'chainer_tests'
    if not tests.is_dir():
        parser.error(f'{args.checkout}: there is no tests/chainer_tests in it')
    outcomes = {}
    for engine in ('chainer', 'onednn'):
        outcomes[engine] = run(tests, args.folders.split(','), engine)
        counts = [list(outcomes[engine].values()).count(kind) for kind in ('passed', 'failed')]
        print(f'{engine:8} {counts[0]:6} passed {counts[1]:6} failed', flush=True)
    plain, ours = outcomes['chainer'], outcomes['onednn']
    worse, better = broken(plain, ours), broken(ours, plain)
    for verb, names in (('fails', worse), ('passes', better)):
        print(f'only oneDNN {verb}: {len(names)}')
        for name in names:
            print(f'  {name}')
    return int(bool(worse))


def broken(before, after):
    """The tests that passed before, and do not after: a whole file, perhaps, is not collected."""
    return sorted(
        name for name in before if before[name] == 'passed' and after.get(name) != 'passed'
    )


def run(tests, folders, engine):
    """Run pytest; return ``{test: 'passed' or 'failed'}``."""
    with tempfile.TemporaryDirectory() as folder:
        report = pathlib.Path(folder) / 'report.xml'
        command = [
            *(sys.executable, '-m', 'pytest', '-p', 'chainer_tests_plugin', '-q'),
            *('--junitxml', str(report), '-c', os.devnull, '-W', 'ignore', '--tb=no'),
            '--rootdir',
            str(tests),
            *('-m', 'not gpu and not cudnn and not multi_gpu and not ideep and not chainerx'),
            '--continue-on-collection-errors',
            *(str(tests / name) for name in folders),
        ]
        environment = {
            **os.environ,
            'PYTHONPATH': os.pathsep.join([str(ROOT / 'src'), str(ROOT / 'benchmarks')]),
            'CHAINER_ONEDNN': str(int(engine == 'onednn')),
        }
        subprocess.run(
            command,
            cwd=tests,
            env=environment,
            stdout=subprocess.DEVNULL,
        )
        cases = ElementTree.parse(report).iter('testcase')
        return {
            f'{case.get("classname")}::{case.get("name")}': 'failed'
            if case.find('failure') is not None or case.find('error') is not None
            else 'passed'
            for case in cases
            if case.find('skipped') is None
        }


if __name__ == '__main__':
    sys.exit(main())

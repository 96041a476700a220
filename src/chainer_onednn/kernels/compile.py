"""Compile the kernels: one shared library for each instruction set.

    python src/chainer_onednn/kernels/compile.py [COMPILER …]

Makes ``avx2.so`` and ``avx512.so`` beside this file. setup.py does the same at installation, with
this module, which therefore needs the standard library only. The instruction sets are named one by
one (never ``-march=native``): what is built may be copied to another machine, and which library is
used is decided there.
"""

import pathlib
import subprocess
import sys

FOLDER = pathlib.Path(__file__).resolve().parent
SOURCES = sorted(path.name for path in FOLDER.glob('*.c'))
LIBRARIES = {
    'avx2.so': ['-mavx2', '-mfma'],
    'avx512.so': [
        *('-mavx2', '-mfma', '-mavx512f', '-mavx512bw', '-mavx512dq', '-mavx512vl'),
        '-mprefer-vector-width=512',
    ],
}
# No -ffast-math: it lets a compiler believe that there is no NaN.
FLAGS = [
    *('-O3', '-std=gnu11', '-fPIC', '-shared', '-fvisibility=hidden'),
    *('-ffp-contract=fast', '-fno-math-errno', '-fno-trapping-math', '-fno-signed-zeros'),
]


def command(compiler, library, target):
    """The compiler's command line.

    Args:
        compiler (list of str): Such as ``['cc']``.
        library (str): A key of `LIBRARIES`.
        target (pathlib.Path): The file to write.
    """
    sources = [str(FOLDER / name) for name in SOURCES]
    return [*compiler, *FLAGS, *LIBRARIES[library], *sources, '-o', str(target)]


def compile_all(compiler, folder=FOLDER):
    """Write all libraries into a folder.

    Raises:
        OSError: the compiler cannot be started.
        subprocess.CalledProcessError: it failed; `stderr` is what it said.
    """
    for library in LIBRARIES:
        subprocess.run(
            command(compiler, library, folder / library), check=True, capture_output=True, text=True
        )


if __name__ == '__main__':
    try:
        compile_all(sys.argv[1:] or ['cc'])
    except subprocess.CalledProcessError as error:
        sys.exit(error.stderr)

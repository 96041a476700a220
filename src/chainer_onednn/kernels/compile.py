"""Compile the kernels: one shared library for each instruction set.

    python -m chainer_onednn.kernels.compile [COMPILER …]

Makes ``avx2.so`` and ``avx512.so`` beside this file, with the compiler named or with the first of
`compilers` that can. setup.py does the same at installation, with this module, which therefore
needs the standard library only and nothing else of the package. The instruction sets are named one
by one (never ``-march=native``): what is built may be copied to another machine, and which library
is used is decided there.
"""

import concurrent.futures
import hashlib
import importlib.util
import os
import pathlib
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence

FOLDER = pathlib.Path(__file__).resolve().parent
SOURCES = sorted(path.name for path in FOLDER.glob('*.c'))
HEADERS = sorted(path.name for path in FOLDER.glob('*.h'))
VARIABLE = 'CHAINER_ONEDNN_KERNELS'  # 0: build none, and use none
LIBRARIES = {
    'avx2.so': ['-mavx2', '-mfma', '-mprfchw'],
    'avx512.so': [
        *('-mavx2', '-mfma', '-mprfchw'),
        *('-mavx512f', '-mavx512bw', '-mavx512dq', '-mavx512vl'),
        '-mprefer-vector-width=512',
    ],
}
# No -ffast-math: it lets a compiler believe that there is no NaN.
FLAGS = [
    *('-O3', '-std=gnu11', '-fPIC', '-shared', '-fvisibility=hidden', '-Wall', '-Wextra'),
    *('-ffp-contract=fast', '-fno-math-errno', '-fno-trapping-math', '-fno-signed-zeros'),
]
COMPILERS = ('cc', 'gcc', 'clang')
# Where there is none of them: a compiler on PyPI (100 MB, 400 MB unpacked; removed afterwards).
# Its target is named, or it would build for this very CPU and this C library.
ZIG = 'ziglang>=0.16,<1'
ZIG_FLAGS = ['-target', 'x86_64-linux-gnu.2.17', '-s']


class Failed(Exception):
    """There are no new libraries; the message is one line that says why."""


def version() -> str:
    """Return a digest of sources and flags, which tells whether a library comes from these."""
    digest = hashlib.sha256(repr((LIBRARIES, FLAGS)).encode())
    for name in (*SOURCES, *HEADERS):
        digest.update(name.encode() + b'\0' + (FOLDER / name).read_bytes())
    return digest.hexdigest()[:12]


def command(compiler: Sequence[str], library: str, target: pathlib.Path) -> list[str]:
    """Make the compiler's command line.

    Args:
        compiler: Its first words, such as ``['cc']``.
        library: A key of `LIBRARIES`.
        target: The file to write.
    """
    sources = [str(FOLDER / name) for name in SOURCES]
    zig = ZIG_FLAGS if pathlib.Path(compiler[0]).name == 'zig' or 'ziglang' in compiler else []
    defined = f'-DKERNELS_VERSION="{version()}"'
    return [*compiler, *zig, *FLAGS, *LIBRARIES[library], defined, *sources, '-o', str(target)]


def compile_all(compiler: Sequence[str], folder: pathlib.Path = FOLDER) -> str:
    """Write all libraries into a folder, or leave it unchanged.

    Returns:
        The compiler's warnings.

    Raises:
        Failed: The compiler did not start, or it failed.
    """
    # Whole or not at all, and never into a file that a process is using: hence the folder inside.
    with tempfile.TemporaryDirectory(prefix='.building-', dir=folder) as scratch:
        caches = {'ZIG_GLOBAL_CACHE_DIR': scratch, 'ZIG_LOCAL_CACHE_DIR': scratch}
        targets = {library: pathlib.Path(scratch, library) for library in LIBRARIES}

        def compile_one(library: str) -> str:
            line = command(compiler, library, targets[library])
            return _run(line, named(compiler), {**caches, **os.environ})

        with concurrent.futures.ThreadPoolExecutor() as pool:
            warnings = ''.join(pool.map(compile_one, LIBRARIES))
        for library, target in targets.items():
            if not target.exists():
                raise Failed(f'{named(compiler)} wrote no {library}')
        for library, target in targets.items():
            target.replace(pathlib.Path(folder, library))
    return warnings


def build(folder: pathlib.Path = FOLDER) -> tuple[str, str]:
    """Write all libraries into a folder by the first compiler that can.

    Returns:
        Its name and its warnings.

    Raises:
        Failed: No compiler can, or the user wants no kernels; the folder is unchanged.
    """
    if os.environ.get(VARIABLE) == '0':
        raise Failed(f'{VARIABLE}=0')
    if not suitable():
        raise Failed(f'{platform.system()} on {platform.machine()} is not Linux on x86-64')
    reasons = []
    with tempfile.TemporaryDirectory() as scratch:
        for compiler in (*compilers(), None):
            try:
                compiler = compiler or fetch(scratch)
                return named(compiler), compile_all(compiler, folder)
            except (Failed, OSError) as reason:
                reasons.append(str(reason))
    raise Failed('; '.join(reasons))


def suitable() -> bool:
    """Say whether the kernels are for this kind of machine."""
    return sys.platform == 'linux' and platform.machine() == 'x86_64'


def compilers() -> list[list[str]]:
    """Find the compilers here, best first; each is the first words of a command line."""
    named = [os.environ.get('CC', '').split(), *([name] for name in COMPILERS)]
    found = [words for words in named if words and shutil.which(words[0])]
    if importlib.util.find_spec('ziglang'):
        found.append([sys.executable, '-m', 'ziglang', 'cc'])
    return found


def named(compiler: Sequence[str]) -> str:
    """Name a compiler for people: its command without the folder."""
    return ' '.join([pathlib.Path(compiler[0]).name, *compiler[1:]])


def fetch(folder: str | pathlib.Path) -> list[str]:
    """Install `ZIG` into an empty folder; return the compiler.

    It is no requirement of the build, because pip ends an installation whose requirements it cannot
    get, and this one can do without. pip's environment variables and
    configuration hold here, too; options of a command line (``--index-url``) do not reach it.

    Raises:
        Failed: pip cannot get it.
    """
    print(f'kernels: no C compiler here that can; fetching {ZIG} ...', file=sys.stderr, flush=True)
    folder = pathlib.Path(folder)
    # -E: while pip builds a package, PYTHONPATH hides pip.
    python = [sys.executable, '-E']
    if subprocess.run([*python, '-m', 'pip', '--version'], capture_output=True).returncode:
        # as in the environments that uv makes
        _run([*python, '-m', 'venv', str(folder / 'pip')], 'venv')
        python = [str(folder / 'pip/bin/python'), '-E']
    # Settings of the installation going on, which do not concern this one.
    names = ('CONSTRAINT', 'BUILD_CONSTRAINT', 'REQUIREMENT', 'PREFIX', 'ROOT', 'USER')
    ours = [f'PIP_{name}' for name in names]
    environment = {name: value for name, value in os.environ.items() if name not in ours}
    options = ['--quiet', '--no-deps', '--only-binary=:all:', '--no-compile', '--no-input']
    target = f'--target={folder / "zig"}'
    _run([*python, '-m', 'pip', 'install', *options, target, ZIG], 'pip', environment)
    return [str(folder / 'zig/ziglang/zig'), 'cc']


def _run(line: Sequence[str], name: str, environment: Mapping[str, str] | None = None) -> str:
    """Run a command; return what it wrote to standard error."""
    try:
        done = subprocess.run(
            line, env=environment, timeout=1800,
            stdin=subprocess.DEVNULL, capture_output=True, text=True, errors='replace',
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Failed(f'{name}: {error}') from None
    if done.returncode:
        # A compiler's first error is the cause of the others; pip has one, after its warnings.
        errors = [text for text in done.stderr.splitlines() if 'error:' in text.lower()]
        reason = errors[0].strip() if errors else f'exit status {done.returncode}'
        raise Failed(f'{name}: {reason}')
    return done.stderr


def main(compiler: Sequence[str]) -> int:
    """Compile, and say by what or why not; return the exit status."""
    try:
        name, warnings = (named(compiler), compile_all(compiler)) if compiler else build()
    except Failed as reason:
        print(f'kernels: none, so slower: {reason}', file=sys.stderr)
        return 1
    print(f'{warnings}kernels: compiled by {name}')
    return 0


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))

"""The part of the campaign that feeds odd inputs."""

import gc
import pathlib
import random
from typing import Any, ClassVar

from campaign import sandbox
from campaign.inputs import (
    command_lines,
    csv_files,
    h5_files,
    journals,
    json_files,
    npz_files,
    odd_folders,
    onnx_files,
    pickle_files,
    picture_files,
    tar_files,
    world,
)
from campaign.part import Impossible, Part

# By the name of the kind: what makes such trials, how it is called in words, how often it comes.
FORMATS = {
    'JSON': (json_files.make, 'JSON of odd values, keys and text', 18),
    'npz': (npz_files.make, 'zip files and arrays of weights, snapshots and statistics', 16),
    'pickle': (pickle_files.make, 'pickles of every opcode, of odd arrays, of code', 14),
    'picture': (picture_files.make, "pictures of all of Pillow's formats, damaged", 14),
    'flags': (command_lines.make, 'command lines with odd flags and values', 14),
    'tar': (tar_files.make, 'archives of odd members, headers and streams', 8),
    'h5': (h5_files.make, 'weights of Keras with odd datasets and links', 7),
    'ONNX': (onnx_files.make, 'graphs with external data, circles, huge shapes', 7),
    'CSV': (csv_files.make, 'listings, labels and files of flags', 8),
    'journal': (journals.make, 'journals of a search with odd lines', 6),
    'folder': (odd_folders.make, 'pipes, links, holes and folders for files', 7),
}


class Inputs(Part):
    """A case is an input that is changed in a way of its format, and a command that reads it."""

    name = 'inputs'
    kinds: ClassVar = {kind: text for kind, (_, text, _) in FORMATS.items()}
    small = True
    in_tests = 0  # test_inputs.py has the first of each format

    def __init__(self, workshop: pathlib.Path) -> None:
        super().__init__(workshop)
        self._world: pathlib.Path | None = None

    def draw(self, number: int, rng: random.Random) -> tuple[str, dict[str, Any]]:
        # Of each kind one first, so that a few cases have all.
        kinds = list(FORMATS)
        weights = [weight for _, _, weight in FORMATS.values()]
        kind = kinds[number] if number < len(kinds) else rng.choices(kinds, weights)[0]
        return kind, {'draw': rng.getrandbits(64)}

    def run(self, case: Any, folder: pathlib.Path) -> None:
        if self._world is None:
            if not sandbox.notices_reading(self.workshop):
                raise Impossible('the disk of the folder for cases keeps no time of reading')
            # Collecting garbage would touch, and so copy, all memory of each fork.
            self._world = world.obtain(self.workshop.parent / 'world')
            gc.freeze()
        make, _, _ = FORMATS[case.kind]
        sandbox.hold(make, random.Random(case.facts['draw']), self._world, folder)

"""What a report tells of a net, as plain values."""

import base64
import io

import numpy as np
from PIL import Image

from chainer_cifar.pages import details


def test_a_matrix_of_few_classes_has_a_cell_for_each_pair():
    found = details.matrix_of([[3, 1], [0, 0]], ['a', 'b'])
    assert found.cells == [[(3, 0.75), (1, 0.25)], [(0, 0), (0, 0)]]
    assert found.picture == '' and not found.confused


def test_a_matrix_of_very_many_classes_is_a_picture():
    count = 300
    counts = 5 * np.eye(count, dtype=int)
    counts[7, 9], counts[8, 2] = 5, 2
    found = details.matrix_of(counts.tolist(), [f'class {i}' for i in range(count)])
    assert found.cells == [] and len(found.picture) < 100_000
    assert found.confused == [('class 7', 'class 9', 5), ('class 8', 'class 2', 2)]
    picture = Image.open(io.BytesIO(base64.b64decode(found.picture.partition(',')[2])))
    drawn = np.asarray(picture)
    assert drawn.shape == (count, count, 3)
    assert drawn[0, 1].tolist() == [255] * 3 and drawn[0, 0].tolist() == [31, 104, 183]
    assert drawn[7, 9].tolist() == [143, 180, 219]  # half of its class

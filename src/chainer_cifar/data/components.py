"""Join things by pairs of them."""

import numpy as np
import scipy
from numpy.typing import ArrayLike, NDArray


def number(one: ArrayLike, other: ArrayLike, count: int) -> NDArray[np.int64]:
    """Number things so that those that pairs join, directly or by others, have the same number.

    Args:
        one: One of each pair ``(N,)``, from 0 to `count` - 1.
        other: The other of each pair ``(N,)``.
        count: How many things there are.

    Returns:
        Their numbers ``(count,)``.
    """
    graph = scipy.sparse.coo_matrix((np.ones(np.size(one)), (one, other)), (count, count))
    _, numbers = scipy.sparse.csgraph.connected_components(graph, directed=False)
    return numbers.astype(np.int64)

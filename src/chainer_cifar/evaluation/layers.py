"""Find the layers of a net in the order in which an image passes them, with Chainer's hooks."""

import contextlib
import dataclasses
import math
from collections.abc import Iterator, Sequence
from typing import TypeAlias

import chainer
import numpy as np
from chainer.backends import cuda
from chainer.functions.connection.convolution_2d import Convolution2DFunction
from chainer.functions.connection.deconvolution_2d import Deconvolution2DFunction
from chainer.functions.connection.linear import LinearFunction
from numpy.typing import NDArray

from chainer_cifar.arrays import Array
from chainer_cifar.table import aligned

LINES = 80  # of a table, at most, if the depth is not given

Shape: TypeAlias = tuple[int, ...]
Outputs: TypeAlias = chainer.Variable | tuple[chainer.Variable, ...] | list[chainer.Variable]

# Better names for some of Chainer's functions than their labels.
_KINDS = {'_ + _': 'Add', '_ * _': 'Multiply', 'MaxPoolingND': 'MaxPooling2D'}


@dataclasses.dataclass
class Layer:
    """A link, or a function that is called outside of the links without children.

    Attributes:
        path: The link's path in the net, such as ``units/0/conv1``; for a function that of the
            chain that calls it.
        kind: The link's class, or the function's name.
        is_link: Which of the two it is.
        shape: Shape of its (first) output; None if it is not called.
        trainable: How many numbers its parameters have.
        fixed: How many numbers it keeps beside them: running means and variances.
        multiply_adds: In its convolutions and linear functions, for the whole batch.
    """

    path: str
    kind: str
    is_link: bool
    shape: Shape | None = None
    trainable: int = 0
    fixed: int = 0
    multiply_adds: int = 0

    @property
    def depth(self) -> int:
        """How many names its path has."""
        return self.path.count('/') + 1 if self.path else 0


def trace(net: chainer.Chain, x: Array) -> tuple[list[Layer], list[Layer]]:
    """Run the net in test mode and note what is called.

    Args:
        net: The net.
        x: float32 ``(N, C, H, W)``, on the net's device.

    Returns:
        The links without children and the functions between them, in the order of the calls (the
        numbers of a link that is called twice count once), then links with parameters that are not
        called; and the chains, in the order in which they return.
    """
    watch = _Watch(net)
    with watch.running(), chainer.using_config('train', False):
        # A variable, since functions called with arrays do not remember their outputs.
        net(chainer.Variable(x))
    return watch.layers + watch.rest(), watch.chains


def convolutions(layers: Sequence[Layer]) -> list[Layer]:
    """Return the links among the layers that convolve."""
    return [
        row
        for row in layers
        if row.is_link and row.multiply_adds and row.shape and len(row.shape) == 4
    ]


def outputs(net: chainer.Chain, x: Array, paths: Sequence[str]) -> list[NDArray[np.float32]]:
    """Compute what some links return for `x` in test mode, the last time they are called.

    Args:
        net: The net.
        x: float32 ``(N, C, H, W)``, on the net's device.
        paths: The paths of the links; see `Layer`.

    Returns:
        Their outputs, on the host.
    """
    links = dict(net.namedlinks())
    keep = _Keep({id(links[f'/{path}']): path for path in paths})
    _test(net, x, keep)
    return [keep.outputs[path] for path in paths]


def inputs(net: chainer.Chain, x: Array, path: str) -> NDArray[np.float32]:
    """Compute what a link takes for `x` in test mode, the last time it is called.

    Args:
        net: The net.
        x: float32 ``(N, C, H, W)``, on the net's device.
        path: The path of the link; see `Layer`.

    Returns:
        Its input, on the host.
    """
    keep = _KeepInput(dict(net.namedlinks())[f'/{path}'])
    _test(net, x, keep)
    return keep.input


def _test(net: chainer.Chain, x: Array, hook: chainer.LinkHook) -> None:
    with hook, chainer.using_config('train', False), chainer.no_backprop_mode():
        net(x)


def collapse(layers: Sequence[Layer], chains: Sequence[Layer], depth: int) -> list[Layer]:
    """Join each chain whose path has `depth` names, 1 or more, with all its layers into one."""
    by_path = {chain.path: chain for chain in chains}
    collapsed: dict[int | str, Layer] = {}
    for number, layer in enumerate(layers):
        if layer.depth < depth or (layer.is_link and layer.depth == depth):
            collapsed[number] = layer
            continue
        path = '/'.join(layer.path.split('/')[:depth])
        if path not in collapsed:
            # Nobody calls a ChainList itself; then the last of its links gives the shape.
            chain = by_path.get(path, Layer(path, 'ChainList', True))
            collapsed[path] = dataclasses.replace(chain)
        one = collapsed[path]
        if path not in by_path:
            one.shape = layer.shape
        one.trainable += layer.trainable
        one.fixed += layer.fixed
        one.multiply_adds += layer.multiply_adds
    return list(collapsed.values())


def table(layers: Sequence[Layer], chains: Sequence[Layer], depth: int | None = None) -> str:
    """Write the layers as text, with totals.

    Args:
        layers: What `trace` returned for one image.
        chains: What it returned beside them.
        depth: See `collapse`; by default the largest that needs no more than `LINES` lines.
    """
    deepest = max(layer.depth for layer in layers)
    depths = range(deepest, 0, -1) if depth is None else [min(depth, deepest)]
    for shown in depths:
        rows = collapse(layers, chains, shown)
        if len(rows) <= LINES:
            break
    cells = [['layer', 'kind', 'output shape', 'parameters', 'multiply-adds']]
    for row in rows:
        shape = f'({", ".join(["N", *map(str, row.shape[1:])])})' if row.shape else 'not called'
        counts = (f'{n:,}' if n else '' for n in (row.trainable + row.fixed, row.multiply_adds))
        cells.append([row.path if row.is_link else '', row.kind, shape, *counts])
    heading, *body = aligned(cells, right=3).split('\n')
    rule = '-' * len(heading)
    trainable, fixed, multiply_adds = (
        sum(getattr(layer, name) for layer in layers)
        for name in ('trainable', 'fixed', 'multiply_adds')
    )
    lines = [
        *(heading, rule, *body, rule),
        f'parameters     {trainable + fixed:,}',
        f'trainable      {trainable:,}',
        f'non-trainable  {fixed:,}',
        f'multiply-adds  {multiply_adds:,} (one image; convolutions and linear layers)',
    ]
    if shown < deepest:
        lines.append(f'--depth {deepest} shows all layers inside of the chains')
    return '\n'.join(lines)


class _Watch:
    """Fill `layers` and `chains` through two hooks while the net runs."""

    def __init__(self, net: chainer.Chain) -> None:
        self.net = net
        self.paths = {id(link): path.lstrip('/') for path, link in net.namedlinks()}
        self.layers: list[Layer] = []
        self.chains: list[Layer] = []
        self.stack: list[chainer.Link] = []  # the links that are running
        self.counted: set[int] = set()  # ids of the links whose parameters are counted
        self.function: chainer.FunctionNode | None = None  # the last one called, without output yet

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        """Watch what runs in the block."""
        with _Links(self), _Functions(self):
            yield
        self.measure()

    def enter(self, link: chainer.Link) -> None:
        """Note that a link is called."""
        self.measure()
        self.stack.append(link)
        if _is_leaf(link):
            self.layers.append(self._layer(link))

    def leave(self, link: chainer.Link, out: Outputs) -> None:
        """Note that a link returns."""
        self.measure()
        self.stack.pop()
        layer = self.layers[-1] if _is_leaf(link) else self._layer(link)
        layer.shape = (out[0] if isinstance(out, (tuple, list)) else out).shape
        if _is_leaf(link):
            self._count(link, layer)  # only now, since the first call may make its parameters
        else:
            self.chains.append(layer)

    def call(self, function: chainer.FunctionNode) -> None:
        """Note that a function is called."""
        self.measure()
        link = self.stack[-1]
        if not _is_leaf(link):
            kind = _KINDS.get(function.label, function.label)
            self.layers.append(Layer(self.paths.get(id(link), ''), kind, False))
        self.function = function

    def measure(self) -> None:
        """Note the output of the last function, which it did not have when its hook was called."""
        function, self.function = self.function, None
        if function is None:
            return
        layer, out = self.layers[-1], function.outputs[0]()
        layer.multiply_adds += _multiply_adds(function, out.shape)
        if not layer.is_link:
            layer.shape = out.shape

    def rest(self) -> list[Layer]:
        """Make layers of the links whose parameters are not counted yet."""
        layers = []
        for link in self.net.links():
            layers.append(self._layer(link))
            self._count(link, layers[-1])
        return [layer for layer in layers if layer.trainable or layer.fixed]

    def _layer(self, link: chainer.Link) -> Layer:
        return Layer(self.paths.get(id(link), ''), type(link).__name__, True)

    def _count(self, link: chainer.Link, layer: Layer) -> None:
        if id(link) in self.counted:
            return
        self.counted.add(id(link))
        params = (getattr(link, name) for name in link._params)
        layer.trainable = sum(param.size for param in params if param.is_initialized)
        # One of them, batch normalization's count of batches, is a number and not an array.
        kept = (getattr(link, name) for name in link._persistent)
        layer.fixed = sum(array.size for array in kept if np.ndim(array))


class _Links(chainer.LinkHook):
    name = 'layers'

    def __init__(self, watch: _Watch) -> None:
        self.watch = watch

    def forward_preprocess(self, args: chainer.link_hook._ForwardPreprocessCallbackArgs) -> None:
        self.watch.enter(args.link)

    def forward_postprocess(self, args: chainer.link_hook._ForwardPostprocessCallbackArgs) -> None:
        self.watch.leave(args.link, args.out)


class _Keep(chainer.LinkHook):
    name = 'outputs'

    def __init__(self, paths: dict[int, str]) -> None:
        self.paths = paths  # of the links that are wanted, by their ids
        self.outputs: dict[str, NDArray[np.float32]] = {}

    def forward_postprocess(self, args: chainer.link_hook._ForwardPostprocessCallbackArgs) -> None:
        path = self.paths.get(id(args.link))
        if path is not None:
            # A copy, because later functions may work in place.
            self.outputs[path] = cuda.to_cpu(args.out.array).copy()


class _KeepInput(chainer.LinkHook):
    name = 'input'

    def __init__(self, link: chainer.Link) -> None:
        self.link = link
        self.input: NDArray[np.float32]

    def forward_preprocess(self, args: chainer.link_hook._ForwardPreprocessCallbackArgs) -> None:
        if args.link is self.link:
            x = args.args[0]
            # A copy, because later functions may work in place.
            self.input = cuda.to_cpu(getattr(x, 'array', x)).copy()


class _Functions(chainer.FunctionHook):
    name = 'layers'

    def __init__(self, watch: _Watch) -> None:
        self.watch = watch

    def forward_postprocess(
        self, function: chainer.FunctionNode, in_data: tuple[Array, ...]
    ) -> None:
        self.watch.call(function)


def _is_leaf(link: chainer.Link) -> bool:
    return next(link.children(), None) is None


def _multiply_adds(function: chainer.FunctionNode, shape: Shape) -> int:
    if isinstance(function, (Convolution2DFunction, LinearFunction)):
        return math.prod(shape) * math.prod(function.inputs[1].shape[1:])
    if isinstance(function, Deconvolution2DFunction):
        return math.prod(function.inputs[0].shape) * math.prod(function.inputs[1].shape[1:])
    return 0

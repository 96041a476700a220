"""The layers of a net in the order in which an image passes them, seen by Chainer's hooks."""

import contextlib
import dataclasses
import math

import chainer
import numpy as np
from chainer.backends import cuda
from chainer.functions.connection.convolution_2d import Convolution2DFunction
from chainer.functions.connection.deconvolution_2d import Deconvolution2DFunction
from chainer.functions.connection.linear import LinearFunction

LINES = 80  # of a table, if the depth is not given

# What Chainer's functions are called here where their labels tell less.
_KINDS = {'_ + _': 'Add', '_ * _': 'Multiply', 'MaxPoolingND': 'MaxPooling2D'}


@dataclasses.dataclass
class Layer:
    """A link, or a function that is called outside of the links without children.

    Attributes:
        path: Of the link in the net, as ``units/0/conv1``; of a function, that of the chain
            that calls it.
        kind: Class of the link, or name of the function.
        is_link: Which of the two.
        shape: Of its (first) output; None if it is not called.
        trainable, fixed: How many numbers it has: parameters, and arrays kept beside them,
            which are running means and variances.
        multiply_adds: Of the convolutions and linear functions in it, for the whole batch.
    """

    path: str
    kind: str
    is_link: bool
    shape: tuple = None
    trainable: int = 0
    fixed: int = 0
    multiply_adds: int = 0

    @property
    def depth(self):
        """How many names its path has."""
        return self.path.count('/') + 1 if self.path else 0


def trace(net, x):
    """Run the net in test mode and note what is called.

    Args:
        net: The net.
        x: float32 ``(N, 3, 32, 32)``, on the net's device.

    Returns:
        (list of Layer, list of Layer): The links without children and the functions between them,
        as they are called (what a link called twice has is counted once), then links with
        parameters that are not called; and the chains, as they return.
    """
    watch = _Watch(net)
    with watch.running(), chainer.using_config('train', False):
        # A variable, since functions of mere arrays do not remember their outputs.
        net(chainer.Variable(x))
    return watch.layers + watch.rest(), watch.chains


def convolutions(layers):
    """The links among the layers that convolve."""
    return [row for row in layers if row.is_link and row.multiply_adds and len(row.shape) == 4]


def outputs(net, x, paths):
    """What the links at `paths` (the last time they are called) give for `x` in test mode.

    Args:
        net: The net.
        x: float32 ``(N, 3, 32, 32)``, on the net's device.
        paths: Such as `Layer.path`.

    Returns:
        list of numpy.ndarray: float32, on the host.
    """
    keep = _Keep({id(link): path.lstrip('/') for path, link in net.namedlinks()}, paths)
    with keep, chainer.using_config('train', False), chainer.no_backprop_mode():
        net(x)
    return [keep.outputs[path] for path in paths]


def collapse(layers, chains, depth):
    """`layers` with every chain of `depth` names, 1 or more, and all that is in it, as one."""
    chains = {chain.path: chain for chain in chains}
    collapsed = {}
    for number, layer in enumerate(layers):
        if layer.depth < depth or (layer.is_link and layer.depth == depth):
            collapsed[number] = layer
            continue
        path = '/'.join(layer.path.split('/')[:depth])
        if path not in collapsed:
            # A ChainList is not called itself: then the last of its links gives the shape.
            chain = chains.get(path, Layer(path, 'ChainList', True))
            collapsed[path] = dataclasses.replace(chain)
        one = collapsed[path]
        if path not in chains:
            one.shape = layer.shape
        one.trainable += layer.trainable
        one.fixed += layer.fixed
        one.multiply_adds += layer.multiply_adds
    return list(collapsed.values())


def table(layers, chains, depth=None):
    """The layers of one image as text, with totals.

    Args:
        layers, chains: What `trace` returned for one image.
        depth: Of `collapse`; if not given, the largest that keeps to `LINES` lines.
    """
    deepest = max(layer.depth for layer in layers)
    depths = range(deepest, 0, -1) if depth is None else [min(depth, deepest)]
    for depth in depths:
        rows = collapse(layers, chains, depth)
        if len(rows) <= LINES:
            break
    cells = [('layer', 'kind', 'output shape', 'parameters', 'multiply-adds')]
    for row in rows:
        shape = f'({", ".join(["N", *map(str, row.shape[1:])])})' if row.shape else 'not called'
        counts = (f'{n:,}' if n else '' for n in (row.trainable + row.fixed, row.multiply_adds))
        cells.append((row.path if row.is_link else '', row.kind, shape, *counts))
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = [
        f'{a:{widths[0]}}  {b:{widths[1]}}  {c:{widths[2]}}  {d:>{widths[3]}}  {e:>{widths[4]}}'
        for a, b, c, d, e in cells
    ]
    lines.insert(1, '-' * len(lines[0]))
    trainable, fixed, multiply_adds = (
        sum(getattr(layer, name) for layer in layers)
        for name in ('trainable', 'fixed', 'multiply_adds')
    )
    lines += [
        '-' * len(lines[0]),
        f'parameters     {trainable + fixed:,}',
        f'trainable      {trainable:,}',
        f'non-trainable  {fixed:,}',
        f'multiply-adds  {multiply_adds:,} (one image; convolutions and linear layers)',
    ]
    if depth < deepest:
        lines.append(f'--depth {deepest} shows all that is inside of the chains')
    return '\n'.join(line.rstrip() for line in lines)


class _Watch:
    """Two hooks that fill `layers` and `chains` while the net runs."""

    def __init__(self, net):
        self.net = net
        self.paths = {id(link): path.lstrip('/') for path, link in net.namedlinks()}
        self.layers, self.chains = [], []
        self.stack = []  # the links that are running
        self.counted = set()  # id of the links whose parameters are in the table
        self.function = None  # the last one called, whose output is not known yet

    @contextlib.contextmanager
    def running(self):
        with _Links(self), _Functions(self):
            yield
        self.measure()

    def enter(self, link):
        self.measure()
        self.stack.append(link)
        if _is_leaf(link):
            self.layers.append(self._layer(link))

    def leave(self, link, out):
        self.measure()
        self.stack.pop()
        layer = self.layers[-1] if _is_leaf(link) else self._layer(link)
        layer.shape = (out[0] if isinstance(out, (tuple, list)) else out).shape
        if _is_leaf(link):
            self._count(link, layer)  # only now, since the first call may make its parameters
        else:
            self.chains.append(layer)

    def call(self, function):
        self.measure()
        link = self.stack[-1]
        if not _is_leaf(link):
            kind = _KINDS.get(function.label, function.label)
            self.layers.append(Layer(self.paths.get(id(link), ''), kind, False))
        self.function = function

    def measure(self):
        """Chainer's hooks come before a function has its output; when the next comes, it has."""
        function, self.function = self.function, None
        if function is None:
            return
        layer, out = self.layers[-1], function.outputs[0]()
        layer.multiply_adds += _multiply_adds(function, out.shape)
        if not layer.is_link:
            layer.shape = out.shape

    def rest(self):
        """Layers of the links whose parameters nobody has counted."""
        layers = []
        for link in self.net.links():
            layers.append(self._layer(link))
            self._count(link, layers[-1])
        return [layer for layer in layers if layer.trainable or layer.fixed]

    def _layer(self, link):
        return Layer(self.paths.get(id(link), ''), type(link).__name__, True)

    def _count(self, link, layer):
        if id(link) in self.counted:
            return
        self.counted.add(id(link))
        params = (getattr(link, name) for name in link._params)
        layer.trainable = sum(param.size for param in params if param.is_initialized)
        # Batch normalization's count of batches is a number among them, not an array.
        kept = (getattr(link, name) for name in link._persistent)
        layer.fixed = sum(array.size for array in kept if np.ndim(array))


class _Links(chainer.LinkHook):
    name = 'layers'

    def __init__(self, watch):
        self.watch = watch

    def forward_preprocess(self, args):
        self.watch.enter(args.link)

    def forward_postprocess(self, args):
        self.watch.leave(args.link, args.out)


class _Keep(chainer.LinkHook):
    name = 'outputs'

    def __init__(self, paths, wanted):
        self.paths = paths
        self.wanted = wanted
        self.outputs = {}

    def forward_postprocess(self, args):
        path = self.paths.get(id(args.link))
        if path in self.wanted:
            # A copy, because what follows may work in place.
            self.outputs[path] = cuda.to_cpu(args.out.array).copy()


class _Functions(chainer.FunctionHook):
    name = 'layers'

    def __init__(self, watch):
        self.watch = watch

    def forward_postprocess(self, function, in_data):
        self.watch.call(function)


def _is_leaf(link):
    return next(link.children(), None) is None


def _multiply_adds(function, shape):
    if isinstance(function, (Convolution2DFunction, LinearFunction)):
        return math.prod(shape) * math.prod(function.inputs[1].shape[1:])
    if isinstance(function, Deconvolution2DFunction):
        return math.prod(function.inputs[0].shape) * math.prod(function.inputs[1].shape[1:])
    return 0

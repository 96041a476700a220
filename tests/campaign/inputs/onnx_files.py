"""ONNX files: external data, graphs in circles, huge shapes, strange operators, odd metadata."""

import pathlib
import random
from typing import Any

from campaign.inputs import odd, raw_bytes
from campaign.inputs.json_files import change as change_json
from campaign.inputs.world import ONNX
from campaign.sandbox import Trial, put

NAME = 'model.onnx'


def make(rng: random.Random) -> Trial:
    path = pathlib.Path(NAME)
    data = path.read_bytes() if ONNX else b'\x08\x08'
    if rng.random() < 0.25 or not ONNX:
        how, data = raw_bytes.damage(rng, data)
    else:
        how, data = _change(rng, data)
    put(path, data)
    argv = ('predict', NAME, 'pictures/c/00.png')
    if rng.random() < 0.05:
        argv = ('evaluate', NAME, '--limit', '2')
    return Trial(f'onnx: {how}', argv, (NAME,))


def _change(rng: random.Random, data: bytes) -> tuple[str, bytes]:
    import onnx

    model = onnx.load_model_from_string(data)
    way = rng.choice(list(_WAYS))
    _WAYS[way](rng, model)
    return way, model.SerializeToString()


def _external(rng: random.Random, model: Any) -> None:
    import onnx

    tensor = rng.choice(model.graph.initializer)
    tensor.data_location = onnx.TensorProto.EXTERNAL
    tensor.ClearField('raw_data')
    entry = tensor.external_data.add()
    entry.key = 'location'
    entry.value = rng.choice(
        ['../outside/secret', '/etc/passwd', 'dataset/image.pkl', 'a\n\x1b[31m']
    )


def _external_attribute(rng: random.Random, model: Any) -> None:
    import onnx

    node = _add(model, 'Constant', [], ['odd'])
    tensor = onnx.helper.make_tensor('value', 1, [4], [1.0] * 4)
    _add_attribute(node, 'value', tensor)
    tensor = node.attribute[-1].t
    tensor.data_location = onnx.TensorProto.EXTERNAL
    tensor.ClearField('float_data')
    entry = tensor.external_data.add()
    entry.key, entry.value = 'location', '../outside/secret'


def _add(model: Any, kind: str, inputs: list[str], outputs: list[str], **attributes: Any) -> Any:
    import onnx

    node = onnx.helper.make_node(kind, inputs, outputs, **attributes)
    model.graph.node.append(node)
    return model.graph.node[-1]


def _add_attribute(node: Any, name: str, value: Any) -> None:
    import onnx

    node.attribute.append(onnx.helper.make_attribute(name, value))


def _circle(rng: random.Random, model: Any) -> None:
    first, last = rng.sample(list(model.graph.node), 2)
    if first.input and last.output:
        first.input[0] = last.output[0]


def _dimension(rng: random.Random, model: Any) -> None:
    tensor = rng.choice(model.graph.initializer)
    value = rng.choice([0, -1, 1, 2**31, 2**40, 2**62])
    if tensor.dims and rng.random() < 0.7:
        tensor.dims[rng.randrange(len(tensor.dims))] = value
    else:
        tensor.dims.append(value)


def _end(rng: random.Random, model: Any) -> None:
    end = rng.choice([*model.graph.input, *model.graph.output])
    kind = end.type.tensor_type
    way = rng.randrange(4)
    if way == 0:
        kind.elem_type = rng.choice([1, 2, 7, 8, 10, 11, 16, 99])
    elif way == 1:
        end.name = odd.text(rng).encode('utf-8', 'replace').decode()
    elif way == 2:
        kind.shape.dim.add().dim_value = rng.choice([0, 1, 2**40])
    elif kind.shape.dim:
        kind.shape.dim[rng.randrange(len(kind.shape.dim))].dim_value = rng.choice(
            [0, 33, -1, 2**62]
        )


def _operator(rng: random.Random, model: Any) -> None:
    node = rng.choice(model.graph.node)
    kinds = [
        'Conv',
        'Loop',
        'If',
        'Scan',
        'Resize',
        'Tile',
        'canary',
        'PyOp',
        'ATen',
        'Optional',
        '',
    ]
    if rng.random() < 0.6:
        node.op_type = rng.choice(kinds)
    else:
        node.domain = rng.choice(['com.microsoft', 'canary', 'ai.onnx.ml', 'ai.onnx', '\x1b[31m'])


def _attribute(rng: random.Random, model: Any) -> None:
    nodes = [node for node in model.graph.node if node.attribute]
    attribute = rng.choice(rng.choice(nodes).attribute)
    number = rng.choice([0, -1, 1, 2**31, 2**40, 2**62])
    if attribute.ints:
        attribute.ints[rng.randrange(len(attribute.ints))] = number
    elif attribute.HasField('i'):
        attribute.i = number
    else:
        attribute.f = rng.choice([float('nan'), float('inf'), 1e38])


def _huge(rng: random.Random, model: Any) -> None:
    """Operators whose output is larger than memory."""
    import onnx

    graph = model.graph
    sizes = onnx.helper.make_tensor('odd_size', 7, [1], [rng.choice([2**33, 2**40, 10**9])])
    graph.initializer.append(sizes)
    final = graph.output[0].name
    for node in graph.node:
        for place, name in enumerate(node.output):
            if name == final:
                node.output[place] = 'odd_before'
    _add(model, 'ConstantOfShape', ['odd_size'], ['odd_zeros'])
    _add(model, 'ReduceSum', ['odd_zeros'], ['odd_sum'], keepdims=0)
    _add(model, 'Add', ['odd_before', 'odd_sum'], [final])


def _subgraph(rng: random.Random, model: Any) -> None:
    import onnx

    inner = onnx.helper.make_graph([], 'inner', [], [])
    node = _add(model, rng.choice(['If', 'Loop', 'Scan']), [''], ['odd'])
    _add_attribute(node, rng.choice(['then_branch', 'body']), inner)


def _function(rng: random.Random, model: Any) -> None:
    import onnx

    ids = [onnx.helper.make_opsetid('', 13)]
    made = onnx.helper.make_function(
        'canary',
        'f',
        ['x'],
        ['y'],
        [onnx.helper.make_node('f', ['x'], ['y'], domain='canary')],
        ids,
    )
    model.functions.append(made)


def _metadata(rng: random.Random, model: Any) -> None:
    entry = rng.choice(model.metadata_props)
    way = rng.randrange(4)
    if way == 0:
        entry.value = _unicode(odd.text(rng))
    elif way == 1:
        entry.key = _unicode(odd.text(rng))
    elif way == 2:
        model.metadata_props.remove(entry)
    else:
        try:
            entry.value = change_json(rng, entry.value.encode())[1].decode('utf-8', 'replace')
        except ValueError:
            entry.value = '[' * 100_000


def _unicode(text: str) -> str:
    return text.encode('utf-8', 'replace').decode()


def _version(rng: random.Random, model: Any) -> None:
    number = rng.choice([0, -1, 1, 2**31 - 1, 2**62])
    if rng.random() < 0.5:
        model.ir_version = number
    else:
        model.opset_import[0].version = number


def _names(rng: random.Random, model: Any) -> None:
    node = rng.choice(model.graph.node)
    names = rng.choice([node.input, node.output])
    if names:
        names[rng.randrange(len(names))] = rng.choice(['', 'nowhere', _unicode(odd.text(rng))])


def _nodes(rng: random.Random, model: Any) -> None:
    nodes = list(model.graph.node)
    way = rng.randrange(4)
    if way == 0:
        rng.shuffle(nodes)
    elif way == 1:
        del nodes[rng.randrange(len(nodes))]
    elif way == 2:
        nodes.insert(0, rng.choice(nodes))
    else:
        nodes *= 300
    del model.graph.node[:]
    model.graph.node.extend(nodes)


def _values(rng: random.Random, model: Any) -> None:
    tensor = rng.choice(model.graph.initializer)
    if rng.random() < 0.5:
        tensor.data_type = rng.choice([0, 1, 2, 8, 11, 16, 21, 99])
    else:
        tensor.raw_data = raw_bytes.damage(rng, tensor.raw_data)[1]


def _sparse(rng: random.Random, model: Any) -> None:
    import onnx

    sparse = model.graph.sparse_initializer.add()
    sparse.dims.extend([rng.choice([4, 2**40])])
    sparse.values.CopyFrom(onnx.helper.make_tensor('odd', 1, [1], [1.0]))
    sparse.indices.CopyFrom(onnx.helper.make_tensor('', 7, [1], [rng.choice([0, -1, 2**50])]))


def _training(rng: random.Random, model: Any) -> None:
    model.training_info.add().algorithm.node.add().op_type = 'canary'
    model.graph.doc_string = 'canary' * 100_000


_WAYS = {
    'external data': _external,
    'external data in an attribute': _external_attribute,
    'a circle': _circle,
    'an odd dimension': _dimension,
    'an odd end': _end,
    'another operator': _operator,
    'an odd attribute': _attribute,
    'a huge output': _huge,
    'a graph in it': _subgraph,
    'a function in itself': _function,
    'odd metadata': _metadata,
    'odd metadata ': _metadata,
    'odd metadata  ': _metadata,
    'an odd version': _version,
    'odd names': _names,
    'other nodes': _nodes,
    'other values': _values,
    'sparse values': _sparse,
    'a training': _training,
}

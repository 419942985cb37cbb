# SPDX-License-Identifier: Apache-2.0
"""The walk of the lower pass: one graph of the ATen dialect in, one graph of the ONNX dialect out."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import attrs
import onnx_ir as ir
from lading.passes.outlining.functions import copy_scope, initializers_to_constants, is_call
from lading.passes.tidying.graph_edits import constant_of_node, is_constant

from ...pipeline.errors import InternalError, LadingError, UsageError
from ...pipeline.note import Note
from ...pipeline.origin import origin_of
from ...pipeline.work import Target
from ..control_flow import is_control_flow, is_sequence_operator
from ..dialect import Bound, OperatorSchema, bind, find_overload, is_dialect_list, schema_of
from .complex_pairs import PREFIX, carry_mark, pair_up, touches_complex
from .control_flow import lower_control_flow, lower_sequence_operator
from .emitter import Described, Emitter
from .inexpressible import LEFT_BY_RECIPE, NEVER, Inexpressible
from .registry import Entry, find_lowering
from .schemas import newest_opset
from .session import Manner, Session
from .symbolics import call_symbolic, goes_before
from .translations import Translations

WHY_LEFT = "lading.why_left"
MANNER = "lading.manner"
"""Key of a lowered model's `meta` for what the recipe says about how operators are written, None for the default."""

# A model being built has some IR version; the initializers pass decides which one the file gets.
_PROVISIONAL_IR_VERSION = 10


@attrs.frozen
class _Signature:
    """How a lowering wants to be called."""

    tensors: int | None
    keywords: frozenset[str]
    takes_any_keyword: bool


@functools.cache
def _signature(function: Callable[..., Any]) -> _Signature:
    tensors: int | None = -1
    keywords: set[str] = set()
    takes_any = False
    for parameter in inspect.signature(function).parameters.values():
        if parameter.kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD):
            tensors = None if tensors is None else tensors + 1
        elif parameter.kind == parameter.VAR_POSITIONAL:
            tensors = None
        elif parameter.kind == parameter.KEYWORD_ONLY:
            keywords.add(parameter.name)
        else:
            takes_any = True
    return _Signature(tensors, frozenset(keywords), takes_any)


def _python_name(schema_name: str) -> str:
    return f"{schema_name}_" if schema_name in ("from", "lambda", "in", "is", "not") else schema_name


def call_lowering(entry: Entry, op: Emitter, bound: Bound) -> Any:
    """Call a lowering with the arguments of a node.

    Raises:
        Inexpressible: the node states an argument that the lowering does not know, or the lowering declines.
    """
    signature = _signature(entry.function)
    positional = bound.positional
    if signature.tensors is not None and len(positional) > signature.tensors:
        if any(tensor is not None for tensor in positional[signature.tensors :]):
            raise Inexpressible("one of its tensor arguments has no counterpart in the lowering")
        positional = positional[: signature.tensors]
    keywords: dict[str, Any] = {}
    kinds = {parameter.name: parameter for parameter in bound.schema.parameters}
    for name, value in bound.keywords.items():
        python_name = _python_name(name)
        if python_name not in signature.keywords and not signature.takes_any_keyword:
            if name in bound.given:
                raise Inexpressible(f"its argument {name!r} has no counterpart in the lowering")
            continue
        if isinstance(value, ir.Value) and kinds[name].kind != "int":
            value = op.scalar(value, value.dtype or ir.DataType.INT64)
        keywords[python_name] = value
    return entry.function(op, *positional, **keywords)


def discard(nodes: Sequence[ir.Node]) -> None:
    """Take nodes that will not be used out of the uses of their inputs."""
    for node in nodes:
        for index, value in enumerate(node.inputs):
            if value is not None:
                node.replace_input_with(index, None)
        for attribute in node.attributes.values():
            if attribute.type == ir.AttributeType.GRAPH:
                body = attribute.as_graph()
                discard(list(body))


def _lower_call(op: Emitter, name: str, tensors: Sequence[Any], arguments: Mapping[str, Any]) -> Any:
    qualified, _, overload = name.partition(".")
    domain, _, op_type = qualified.removeprefix(PREFIX).partition("::")
    schema = schema_of(find_overload(domain, op_type, overload))
    keywords = {
        parameter.name: parameter.default
        for parameter in schema.parameters
        if not parameter.is_tensor and not parameter.ambient
    }
    unknown = arguments.keys() - keywords.keys()
    if unknown:
        raise InternalError(f"{name} has no argument {sorted(unknown)[0]!r}")
    bound = Bound(schema, list(tensors), {**keywords, **arguments}, frozenset(arguments))
    entry = find_lowering(qualified, overload, op._session.opset)
    if entry is None:
        raise Inexpressible(f"{name} has no lowering at opset {op._session.opset}")
    return call_lowering(entry, op, bound)


def _mapped(session: Session, value: Any) -> Any:
    if isinstance(value, ir.Value):
        return session.values.get(value, value)
    if isinstance(value, list):
        return [_mapped(session, item) for item in value]
    return value


def _bound_to_lowered(session: Session, node: ir.Node) -> Bound:
    bound = bind(node)
    return attrs.evolve(
        bound,
        positional=[_mapped(session, value) for value in bound.positional],
        keywords={name: _mapped(session, value) for name, value in bound.keywords.items()},
    )


def _described(node: ir.Node) -> list[Described]:
    return [
        Described(output.dtype or ir.DataType.UNDEFINED, output.shape, bool(output.uses()) or output.is_graph_output())
        for output in node.outputs
    ]


def lower_node(
    session: Session, node: ir.Node, note: Note | None = None
) -> tuple[list[ir.Node], list[ir.Value | None]]:
    """Lower one node of the ATen dialect; what its bodies leave in place is written on `note`.

    Returns:
        The ONNX nodes in order, and the value that each output of the node becomes (``None``: an output without uses).

    Raises:
        Inexpressible: the node cannot be lowered at the session's opset; no trace of the attempt is left.
    """
    if is_control_flow(node):
        pad = Note() if note is None else note
        return lower_control_flow(
            session,
            node,
            walk=lambda nodes: lower_nodes(session, nodes, pad),
            close=lambda outputs, nodes: outputs_of(session, outputs, nodes),
        )
    if is_sequence_operator(node):
        return lower_sequence_operator(session, node)
    try:
        bound = _bound_to_lowered(session, node)
    except LookupError as error:
        raise Inexpressible("no lowering is registered for it") from error
    schema = bound.schema
    if schema.returns_tensors and session.leaves(schema.full_name):
        raise Inexpressible(LEFT_BY_RECIPE)
    if session.translations is not None and session.translations.of(schema.full_name):
        return _translated(session, session.translations, node, bound, note)
    name = PREFIX + schema.qualified_name if touches_complex(node) else schema.qualified_name
    entry = find_lowering(name, schema.overload, session.opset)
    symbolic = session.symbolics.get(name)
    if symbolic is not None and goes_before(symbolic, name, entry):
        entry = Entry(name, session.opset, symbolic)
        if note is not None:
            note.decided("lowered by a symbolic function", "others have registered it", node, function=entry.where)
    else:
        symbolic = None
    if entry is None:
        raise Inexpressible(
            NEVER.get(schema.qualified_name.split(".")[0], f"it has no lowering at opset {session.opset}")
        )
    nodes: list[ir.Node] = []
    op = Emitter(session, nodes, _described(node), origin_of(node), _lower_call)
    try:
        if symbolic is not None:
            returned = call_symbolic(op, symbolic, bound, session.opset)
        else:
            returned = call_lowering(entry, op, bound)
        results = list(returned) if isinstance(returned, (list, tuple)) else [returned]
        return nodes, _settled(op, node, schema, entry, results, nodes)
    except Inexpressible:
        discard(nodes)
        raise
    except LadingError:
        raise
    except Exception as error:
        raise InternalError(
            f"the lowering {entry.where} of {schema.full_name} failed: {type(error).__name__}: {error}",
            where=str(origin_of(node) or ""),
            hint="the lowering is at fault, not the model; another since= or a registration of your own can replace it",
        ) from error


def _translated(
    session: Session, translations: Translations, node: ir.Node, bound: Bound, note: Note | None
) -> tuple[list[ir.Node], list[ir.Value | None]]:
    """Lower a node by the caller's own table."""
    name = bound.schema.full_name
    nodes: list[ir.Node] = []
    op = Emitter(session, nodes, _described(node), origin_of(node), _lower_call)
    try:
        if touches_complex(node):
            raise Inexpressible("its translation would get complex numbers, which a file holds as pairs")
        entry = Entry(name, session.opset, translations.call)
        results = list(translations.call(op, bound))
        settled = _settled(op, node, bound.schema, entry, results, nodes)
    except Inexpressible as error:
        # Left to the fallback pass, the operator could be written in another way than the caller has asked for.
        raise UsageError(
            f"the translation of {name} cannot be written at opset {session.opset}: {error.why}",
            where=str(origin_of(node) or "custom_translation_table"),
            hint="take it out of custom_translation_table, or write it as a lowering: @lading.lowers",
        ) from error
    if note is not None:
        note.decided("lowered by a translation", "the caller's table has one for it", node, operator=name)
    return nodes, settled


def _settled(
    op: Emitter, node: ir.Node, schema: OperatorSchema, entry: Entry, results: list[Any], nodes: list[ir.Node]
) -> list[ir.Value | None]:
    """Give the results the dtype and shape that capture saw."""
    if len(results) < len(node.outputs):
        if any(output.uses() or output.is_graph_output() for output in node.outputs[len(results) :]):
            raise Inexpressible("one of its results has no counterpart in the lowering")
        results = results + [None] * (len(node.outputs) - len(results))
    settled: list[ir.Value | None] = []
    for output, result in zip(node.outputs, results, strict=False):
        if result is None:
            if output.uses() or output.is_graph_output():
                raise Inexpressible("one of its results has no counterpart in the lowering")
            settled.append(None)
            continue
        value = op.cast(result, output.dtype) if output.dtype is not None else result
        if schema.returns_tensors and output.shape is not None:
            if value.shape is not None and len(value.shape) != len(output.shape):
                raise InternalError(
                    f"the lowering {entry.where} of {schema.full_name} made {len(value.shape)} dimensions where "
                    f"PyTorch has {len(output.shape)}",
                    where=str(origin_of(node) or ""),
                )
            # Only what was made here is described anew: an input that is handed on keeps its own names.
            if any(value.producer() is made for made in nodes):
                value.shape = output.shape
        carry_mark(output, value)
        settled.append(value)
    return settled


def _cloned_leftover(session: Session, node: ir.Node) -> list[ir.Node]:
    """Copy a node that stays in the ATen dialect, with the lists that it takes."""
    nodes: list[ir.Node] = []
    inputs: list[ir.Value | None] = []
    for value in node.inputs:
        producer = value.producer() if value is not None else None
        if value is not None and producer is not None and is_dialect_list(producer):
            members = [_mapped(session, member) for member in producer.inputs]
            copy = ir.Node(
                producer.domain, producer.op_type, members, list(producer.attributes.values()), num_outputs=1
            )
            nodes.append(copy)
            inputs.append(copy.outputs[0])
        else:
            inputs.append(_mapped(session, value))
    copy = ir.Node(
        node.domain,
        node.op_type,
        inputs,
        list(node.attributes.values()),
        overload=node.overload,
        num_outputs=len(node.outputs),
    )
    copy.meta.update(node.meta)
    for old, new in zip(node.outputs, copy.outputs, strict=True):
        new.type, new.shape = old.type, old.shape
        carry_mark(old, new)
        session.values[old] = new
    nodes.append(copy)
    return nodes


def _lowered_call(session: Session, node: ir.Node) -> list[ir.Node]:
    """Write a call of a function with what its inputs have become."""
    nodes: list[ir.Node] = []
    op = Emitter(session, nodes, origin=origin_of(node))
    inputs: list[ir.Value | None] = []
    for value, formal in zip(node.inputs, session.functions[node.op_identifier()].inputs, strict=True):
        mapped = _mapped(session, value)
        if formal.shape is not None and len(formal.shape) == 0:
            mapped = op.scalar(mapped, mapped.dtype)
        inputs.append(mapped)
    call = ir.Node(node.domain, node.op_type, inputs, overload=node.overload, num_outputs=len(node.outputs))
    call.meta.update(node.meta)
    for old, new in zip(node.outputs, call.outputs, strict=True):
        new.type, new.shape = old.type, old.shape
        carry_mark(old, new)
        session.values[old] = new
    return [*nodes, call]


def _fresh(value: ir.Value) -> ir.Value:
    fresh = ir.Value(
        name=value.name,
        shape=value.shape,
        type=value.type,
        const_value=value.const_value,
        metadata_props=dict(value.metadata_props),
    )
    carry_mark(value, fresh)
    return fresh


def lower_nodes(session: Session, nodes: Sequence[ir.Node], note: Note) -> list[ir.Node]:
    """Lower nodes in order; what cannot be lowered is copied as it is, with the reason in its ``meta``."""
    made: list[ir.Node] = []
    for node in nodes:
        if is_dialect_list(node):
            continue
        if is_call(node, session.functions):
            made.extend(_lowered_call(session, node))
            continue
        constant = constant_of_node(node) if is_constant(node) else None
        if constant is not None:
            session.values[node.outputs[0]] = session.constant(constant.numpy(), constant.dtype)
            carry_mark(node.outputs[0], session.values[node.outputs[0]])
            continue
        try:
            new_nodes, results = lower_node(session, node, note)
        except Inexpressible as reason:
            leftover = _cloned_leftover(session, node)
            leftover[-1].meta[WHY_LEFT] = reason.why
            made.extend(leftover)
            note.count("left in place")
            note.declined(node, reason.why)
            continue
        note.count("lowered")
        made.extend(new_nodes)
        session.values.update(zip(node.outputs, results, strict=False))
    return made


def outputs_of(session: Session, outputs: Sequence[ir.Value], nodes: list[ir.Node]) -> list[ir.Value]:
    """Return one fresh value for each graph output, adding an Identity where an output is not made by a node."""
    op = Emitter(session, nodes)
    produced = {output for node in nodes for output in node.outputs}
    taken: set[ir.Value] = set()
    results: list[ir.Value] = []
    for output in outputs:
        value = _mapped(session, output)
        if output.shape is not None and len(output.shape) == 0 and value.shape is not None and len(value.shape) == 1:
            value = op.scalar(value, value.dtype)
            produced.add(value)
        if value in taken or value not in produced:
            value = op.Identity(value)
            produced.add(value)
        taken.add(value)
        value.name = output.name
        if output.shape is not None:
            value.shape = output.shape
        value.metadata_props.update(output.metadata_props)
        results.append(value)
    return results


def lower_model(
    model: ir.Model,
    target: Target,
    note: Note,
    manner: Manner | None = None,
    translations: Translations | None = None,
) -> ir.Model:
    """Return the model with its graph and the bodies of its functions lowered to the target.

    The given model is not to be used any more.
    """
    for old in (model.graph, *(function.graph for function in model.functions.values())):
        pair_up(old)

    def lowered(old: ir.Graph) -> ir.Graph:
        graph = ir.Graph([], [], nodes=[], opset_imports={"": target.opset, **target.custom_opsets})
        repeated = old is not model.graph
        session = Session(target.opset, target.custom_opsets, graph, manner, model.functions, repeated, translations)
        _lower_graph(session, old, graph, note)
        return graph

    graph = lowered(model.graph)
    functions = []
    for function in model.functions.values():
        body = lowered(function.graph)
        copy_scope(function.graph, body)
        initializers_to_constants(body)
        functions.append(
            ir.Function(
                function.domain,
                function.name,
                function.overload,
                graph=body,
                attributes=list(function.attributes.values()),
            )
        )
    made = ir.Model(
        graph, ir_version=_PROVISIONAL_IR_VERSION, metadata_props=dict(model.metadata_props), functions=functions
    )
    made.meta[MANNER] = manner
    if translations is not None:
        translations.finish(made, note)
    return made


def _lower_graph(session: Session, old: ir.Graph, graph: ir.Graph, note: Note) -> None:
    """Fill an empty graph with what another one becomes."""
    graph.name = old.name
    graph.metadata_props.update(old.metadata_props)
    for value in old.inputs:
        session.values[value] = _fresh(value)
        graph.inputs.append(session.values[value])
    for value in old.initializers.values():
        if value not in session.values:
            session.values[value] = _fresh(value)
        graph.register_initializer(session.values[value])
    called = {node.domain for node in ir.traversal.RecursiveGraphIterator(old) if is_call(node, session.functions)}
    graph.opset_imports.update((domain, old.opset_imports.get(domain, 1)) for domain in sorted(called))
    nodes = lower_nodes(session, list(old), note)
    outputs = outputs_of(session, old.outputs, nodes)
    graph.extend(nodes)
    graph.outputs.extend(outputs)
    for domain, version in session.custom_opsets.items():
        graph.opset_imports.setdefault(domain, version)


def lowest_opset_for(node: ir.Node, above: int, custom_opsets: Mapping[str, int], manner: Manner | None) -> int | None:
    """Return the lowest opset above one at which a node can be lowered, found by trying; None where none can."""
    for opset in range(above + 1, newest_opset() + 1):
        trial = Session(opset, custom_opsets, None, manner)
        try:
            nodes, _ = lower_node(trial, node)
        except Inexpressible:
            continue
        discard(nodes)
        return opset
    return None

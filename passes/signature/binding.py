# SPDX-License-Identifier: Apache-2.0
"""From the example call in any of its forms to `Arguments`: binding, naming of inputs, dynamic axes."""

from __future__ import annotations

import inspect
import operator
from collections import Counter, OrderedDict, defaultdict
from collections.abc import Callable, Container, Mapping, Sequence
from typing import Any, cast

import attrs
import torch
from lading.passes import torch_private
from lading.passes.model_state import Mode
from lading.passes.request import Request
from lading.passes.signature import structure
from lading.passes.signature.arguments import Arguments, Call, TensorInput
from lading.pipeline.errors import UsageError, did_you_mean

_VARIADIC = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
_PLACED = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


def bind_arguments(
    request: Request,
    *,
    input_names: Sequence[str] = (),
    output_names: Sequence[str] = (),
    dynamic_axes: Mapping[str, Any] | None = None,
    mode: str = "eval",
    example_outputs: Any = None,
    tolerant: bool = False,
) -> Arguments:
    """Bind a request's example arguments to the model's signature and name the tensors in them.

    Args:
        request: the model and its example call.
        input_names: names for the tensors, in the order of the signature; names beyond them are for parameters.
        output_names: names for the outputs, from the first on.
        dynamic_axes: by input or output name, `{axis: name}` or a list of axes.
        mode: "eval", "preserve" or "train".
        example_outputs: kept for strategies that do not run the model.
        tolerant: whether axes of what does not exist are left out, and one axis name for two sizes becomes two; either
            is then in `left_out`.

    Raises:
        UsageError: the arguments do not fit the signature, a name is used twice, an axis or its input does not exist,
            or two sizes of the example contradict one axis name.
    """
    model = torch_private.uncompiled(request.model)
    if not callable(model):
        raise UsageError(
            f"a model must be callable, and a {type(model).__name__} is not",
            hint="pass a torch.nn.Module or a function",
        )
    positional, keywords = split_call(request)
    bound = _bind(model, positional, keywords)
    paths, tensors, baked = _tensors(bound)
    for kind, given in (("input", input_names), ("output", output_names)):
        _check_names(kind, given)
    names = _input_names(paths, input_names)
    shared = next((name for name in names if name in output_names), None)
    if shared is not None:
        raise UsageError(
            f"'{shared}' is the name of an input and of an output",
            where="input_names and output_names",
            hint="give one of them another name: in a file, a name stands for one value",
        )
    left_out: list[str] | None = [] if tolerant else None
    axes, output_axes = _axes(dynamic_axes or {}, names, tensors, output_names, baked, left_out)
    inputs = tuple(
        TensorInput(name, tensor, axes.get(name, {}), path)
        for name, tensor, path in zip(names, tensors, paths, strict=True)
    )
    return Arguments(
        model=model,
        inputs=inputs,
        output_names=tuple(output_names),
        parameter_names=tuple(input_names[len(names) :]),
        axes_of_outputs=output_axes,
        baked=baked,
        mode=cast(Mode, mode),
        rebuild=_rebuilder(bound, keywords),
        example_outputs=example_outputs,
        tolerant=tolerant,
        left_out=tuple(left_out or ()),
    )


def by_name(arguments: Arguments) -> Arguments | None:
    """Return arguments whose call names them all, or None where some have to go by position."""
    signature = _signature(arguments.model)
    if signature is None:
        return None
    needs_place = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.VAR_POSITIONAL)
    if any(parameter.kind in needs_place for parameter in signature.parameters.values()):
        return None

    def rebuild(tensors: Sequence[Any]) -> Call:
        args, kwargs = arguments.call(tensors)
        return (), {**dict(zip(signature.parameters, args, strict=False)), **kwargs}

    return attrs.evolve(arguments, rebuild=rebuild)


def call_members(request: Request) -> list[tuple[str, Any]]:
    """Return the arguments of a request's example call, named, in the order of the signature.

    Raises:
        UsageError: the arguments do not fit the signature.
    """
    model = torch_private.uncompiled(request.model)
    positional, keywords = split_call(request)
    return _members(_bind(model, positional, keywords))


def split_call(request: Request) -> Call:
    """Return the positional and the keyword arguments of a request's example call.

    Raises:
        UsageError: an argument is given twice, or something that is no text names one.
    """
    return _split(request.args, request.kwargs, _signature(torch_private.uncompiled(request.model)))


# ---- the call --------------------------------------------------------------------------------------------------------


def _signature(model: Any) -> inspect.Signature | None:
    """Return the signature that arguments are bound to, or None where Python cannot tell it (a builtin)."""
    if isinstance(model, torch.jit.ScriptFunction):
        schema: Any = model.schema
        return _script_signature(schema.arguments)
    if isinstance(model, torch.jit.ScriptModule):
        if not torch_private.has_script_method(model, "forward"):
            raise UsageError(
                "the scripted module has no method 'forward', only overloads of it, so that it cannot be called",
                hint="script a module that calls it",
            )
        return _script_signature(torch_private.script_method(model, "forward").schema.arguments[1:])
    target = model.forward if isinstance(model, torch.nn.Module) else model
    try:
        return inspect.signature(target)
    except (TypeError, ValueError):
        return None


def _script_signature(arguments: Sequence[Any]) -> inspect.Signature:
    """Return the signature that the arguments of a TorchScript schema make, which Python itself cannot always tell."""
    empty = inspect.Parameter.empty
    return inspect.Signature(
        [
            inspect.Parameter(
                argument.name,
                inspect.Parameter.POSITIONAL_OR_KEYWORD,
                default=argument.default_value if argument.has_default_value() else empty,
            )
            for argument in arguments
        ]
    )


def _split(args: Any, kwargs: Mapping[str, Any] | None, signature: inspect.Signature | None) -> Call:
    """Split the classic forms of `args` into positional and keyword arguments.

    Source: the documentation of `torch.onnx.export` in PyTorch 1.8.
    """
    if kwargs is not None and not isinstance(kwargs, Mapping):
        raise UsageError(
            f"kwargs is a {type(kwargs).__name__}, not the keyword arguments of a call",
            where="kwargs",
            hint="kwargs={'name': value}",
        )
    if args is None:
        args = ()
    positional = args if isinstance(args, tuple) else (args,)
    keywords: dict[str, Any] = {}
    if isinstance(args, Mapping):
        if _names_parameters(args, signature) or args == {}:
            positional, keywords = (), dict(args)
    elif positional and _is_keywords(positional[-1], signature):
        keywords = dict(positional[-1])
        positional = positional[:-1]
    for name, value in (kwargs or {}).items():
        if name in keywords:
            raise UsageError(
                f"the argument '{name}' is given twice", where="args and kwargs", hint="leave it out of one of them"
            )
        keywords[name] = value
    strange = next((name for name in keywords if not isinstance(name, str)), None)
    if strange is not None:
        raise UsageError(
            f"the dict at the end of args has the key {strange!r}, which cannot name an argument",
            where="args",
            hint="end args with an empty dict, (..., {}), to say that the dict before it is an ordinary argument",
        )
    return positional, keywords


def _is_keywords(last: Any, signature: inspect.Signature | None) -> bool:
    """Whether the last of the arguments stands for keyword arguments: a dict always, any other mapping by its keys.

    A mapping of a class of its own, such as the result of a transformers model, is an argument like others.
    """
    if type(last) in (dict, OrderedDict, defaultdict):
        return True
    return isinstance(last, Mapping) and bool(last) and _names_parameters(last, signature)


def _names_parameters(keywords: Mapping[Any, Any], signature: inspect.Signature | None) -> bool:
    if signature is None:
        return False
    parameters = signature.parameters
    if any(parameter.kind is inspect.Parameter.VAR_KEYWORD for parameter in parameters.values()):
        return all(isinstance(name, str) for name in keywords)
    return all(name in parameters for name in keywords)


def _model_name(model: Any) -> str:
    if isinstance(model, torch.nn.Module):
        return f"{type(model).__name__}.forward"
    return getattr(model, "__qualname__", type(model).__name__)


def _bind(model: Any, positional: tuple[Any, ...], keywords: dict[str, Any]) -> inspect.BoundArguments | Call:
    signature = _signature(model)
    if signature is None:
        return positional, keywords
    where = f"{_model_name(model)}{signature}"
    parameters = signature.parameters
    takes_any = any(parameter.kind is inspect.Parameter.VAR_KEYWORD for parameter in parameters.values())
    named = [name for name, parameter in parameters.items() if parameter.kind not in _VARIADIC]
    if not takes_any:
        for name in keywords:
            if name not in named:
                raise UsageError(f"the model takes no argument '{name}'", where=where, hint=_keyword_hint(name, named))
    slots = [name for name, parameter in parameters.items() if parameter.kind in _PLACED]
    takes_more = any(parameter.kind is inspect.Parameter.VAR_POSITIONAL for parameter in parameters.values())
    if len(positional) > len(slots) and not takes_more:
        raise UsageError(
            f"{len(positional)} positional arguments were given, and the model takes {len(slots)}",
            where=where,
            hint=f"pass a tuple of {', '.join(slots)}" if slots else "pass an empty tuple: args=()",
        )
    filled = set(slots[: len(positional)])
    for name in keywords:
        if name in filled:
            raise UsageError(
                f"the argument '{name}' is given twice, by position and by name",
                where=where,
                hint=f"leave '{name}' out of the dict, or the positional argument number {slots.index(name) + 1}",
            )
    absent = [
        name
        for name in named
        if name not in filled and name not in keywords and parameters[name].default is inspect.Parameter.empty
    ]
    if absent and not keywords:
        raise UsageError(
            f"the model's argument{'s' * (len(absent) > 1)} {', '.join(absent)} {'are' if len(absent) > 1 else 'is'} "
            f"missing: {len(positional)} given",
            where=where,
            hint=f"pass args=({', '.join(slots)}{',' * (len(slots) == 1)}), or the missing ones by name in kwargs",
        )
    # With keyword arguments, those left out take their default, or None: the rule of the classic exporter.
    return signature.bind(*positional, **{**dict.fromkeys(absent), **keywords})


def _keyword_hint(name: str, named: Sequence[str]) -> str | None:
    hint = did_you_mean(name, named)
    trailing = "if the dict is an ordinary argument, end args with an empty dict: (..., {})"
    return f"{hint} (or, {trailing})" if hint else trailing


def _members(bound: inspect.BoundArguments | Call) -> list[tuple[str, Any]]:
    """Return the arguments of a call with a name for each, in the order of the signature."""
    if isinstance(bound, tuple):
        positional, keywords = bound
        return [(f"args.{index}", value) for index, value in enumerate(positional)] + list(keywords.items())
    members: list[tuple[str, Any]] = []
    for name, value in bound.arguments.items():
        kind = bound.signature.parameters[name].kind
        if kind is inspect.Parameter.VAR_POSITIONAL:
            members.extend((f"{name}.{index}", item) for index, item in enumerate(value))
        elif kind is inspect.Parameter.VAR_KEYWORD:
            members.extend(value.items())
        else:
            members.append((name, value))
    return members


def _tensors(bound: inspect.BoundArguments | Call) -> tuple[list[str], list[torch.Tensor], dict[str, Any]]:
    paths: list[str] = []
    tensors: list[torch.Tensor] = []
    baked: dict[str, Any] = {}
    for name, value in _members(bound):
        for path, leaf in structure.leaves(value, name):
            if isinstance(leaf, torch.Tensor):
                if leaf.layout is not torch.strided:
                    raise UsageError(
                        f"the argument '{path}' is a tensor of layout {leaf.layout}, which ONNX does not have",
                        hint="pass a dense tensor: .to_dense()",
                    )
                paths.append(path)
                tensors.append(leaf)
            else:
                baked[path] = leaf
    return paths, tensors, baked


def _rebuilder(bound: inspect.BoundArguments | Call, by_name: Container[str]) -> Callable[[Sequence[Any]], Call]:
    """Return what makes the call from tensors, each argument by position or by name as the user gave it."""

    def rebuild(tensors: Sequence[Any]) -> Call:
        supply = iter(tensors)

        def exchanged(leaf: Any) -> Any:
            return next(supply) if isinstance(leaf, torch.Tensor) else leaf

        if isinstance(bound, tuple):
            positional, keywords = bound
            return (
                tuple(structure.replace_leaves(value, exchanged) for value in positional),
                {name: structure.replace_leaves(value, exchanged) for name, value in keywords.items()},
            )
        # In the order of the signature, which is the order of the inputs.
        filled = {name: structure.replace_leaves(value, exchanged) for name, value in bound.arguments.items()}
        call = inspect.BoundArguments(bound.signature, filled)
        # Hooks with keywords, and a __call__ of the user's, see the difference.
        places = [name for name, parameter in bound.signature.parameters.items() if parameter.kind in _PLACED]
        named = [name for name in places if name in filled and name in by_name]
        if not named:
            return call.args, dict(call.kwargs)
        first = places.index(named[0])
        return call.args[:first], {**{name: filled[name] for name in places[first:] if name in filled}, **call.kwargs}

    return rebuild


# ---- names -----------------------------------------------------------------------------------------------------------


def _check_names(kind: str, names: Sequence[str]) -> None:
    twice = next((name for name, count in Counter(names).items() if count > 1), None)
    if twice is not None:
        raise UsageError(
            f"the {kind} name '{twice}' is given twice", where=f"{kind}_names", hint=f"give each {kind} its own"
        )
    if "" in names:
        raise UsageError(
            f"an {kind} name is empty", where=f"{kind}_names", hint="a name of at least one character, or fewer names"
        )


def _input_names(paths: Sequence[str], given: Sequence[str]) -> list[str]:
    names = list(given[: len(paths)])
    taken = set(given)
    for path in paths[len(given) :]:
        unique = structure.unused_name(path, taken)
        taken.add(unique)
        names.append(unique)
    return names


# ---- axes ------------------------------------------------------------------------------------------------------------

NamedAxes = dict[str, dict[int, str]]


def _axes(
    requested: Mapping[str, Any],
    names: Sequence[str],
    tensors: Sequence[torch.Tensor],
    output_names: Sequence[str],
    baked: Mapping[str, Any],
    left_out: list[str] | None,
) -> tuple[NamedAxes, NamedAxes]:
    """Resolve dynamic axes to `{name: {axis: axis name}}`, apart for inputs and for outputs.

    With a list, what does not fit is left out and said there; without one it is an error.
    """
    tensor_of = dict(zip(names, tensors, strict=True))
    inputs: NamedAxes = {}
    outputs: NamedAxes = {}
    sizes: dict[str, tuple[int, str]] = {}
    for name, value in requested.items():
        tensor = tensor_of.get(name)
        try:
            if tensor is None:
                # Outputs without a given name get theirs from the result's structure: trace checks those.
                if name in baked or (output_names and name not in output_names):
                    raise _unknown(name, names, output_names, baked)
                outputs[name] = _resolved(name, value, None)
                continue
            inputs[name] = _resolved(name, value, tensor.dim())
        except UsageError as error:
            if left_out is None:
                raise
            left_out.append(error.what)
            continue
        for axis, axis_name in inputs[name].items():
            size = tensor.shape[axis]
            known, place = sizes.setdefault(axis_name, (size, f"{name}[{axis}]"))
            if known == size:
                continue
            clash = UsageError(
                f"the axis name '{axis_name}' stands for {known} and for {size} in the example",
                where=f"{place} and {name}[{axis}]",
                hint="give axes of different sizes different names",
            )
            if left_out is None:
                raise clash
            inputs[name][axis] = _name_of_size(axis_name, size, sizes, f"{name}[{axis}]")
            left_out.append(f"{clash.what}: at {name}[{axis}] it is '{inputs[name][axis]}'")
    return inputs, outputs


def _name_of_size(name: str, size: int, sizes: dict[str, tuple[int, str]], place: str) -> str:
    """Return the name, with the first number behind it that stands for no other size."""
    count = 1
    while sizes.setdefault(f"{name}_{count}", (size, place))[0] != size:
        count += 1
    return f"{name}_{count}"


def _unknown(name: str, names: Sequence[str], output_names: Sequence[str], baked: Mapping[str, Any]) -> UsageError:
    if name in baked:
        return UsageError(
            f"dynamic axes are given for '{name}', which is no tensor and is baked in",
            where="dynamic_axes",
            hint=f"pass a tensor for '{name}', or leave it out of dynamic_axes",
        )
    return UsageError(
        f"dynamic axes are given for '{name}', which is neither an input nor an output",
        where="dynamic_axes",
        hint=did_you_mean(name, [*names, *output_names]),
    )


def _resolved(name: str, value: Any, rank: int | None) -> dict[int, str]:
    """Return `{axis: axis name}` with axes counted from the front (for an output, as given)."""
    if isinstance(value, Mapping):
        pairs = [(axis, axis_name, index) for index, (axis, axis_name) in enumerate(value.items(), start=1)]
    elif isinstance(value, (list, tuple)):
        pairs = [(axis, None, index) for index, axis in enumerate(value, start=1)]
    else:
        raise UsageError(
            f"the dynamic axes of '{name}' are a {type(value).__name__}",
            where="dynamic_axes",
            hint=f"{{'{name}': {{0: 'batch'}}}}, or {{'{name}': [0]}}",
        )
    resolved: dict[int, str] = {}
    for given, axis_name, index in pairs:
        axis = _axis(name, given, rank)
        if axis in resolved:
            raise UsageError(
                f"axis {axis} of '{name}' is given twice", where="dynamic_axes", hint="name every axis once"
            )
        resolved[axis] = f"{name}_dynamic_axes_{index}" if axis_name is None else _axis_name(name, axis, axis_name)
    return resolved


def _axis_name(name: str, axis: int, given: Any) -> str:
    """Return the name of an axis: a text, or the name of a `torch.export.Dim`."""
    text = given if isinstance(given, str) else getattr(given, "__name__", "")
    if not text:
        raise UsageError(
            f"axis {axis} of '{name}' is called {given!r}, which is no name",
            where="dynamic_axes",
            hint=f"{{'{name}': {{{axis}: 'batch'}}}}, or {{'{name}': [{axis}]}} for a name by itself",
        )
    return str(text)


def _axis(name: str, given: Any, rank: int | None) -> int:
    try:
        if isinstance(given, bool):
            raise TypeError
        axis = int(given) if isinstance(given, str) else operator.index(given)
    except (TypeError, ValueError):
        raise UsageError(
            f"the dynamic axes of '{name}' have the key {given!r}, which is no axis",
            where="dynamic_axes",
            hint="axes are integers, counted from 0",
        ) from None
    if rank is None:
        return axis
    if not -rank <= axis < rank:
        raise UsageError(
            f"'{name}' has no axis {axis}: it has {rank} dimension{'s' * (rank != 1)}",
            where="dynamic_axes",
            hint=f"axes from {-rank} to {rank - 1}" if rank else f"leave '{name}' out: it is a scalar",
        )
    return axis % rank

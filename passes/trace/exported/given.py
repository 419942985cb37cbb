# SPDX-License-Identifier: Apache-2.0
"""An exported program that the user hands in as the model: how it is called, and the mode that it is fixed in."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Mapping, Sequence
from typing import Any

import attrs
import torch
from lading.passes.request import Request
from lading.passes.signature.arguments import Arguments, Call
from lading.pipeline.errors import UsageError
from torch.export import ExportedProgram

_aten = torch.ops.aten

# Where the flag that tells training from evaluation stands among the arguments.
_FLAGS = {
    _aten.batch_norm.default: 5,
    _aten.instance_norm.default: 5,
    _aten.dropout.default: 2,
    _aten.alpha_dropout.default: 2,
    _aten.feature_dropout.default: 2,
    _aten.feature_alpha_dropout.default: 2,
    _aten.native_dropout.default: 2,
    _aten.rrelu.default: 3,
}
_NORMALISATIONS = frozenset({_aten.batch_norm.default, _aten.instance_norm.default})
_TRAINING_FORMS = frozenset({_aten._native_batch_norm_legit_functional.default, _aten._native_batch_norm_legit.default})
_EVALUATION_FORMS = frozenset({_aten._native_batch_norm_legit_no_training.default})


def is_program(model: Any) -> bool:
    """Whether a model is an exported program."""
    return isinstance(model, ExportedProgram)


def load_program(path: str | os.PathLike[str]) -> ExportedProgram:
    """Load a program that `torch.export.save` has written.

    Raises:
        UsageError: the file is missing or holds no program.
    """
    if not os.path.isfile(path):
        raise UsageError(f"there is no file {os.fspath(path)}")
    hint = "a .pt2 file is one that torch.export.save has written, with this version of PyTorch or an older one"
    if not zipfile.is_zipfile(path):
        raise UsageError(f"{os.fspath(path)} is no exported program", hint=hint)
    try:
        return torch.export.load(path)
    except Exception as error:
        line = str(error).strip().partition("\n")[0]
        raise UsageError(
            f"{os.fspath(path)} cannot be loaded as an exported program: {type(error).__name__}: {line}",
            hint=hint,
        ) from error


def callable_request(request: Request) -> Request:
    """Return a request for the module that runs the program, with the program's own example if none was given."""
    program = request.model
    args, kwargs = request.args, request.kwargs
    if request.without_arguments and program.example_inputs is not None:
        args, kwargs = program.example_inputs
        # A dict at the end would be taken for keyword arguments.
        args = (*args, {})
    return attrs.evolve(request, model=program.module(), args=args, kwargs=kwargs)


def as_exported(program: ExportedProgram, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Call:
    """Return a call with each argument by position or by name, and in the order, in which the program was exported.

    Raises:
        UsageError: the program was exported with other arguments.
    """
    spec = program.call_spec.in_spec
    if spec is None:
        return args, dict(kwargs)
    positional, keywords = spec.child(0).num_children, list(spec.child(1).context)
    if len(args) == positional and set(kwargs) == set(keywords):
        return args, {name: kwargs[name] for name in keywords}
    signature = program.module_call_graph[0].signature
    names = (signature.forward_arg_names if signature is not None else None) or []
    by_name = {**dict(zip(names, args, strict=False)), **kwargs}
    wanted = [*names[:positional], *keywords]
    if len(names) < positional or len(args) > len(names) or set(by_name) != set(wanted):
        raise UsageError(
            f"the exported program takes {', '.join(wanted) or 'no arguments'}, and was given "
            f"{', '.join(by_name) or 'none'}",
            hint="give the arguments that the program was exported with",
        )
    return tuple(by_name[name] for name in wanted[:positional]), {name: by_name[name] for name in keywords}


def bound_to_program(program: ExportedProgram, arguments: Arguments) -> Arguments:
    """Return the arguments of the program's module as those of the program."""

    def rebuild(tensors: Sequence[Any]) -> Call:
        return as_exported(program, *arguments.call(tensors))

    # Its operators have their mode among their arguments, and no flag changes it.
    return attrs.evolve(arguments, program=program, mode="preserve", rebuild=rebuild)


def check_mode(program: ExportedProgram, asked: str) -> None:
    """Refuse a mode that the program was not exported in.

    Raises:
        UsageError: the mode that is asked for is another one.
    """
    modes = modes_of(program)
    if asked == "preserve" or not modes or modes == {asked}:
        return
    is_in = " and ".join(sorted("training" if mode == "train" else "evaluation" for mode in modes))
    asked_for = "training" if asked == "train" else "evaluation"
    hint = "export with training='preserve'"
    if len(modes) == 1:
        hint += f", or call torch.export on the model after model.{asked}()"
    raise UsageError(
        f"the exported program is in {is_in} mode, for good, and {asked_for} mode was asked for",
        where="normalize-arguments.training",
        hint=hint,
    )


def modes_of(program: ExportedProgram) -> set[str]:
    """Return the modes in which the program's operators run; empty if it has none that runs differently in training."""
    modes = set()
    for module in program.graph_module.modules():
        if isinstance(module, torch.fx.GraphModule):
            for node in module.graph.nodes:
                mode = _mode(node)
                if mode is not None:
                    modes.add(mode)
    return modes


def _mode(node: torch.fx.Node) -> str | None:
    target: Any = node.target
    index = _FLAGS.get(target)
    if index is not None:
        # Without running statistics, those of the batch are used in either mode.
        if target in _NORMALISATIONS and len(node.args) > 3 and node.args[3] is None:
            return None
        name = target._schema.arguments[index].name
        flag = node.args[index] if index < len(node.args) else node.kwargs.get(name, False)
        return "train" if flag else "eval"
    if target in _TRAINING_FORMS:
        return "train"
    return "eval" if target in _EVALUATION_FORMS else None

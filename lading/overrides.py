# SPDX-License-Identifier: Apache-2.0
"""The arguments of the export call as overrides of recipe values, and the refusal of those that cannot take effect.

docs/from-torch-onnx.md is the table of this module for readers.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypedDict

import attrs

from .passes.inline import EVERY
from .passes.request import Remark
from .passes.serialize import EXTERNAL_DATA_THRESHOLD
from .pipeline.errors import UsageError, did_you_mean
from .pipeline.recipe import Setting

if TYPE_CHECKING:
    from .pipeline.recipe import Recipe

_TRAINING_MODES = {"EVAL": "eval", "PRESERVE": "preserve", "TRAINING": "train", "TRAIN": "train"}
_EXPORT_TYPES = {
    "ONNX": "onnx",
    "ONNX_FALLTHROUGH": "fallthrough",
    "FALLTHROUGH": "fallthrough",
    "ONNX_ATEN": "aten",
    "ATEN": "aten",
    "ONNX_ATEN_FALLBACK": "aten-fallback",
    "ATEN_FALLBACK": "aten-fallback",
}


class FurtherArguments(TypedDict, total=False):
    """What `torch.onnx.export` of PyTorch 1.8 or of today takes beside the arguments that have a place of their own."""

    # PyTorch 1.8
    aten: bool
    export_raw_ir: bool
    strip_doc_string: bool
    enable_onnx_checker: bool
    use_external_data_format: bool
    _retain_param_name: bool
    # PyTorch 2
    dynamo: bool
    external_data: bool
    optimize: bool
    report: bool
    profile: bool
    dump_exported_program: bool
    artifacts_dir: Any
    custom_translation_table: Any
    export_modules_as_functions: Any
    autograd_inlining: bool
    fallback: bool


@attrs.frozen
class _Unmet:
    """An argument that lading cannot give its meaning.

    Attributes:
        nothing: the value that asks for nothing.
        why: why any other value cannot take effect.
        instead: what to do instead.
        harmless: whether the file computes the same without it, so that a program that was not written for lading may
            pass it; it is then noted in the record.
    """

    nothing: Any
    why: str
    instead: str
    harmless: bool = True


_UNMET: dict[str, _Unmet] = {
    "export_raw_ir": _Unmet(
        False,
        "the graph of TorchScript is no ONNX, and lading captures without it",
        "operator_export_type='aten' keeps every operator of PyTorch's in an ONNX file",
        harmless=False,
    ),
    "_retain_param_name": _Unmet(
        True,
        "weights always keep their names in state_dict",
        "name them by input_names, behind the names of the inputs",
    ),
    "report": _Unmet(
        False, "the record of an export is its audit", "log='export.jsonl', then `lading audit export.jsonl`"
    ),
    "profile": _Unmet(False, "the audit has the time of every pass anyway", "log='export.jsonl'"),
    "dump_exported_program": _Unmet(
        False,
        "lading's own capture makes no exported program",
        "torch.export.save(torch.export.export(model, args), 'model.pt2'), which lading exports too",
    ),
    "artifacts_dir": _Unmet(
        ".",
        "nothing is written beside the file unless it is asked for by name",
        "log=... for the audit, reproducer=... for what a failing pass leaves",
    ),
    "autograd_inlining": _Unmet(
        True,
        "an autograd.Function is kept as one operator exactly where a lowering is registered for it",
        "@lading.lowers('my_ns::op')",
    ),
    "fallback": _Unmet(
        False,
        "there is no older exporter to fall back to",
        "leave it out: the strategy 'auto' goes from one capture to the next by itself, and records why",
    ),
}


def overrides_of(
    recipe: Recipe,
    *,
    model: Any = None,
    file: Any = None,
    export_params: bool | None = None,
    verbose: bool | None = None,
    training: Any = None,
    input_names: Sequence[str] | None = None,
    output_names: Sequence[str] | None = None,
    operator_export_type: Any = None,
    opset_version: int | str | None = None,
    do_constant_folding: bool | None = None,
    example_outputs: Any = None,
    dynamic_axes: Mapping[str, Any] | None = None,
    keep_initializers_as_inputs: bool | None = None,
    custom_opsets: Mapping[str, int] | None = None,
    dynamic_shapes: Any = None,
    examples: Sequence[Any] | None = None,
    weights: Any = None,
    verify: bool | None = None,
    further: Mapping[str, Any] | None = None,
    remarks: list[Remark] | None = None,
) -> dict[str, Any]:
    """Say the arguments of :func:`lading.export` as overrides of recipe values; those left at None say nothing.

    With a list of `remarks`, the caller is a program that was not written for lading: what cannot take effect and does
    no harm is added to the list rather than refused, and `dynamo` chooses no capture, since it says which of PyTorch's
    own exporters is meant.

    Raises:
        UsageError: an argument has a value that is not known, cannot take effect or contradicts another one.
        TypeError: `further` has an argument that no version of `torch.onnx.export` has.
    """
    export_params = _flag("export_params", export_params)
    do_constant_folding = _flag("do_constant_folding", do_constant_folding)
    keep_initializers_as_inputs = _flag("keep_initializers_as_inputs", keep_initializers_as_inputs)
    found: dict[str, Any] = {}
    if _flag("verbose", verbose):
        found["serialize.doc_strings"] = True
        found["serialize.provenance"] = "full"
    if export_params is not None:
        found["initializers.export_params"] = export_params
        if not export_params:
            # Whoever feeds the weights has them as PyTorch stores them, not folded into each other.
            found |= _where_present(recipe, {"fold-constants.weights": False, "fold-batch-norm.enabled": False})
    if training is not None:
        found["normalize-arguments.training"] = _word(training, _TRAINING_MODES, "training")
    for name, names in (("input_names", input_names), ("output_names", output_names)):
        if names is not None:
            found[f"normalize-arguments.{name}"] = _names(names, name)
    further = dict(further or {})
    aten = _flag("aten", further.pop("aten", None))
    if operator_export_type is not None or aten:
        found |= _export_type(recipe, operator_export_type, bool(aten))
    if opset_version is not None:
        found["target.opset"] = _plain(opset_version)
    if do_constant_folding is not None:
        found |= _folding(recipe, do_constant_folding, export_params)
    for key, value in (
        ("normalize-arguments.example_outputs", example_outputs),
        ("normalize-arguments.dynamic_axes", dynamic_axes),
        ("normalize-arguments.dynamic_shapes", dynamic_shapes),
        ("normalize-arguments.examples", _calls(examples)),
        ("initializers.keep_as_inputs", keep_initializers_as_inputs),
        ("target.custom_opsets", _versions(custom_opsets)),
        ("attach-weights.checkpoint", weights),
        ("verify.enabled", _flag("verify", verify)),
    ):
        if value is not None:
            found[key] = value
    if keep_initializers_as_inputs and not do_constant_folding:
        # A caller overrides a weight under its own name, and as PyTorch stores it.
        found |= _where_present(recipe, {"fold-constants.weights": False, "fold-batch-norm.enabled": False})
    return found | _further(recipe, further, model, file, remarks)


def _flag(argument: str, value: Any) -> bool | None:
    """Return a yes or no of the caller's as one, also where it is a 1 or a 0.

    Raises:
        UsageError: it is neither; a text such as "false" would otherwise be a yes.
    """
    if value is None:
        return None
    plain = _plain(value)
    if isinstance(plain, int) and plain in (0, 1):
        return bool(plain)
    raise UsageError(
        f"{argument}={value!r} is neither True nor False",
        where=f"lading.export({argument}=...)",
        hint=f"{argument}=True, {argument}=False, or leave it out for what the recipe says",
    )


def _plain(value: Any) -> Any:
    """Return a scalar of NumPy's or PyTorch's as the number of Python's that it is, anything else as it is."""
    return value.item() if getattr(value, "ndim", None) == 0 else value


def _word(value: Any, words: Mapping[str, str], argument: str) -> str:
    """Translate an enumeration member of torch.onnx, or a plain string, to a recipe's word for it."""
    if isinstance(value, bool) and argument == "training":
        # torch.onnx.export took a bool here before TrainingMode existed.
        return "train" if value else "eval"
    name = str(getattr(value, "name", value)).upper().replace("-", "_")
    if name in words:
        return words[name]
    if name == "RAW":
        raise _refusal("operator_export_type", value, _UNMET["export_raw_ir"])
    raise UsageError(
        f"{argument}={value!r} is not known",
        where=f"lading.export({argument}=...)",
        hint=f"one of: {', '.join(sorted(set(words.values())))}",
    )


def _names(names: Any, argument: str) -> tuple[str, ...]:
    if isinstance(names, str):
        raise UsageError(f"{argument} is the string {names!r}, not a list of names", hint=f"{argument}=[{names!r}]")
    if not isinstance(names, Iterable):
        raise UsageError(f"{argument}={names!r} is not a list of names", hint=f"{argument}=['a', 'b']")
    return tuple(names)


def _versions(custom_opsets: Any) -> dict[str, Any] | None:
    if custom_opsets is None:
        return None
    if not isinstance(custom_opsets, Mapping):
        raise UsageError(
            f"custom_opsets={custom_opsets!r} does not say which domain has which version",
            hint="custom_opsets={'my.domain': 1}",
        )
    return {domain: _plain(version) for domain, version in custom_opsets.items()}


def _calls(examples: Any) -> tuple[Any, ...] | None:
    if examples is None:
        return None
    if not isinstance(examples, (list, tuple)):
        raise UsageError(
            f"examples is a {type(examples).__name__}, not a list of example calls",
            hint="examples=[args_1, args_2], each in a form that args takes",
        )
    return tuple(examples)


def _has_step(recipe: Recipe, step: str) -> bool:
    groups = (table["until_stable"].value for table in recipe.steps.values() if "until_stable" in table)
    return step in recipe.steps or any(step in members for members in groups)


def _where_present(recipe: Recipe, values: Mapping[str, Any]) -> dict[str, Any]:
    """Keep the overrides of steps that the recipe has: what switches a pass off is already so without it."""
    return {key: value for key, value in values.items() if _has_step(recipe, key.partition(".")[0])}


def _value(recipe: Recipe, step: str, key: str) -> Any:
    setting = recipe.steps.get(step, {}).get(key)
    return None if setting is None else setting.value


def _export_type(recipe: Recipe, given: Any, aten: bool) -> dict[str, Any]:
    kind = "aten" if given is None else _word(given, _EXPORT_TYPES, "operator_export_type")
    if aten and kind != "aten":
        raise UsageError(
            f"aten=True and operator_export_type={given!r} contradict each other",
            hint="leave aten out, which is the older way to say operator_export_type='aten'",
        )
    found: dict[str, Any] = {"fallback.operator_export_type": kind}
    leaves_all = tuple(_value(recipe, "lower", "leave") or ()) == ("*",)
    if kind == "aten":
        found["lower.leave"] = ("*",)
    elif leaves_all:
        found["lower.leave"] = ()
    # As documented for torch 1.8: by default only ONNX files keep their initializers out of the inputs.
    if kind != "onnx":
        found["initializers.keep_as_inputs"] = True
    elif _value(recipe, "fallback", "operator_export_type") not in (None, "onnx"):
        found["initializers.keep_as_inputs"] = None
    return found


def _folding(recipe: Recipe, fold: bool, export_params: bool | None) -> dict[str, Any]:
    if not fold:
        return _where_present(recipe, {"fold-constants.enabled": False, "fold-batch-norm.enabled": False})
    found: dict[str, Any] = {"fold-constants.enabled": True}
    if export_params is not False and _value(recipe, "fold-batch-norm", "enabled") is None:
        found |= _where_present(recipe, {"fold-batch-norm.enabled": True})
    return found


# ---- the rest of both signatures -------------------------------------------------------------------------------------


def _refusal(argument: str, value: Any, unmet: _Unmet) -> UsageError:
    what = f"{argument}={value!r} cannot take effect: {unmet.why}"
    return UsageError(what, where=f"lading.export({argument}=...)", hint=unmet.instead)


def _further(
    recipe: Recipe, given: dict[str, Any], model: Any, file: Any, remarks: list[Remark] | None
) -> dict[str, Any]:
    def leave(name: str, value: Any, unmet: _Unmet) -> None:
        if remarks is None or not unmet.harmless:
            raise _refusal(name, value, unmet)
        remarks.append(Remark(name, value, unmet.why))

    found: dict[str, Any] = {}
    for name, value in given.items():
        if name not in FurtherArguments.__annotations__:
            near = did_you_mean(name, FurtherArguments.__annotations__)
            raise TypeError(f"export() got an unexpected keyword argument '{name}'; {near}")
        if name in _UNMET:
            if value not in (None, _UNMET[name].nothing) and value != {}:
                leave(name, value, _UNMET[name])
            continue
        if name in _FLAGS:
            value = _flag(name, value)
        if value is None:
            continue
        if name == "strip_doc_string":
            found["serialize.doc_strings"] = not value
        elif name == "enable_onnx_checker":
            found["serialize.check"] = value
        elif name in ("use_external_data_format", "external_data"):
            if value and not _can_have_a_side_file(name, file):
                leave(name, value, _NO_SIDE_FILE)
            else:
                found["serialize.external_data_threshold"] = EXTERNAL_DATA_THRESHOLD if value else 0
        elif name == "dynamo":
            if remarks is None:
                found["trace.strategy"] = _strategy(value, model)
            else:
                remarks.append(
                    Remark(name, value, "it says which of PyTorch's exporters is meant, and this is neither")
                )
        elif name == "custom_translation_table":
            if table := _translations(value, remarks):
                found["lower.translations"] = table
        elif name == "optimize":
            found |= _tidied(recipe, value, remarks)
        elif name == "export_modules_as_functions":
            if isinstance(value, (str, type)) or not isinstance(value, (bool, Iterable)):
                leave(name, value, _NO_CLASSES)
            else:
                # Who calls this may never have heard of the option that an error is about.
                where = f"lading.export({name}=...)"
                found["inline.preserve"] = Setting(_module_classes(value), "override", where)
    return found


def _translations(table: Any, remarks: list[Remark] | None) -> dict[str, tuple[Any, ...]]:
    """Say a table of translations by the full names of overloads; arithmetic of sizes is lading's own.

    Raises:
        UsageError: a key is no overload of an operator, or a value is neither a function nor some.
    """
    argument = "custom_translation_table"
    if not isinstance(table, Mapping):
        raise _refusal(argument, table, _NO_TABLE)
    found: dict[str, tuple[Any, ...]] = {}
    for key, value in table.items():
        functions = tuple(value) if isinstance(value, (list, tuple)) else (value,)
        if not functions or not all(map(callable, functions)):
            raise _refusal(argument, {key: value}, _NO_TABLE)
        schema = getattr(key, "_schema", None)
        if schema is not None:
            found[f"{schema.name}.{schema.overload_name}" if schema.overload_name else schema.name] = functions
        elif remarks is not None and callable(key) and not hasattr(key, "overloads"):
            remarks.append(Remark(argument, {key: value}, "lading writes the arithmetic of sizes itself"))
        else:
            raise _refusal(argument, {key: value}, _NO_OVERLOAD)
    return found


_NO_TABLE = _Unmet(
    None,
    "it is no table from overloads to functions",
    "{torch.ops.my_ns.op.default: function}, with a function of onnxscript's",
    harmless=False,
)
_NO_OVERLOAD = _Unmet(
    None,
    "a key is no overload of an operator",
    "an overload, as torch.ops.aten.add.Tensor; arithmetic of sizes, as operator.floordiv, lading writes itself",
    harmless=False,
)

_FLAGS = ("strip_doc_string", "enable_onnx_checker", "use_external_data_format", "external_data", "dynamo", "optimize")
_NO_SIDE_FILE = _Unmet(False, "the weights need a second file, and f is no path", "pass a path as f")

_NO_CLASSES = _Unmet(
    False,
    "it is neither True nor a set of module classes",
    "a set: export_modules_as_functions={torch.nn.LayerNorm}",
    harmless=False,
)


def _can_have_a_side_file(name: str, file: Any) -> bool:
    # Without a file nothing is written yet; the modern exporter's default then asks for nothing.
    return not hasattr(file, "write") and not (file is None and name == "use_external_data_format")


def _tidied(recipe: Recipe, wanted: bool, remarks: list[Remark] | None) -> dict[str, Any]:
    if wanted and remarks is not None and "tidy" not in recipe.steps:
        remarks.append(Remark("optimize", wanted, f"the recipe '{recipe.name}' has no tidy passes"))
        return {}
    return {"tidy.enabled": True} if wanted else _where_present(recipe, {"tidy.enabled": False})


def _strategy(dynamo: bool, model: Any) -> str:
    """Say `dynamo` as a capture strategy: True is torch.export, False whatever does without it."""
    if dynamo:
        return "export"
    kinds = {kind.__name__ for kind in type(model).__mro__}
    return "script" if kinds & {"ScriptModule", "ScriptFunction"} else "record"


def _module_classes(value: Any) -> tuple[str, ...]:
    if isinstance(value, bool):
        return (EVERY,) if value else ()
    return tuple(sorted(getattr(kind, "__name__", str(kind)) for kind in value))

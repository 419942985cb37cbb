# SPDX-License-Identifier: Apache-2.0
"""Compare a file that exists already with the model that it was exported from."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs

from .passes import BUILTIN
from .passes.request import Request
from .pipeline.errors import UsageError, VerificationFailed
from .pipeline.facts import Fact
from .pipeline.note import Note
from .pipeline.recipe import load_recipe
from .pipeline.registry import Registry
from .pipeline.resolve import resolve
from .pipeline.run import target_of
from .pipeline.work import Work

if TYPE_CHECKING:
    from .passes.signature.arguments import Arguments
    from .passes.signature.interface import Interface
    from .passes.verification.report import Verification


def verify_file(
    file: str | os.PathLike[str],
    model: Any,
    args: Any = (),
    *,
    kwargs: Mapping[str, Any] | None = None,
    input_names: Sequence[str] | None = None,
    recipe: str | Path = "inference",
    weights: str | os.PathLike[str] | None = None,
    settings: Iterable[str] = (),
    inputs: Sequence[str | os.PathLike[str]] = (),
    providers: Sequence[str] = (),
    reload: Callable[[], Any] | None = None,
) -> Verification:
    """Run a file and compare it with the model, on the example call, on random inputs and at other sizes.

    Args:
        file: an ONNX file.
        model: the model that it was exported from.
        args: the example arguments, in any form that :func:`lading.export` takes.
        kwargs: further keyword arguments of the call.
        input_names: names of the tensors of the call, in order; by default as the file has them, or as the call names
            them where the file was exported without some of them. A file whose interface a pass has changed says itself
            which is which.
        recipe: the recipe whose steps normalize-arguments, attach-weights and verify are used.
        weights: the checkpoint that has the values of the model's weights, as for :func:`lading.export`.
        settings: overrides as text: ``"verify.rtol=1e-3"``.
        inputs: ``.npz`` files with further inputs, an array for each input of the call by its name.
        providers: execution providers of onnxruntime, each of which runs all checks: ``["CPU", "CUDA"]``. One that is
            not there is skipped.
        reload: makes the model anew.

    Returns:
        Every check, passed, failed or skipped with a reason.

    Raises:
        UsageError: the file cannot be read, or the call does not fit the model or the file.
    """
    names, interface = file_interface(Path(file))
    overrides: dict[str, Any] = {
        "normalize-arguments.input_names": tuple(input_names or (names if interface is None else ())),
        "verify.enabled": True,
    }
    if inputs:
        overrides["verify.inputs"] = tuple(os.fspath(path) for path in inputs)
    if providers:
        overrides["verify.providers"] = tuple(providers)
    if weights is not None:
        overrides["attach-weights.checkpoint"] = weights
    resolved = resolve(
        load_recipe(recipe),
        Registry(BUILTIN),
        overrides=overrides,
        settings=settings,
    )
    steps = {step.declaration.name: step.made for step in resolved.steps()}
    work = Work(target=target_of(resolved), request=Request(model=model, args=args, kwargs=kwargs, reload=reload))
    steps["normalize-arguments"].run(work, Note())
    if interface is not None:
        interface = _fitted(interface, work.need(Fact.ARGUMENTS), named=bool(input_names), file=file)
    elif not input_names:
        given = attrs.evolve(steps["normalize-arguments"], input_names=())
        _name_by_call(work, given, names)
    if weights is not None:
        steps["attach-weights"].run(work, Note())
    from .passes.serialize import Written

    work.provide(Fact.FILE, Written(os.fspath(file), (), Path(file).stat().st_size))
    try:
        steps["verify"].compare(work, Note(), interface)
    except VerificationFailed:
        # The report says what differs; whether that is an error is the caller's to say.
        if Fact.VERIFIED not in work.values:
            raise
    verification: Verification = work.need(Fact.VERIFIED)
    return verification


def _fitted(interface: Interface, call: Arguments, *, named: bool, file: str | os.PathLike[str]) -> Interface:
    """The interface of a file beside a call whose tensors may have been named anew, which then holds.

    Raises:
        UsageError: the call has another number of tensors than the one of the export.
    """
    if len(interface.called) != len(call.inputs):
        raise UsageError(
            f"the file was exported from a call of {len(interface.called)} tensors, this one has {len(call.inputs)}",
            where=os.fspath(file),
            hint=f"they were {', '.join(interface.called)}",
        )
    return attrs.evolve(interface, inputs={}, called=tuple(i.name for i in call.inputs)) if named else interface


def _name_by_call(work: Work, normalize: Any, names: Sequence[str]) -> None:
    """Name the tensors of the call by its structure where the file has some of those names and not others.

    Raises:
        UsageError: the file has other names, and fewer than the call has tensors.
    """
    by_position = work.need(Fact.ARGUMENTS)
    state = getattr(by_position.model, "state_dict", None)
    weights = set(state() if callable(state) else state or ())
    inputs = [name for name in names if name not in weights]
    if len(inputs) >= len(by_position.inputs):
        return
    normalize.run(work, Note())
    own = [item.name for item in work.need(Fact.ARGUMENTS).inputs]
    if not set(inputs) <= set(own):
        raise UsageError(
            f"the file takes {', '.join(inputs) or 'no tensors'}, and the call has {len(own)}: {', '.join(own)}",
            hint="give input_names, one for each tensor of the call, as the file was exported with",
        )


def file_interface(file: Path) -> tuple[tuple[str, ...], Interface | None]:
    """Return the names of the inputs that a file asks for, and what it says of them where places do not.

    Raises:
        UsageError: there is no such file, or it cannot be read.
    """
    if not file.is_file():
        raise UsageError(f"there is no file {file}", hint="lading export MODEL -o FILE writes one")
    from lading.passes.files.external_data import read_model
    from lading.passes.signature.interface import METADATA_KEY, Interface

    model = read_model(file)
    initializers = {tensor.name for tensor in model.graph.initializer}
    names = tuple(value.name for value in model.graph.input if value.name not in initializers)
    said = next((entry.value for entry in model.metadata_props if entry.key == METADATA_KEY), None)
    if said is None:
        return names, None
    try:
        found = Interface.from_text(said)
        if set(found.inputs) - set(names) or len(found.outputs) != len(model.graph.output):
            raise ValueError(f"{METADATA_KEY} in the metadata is that of another graph")
    except ValueError as error:
        raise UsageError(str(error), where=str(file), hint="export it again, or remove that entry") from error
    return names, found

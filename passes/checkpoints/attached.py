# SPDX-License-Identifier: Apache-2.0
"""Which tensor of a checkpoint each tensor of a model stands for, and putting the one in the place of the other."""

from __future__ import annotations

import contextlib
import hashlib
import itertools
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import attrs
import torch
from lading.passes.checkpoints.checkpoint import Checkpoint, StoredTensor
from lading.passes.model_roots import roots_of
from lading.passes.model_state import ModelState, Slot, replaced
from lading.passes.weights import ComputedWeight, Weight, is_without_data, onnx_dtype
from lading.pipeline.errors import UsageError, near_miss

if TYPE_CHECKING:
    import onnx_ir as ir
    from lading.pipeline.note import Note

_SHOWN = 8
_SMALL = 64 << 10
"""Bytes up to which tensors are loaded while the model is captured, whose Python may read their values."""


@attrs.frozen
class Attached:
    """The tensors of a checkpoint by the names that they have in the model, every tied name included.

    `cast` says whether a tensor of another type than the model's is converted while it is written.
    """

    checkpoint: Checkpoint
    stored: Mapping[str, StoredTensor]
    cast: bool = False

    def loader(self, *, at_most: int | None = None) -> Callable[[Slot], torch.Tensor | None]:
        """Return a function that loads the tensor for a place in the model: one tensor for all places of a tied one.

        It gives None where the checkpoint has no tensor, or one of more than `at_most` bytes.
        """
        loaded: dict[int, torch.Tensor | None] = {}

        def load(slot: Slot) -> torch.Tensor | None:
            key = id(slot.tensor)
            if key not in loaded:
                stored = self.stored.get(slot.path)
                found = None
                if stored is not None and (at_most is None or stored.nbytes <= at_most):
                    found = stored.load().to(slot.tensor.dtype)
                    if isinstance(slot.tensor, torch.nn.Parameter):
                        found = torch.nn.Parameter(found, requires_grad=False)
                loaded[key] = found
            return loaded[key]

        return load

    @contextlib.contextmanager
    def small_ones_loaded(self, model: Any) -> Iterator[None]:
        """Open a context in which small tensors of the model, and no others, have their values."""
        state = ModelState(model)
        replaced(state, self.loader(at_most=_SMALL))
        try:
            yield
        finally:
            for slot in state.slots:
                slot.holder[slot.key] = slot.tensor

    def put_into(self, model: ir.Model, note: Note) -> None:
        """Let every weight of a captured graph stand for the tensor in the checkpoint.

        Raises:
            UsageError: weights that the graph uses have no values, neither in the checkpoint nor in the model.
        """
        without: list[str] = []
        for name, value in model.graph.initializers.items():
            weight = value.const_value
            if not isinstance(weight, Weight):
                continue
            stored = self.stored.get(weight.parameter or name)
            if stored is not None:
                value.const_value = _weight(stored, weight, cast=self.cast)
                note.count("weights in the checkpoint")
                note.count("bytes in the checkpoint", stored.nbytes)
            elif is_without_data(weight.raw) and (value.uses() or value.is_graph_output()):
                without.append(weight.parameter or name)
        if without:
            raise UsageError(
                f"{len(without)} tensors of the model have no values, and the checkpoint does not have them:\n  "
                + "\n  ".join(_listed(without, self.checkpoint.tensors)),
                where=str(self.checkpoint.path),
                hint="attach-weights.rename translates names; give buffers that no checkpoint has their values",
            )


def attach(
    model: Any,
    checkpoint: Checkpoint,
    note: Note,
    *,
    rename: Mapping[str, str],
    cast: bool,
    unexpected_is_error: bool,
) -> Attached:
    """Match a checkpoint with the parameters and buffers of a model.

    Args:
        model: the model; its tensors may be on the meta device, under fake tensors, or real and then of no account.
        checkpoint: where the values are.
        note: told of tied names and of tensors that nothing has asked for.
        rename: how names in the checkpoint begin, and how they begin in the model instead.
        cast: whether a tensor may have another type than the model's.
        unexpected_is_error: whether a tensor of the checkpoint that the model does not have is an error.

    Raises:
        UsageError: shapes or types differ, two names of a tied tensor have different values, or (if so asked) the
            checkpoint has tensors that the model does not have.
    """
    by_name = _renamed(checkpoint, rename)
    slots: dict[int, Slot] = {}
    for slot in ModelState(model).slots:
        slots.setdefault(id(slot.tensor), slot)
    names = _names(model, slots)
    stored: dict[str, StoredTensor] = {}
    problems: list[str] = []
    for key, slot in slots.items():
        found = [by_name[name] for name in names[key] if name in by_name]
        if found:
            problems += _misfits(slot, found, cast=cast)
            stored.update(dict.fromkeys(names[key], found[0]))
            absent = [name for name in names[key] if name not in by_name]
            if absent:
                note.decided("tied weight", f"it is stored as {found[0].name}", weight=", ".join(absent))
        elif slot.kind == "parameter" and not is_without_data(slot.tensor):
            problems.append(f"{slot.path} is not in it, and the model's own value is not taken")
    if problems:
        raise UsageError(
            "the checkpoint does not fit the model:\n  " + "\n  ".join(_some(problems)),
            where=str(checkpoint.path),
            hint="make the model as the checkpoint has it; attach-weights.dtype = 'cast' converts types",
        )
    known = {name for group in names.values() for name in group}
    _unexpected(by_name.keys() - known, known, checkpoint, note, unexpected_is_error)
    return Attached(checkpoint, stored, cast)


def _names(model: Any, slots: Mapping[int, Slot]) -> dict[int, list[str]]:
    """Return all names of each tensor, by `id`; a module that is used twice gives its tensors two."""
    names = {key: [slot.path] for key, slot in slots.items()}
    for prefix, root in roots_of(model):
        tensors = (root.named_parameters(prefix, remove_duplicate=False), root.named_buffers(prefix, True, False))
        for name, tensor in itertools.chain(*tensors):
            if id(tensor) in names and name not in names[id(tensor)]:
                names[id(tensor)].append(name)
    return names


def _renamed(checkpoint: Checkpoint, rename: Mapping[str, str]) -> dict[str, StoredTensor]:
    found: dict[str, StoredTensor] = {}
    for name, tensor in checkpoint.tensors.items():
        prefix = next((prefix for prefix in rename if name.startswith(prefix)), None)
        new = name if prefix is None else rename[prefix] + name[len(prefix) :]
        if new in found:
            raise UsageError(
                f"'{found[new].name}' and '{name}' of the checkpoint would both be called '{new}'",
                where="attach-weights.rename",
                hint="let each prefix lead to names of its own",
            )
        found[new] = tensor
    return found


def _misfits(slot: Slot, found: list[StoredTensor], *, cast: bool) -> list[str]:
    problems = []
    shape, dtype = tuple(slot.tensor.shape), slot.tensor.dtype
    for tensor in found:
        if tensor.shape != shape:
            problems.append(f"{tensor.name} has the shape {list(tensor.shape)}, {slot.path} of the model {list(shape)}")
        elif tensor.dtype is not dtype and not cast:
            problems.append(f"{tensor.name} is {_word(tensor.dtype)}, {slot.path} of the model {_word(dtype)}")
    first = found[0]
    problems += [
        f"{first.name} and {other.name} are one tensor in the model, and differ in the checkpoint"
        for other in found[1:]
        if not _equal(first, other)
    ]
    return problems


def _word(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def _equal(first: StoredTensor, other: StoredTensor) -> bool:
    if (first.dtype, first.shape) != (other.dtype, other.shape):
        return False
    return _digest(first) == _digest(other)


def _digest(tensor: StoredTensor) -> bytes:
    state = hashlib.blake2b()
    for block in tensor.blocks():
        state.update(block)
    return state.digest()


def _unexpected(
    names: set[str], known: set[str], checkpoint: Checkpoint, note: Note, unexpected_is_error: bool
) -> None:
    names = names | (checkpoint.strange.keys() - known)
    strange = sorted(checkpoint.strange.keys() & known)
    if strange:
        lines = [f"{name} is {checkpoint.strange[name]}" for name in strange]
        raise UsageError(
            "PyTorch has no type for tensors of the checkpoint:\n  " + "\n  ".join(_some(lines)),
            where=str(checkpoint.path),
        )
    if not names:
        return
    what = f"the checkpoint has {len(names)} tensors that the model does not have"
    if unexpected_is_error:
        raise UsageError(
            f"{what}:\n  " + "\n  ".join(_listed(sorted(names), known)),
            where=str(checkpoint.path),
            hint="attach-weights.unexpected = 'warn' leaves them out",
        )
    note.warned(what, tensors=", ".join(_some(sorted(names))))


def _listed(names: list[str], candidates: Any) -> list[str]:
    nearest = ((name, near_miss(name, candidates)) for name in names[:_SHOWN])
    lines = [f"{name} (is it '{near}' there?)" if near else name for name, near in nearest]
    return lines + _rest(names)


def _some(lines: list[str]) -> list[str]:
    return lines[:_SHOWN] + _rest(lines)


def _rest(lines: list[str]) -> list[str]:
    return [f"and {len(lines) - _SHOWN} more"] if len(lines) > _SHOWN else []


def _weight(stored: StoredTensor, old: Weight, *, cast: bool) -> Weight | ComputedWeight:
    weight = Weight(
        torch.empty(stored.shape, dtype=stored.dtype, device="meta"), old.parameter, name=old.name, source=stored
    )
    wanted = old.raw.dtype
    if stored.dtype is wanted:
        return weight
    assert cast, "types were compared before"

    def rows(start: int, stop: int) -> torch.Tensor:
        whole = stored.load()
        return (whole[start:stop] if whole.dim() else whole).to(wanted)

    return ComputedWeight(
        rows,
        onnx_dtype(wanted),
        stored.shape,
        what=f"converted from {_word(stored.dtype)} to {_word(wanted)}",
        sources=(weight,),
        name=old.name,
        parameter=old.parameter,
    )

# SPDX-License-Identifier: Apache-2.0
"""Running a user's model and leaving it, and torch, exactly as they were."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any, Literal

import attrs
import torch
from lading.passes.held_state import PLAIN, TORCHS, HeldState, Place
from lading.passes.model_roots import roots_of
from lading.pipeline.errors import UsageError

Mode = Literal["eval", "preserve", "train"]


@attrs.frozen
class Slot:
    """One place in a model that holds a tensor: a parameter, a buffer or a plain attribute.

    `path` is the dotted name, for parameters and buffers that of `state_dict`.
    """

    path: str
    kind: Literal["parameter", "buffer", "attribute"]
    holder: dict[str, Any]
    key: str
    tensor: torch.Tensor


class ModelState:
    """The tensors, flags and attributes of a model's modules, to look at and to put back.

    Everything on the modules is covered: parameters, buffers, training flags, hooks, plain attributes, and what lists,
    dicts, sets and objects in attributes hold. So are tensors in what the model's functions share: globals, attributes
    of classes, variables of enclosing functions.
    """

    def __init__(self, model: Any) -> None:
        self.slots: list[Slot] = []
        self.paths: dict[int, str] = {}
        """Dotted path of each module, by `id`; the first name wins where a module is used twice."""
        self._attributes: list[tuple[dict[str, Any], dict[str, Any]]] = []
        self._modules: list[torch.nn.Module] = []
        self.held = HeldState()
        roots = roots_of(model)
        self._roots = [module for _, module in roots]
        for name, root in roots:
            for path, module in root.named_modules(prefix=name):
                if id(module) in self.paths:
                    continue
                self._modules.append(module)
                self.paths[id(module)] = path
                self._read(f"{path}." if path else "", module)
        if not isinstance(model, torch.nn.Module):
            self.held.read_function(model)

    def _read(self, prefix: str, module: torch.nn.Module) -> None:
        attributes = vars(module)
        self._attributes.append((attributes, dict(attributes)))
        holders: tuple[tuple[Literal["parameter", "buffer"], dict[str, Any]], ...] = (
            ("parameter", attributes.get("_parameters", {})),
            ("buffer", attributes.get("_buffers", {})),
        )
        for kind, holder in holders:
            for key, tensor in holder.items():
                if tensor is not None:
                    if torch.nn.parameter.is_lazy(tensor):
                        raise UsageError(
                            f"'{prefix}{key}' of {type(module).__name__} has no shape yet",
                            where=prefix.rstrip(".") or type(module).__name__,
                            hint="call the model once, so that its lazy modules take their sizes from the input",
                        )
                    self.slots.append(Slot(prefix + key, kind, holder, key, tensor))
        for key, value in attributes.items():
            if type(value) in PLAIN:
                continue
            if key in TORCHS:
                self.held.save(value)
                continue
            if isinstance(value, torch.Tensor):
                self.slots.append(Slot(prefix + key, "attribute", attributes, key, value))
            self.held.read_attribute(prefix[:-1], attributes, key)
        self.held.read_class(type(module))

    def set_mode(self, mode: Mode) -> None:
        """Put every module into evaluation or training mode; "preserve" leaves each as it is."""
        if mode != "preserve":
            for root in self._roots:
                # `train` may be overridden (frozen normalisation), and what it does then is part of the model.
                try:
                    root.train(mode == "train")
                except NotImplementedError as error:
                    self._keeps_its_mode(root, mode, error)

    def _keeps_its_mode(self, root: torch.nn.Module, mode: Mode, error: NotImplementedError) -> None:
        """Accept that a module made of an exported program has its mode in its graph, unless training is asked for."""
        if mode == "train":
            raise UsageError(
                f"the model cannot be put into training mode: {error}",
                where=type(root).__name__,
                hint="training=TrainingMode.PRESERVE exports it as it is",
            ) from error

    def rewrites_weights(self) -> bool:
        """Whether a module has a `train` of its own, which may change weights in place (merged adapters do)."""
        return any(type(module).train is not torch.nn.Module.train for module in self._modules)

    def place_of(self, tensor: torch.Tensor) -> Place | None:
        """Return where a tensor was held that is neither parameter nor buffer, None where that cannot be found."""
        return self.held.places.get(id(tensor))

    def named_tensor(self, tensor: torch.Tensor) -> str | None:
        """Return the path of a tensor in one of the slots, or of another that the model's code reaches."""
        for slot in self.slots:
            if slot.tensor is tensor:
                return slot.path
        place = self.place_of(tensor)
        return None if place is None else place.path

    def restore(self) -> None:
        """Put back every attribute, every member of a container and every tensor."""
        for attributes, saved in self._attributes:
            if attributes.keys() != saved.keys():
                for key in attributes.keys() - saved.keys():
                    del attributes[key]
            for key, value in saved.items():
                if attributes.get(key, self) is not value:
                    attributes[key] = value
        self.held.restore()
        for slot in self.slots:
            slot.holder[slot.key] = slot.tensor


@contextlib.contextmanager
def preserved(model: Any) -> Iterator[ModelState]:
    """Open a context after which the model and torch are what they were.

    Restored, whatever happens inside: training flags module by module, which tensors the model holds, attributes,
    containers in attributes, the state of torch's random generator, grad mode and the default dtype.
    Values written in place *into* a tensor are not undone: swap the tensors first (`replaced`), and set the mode
    after that, for some modules rewrite their weights when the mode changes.
    """
    state = ModelState(model)
    random_state = torch.get_rng_state()
    dtype = torch.get_default_dtype()
    grad = torch.is_grad_enabled()
    fast_attention = torch.backends.mha.get_fastpath_enabled()
    # The fast path of torch's transformer layers gives zeros where a padding mask hides a position; no other way does.
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        yield state
    finally:
        state.restore()
        torch.backends.mha.set_fastpath_enabled(fast_attention)
        if torch.get_default_dtype() is not dtype:
            torch.set_default_dtype(dtype)
        if torch.is_grad_enabled() is not grad:
            torch.set_grad_enabled(grad)
        torch.set_rng_state(random_state)


def replaced(state: ModelState, replacement: Callable[[Slot], torch.Tensor | None]) -> None:
    """Put `replacement(slot)` in the place of each tensor of the model for which it is not None.

    One tensor in several places (tied weights) is asked for once for each place.
    """
    for slot in state.slots:
        stand_in = replacement(slot)
        if stand_in is not None:
            slot.holder[slot.key] = stand_in

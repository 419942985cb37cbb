# SPDX-License-Identifier: Apache-2.0
"""Run an exported file beside the model: on the example, on other inputs, and at other sizes of its dynamic axes."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

import attrs

from .comparison import OutputError, Tolerance, compare
from .inputs import Roots, axis_sizes, draw, other_sizes
from .report import Check, Verification
from .runtimes import CPU, RuntimeLacks, RuntimeRejects, Session, open_session, short_name

if TYPE_CHECKING:
    import torch
    from lading.passes.signature.arguments import Arguments, TensorInput


class Limit(Protocol):
    """A condition on the sizes of axes that the file relies on; as text, it has the user's line."""

    def holds(self, sizes: Mapping[str, int]) -> bool:
        """Whether sizes fulfil it."""


@attrs.frozen(kw_only=True)
class Checker:
    """One file beside one model.

    Attributes:
        path: the ONNX file.
        arguments: the model with its example call; it runs eager.
        tolerance: which differences are accepted.
        runtime: "auto", "onnxruntime" or "reference".
        providers: the execution providers of onnxruntime; each runs all checks.
        given: further inputs to run, by the name of the check: a tensor for each input of the call, by its name.
        samples: how many random inputs of the example's sizes are tried.
        sizes: whether dynamic axes are tried at other sizes.
        seed: of the random inputs.
        weights: tensors to feed where the file takes weights as inputs, by input name; names of the model's
            `state_dict` are known without.
        limits: conditions on sizes outside of which the file need not be right.
        telling: gives further sizes to try, with the reason, for those of the example.
        outputs: for each output of the file, which of the model's it is, or None for one that is none of them; by
            default their order says it.
    """

    path: str
    arguments: Arguments
    tolerance: Tolerance = attrs.field(factory=Tolerance)
    runtime: str = "auto"
    providers: tuple[str, ...] = (CPU,)
    given: Mapping[str, Mapping[str, torch.Tensor]] = attrs.field(factory=dict)
    samples: int = 2
    sizes: bool = True
    seed: int = 0
    weights: Mapping[str, torch.Tensor] = attrs.field(factory=dict)
    limits: tuple[Limit, ...] = ()
    telling: Callable[[Mapping[str, int]], Sequence[tuple[str, Mapping[str, int]]]] | None = None
    outputs: tuple[int | None, ...] | None = None

    def run(self) -> Verification:
        """Run all checks; what goes wrong in one is its result, not an exception."""
        if self._lacks_values():
            reason = "the model has no values to compute with: weights or inputs are on the meta device"
            return Verification(checks=(Check(name="example", status="skipped", reason=reason),))
        checks: list[Check] = []
        runtimes: dict[str, None] = {}
        instead = None
        added: tuple[str, ...] = ()
        for provider in dict.fromkeys(short_name(name) for name in self.providers):
            named = provider if len(self.providers) > 1 else None
            try:
                session, why = open_session(self.path, self.runtime, provider)
            except RuntimeLacks as lacks:
                checks.append(Check(name="example", status="skipped", reason=str(lacks), provider=named))
                continue
            except RuntimeRejects as rejects:
                checks.append(Check(name="example", status="failed", reason=str(rejects), provider=named))
                continue
            checks.extend(attrs.evolve(check, provider=named) for check in self._checks(session))
            runtimes[session.runtime] = None
            instead = instead or why
            if self.outputs is not None:
                added = tuple(name for name, place in zip(session.outputs, self.outputs, strict=True) if place is None)
        return Verification(
            checks=tuple(checks), runtime=", ".join(runtimes) or None, instead=instead, added_outputs=added
        )

    def _checks(self, session: Session) -> Iterator[Check]:
        import torch

        examples = {item.name: item.tensor.detach().cpu() for item in self.arguments.inputs}
        weights = self._weights(session, examples)
        unknown = [name for name in session.inputs if name not in examples and name not in weights]
        if unknown:
            reason = f"the file has inputs that the call does not give: {', '.join(unknown)}"
            yield Check(name="example", status="failed", reason=reason)
            return
        # An input that the file was exported without is still one of the model's, with the axes that it shares.
        shapes = {item.name: session.inputs.get(item.name, _asked(item)) for item in self.arguments.inputs}
        generator = torch.Generator().manual_seed(self.seed)
        roots = Roots(axis_sizes(shapes, examples))
        standing = roots.sizes

        def drawn(name: str, sizes: Mapping[str, int]) -> Check:
            every = roots.all(sizes)
            if every is None:
                return Check(name=name, status="skipped", reason="an axis would be shorter than 0", sizes=dict(sizes))
            return self._check(session, weights, name, draw(examples, shapes, every, generator), every)

        yield self._check(session, weights, "example", examples, roots.all(standing) or standing)
        if not examples:
            return
        for name, tensors in self.given.items():
            yield self._check(session, weights, name, tensors, axis_sizes(shapes, tensors))
        for sample in range(self.samples):
            yield drawn(f"random inputs {sample + 1}", standing)
        if not self.sizes or not standing:
            return
        agreed: dict[str, int] = {}
        for axis, size in standing.items():
            checks = []
            for check in self._axis_checks(axis, size, standing, drawn):
                yield check
                checks.append(check)
            sizes = [check.sizes[axis] for check in checks if check.status == "passed"]
            # Different sizes for different axes, where there is a choice: equal ones would hide an exchange of axes.
            fresh = [size for size in sizes if size not in agreed.values()]
            if sizes:
                agreed[axis] = (fresh or sizes)[-1]
        if len(agreed) > 1:
            yield drawn(f"all axes: {_listed(agreed)}", {**standing, **agreed})
        for reason, others in self.telling(standing) if self.telling is not None else ():
            yield drawn(f"{_listed(others)}: {reason}", others)

    def _axis_checks(
        self, axis: str, size: int, standing: Mapping[str, int], drawn: Callable[[str, Mapping[str, int]], Check]
    ) -> Iterator[Check]:
        """Try an axis at other sizes; if none is taken, at double size, then together with the axes of its size."""
        tried = []
        for other in other_sizes(size):
            tried.append(drawn(f"{axis} = {other}", {**standing, axis: other}))
        yield from tried
        if any(check.status != "skipped" for check in tried):
            return
        doubled = drawn(f"{axis} = {2 * size}", {**standing, axis: 2 * size})
        yield doubled
        alike = [name for name, length in standing.items() if length == size]
        if doubled.status == "skipped" and len(alike) > 1:
            for other in (size + 1, 2 * size):
                together = dict.fromkeys(alike, other)
                yield drawn(_listed(together), {**standing, **together})

    def _weights(self, session: Session, examples: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """Return a value for each input of the file that stands for a weight: as told, else by `state_dict` name."""
        known = {**self._state(), **self.weights}
        return {name: known[name] for name in session.inputs if name in known and name not in examples}

    def _state(self) -> Mapping[str, torch.Tensor]:
        state: Callable[[], Mapping[str, torch.Tensor]] | None = getattr(self.arguments.model, "state_dict", None)
        return state() if callable(state) else {}

    def _check(
        self,
        session: Session,
        weights: Mapping[str, torch.Tensor],
        name: str,
        inputs: Mapping[str, torch.Tensor],
        sizes: Mapping[str, int],
    ) -> Check:
        tensors = [inputs[item.name].to(item.tensor.device) for item in self.arguments.inputs]
        try:
            expected = self._eager(tensors, self.seed)
        except Exception as error:
            # The model may refuse some sizes; what it refuses cannot be compared.
            refusal = f"PyTorch refuses these inputs: {type(error).__name__}: {_first_line(error)}"
            return Check(name=name, status="skipped", reason=refusal, sizes=dict(sizes))
        # A runtime may write over the running statistics that a normalization in training mode moves.
        fed = {key: value.clone() if value.dim() == 1 else value for key, value in weights.items()}
        feeds = {key: value for key, value in {**fed, **inputs}.items() if key in session.inputs}
        found: tuple[OutputError, ...] = ()
        reason: str | None
        try:
            got = session.run(feeds)
        except RuntimeLacks as lacks:
            return Check(name=name, status="skipped", reason=str(lacks), sizes=dict(sizes))
        except RuntimeRejects as rejects:
            reason = str(rejects)
        else:
            reason, found = self._compared(session, expected, got)
        if reason is None:
            if found and all(output.empty for output in found):
                reason = "there is nothing to compare: PyTorch's outputs are empty or have only NaN"
                return Check(name=name, status="skipped", reason=reason, sizes=dict(sizes), outputs=found)
            return Check(name=name, status="passed", sizes=dict(sizes), outputs=found)
        excuse = self._excuse(tensors, expected, sizes)
        if excuse is None:
            return Check(
                name=name, status="failed", reason=reason, sizes=dict(sizes), outputs=found, inputs=dict(inputs)
            )
        return Check(name=name, status="skipped", reason=f"{excuse} ({reason})", sizes=dict(sizes), outputs=found)

    def _compared(
        self, session: Session, expected: list[torch.Tensor], got: list[torch.Tensor]
    ) -> tuple[str | None, tuple[OutputError, ...]]:
        names = [*session.outputs, *(f"output {index}" for index in range(len(session.outputs), len(got)))]
        if self.outputs is not None:
            in_file = {place: index for index, place in enumerate(self.outputs) if place is not None}
            missing = [str(place + 1) for place in range(len(expected)) if place not in in_file]
            if missing:
                return f"the file does not give output {', '.join(missing)} of the model's {len(expected)}", ()
            got = [got[in_file[place]] for place in range(len(expected))]
            names = [names[in_file[place]] for place in range(len(expected))]
        if len(expected) != len(got):
            return f"the file has {len(got)} outputs, the model {len(expected)}", ()
        coarsest = self.coarsest()
        found = tuple(
            compare(name, a, b, self.tolerance, coarsest) for name, a, b in zip(names, expected, got, strict=False)
        )
        problems = [f"output '{output.name}' {output.problem}" for output in found if output.problem]
        return "; ".join(problems) or None, found

    def _excuse(
        self, tensors: list[torch.Tensor], expected: list[torch.Tensor], sizes: Mapping[str, int]
    ) -> str | None:
        """Return why a difference does not count: the sizes are outside of the stated limits, or eager is random."""
        for limit in self.limits:
            if not limit.holds(sizes):
                return f"outside of the stated limit {limit}"
        again = self._eager(tensors, self.seed + 1)
        loosest = Tolerance(rtol=self.tolerance.rtol, atol=self.tolerance.atol)
        for a, b in itertools.zip_longest(expected, again):
            if a is None or b is None or a.shape != b.shape or compare("", a, b, loosest).problem:
                return "the model is random: two runs of it in PyTorch differ"
        return None

    def _eager(self, tensors: list[torch.Tensor], seed: int) -> list[torch.Tensor]:
        import torch

        with torch.random.fork_rng():
            torch.manual_seed(seed)
            return self.arguments.eager(tensors)

    def feeds(self, names: Iterable[str]) -> dict[str, torch.Tensor]:
        """Return what to feed to inputs of the file on the example: tensors of the call, and weights."""
        examples = {item.name: item.tensor.detach().cpu() for item in self.arguments.inputs}
        known = {**self._state(), **self.weights, **examples}
        return {name: known[name] for name in names if name in known}

    def expected(self) -> list[torch.Tensor | None]:
        """Return what the model gives for the example, in the order of the file; None for outputs that are not its."""
        found = self._eager([item.tensor for item in self.arguments.inputs], self.seed)
        if self.outputs is None:
            return [*found]
        return [None if place is None or place >= len(found) else found[place] for place in self.outputs]

    def coarsest(self) -> torch.dtype | None:
        """Return the coarsest floating-point type among weights and inputs."""
        import torch

        types = {tensor.dtype for tensor in self._tensors() if tensor.dtype.is_floating_point}
        return max(types, key=lambda dtype: torch.finfo(dtype).eps, default=None)

    def _lacks_values(self) -> bool:
        from ..model_state import ModelState
        from ..weights import is_without_data

        if any(is_without_data(item.tensor) for item in self.arguments.inputs):
            return True
        attached = self.arguments.attached
        if attached is None:
            return any(is_without_data(tensor) for tensor in self._tensors())
        slots = ModelState(self.arguments.model).slots
        return any(is_without_data(slot.tensor) and slot.path not in attached.stored for slot in slots)

    def _tensors(self) -> Iterator[torch.Tensor]:
        yield from (item.tensor for item in self.arguments.inputs)
        parameters = getattr(self.arguments.model, "parameters", None)
        if callable(parameters):
            yield from parameters()


def _asked(item: TensorInput) -> tuple[int | str, ...]:
    return tuple(item.axes.get(axis, size) for axis, size in enumerate(item.tensor.shape))


def _listed(sizes: Mapping[str, int]) -> str:
    return ", ".join(f"{axis} = {size}" for axis, size in sizes.items())


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else "(no message)"

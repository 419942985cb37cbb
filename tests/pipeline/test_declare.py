# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import attrs
import pytest
from lading.pipeline.declare import RESERVED_OPTIONS, Pass, a_pass, option
from lading.pipeline.errors import PlanError
from lading.pipeline.facts import Fact
from lading.pipeline.note import Note
from lading.pipeline.recipe import STEP_KEYS
from lading.pipeline.work import Work
from support.fake_passes import fake


@a_pass("fuse-gelu", requires=(Fact.ONNX,), after=("fold-constants",), needs_opset=20)
class FuseGelu:
    """Replace the erf formula by one Gelu.

    Declines when another node uses the Erf result.
    """

    approximate: str = option("none", help="Formula.", choices=("none", "tanh"))
    depth: int | None = option(None, help="Depth.", at_least=1, at_most=9)
    names: list[str] = option([], help="Names.")

    def run(self, work: Work, note: Note) -> None:
        del work
        note.count(self.approximate)


def test_declaration_holds_what_was_declared() -> None:
    declared = FuseGelu.declaration
    assert ("fuse-gelu", (Fact.ONNX,), ("fold-constants",), 20) == (
        declared.name,
        declared.requires,
        declared.after,
        declared.needs_opset,
    )


def test_about_is_the_first_line_of_the_docstring() -> None:
    assert "Replace the erf formula by one Gelu." == FuseGelu.declaration.about


def test_a_pass_is_frozen() -> None:
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        FuseGelu().approximate = "tanh"


def test_a_pass_takes_options_by_keyword_only() -> None:
    with pytest.raises(TypeError):
        FuseGelu("tanh")


def test_a_pass_keeps_the_protocol() -> None:
    assert isinstance(FuseGelu(), Pass)


def test_a_mutable_default_is_not_shared() -> None:
    assert FuseGelu().names is not FuseGelu().names


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"approximate": "erf"}, "approximate must be one of none, tanh, not 'erf'"),
        ({"depth": 0}, "depth must be at least 1, not 0"),
        ({"depth": 10}, "depth must be at most 9, not 10"),
    ],
)
def test_options_are_validated(options: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        FuseGelu(**options)


def test_none_passes_the_limits() -> None:
    assert FuseGelu(depth=None).depth is None


@pytest.mark.parametrize("name", ["FuseGelu", "fuse_gelu", "", "-gelu", "fuse--gelu"])
def test_names_are_kebab_case(name: str) -> None:
    with pytest.raises(PlanError, match="is not a pass name"):
        a_pass(name)(FuseGelu)


def test_a_docstring_is_required() -> None:
    class Bare:
        def run(self, work: Work, note: Note) -> None: ...

    with pytest.raises(PlanError, match="has no docstring"):
        a_pass("bare")(Bare)


def test_run_is_required() -> None:
    class Lazy:
        """Do nothing."""

    with pytest.raises(PlanError, match="has no run"):
        a_pass("lazy")(Lazy)


def test_after_is_not_a_string() -> None:
    with pytest.raises(PlanError, match=r"after=\('trace',\)"):
        a_pass("late", after="trace")(FuseGelu)


def test_need_names_a_missing_fact() -> None:
    from lading.pipeline.work import Target

    with pytest.raises(Exception, match="no value for the fact 'axes'"):
        Work(target=Target(18)).need(Fact.AXES)


def test_every_fact_has_a_sentence() -> None:
    assert all(fact.meaning.endswith(".") for fact in Fact)


def test_no_option_has_the_name_of_a_key_of_every_step() -> None:
    with pytest.raises(PlanError, match="option 'enabled' of pass 'no-thing' has the name of a key of every step"):
        fake("no-thing", options={"enabled": (bool, option(True, help="Whether."))})


def test_the_reserved_names_are_the_keys_of_a_step() -> None:
    assert STEP_KEYS == RESERVED_OPTIONS

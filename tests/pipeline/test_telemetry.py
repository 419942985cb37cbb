# SPDX-License-Identifier: Apache-2.0
"""Events as records of `logging` and as spans of OpenTelemetry."""

from __future__ import annotations

import contextlib
import logging
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from lading.pipeline.errors import InternalError, UsageError
from lading.pipeline.facts import Fact
from lading.pipeline.note import Note
from lading.pipeline.run import run_plan
from lading.pipeline.telemetry import Spans, StandardLog
from lading.pipeline.work import Target, Work
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from support.fake_passes import STANDARD, fake, plan_of, registry_of

WHOLE = "[step.capture]\n[step.negate-twice]\n[step.look-around]\n[step.write]\nenabled = false\n"


def fail(self: Any, work: Work, note: Note) -> None:
    raise ZeroDivisionError("oh")


BROKEN = fake("broken", fail, requires=(Fact.ONNX,))
FAILING = "[step.capture]\n[step.broken]\n"


def run(folder: Path, text: str, sink: Any, *more: Any) -> None:
    plan = plan_of(folder, text, registry_of(*STANDARD, *more))
    with contextlib.suppress(InternalError):
        run_plan(plan, Work(target=Target(18)), [sink], model={"class": "Chain"})


class Recorded:
    """A tracer whose spans stay in memory."""

    def __init__(self) -> None:
        self.memory = InMemorySpanExporter()
        provider = TracerProvider()
        provider.add_span_processor(SimpleSpanProcessor(self.memory))
        self.tracer = provider.get_tracer("test")

    def named(self, name: str) -> Any:
        (span,) = (span for span in self.memory.get_finished_spans() if span.name == name)
        return span


@pytest.fixture
def recorded() -> Recorded:
    return Recorded()


def test_a_run_is_a_span_and_each_step_one_below_it(tmp_path: Path, recorded: Recorded) -> None:
    run(tmp_path, WHOLE, Spans(recorded.tracer))
    whole = recorded.named("lading.export")
    steps = [span for span in recorded.memory.get_finished_spans() if span is not whole]
    assert ["lading.pass capture", "lading.pass look-around", "lading.pass negate-twice"] == [s.name for s in steps]
    assert {whole.context.span_id} == {span.parent.span_id for span in steps}


def test_a_run_says_recipe_opset_and_model(tmp_path: Path, recorded: Recorded) -> None:
    run(tmp_path, WHOLE, Spans(recorded.tracer))
    said = recorded.named("lading.export").attributes
    assert ("test", 18, "Chain", "done") == tuple(
        said[f"lading.{key}"] for key in ("recipe", "opset", "model", "status")
    )


def test_a_step_says_what_it_did(tmp_path: Path, recorded: Recorded) -> None:
    run(tmp_path, WHOLE, Spans(recorded.tracer))
    said = recorded.named("lading.pass negate-twice").attributes
    assert ("applied", 4, 6, 2) == tuple(
        said[f"lading.{key}"] for key in ("outcome", "nodes.before", "nodes.after", "count.negated")
    )


def test_a_warning_is_an_event_of_its_step(tmp_path: Path, recorded: Recorded) -> None:
    run(tmp_path, WHOLE, Spans(recorded.tracer))
    (event,) = recorded.named("lading.pass look-around").events
    assert "nothing to see" == event.attributes["message"]


def test_a_skipped_step_is_an_event_of_the_run(tmp_path: Path, recorded: Recorded) -> None:
    run(tmp_path, WHOLE, Spans(recorded.tracer))
    (event,) = recorded.named("lading.export").events
    assert ("write", "not enabled") == (event.attributes["lading.step"], event.attributes["lading.reason"])


def test_a_failure_is_the_status_of_step_and_run(tmp_path: Path, recorded: Recorded) -> None:
    run(tmp_path, FAILING, Spans(recorded.tracer), BROKEN)
    codes = [recorded.named(name).status.status_code for name in ("lading.pass broken", "lading.export")]
    assert [trace.StatusCode.ERROR] * 2 == codes


def test_what_a_pass_calls_is_below_its_span(tmp_path: Path, recorded: Recorded) -> None:
    def work_on(self: Any, work: Work, note: Note) -> None:
        recorded.tracer.start_span("inside").end()

    calls = fake("calls", work_on, requires=(Fact.ONNX,))
    run(tmp_path, "[step.capture]\n[step.calls]\n", Spans(recorded.tracer), calls)
    assert recorded.named("lading.pass calls").context.span_id == recorded.named("inside").parent.span_id


def test_an_export_is_below_the_span_of_its_caller(tmp_path: Path, recorded: Recorded) -> None:
    with recorded.tracer.start_as_current_span("caller"):
        run(tmp_path, WHOLE, Spans(recorded.tracer))
    assert recorded.named("caller").context.span_id == recorded.named("lading.export").parent.span_id


@pytest.mark.parametrize(("text", "more"), [(WHOLE, ()), (FAILING, (BROKEN,))], ids=["done", "failed"])
def test_the_current_span_is_afterwards_what_it_was(text: str, more: Any, tmp_path: Path, recorded: Recorded) -> None:
    before = trace.get_current_span()
    run(tmp_path, text, Spans(recorded.tracer), *more)
    assert before is trace.get_current_span()


def test_without_opentelemetry_spans_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry", None)
    with pytest.raises(UsageError, match="OpenTelemetry is not installed"):
        Spans()


def test_steps_are_debug_messages(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, logger="lading")
    run(tmp_path, WHOLE, StandardLog())
    levels = {record.levelname for record in caplog.records if record.name == "lading" and "negate" in record.message}
    assert {"DEBUG"} == levels


def test_the_ends_of_a_run_are_information(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="lading")
    run(tmp_path, WHOLE, StandardLog())
    said = [record.lading_event["event"] for record in caplog.records if record.levelname == "INFO"]  # type: ignore[attr-defined]
    assert ["run.started", "run.finished"] == said


@pytest.mark.parametrize(
    ("text", "more", "level", "message"),
    [
        (WHOLE, (), "WARNING", "look-around: nothing to see"),
        (FAILING, (BROKEN,), "ERROR", "ZeroDivisionError: oh"),
    ],
    ids=["warning", "failure"],
)
def test_warnings_and_failures_are_what_they_are(
    text: str, more: Any, level: str, message: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    run(tmp_path, text, StandardLog(), *more)
    assert [level] == [record.levelname for record in caplog.records if message in record.message]


def test_nothing_is_shown_unless_logging_is_set_up() -> None:
    code = (
        "from lading.pipeline.telemetry import StandardLog\n"
        "StandardLog()({'event': 'x', 'step': 'a', 'warnings': [{'message': 'quiet'}]})"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ("", "") == (done.stdout, done.stderr)

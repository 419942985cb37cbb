# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from lading.pipeline.audit import JsonLines, without_volatile
from lading.pipeline.declare import a_pass
from lading.pipeline.errors import CaptureError, InternalError, UsageError
from lading.pipeline.facts import Fact
from lading.pipeline.note import Note
from lading.pipeline.origin import Origin, origin_of, set_origin
from lading.pipeline.plan import Plan
from lading.pipeline.run import run_plan, target_of
from lading.pipeline.work import Target, Work
from support.fake_passes import STANDARD, fake, plan_of, registry_of, resolved_of

GOLDEN = Path(__file__).parent / "golden"
TIDY = '[step.tidy]\nuntil-stable = ["drop-pair"]\nrounds = 4\n'
WHOLE = "[step.capture]\n[step.negate-twice]\ntimes = 2\n" + TIDY + "[step.look-around]\n[step.write]\n"


def plan(folder: Path, text: str, *more: Any) -> Plan:
    return plan_of(folder, text, registry_of(*STANDARD, *more))


def work() -> Work:
    return Work(target=Target(18))


def outcomes(events: list[dict[str, Any]]) -> list[tuple[str, str]]:
    told = ("pass.applied", "pass.unchanged", "pass.skipped", "pass.failed")
    return [(event["event"], event["step"]) for event in events if event["event"] in told]


def failed_run(plan: Plan, error: type[BaseException] = InternalError) -> tuple[Any, list[Any]]:
    seen: list[Any] = []
    with pytest.raises(error) as caught:
        run_plan(plan, work(), [seen.append])
    return caught.value, seen


def test_the_stream_of_events_is_the_golden_one(tmp_path: Path, golden: Callable[[Path, str], None]) -> None:
    events = without_volatile(run_plan(plan(tmp_path, WHOLE), work(), model={"class": "Chain"}))
    text = ""
    for event in events:
        # Versions are those of the machine, and places hold the folder of this test.
        event.pop("versions", None)
        text += json.dumps(event).replace(str(tmp_path), "FOLDER") + "\n"
    golden(GOLDEN / "events.jsonl", text)


def test_two_runs_give_the_same_events(tmp_path: Path) -> None:
    events = [without_volatile(run_plan(plan(tmp_path, WHOLE), work())) for _ in range(2)]
    assert events[0] == events[1]


def test_changed_is_what_the_hash_says(tmp_path: Path) -> None:
    liar = fake("liar", lambda self, work, note: note.count("changed", 99), requires=(Fact.ONNX,))
    events = run_plan(plan(tmp_path, "[step.capture]\n[step.liar]\n", liar), work())
    assert [("pass.applied", "capture"), ("pass.unchanged", "liar")] == outcomes(events)


def test_the_hash_after_is_the_hash_before_the_next(tmp_path: Path) -> None:
    graphs = [event["graph"] for event in run_plan(plan(tmp_path, WHOLE), work()) if "delta" in event]
    assert [after for _, after in graphs[:-1]] == [before for before, _ in graphs[1:]]


def test_a_group_runs_until_nothing_changes(tmp_path: Path) -> None:
    events = run_plan(plan(tmp_path, WHOLE), work())
    rounds = [event["event"] for event in events if event.get("step") == "drop-pair" and "delta" in event]
    assert ["pass.applied", "pass.applied", "pass.unchanged"] == rounds


def test_a_group_says_how_it_ended(tmp_path: Path) -> None:
    (event,) = (event for event in run_plan(plan(tmp_path, WHOLE), work()) if event["event"] == "group.finished")
    assert ("tidy", 3, True) == (event["group"], event["rounds"], event["stable"])


def test_a_group_stops_when_its_rounds_are_used_up(tmp_path: Path) -> None:
    text = WHOLE.replace("rounds = 4", "rounds = 1")
    (event,) = (event for event in run_plan(plan(tmp_path, text), work()) if event["event"] == "group.finished")
    assert (1, False) == (event["rounds"], event["stable"])


def test_a_member_is_not_run_again_on_a_graph_it_left_alone(tmp_path: Path) -> None:
    text = '[step.capture]\n[step.tidy]\nuntil-stable = ["a", "drop-pair"]\n[step.a]\npass = "look"\n'
    look = fake("look", requires=(Fact.ONNX,))
    events = run_plan(plan(tmp_path, text, look), work())
    assert ["capture", "a", "drop-pair"] == [step for _, step in outcomes(events)]


def test_new_nodes_carry_the_step_that_made_them(tmp_path: Path) -> None:
    place = work()
    run_plan(plan(tmp_path, '[step.capture]\n[step.more]\npass = "negate-twice"\n'), place)
    assert place.model is not None
    made = [origin_of(node).passes for node in place.model.graph]  # type: ignore[union-attr]
    assert [("capture",)] * 4 + [("more",)] * 2 == made


def test_the_origin_that_a_pass_gave_a_node_is_kept(tmp_path: Path) -> None:
    def derive(self: Any, work: Work, note: Note) -> None:
        import onnx_ir as ir

        assert work.model is not None
        node = ir.node("Abs", [work.model.graph.outputs[0]])
        work.model.graph.append(node)
        set_origin(node, Origin("encoder", "Encoder", "model.py:3", ("trace",)))

    place = work()
    run_plan(plan(tmp_path, "[step.capture]\n[step.derive]\n", fake("derive", derive, requires=(Fact.ONNX,))), place)
    assert place.model is not None
    expected = Origin("encoder", "Encoder", "model.py:3", ("trace", "derive"))
    assert expected == origin_of(list(place.model.graph)[-1])


def test_skipped_steps_are_events_with_their_reason(tmp_path: Path) -> None:
    events = run_plan(plan(tmp_path, "[step.capture]\nenabled = false\n"), work())
    assert [("capture", "not enabled")] == [(e["step"], e["reason"]) for e in events if e["event"] == "pass.skipped"]


def test_what_a_pass_declined_is_counted_by_reason(tmp_path: Path) -> None:
    def decline(self: Any, work: Work, note: Note) -> None:
        for index in range(30):
            note.declined(f"n{index}", "too large")

    event = run_plan(plan(tmp_path, "[step.no]\n", fake("no", decline)), work())[2]
    assert (30, 20) == (event["declined"]["too large"]["count"], len(event["declined"]["too large"]["nodes"]))


def test_decisions_and_warnings_are_on_record(tmp_path: Path) -> None:
    events = run_plan(plan(tmp_path, "[step.capture]\n[step.look-around]\n"), work())
    (event,) = (event for event in events if event.get("step") == "look-around" and "delta" in event)
    assert ["branch taken", "nothing to see"] == [event["decisions"][0]["what"], event["warnings"][0]["message"]]


def test_the_first_event_says_which_values_are_not_defaults(tmp_path: Path) -> None:
    opening = run_plan(plan(tmp_path, WHOLE), work())[0]
    sources = {key: entry["where"].rpartition("/")[2] for key, entry in opening["sources"].items()}
    group = {"tidy.until-stable": "test.toml:8", "tidy.rounds": "test.toml:9"}
    assert {"negate-twice.times": "test.toml:6", **group} == sources


def broken(self: Any, work: Work, note: Note) -> None:
    note.count("begun")
    work.model.graph[0].op_type = "Broken"  # type: ignore[union-attr]
    raise ZeroDivisionError("oh")


BROKEN = fake("broken", broken, requires=(Fact.ONNX,))
FAILING = "[step.capture]\n[step.broken]\n[step.write]\n"


def test_a_foreign_error_becomes_an_internal_one_chained_from_it(tmp_path: Path) -> None:
    error, _ = failed_run(plan(tmp_path, FAILING, BROKEN))
    assert ("broken", ZeroDivisionError) == (error.step, type(error.__cause__))


@a_pass("at-this-line", requires=(Fact.ONNX,))
class AtThisLine:
    """Fail in code of another file."""

    def run(self, work: Work, note: Note) -> None:
        """Ask for what is not there."""
        del note
        work.need(Fact.AXES).strip()
        json.loads("{")


def test_a_foreign_error_names_the_line_in_the_file_of_the_pass(tmp_path: Path) -> None:
    place = work()
    place.provide(Fact.AXES, "x")
    with pytest.raises(InternalError) as caught:
        run_plan(plan(tmp_path, "[step.capture]\n[step.at-this-line]\n", AtThisLine), place)
    line = next(n for n, text in enumerate(Path(__file__).read_text().splitlines(), 1) if 'json.loads("{")' in text)
    assert f"test_run.py:{line}" in str(caught.value.where)


def test_an_error_of_lading_stays_as_it_is_and_learns_its_step(tmp_path: Path) -> None:
    def refuse(self: Any, work: Work, note: Note) -> None:
        raise CaptureError("axis fixed", where="model.py:3")

    error, _ = failed_run(plan(tmp_path, "[step.refuse]\n", fake("refuse", refuse)), CaptureError)
    assert ("model.py:3", "refuse") == (error.where, error.step)


def test_a_failure_ends_the_stream(tmp_path: Path) -> None:
    _, events = failed_run(plan(tmp_path, FAILING, BROKEN))
    assert ["pass.failed", "run.finished"] == [event["event"] for event in events[-2:]]


def test_a_failed_step_still_shows_what_it_noted_and_changed(tmp_path: Path) -> None:
    _, events = failed_run(plan(tmp_path, FAILING, BROKEN))
    assert ({"begun": 1}, [0, 1]) == (events[-2]["counts"], events[-2]["delta"]["operators"]["Broken"])


def test_the_last_event_says_what_failed(tmp_path: Path) -> None:
    _, events = failed_run(plan(tmp_path, FAILING, BROKEN))
    assert ("failed", "broken") == (events[-1]["status"], events[-1]["failed_step"])


def test_an_interrupt_goes_through_and_is_on_record(tmp_path: Path) -> None:
    def interrupt(self: Any, work: Work, note: Note) -> None:
        raise KeyboardInterrupt

    _, events = failed_run(plan(tmp_path, "[step.stop]\n", fake("stop", interrupt)), KeyboardInterrupt)
    assert ("pass.failed", "interrupted") == (events[-2]["event"], events[-1]["status"])


def test_a_log_that_fills_the_disk_fails_the_run(tmp_path: Path) -> None:
    full = Path("/dev/full")
    if not full.exists():
        pytest.skip("there is no /dev/full on this system")
    with (
        pytest.raises(UsageError, match="audit log cannot be written: No space left on device"),
        JsonLines(full) as sink,
    ):
        run_plan(plan(tmp_path, WHOLE), work(), [sink])


def test_a_log_that_fails_does_not_hide_the_error_of_a_pass(tmp_path: Path) -> None:
    def sink(event: Any) -> None:
        if event["event"] in ("pass.failed", "run.finished"):
            raise UsageError("full")

    with pytest.raises(InternalError, match="ZeroDivisionError: oh"):
        run_plan(plan(tmp_path, FAILING, BROKEN), work(), [sink])


def test_latest_is_the_newest_opset_of_onnx(tmp_path: Path) -> None:
    import onnx.defs

    resolved = resolved_of(tmp_path, '[target]\nopset = "latest"\n', registry_of())
    assert Target(onnx.defs.onnx_opset_version(), {}) == target_of(resolved)


def test_an_opset_beyond_onnx_is_refused(tmp_path: Path) -> None:
    resolved = resolved_of(tmp_path, "[target]\nopset = 99\n", registry_of())
    with pytest.raises(UsageError, match=re.escape("opset 99 is newer than the installed onnx")):
        target_of(resolved)

# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
import structlog
from lading.pipeline.audit import EVENTS, KEYS, SCHEMA, VOLATILE, AuditLog, JsonLines, read_log, without_volatile
from lading.pipeline.errors import InternalError, UsageError

SKIPPED = {
    "step": "a",
    "pass": "a",
    "spec": "a",
    "group": None,
    "round": None,
    "index": None,
    "reason": "not enabled",
}
STARTED: dict[str, Any] = {
    "schema": SCHEMA,
    "recipe": "inference",
    "recipe_hash": "4db0",
    "target": {"opset": 18, "custom_opsets": {}},
    "steps": 0,
    "model": {},
    "versions": {"python": "3.12.1"},
    "resolved": {"recipe": {}, "target": {}, "step": {}},
    "sources": {},
    "plan": [],
    "time": "2026-01-01T00:00:00+00:00",
}
FINISHED: dict[str, Any] = {
    "status": "done",
    "failed_step": None,
    **dict.fromkeys(("applied", "unchanged", "skipped", "warned", "nodes"), 0),
    "final": "",
    "ms": 1.5,
    "cpu_ms": 1,
    "peak_mb": None,
}
STARTED_LINE = json.dumps({"event": "run.started", "seq": 0, **STARTED}) + "\n"


def line(event: str, **values: Any) -> str:
    return json.dumps({"event": event, **values}) + "\n"


def test_every_key_of_every_event_is_documented() -> None:
    assert set(KEYS) == {key for keys in EVENTS.values() for key in keys}


@pytest.mark.parametrize("event", EVENTS)
def test_volatile_keys_come_last(event: str) -> None:
    volatile = [key in VOLATILE for key in EVENTS[event]]
    assert sorted(volatile) == volatile


def test_events_have_their_keys_in_order_and_a_number() -> None:
    log = AuditLog()
    log.emit("pass.skipped", **dict(reversed(SKIPPED.items())))
    assert list(EVENTS["pass.skipped"]) == list(log.events[0])


def test_events_are_numbered() -> None:
    log = AuditLog()
    for _ in range(3):
        log.emit("pass.skipped", **SKIPPED)
    assert [0, 1, 2] == [event["seq"] for event in log.events]


def test_an_unknown_event_is_refused() -> None:
    with pytest.raises(InternalError, match=r"no event is called 'pass\.done'"):
        AuditLog().emit("pass.done")


def test_a_missing_key_is_refused() -> None:
    with pytest.raises(InternalError, match="wrong keys: reason"):
        AuditLog().emit("pass.skipped", **{key: value for key, value in SKIPPED.items() if key != "reason"})


def test_values_become_plain_data() -> None:
    log = AuditLog()
    log.emit("pass.skipped", **{**SKIPPED, "reason": (1, math.inf, Path("x"), object())})
    assert [1, "inf", "x", "<builtins.object>"] == log.events[0]["reason"]


def test_sinks_get_what_the_list_gets() -> None:
    seen: list[Any] = []
    log = AuditLog([seen.append])
    log.emit("pass.skipped", **SKIPPED)
    assert log.events == seen


def test_the_global_configuration_of_structlog_plays_no_part() -> None:
    def refuse(*_: Any) -> Any:
        raise AssertionError("used")

    before = structlog.get_config()
    structlog.configure(processors=[refuse])
    try:
        AuditLog().emit("pass.skipped", **SKIPPED)
        assert [refuse] == structlog.get_config()["processors"]
    finally:
        structlog.configure(**before)
        structlog.reset_defaults()


def test_a_log_file_has_one_line_an_event(tmp_path: Path) -> None:
    with JsonLines(tmp_path / "log.jsonl") as sink:
        log = AuditLog([sink])
        log.emit("run.started", **STARTED)
        log.emit("pass.skipped", **{**SKIPPED, "reason": "line\nbreak, ümlaut, \udc80"})
    lines = (tmp_path / "log.jsonl").read_text(encoding="utf-8").splitlines()
    assert ["run.started", "pass.skipped"] == [json.loads(line)["event"] for line in lines]


def test_a_line_is_there_before_the_file_is_closed(tmp_path: Path) -> None:
    with JsonLines(tmp_path / "log.jsonl") as sink:
        AuditLog([sink]).emit("run.started", **STARTED)
        assert 1 == len(read_log(tmp_path / "log.jsonl")[0])


def test_runs_share_a_file(tmp_path: Path) -> None:
    for _ in range(2):
        with JsonLines(tmp_path / "log.jsonl") as sink:
            log = AuditLog([sink])
            log.emit("run.started", **STARTED)
            log.emit("run.finished", **FINISHED)
    assert [2, 2] == [len(run) for run in read_log(tmp_path / "log.jsonl")]


def test_a_torn_line_harms_neither_its_run_nor_the_next(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    with JsonLines(path) as sink:
        AuditLog([sink]).emit("run.started", **STARTED)
    with path.open("ab") as file:
        file.write(b'{"event": "pass.star')
    with JsonLines(path) as sink:
        AuditLog([sink]).emit("run.started", **STARTED)
    assert [1, 1] == [len(run) for run in read_log(path)]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "the audit log is empty"),
        ("hello\n{}\n", "not a line of JSON"),
        ('{"event": "other"}\n', "not an event of an audit log"),
        ("[1]\n", "not an event of an audit log"),
        ('{"event": ["run.started"]}\n', "not an event of an audit log"),
        ('{"event": "pass.started", "seq": 3}\n', "does not begin with run.started"),
        (STARTED_LINE.replace(f'"schema": {SCHEMA}', '"schema": 1'), "the log has schema 1"),
        (STARTED_LINE.replace('"steps": 0', '"steps": "many"'), "'steps' is string, not integer"),
        (STARTED_LINE.replace('"steps": 0', '"stops": 0'), "run.started has no 'steps'"),
        (STARTED_LINE + line("pass.skipped", seq=1, **SKIPPED, more=1), "pass.skipped has no key 'more'"),
        (STARTED_LINE + line("pass.skipped", seq=2, **SKIPPED), "event 2 stands where event 1 should"),
        (STARTED_LINE + line("run.finished", seq=1, **FINISHED) * 2, "event 1 stands where event 2 should"),
        (
            STARTED_LINE + line("run.finished", seq=1, **FINISHED) + line("pass.skipped", seq=2, **SKIPPED),
            "pass.skipped after the run has finished",
        ),
        (STARTED_LINE + '{"event": ' + "[" * 100_000 + "\n{}\n", "not a line of JSON"),
    ],
)
def test_what_is_no_log_is_refused(content: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    path.write_text(content)
    with pytest.raises(UsageError, match=message):
        read_log(path)


def test_the_error_names_the_line(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    path.write_text(STARTED_LINE + "\n" + line("pass.skipped", seq=1, **{**SKIPPED, "reason": 3}))
    with pytest.raises(UsageError) as caught:
        read_log(path)
    assert f"{path}:3" == caught.value.where


def test_a_missing_log_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="audit log cannot be read"):
        read_log(tmp_path / "missing.jsonl")


def test_a_log_that_cannot_be_written_is_said_at_once(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="audit log cannot be written"):
        JsonLines(tmp_path / "missing" / "log.jsonl")


def test_volatile_keys_can_be_left_out() -> None:
    assert [{"event": "x"}] == without_volatile([{"event": "x", "ms": 3.0, "time": "now"}])

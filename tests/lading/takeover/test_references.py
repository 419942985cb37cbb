# SPDX-License-Identifier: Apache-2.0
"""Who calls PyTorch's exporter while it is taken over reaches lading, whatever way the function came to them."""

from __future__ import annotations

import functools
import gc
import inspect
import subprocess
import sys
import threading
import types

import pytest
import torch
import torch.onnx.utils

import lading

X = torch.ones(2, 3)
SIGNATURES = {function: inspect.signature(function) for function in (torch.onnx.export, torch.onnx.utils.export)}


class Double(torch.nn.Module):
    def forward(self, x):
        return x * 2


def served(export) -> bool:
    """Whether a call of `export` is an export of lading's."""
    return isinstance(export(Double().eval(), (X,), None), lading.Exported)


class Library:
    """A class that keeps the function as an attribute."""

    export = staticmethod(torch.onnx.export)


def with_default(model, args, f, export=torch.onnx.export):
    return export(model, args, f)


earlier = torch.onnx.export
partial = functools.partial(torch.onnx.export, input_names=["x"])


@functools.wraps(torch.onnx.export)
def wrapper(*args, **kwargs):
    return earlier(*args, **kwargs)


@pytest.mark.parametrize(
    "reference",
    [
        lambda *args: torch.onnx.export(*args),
        lambda *args: torch.onnx.utils.export(*args),
        lambda *args: sys.modules[__name__].earlier(*args),
        Library.export,
        with_default,
        partial,
        wrapper,
    ],
    ids=["attribute", "utils", "module global", "class attribute", "default argument", "partial", "wrapper under it"],
)
def test_references_taken_earlier_are_served(reference):
    with lading.taking_over():
        assert served(reference)


def test_a_wrapper_that_is_put_over_it_meanwhile_goes_on_working(monkeypatch):
    calls = []

    def over(*args, **kwargs):
        calls.append(args)
        return earlier(*args, **kwargs)

    with lading.taking_over():
        monkeypatch.setattr(torch.onnx, "export", over)
        assert served(lambda *args: torch.onnx.export(*args))
    assert 1 == len(calls)


def test_a_wrapper_that_was_put_over_it_before_goes_on_working(monkeypatch):
    calls = []

    def over(*args, **kwargs):
        calls.append(args)
        return earlier(*args, **kwargs)

    monkeypatch.setattr(torch.onnx, "export", over)
    with lading.taking_over():
        assert served(lambda *args: torch.onnx.export(*args))
    assert 1 == len(calls)
    assert torch.onnx.export is over


def test_a_replacement_without_pytorchs_own_is_an_error(monkeypatch):
    monkeypatch.setattr(torch.onnx, "export", lambda *args: None)
    monkeypatch.setattr(gc, "get_objects", lambda: [])
    with (
        pytest.raises(lading.UsageError, match=r"torch\.onnx\.export has been replaced by .*lambda"),
        lading.taking_over(),
    ):
        pass


# ---- what is put back ------------------------------------------------------------------------------------------------


def state():
    return [(function, function.__code__, function.__defaults__, dict(function.__dict__)) for function in SIGNATURES]


def test_all_is_put_back():
    before = state()
    with lading.taking_over():
        served(torch.onnx.export)
    assert before == state()


def test_all_is_put_back_after_an_error():
    before = state()
    with pytest.raises(ZeroDivisionError), lading.taking_over():
        raise ZeroDivisionError
    assert before == state()


def test_all_is_put_back_after_an_export_that_fails():
    before = state()
    with pytest.raises(lading.UsageError), lading.taking_over():
        torch.onnx.export(Double(), ())
    assert before == state()


def test_install_lasts_until_uninstall():
    before = state()
    lading.install()
    assert served(torch.onnx.export)
    lading.uninstall()
    assert before == state()


def test_uninstall_without_install():
    with pytest.raises(lading.UsageError, match="nothing is installed"):
        lading.uninstall()


@pytest.mark.parametrize("function", SIGNATURES, ids=["export", "utils.export"])
def test_the_signature_is_the_functions_own(function):
    with lading.taking_over():
        assert SIGNATURES[function] == inspect.signature(function)


def test_a_recipe_at_fault_is_said_when_the_takeover_begins():
    before = state()
    with pytest.raises(lading.RecipeError, match="inferense"), lading.taking_over("inferense"):
        pass
    with pytest.raises(lading.RecipeError, match="fold_constants"), lading.taking_over(settings=["fold_constants.x=1"]):
        pass
    assert before == state()


# ---- which terms count -----------------------------------------------------------------------------------------------


def opset(export=torch.onnx.export) -> int:
    return export(Double().eval(), (X,)).opset


def test_the_innermost_counts():
    with lading.taking_over(settings=["target.opset=13"]):
        with lading.taking_over(settings=["target.opset=15"]):
            assert 15 == opset()
        assert 13 == opset()


def test_a_context_goes_before_what_is_installed():
    lading.install(settings=["target.opset=13"])
    try:
        with lading.taking_over(settings=["target.opset=15"]):
            assert 15 == opset()
        assert 13 == opset()
    finally:
        lading.uninstall()


def in_thread(function):
    found = []
    thread = threading.Thread(target=lambda: found.append(function()))
    thread.start()
    thread.join()
    return found[0]


def test_a_thread_without_a_context_of_its_own_is_served_too():
    with lading.taking_over(settings=["target.opset=13"]):
        assert 13 == in_thread(opset)


def test_a_thread_keeps_to_its_own_context():
    ready, over = threading.Event(), threading.Event()
    found = []

    def other():
        with lading.taking_over(settings=["target.opset=15"]):
            ready.set()
            over.wait(60)
            found.append(opset())

    thread = threading.Thread(target=other)
    with lading.taking_over(settings=["target.opset=13"]):
        thread.start()
        ready.wait(60)
        assert 13 == opset()
    over.set()
    thread.join()
    assert [15] == found


def test_exports_of_several_threads_at_once():
    with lading.taking_over() as takeover:
        threads = [threading.Thread(target=opset) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert ["done"] * 4 == [export.status for export in takeover.exports]


def test_a_context_that_a_generator_leaves_open_ends_with_it():
    before = state()

    def generator():
        with lading.taking_over():
            yield opset()

    made = generator()
    next(made)
    made.close()
    assert before == state()


# ---- before torch.onnx is there --------------------------------------------------------------------------------------

LATE = """
import sys
import lading
lading.install()
assert not {"torch", "onnx"} & set(sys.modules)
import torch
assert "torch.onnx" not in sys.modules
from torch.onnx import export
model = torch.nn.Linear(2, 2).eval()
assert isinstance(export(model, (torch.ones(1, 2),), None), lading.Exported)
lading.uninstall()
assert "__signature__" not in export.__dict__
assert "exec_module" not in vars(torch.onnx.__loader__)
"""


def test_torch_onnx_is_taken_over_when_it_is_imported():
    assert 0 == subprocess.run([sys.executable, "-c", LATE]).returncode


GONE = """
import sys
import lading
finders = list(sys.meta_path)
with lading.taking_over():
    pass
assert finders == sys.meta_path
import torch.onnx
assert "__signature__" not in torch.onnx.export.__dict__
"""


def test_a_takeover_that_ends_first_leaves_nothing():
    assert 0 == subprocess.run([sys.executable, "-c", GONE]).returncode


def test_the_function_stays_the_object_that_it_was():
    with lading.taking_over():
        assert torch.onnx.export is earlier
        assert isinstance(torch.onnx.export, types.FunctionType)

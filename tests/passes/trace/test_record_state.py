# SPDX-License-Identifier: Apache-2.0
"""Whatever happens during capture, the model and torch are afterwards what they were."""

from __future__ import annotations

import contextlib
import copy

import pytest
import torch
from lading.pipeline.errors import CaptureError
from torch import nn

import lading


class Stateful(nn.Module):
    """Does about everything to itself that a forward can do, and fails on request."""

    def __init__(self):
        super().__init__()
        self.norm = nn.BatchNorm1d(3)
        self.drop = nn.Dropout(0.5)
        self.register_buffer("count", torch.zeros(()))
        self.register_buffer("last", torch.zeros(2, 3), persistent=False)
        self.plain = torch.zeros(3)
        self.history = []
        self.cache = {}
        self.calls = 0
        self.fail = False

    def forward(self, x):
        self.count += 1
        self.last = x * 2
        self.plain.add_(x.sum(0))
        self.history.append(x)
        self.cache["x"] = x
        self.calls += 1
        self.extra = x
        self.norm.eval()
        self.drop.register_forward_hook(lambda *_: None)
        torch.manual_seed(0)
        torch.set_default_dtype(torch.float64)
        torch.set_grad_enabled(True)
        if self.fail:
            raise ValueError("no luck")
        return self.drop(self.norm(x)) + self.count + self.last + self.plain


def snapshot(model):
    plain = {
        name: {key: (id(value), copy.copy(value)) for key, value in vars(module).items() if key[0] != "_"}
        for name, module in model.named_modules()
    }
    hooks = {name: len(module._forward_hooks) for name, module in model.named_modules()}
    values = {name: (id(value), value.clone()) for name, value in model.state_dict(keep_vars=True).items()}
    return plain, hooks, values


def same(before, after):
    plain, hooks, values = before
    assert plain.keys() == after[0].keys()
    for name in plain:
        assert plain[name].keys() == after[0][name].keys()
        for key, (identity, value) in plain[name].items():
            assert identity == after[0][name][key][0], key
            if isinstance(value, torch.Tensor):
                assert torch.equal(value, after[0][name][key][1])
            elif isinstance(value, (list, dict)):
                assert value == after[0][name][key][1]
    assert hooks == after[1]
    for name, (identity, value) in values.items():
        assert identity == after[2][name][0], name
        assert torch.equal(value, after[2][name][1]), name
    return True


@pytest.fixture(params=[False, True], ids=["success", "failure"])
def attempt(request, captured):
    def run(**options):
        model = Stateful().train()
        model.norm.eval()
        model.fail = request.param
        before = snapshot(model)
        if request.param:
            with pytest.raises(CaptureError, match="no luck"):
                captured(model, torch.arange(6.0).reshape(2, 3), **options)
        else:
            captured(model, torch.arange(6.0).reshape(2, 3), **options)
        return before, snapshot(model)

    return run


@pytest.mark.parametrize("training", ["eval", "preserve", "train"])
def test_module_is_bit_for_bit_what_it_was(attempt, training):
    assert same(*attempt(training=training))


@pytest.mark.parametrize("training", ["eval", "train"])
@pytest.mark.parametrize("strategy", ["export", "jit-trace"])
def test_nor_does_another_strategy_change_it(strategy, training):
    model = Stateful().train()
    before = snapshot(model)
    with contextlib.suppress(lading.LadingError):
        x = torch.arange(6.0).reshape(2, 3)
        lading.export(model, x, training=training, settings=[f"trace.strategy={strategy}"])
    assert same(before, snapshot(model))


class Counting(nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("count", torch.zeros(()))

    def forward(self, x):
        self.count += 1
        return x * self.count


@pytest.mark.parametrize("strategy", ["record", "export", "jit-trace"])
def test_the_file_starts_from_the_state_that_the_model_has(strategy):
    model, x = Counting(), torch.randn(2, 3)
    exported = lading.export(model, x, settings=[f"trace.strategy={strategy}"])
    assert 0 == model.count
    torch.testing.assert_close(x, torch.from_numpy(exported(x)[0]))


def test_random_state_is_what_it_was(attempt):
    before = torch.get_rng_state()
    attempt()
    assert torch.equal(before, torch.get_rng_state())


def test_torch_settings_are_what_they_were(attempt):
    attempt()
    assert (torch.float32, True) == (torch.get_default_dtype(), torch.is_grad_enabled())


def test_global_hooks_are_gone(attempt):
    attempt()
    hooks = torch.nn.modules.module
    assert (0, 0) == (len(hooks._global_forward_pre_hooks), len(hooks._global_forward_hooks))


QUESTIONS = {
    "onnx-export": lambda: torch.onnx.is_in_onnx_export(),
    "compiling": lambda: torch.compiler.is_compiling(),
    "exporting": lambda: torch.compiler.is_exporting(),
    "tracing": lambda: torch.jit.is_tracing(),
}


def answers() -> set[str]:
    return {name for name, question in QUESTIONS.items() if question()}


@pytest.mark.parametrize(
    "asked_for", [("onnx-export", "compiling", "exporting"), ("tracing",), (), tuple(QUESTIONS)], ids=str
)
@pytest.mark.parametrize("strategy", ["record", "export"])
def test_libraries_get_the_answers_that_the_option_says(asked_for, strategy):
    found = []

    def model(x):
        found.append(answers())
        return x + 1

    exported = lading.export(model, torch.randn(2), overrides={"trace.answers": asked_for, "trace.strategy": strategy})
    # torch.export says by itself that it compiles and exports.
    own = set() if strategy == "record" else {"compiling", "exporting"}
    assert {*asked_for} | own == found[-1] | own
    decisions = [decision for event in exported.events for decision in event.get("decisions") or ()]
    told = [decision["details"] for decision in decisions if decision["what"] == "answered with yes"]
    assert [{"questions": list(asked_for)}] == told


def test_flags_of_an_export_are_put_back(attempt):
    before = torch.jit.is_tracing
    attempt()
    assert set() == answers()
    assert before is torch.jit.is_tracing


def test_an_answer_that_there_is_not():
    with pytest.raises(lading.RecipeError, match=r"answers must be one of .*, not 'scripting'"):
        lading.export(lambda x: x, torch.randn(2), settings=["trace.answers=['tracing', 'scripting']"])


def test_ordinary_torch_works_after_a_failure(captured):
    def model(x):
        raise ValueError("no luck")

    with pytest.raises(CaptureError):
        captured(model, torch.randn(2))
    x = torch.ones(2)
    x += 1
    assert [2.0, 2.0] == x.tolist()


def test_writes_to_buffers_and_attributes_are_noted(captured):
    result = captured(Stateful(), torch.arange(6.0).reshape(2, 3))
    assert {"count", "last", "plain"} == set(result.capture.buffer_writes)


def test_eager_leaves_the_model_alone(captured):
    model = Stateful().train()
    arguments = captured(model, torch.arange(6.0).reshape(2, 3), training="train").arguments
    before = snapshot(model)
    arguments.eager([torch.arange(6.0).reshape(2, 3)])
    assert same(before, snapshot(model))


def test_mode_set_by_a_train_of_the_users_own_changes_no_weight(captured):
    class Merging(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = nn.Parameter(torch.ones(2))
            self.delta = nn.Parameter(torch.full((2,), 0.5))
            self.merged = False

        def train(self, mode=True):
            super().train(mode)
            if not mode and not self.merged:
                self.weight.data += self.delta
                self.merged = True
            return self

        def forward(self, x):
            return x * self.weight

    model = Merging()
    result = captured(model, torch.randn(2))
    assert [1.0, 1.0] == model.weight.tolist()
    assert result.same_as_eager()

# SPDX-License-Identifier: Apache-2.0
"""`training` EVAL, PRESERVE and TRAINING: the right numbers, the right operators, and a model left as it was."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
from support.files import attributes, close, constants, decisions, graph, initializers, inputs, operators, outputs, run
from torch import nn

import lading
from lading import UsageError

OPSETS = (7, 9, 12, 13, 14, 15, 18)
X = torch.randn(4, 2, 5, 5, generator=torch.Generator().manual_seed(1))


def network(channels: int = 3, ratio: float = 0.0) -> nn.Module:
    """Convolution, normalisation with statistics that are no longer fresh, dropout, and the same nested."""
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(2, channels, 3),
        nn.BatchNorm2d(channels),
        nn.Sequential(nn.Dropout(ratio), nn.ReLU(), nn.BatchNorm2d(channels, momentum=0.3)),
    )
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            for tensor in (module.running_mean, module.running_var, module.weight.data, module.bias.data):
                tensor.uniform_(0.5, 1.5)
    return model


def everything(model: nn.Module) -> dict[str, Any]:
    """State, training flags, gradients and hooks of a model, and torch's random state."""
    found: dict[str, Any] = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    for path, module in model.named_modules():
        found[f"{path}:training"] = module.training
        found[f"{path}:attributes"] = sorted(vars(module))
        found[f"{path}:hooks"] = len(module._forward_hooks) + len(module._forward_pre_hooks)
    return {**found, "random": torch.get_rng_state(), "grad": torch.is_grad_enabled()}


def same(before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    """Return the names of what differs, to the last bit."""
    differs = [
        name
        for name, value in before.items()
        if not (torch.equal(value, after[name]) if isinstance(value, torch.Tensor) else value == after[name])
    ]
    return sorted({*differs, *(before.keys() ^ after.keys())})


def eager(model: nn.Module, flags: Callable[[nn.Module], None]) -> torch.Tensor:
    """Run a copy of a model after `flags` has set its modes."""
    copied = copy.deepcopy(model)
    flags(copied)
    with torch.no_grad():
        return copied(X)


# ---- numbers: mode of the model x TrainingMode x folding -------------------------------------------------------------


def all_train(model: nn.Module) -> None:
    model.train()


def all_eval(model: nn.Module) -> None:
    model.eval()


def frozen_first(model: nn.Module) -> None:
    model.train()[1].eval()


def frozen_nested(model: nn.Module) -> None:
    model.train()[2].eval()


def only_nested(model: nn.Module) -> None:
    model.eval()[2].train()


MODES = (all_train, all_eval, frozen_first, frozen_nested, only_nested)


@pytest.mark.parametrize(("opset", "fold"), [(9, None), (14, None), (18, True), (18, False)], ids=str)
@pytest.mark.parametrize("training", ["EVAL", "PRESERVE", "TRAINING"])
@pytest.mark.parametrize("mode", MODES)
def test_the_numbers_are_those_of_pytorch_in_the_same_mode(mode, training, fold, opset):
    model = network()
    mode(model)
    before = everything(model)
    asked = {"EVAL": all_eval, "PRESERVE": lambda _: None, "TRAINING": all_train}[training]
    result = lading.export(
        model, X, training=getattr(torch.onnx.TrainingMode, training), do_constant_folding=fold, opset_version=opset
    )
    for _ in range(2):
        assert close(eager(model, asked), run(result, {"input": X})[0])
    assert [] == same(before, everything(model))


@pytest.mark.parametrize("opset", [13, 14, 18])
@pytest.mark.parametrize("channels", [8, 9])
def test_a_model_fresh_from_its_constructor(channels, opset):
    # Its scale equals its variance and its shift its mean, which a runtime must not take for one tensor.
    model = nn.Sequential(nn.Conv2d(2, channels, 1), nn.BatchNorm2d(channels), nn.BatchNorm2d(channels))
    result = lading.export(model, X, training="train", opset_version=opset)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(
        result.model_proto.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    for _ in range(3):
        assert close(eager(model, all_train), session.run(None, {"input": X.numpy()})[0])


@pytest.mark.parametrize(
    "module",
    [
        nn.BatchNorm2d(2, affine=False),
        nn.BatchNorm2d(2, track_running_stats=False),
        nn.BatchNorm2d(2, momentum=None),
        nn.BatchNorm2d(2, eps=0.1),
        nn.InstanceNorm2d(2, track_running_stats=True),
    ],
    ids=lambda module: repr(module)[:40],
)
@pytest.mark.parametrize("opset", [9, 14, 18])
def test_normalisations_of_every_kind(module, opset):
    before = everything(module)
    result = lading.export(module, X, training="train", opset_version=opset)
    assert close(eager(module, all_train), run(result, {"input": X})[0])
    assert [] == same(before, everything(module))


@pytest.mark.parametrize(("shape", "layer"), [((4, 3), nn.BatchNorm1d), ((4, 3, 2), nn.BatchNorm1d)], ids=["2d", "3d"])
def test_normalisation_of_other_ranks(shape, layer):
    x = torch.randn(shape)
    model = layer(3).train()
    result = lading.export(copy.deepcopy(model), x, training="preserve")
    assert close(model(x), run(result, {"input": x})[0])


# ---- operators -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("opset", OPSETS)
def test_normalisation_has_its_training_form_where_the_opset_has_one(opset):
    result = lading.export(network(), X, training="train", opset_version=opset)
    trained = [attributes(node).get("training_mode") for node in graph(result).node if "Batch" in node.op_type]
    assert ([1, 1] if opset >= 14 else []) == trained


@pytest.mark.parametrize("opset", OPSETS)
def test_dropout_has_its_training_form_where_the_opset_has_one(opset):
    result = lading.export(nn.Dropout(0.25), X, training="train", opset_version=opset)
    if opset < 12:
        assert {"RandomUniformLike"} <= set(operators(result))
        return
    (node,) = (node for node in graph(result).node if node.op_type == "Dropout")
    values = constants(result)
    assert [0.25, True] == [values[name] for name in node.input[1:]]


@pytest.mark.parametrize("opset", OPSETS)
def test_dropout_drops_that_share_and_scales_the_rest(opset):
    x = torch.ones(100, 100)
    got = run(lading.export(nn.Dropout(0.25), x, training="train", opset_version=opset), {"input": x})[0]
    assert {0.0, 1.3333334} == {round(float(value), 7) for value in np.unique(got)}
    assert 0.25 == pytest.approx((got == 0).mean(), abs=0.03)


@pytest.mark.parametrize("training", ["eval", "preserve"])
def test_dropout_of_a_model_in_evaluation_mode_is_nothing(training):
    assert ["Identity"] == operators(lading.export(nn.Dropout(0.25).eval(), X, training=training))


@pytest.mark.parametrize("layer", [nn.Dropout1d, nn.Dropout2d, nn.Dropout3d, nn.AlphaDropout, nn.FeatureAlphaDropout])
def test_every_dropout_is_random_in_training(layer):
    x = torch.ones(4, 8, 3) if layer is nn.Dropout1d else torch.ones(4, 8, 3, 3, 3) if layer is nn.Dropout3d else None
    x = torch.ones(4, 8, 3, 3) if x is None else x
    got = run(lading.export(layer(0.5), x, training="train"), {"input": x})[0]
    assert 1 < len(np.unique(got))


def test_mixed_flags_of_nested_modules_are_each_kept():
    model = network(ratio=0.5)
    frozen_first(model)
    result = lading.export(model, X, training="preserve")
    assert ["Conv", "BatchNormalization", "Dropout", "Relu", "BatchNormalization"] == operators(result)
    modes = [attributes(node).get("training_mode", 0) for node in graph(result).node if "Batch" in node.op_type]
    assert [0, 1] == modes


def test_a_module_that_refuses_training_stays_as_it_is():
    class Frozen(nn.BatchNorm2d):
        def train(self, mode=True):
            return super().train(False)

    (node,) = graph(lading.export(Frozen(2), X, training="train")).node
    assert 0 == attributes(node).get("training_mode", 0)


# ---- what is trained keeps its name and its value --------------------------------------------------------------------


@pytest.mark.parametrize(
    "arguments",
    [
        {"training": "train"},
        {"training": "train", "do_constant_folding": True},
        {"training": "preserve"},
        {"recipe": "training"},
        {"recipe": "training-preserve"},
        {"overrides": {"normalize-arguments.training": "train"}},
    ],
    ids=str,
)
def test_every_weight_is_in_the_file_as_it_is_trained(arguments):
    model = nn.Sequential(network(), nn.Flatten(2), nn.Linear(9, 4))
    frozen_first(model[0])
    result = lading.export(model, X, **arguments)
    state = {name: tensor for name, tensor in model.state_dict().items() if "tracked" not in name}
    assert set(state) <= set(initializers(result))
    stored = constants(result)
    assert [] == [name for name, tensor in state.items() if tensor.tolist() != stored[name]]


def test_a_model_that_preserves_evaluation_mode_is_folded():
    assert ["Conv", "Relu", "BatchNormalization"] == operators(lading.export(network().eval(), X, training="preserve"))


def test_folding_in_training_still_folds_constants():
    def model(x):
        return x * (torch.ones(3).exp() + 1)

    assert ["Mul"] == operators(lading.export(model, torch.ones(3), training="train", do_constant_folding=True))


def test_equal_weights_are_not_taken_for_one_where_a_run_moves_them():
    model = nn.BatchNorm2d(16)
    x = torch.randn(4, 16, 2, 2)
    result = lading.export(model, x, training="train", overrides={"initializers.share_equal_weights": True})
    (node,) = graph(result).node
    assert 4 == len(set(node.input[1:]))
    session = onnxruntime.InferenceSession(result.model_proto.SerializeToString(), providers=["CPUExecutionProvider"])
    expected = copy.deepcopy(model).train()(x)
    for _ in range(3):
        assert close(expected, session.run(None, {"input": x.numpy()})[0])


@pytest.mark.parametrize("training", ["train", "preserve"])
def test_weights_as_inputs_of_a_training_file(training):
    model = network()
    result = lading.export(model, X, training=training, export_params=False)
    state = {name: tensor for name, tensor in model.state_dict().items() if "tracked" not in name}
    assert ["input", *state] == inputs(result)
    assert close(eager(model, all_train), run(result, {"input": X, **state})[0])


# ---- running statistics ----------------------------------------------------------------------------------------------


def test_running_statistics_are_no_outputs_by_themselves():
    result = lading.export(network(), X, training="train")
    assert ["output"] == outputs(result)


def test_that_they_are_left_out_is_on_record():
    left_out = decisions(lading.export(network(), X, training="train"), "write to state left out")
    assert {"1.running_mean", "1.running_var"} <= {one["details"]["tensor"] for one in left_out}


@pytest.mark.parametrize("opset", [7, 14, 18])
@pytest.mark.parametrize("channels", [3, 9])
@pytest.mark.parametrize("fresh", [True, False])
def test_running_statistics_are_outputs_on_request(fresh, channels, opset):
    model = nn.Sequential(nn.Conv2d(2, channels, 1), nn.BatchNorm2d(channels)) if fresh else network(channels)
    before = everything(model)
    result = lading.export(
        model, X, training="train", opset_version=opset, overrides={"trace.buffer_outputs": True}, verify=True
    )
    assert result.verification.passed
    trained = copy.deepcopy(model).train()
    expected = trained(X)
    got = dict(zip(outputs(result), run(result, {"input": X}), strict=True))
    moved = {name: tensor for name, tensor in trained.state_dict().items() if name in dict(model.named_buffers())}
    assert {"output", *(f"{name}.updated" for name in moved)} == set(got)
    assert close(expected, got["output"])
    for name, tensor in moved.items():
        assert close(tensor, got[f"{name}.updated"])
    assert [] == same(before, everything(model))


class Called(nn.Module):
    """An operator called directly, on statistics that the module holds."""

    def __init__(self, operator):
        super().__init__()
        self.operator = operator
        self.weight, self.bias = nn.Parameter(torch.rand(2)), nn.Parameter(torch.rand(2))
        self.register_buffer("running_mean", torch.rand(2))
        self.register_buffer("running_var", torch.rand(2) + 0.5)

    def forward(self, x):
        return self.operator(x, self.weight, self.bias, self.running_mean, self.running_var, True, 0.2, 1e-5)[0]


def with_update(x, weight, bias, mean, variance, training, momentum, eps):
    return torch.ops.aten._batch_norm_with_update(x, weight, bias, mean, variance, momentum, eps)


@pytest.mark.parametrize("strategy", ["record", "export", "jit-trace"])
@pytest.mark.parametrize(
    ("operator", "training"),
    [
        (torch.native_batch_norm, "eval"),
        (torch.native_batch_norm, "preserve"),
        (torch.native_batch_norm, "train"),
        (torch._native_batch_norm_legit, "eval"),
        (with_update, "eval"),
    ],
    ids=["native, eval", "native, preserve", "native, train", "legit", "with update"],
)
def test_an_operator_that_is_told_to_train_trains_in_every_mode(operator, training, strategy):
    model = Called(operator).eval()
    before = everything(model)
    settings = [f"trace.strategy={strategy}", "trace.buffer_outputs=true"]
    axes = {"x": {0: "batch"}}
    result = lading.export(model, X, training=training, settings=settings, opset_version=14, dynamic_axes=axes)
    assert [] == same(before, everything(model))
    moved = copy.deepcopy(model)
    expected = moved(X[:3])
    got = dict(zip(outputs(result), run(result, {"x": X[:3]}), strict=True))
    assert ["output", "running_mean.updated", "running_var.updated"] == sorted(got)
    assert close(expected, got["output"])
    assert close(moved.running_mean, got["running_mean.updated"])
    assert close(moved.running_var, got["running_var.updated"])


INSTANCES = [
    lambda: nn.InstanceNorm2d(2, track_running_stats=True, momentum=0.2),
    lambda: nn.InstanceNorm2d(2, track_running_stats=True, affine=True),
]


def counting():
    """A layer that reads a buffer as a number, which torch.export does not take."""
    return nn.BatchNorm2d(2, momentum=None)


@pytest.mark.parametrize(
    ("layer", "strategy"),
    [
        *((layer, strategy) for layer in INSTANCES for strategy in ("record", "export", "jit-trace")),
        (counting, "record"),
        (counting, "jit-trace"),
    ],
)
def test_statistics_of_every_kind(layer, strategy):
    model = layer().train()
    before = everything(model)
    overrides = {"trace.buffer_outputs": True, "trace.strategy": strategy}
    result = lading.export(model, X, training="train", overrides=overrides, opset_version=14)
    assert [] == same(before, everything(model))
    trained = copy.deepcopy(model)
    trained(X)
    got = dict(zip(outputs(result), run(result, {"input": X}), strict=True))
    moved = {f"{name}.updated": tensor for name, tensor in trained.state_dict().items() if f"{name}.updated" in got}
    assert {"running_mean.updated", "running_var.updated"} <= moved.keys()
    assert [] == [name for name, tensor in moved.items() if not close(tensor, got[name])]


def test_statistics_that_no_module_moves_are_no_outputs():
    result = lading.export(network(), X, training="eval", overrides={"trace.buffer_outputs": True})
    assert ["output"] == outputs(result)


# ---- the model is left as it was -------------------------------------------------------------------------------------


class Failing(nn.Module):
    """Fails after a normalisation has run."""

    def __init__(self):
        super().__init__()
        self.norm = nn.BatchNorm2d(2)
        self.calls = 0

    def forward(self, x):
        self.calls += 1
        self.norm(x)
        raise ValueError("in the middle")


@pytest.mark.parametrize("training", ["eval", "preserve", "train"])
@pytest.mark.parametrize("mode", [True, False])
def test_a_failing_export_leaves_the_model_as_it_was(training, mode):
    model = Failing().train(mode)
    before = everything(model)
    with pytest.raises(lading.CaptureError, match="in the middle"):
        lading.export(model, X, training=training)
    assert [] == same(before, everything(model))
    assert 0 == model.calls


def test_an_export_that_fails_later_leaves_the_model_as_it_was():
    model = nn.Sequential(nn.BatchNorm2d(2), nn.Dropout(0.5))
    model[0].eval()
    before = everything(model)
    with pytest.raises(lading.LadingError):
        lading.export(model, X, training="train", overrides={"lower.leave": ("*",), "fallback.decompose": False})
    assert [] == same(before, everything(model))


def test_running_a_training_file_leaves_the_model_as_it_was():
    model = network()
    before = everything(model)
    result = lading.export(model, X, training="train", export_params=False, verify=True)
    assert result.verification.passed
    assert [] == same(before, everything(model))


def test_calling_the_export_with_the_weights_of_the_model_leaves_them_as_they_were():
    model = network()
    before = everything(model)
    result = lading.export(model, X, training="train", export_params=False)
    state = {name: tensor for name, tensor in model.state_dict().items() if "tracked" not in name}
    assert close(eager(model, all_train), result(X, **state)[0])
    assert [] == same(before, everything(model))


def test_gradients_and_leaves_stay():
    model = network()
    model(X).sum().backward()
    gradients = {name: parameter.grad.clone() for name, parameter in model.named_parameters()}
    lading.export(model, X, training="train")
    assert all(torch.equal(gradients[name], p.grad) and p.requires_grad for name, p in model.named_parameters())


# ---- a model in training mode that is exported for inference ---------------------------------------------------------

SAID = "the model is in training mode and is exported for inference"


@pytest.mark.parametrize(
    ("mode", "arguments", "said"),
    [
        (all_train, {}, 1),
        (frozen_first, {}, 1),
        (only_nested, {}, 1),
        (all_eval, {}, 0),
        (all_train, {"training": "eval"}, 1),
        (all_train, {"training": "train"}, 0),
        (all_train, {"training": "preserve"}, 0),
        (all_train, {"recipe": "training"}, 0),
    ],
)
def test_it_says_so_once(mode, arguments, said):
    model = network()
    mode(model)
    assert said == lading.export(model, X, **arguments).warnings.count(SAID)


@pytest.mark.parametrize("word", ["eval", "EVAL", torch.onnx.TrainingMode.EVAL, False])
def test_words_for_evaluation(word):
    assert "Conv" in operators(lading.export(network(), X, training=word))
    assert [] == [name for name in operators(lading.export(nn.Dropout(), X, training=word)) if name == "Dropout"]


@pytest.mark.parametrize("word", ["train", "TRAINING", "training", torch.onnx.TrainingMode.TRAINING, True])
def test_words_for_training(word):
    assert ["Dropout"] == operators(lading.export(nn.Dropout().eval(), X, training=word))


def test_another_word_is_refused():
    with pytest.raises(UsageError, match="eval, preserve, train"):
        lading.export(nn.Dropout(), X, training="sometimes")

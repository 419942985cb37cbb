# SPDX-License-Identifier: Apache-2.0
"""Each pass of the cookbook on a model of the examples: the numbers are right, and the file is what it says."""

from __future__ import annotations

import functools
from collections import Counter
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from support.example_models import EXAMPLES, example

import lading
from lading import testing


def export(reference: str, *passes: Any, **more: Any) -> lading.Exported:
    named = example(reference)
    return lading.export(named.model, (*named.args, {}), kwargs=named.kwargs, passes=passes, **more)


@functools.cache
def plain(reference: str) -> lading.Exported:
    """The export without any of the passes, which nobody changes."""
    return export(reference)


def expected(reference: str) -> list[np.ndarray]:
    named = example(reference)
    with torch.no_grad():
        found = named.model(*named.args, **named.kwargs)
    return [value.numpy() for value in (found if isinstance(found, tuple) else (found,))]


def run(exported: lading.Exported, *inputs: Any) -> list[np.ndarray]:
    return [np.asarray(value) for value in exported(*inputs)]


def operators(exported: lading.Exported) -> Counter[str]:
    return Counter(node.op_type for node in exported.model.graph)


def noted(exported: lading.Exported, step: str, what: str) -> Any:
    (event,) = [event for event in exported.events if event.get("pass") == step and "counts" in event]
    return event[what]


RESNET = "resnet.py:resnet50_narrow"


@pytest.fixture
def images() -> torch.Tensor:
    return example(RESNET).args[0]


def with_free_rows(step: Any) -> lading.Exported:
    model = torch.nn.Sequential(torch.nn.Linear(4, 3), torch.nn.ReLU()).eval()
    return lading.export(model, torch.randn(2, 4), dynamic_axes={"input": {0: "rows"}}, passes=[step])


class TestAddHead:
    def test_softmax(self, cookbook, images):
        (found,) = run(export(RESNET, cookbook["AddHead"]()), images)
        (scores,) = expected(RESNET)
        np.testing.assert_allclose(torch.tensor(scores).softmax(-1).numpy(), found, rtol=1e-3, atol=1e-5)

    def test_argmax(self, cookbook, images):
        exported = export(RESNET, cookbook["AddHead"](kind="argmax"))
        (found,) = run(exported, images)
        np.testing.assert_array_equal(expected(RESNET)[0].argmax(-1), found)
        assert np.int64 == found.dtype

    def test_an_unknown_output_is_refused(self, cookbook):
        with pytest.raises(lading.UsageError, match="no output 'scores'"):
            export(RESNET, cookbook["AddHead"](output="scores"))


class TestTakeImages:
    @pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
    def test_bytes_are_normalised_inside(self, cookbook, layout):
        mean, std = (0.4, 0.5, 0.6), (0.2, 0.25, 0.3)
        exported = export(RESNET, cookbook["TakeImages"](mean=mean, std=std, layout=layout))
        generator = torch.Generator().manual_seed(0)
        pixels = torch.randint(0, 256, (2, 3, 64, 64), generator=generator, dtype=torch.uint8)
        normal = (pixels / 255 - torch.tensor(mean)[:, None, None]) / torch.tensor(std)[:, None, None]
        with torch.no_grad():
            right = example(RESNET).model(normal).numpy()
        given = pixels if layout == "NCHW" else pixels.permute(0, 2, 3, 1).contiguous()
        np.testing.assert_allclose(right, run(exported, given)[0], rtol=1e-3, atol=1e-4)

    def test_an_input_that_is_no_image_is_refused(self, cookbook):
        with pytest.raises(lading.UsageError, match="which is not"):
            export("lstm_tagger.py:lstm_tagger", cookbook["TakeImages"]())


class TestSplitAt:
    def test_axes_are_those_of_the_part(self, cookbook):
        exported = with_free_rows(cookbook["SplitAt"](module="0", part="first"))
        assert {"input": {0: "rows"}, exported.output_names[0]: {0: "rows"}} == exported.axes

    @pytest.mark.parametrize("module", ["stem", "stages.1", "stages.2.0"])
    def test_the_parts_do_together_what_the_model_does(self, cookbook, images, module):
        first, second = (export(RESNET, cookbook["SplitAt"](module=module, part=part)) for part in ("first", "second"))
        assert first.output_names == second.input_names
        between = run(first, images)
        np.testing.assert_allclose(expected(RESNET)[0], run(second, *between)[0], rtol=1e-3, atol=1e-4)

    def test_each_part_has_its_own_weights(self, cookbook):
        whole = set(plain(RESNET).model.graph.initializers)
        parts = [
            set(export(RESNET, cookbook["SplitAt"](module="stages.1", part=p)).model.graph.initializers)
            for p in ("first", "second")
        ]
        assert whole == parts[0] | parts[1]
        assert all(part < whole for part in parts)

    def test_inputs_that_the_second_part_needs_stay_its_inputs(self, cookbook):
        reference = "huggingface.py:bert"
        named = example(reference)
        parts = [
            export(reference, cookbook["SplitAt"](module="bert.embeddings", part=part)) for part in ("first", "second")
        ]
        assert "attention_mask" in parts[1].input_names
        between = dict(zip(parts[0].output_names, _session(parts[0], named), strict=True))
        found = _session(parts[1], named, between)
        np.testing.assert_allclose(expected_first(named), found[0], rtol=1e-3, atol=1e-4)

    def test_an_unknown_module_is_refused(self, cookbook):
        with pytest.raises(lading.UsageError, match="no node comes from a module 'layer9'"):
            export(RESNET, cookbook["SplitAt"](module="layer9"))


def expected_first(named: Any) -> np.ndarray:
    with torch.no_grad():
        return named.model(*named.args, **named.kwargs)[0].numpy()


def _session(exported: lading.Exported, named: Any, more: dict[str, np.ndarray] | None = None) -> list[np.ndarray]:
    import inspect

    import onnxruntime

    bound = inspect.signature(named.model.forward).bind(*named.args, **named.kwargs).arguments
    feeds = {name: value.numpy() for name, value in bound.items() if isinstance(value, torch.Tensor)} | (more or {})
    session = onnxruntime.InferenceSession(exported.model_proto.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, {entry.name: feeds[entry.name] for entry in session.get_inputs()})


class TestRenameInterface:
    def test_axes_have_the_new_names(self, cookbook):
        exported = with_free_rows(cookbook["RenameInterface"](names={"input": "x", "output": "y"}))
        assert {"x": {0: "rows"}, "y": {0: "rows"}} == exported.axes

    def test_names_and_order(self, cookbook):
        reference = "huggingface.py:bert"
        names_of = plain(reference).output_names
        names = {"input_ids": "tokens", "attention_mask": "mask", names_of[0]: "states"}
        order = ("mask", "tokens")
        exported = export(reference, cookbook["RenameInterface"](names=names, order=order), verify=True)
        assert order == tuple(exported.input_names[:2])
        assert "states" == exported.output_names[0]
        onnx.checker.check_model(exported.model_proto, full_check=True)

    def test_numbers_are_the_same(self, cookbook):
        exported = export(RESNET, cookbook["RenameInterface"](names={"image": "pixels"}))
        testing.assert_same_numerics(plain(RESNET), exported, inputs={"image": example(RESNET).args[0].numpy()})

    @pytest.mark.parametrize(
        ("names", "what"), [({"x9": "y"}, "nothing is called 'x9'"), ({"image": "/Squeeze_output_0"}, "another value")]
    )
    def test_what_cannot_be_renamed_is_refused(self, cookbook, names, what):
        with pytest.raises(lading.UsageError, match=what):
            export(RESNET, cookbook["RenameInterface"](names=names))


class TestConvertPrecision:
    def test_numbers_are_near(self, cookbook, images):
        (right,), (found,) = expected(RESNET), run(export(RESNET, cookbook["ConvertPrecision"]()), images)
        assert np.float32 == found.dtype
        assert np.abs(right - found).max() < 0.02 * np.abs(right).max()

    @pytest.mark.parametrize(
        ("reference", "to"),
        [(RESNET, "bfloat16"), ("huggingface.py:bert", "float16"), ("lstm_tagger.py:lstm_tagger", "bfloat16")],
    )
    def test_the_file_is_valid(self, cookbook, reference, to):
        testing.assert_valid(export(reference, cookbook["ConvertPrecision"](to=to), opset_version=22))

    def test_weights_are_half_and_keep_their_names(self, cookbook):
        whole, half = plain(RESNET), export(RESNET, cookbook["ConvertPrecision"]())
        assert set(whole.model.graph.initializers) == set(half.model.graph.initializers)
        assert {"FLOAT16"} == {v.dtype.name for v in half.model.graph.initializers.values() if len(v.shape) == 4}

    def test_what_is_kept_stays(self, cookbook):
        exported = export(RESNET, cookbook["ConvertPrecision"](keep=("stages.1", "stages.1.*")))
        weights = exported.model.graph.initializers
        kinds = {value.dtype.name for name, value in weights.items() if name.startswith("stages.1.")}
        assert {"FLOAT"} == kinds
        assert {"FLOAT16"} == {value.dtype.name for name, value in weights.items() if name.startswith("stages.2.")}

    def test_attention_keeps_its_softmax(self, cookbook):
        reference = "huggingface.py:vit"
        exported = export(reference, cookbook["ConvertPrecision"]())
        kinds = {node.inputs[0].dtype.name for node in exported.model.graph if node.op_type == "Softmax"}
        assert {"FLOAT"} == kinds
        named = example(reference)
        right, found = expected_first(named), _session(exported, named)[0]
        assert np.abs(right - found).max() < 0.02 * np.abs(right).max()

    def test_a_constant_that_does_not_fit_is_declined(self, cookbook):
        text = """
        <ir_version: 8, opset_import: ["" : 18]>
        main (float[N] x) => (float[N] y) <float far = {-100000.0}> { near = Abs(x)  y = Add(near, far) }
        """
        ran = testing.run_pass(cookbook["ConvertPrecision"](), text)
        assert ["a constant does not fit float16"] == [decline.why for decline in ran.note.declines]
        testing.assert_valid(ran.model)
        testing.assert_same_numerics(text, ran.model, rtol=1e-2)

    def test_an_output_whose_type_an_attribute_sets_stays(self, cookbook):
        text = """
        <ir_version: 8, opset_import: ["" : 18]>
        main (float[N] x) => (float[N] y) { near = Abs(x)  same = Cast<to = 1>(near)  y = Neg(same) }
        """
        ran = testing.run_pass(cookbook["ConvertPrecision"](), text)
        testing.assert_valid(ran.model)
        testing.assert_same_numerics(text, ran.model, rtol=1e-2)


class Trained(torch.nn.Module):
    """A network in training mode, which gives its loss beside its scores."""

    def __init__(self):
        super().__init__()
        self.net = example("digits.py:digits").model

    def forward(self, image, label):
        scores = self.net(image)
        return scores, torch.nn.functional.cross_entropy(scores, label)


class TestStripTraining:
    def test_the_file_of_a_training_step_serves_inference(self, cookbook):
        model = Trained().train()
        image, label = example("digits.py:digits").args[0], torch.tensor([0, 1, 2, 3])
        options = {"recipe": "training", "output_names": ["scores", "loss"]}
        full = lading.export(model, (image, label), **options)
        assert {"Dropout", "BatchNormalization"} <= set(operators(full))
        stripped = lading.export(
            model, (image, label), passes=[cookbook["StripTraining"](outputs=("loss",))], **options
        )
        assert (["image"], ["scores"]) == (stripped.input_names, stripped.output_names)
        assert 0 == operators(stripped)["Dropout"]
        with torch.no_grad():
            right = example("digits.py:digits").model.eval()(image).numpy()
        np.testing.assert_allclose(right, run(stripped, image)[0], rtol=1e-3, atol=1e-4)
        testing.assert_valid(stripped)


class TestDebugOutputs:
    def test_modules_give_what_they_compute(self, cookbook, images):
        exported = export(RESNET, cookbook["DebugOutputs"](modules=("stages.?", "classifier")))
        assert ["stages.0", "stages.1", "stages.2", "stages.3"] == sorted(
            n for n in exported.output_names if n.startswith("stages")
        )
        seen: dict[str, np.ndarray] = {}
        model = example(RESNET).model
        hooks = [
            model.get_submodule(name).register_forward_hook(
                lambda _, __, out, name=name: seen.update({name: out.numpy()})
            )
            for name in ("stages.0", "stages.3")
        ]
        with torch.no_grad():
            model(images)
        for hook in hooks:
            hook.remove()
        found = dict(zip(exported.output_names, run(exported, images), strict=True))
        for name, right in seen.items():
            np.testing.assert_allclose(right, found[name], rtol=1e-3, atol=1e-4)

    def test_the_models_own_outputs_come_first(self, cookbook, images):
        exported = export(RESNET, cookbook["DebugOutputs"](modules=("stages.1",)))
        np.testing.assert_allclose(expected(RESNET)[0], run(exported, images)[0], rtol=1e-3, atol=1e-4)

    def test_a_pattern_without_a_module_is_declined(self, cookbook):
        exported = export(RESNET, cookbook["DebugOutputs"](modules=("layer9",)))
        assert ["no node comes from a module of this name"] == list(noted(exported, "debug-outputs", "declined"))


class TestVendorAttention:
    def test_vision_transformer(self, cookbook):
        reference = "huggingface.py:vit"
        exported = export(reference, cookbook["VendorAttention"]())
        assert operators(plain(reference))["Softmax"] == operators(exported)["MultiHeadAttention"] > 0
        assert 0 == operators(exported)["Softmax"]
        named = example(reference)
        np.testing.assert_allclose(expected_first(named), _session(exported, named)[0], rtol=1e-3, atol=1e-4)

    def test_a_mask_is_declined(self, cookbook):
        exported = export("huggingface.py:bert", cookbook["VendorAttention"]())
        assert 0 == operators(exported)["MultiHeadAttention"]
        assert ["something stands between the scores and the softmax"] == list(
            noted(exported, "vendor-attention", "declined")
        )


class TestStampMetadata:
    def test_entries_and_version_are_in_the_file(self, cookbook, tmp_path):
        export(RESNET, cookbook["StampMetadata"](entries={"release": "2026.1"}, version=7), f=tmp_path / "net.onnx")
        model = onnx.load(tmp_path / "net.onnx")
        assert "2026.1" == {entry.key: entry.value for entry in model.metadata_props}["release"]
        assert 7 == model.model_version

    def test_a_recipe_sets_them(self, cookbook, tmp_path):
        recipe = tmp_path / "stamped.toml"
        recipe.write_text(
            '[recipe]\nname = "stamped"\nabout = "x"\nextends = "inference"\n[step.stamp-metadata]\n'
            f'pass = "{EXAMPLES}/passes/stamp_metadata.py:StampMetadata"\nentries = {{ release = "2026.1" }}\n'
        )
        assert "2026.1" == export(RESNET, recipe=recipe).model.metadata_props["release"]


def test_every_pass_of_the_cookbook_is_tested_here(cookbook):
    assert set(cookbook) == {name.removeprefix("Test") for name in globals() if name.startswith("Test")}

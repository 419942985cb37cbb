# SPDX-License-Identifier: Apache-2.0
"""Detectors, with sizes of the picture free and as many results as there are."""

from __future__ import annotations

from typing import Any

import torch
import transformers
from torch import nn

from dynamic_models.registry import Call, dynamic, sizes
from dynamic_models.vision import plain

EXAMPLE, *OTHERS = sizes(batch=(2, 1, 3, 1, 2, 1), height=(64, 64, 96, 64, 96, 128), width=(64, 96, 64, 128, 96, 64))


def masked(batch: int, height: int, width: int) -> Call:
    mask = torch.ones(batch, height, width, dtype=torch.int64)
    return (), {"pixel_values": torch.randn(batch, 3, height, width), "pixel_mask": mask}


def _backbone() -> Any:
    return transformers.ResNetConfig(
        embedding_size=16, hidden_sizes=[16, 24, 32, 48], depths=[1, 1, 1, 1], out_features=["stage4"]
    )


_DETR = {
    "d_model": 32,
    "encoder_layers": 1,
    "decoder_layers": 2,
    "encoder_attention_heads": 4,
    "decoder_attention_heads": 4,
    "encoder_ffn_dim": 48,
    "decoder_ffn_dim": 48,
    "num_queries": 6,
}


def detector(name: str, kind: str, config: str, **more: Any) -> None:
    @dynamic("detection", masked, EXAMPLE, *OTHERS, name=name)
    def build() -> nn.Module:
        class Boxes(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.model = getattr(transformers, kind)(getattr(transformers, config)(**more))

            def forward(self, pixel_values: torch.Tensor, pixel_mask: torch.Tensor) -> tuple[torch.Tensor, ...]:
                found = self.model(pixel_values=pixel_values, pixel_mask=pixel_mask)
                return found.logits, found.pred_boxes

        return Boxes()


detector("detr", "DetrForObjectDetection", "DetrConfig", backbone_config=_backbone(), **_DETR)
detector(
    "conditional_detr",
    "ConditionalDetrForObjectDetection",
    "ConditionalDetrConfig",
    backbone_config=_backbone(),
    **_DETR,
)


@dynamic("detection", plain, EXAMPLE, *OTHERS)
def yolos() -> nn.Module:
    config = transformers.YolosConfig(
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=48,
        image_size=[64, 64],
        patch_size=8,
        num_detection_tokens=5,
    )

    class Boxes(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = transformers.YolosForObjectDetection(config)

        def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
            found = self.model(x)
            return found.logits, found.pred_boxes

    return Boxes()


class Anchors(nn.Module):
    """A one-stage head: boxes from offsets to the cells of a grid that is as large as the picture."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(nn.Conv2d(3, 8, 3, 4, 1), nn.SiLU(), nn.Conv2d(8, 8, 3, 2, 1), nn.SiLU())
        self.head = nn.Conv2d(8, 6, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        found = self.head(self.features(x))
        rows, columns = torch.meshgrid(
            torch.arange(found.shape[2], device=x.device), torch.arange(found.shape[3], device=x.device), indexing="ij"
        )
        cells = torch.stack([columns, rows]).float() + 0.5
        boxes = torch.cat([found[:, :2].sigmoid() * 2 + cells, found[:, 2:4].exp()], 1) * 8
        return torch.cat([boxes, found[:, 4:].sigmoid()], 1).flatten(2).transpose(1, 2)


@dynamic("detection", plain, EXAMPLE, *OTHERS)
def anchors() -> nn.Module:
    return Anchors()


class AboveThreshold(nn.Module):
    """The boxes of one picture whose score is above a threshold, best first."""

    def __init__(self) -> None:
        super().__init__()
        self.anchors = Anchors()

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        found = self.anchors(x)[0]
        kept = found[found[:, 4] > 0.5]
        order = kept[:, 4].argsort(descending=True)
        return kept[order, :4], kept[order, 4]


@dynamic("detection", plain, *sizes(batch=(1,) * 6, height=(64, 32, 96, 64, 40, 72), width=(64, 64, 32, 128, 56, 48)))
def above_threshold() -> nn.Module:
    return AboveThreshold()


class BestOfAll(nn.Module):
    """The twenty best boxes, or as many as there are."""

    def __init__(self) -> None:
        super().__init__()
        self.anchors = Anchors()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        found = self.anchors(x)
        count = min(20, found.shape[1])
        best = found[..., 4].topk(count).indices
        return found.gather(1, best.unsqueeze(-1).expand(-1, -1, found.shape[-1]))


@dynamic(
    "detection",
    plain,
    *sizes(batch=(2, 1, 3, 1, 2, 1), height=(64, 32, 96, 24, 40, 16), width=(64, 64, 32, 24, 56, 48)),
)
def best_of_all() -> nn.Module:
    return BestOfAll()


detector(
    "deformable_detr",
    "DeformableDetrForObjectDetection",
    "DeformableDetrConfig",
    backbone_config=transformers.ResNetConfig(
        embedding_size=16, hidden_sizes=[16, 24, 32, 48], depths=[1, 1, 1, 1], out_features=["stage3", "stage4"]
    ),
    num_feature_levels=2,
    **_DETR,
)


class CenterPoints(nn.Module):
    """The twelve highest peaks of a heat map, with offsets and sizes read at them."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Conv2d(3, 8, 5, 4, 2)
        self.heat, self.boxes = nn.Conv2d(8, 2, 1), nn.Conv2d(8, 4, 1)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        features = self.features(x).relu()
        heat = self.heat(features).sigmoid()
        heat = heat * (heat == nn.functional.max_pool2d(heat, 3, 1, 1))
        scores, places = heat.flatten(1).topk(12)
        cells = places % (heat.shape[2] * heat.shape[3])
        boxes = self.boxes(features).flatten(2).gather(2, cells[:, None].expand(-1, 4, -1))
        corners = torch.stack([cells % heat.shape[3], cells // heat.shape[3]], 1)
        return torch.cat([boxes[:, :2] + corners, boxes[:, 2:]], 1).transpose(1, 2), scores


@dynamic("detection", plain, EXAMPLE, *OTHERS)
def center_points() -> nn.Module:
    return CenterPoints()

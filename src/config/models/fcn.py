"""The section of `model=fcn`."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field, model_validator

from src.config.model import Model, TaskName
from src.config.section import Location, Positive


class Fcn(Model):
    """A class for each pixel: FCN (Long et al. 2015), or SegNet's decoder on the same backbone.

    Attributes:
        backbone: `small`, to be trained from nothing, or `vgg16` with fc6 and fc7 (134 million
            weights).
        weights: what `vgg16` begins with: a file of Keras' VGG16 (`.h5` or `.weights.h5`),
            `imagenet` to download it, or null for random weights.
        decoder: `skips` adds up class scores of several strides; `unpool` puts maps back where the
            backbone's maxima were, stage by stage (Badrinarayanan et al. 2017).
        stride: of `skips`: stride of the finest score map that is fused: 32, 16, 8 or 4 pixels. The
            paper ends at 8; 4 is for thin things.
        filters: of `small`: feature maps of its first stage; the last ones have eight times as
            many.
        convolutions: of `small`: how many each of its five stages has.
        score_channels: of `skips`: maps of each score layer; null is the paper's, one a class.
            From more of them the upsampling, which is learned, makes details finer than the
            stride.
        freeze_upsampling: of `skips`: keep the bilinear upsampling fixed rather than learn it.
    """

    task: ClassVar[TaskName] = "segmentation"
    any_size: ClassVar[bool] = True
    separable: ClassVar[bool] = False  # Batch normalisation is over the whole batch.

    name: Literal["fcn"]
    backbone: Literal["small", "vgg16"] = "small"
    weights: Location | None = None
    decoder: Literal["skips", "unpool"] = "skips"
    stride: Literal[32, 16, 8, 4] = 8
    filters: Annotated[int, Field(ge=1, le=1024)] = 16
    convolutions: Annotated[list[Positive], Field(min_length=5, max_length=5)] = Field(
        default=[1, 1, 3, 2, 1]
    )
    score_channels: Annotated[int, Field(ge=1, le=4096)] | None = 48
    freeze_upsampling: bool = False

    @property
    def family(self) -> dict[str, str]:
        """Layers of one backbone are none of another's."""
        return {**super().family, "model.backbone": self.backbone}

    def check_size(self, height: int, width: int) -> None:
        """Refuses pictures in which the finest scores have not one place."""
        if self.stride > (shorter := min(height, width)):
            raise ValueError(
                f"expected model.stride of at most the shorter side, {shorter} pixels; "
                f"received model.stride={self.stride}"
            )

    @model_validator(mode="after")
    def _options_go_together(self) -> Fcn:
        if self.backbone == "vgg16":
            for key in ("filters", "convolutions"):
                self._expect_default(key, "backbone=vgg16, whose size is published")
        else:
            self._expect_default("weights", "backbone=small, of which none are published")
        if self.decoder == "unpool":
            for key in ("stride", "score_channels", "freeze_upsampling"):
                self._expect_default(key, "decoder=unpool, which has no scores to fuse")
        if self.freeze_upsampling and self.score_channels is not None:
            raise ValueError(
                "expected model.score_channels=null with model.freeze_upsampling, which cannot "
                f"turn other maps into classes; received model.score_channels={self.score_channels}"
            )
        if self.init_from:
            self._expect_default("weights", "init_from, which would overwrite them")
        return self

    def _expect_default(self, key: str, because: str) -> None:
        default, value = type(self).model_fields[key].default, getattr(self, key)
        if value != default:
            raise ValueError(
                f"expected model.{key}={'null' if default is None else default} with "
                f"model.{because}; received model.{key}={value}"
            )

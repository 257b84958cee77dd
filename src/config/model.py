"""The section `model`: which network, and its options."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from src.config.section import Fraction, Location, Positive, Section


class LeNet5(Section):
    """LeNet-5 (LeCun et al. 1998, section II-B).

    Attributes:
        c3: `dense` joins every map of S2 to every map of C3 and averages in S2 and S4, the modern
            form; `sparse` is the paper's: Table I's connections and trainable subsampling.
        output: ten logits, or the paper's Euclidean units over fixed bitmaps; if null, what goes
            with `c3`: `softmax` with `dense`, `rbf` with `sparse`.
    """

    name: Literal["lenet5"]
    c3: Literal["dense", "sparse"] = "dense"
    output: Literal["softmax", "rbf"] | None = None


class LeNetMnist(Section):
    """The wide 28x28 form of LeNet: 32@5x5, 64@5x5, 512, with dropout.

    Attributes:
        filters: feature maps of the first convolution; the second has twice as many.
        dropout: fraction of the 512 units that is dropped.
        l2: weight decay on the kernels, TensorFlow 1's convention `l2 / 2 * |w|^2`.
    """

    name: Literal["lenet_mnist"]
    filters: Annotated[int, Field(ge=1, le=1024)] = 32
    dropout: Fraction = 0.5
    l2: Annotated[float, Field(ge=0, le=1)] = 0.0


class Autoencoder(Section):
    """Convolutional encoder to a short code, transposed-convolution decoder.

    Attributes:
        latent: how many numbers the code has.
        decoder: how the decoder grows: strided transposed convolution, or unpooling by the
            encoder's maxima (which carry positions around the code) or by replication.
        filters: feature maps of the first convolution; deeper ones have twice as many.
    """

    name: Literal["autoencoder"]
    latent: Annotated[int, Field(ge=1, le=4096)] = 20
    decoder: Literal["deconv", "max_unpool", "average_unpool"] = "deconv"
    filters: Annotated[int, Field(ge=1, le=1024)] = 32


class Fcn(Section):
    """A class for each pixel: FCN (Long et al. 2015), or SegNet's decoder on the same backbone.

    Attributes:
        backbone: `small`, to be trained from nothing, or `vgg16` with fc6 and fc7 (134 million
            weights).
        weights: what `vgg16` begins with: a file of Keras' VGG16 (`.h5` or `.weights.h5`),
            `imagenet` to download it, or null for random weights.
        decoder: `skips` adds up class scores of several strides; `unpool` puts maps back where the
            backbone's maxima were, stage by stage (Badrinarayanan et al. 2017).
        stride: of `skips`: stride of the finest score map that is fused: 32, 16 or 8 pixels.
        filters: of `small`: feature maps of its first stage; the last ones have eight times as
            many.
        convolutions: of `small`: how many each of its five stages has.
        score_channels: of `skips`: maps of each score layer; null is the paper's, one a class.
            From more of them the upsampling, which is learned, makes details finer than the
            stride.
        freeze_upsampling: of `skips`: keep the bilinear upsampling fixed rather than learn it.
        init_from: folder of an earlier run, the layers of whose best checkpoint this run begins
            with, where name and shape are the same; null for none.
    """

    name: Literal["fcn"]
    backbone: Literal["small", "vgg16"] = "small"
    weights: Location | None = None
    decoder: Literal["skips", "unpool"] = "skips"
    stride: Literal[32, 16, 8] = 8
    filters: Annotated[int, Field(ge=1, le=1024)] = 16
    convolutions: Annotated[list[Positive], Field(min_length=5, max_length=5)] = Field(
        default=[1, 1, 3, 2, 1]
    )
    score_channels: Annotated[int, Field(ge=1, le=4096)] | None = 48
    freeze_upsampling: bool = False
    init_from: Location | None = None

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


Model = Annotated[LeNet5 | LeNetMnist | Autoencoder | Fcn, Field(discriminator="name")]

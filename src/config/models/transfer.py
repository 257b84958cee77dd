"""The section of `model=transfer`."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field, model_validator

from src.config.backbones import BACKBONES, BackboneName
from src.config.model import FineTuning, Model, TaskName
from src.config.section import Fraction, Location, Positive, Side


class Transfer(Model):
    """A new dense layer on the features of a trained network (Donahue et al. 2014, "DeCAF").

    The features of each picture are computed once; of training pictures, those of `data.variants`.

    Attributes:
        backbone: the network of `keras.applications`, with its own preprocessing; its weights stay
            but for those of `fine_tune`.
        weights: a file of its weights that Keras wrote (`.h5`, `.weights.h5`, `.keras`), `imagenet`
            to download Keras' own, or `random`.
        size: height and width that pictures are resized to; null for those of the pictures that the
            backbone was trained on.
        dropout: fraction of the features that is dropped.
        fine_tune: how many of the backbone's last blocks are trained as well, with the layer, on
            the pictures and not on kept features, once the layer has been trained. Batch
            normalisation stays as it is: its statistics, scales and shifts are not trained, and
            the backbone drops nothing. A block is, of vgg16, the convolutions up to a pooling (5 of
            them); of inception_v3, what one concatenation `mixed` takes from the one before (11);
            of resnet50, a residual block (16); of mobilenet_v3_small and efficientnet_v2b0, an
            inverted bottleneck (11 and 21). What lies behind the last block belongs to it.
        fine_tune_after: how many of `trainer.epochs` train the layer alone, on features, before the
            rest train it with the blocks of `fine_tune`. Each part has a schedule and an
            optimizer's memory of its own.
        fine_tune_rate: learning rate of the second part, in the place of `optimizer.learning_rate`.
    """

    task: ClassVar[TaskName] = "classification"
    features: ClassVar[str | None] = "features"
    named_weights: ClassVar[tuple[str, ...]] = ("imagenet", "random")

    name: Literal["transfer"]
    backbone: BackboneName = "inception_v3"
    weights: Location = "imagenet"
    size: Annotated[Side, Field(ge=75)] | None = None
    dropout: Fraction = 0.2
    fine_tune: Annotated[int, Field(ge=0)] = 0
    fine_tune_after: Positive = 40
    fine_tune_rate: Annotated[float, Field(gt=0, le=1)] = 1e-5

    @property
    def family(self) -> dict[str, str]:
        """Layers of one backbone are none of another's."""
        return {**super().family, "model.backbone": self.backbone}

    @property
    def fine_tuning(self) -> FineTuning | None:
        """See `Model`."""
        return FineTuning(self.fine_tune_after, self.fine_tune_rate) if self.fine_tune else None

    @model_validator(mode="after")
    def _blocks_are_there(self) -> Transfer:
        if self.fine_tune > (most := BACKBONES[self.backbone].blocks):
            raise ValueError(
                f"expected model.fine_tune of at most the {most} blocks of {self.backbone}; "
                f"received model.fine_tune={self.fine_tune}"
            )
        for key in () if self.fine_tune else ("fine_tune_after", "fine_tune_rate"):
            default, value = type(self).model_fields[key].default, getattr(self, key)
            if value != default:
                raise ValueError(
                    f"expected model.{key}={default} without model.fine_tune; "
                    f"received model.{key}={value}"
                )
        return self

"""The section of `model=transfer`."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from src.config.backbones import BackboneName
from src.config.model import Model, TaskName
from src.config.section import Fraction, Location, Side


class Transfer(Model):
    """A new dense layer on the features of a trained network (Donahue et al. 2014, "DeCAF").

    The features are of the pictures as they are: training does not flip, scale or colour them.

    Attributes:
        backbone: the network of `keras.applications`, with its own preprocessing; its weights stay.
        weights: a file of its weights that Keras wrote (`.h5`, `.weights.h5`, `.keras`), `imagenet`
            to download Keras' own, or `random`.
        size: height and width that pictures are resized to; null for those of the pictures that the
            backbone was trained on.
        dropout: fraction of the features that is dropped.
    """

    task: ClassVar[TaskName] = "classification"
    features: ClassVar[str | None] = "features"
    named_weights: ClassVar[tuple[str, ...]] = ("imagenet", "random")

    name: Literal["transfer"]
    backbone: BackboneName = "inception_v3"
    weights: Location = "imagenet"
    size: Annotated[Side, Field(ge=75)] | None = None
    dropout: Fraction = 0.2

    @property
    def family(self) -> dict[str, str]:
        """Layers of one backbone are none of another's."""
        return {**super().family, "model.backbone": self.backbone}

"""The section of `model=autoencoder`."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from src.config.model import Model, TaskName


class Autoencoder(Model):
    """Convolutional encoder to a short code, transposed-convolution decoder.

    Attributes:
        latent: how many numbers the code has.
        decoder: how the decoder grows: strided transposed convolution, or unpooling by the
            encoder's maxima (which carry positions around the code) or by replication.
        filters: feature maps of the first convolution; deeper ones have twice as many.
    """

    task: ClassVar[TaskName] = "reconstruction"
    multiple: ClassVar[int] = 4  # It halves them twice.
    small_maps: ClassVar[bool] = True
    code: ClassVar[str | None] = "code"

    name: Literal["autoencoder"]
    latent: Annotated[int, Field(ge=1, le=4096)] = 20
    decoder: Literal["deconv", "max_unpool", "average_unpool"] = "deconv"
    filters: Annotated[int, Field(ge=1, le=1024)] = 32

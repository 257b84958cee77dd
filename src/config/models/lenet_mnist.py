"""The section of `model=lenet_mnist`."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from src.config.model import Model, TaskName
from src.config.section import Fraction


class LeNetMnist(Model):
    """The wide 28x28 form of LeNet: 32@5x5, 64@5x5, 512, with dropout.

    Attributes:
        filters: feature maps of the first convolution; the second has twice as many.
        dropout: fraction of the 512 units that is dropped.
        l2: weight decay on the kernels, TensorFlow 1's convention `l2 / 2 * |w|^2`.
    """

    task: ClassVar[TaskName] = "classification"

    name: Literal["lenet_mnist"]
    filters: Annotated[int, Field(ge=1, le=1024)] = 32
    dropout: Fraction = 0.5
    l2: Annotated[float, Field(ge=0, le=1)] = 0.0

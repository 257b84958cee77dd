"""What every data set's section says: which examples there are, and what is known before reading.

A section in `src/config/datasets/` belongs to the reader of the same module name in
`src/data/sources/`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field, model_validator

from src.config.section import Megapixels, Positive, Section, Shape, Side


class Data(Section):
    """A data set and its options.

    The class variables are facts about the data; what a user may choose are the attributes.

    Attributes:
        kind: what belongs to an image: one label, or a mask with a label for each pixel.
        one_size: whether all images have one size, which is known before they are read.
        classes: number of classes.
        name: registered name.
    """

    kind: ClassVar[Literal["labels", "masks"]]
    one_size: ClassVar[bool] = True

    name: str

    if TYPE_CHECKING:  # A class variable, an option or a property, as it suits the data set.

        @property
        def classes(self) -> int:
            """Number of classes."""

    @property
    def image_shape(self) -> Shape:
        """Height, width and channels of every image; None for a side that differs."""
        raise NotImplementedError


class PictureData(Data):
    """Pictures of any size with a mask each, and what training makes of them.

    They are evaluated at their own size. Pictures of one size make batches, others go one by one.

    Attributes:
        height: of the training pictures in pixels; if null, the pictures' own, which must then
            have one size.
        width: likewise.
        fit: how a picture comes to that size: `crop` cuts a window at random, `resize` changes
            height and width, without regard to their ratio.
        flip: whether half of the training pictures are mirrored left to right.
        scale: a training picture is enlarged by a factor drawn uniformly from this interval; null
            for none. What then lies outside of the picture is black and void.
        memory_budget: mebibytes of decoded pictures that are kept in memory; what does not fit is
            decoded whenever it is needed.
        max_megapixels: millions of pixels that a picture may have.
    """

    kind: ClassVar[Literal["labels", "masks"]] = "masks"
    one_size: ClassVar[bool] = False
    height: Side | None = None
    width: Side | None = None
    fit: Literal["crop", "resize"] = "crop"
    flip: bool = True
    scale: list[Annotated[float, Field(ge=0.1, le=10)]] | None = None
    memory_budget: Positive = 2048
    max_megapixels: Megapixels = 100

    @property
    def image_shape(self) -> Shape:
        """Height, width and channels of the training pictures."""
        return (self.height, self.width, 3)

    @model_validator(mode="after")
    def _sizes_and_factors(self) -> PictureData:
        if (self.height is None) != (self.width is None):
            raise ValueError(
                "expected both of data.height and data.width, or neither; "
                f"received data.height={self.height} and data.width={self.width}"
            )
        if self.scale is not None and (len(self.scale) != 2 or self.scale[0] > self.scale[1]):
            raise ValueError(
                "expected data.scale as two factors, the smaller first; "
                f"received data.scale={self.scale}"
            )
        return self

"""What every data set's section says: which examples there are, and what is known before reading.

A section in `src/config/datasets/` belongs to the reader of the same module name in
`src/data/sources/`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field, model_validator

from src.config.section import (
    Byte,
    Fraction,
    Megapixels,
    Positive,
    Section,
    Shape,
    Side,
    Text,
)

Fit = Literal["crop", "pad", "resize"]
VARIANTS = 2
Share = Annotated[float, Field(gt=0, lt=1)]


class Data(Section):
    """A data set and its options.

    The class variables are facts about the data; what a user may choose are the attributes.

    Attributes:
        kind: what belongs to an image: one label, or a mask with a label for each pixel.
        one_size: whether all images have one size, which is known before they are read.
        classes: number of classes; None where only reading says it.
        name: registered name.
    """

    kind: ClassVar[Literal["labels", "masks"]]
    one_size: ClassVar[bool] = True

    name: str

    if TYPE_CHECKING:  # A class variable, an option or a property, as it suits the data set.

        @property
        def classes(self) -> int | None:
            """Number of classes."""

    @property
    def image_shape(self) -> Shape:
        """Height, width and channels of every image; None for a side that differs."""
        raise NotImplementedError

    @property
    def input_fit(self) -> Fit:
        """How a picture that is none of the data's comes to the size of theirs."""
        return getattr(self, "fit", "resize")

    @property
    def input_noise(self) -> float:
        """Standard deviation of the noise on what an autoencoder takes, of pixels in [0, 1]."""
        return 0.0


class NoisyData(Data):
    """Images of one size with a label each, which an autoencoder may take with noise.

    Attributes:
        noise: standard deviation of normal noise on the pixels, in [0, 1], of what an autoencoder
            takes; what it aims at stays clean.
    """

    kind: ClassVar[Literal["labels", "masks"]] = "labels"
    noise: Annotated[float, Field(ge=0, le=1)] = 0.0

    @property
    def input_noise(self) -> float:
        """See `Data`."""
        return self.noise


class _Pictures(Data):
    """What training makes of pictures of any size, and how many of them are kept.

    Attributes:
        flip: whether half of the training pictures are mirrored left to right.
        scale: a training picture is enlarged by a factor drawn uniformly from this interval; null
            for none.
        colour: brightness, contrast and saturation of a training picture are multiplied by
            factors drawn uniformly from 1 - colour to 1 + colour.
        memory_budget: mebibytes of decoded pictures that are kept in memory; what does not fit is
            decoded whenever it is needed.
        max_megapixels: millions of pixels that a picture may have.
    """

    flip: bool = True
    scale: list[Annotated[float, Field(ge=0.1, le=10)]] | None = None
    colour: Fraction = 0.0
    memory_budget: Positive = 2048
    max_megapixels: Megapixels = 100

    @model_validator(mode="after")
    def _factors_ascend(self) -> _Pictures:
        if self.scale is not None and (len(self.scale) != 2 or self.scale[0] > self.scale[1]):
            raise ValueError(
                "expected data.scale as two factors, the smaller first; "
                f"received data.scale={self.scale}"
            )
        return self


class PictureData(_Pictures):
    """Pictures of any size with a mask each, and what training makes of them.

    They are evaluated at their own size. Pictures of one size make batches, others go one by one.

    Attributes:
        height: of the training pictures in pixels; if null, the pictures' own, which must then
            have one size.
        width: likewise.
        fit: how a picture comes to that size: `crop` cuts a window at random, `resize` changes
            height and width, without regard to their ratio.
        scale: a training picture is enlarged by a factor drawn uniformly from this interval; null
            for none. What then lies outside of the picture is black and void.
    """

    kind: ClassVar[Literal["labels", "masks"]] = "masks"
    one_size: ClassVar[bool] = False
    height: Side | None = None
    width: Side | None = None
    fit: Literal["crop", "resize"] = "crop"

    @property
    def image_shape(self) -> Shape:
        """Height, width and channels of the training pictures."""
        return (self.height, self.width, 3)

    @model_validator(mode="after")
    def _both_sides_or_none(self) -> PictureData:
        check_sides(self.height, self.width)
        return self


class MaskData(PictureData):
    """Pictures and masks whose classes the user describes.

    Attributes:
        classes: number of classes.
        names: their names; if null, their numbers.
        colours: red, green and blue of each class in pictures, 0 to 255; null for the usual ones.
        void: label of the pixels that count neither in the loss nor in a metric; null if there is
            none.
    """

    classes: Annotated[int, Field(ge=2, le=256)] = 2
    names: list[Text] | None = None
    colours: list[Annotated[list[Byte], Field(min_length=3, max_length=3)]] | None = None
    void: Byte | None = None

    @model_validator(mode="after")
    def _labels_are_described(self) -> MaskData:
        for key in ("names", "colours"):
            listed = getattr(self, key)
            if listed is not None and len(listed) != self.classes:
                raise ValueError(
                    f"expected data.{key} for each of data.classes={self.classes}; "
                    f"received {len(listed)}"
                )
        if self.void is not None and self.void < self.classes:
            raise ValueError(
                f"expected data.void beyond the labels of the classes, 0 to {self.classes - 1}; "
                f"received data.void={self.void}"
            )
        return self


class LabelledPictures(NoisyData, _Pictures):
    """Pictures of any size with a label each, all of which are brought to one size.

    Attributes:
        height: of all pictures in pixels.
        width: likewise.
        channels: 3 for colour, 1 for grey.
        fit: how a picture comes to that size: `crop` fills it and cuts off what is over at two
            sides, `pad` puts the whole picture on black, `resize` changes height and width without
            regard to their ratio. Where there is room, training cuts or puts it at random, and
            evaluation in the middle.
        names: of the classes, in the order of the labels; null for those that the data have.
        variants: how many variants of each training picture take turns where features are computed
            once (`model=transfer`): the picture as evaluation sees it and others that are cut,
            mirrored, enlarged and recoloured as above, by random numbers that follow from seed and
            picture. Other models see another one each time.
        val: share of the pictures that are the validation set, where the data have none.
        test: likewise the test set.
    """

    height: Side | None = None
    width: Side | None = None
    channels: Literal[1, 3] | None = None
    fit: Fit = "crop"
    names: Annotated[list[Text], Field(min_length=1, max_length=10_000)] | None = None
    variants: Annotated[int, Field(ge=1, le=100)] = VARIANTS
    val: Share = 0.1
    test: Share = 0.1

    @property
    def classes(self) -> int | None:
        """Number of classes; None before they have been read."""
        return len(self.names) if self.names else None

    @property
    def image_shape(self) -> Shape:
        """Height, width and channels of every picture; None before they have been read."""
        return (self.height, self.width, self.channels)

    @model_validator(mode="after")
    def _options_go_together(self) -> LabelledPictures:
        check_sides(self.height, self.width)
        if self.names and len(set(self.names)) < len(self.names):
            twice = next(name for name in self.names if self.names.count(name) > 1)
            raise ValueError(f"expected data.names that differ; received {twice!r} twice")
        if self.val + self.test >= 1:
            raise ValueError(
                "expected data.val and data.test to leave something to train on; received "
                f"data.val={self.val} and data.test={self.test}"
            )
        return self


def check_sides(height: int | None, width: int | None) -> None:
    """Refuses one side without the other.

    Raises:
        ValueError: only one is given.
    """
    if (height is None) != (width is None):
        raise ValueError(
            "expected both of data.height and data.width, or neither; "
            f"received data.height={height} and data.width={width}"
        )

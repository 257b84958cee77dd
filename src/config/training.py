"""The sections `optimizer` and `trainer`."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from src.config.section import Fraction, Positive, Section


class Optimizer(Section):
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


class Trainer(Section):
    """How long and in what portions a model is trained.

    Attributes:
        epochs: passes over the training set, rounded down to whole batches.
        steps: where given, the run ends after this many batches, whatever `epochs` says.
        batch_size: training examples a step, over all devices.
        checkpoint_every: steps between checkpoints; if null, one at the end of each epoch.
        keep: how many of the newest checkpoints are kept beside the best.
        precision: `float32`, `bfloat16` (mixed), or `auto`: bfloat16 where the processor has it.
        shards: into how many equal parts a batch is divided, which then pass through the model side
            by side, each on processors of its own, with the gradient of the whole batch but for
            rounding; if null, 2 where that is faster.
        strategy: what is trained on: `one` device; `mirrored`, all GPUs of this machine; or
            `multi_worker`, all machines of the cluster that TF_CONFIG or Slurm describes, each part
            of a batch on a device of its own; `auto` for the last of them that there is.
        pictures: how many examples the pictures show.
        explain_every: steps after which, again and again, pictures show what excites a few maps of
            each layer most (`figures/evolution-<layer>.png`); null for none.
        ema: decay of the moving averages of the weights, with which a model is then evaluated;
            null to keep none.
        patience: epochs without improvement of the watched metric on the validation set after
            which the run ends; null to run to the end.
        class_weights: in the loss, so that a rare class weighs as much as a common one:
            `median_frequency` of the pixels of a segmentation (Eigen and Fergus 2015), `balanced`
            of the images of a classification; null for equal ones.
        class_weights_power: what these weights are raised to: 0.5 for their square roots, with
            which a rare class is found less often where it is not.
        label_smoothing: what part of a label's weight in the loss is spread evenly over all classes
            (Szegedy et al. 2016, section 7); for models that give an image one class.
        test_time_flip: whether a run that is done is evaluated, and predicts, by the mean of its
            outputs for a picture and for its mirror image, in twice the time (test-time
            augmentation). The validation after an epoch sees the picture alone.
    """

    epochs: Annotated[int, Field(ge=1, le=1_000_000)] = 10
    steps: Annotated[int, Field(ge=1, le=1_000_000_000)] | None = None
    batch_size: Annotated[int, Field(ge=1, le=65_536)] = 100
    checkpoint_every: Positive | None = None
    keep: Annotated[int, Field(ge=1, le=1000)] = 2
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    shards: Annotated[int, Field(ge=1, le=64)] | None = 1
    strategy: Literal["auto", "one", "mirrored", "multi_worker"] = "auto"
    pictures: Annotated[int, Field(ge=1, le=100)] = 10
    explain_every: Positive | None = None
    ema: Fraction | None = None
    patience: Positive | None = None
    class_weights: Literal["median_frequency", "balanced"] | None = None
    class_weights_power: Annotated[float, Field(ge=0, le=1)] = 1.0
    label_smoothing: Fraction = 0.0
    test_time_flip: bool = False

    @model_validator(mode="after")
    def _a_power_is_of_weights(self) -> Trainer:
        if self.class_weights is None and self.class_weights_power != 1:
            raise ValueError(
                "expected trainer.class_weights_power=1 without trainer.class_weights; "
                f"received trainer.class_weights_power={self.class_weights_power}"
            )
        return self

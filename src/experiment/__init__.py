"""A run put together: from a configuration to data, model, task and folder.

`training.train` trains it, `evaluation.evaluate` evaluates it; both write what came of it.
"""

from __future__ import annotations

import functools
import hashlib
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from src import cluster, config, machine, results
from src.data import pipeline
from src.data.dataset import DataSet
from src.data.examples import Examples, Split
from src.data.noise import Noise
from src.data.splits import spread
from src.errors import UserError
from src.models.build import build, expect_memory
from src.training import losses, output
from src.training.checkpoint import Checkpoint
from src.training.checkpoints import Checkpoints
from src.training.distributed import DistributedModel
from src.training.feature_store import Featured, FeatureStore, Pictures
from src.training.mirrored import Mirrored
from src.training.model import TrainingModel
from src.training.plan import Plan
from src.training.strategies import ONE, Devices
from src.training.tasks import for_task

# What may be another on each worker without changing what is trained.
_OWN_TO_A_WORKER = {"run_dir", "data.dir", "data.idx_dir", "data.memory_budget", "model.weights"}
_WEIGHTS = {"median_frequency": losses.median_frequency, "balanced": losses.balanced}


def resolved(settings: config.Train, data: DataSet, devices: Devices = ONE) -> config.Train:
    """Writes out what was left to the machine, and what only reading says of the data.

    Raises:
        ConfigError: the model cannot take such data.
        UserError: its weights do not fit into the memory, it cannot be trained on such devices, or
            there are too few data for a batch or too few steps.
    """
    if devices.strategy:
        cluster.check(settings, devices.replicas, "devices")
    section = settings.data.model_copy(update=dict(data.location))
    found = machine.resolved(settings)
    trainer = found.trainer.model_copy(update={"strategy": devices.name})
    found = found.model_copy(update={"data": section, "trainer": trainer})
    parsed = config.parse(config.Train, found.model_dump(mode="json"))
    plan_of(parsed, data)
    expect_memory(parsed.model, input_shape(parsed, data), len(data.classes), trained=True)
    return parsed


def input_shape(settings: config.Train, data: DataSet) -> config.Shape:
    """Height, width and channels of what a run's model takes; None for a side of any length.

    What a picture measures is known only once all are read, unlike a digit: nothing is read where
    the settings say it.
    """
    return settings.data.image_shape if settings.data.one_size else data.image_shape


def plan_of(settings: config.Train, data: DataSet) -> Plan:
    """The steps of a run.

    Raises:
        UserError: the examples do not fill one batch, or there are too few steps.
    """
    return Plan.of(settings.trainer, len(data.splits["train"]), settings.model.fine_tuning)


def agree(settings: config.Train, data: DataSet, devices: Devices) -> None:
    """Makes sure that every worker has the same settings and the same data, wherever they lie.

    Raises:
        UserError: on every worker, if one has others.
    """
    facts = {"data": data.digest, "TensorFlow": tf.__version__}
    for key, value in config.flat(settings.model_dump(mode="json")).items():
        if key not in _OWN_TO_A_WORKER:
            text = str(value)
            facts[key] = text if len(text) < 64 else hashlib.sha256(text.encode()).hexdigest()
    devices.expect_equal(facts)


def check_form(folder: Path, data: DataSet, any_size: bool) -> None:
    """Refuses data of another form than what a run was trained on.

    Raises:
        UserError: the number of classes, or what the images measure, is another.
    """
    own = results.read_data_facts(folder)
    sides = slice(2, None) if any_size else slice(None)
    shapes = tuple(own.image_shape)[sides], data.image_shape[sides]
    if len(own.classes) != len(data.classes) or shapes[0] != shapes[1]:
        raise UserError(
            f"expected data like the run's: {len(own.classes)} classes, images of "
            f"{own.image_shape}; received {data.source}: {len(data.classes)} classes, images of "
            f"{list(data.image_shape)}"
        )


def check_own_data(folder: Path, data: DataSet, *splits: str) -> None:
    """Refuses data that is not what a run was trained on, whatever its name.

    Args:
        folder: the run's.
        data: what was found.
        splits: those that have to be the run's own; no other is read.

    Raises:
        UserError: the examples are others.
    """
    own = results.read(folder).data
    if own and any(own.digests.get(name) != data.digests[name] for name in splits):
        raise UserError(
            f"expected the run's own data, {own.source}; received other examples from "
            f"{data.source} (src.eval takes data= to evaluate on other data)"
        )


def last_checkpoint(folder: Path) -> tuple[Checkpoint | None, list[str]]:
    """A run's newest whole checkpoint, and what is wrong with each newer one.

    What is damaged is set aside, so that no later checkpoint is mistaken for an older one. Only who
    has locked the folder may ask.

    Returns:
        None if the run ended before its first checkpoint.

    Raises:
        UserError: there are checkpoints, but none is whole.
    """
    checkpoints = Checkpoints(folder / "checkpoints")
    found = checkpoints.last() if checkpoints.any() else (None, [])
    checkpoints.tidy(found[0])
    return found


def checkpoint_of(folder: Path, step: int | None) -> Checkpoint | None:
    """The checkpoint of a step, which the chief goes on from; None if it begins.

    Raises:
        UserError: there is none, or it is damaged.
    """
    return None if step is None else Checkpoints(folder / "checkpoints").of_step(step)


class Experiment:
    """A run's data, model and task, and the folder that all of it is written to.

    Args:
        settings: the run's configuration, resolved.
        folder: the run's.
        data: the data set.
        devices: what it is trained on.

    Attributes:
        on_features: whether the model is given kept features of pictures instead of pictures.
    """

    def __init__(
        self, settings: config.Train, folder: Path, data: DataSet, devices: Devices = ONE
    ) -> None:
        bfloat16 = settings.trainer.precision == "bfloat16"
        keras.config.set_dtype_policy("mixed_bfloat16" if bfloat16 else "float32")
        keras.utils.set_random_seed(settings.seed)
        self.settings = settings
        self.folder = folder
        self.data = data
        self.devices = devices
        self.class_weights = self._weigh_classes() if settings.trainer.class_weights else None
        self.noise = Noise(settings.data.input_noise, settings.seed)
        smoothing = settings.trainer.label_smoothing
        self.task = for_task(settings.model.task, data, self.class_weights, smoothing)
        with devices.scope():
            model = build(settings.model, input_shape(settings, data), len(data.classes))
        trained = model, settings.trainer.ema, settings.trainer.shards or 1
        self.model = (
            DistributedModel(*trained, devices, self.task)
            if devices.strategy
            else TrainingModel(*trained, settings.model.features)
        )
        # Those of weights that are trained would be of no use a step later.
        self.on_features = settings.model.features is not None and not settings.model.fine_tuning
        self._store: FeatureStore | None = None
        self._featured: dict[str, Featured] = {}
        self.checkpoints = Checkpoints(folder / "checkpoints", settings.trainer.keep)
        self.events = output.Events(folder)

    def _weigh_classes(self) -> tuple[float, ...]:
        """The weights that the run has written down, or else those of its training examples."""
        names = self.data.classes
        trainer, written = self.settings.trainer, results.read(self.folder)
        known, power = written.class_weights or [], trainer.class_weights_power
        if len(known) == len(names) and written.class_weights_power == power:
            return tuple(known)
        weigh = _WEIGHTS[trainer.class_weights or ""]
        full = weigh(*self.data.splits["train"].class_counts(len(names)))
        weights = tuple(weight**power for weight in full)
        shown = (f"{name} {weight:.3g}" for name, weight in zip(names, weights, strict=True))
        output.log.info("class weights: %s", ", ".join(shown))
        return weights

    @functools.cached_property
    def evaluated(self) -> keras.Model:
        """What is evaluated when the run is done: the model, or its mean with a mirror image."""
        return Mirrored(self.model) if self.settings.trainer.test_time_flip else self.model

    def compile(self, model: keras.Model, *args: Any, **options: Any) -> None:
        """Compiles a model with the task's loss and its metrics, which count from zero."""
        model.compile(*args, loss=self.task.loss, metrics=self.task.metrics, **options)
        # Keras resets what it knows of, and knows of these from the first batch on.
        for metric in self.task.metrics:
            metric.reset_state()

    def part(self, split: str) -> Examples:
        """The examples of a split as the model takes them: pictures, or features of theirs.

        Ask once the weights are those that the features are to be of.
        """
        layer = self.settings.model.features
        if layer is None or not self.on_features:
            return self.data.splits[split]
        if split not in self._featured:
            data, training = self.settings.data, split == "train"
            pictures = Pictures(
                self.data.splits[split],
                split,
                f"{split} {self.data.digests[split]} {data.model_dump_json()}",
                getattr(data, "variants", 1) if training else 1,
                self.settings.seed,
            )
            store = self._store = self._store or FeatureStore(self.model.network(), layer)
            self._featured[split] = store.of(pictures)
        return self._featured[split]

    def examples(self, split: str) -> tuple[Split, tf.Tensor]:
        """The fixed examples that the pictures show, and the same as the model takes them."""
        part = self.data.splits[split]
        examples = part[spread(len(part), self.settings.trainer.pictures)].arrays()
        return examples, pipeline.inputs(examples, self.task.preprocess, self.noise)

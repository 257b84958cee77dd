"""A network that is trained on several devices, by Keras' `fit` and TensorFlow's strategies.

As shipped, `fit` of Keras 3 fails under `MultiWorkerMirroredStrategy`. Here it hands every call to
the functions below, in which all that crosses from one replica to another happens inside of a step:
the gradients, the statistics of batch normalisation, and one vector of what the metrics have
counted. Outside of the steps all workers hold the same numbers and need not wait for one another.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from src.training.model import TrainingModel
from src.training.strategies import Devices
from src.training.tasks import Task

# Parts the seeds of the replicas: masks of dropout are drawn by each replica by itself.
_APART = 1_000_003


class DistributedModel(TrainingModel):
    """A `TrainingModel` whose steps are made on several devices.

    To be made outside of the strategy's scope, of a network that was built in it, and compiled
    there: its metrics and averages are ordinary variables, and hold what counts over all replicas.

    Args:
        network: what is trained.
        decay: as for `TrainingModel`.
        shards: into how many parts a replica divides its part of a batch.
        devices: of several replicas.
        task: knows what a loss is the mean of, and the metrics.
    """

    train_function: Any
    test_function: Any

    def __init__(
        self,
        network: keras.Model,
        decay: float | None,
        shards: int,
        devices: Devices,
        task: Task,
    ) -> None:
        for layer in network.layers:
            if isinstance(layer, keras.layers.BatchNormalization):
                # Mean and variance over the whole batch, as on one device; before the kernels look
                # at the layer, which leave it to Keras then.
                layer.synchronized = True
        super().__init__(network, decay, shards)
        self._devices, self._task = devices, task
        # Of Keras' own variables these would be weights.
        self._asked = tf.Variable(0.0, trainable=False, dtype=tf.float64)
        self._agreed = tf.Variable(False, trainable=False)
        self.steps_per_call = 1

    @property
    def stopping(self) -> bool:
        """Whether a worker has been asked to stop: the same on all of them after each call."""
        return bool(self._agreed.numpy())

    def ask_to_stop(self) -> None:
        """Has all workers stop after the call of steps that comes next."""
        self._asked.assign(1.0)

    def part_seeds(self) -> None:
        """Gives each replica random numbers of its own, which follow from those of the first."""
        share = self._devices.share
        for variable in self.variables:
            if variable.name != "seed_generator_state":
                continue
            first = np.asarray(variable)
            copies = self._devices.strategy.experimental_local_results(variable.value)
            for number, copy in enumerate(copies, start=share.first):
                copy.assign(first + np.array([number * _APART, 0], first.dtype))

    def compile(self, *args: Any, steps_per_execution: int = 1, **options: Any) -> None:
        """As Keras does; a call of several steps is one to Keras, whose own loop fails here."""
        self.steps_per_call = steps_per_execution
        super().compile(*args, **options)

    def fit(self, *args: Any, steps_per_epoch: int, **options: Any) -> keras.callbacks.History:
        """As Keras does."""
        calls = steps_per_epoch // self.steps_per_call
        return super().fit(*args, steps_per_epoch=calls, **options)

    def make_train_function(self, force: bool = False) -> None:
        """Makes what trains `steps_per_call` steps."""
        if self.train_function is None or force:
            self.train_function = self._function(
                self._train_replica, self.steps_per_call, self._note
            )

    def make_test_function(self, force: bool = False) -> None:
        """Makes what evaluates a batch on each replica."""
        if self.test_function is None or force:
            self.test_function = self._function(self._test_replica, 1, lambda: None)

    def _function(
        self, replica: Callable[..., tf.Tensor], steps: int, after: Callable[[], None]
    ) -> Callable[[Any], dict[str, Any]]:
        strategy = self._devices.strategy

        @tf.autograph.experimental.do_not_convert
        def function(iterator: Any) -> dict[str, Any]:
            def step(number: tf.Tensor) -> tuple[tf.Tensor]:
                counted = strategy.run(replica, args=next(iterator))
                self._count(strategy.reduce("SUM", counted, axis=None))
                after()
                return (number + 1,)

            if steps == 1:
                step(tf.constant(0))
            else:
                # One after another: their collectives have the same keys.
                tf.while_loop(
                    lambda number: number < steps, step, [tf.constant(0)], parallel_iterations=1
                )
            return self.get_metrics_result()

        return tf.function(function)

    @tf.autograph.experimental.do_not_convert
    def _train_replica(self, inputs: tf.Tensor, targets: tf.Tensor) -> tf.Tensor:
        """Trains on a part of a batch; returns what it counts."""
        with tf.GradientTape() as tape:
            outputs = self(inputs, training=True)
            # Keras divides the loss by the replicas, whose gradients are added up.
            loss = self.compute_loss(inputs, targets, outputs, training=True)
            loss *= self._weight(targets)
        gradients = tape.gradient(loss, self.trainable_weights)
        self.optimizer.apply_gradients(zip(gradients, self.trainable_weights, strict=True))
        return self._with_asked(self._counted(inputs, targets, outputs, loss))

    @tf.autograph.experimental.do_not_convert
    def _test_replica(self, inputs: tf.Tensor, targets: tf.Tensor, there: tf.Tensor) -> tf.Tensor:
        """Evaluates a batch, unless it only fills up a row of them; returns what it counts."""

        def counted() -> tf.Tensor:
            outputs = self(inputs, training=False)
            loss = self.compute_loss(inputs, targets, outputs, training=False)
            return self._counted(inputs, targets, outputs, loss)

        sizes = sum(self._sizes())
        none = lambda: tf.zeros(sizes, tf.float64)  # noqa: E731
        return self._with_asked(tf.cond(there, counted, none))

    def _weight(self, targets: tf.Tensor) -> tf.Tensor | float:
        """What a part's mean loss counts in the batch's: 1 where all parts are means of as many."""
        counted = self._task.counted(targets)
        if counted is None:
            return 1.0
        context = tf.distribute.get_replica_context()
        mean = context.all_reduce("SUM", counted) / self._devices.replicas
        return tf.math.divide_no_nan(counted, mean)

    def _counted(
        self, inputs: tf.Tensor, targets: tf.Tensor, outputs: tf.Tensor, loss: tf.Tensor
    ) -> tf.Tensor:
        """What the metrics count of some examples, from zero, in a vector `[numbers]`.

        Integers are exact in it up to 2^53.
        """
        variables = self._metric_variables()
        zeros = [(variable, ops.zeros(variable.shape, variable.dtype)) for variable in variables]
        with keras.StatelessScope(state_mapping=zeros) as scope:
            examples = ops.shape(inputs)[0]
            self.metrics[0].update_state(loss * self._devices.replicas, sample_weight=examples)
            self.compute_metrics(inputs, targets, outputs)
        values = [scope.get_current_value(variable) for variable in variables]
        return tf.concat([tf.reshape(tf.cast(v, tf.float64), [-1]) for v in values], axis=0)

    def _with_asked(self, counted: tf.Tensor) -> tf.Tensor:
        return tf.concat([counted, [self._asked.read_value()]], axis=0)

    def _count(self, sums: tf.Tensor) -> None:
        """Adds to the metrics what all replicas have counted, and notes whether one is to stop."""
        *parts, asked = tf.split(sums, [*self._sizes(), 1])
        for variable, part in zip(self._metric_variables(), parts, strict=True):
            variable.assign_add(tf.cast(tf.reshape(part, variable.shape), variable.dtype))
        self._agreed.assign(asked[0] > 0)

    def _metric_variables(self) -> list[keras.Variable]:
        return [v for metric in (self.metrics[0], *self._task.metrics) for v in metric.variables]

    def _note(self) -> None:
        self._note_step(self.metrics[0].result())

    def _sizes(self) -> list[int]:
        return [int(np.prod(variable.shape)) for variable in self._metric_variables()]

"""A network as it is trained: by its fast form, in shards, with averages of its weights."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any

import keras
from keras import ops

from src.kernels.accelerate import accelerate
from src.kernels.shards import in_shards
from src.training.averages import Averages
from src.training.failure import FirstFailure


class TrainingModel(keras.Model):
    """A functional model that trains a network, whose layers and weights are its own.

    What is noted of a step is noted inside of it, so that every step counts however many of them
    one call trains.

    Args:
        network: what is trained.
        decay: of the moving averages, in [0, 1), or None to keep none.
        shards: into how many parts a batch is divided, which pass through the layers side by side.
        features: name of a layer whose output `[batch, features]` is taken as well, in the place of
            pictures; None where pictures only are. The layers up to it compute as in evaluation,
            also where they are trained.

    Attributes:
        averages: moving averages of the trainable weights.
        shards: see above.
    """

    def __init__(
        self,
        network: keras.Model,
        decay: float | None,
        shards: int = 1,
        features: str | None = None,
    ) -> None:
        super().__init__(network.inputs, network.outputs, name=network.name)
        forward, tuned = accelerate(network), []
        # Functions, as Keras saves whatever layer or property it finds a second time.
        self._network = lambda: network
        self._head = lambda inputs, **options: None
        if features:
            inner = network.get_layer(features).output
            below = keras.Model(network.inputs[0], inner)
            head = keras.Model(inner, network.outputs[0])
            tuned = [layer for layer in below.layers if layer.trainable_weights]
            compute = accelerate(below)

            def forward(inputs: Any, training: bool | None = None, mask: None = None) -> Any:
                return head(compute(inputs, training=False, mask=mask), training=training)

            self._head = lambda inputs, **options: head(inputs, **options)
            # Keras would refuse what is no picture.
            self.input_spec = None
        self._forward = lambda *args, **options: forward(*args, **options)
        self._tuned = lambda: tuned
        self.shards = shards
        self.averages = Averages(self.trainable_weights, decay)
        self._failure = FirstFailure()
        self._asked_to_stop = False

    def network(self) -> keras.Model:
        """The network itself: what is drawn and described."""
        return self._network()

    def freeze(self, frozen: bool) -> None:
        """Whether the layers up to the features stay as they are; to be followed by `compile`."""
        for layer in self._tuned():
            layer.trainable = not frozen

    @property
    def failed_step(self) -> int:
        """The first step whose loss was not finite, counted from 1; 0 if there was none."""
        return self._failure.step

    def call(self, inputs: Any, training: bool | None = None, mask: None = None) -> Any:
        """Passes a batch through the network, shard by shard."""
        if isinstance(inputs, keras.KerasTensor):
            return super().call(inputs, training=training, mask=mask)
        if len(inputs.shape) < len(self.inputs[0].shape):
            return self._head(inputs, training=training)
        return in_shards(self._forward, inputs, self.shards, training=training, mask=mask)

    def train_step(self, data: object) -> dict[str, Any]:
        """Trains on a batch and updates the averages."""
        logs = super().train_step(data)
        self._note_step(logs["loss"])
        return logs

    def _note_step(self, loss: Any) -> None:
        """Notes the epoch's mean loss after an update, and updates the averages."""
        step = ops.cast(self.optimizer.iterations, "int64")
        self._failure.note(step, loss)
        self.averages.update(step)

    @property
    def stopping(self) -> bool:
        """Whether the run is to stop after the step that has just been trained."""
        return self._asked_to_stop

    def ask_to_stop(self) -> None:
        """Has the run stop after a step; may be called in any thread."""
        self._asked_to_stop = True

    def averaged(self) -> AbstractContextManager[None]:
        """Within the block the weights are the averages, if there are any."""
        return self.averages.swapped_in()

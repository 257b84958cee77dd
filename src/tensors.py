"""The names of tensors in annotations."""

from typing import Any

# With values: of TensorFlow or JAX, now or in a graph, or an array that becomes one. Python has no
# type for that. Of a network that is being built, they are `keras.KerasTensor`.
Tensor = Any
# An int, or a scalar tensor where the size is known only when the graph runs.
Size = Any

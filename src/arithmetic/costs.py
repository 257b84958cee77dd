"""What a layer costs for one example: parameters, connections, multiply-adds.

Connections are counted as LeCun, Bottou, Bengio and Haffner (1998, section II-B) count LeNet-5's:
340,908 in all, of which the 840 of the output are not trained.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

Sides = int | tuple[int, int]


@dataclass(frozen=True)
class Cost:
    """What a layer costs for one example.

    Attributes:
        parameters: trainable numbers.
        connections: as the paper counts: each output counts the inputs it is wired to, and one
            more for its bias.
        multiply_adds: connections that have a weight, trained or fixed, and are not a bias's.
    """

    parameters: int = 0
    connections: int = 0
    multiply_adds: int = 0

    def __add__(self, other: Cost) -> Cost:
        return Cost(
            self.parameters + other.parameters,
            self.connections + other.connections,
            self.multiply_adds + other.multiply_adds,
        )


def dense_cost(inputs: int, outputs: int, bias: bool = True) -> Cost:
    """Returns the cost of a fully connected layer."""
    weights = inputs * outputs
    total = weights + bias * outputs
    return Cost(total, total, weights)


def conv2d_cost(
    outputs: tuple[int, int, int], kernel: Sides, inputs: int, bias: bool = True
) -> Cost:
    """Returns the cost of a convolution.

    Args:
        outputs: height, width and channels of the output.
        kernel: height and width of the kernel, or one number for both.
        inputs: input channels that an output channel sees (all, or one group of them).
        bias: whether each output channel has a bias.
    """
    return sparse_conv2d_cost(outputs, kernel, inputs * outputs[2], bias)


def sparse_conv2d_cost(
    outputs: tuple[int, int, int], kernel: Sides, pairs: int, bias: bool = True
) -> Cost:
    """Returns the cost of a convolution in which only some pairs of channels are connected.

    Args:
        outputs: height, width and channels of the output.
        kernel: height and width of the kernel, or one number for both.
        pairs: connected pairs of an input and an output channel, 60 for `C3_TABLE`.
        bias: whether each output channel has a bias.
    """
    height, width, channels = outputs
    weights = math.prod(_both(kernel)) * pairs
    parameters = weights + bias * channels
    return Cost(parameters, parameters * height * width, weights * height * width)


def depthwise_conv2d_cost(outputs: tuple[int, int, int], kernel: Sides, bias: bool = True) -> Cost:
    """Returns the cost of a convolution of each channel with its own kernel."""
    return sparse_conv2d_cost(outputs, kernel, outputs[2], bias)


def conv2d_transpose_cost(
    inputs: tuple[int, int, int],
    outputs: tuple[int, int, int],
    kernel: Sides,
    bias: bool = True,
) -> Cost:
    """Returns the cost of a transposed convolution.

    Each input is wired to the whole kernel. Connections that the padding crops are counted, as
    those into the padding of a convolution are.

    Args:
        inputs: height, width and channels of the input.
        outputs: height, width and channels of the output.
        kernel: height and width of the kernel, or one number for both.
        bias: whether each output channel has a bias.
    """
    weights = math.prod(_both(kernel)) * inputs[2] * outputs[2]
    uses = weights * inputs[0] * inputs[1]
    return Cost(weights + bias * outputs[2], uses + bias * math.prod(outputs), uses)


def subsampling_cost(outputs: tuple[int, int, int], window: Sides) -> Cost:
    """Returns the cost of LeNet-5's S2 or S4: the sum of a window, a coefficient and a bias."""
    units = math.prod(outputs)
    uses = units * math.prod(_both(window))
    return Cost(2 * outputs[2], uses + units, uses)


def rbf_cost(inputs: int, outputs: int) -> Cost:
    """Returns the cost of LeNet-5's output: distances to centres that are not trained."""
    return Cost(0, inputs * outputs, inputs * outputs)


def _both(sides: Sides) -> tuple[int, int]:
    return (sides, sides) if isinstance(sides, int) else sides

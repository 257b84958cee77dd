"""One pass over a finished functional network, as a compiler's: what it recognises, it makes fast.

The network stays what it was: what is saved, drawn and described. `accelerate` returns a function
that computes the same from the same variables. It exchanges calls of layers that it recognises
exactly: by class (`type(x) is`), configuration, precision and how they are connected. Whatever
differs in any of these runs as Keras runs it, so that what one edits is what runs.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import keras
from keras import layers, ops

from src.kernels import depth_to_space, lenet5, strided
from src.kernels.activations import FASTER
from src.tensors import Tensor

Values = dict[int, Tensor]
# Channels that leave a vector register of 16 numbers half empty.
_FEW = 8
# The kernel and the strides for which strided gradients were measured to gain.
_MEASURED = {"kernel_size": (5, 5), "strides": (2, 2)}
_PLAIN = {"dilation_rate": (1, 1), "data_format": "channels_last"}


@dataclass(frozen=True, eq=False)
class _Call:
    """A call of an operation of the network, or of what stands in its place."""

    node: Any
    run: Callable[..., Any]

    @property
    def layer(self) -> Any:
        return self.node.operation

    @property
    def exchanged(self) -> bool:
        return self.run is not self.node.operation

    @property
    def source(self) -> Any:
        return self.node.input_tensors[0]

    @property
    def output(self) -> Any:
        return self.node.outputs[0]


def accelerate(network: keras.Model) -> Callable[..., Tensor]:
    """Returns a function `(inputs, training=None, mask=None)` that computes what a network does.

    Args:
        network: functional, of one input and one output; any other is called as it is.
    """
    kind = type(keras.Model(network.inputs, network.outputs)) if network.inputs else None
    masks = any(isinstance(layer, layers.Masking | layers.Embedding) for layer in network.layers)
    if type(network) is not kind or len(network.inputs) != 1 or len(network.outputs) != 1 or masks:
        return network.call
    calls = _calls(network)
    exchanged = _with_lenet5(calls, network)
    exchanged = [_faster(call, calls, network) for call in exchanged]
    return network.call if exchanged == calls else _runner(network, exchanged)


def _calls(network: keras.Model) -> list[_Call]:
    """The calls of a network in an order in which each finds its inputs."""
    depths = sorted(network._nodes_by_depth, reverse=True)
    nodes = [node for depth in depths for node in network._nodes_by_depth[depth]]
    return [_Call(node, node.operation) for node in nodes if not node.is_input]


def _runner(network: keras.Model, calls: Sequence[_Call]) -> Callable[..., Tensor]:
    (symbol,), (output,) = network.inputs, network.outputs

    def forward(inputs: Tensor, training: bool | None = None, mask: Any = None) -> Tensor:
        if isinstance(inputs, keras.KerasTensor) or len(inputs.shape) != len(symbol.shape):
            return network.call(inputs, training=training, mask=mask)
        values: Values = {id(symbol): ops.convert_to_tensor(inputs, dtype=symbol.dtype)}
        for call in calls:
            if not call.exchanged:
                args, kwargs = call.node.arguments.fill_in(values)
                results = call.layer(*args, **_training(call.layer, kwargs, training))
            else:
                with keras.name_scope(call.layer.name):
                    results = call.run(values)
            for tensor, value in zip(call.node.outputs, keras.tree.flatten(results), strict=True):
                values[id(tensor)] = value
        return values[id(output)]

    return forward


def _training(
    operation: keras.Operation, kwargs: dict[str, Any], training: bool | None
) -> dict[str, Any]:
    takes = "training" in inspect.signature(operation.call).parameters
    return {**kwargs, "training": training} if takes and training is not None else kwargs


def _with_lenet5(calls: list[_Call], network: keras.Model) -> list[_Call]:
    """The calls, with C1 to S4 of LeNet-5 as one where they are."""
    for first in calls:
        chain = _chain(first, calls, network, len(lenet5.KINDS))
        parts = [call.layer for call in chain]
        if (
            tuple(map(type, parts)) == lenet5.KINDS
            and all(_ordinary(call, calls, network) for call in chain)
            and lenet5.matches(parts, first.source.shape)
        ):
            rest = [call for call in calls if call not in chain[:-1]]
            return [_fused(first, call, parts) if call is chain[-1] else call for call in rest]
    return calls


def _fused(first: _Call, last: _Call, parts: list[layers.Layer]) -> _Call:
    source = id(first.source)
    return _Call(last.node, lambda values: lenet5.c1_to_s4(parts, values[source]))


def _chain(first: _Call, calls: list[_Call], network: keras.Model, length: int) -> list[_Call]:
    """A call and those after it, as long as each is the only one to take what the last made."""
    chain = [first]
    while len(chain) < length:
        made = chain[-1].output
        takers = [call for call in calls if any(made is t for t in call.node.input_tensors)]
        if len(takers) != 1 or any(made is tensor for tensor in network.outputs):
            break
        chain += takers
    return chain


def _ordinary(call: _Call, calls: list[_Call], network: keras.Model) -> bool:
    """Whether a call is of a layer with one input and one output, and nothing else to it."""
    layer = call.layer
    return (
        isinstance(layer, layers.Layer)
        and sum(other.layer is layer for other in calls) == 1
        and len(call.node.arguments.args) == 1
        and call.node.arguments.args[0] is call.source
        and not call.node.arguments.kwargs
        and len(call.node.outputs) == 1
        and layer.activity_regularizer is None
        and type(layer.dtype_policy) is keras.DTypePolicy
        and layer.autocast
        and not getattr(layer, "lora_enabled", False)
        # Of another precision than the network, a layer reads its variables in a scope of its own.
        and layer.compute_dtype == network.compute_dtype
        and layer.compute_dtype in ("float32", "bfloat16", "float16")
    )


def _faster(call: _Call, calls: list[_Call], network: keras.Model) -> _Call:
    """A call, exchanged if it is recognised."""
    if call.exchanged or not _ordinary(call, calls, network):
        return call
    layer = call.layer
    source, activation = id(call.source), getattr(layer, "activation", None)
    fast = FASTER.get(activation) if callable(activation) else None
    if type(layer) is layers.Activation:
        if fast is None:
            return call
        dtype = layer.compute_dtype
        return _Call(call.node, lambda values: fast(ops.cast(values[source], dtype)))
    if type(layer) not in (layers.Conv2D, layers.Conv2DTranspose, layers.Dense):
        return call
    product = _product(layer, call.source.shape)
    if product is None and fast is None:
        return call
    function = _affine(layer, product or _own_product(layer), fast or activation)
    return _Call(call.node, lambda values: function(values[source]))


def _product(
    layer: layers.Layer, shape: tuple[int, ...]
) -> Callable[[Tensor, Tensor], Tensor] | None:
    """What multiplies maps of a shape with a layer's kernel faster than Keras does, if anything."""
    if type(layer) is layers.Dense or not _has(layer, _PLAIN):
        return None
    if type(layer) is layers.Conv2D:
        if layer.groups > 1:
            return None
        whole = tuple(shape[1:3]) == layer.kernel_size != (1, 1) == layer.strides
        if layer.padding == "valid" and whole:
            return _whole
        halves = all(side and side % 2 == 0 for side in shape[1:3])
        if layer.padding == "same" and halves and shape[3] >= _FEW and _has(layer, _MEASURED):
            return lambda x, kernel: strided.conv2d(x, kernel, layer.strides)
        return None
    if layer.padding != "same" or layer.output_padding is not None:
        return None
    strides = layer.strides
    if layer.filters < _FEW and layer.kernel_size == (5, 5) and strides in ((1, 1), (2, 2)):
        product = depth_to_space.conv2d_transpose
        return lambda x, kernel: strided.conv2d_transpose(x, kernel, strides, product)
    if _has(layer, _MEASURED):
        return lambda x, kernel: strided.conv2d_transpose(x, kernel, strides)
    return None


def _whole(x: Tensor, kernel: Tensor) -> Tensor:
    """A convolution whose kernel is as large as its input: a matrix product, done as one."""
    filters = kernel.shape[-1]
    rows = ops.reshape(x, (-1, math.prod(x.shape[1:])))
    return ops.reshape(ops.matmul(rows, ops.reshape(kernel, (-1, filters))), (-1, 1, 1, filters))


def _own_product(layer: layers.Layer) -> Callable[[Tensor, Tensor], Tensor]:
    """What Keras multiplies with the layer's kernel."""
    if type(layer) is layers.Dense:
        return ops.matmul
    if type(layer) is layers.Conv2D:
        return layer.convolution_op
    return lambda x, kernel: ops.conv_transpose(
        x,
        kernel,
        strides=list(layer.strides),
        output_padding=layer.output_padding,
        padding=layer.padding,
        dilation_rate=layer.dilation_rate,
        data_format=layer.data_format,
    )


def _affine(
    layer: layers.Layer,
    product: Callable[[Tensor, Tensor], Tensor],
    activation: Callable[[Tensor], Tensor] | None,
) -> Callable[[Tensor], Tensor]:
    """A dense or convolutional layer with another product and activation."""
    dtype = layer.compute_dtype
    shape = (-1, 1, 1) if getattr(layer, "data_format", None) == "channels_first" else (-1,)

    def call(x: Tensor) -> Tensor:
        y = product(ops.cast(x, dtype), ops.cast(layer.kernel, dtype))
        if layer.use_bias:
            bias = ops.reshape(ops.cast(layer.bias, dtype), shape)
            y = y + bias if type(layer) is layers.Conv2DTranspose else ops.add(y, bias)
        return y if activation is None else activation(y)

    return call


def _has(layer: layers.Layer, options: Mapping[str, object]) -> bool:
    return all(getattr(layer, name) == value for name, value in options.items())

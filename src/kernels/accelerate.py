"""One pass over a finished functional network, as a compiler's: what it recognises, it makes fast.

The network stays what it was: what is saved, drawn and described. `accelerate` returns a function
that computes the same from the same variables. It exchanges calls of layers that it recognises
exactly: by class (`type(x) is`), configuration, precision and how they are connected. Whatever
differs in any of these runs as Keras runs it, so that what one edits is what runs.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import keras
from keras import layers, ops

from src.kernels import lenet5, normalization, products
from src.kernels.activations import FASTER
from src.tensors import Tensor

Values = dict[int, Tensor]


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
                    results = call.run(values, training)
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
    return _Call(last.node, lambda values, _: lenet5.c1_to_s4(parts, values[source]))


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
        and all(value is None for value in call.node.arguments.kwargs.values())
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
    if type(layer) is layers.BatchNormalization:
        return _normalised(call) if normalization.matches(layer, call.source.shape) else call
    fast = FASTER.get(activation) if callable(activation) else None
    if type(layer) is layers.Activation:
        if fast is None:
            return call
        dtype = layer.compute_dtype
        return _Call(call.node, lambda values, _: fast(ops.cast(values[source], dtype)))
    if type(layer) not in (layers.Conv2D, layers.Conv2DTranspose, layers.Dense):
        return call
    product = products.faster(layer, call.source.shape)
    if product is None and fast is None:
        return call
    function = products.affine(layer, product or products.own(layer), fast or activation)
    return _Call(call.node, lambda values, _: function(values[source]))


def _normalised(call: _Call) -> _Call:
    source, layer = id(call.source), call.layer

    def run(values: Values, training: bool | None) -> Tensor:
        x = ops.cast(values[source], layer.compute_dtype)
        return normalization.batch_normalization(layer, x, bool(training))

    return _Call(call.node, run)

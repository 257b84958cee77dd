"""DeconvNet: a trained network walked backwards, from one activation down to the pixels.

Zeiler and Fergus, "Visualizing and understanding convolutional networks" (2014, section 2.1). A
picture goes forward as always. Then everything in a layer is zero but what one asks about, and that
goes down again: unpooled to where the maxima of *this* picture were, rectified, filtered with the
transposed kernels of the trained layer. There are no biases on the way down, batch normalisation
counts by its scale, and the pixels are not rectified.

Three methods differ in a rectifier `max(z, 0)` only. What comes from above, g, goes on as

    saliency    g where z > 0           (Simonyan, Vedaldi, Zisserman 2013): the gradient
    deconvnet   max(g, 0)               (Zeiler, Fergus 2014)
    guided      max(g, 0) where z > 0   (Springenberg, Dosovitskiy, Brox, Riedmiller 2015)
"""

from __future__ import annotations

import inspect
from collections import defaultdict
from typing import Any, Literal

import keras
from keras import layers, ops

from src.errors import UserError
from src.layers.adjoints import (
    BatchNormalizationScale,
    Conv2DAdjoint,
    Conv2DTransposeAdjoint,
    DenseAdjoint,
    LayerAdjoint,
    MaxPoolAdjoint,
    Rectify,
)
from src.layers.pooling import MaxPoolWithArgmax2D

Method = Literal["deconvnet", "saliency", "guided"]
Flow = list[tuple[keras.KerasTensor, keras.KerasTensor]]

# Keras' activations that are layers of their own, but for a plain ReLU; and models within a model,
# whose rectifiers are not looked for.
_OTHER_ACTIVATIONS = (layers.LeakyReLU, layers.PReLU, layers.ELU, layers.Softmax, keras.Model)
# In evaluation they are the identity, but for their activation, which `Rectify` stands for.
_HANDED_ON = (
    *(layers.Activation, layers.ReLU, layers.Identity, layers.ActivityRegularization),
    *(layers.Dropout, layers.SpatialDropout2D, layers.GaussianNoise, layers.GaussianDropout),
)


def deconvnet(model: keras.Model, layer: str, method: Method = "deconvnet") -> keras.Model:
    """Builds the network that projects a layer's activations back to the pixels.

    It shares the layers and the weights of `model`, which stays as it is. Seed with 1 where the
    activation is and 0 elsewhere: seeded with the activation itself, a negative one would turn the
    picture's sign.

    Args:
        model: a functional model with one input, `[batch, height, width, channels]`.
        layer: name of the layer whose activations are asked about.
        method: what a rectifier does on the way down.

    Returns:
        A functional model of `[picture, seed]`, the seed shaped as the layer's output, to a
        projection of the picture's shape, in float32.

    Raises:
        UserError: there is no such layer, or the method is not defined for the network's
            activations.
    """
    names = [each.name for each in model.layers if not isinstance(each, layers.InputLayer)]
    if layer not in names:
        raise UserError(f"expected layer= as one of {', '.join(names)}; received layer={layer}")
    picture, target = model.inputs[0], _tensors(model.get_layer(layer).output)[0]
    nodes = _nodes_below(target)
    for operation in dict.fromkeys(_operation(node) for node in nodes):
        if method != "saliency" and activation_kind(operation) == "other":
            raise UserError(
                f"expected method=saliency, the only one for a network with activations other than "
                f"rectifiers, such as that of {operation.name}; received method={method}"
            )
    seed = keras.Input(target.shape[1:], dtype="float32", name="seed")
    arrived: dict[int, list[keras.KerasTensor]] = defaultdict(list)
    arrived[id(target)].append(seed)
    for node in reversed(nodes):
        output = node.output_tensors[0]
        if not arrived[id(output)]:
            continue
        gradient = _sum(arrived.pop(id(output)), _operation(node).name)
        for tensor, part in _down(node, gradient, method):
            arrived[id(tensor)].append(part)
    projection = _sum(arrived[id(picture)], "picture")
    return keras.Model([picture, seed], projection, name=f"{model.name}_{layer}_{method}")


def _nodes_below(target: keras.KerasTensor) -> list[Any]:
    """Every use of a layer that the target depends on, each after those that it depends on."""
    ordered: list[Any] = []
    seen: set[int] = set()
    waiting = [(target, False)]
    while waiting:
        tensor, done = waiting.pop()
        history = tensor._keras_history
        node = history.operation._inbound_nodes[history.node_index]
        if done:
            ordered.append(node)
        elif id(node) not in seen and not isinstance(history.operation, layers.InputLayer):
            seen.add(id(node))
            waiting.append((tensor, True))
            waiting.extend((each, False) for each in node.input_tensors)
    return ordered


def _down(node: Any, gradient: keras.KerasTensor, method: Method) -> Flow:
    """What a layer passes down: each of its inputs with its part of what comes from above."""
    layer, (x, *more), output = _operation(node), node.input_tensors, node.output_tensors[0]
    kind = activation_kind(layer)
    if kind == "other":
        return _by_gradient(node, gradient, linear=False)
    if kind == "rectifier":
        gradient = Rectify(method, name=f"{layer.name}_rectify")(gradient, output)
    name = f"{layer.name}_back"
    match layer:
        case _ if isinstance(layer, _HANDED_ON):
            return [(x, gradient)]
        case layers.Add() if all(each.shape == x.shape for each in more):
            return [(each, gradient) for each in (x, *more)]
        case layers.Dense():
            return [(x, DenseAdjoint(layer, name=name)(gradient))]
        case layers.BatchNormalization() if layer.axis in (-1, len(x.shape) - 1):
            return [(x, BatchNormalizationScale(layer, name=name)(gradient))]
        case layers.Conv2DTranspose() if layer.output_padding is None:
            return [(x, Conv2DTransposeAdjoint(layer, name=name)(gradient, like=x))]
        case layers.Conv2D() if layer.groups == 1:
            return [(x, Conv2DAdjoint(layer, name=name)(gradient, like=x))]
        case layers.MaxPooling2D():
            switches = MaxPoolWithArgmax2D(
                layer.pool_size, layer.strides, layer.padding, name=f"{layer.name}_switches"
            )
            return [(x, MaxPoolAdjoint(name=name)(gradient, switches(x)[1], like=x))]
        case MaxPoolWithArgmax2D():
            return [(x, MaxPoolAdjoint(name=name)(gradient, node.output_tensors[1], like=x))]
        case layers.Flatten() | layers.Reshape() if None not in x.shape[1:]:
            return [(x, layers.Reshape(x.shape[1:], dtype="float32", name=name)(gradient))]
    return _by_gradient(node, gradient, linear=kind == "rectifier")


def _by_gradient(node: Any, gradient: keras.KerasTensor, linear: bool) -> Flow:
    """The gradient of a layer that is linear, a maximum, or asked for its gradient."""
    inputs = _counted(node)
    if not inputs:
        return []
    layer = LayerAdjoint(node, inputs, linear, name=f"{_operation(node).name}_back")
    return list(zip(inputs, layer([gradient, *node.input_tensors]), strict=True))


def _counted(node: Any) -> list[keras.KerasTensor]:
    """The inputs whose values count: neither indices nor those called `like`, for their size."""
    arguments = node.arguments
    bound = inspect.signature(_operation(node).call).bind(*arguments.args, **arguments.kwargs)
    likes = {id(tensor) for tensor in _tensors(bound.arguments.get("like"))}
    # One that is given twice counts once, with both its parts.
    given = {id(tensor): tensor for tensor in node.input_tensors if id(tensor) not in likes}
    return [tensor for tensor in given.values() if keras.backend.is_float_dtype(tensor.dtype)]


def activation_kind(operation: Any) -> Literal["none", "rectifier", "other"]:
    """The kind of a layer's activation: none, a rectifier, or another function."""
    if isinstance(operation, layers.ReLU):
        bent = operation.negative_slope or operation.threshold or operation.max_value is not None
        return "other" if bent else "rectifier"
    if isinstance(operation, _OTHER_ACTIVATIONS) or not isinstance(operation, layers.Layer):
        return "other"
    function = getattr(operation, "activation", None)
    if function in (None, keras.activations.linear):
        return "none"
    return "rectifier" if function in (keras.activations.relu, ops.relu) else "other"


def _sum(parts: list[keras.KerasTensor], name: str) -> keras.KerasTensor:
    if len(parts) == 1:
        return parts[0]
    return layers.Add(dtype="float32", name=f"{name}_sum")(parts)


def _operation(node: Any) -> Any:
    return node.operation


def _tensors(nested: Any) -> list[keras.KerasTensor]:
    return [each for each in keras.tree.flatten(nested) if each is not None]

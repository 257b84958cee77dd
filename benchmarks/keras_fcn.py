"""The network of `model=fcn` in plain Keras."""

from __future__ import annotations

import keras
from keras import layers

from benchmarks.peer import CONVOLUTIONS, FUSED, MAPS, SCORES


def network(name: str, shape: tuple[int, ...], classes: int) -> keras.Model:
    """FCN as `src.models.fcn` has it: pictures of `shape` to logits of every pixel."""
    image = x = keras.Input(shape)
    pooled = []
    for stage, (convolutions, maps) in enumerate(zip(CONVOLUTIONS[name], MAPS, strict=True)):
        for _ in range(convolutions):
            x = layers.Conv2D(maps, 3, padding="same", use_bias=stage == 0)(x)
            if stage > 0:
                x = layers.BatchNormalization(momentum=0.9)(x)
            x = layers.Activation("relu")(x)
        x = layers.MaxPooling2D(2, padding="same")(x)
        pooled.append(x)
    scores = layers.Conv2D(SCORES, 1)(x)
    for stage in FUSED[name]:
        upsampled = _upsampled(scores, SCORES, 2, pooled[stage])
        scores = layers.Add()([upsampled, layers.Conv2D(SCORES, 1)(pooled[stage])])
    logits = _upsampled(scores, classes, 2 ** (FUSED[name][-1] + 1), image)
    return keras.Model(image, layers.Activation("linear", dtype="float32")(logits))


def _upsampled(
    x: keras.KerasTensor, maps: int, factor: int, like: keras.KerasTensor
) -> keras.KerasTensor:
    size = 2 * factor
    x = layers.Conv2DTranspose(maps, size, factor, padding="same", use_bias=False)(x)
    surplus = [(0, have - want) for have, want in zip(x.shape[1:3], like.shape[1:3], strict=True)]
    return layers.Cropping2D(surplus)(x)

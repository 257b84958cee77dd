"""Networks that give every pixel a class: FCN, and SegNet's decoder on the same backbones.

Long, Shelhamer, Darrell, "Fully convolutional networks for semantic segmentation" (2015): class
scores at strides 32, 16 and 8 (and 4, if asked) are added up, each upsampled by a transposed
convolution that starts as bilinear interpolation. Badrinarayanan, Kendall, Cipolla, "SegNet"
(2017): the maxima of the encoder's poolings say where the decoder's unpoolings put what they are
given.

All layers slide, so that a network takes pictures of every size, and of sizes not known when it is
built. The scores of the outermost half stride of pixels fade, since bilinear upsampling takes what
lies outside as zero. All classes fade alike: the loss there is a little larger, the largest score
is the same.
"""

from __future__ import annotations

from pathlib import Path

import keras
from keras import layers

from src import config
from src.layers import Bilinear, CropLike2D, MaxUnpool2D
from src.models import backbones, vgg16
from src.models.backbones import Stage


def build(model: config.Fcn, input_shape: config.Shape, classes: int) -> keras.Model:
    """Builds the network; its output is one logit a class for each pixel of the input.

    The names of the layers do not depend on the size of the pictures, and those that two strides
    share are called the same: their weights go from one network to another by name.

    Args:
        model: its options.
        input_shape: `(height, width, channels)`, height and width None where they are not known.
        classes: number of classes, the background included.

    Raises:
        ValueError: vgg16 is given neither one channel nor three.
    """
    image = keras.Input(input_shape, name="image")
    stages = backbones.encode(image, model)
    if model.decoder == "unpool":
        logits = _unpooled(stages, classes)
    else:
        logits = _skipped(stages, image, model, classes)
    logits = layers.Activation("linear", dtype="float32", name="logits")(logits)
    return keras.Model(image, logits, name="fcn")


def load_weights(network: keras.Model, model: config.Fcn) -> str:
    """Gives VGG16's layers the published weights; returns what was loaded, in a line.

    Raises:
        UserError: they cannot be had, or are not VGG16's.
    """
    return vgg16.load_weights(network, model.weights or "imagenet")


def published(model: config.Fcn) -> Path:
    """The file that `model.weights=imagenet` means, downloaded if need be.

    Raises:
        UserError: it cannot be had.
    """
    del model
    return vgg16.published()


def _skipped(
    stages: list[Stage], image: keras.KerasTensor, model: config.Fcn, classes: int
) -> keras.KerasTensor:
    """Scores at stride 32, fused with finer ones down to `model.stride`."""
    deepest = stages[-1].pooled
    if model.backbone == "vgg16":
        deepest = backbones.fully_connected(deepest)
    channels = model.score_channels or classes
    scores = _score(deepest, channels, 32)
    for stage, stride in ((stages[3], 16), (stages[2], 8), (stages[1], 4)):
        if stride >= model.stride:
            finer = _score(stage.pooled, channels, stride)
            name = f"upsample{2 * stride}to{stride}"
            scores = _upsample(scores, channels, 2, finer, name, model)
            scores = layers.Add(name=f"fuse{stride}")([scores, finer])
    return _upsample(scores, classes, model.stride, image, f"upsample{model.stride}", model)


def _score(x: keras.KerasTensor, channels: int, stride: int) -> keras.KerasTensor:
    """Scores; from zero, a skip changes nothing until it has learned (section 4.2)."""
    return layers.Conv2D(channels, 1, kernel_initializer="zeros", name=f"score{stride}")(x)


def _upsample(
    x: keras.KerasTensor,
    channels: int,
    factor: int,
    like: keras.KerasTensor,
    name: str,
    model: config.Fcn,
) -> keras.KerasTensor:
    """Upsamples by `factor` and crops to the size of `like`.

    SAME pooling puts the padding last, so output pixel 0 belongs to score 0 and the surplus is cut
    off at the end. Asking the transposed convolution for the size of `like` would shift instead.
    A dense kernel, though it begins as a diagonal, is the faster on a CPU: a convolution of each
    channel by itself took 5 to 7 times as long in bfloat16, as long in float32.
    """
    x = layers.Conv2DTranspose(
        channels,
        2 * factor - factor % 2,
        strides=factor,
        padding="same",
        use_bias=False,
        kernel_initializer=Bilinear(),
        trainable=not model.freeze_upsampling,
        name=name,
    )(x)
    return CropLike2D(name=f"{name}_crop")(x, like)


def _unpooled(stages: list[Stage], classes: int) -> keras.KerasTensor:
    """SegNet's decoder: each stage in reverse, its unpooling first, then its convolutions."""
    x = stages[-1].pooled
    finer = [stages[0].filters, *(stage.filters for stage in stages)]
    for number in range(len(stages), 0, -1):
        stage = stages[number - 1]
        x = MaxUnpool2D(name=f"unpool{number}")(x, stage.indices, like=stage.before)
        for convolution in range(stage.convolutions, 0, -1):
            # The last one has as many maps as the next unpooling has indices.
            filters = stage.filters if convolution > 1 else finer[number - 1]
            x = backbones.convolve(x, filters, f"deconv{number}_{convolution}", normalised=True)
    return layers.Conv2D(classes, 3, padding="same", kernel_initializer="zeros", name="score")(x)

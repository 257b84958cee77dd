"""Facts about networks of `keras.applications` that others have trained.

How each wants its pictures is part of what it was trained as: other numbers, and its features mean
nothing.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

BackboneName = Literal[
    "efficientnet_v2b0", "inception_v3", "mobilenet_v3_small", "resnet50", "vgg16"
]


class Backbone(NamedTuple):
    """A network of `keras.applications`.

    Attributes:
        application: its name there.
        size: height and width of the pictures that it was trained on.
        scaling: factor and summand that a picture in [0, 1] is scaled with; `caffe` for BGR of 255
            less ImageNet's mean. What is left of its preprocessing, the network does itself.
        features: feature maps of its last layer.
    """

    application: str
    size: int
    scaling: Literal["caffe"] | tuple[float, float]
    features: int


BACKBONES: dict[BackboneName, Backbone] = {
    "efficientnet_v2b0": Backbone("EfficientNetV2B0", 224, (255.0, 0.0), 1280),
    "inception_v3": Backbone("InceptionV3", 299, (2.0, -1.0), 2048),
    "mobilenet_v3_small": Backbone("MobileNetV3Small", 224, (255.0, 0.0), 576),
    "resnet50": Backbone("ResNet50", 224, "caffe", 2048),
    "vgg16": Backbone("VGG16", 224, "caffe", 512),
}

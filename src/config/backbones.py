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
        block: pattern that the names of a block's layers begin with; a block ends with the last
            layer of a name that begins alike.
        blocks: how many it has; the first has all before it, the last all behind it.
        file: where below `PUBLISHED` its weights without a classifier are.
        md5: digest of that file.
    """

    application: str
    size: int
    scaling: Literal["caffe"] | tuple[float, float]
    features: int
    block: str
    blocks: int
    file: str
    md5: str


# Where Keras downloads its networks' weights from.
PUBLISHED = "https://storage.googleapis.com/tensorflow/keras-applications/"

BACKBONES: dict[BackboneName, Backbone] = {
    "efficientnet_v2b0": Backbone(
        *("EfficientNetV2B0", 224, (255.0, 0.0), 1280, r"block\d[a-z]", 21),
        *("efficientnet_v2/efficientnetv2-b0_notop.h5", "893217f2bb855e2983157299931e43ff"),
    ),
    "inception_v3": Backbone(
        *("InceptionV3", 299, (2.0, -1.0), 2048, r"mixed\d+$", 11),
        "inception_v3/inception_v3_weights_tf_dim_ordering_tf_kernels_notop.h5",
        "bcbd6486424b2319ff4ef7d526e38f63",
    ),
    "mobilenet_v3_small": Backbone(
        *("MobileNetV3Small", 224, (255.0, 0.0), 576, r"expanded_conv(_\d+)?", 11),
        "mobilenet_v3/weights_mobilenet_v3_small_224_1.0_float_no_top_v2.h5",
        "d3e8ec802a04aa4fc771ee12a9a9b836",
    ),
    "resnet50": Backbone(
        *("ResNet50", 224, "caffe", 2048, r"conv\d_block\d", 16),
        "resnet/resnet50_weights_tf_dim_ordering_tf_kernels_notop.h5",
        "4d473c1dd8becc155b73f8504c6f6626",
    ),
    "vgg16": Backbone(
        *("VGG16", 224, "caffe", 512, r"block\d", 5),
        "vgg16/vgg16_weights_tf_dim_ordering_tf_kernels_notop.h5",
        "6d6bbae143d832006294945121d1f1fc",
    ),
}

"""Layers for networks of one's own, where Keras has none, and what they begin with."""

from src.kernels.activations import scaled_tanh
from src.layers.bitmaps import codes as digit_codes
from src.layers.initializers import Bilinear
from src.layers.lenet5 import C3_TABLE, EuclideanRbf, SparseConv2D, Subsampling2D
from src.layers.pooling import AverageUnpool2D, MaxPoolWithArgmax2D, MaxUnpool2D
from src.layers.upsampling import CropLike2D, DepthwiseConv2DTranspose

__all__ = [
    "C3_TABLE",
    "AverageUnpool2D",
    "Bilinear",
    "CropLike2D",
    "DepthwiseConv2DTranspose",
    "EuclideanRbf",
    "MaxPoolWithArgmax2D",
    "MaxUnpool2D",
    "SparseConv2D",
    "Subsampling2D",
    "digit_codes",
    "scaled_tanh",
]

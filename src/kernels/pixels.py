"""What is done with the logits of each pixel, in one loop over the pixels.

Operation by operation, a dozen intermediate results as large as the logits go to memory and come
back, and a few classes as the last axis leave vector registers half empty. Compiled, a pixel is
read once, for its loss and the gradient of it.

TensorFlow 2.21 may crash where one compiled function with a sum or a maximum runs twice at the same
time. The steps of `fit` and `evaluate` cannot: each updates the metrics before the next begins. A
`tf.while_loop` of one's own whose steps update no variable runs several at once.
"""

from __future__ import annotations

from typing import Any

from keras import ops

from src.kernels import windows
from src.tensors import Tensor


def cross_entropy(labels: Tensor, logits: Tensor, weights: Tensor) -> Tensor:
    """`sum(weights[label] * loss) / number of pixels that are not void`; 0 where all are void.

    Args:
        labels: integers `[batch, height, width]`; from the number of classes on they are void.
        logits: floats `[batch, height, width, classes]`.
        weights: of each class, `[classes]`, in the dtype of the logits.

    Returns:
        A scalar, in nats.
    """
    compiled = windows.compilable(logits)
    labels = ops.cast(labels, "int32")

    def forward(logits: Tensor) -> tuple[Tensor, Any]:
        shares = windows.fused(_shares, compiled)(labels, weights)
        losses, gradient = windows.fused(_losses, compiled)(logits, labels, shares)
        # Added up outside, in parts: one running sum over all pixels would lose digits.
        return ops.sum(losses), lambda upstream: gradient * upstream

    return ops.custom_gradient(forward)(logits)


def largest(logits: Tensor) -> Tensor:
    """The class of the largest logit, int32; of equals the first.

    Args:
        logits: `[..., classes]`.
    """
    if len(logits.shape) == 4 and windows.compilable(logits):
        return windows.fused(_argmax)(logits)
    # On a CPU argmax takes more than twice as long, unless it is compiled.
    return ops.squeeze(ops.top_k(logits, 1)[1], -1)


def _shares(labels: Tensor, weights: Tensor) -> Tensor:
    """The part of each pixel in the loss, `[batch, height, width]`."""
    classes = weights.shape[0]
    counted = ops.sum(ops.cast(labels < classes, "int32"))
    # Void is one more class, of weight 0.
    table = ops.pad(weights / ops.cast(ops.maximum(counted, 1), weights.dtype), [(0, 1)])
    return ops.take(table, ops.minimum(labels, classes))


def _losses(logits: Tensor, labels: Tensor, shares: Tensor) -> tuple[Tensor, Tensor]:
    """The loss of each pixel times its share, and the gradient of the sum of them."""
    own = ops.expand_dims(labels, -1) == ops.arange(logits.shape[-1])
    # The largest logit is subtracted so that exp does not overflow.
    logits = logits - ops.max(logits, axis=-1, keepdims=True)
    exponentials = ops.exp(logits)
    total = ops.sum(exponentials, axis=-1, keepdims=True)
    chosen = ops.sum(ops.where(own, logits, ops.zeros_like(logits)), axis=-1)
    losses = (ops.log(ops.squeeze(total, -1)) - chosen) * shares
    gradient = (exponentials / total - ops.cast(own, logits.dtype)) * ops.expand_dims(shares, -1)
    return losses, gradient


def _argmax(logits: Tensor) -> Tensor:
    return ops.cast(ops.argmax(logits, axis=-1), "int32")

"""What simple methods reach on the same examples, to compare a reconstruction with.

Sums run over parts of the examples, so that no more than a part has to be in memory; those that
the fit rests on are of integers, and exact however the parts are cut.
"""

from __future__ import annotations

import numpy as np

from src.data.examples import Examples

# Products of two bytes add up exactly in float32 as far as 2^24: 258 of them.
_ROWS = 256
# Beyond so many pixels their covariance costs more than scikit-learn's randomised components.
_MOST_PIXELS = 1000


def reconstruction(train: Examples, examples: Examples, components: int) -> dict[str, float]:
    """MSE a pixel, in [0, 1], of the mean image and of a PCA fitted to the training examples.

    Args:
        train: what the methods are fitted to.
        examples: what they are scored on.
        components: principal components; 0 for no PCA.
    """
    count, total = 0, np.zeros(())
    for part in train.parts():
        count += len(part)
        total = total + part.images.sum(axis=0, dtype=np.int64)
    mean = total.ravel() / count
    scores = {"mean_image_mse": _error(examples, mean, np.zeros((mean.size, 0)))}
    components = min(components, count, mean.size)
    if components:
        fit = _covariance_components if mean.size <= _MOST_PIXELS else _randomised_components
        scores[f"pca_{components}_mse"] = _error(examples, mean, fit(train, mean, components))
    return scores


def _covariance_components(train: Examples, mean: np.ndarray, components: int) -> np.ndarray:
    """The principal axes `[pixels, components]`, from the covariance of the pixels."""
    products = np.zeros((mean.size, mean.size))
    for part in train.parts():
        rows = part.images.reshape(len(part), -1)
        for begin in range(0, len(rows), _ROWS):
            some = rows[begin : begin + _ROWS].astype(np.float32)
            products += some.T @ some
    _, axes = np.linalg.eigh(products - len(train) * np.outer(mean, mean))
    return axes[:, -components:]


def _randomised_components(train: Examples, mean: np.ndarray, components: int) -> np.ndarray:
    from sklearn.decomposition import PCA

    rows = train.arrays().images.reshape(-1, mean.size) / np.float32(255)
    return PCA(components, random_state=0).fit(rows).components_.T


def _error(examples: Examples, mean: np.ndarray, axes: np.ndarray) -> float:
    """Mean square of what the axes leave of the examples' distance to the mean."""
    total = 0.0
    for part in examples.parts():
        for begin in range(0, len(part), _ROWS):
            some = part.images[begin : begin + _ROWS].reshape(-1, mean.size)
            rest = some - mean
            rest -= rest @ axes @ axes.T
            total += float(np.sum(rest**2))
    return total / (255**2 * len(examples) * mean.size)

"""What the numbers of an autoencoder's code stand for, in pictures that its decoder draws."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import keras
import numpy as np
from numpy.typing import NDArray

from src import figures
from src.figures import Picture
from src.training.features import Features
from src.training.tasks import Figures, drawn

Array = NDArray[np.float32]
Decode = Callable[[Array], Array]

# Standard deviations around the mean.
_STEPS = np.linspace(-2, 2, 9)
_LINE = np.linspace(0, 1, 7)
_ROWS, _LINES, _SAMPLES, _MAP = 32, 8, (7, 11), 11
_SEED = 0


def draw(
    model: keras.Model, layer: str, codes: Features, classes: Sequence[str], tsne: bool = False
) -> Figures:
    """The figures of a code's space.

    Args:
        model: a functional autoencoder.
        layer: whose output is the code, `[batch, numbers]`.
        codes: of examples of a split, with their pictures.
        classes: names of the labels.
        tsne: whether the codes are laid out by t-SNE as well, which takes seconds a thousand.

    Returns:
        Figures by name. Where the decoder is given more of the picture than the code, such as its
        maxima's places, it draws nothing from a code alone, and only the codes are shown.
    """
    names = {"code_plane": lambda: _plane(codes, classes)}
    if tsne:
        names["code_tsne"] = lambda: _tsne(codes, classes)
    decoder = _decoder(model, layer)
    if decoder is not None:
        decode = _decoding(decoder)
        names["code_walk"] = lambda: _walk(decode, codes.values)
        names["code_lines"] = lambda: _lines(decode, codes)
        names["code_samples"] = lambda: _samples(decode, codes.values)
        if codes.values.shape[1] == 2:
            names["code_map"] = lambda: _map(decode, codes.values)
    found: Figures = {}
    for name, figure in names.items():
        found |= drawn(name, figure)
    return found


def _decoder(model: keras.Model, layer: str) -> keras.Model | None:
    """From a code to the picture; None where the picture needs more than the code."""
    try:
        return keras.Model(model.get_layer(layer).output, model.outputs[0])
    except ValueError:  # Keras says so where an output is not reached from the inputs alone.
        return None


def _decoding(decoder: keras.Model) -> Decode:
    def decode(codes: Array) -> Array:
        parts = np.array_split(codes, max(1, len(codes) // 128))
        return np.concatenate([np.asarray(decoder(part, training=False)) for part in parts])

    return decode


def _walk(decode: Decode, codes: Array) -> Picture:
    """From the mean code along one number at a time, those first that change the picture most."""
    mean, deviation = codes.mean(axis=0), codes.std(axis=0)
    shown = deviation * _STEPS[:, None]
    walks = np.stack([mean + np.where(np.eye(len(mean))[i], shown, 0) for i in range(len(mean))])
    flat = walks.reshape(-1, len(mean)).astype(np.float32)
    pictures = decode(flat)
    pictures = pictures.reshape(len(mean), len(_STEPS), *pictures.shape[1:])
    changes = np.square(pictures - pictures.mean(axis=1, keepdims=True)).mean(axis=(1, 2, 3, 4))
    order = np.argsort(-changes, kind="stable")[:_ROWS]
    of = f", the first {_ROWS} of {len(mean)}" if len(mean) > _ROWS else ""
    return figures.grid(
        pictures[order],
        "One number at a time",
        f"standard deviations around the mean code{of}",
        [f"number {i}" for i in order],
        [_signed(step) for step in _STEPS],
    )


def _lines(decode: Decode, codes: Features) -> Picture:
    """Straight lines in the code from one example to another, of another class where there is."""
    starts, ends = _pairs(codes)
    values, images = codes.values, codes.images / np.float32(255)
    between = (1 - _LINE)[:, None] * values[starts, None] + _LINE[:, None] * values[ends, None]
    made = decode(between.reshape(-1, values.shape[1]).astype(np.float32))
    made = made.reshape(len(starts), len(_LINE), *made.shape[1:])
    pictures = np.concatenate([images[starts, None], made, images[ends, None]], axis=1)
    columns = ["input", *(f"{at:.2g}" for at in _LINE), "input"]
    return figures.grid(pictures, "Between two", "straight lines in the code", columns=columns)


def _pairs(codes: Features) -> tuple[list[int], list[int]]:
    """Places of examples to begin and to end with, each pair of two classes if possible."""
    starts, ends = [], []
    for start in range(0, len(codes.values) - 1, 2):
        later = range(start + 1, len(codes.values))
        labels = codes.labels
        other = (i for i in later if labels is None or labels[i] != labels[start])
        starts.append(start)
        ends.append(next(other, start + 1))
        if len(starts) == _LINES:
            break
    # A split of one example has a line from it to itself.
    return (starts, ends) if starts else ([0], [0])


def _samples(decode: Decode, codes: Array) -> Picture:
    """Pictures of codes from the normal distribution with the codes' mean and covariance."""
    covariance = np.atleast_2d(np.cov(codes, rowvar=False, ddof=0))
    random = np.random.default_rng(_SEED)
    drawn_codes = random.multivariate_normal(
        codes.mean(axis=0), covariance, _SAMPLES, check_valid="ignore"
    )
    made = decode(drawn_codes.reshape(-1, codes.shape[1]).astype(np.float32))
    return figures.grid(
        made.reshape(*_SAMPLES, *made.shape[1:]),
        "Drawn by chance",
        "codes from a normal distribution fitted to the codes",
    )


def _map(decode: Decode, codes: Array) -> Picture:
    """What each place of a plane of codes stands for."""
    mean, deviation = codes.mean(axis=0), codes.std(axis=0)
    steps = np.linspace(-2, 2, _MAP)
    x, y = np.meshgrid(steps, steps[::-1])
    at = (mean + np.stack([x, y], axis=-1) * deviation).reshape(-1, 2).astype(np.float32)
    made = decode(at)
    labels = [_signed(step) for step in steps]
    return figures.grid(
        made.reshape(_MAP, _MAP, *made.shape[1:]),
        "The map of the code",
        "right: number 0, up: number 1, in standard deviations",
        labels[::-1],
        labels,
    )


def _plane(codes: Features, classes: Sequence[str]) -> Picture:
    """The codes themselves where they have two numbers, else their two principal components."""
    values = codes.values.astype(np.float64)
    if values.shape[1] == 2:
        return figures.plane(
            values, codes.labels, classes, "The codes", axes=("number 0", "number 1")
        )
    centred = values - values.mean(axis=0)
    _, singular, axes = np.linalg.svd(centred, full_matrices=False)
    # The sign of a component is arbitrary; its largest part is made positive.
    axes = np.concatenate([axes[:2], np.zeros((max(0, 2 - len(axes)), values.shape[1]))])
    axes *= np.sign(axes[[0, 1], np.abs(axes).argmax(axis=1)])[:, None]
    variance = np.append(singular**2, 0)[:2].sum() / max(float((singular**2).sum()), 1e-30)
    return figures.plane(
        centred @ axes.T,
        codes.labels,
        classes,
        "The codes",
        f"two principal components, {variance:.0%} of the variance",
        ("first component", "second component"),
    )


def _tsne(codes: Features, classes: Sequence[str]) -> Picture:
    from sklearn.manifold import TSNE

    # It must be smaller than the number of examples.
    perplexity = min(30.0, max(1.0, (len(codes.values) - 1) / 3))
    layout = TSNE(perplexity=perplexity, init="pca", random_state=_SEED)
    return figures.plane(
        layout.fit_transform(codes.values).astype(np.float64),
        codes.labels,
        classes,
        "The codes",
        f"t-SNE, perplexity {perplexity:.3g}; its distances between groups mean little",
    )


def _signed(step: float) -> str:
    return f"{step:+.1f}".replace("+0.0", "0").replace("-", "\N{MINUS SIGN}")

"""Examples in columns: reconstructions, mistakes of a classifier, segmentations."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from math import ceil, isfinite
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image

from src.figures import checks
from src.figures.canvas import (
    KEY,
    MAX_NAME,
    MIN_WIDTH,
    Key,
    Picture,
    bands,
    heading,
    page,
    shorten,
    swatch,
    text_width,
    zoom,
)
from src.figures.colours import NOT_FINITE, VOID, WRONG, class_colours, diverging


def reconstructions(
    inputs: ArrayLike, outputs: ArrayLike, scale: float = 0.5, noisy: ArrayLike | None = None
) -> Picture:
    """Input, reconstruction and signed error of each example, its mean squared error below.

    The error is `output - input`; of three channels, that of the channel that is farthest off
    (in a mean over channels a shift of hue would cancel). Its colours always span `+-scale`, so
    that pictures of different epochs compare. A pixel that is not finite is magenta.

    Args:
        inputs: floats in [0, 1], `[n, height, width, channels]`, 1 or 3 channels.
        outputs: floats, shaped like `inputs`; what lies outside [0, 1] is shown clipped.
        scale: the error at which the colours saturate, in units of the pixel range.
        noisy: what the model was given instead of `inputs`, shaped like them; None for the same.

    Raises:
        ValueError: if the arrays are no such images or `scale` is not positive.
    """
    wanted, made = checks.images("inputs", inputs), checks.images("outputs", outputs)
    if wanted.shape != made.shape:
        raise ValueError(
            f"expected outputs shaped like inputs {wanted.shape}; received outputs={made.shape}"
        )
    if not (isfinite(scale) and scale > 0):
        raise ValueError(f"expected scale as a positive number; received scale={scale}")
    rows: dict[str, list[Picture]] = {"input": [], "reconstruction": [], "error": []}
    if noisy is not None:
        given = [_pixels(x) for x in checks.images("noisy", noisy)]
        rows = {"clean": [], "noisy": given, "reconstruction": [], "error": []}
    captions = []
    for x, y in zip(wanted, made, strict=True):
        with np.errstate(invalid="ignore", over="ignore"):  # of infinite or huge outputs
            error = y - x
        rows["input" if noisy is None else "clean"].append(_pixels(x))
        rows["reconstruction"].append(_pixels(y))
        rows["error"].append(diverging(_farthest(error) / scale))
        captions.append([_number(float(np.square(error, dtype=np.float64).mean()))])
    bar = np.repeat(diverging(np.linspace(-1, 1, 5 * KEY + 1))[None], KEY, axis=0)
    span = f"output \N{MINUS SIGN} input, \N{PLUS-MINUS SIGN}{scale:g}"
    return page(bands(rows, captions, "MSE"), [Key(span, bar), _not_finite(wanted, made)])


def worst_mistakes(
    images: ArrayLike,
    truth: ArrayLike,
    predicted: ArrayLike,
    confidence: ArrayLike,
    classes: Sequence[str],
    limit: int = 24,
    total: int | None = None,
) -> Picture:
    """The most confident wrong predictions among the examples, each as "truth -> predicted 0.98".

    Args:
        images: floats in [0, 1], `[n, height, width, channels]`, 1 or 3 channels; n may be 0.
        truth: integer labels `[n]`.
        predicted: integer labels `[n]`; an example where they equal `truth` is left out.
        confidence: probability of the predicted class, floats `[n]`; NaN comes last.
        classes: a name for each label.
        limit: most examples to show.
        total: how many predictions the examples were chosen from; n if None.

    Raises:
        ValueError: if shapes, dtypes or labels do not fit together.
    """
    pictures, names = checks.images("images", images, least=0), checks.names(classes)
    n = len(pictures)
    was = checks.labels("truth", truth, (n,), len(names))
    taken = checks.labels("predicted", predicted, (n,), len(names))
    sure = checks.floats("confidence", confidence, (n,))
    if ((sure < 0) | (sure > 1.001)).any():  # softmax in low precision may end above 1
        raise ValueError(f"expected confidence in [0, 1]; received confidence={sure.tolist()}")
    if limit < 1:
        raise ValueError(f"expected limit as a positive number; received limit={limit}")
    wrong = np.flatnonzero(was != taken)
    wrong = wrong[np.argsort(-sure[wrong], kind="stable")][:limit]
    if not len(wrong):
        return page([heading("No mistakes", f"in {n if total is None else total:,} predictions")])
    arrow = "\N{RIGHTWARDS ARROW} "
    room = max(text_width(arrow + name) for name in names)
    one_line = 2 * room + text_width("  0.00") <= 100
    captions = []
    for i in wrong:
        first, second = names[was[i]], arrow + names[taken[i]]
        if one_line:
            captions.append([f"{first} {second}  {sure[i]:.2f}"])
        else:
            captions.append([shorten(first), shorten(second), f"{sure[i]:.2f}"])
    least = 84 if one_line else ceil(min(room, MAX_NAME))
    rows = {"": [_pixels(pictures[i]) for i in wrong]}
    title = heading("Most confident mistakes", f"truth {arrow}predicted")
    return page([title, *bands(rows, captions, least=least)])


def segmentation(
    inputs: ArrayLike,
    truth: ArrayLike,
    prediction: ArrayLike,
    classes: Sequence[str],
    colours: ArrayLike | None = None,
    void: int | None = None,
) -> Picture:
    """Input, truth, prediction and wrong pixels of each example, with a legend of the classes.

    The mean IoU stands below each example, over the classes that its truth or its prediction holds:
    the share of right pixels would be high where nothing but background was found. An input's pixel
    that is not finite is magenta.

    Args:
        inputs: floats in [0, 1], `[n, height, width, channels]`, 1 or 3 channels.
        truth: integer labels `[n, height, width]`.
        prediction: integer labels, shaped like `truth`.
        classes: a name for each label.
        colours: integers 0-255, `[classes, 3]`; by default those of `class_colours`.
        void: label in `truth` that counts neither as right nor as wrong; it is hatched.

    Raises:
        ValueError: if shapes, dtypes, labels or colours do not fit together.
    """
    pictures, names = checks.images("inputs", inputs), checks.names(classes)
    shape = pictures.shape[:3]
    masks = checks.labels("truth", truth, shape, len(names), void)
    guesses = checks.labels("prediction", prediction, shape, len(names))
    table = class_colours(len(names), colours)
    hatching = _hatching(shape[1], shape[2], stripe=max(2, round(3 / zoom(shape[1], shape[2]))))
    rows: dict[str, list[Picture]] = {"input": [], "truth": [], "prediction": [], "error": []}
    captions = []
    for x, mask, guess in zip(pictures, masks, guesses, strict=True):
        ignored = np.zeros(mask.shape, bool) if void is None else mask == void
        wrong = (mask != guess) & ~ignored
        picture = _pixels(x)
        rows["input"].append(picture)
        marked = _dimmed(picture)
        marked[wrong] = WRONG
        rows["prediction"].append(table[guess])
        rows["error"].append(marked)
        # Void has no row in the table; the hatching covers whatever stands in for it.
        rows["truth"].append(table[np.where(ignored, 0, mask)])
        for covered in (rows["truth"][-1], marked):
            covered[ignored] = hatching[ignored]
        captions.append([_mean_iou(mask[~ignored], guess[~ignored], len(names))])
    keys = [Key(shorten(name), swatch(colour)) for name, colour in zip(names, table, strict=True)]
    if void is not None:
        keys.append(Key("void", _hatching(KEY, KEY, stripe=3)))
    keys += [Key("wrong", swatch(WRONG)), _not_finite(pictures)]
    return page(bands(rows, captions, "mean IoU"), keys)


def overlay(
    image: ArrayLike,
    mask: ArrayLike,
    classes: Sequence[str],
    colours: ArrayLike | None = None,
) -> Picture:
    """One picture in grey under the colours of its classes, with their legend.

    Its own size, or a whole number of times that if it is small. The shares of the pixels stand
    in the legend.

    Args:
        image: floats in [0, 1], `[height, width, channels]`, 1 or 3 channels.
        mask: integer labels `[height, width]`.
        classes: a name for each label.
        colours: integers 0-255, `[classes, 3]`; by default those of `class_colours`.

    Raises:
        ValueError: if shapes, dtypes, labels or colours do not fit together.
    """
    pixels, names = checks.images("image", np.asarray(image)[None])[0], checks.names(classes)
    labels = checks.labels("mask", mask, pixels.shape[:2], len(names))
    table = class_colours(len(names), colours)
    grey = np.asarray(Image.fromarray(_pixels(pixels)).convert("L"), np.uint16)[..., None]
    mixed = ((9 * table[labels].astype(np.uint16) + 7 * grey) // 16).astype(np.uint8)
    shown = Image.fromarray(mixed)
    times = max(1, MIN_WIDTH // shown.width)
    if times > 1:
        size = (times * shown.width, times * shown.height)
        shown = shown.resize(size, Image.Resampling.NEAREST)
    shares = np.bincount(labels.ravel(), minlength=len(names)) / labels.size
    keys = [
        Key(f"{shorten(name)}  {share:.1%}", swatch(colour))
        for name, share, colour in zip(names, shares, table, strict=True)
        if share
    ]
    return page([shown], keys)


def _pixels(image: NDArray[Any]) -> Picture:
    """Grey or RGB floats `[height, width, 1 or 3]` as they look on the screen."""
    finite = np.isfinite(image)
    levels = np.rint(255 * np.clip(np.where(finite, image, 0), 0, 1)).astype(np.uint8)
    picture = np.broadcast_to(levels, (*levels.shape[:2], 3)).copy()
    if not finite.all():
        picture[~finite.all(axis=-1)] = NOT_FINITE
    return picture


def _mean_iou(truth: NDArray[Any], prediction: NDArray[Any], classes: int) -> str:
    """Mean intersection over union of the classes that either holds; both `[pixels]`, no void."""
    if not truth.size:
        return "all void"
    sizes = [np.bincount(labels, minlength=classes) for labels in (truth, prediction)]
    hits = np.bincount(truth[truth == prediction], minlength=classes)
    union = sizes[0] + sizes[1] - hits
    return f"{np.mean(hits[union > 0] / union[union > 0]):.3f}"


def _farthest(error: NDArray[Any]) -> NDArray[Any]:
    """The error of the channel that is farthest off, `[height, width]`."""
    channels = [error[..., i] for i in range(error.shape[-1])]
    most, least = reduce(np.maximum, channels), reduce(np.minimum, channels)
    return np.where(most >= -least, most, least)


def _dimmed(picture: Picture) -> Picture:
    """Grey and dark enough that a light colour on it stands out."""
    grey = 16 + np.asarray(Image.fromarray(picture).convert("L")) // 3
    return np.repeat(grey[..., None], 3, axis=-1)


def _hatching(height: int, width: int, stripe: int) -> Picture:
    y, x = np.ogrid[:height, :width]
    return np.array(VOID, np.uint8)[(x + y) // stripe % 2]


def _not_finite(*arrays: NDArray[Any]) -> Key:
    shown = not all(np.isfinite(array).all() for array in arrays)
    return Key("not finite", swatch(NOT_FINITE), shown)


def _number(value: float) -> str:
    return f"{value:.4f}" if value < 10 else f"{value:.1e}"

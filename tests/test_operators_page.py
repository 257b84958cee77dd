"""Every number on the page about the operators, computed anew; and its figures, drawn anew."""

import re
from pathlib import Path

import numpy as np
import tensorflow as tf

from docs import draw_operators
from src.arithmetic import costs, reference
from src.arithmetic.sizes import (
    conv_padding,
    conv_transpose_crop,
    conv_transpose_output_size,
)
from src.layers import C3_TABLE
from src.layers.initializers import Bilinear

PAGE = Path(draw_operators.__file__).parent / "operators.md"
TEXT = " ".join(PAGE.read_text(encoding="utf-8").split())


def expect(*sentences):
    for sentence in sentences:
        assert sentence in TEXT


def row(numbers):
    return np.array(numbers, float).reshape(1, -1, 1, 1)


def listed(array):
    return "[" + ", ".join(f"{number:g}" for number in np.ravel(array)) + "]"


def mirrored(x, w, stride):
    """Zero-stuffing with the padding of a stride-1 convolution, trailing before leading."""
    size, kernel = len(x) * stride, len(w)
    frame = np.zeros(size + kernel - 1)
    stuffed = np.zeros(size)
    stuffed[::stride] = x
    lead = conv_padding(size, kernel, 1, "same")[1]
    frame[lead : lead + size] = stuffed
    return np.correlate(frame, w[::-1], "valid")


def test_costs():
    dense, sparse = (
        costs.sparse_conv2d_cost((10, 10, 16), (5, 5), pairs)
        for pairs in (6 * 16, sum(map(len, C3_TABLE)))
    )
    expect(
        f"Dense: {dense.parameters:,} parameters, {dense.connections:,} connections.",
        f"Table I: {sparse.parameters:,} and {sparse.connections:,}",
        f"Giving {costs.dense_cost(84, 10).parameters} as",
        f"({costs.rbf_cost(84, 10).connections} connections)",
        f"F6, has {costs.dense_cost(120, 84).parameters:,} parameters",
        f"of {64 * 64 * 21 * 21:,} weights for 21 classes",
        f"64x64, {np.prod(Bilinear()((64, 64, 21)).shape):,}.",
    )
    modern = 156 + dense.parameters + 48_120 + 10_164 + 850
    expect(f"form has {modern:,}", f"all layers {156 + 12 + 1516 + 32 + 48_120 + 10_164:,}.")


def test_worked_rows():
    x, w = np.array([[1, 1], [2, 2]])[None, :, :, None], np.ones((3, 3, 1, 1), int)
    same = reference.conv2d_transpose(x, w, (2, 2), "same", (4, 4))[0, :, :, 0]
    expect(f"the 4x4 `{same.tolist()}`")
    w = np.array([[1, 0], [-1, -2]])[:, :, None, None]
    y = reference.conv2d(np.ones((1, 4, 4, 1), int), w, (2, 2), "valid")
    back = reference.conv2d_transpose(y, w, (2, 2), "valid", (4, 4))[0, :, :, 0].tolist()
    expect(f"gives {y.min()} everywhere", f"rows `{back[0]}` and `{back[1]}`")
    same, valid = (conv_transpose_output_size(16, 6, 2, p) for p in ("same", "valid"))
    expect(f"kernel 6 and stride 2 become {same} or {valid}")


def test_the_shift():
    full, first = (conv_transpose_crop(3, 8, 4, "same", size) for size in (12, 10))
    expect(f"asked for 10, the picture is (12 - 10) / 2 = {first - full} row early")


def test_mirrored_padding():
    x, w = np.array([1.0, 2.0]), np.ones(3)
    right = reference.conv2d_transpose(row(x), row(w).reshape(3, 1, 1, 1), (2, 1), "same", (4, 1))
    expect(f"right `{listed(right)}`, mirrored padding `{listed(mirrored(x, w, 2))}`")
    expect("Also wrong for (k, s) = (5, 2), (3, 3), (4, 3); right for (2, 2) and (4, 2)")
    rng = np.random.default_rng(0)
    for kernel, stride, agrees in [
        *[(3, 2, False), (5, 2, False), (3, 3, False), (4, 3, False)],
        *[(2, 2, True), (4, 2, True)],
    ]:
        x, w = rng.standard_normal(4), rng.standard_normal(kernel)
        size = (4 * stride, 1)
        right = reference.conv2d_transpose(
            row(x), w.reshape(-1, 1, 1, 1), (stride, 1), "same", size
        )
        assert np.allclose(right.ravel(), mirrored(x, w, stride)) == agrees
        crop = conv_transpose_crop(4, kernel, stride, "same", size[0])
        assert (kernel - 1 - crop == conv_padding(size[0], kernel, 1, "same")[1]) == agrees


def test_bilinear_tents():
    for factor, scale in ((2, 4), (3, 3)):
        tent = reference.bilinear_kernel(factor).sum(axis=1) / factor
        expect(f"y {factor} {'the tent is ' * (factor == 2)}`{listed(tent * scale)} / {scale}`")
    half = (3 + 1) // 2
    centre = half - 1 if half % 2 else half - 0.5
    variant = 1 - np.abs(np.arange(3) - centre) / half
    right = np.asarray(Bilinear()((3, 1, 1)))
    expect(f"Size 3: right `{listed(right)}`, that one `{listed(variant)}`")


def test_unpooling_without_the_offset():
    values, indices = tf.constant([5, 7]), tf.constant([[0], [0]])
    mixed = tf.scatter_nd(indices, values, [8]).numpy().reshape(2, 4)
    assert mixed.tolist() == [[12, 0, 0, 0], [0, 0, 0, 0]]
    right = reference.max_unpool(
        values.numpy().reshape(2, 1, 1, 1), indices.numpy().reshape(2, 1, 1, 1), 2, 2
    )
    assert right[:, 0, 0, 0].tolist() == [5, 7]
    expect("the first gets 12 and the second nothing")


def test_indices_in_floating_point():
    whole = int(np.float32(16_777_217))
    short = int(tf.cast(tf.cast(257, "bfloat16"), "int32"))
    expect(f"float32 turns 16,777,217 into {whole:,}; bfloat16 turns 257 into {short}")


def test_figures_are_drawn_and_shown():
    shown = set(re.findall(r"\(figures/(\w+)\.png\)", TEXT))
    assert shown == draw_operators.FIGURES.keys()
    for name, draw in draw_operators.FIGURES.items():
        assert (draw_operators.FOLDER / f"{name}.png").stat().st_size < 60_000
        assert draw().axes

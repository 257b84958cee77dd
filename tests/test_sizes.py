"""Sizes, receptive fields and costs against worked numbers and against brute force."""

from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from src.arithmetic import costs
from src.arithmetic import sizes as a
from src.arithmetic.receptive_field import (
    FeatureMap,
    ReceptiveField,
    Window,
    alignment_crop,
    chain,
)
from src.layers import C3_TABLE

axes = {
    "kernel": st.integers(1, 9),
    "stride": st.integers(1, 6),
    "dilation": st.integers(1, 4),
}
paddings = st.sampled_from(["valid", "same"])


@pytest.mark.parametrize(
    ("size", "kernel", "stride", "padding", "dilation", "outputs", "pads"),
    [
        (28, 5, 1, "same", 1, 28, (2, 2)),
        (28, 2, 2, "valid", 1, 14, (0, 0)),
        (45, 2, 2, "same", 1, 23, (0, 1)),
        (45, 2, 2, "valid", 1, 22, (0, 0)),
        (7, 3, 2, "same", 1, 4, (1, 1)),
        (8, 3, 2, "same", 1, 4, (0, 1)),
        (10, 3, 1, "valid", 2, 6, (0, 0)),
        (10, 3, 1, "same", 2, 10, (2, 2)),
        (5, 1, 3, "same", 1, 2, (0, 0)),
    ],
)
def test_sizes_and_padding_of_convolutions(size, kernel, stride, padding, dilation, outputs, pads):
    assert a.conv_output_size(size, kernel, stride, padding, dilation) == outputs
    assert a.conv_padding(size, kernel, stride, padding, dilation) == pads


@given(size=st.integers(1, 60), padding=paddings, **axes)
def test_windows_are_those_that_fit(size, kernel, stride, dilation, padding):
    extent = (kernel - 1) * dilation + 1
    if padding == "valid":
        starts = [s for s in range(0, size, stride) if s + extent <= size]
        if not starts:
            with pytest.raises(ValueError, match=f"expected size >= {extent}.*size={size}"):
                a.conv_output_size(size, kernel, stride, padding, dilation)
            return
    else:
        starts = list(range(0, size, stride))
    assert a.conv_output_size(size, kernel, stride, padding, dilation) == len(starts)
    lead, trail = a.conv_padding(size, kernel, stride, padding, dilation)
    assert trail - lead in ((0, 1) if padding == "same" else (0,))
    # Exactly enough: the last window ends where the padding ends, or the picture does.
    if lead + trail:
        assert starts[-1] + extent == lead + size + trail


@given(outputs=st.integers(1, 9), padding=paddings, **axes)
def test_input_sizes_are_the_preimage_of_the_output_size(
    outputs, kernel, stride, dilation, padding
):
    def outputs_of(size):
        try:
            return a.conv_output_size(size, kernel, stride, padding, dilation)
        except ValueError:
            return None

    preimage = [size for size in range(1, 120) if outputs_of(size) == outputs]
    assert list(a.conv_input_sizes(outputs, kernel, stride, padding, dilation)) == preimage


@given(size=st.integers(1, 9), padding=paddings, **axes)
def test_the_default_output_of_a_transposed_convolution_is_legal(
    size, kernel, stride, dilation, padding
):
    output = a.conv_transpose_output_size(size, kernel, stride, padding, dilation)
    assert output in a.conv_input_sizes(size, kernel, stride, padding, dilation)
    crop = a.conv_transpose_crop(size, kernel, stride, padding, output, dilation)
    assert crop == a.conv_padding(output, kernel, stride, padding, dilation)[0]


@pytest.mark.parametrize(
    ("kernel", "stride", "agrees"),
    [
        *[(3, 2, False), (5, 2, False), (3, 3, False), (4, 3, False)],
        *[(2, 2, True), (4, 2, True), (6, 2, True), (3, 1, True)],
    ],
)
def test_mirroring_the_stride_1_padding_is_right_for_some_kernels_only(kernel, stride, agrees):
    """Zero-stuffing needs `kernel - 1 - crop` before the picture."""
    crop = a.conv_transpose_crop(4, kernel, stride, "same", 4 * stride)
    _, mirrored = a.conv_padding(4 * stride, kernel, 1, "same")
    assert (kernel - 1 - crop == mirrored) == agrees


@pytest.mark.parametrize(
    ("size", "outputs", "side"),
    [(6, 3, 2), (7, 3, 2), (7, 4, 2), (21, 6, 4), (28, 28, 1), (3, 5, 1)],
    ids=["even", "7x valid", "7x same", "21x same", "one pixel", "no pooling"],
)
def test_the_side_of_windows_side_by_side_follows_from_their_number(size, outputs, side):
    assert a.likely_window(size, outputs) == side


def test_an_illegal_transposed_size_is_refused_with_the_legal_ones():
    with pytest.raises(ValueError, match=r"expected output_size 7 to 8 .* received output_size=9"):
        a.conv_transpose_crop(4, 3, 2, "same", 9)
    with pytest.raises(ValueError, match=r"expected output_size 6 for .* received output_size=5"):
        a.conv_transpose_crop(4, 3, 1, "valid", 5)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((0, 3), "expected size >= 1; received size=0"),
        ((5, 0), "expected kernel >= 1; received kernel=0"),
        ((5, 3, -1), "expected stride >= 1; received stride=-1"),
        ((5, 3, 1, "full"), "expected padding 'valid' or 'same'; received padding='full'"),
        ((5, 3, 1, "same", 0), "expected dilation >= 1; received dilation=0"),
    ],
)
def test_wrong_arguments_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        a.conv_output_size(*arguments)


def seen(layers, output):
    """The first and last input that an output depends on, by following every connection."""
    sources = {output}
    for layer in reversed(layers):
        if layer.transposed:
            sources = {
                i
                for o in sources
                for i in range(o // layer.stride - 9, o // layer.stride + 9)
                if 0 <= o + layer.lead - i * layer.stride < layer.kernel
            }
        else:
            sources = {
                o * layer.stride + j - layer.lead for o in sources for j in range(layer.kernel)
            }
    return min(sources), max(sources)


windows = st.builds(
    lambda kernel, stride, lead, transposed: Window(
        max(kernel, stride), stride, min(lead, kernel - 1), transposed
    ),
    st.integers(1, 5),
    st.integers(1, 3),
    st.integers(0, 2),
    st.booleans(),
)


@settings(deadline=None)
@given(st.lists(windows, max_size=4))
def test_the_receptive_field_is_what_following_every_connection_finds(layers):
    end = chain(layers)
    field = end.receptive_field
    outputs = range(3**4)  # at least a period: the phases of four strides of at most 3
    spans = {output: seen(layers, output) for output in outputs}
    assert all(end.sees(output, output) == span for output, span in spans.items())
    assert max(last - first + 1 for first, last in spans.values()) == field.size
    if not any(layer.transposed for layer in layers):
        assert all(
            Fraction(first + last, 2) == field.offset + output * field.jump
            for output, (first, last) in spans.items()
        )


def test_receptive_field_of_the_lenet_encoder():
    lenet = chain([Window(5), Window(2, 2), Window(5), Window(2, 2), Window(5)])
    assert lenet.receptive_field == ReceptiveField(32, Fraction(4), Fraction(31, 2))


def test_receptive_fields_of_decoders():
    pool, unpool = Window(2, 2), Window(2, 2, transposed=True)
    assert chain([pool, unpool]).receptive_field == ReceptiveField(2)
    # Two neighbours after an unpooling share a window or straddle two.
    assert chain([unpool, Window(2)]).receptive_field.size == 2
    assert chain([pool, unpool, Window(2)]).receptive_field.size == 4
    # Bilinear by 2: kernel 4, crop 1; each output mixes two inputs.
    bilinear = chain([Window(4, 2, 1, transposed=True)]).receptive_field
    assert bilinear == ReceptiveField(2, Fraction(1, 2), Fraction(-1, 4))


def test_a_join_sees_what_any_branch_sees():
    start = FeatureMap()
    wide = FeatureMap(Window(5, lead=2), start)  # -2..2
    late = FeatureMap(Window(1, lead=-4), start)  # 4
    assert FeatureMap(Window(), wide, start).receptive_field == ReceptiveField(5)
    assert FeatureMap(Window(), wide, late).receptive_field.size == 7
    with pytest.raises(ValueError, match="expected jump=1 in all branches; received 2"):
        FeatureMap(Window(), wide, FeatureMap(Window(2, 2), start))


def test_many_branches_are_followed_once():
    end = FeatureMap()
    for _ in range(60):  # 2**60 paths
        end = FeatureMap(Window(), FeatureMap(Window(3, lead=1), end), end)
    assert end.receptive_field == ReceptiveField(121)


def test_crops_of_the_published_fcn():
    """VGG-16 with a padding of 100: the reference networks crop 19, 5 and 27, 9 and 31."""
    data = FeatureMap()
    layers = [Window(3, lead=100), Window(3, lead=1), Window(2, 2)]
    pools = {}
    for pool, convolutions in ((2, 2), (3, 3), (4, 3), (5, 3)):
        layers += [Window(3, lead=1)] * convolutions + [Window(2, 2)]
        pools[pool] = chain(layers)
    score = FeatureMap(Window(7), pools[5])

    def up(source, factor):
        return FeatureMap(Window(2 * factor, factor, transposed=True), source)

    def crop(larger, smaller):
        return alignment_crop(larger.receptive_field, smaller.receptive_field)

    assert crop(up(score, 32), data) == 19
    fused = up(score, 2)
    assert crop(pools[4], fused) == 5
    assert crop(up(fused, 16), data) == 27
    fused = up(fused, 2)
    assert crop(pools[3], fused) == 9
    assert crop(up(fused, 8), data) == 31


def test_maps_that_cannot_be_laid_over_each_other():
    half = ReceptiveField(jump=Fraction(2))
    with pytest.raises(ValueError, match="expected maps of one jump"):
        alignment_crop(ReceptiveField(), half)
    with pytest.raises(ValueError, match="a whole number of elements apart"):
        alignment_crop(half, ReceptiveField(jump=Fraction(2), offset=Fraction(1)))


def test_lenet5_costs_are_the_papers():
    layers = {
        "C1": costs.conv2d_cost((28, 28, 6), (5, 5), 1),
        "S2": costs.subsampling_cost((14, 14, 6), (2, 2)),
        "C3": costs.sparse_conv2d_cost((10, 10, 16), (5, 5), sum(map(len, C3_TABLE))),
        "S4": costs.subsampling_cost((5, 5, 16), (2, 2)),
        "C5": costs.conv2d_cost((1, 1, 120), (5, 5), 16),
        "F6": costs.dense_cost(120, 84),
        "output": costs.rbf_cost(84, 10),
    }
    assert [cost.parameters for cost in layers.values()] == [156, 12, 1516, 32, 48120, 10164, 0]
    assert [cost.connections for cost in layers.values()] == [
        *(122_304, 5_880, 151_600, 2_000, 48_120, 10_164),
        840,
    ]
    total = sum(layers.values(), costs.Cost())
    assert (total.parameters, total.connections) == (60_000, 340_908)


def test_table_1_connects_each_input_map_ten_times():
    assert len(C3_TABLE) == 16
    assert [len(maps) for maps in C3_TABLE] == [3] * 6 + [4] * 9 + [6]
    assert len({tuple(maps) for maps in C3_TABLE}) == 16
    for source in range(6):
        assert sum(source in maps for maps in C3_TABLE) == 10


def test_costs_by_hand():
    assert costs.dense_cost(3, 2) == costs.Cost(8, 8, 6)
    assert costs.dense_cost(3, 2, bias=False) == costs.Cost(6, 6, 6)
    # 2 outputs of 3x3 over 4 inputs, at 5x5 places: 72 weights and 2 biases
    assert costs.conv2d_cost((5, 5, 2), (3, 3), 4) == costs.Cost(74, 1850, 1800)
    assert costs.conv2d_cost((5, 5, 2), 3, 4, bias=False) == costs.Cost(72, 1800, 1800)
    assert costs.depthwise_conv2d_cost((5, 5, 4), (3, 3)) == costs.Cost(40, 1000, 900)
    # 3x3 inputs of 4 through a 2x2 kernel to 2 outputs, and 6x6 biases of each
    assert costs.conv2d_transpose_cost((3, 3, 4), (6, 6, 2), (2, 2)) == costs.Cost(34, 360, 288)

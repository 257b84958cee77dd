"""What the page about looking inside says of the photograph, computed anew."""

from pathlib import Path

import numpy as np
import pytest

from docs import draw_photograph

TEXT = " ".join((Path(draw_photograph.__file__).parent / "looking_inside.md").read_text().split())


def test_the_upsampled_maps_lie_on_the_maps_and_the_printed_ones_beside_them():
    aligned, printed = draw_photograph.shifts()
    assert aligned == pytest.approx((0, 0), abs=1e-4)
    assert printed == pytest.approx((-0.21, 0.79), abs=5e-3)
    for sentence in ("shifted by 0.00 pixels", "0.79 pixels to the right and 0.21 up"):
        assert sentence in TEXT


def test_every_stage_has_the_size_that_the_page_says():
    picture = draw_photograph.photograph()
    maps, pooled, upsampled = draw_photograph.network()(picture)
    assert picture.shape == (1, 427, 640, 3)
    assert maps.shape == upsampled.shape == (1, 427, 640, 64)
    assert pooled.shape == (1, 214, 320, 64)


def test_the_printed_kernel_leaves_a_grid_on_an_even_map_and_the_right_one_none():
    even = np.ones((1, 6, 6, 64), "float32")
    inner = slice(3, -3)
    printed = draw_photograph.variant(even, 12, 12)[0, inner, inner, 0]
    np.testing.assert_allclose(sorted(set(printed.ravel())), [0.75**2, 0.75, 1])
    grown = draw_photograph.network().get_layer("grown")(even).numpy()[0, inner, inner, 0]
    np.testing.assert_allclose(grown, 1)

"""Units projected in the part of a picture that they see, as in the whole picture."""

import keras
import numpy as np
import pytest
from keras import layers

from src import config, projection
from src.activations import OneByOne
from src.arithmetic.receptive_field import Window, chain
from src.models import layer_table
from src.models.build import build
from src.models.deconvnet import deconvnet
from src.projection import Unit, equal_cells, project

# Two pictures whose sides differ in what is left of them after each stride.
SHAPES = [(75, 62, 3), (48, 83, 3)]
FCN = config.Fcn(name="fcn", filters=2, convolutions=[1, 1, 1, 1, 1])


def pictures():
    found = [np.random.default_rng(1).random(shape, dtype="float32") for shape in SHAPES]
    return OneByOne(len(found), lambda number: found[number])


def fcn(shape):
    return build(FCN, shape, 5)


def strided(shape):
    """Overlapping windows, strides whose padding depends on the size, and maps that grow again."""
    x = image = keras.Input(shape)
    x = layers.Conv2D(4, 3, 2, padding="same", activation="relu", name="conv1")(x)
    x = layers.MaxPooling2D(3, 2, padding="same", name="pool")(x)
    x = layers.Conv2D(4, 3, padding="valid", activation="relu", name="conv2")(x)
    x = layers.Conv2DTranspose(4, 4, 2, padding="same", activation="relu", name="grown")(x)
    return keras.Model(image, layers.Conv2D(2, 1, name="last")(x))


def whole(model, layer, method):
    """What projects a unit in the whole picture."""
    network = deconvnet(model, layer, method)
    output = keras.Model(model.inputs[0], keras.tree.flatten(model.get_layer(layer).output)[0])

    def projected(picture, unit):
        seed = np.zeros(output(picture[None]).shape, "float32")
        seed[(0, *unit.place, unit.map)] = 1
        return network([picture[None], seed]).numpy()[0]

    return projected


def within(field, element, size):
    """The pixels that an element sees along an axis, and where they lie in its cell."""
    extent = field.receptive_field.size
    first = field.sees(element, element)[0] if extent < size else 0
    seen = range(max(0, first), min(size, first + extent))
    return slice(seen.start, seen.stop), slice(seen.start - first, seen.stop - first)


def test_a_crop_begins_at_a_multiple_of_the_grid_and_holds_what_is_seen():
    # VGG16 as far as block3_conv3: it sees 40 pixels, and its elements are 4 apart.
    conv, pool = Window(3, 1, 1), Window(2, 2, 0)
    field = chain([conv, conv, pool, conv, conv, pool, conv, conv, conv])
    assert (field.receptive_field.size, field.grid) == (40, 4)
    # 40, and at most 3 before them: 44 of 224.
    assert field.crop(0, 224) == range(44)
    assert field.sees(20, 20) == (62, 101)
    assert field.crop(20, 224) == range(60, 104)
    assert field.crop(55, 224) == range(180, 224)
    # A picture that ends within a stride is cropped by whole ones all the same.
    assert field.crop(55, 226) == range(180, 226)
    assert field.crop(3, 46) == range(46)


def test_a_map_that_grew_keeps_the_grid_of_those_that_it_is_made_from():
    field = chain([Window(3, 4, 1), Window(4, 4, 0, transposed=True)])
    assert (field.jump, field.grid) == (1, 4)
    assert [field.crop(output, 40).start for output in (0, 4, 8, 39)] == [0, 0, 4, 32]


@pytest.mark.parametrize(
    ("network", "layer", "method"),
    [
        (fcn, "conv2_1_relu", "deconvnet"),
        (fcn, "conv3_1_relu", "guided"),
        (strided, "conv1", "guided"),
        (strided, "conv2", "deconvnet"),
        (strided, "grown", "saliency"),
        (strided, "last", "deconvnet"),
    ],
    ids=lambda value: getattr(value, "__name__", value),
)
def test_a_part_projects_as_the_whole_picture_does(network, layer, method, monkeypatch):
    keras.utils.set_random_seed(0)
    model = network((None, None, 3))
    for weight in model.trainable_weights:
        weight.assign(keras.random.normal(weight.shape, 0.1, 0.4))
    seen = {shape: layer_table.maps(network(shape))[layer] for shape in SHAPES}
    output = keras.Model(model.inputs[0], model.get_layer(layer).output)
    units = []
    for number, shape in enumerate(SHAPES):
        _, rows, columns, _ = output(np.zeros((1, *shape), "float32")).shape
        places = [(0, 0), (rows - 1, columns - 1), (rows // 2, columns // 2), (rows // 3, 0)]
        units += [Unit(k % 2, number, np.array(place)) for k, place in enumerate(places)]
    # Some batches hold two parts, some one.
    monkeypatch.setattr(projection, "_PIXELS", 60 * 60)
    cells = project(model, layer, pictures(), units, lambda shape: seen[shape], [method])
    projected, by_number = whole(model, layer, method), dict(pictures().some({0, 1}))
    smaller = brought = 0
    for unit, cell in zip(units, cells, strict=True):
        picture, made = by_number[unit.picture], cell.projections[method]
        expected = projected(picture, unit)
        axes = zip(seen[picture.shape], unit.place.tolist(), picture.shape[:2], strict=True)
        (rows, rows_in), (columns, columns_in) = (within(*axis) for axis in axes)
        inside = np.zeros(picture.shape[:2], bool)
        inside[rows, columns] = True
        np.testing.assert_array_equal(expected[~inside], 0)
        tolerance = 1e-5 * np.abs(expected).max()
        np.testing.assert_allclose(
            made[rows_in, columns_in], expected[rows, columns], rtol=0, atol=tolerance
        )
        np.testing.assert_array_equal(cell.patch[rows_in, columns_in], picture[rows, columns])
        assert np.isfinite(made).sum() == 3 * inside.sum()
        smaller, brought = smaller + (not inside.all()), brought + bool(expected.any())
    assert smaller == len(units)
    assert brought >= 4


def test_a_picture_is_read_once_for_all_its_units():
    read = []

    def picture(number):
        read.append(number)
        return np.full((40, 40, 3), number, "float32")

    model = strided((None, None, 3))
    seen = layer_table.maps(strided((40, 40, 3)))["conv1"]
    units = [Unit(0, number, np.array((4, 5))) for number in (7, 2, 7, 9)]
    cells = project(model, "conv1", OneByOne(10, picture), units, lambda _: seen, ["saliency"])
    assert read == [2, 7, 9]
    assert [cell.patch[0, 0, 0] for cell in cells] == [7, 2, 7, 9]


def test_a_network_of_one_size_is_walked_through_whole():
    model = strided((40, 40, 3))
    seen = layer_table.maps(model)["conv2"]
    one = OneByOne(1, lambda number: np.ones((40, 40, 3), "float32"))
    (cell,) = project(model, "conv2", one, [Unit(0, 0, np.array((3, 3)))], lambda _: seen, [])
    assert cell.patch.shape == (seen[0].receptive_field.size,) * 2 + (3,)


def test_cells_become_as_large_as_the_largest():
    cells = [
        projection.Cell(np.ones((2, 5, 1)), {"guided": np.ones((2, 5, 1))}),
        projection.Cell(np.ones((3, 4, 1)), {"guided": np.ones((3, 4, 1))}),
    ]
    for cell, (high, wide) in zip(equal_cells(cells), [(2, 5), (3, 4)], strict=True):
        for each in (cell.patch, cell.projections["guided"]):
            assert each.shape == (3, 5, 1)
            assert np.isfinite(each[:high, :wide]).all()
            assert np.isnan(each).sum() == 15 - high * wide

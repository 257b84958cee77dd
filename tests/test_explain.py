"""What `src.explain` finds, cuts out, draws and refuses."""

from pathlib import Path

import keras
import numpy as np
import pytest
from keras import layers
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from src import config
from src.activations import OneByOne, Pictures, strongest
from src.data.examples import Split
from src.errors import UserError
from src.explain import _picture
from src.explanation import Explainer
from src.figures import activations
from src.figures.maps import _levels
from src.figures.projections import Group, Map, projections, signed
from src.layer_maps import colour_kernels, reduced
from src.models.build import build
from src.models.vgg16 import CaffeScaling
from tests.commands import MODELS, run


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("explain")
    words = f"{MODELS['lenet_mnist']} model.filters=4 trainer.epochs=1 trainer.pictures=1"
    run("src.train", f"{words} run_dir=lenet", folder)
    return folder


def refused(folder, words):
    out, err = run("src.explain", words, folder, status=2)
    assert not out
    assert err.startswith("error: expected ")
    assert err.count("\n") == 1
    return err


def network():
    """A map that is the picture, and one that is twice its neighbour above."""
    image = keras.Input((6, 8, 1), name="image")
    maps = layers.Conv2D(2, 3, padding="same", use_bias=False, name="conv")(image)
    model = keras.Model(image, layers.ReLU(name="relu")(maps))
    kernel = np.zeros((3, 3, 1, 2), "float32")
    kernel[1, 1, 0, 0], kernel[0, 1, 0, 1] = 1, 2
    model.get_layer("conv").set_weights([kernel])
    return model


def test_the_strongest_activations_are_those_of_all_batches_together():
    pictures = np.random.default_rng(0).random((20, 6, 8, 1), dtype="float32")
    model = network()
    found = strongest(model, "relu", (pictures[i : i + 7] for i in range(0, 20, 7)), 3)
    maps = model(pictures).numpy()
    for number in range(2):
        peaks = maps[..., number].max(axis=(1, 2))
        best = np.argsort(-peaks)[:3]
        np.testing.assert_array_equal(found.examples[number], best)
        np.testing.assert_array_equal(found.values[number], peaks[best])
        for example, (row, column) in zip(best, found.places[number], strict=True):
            assert maps[example, row, column, number] == peaks[example]


def test_of_equal_activations_the_first_is_shown_and_a_picture_once():
    pictures = np.ones((5, 6, 8, 1), "float32")
    found = strongest(network(), "relu", [pictures[:2], pictures[2:]], 3)
    np.testing.assert_array_equal(found.examples, [[0, 1, 2], [0, 1, 2]])
    np.testing.assert_array_equal(found.places[0], [[0, 0]] * 3)
    # Above the first row there is nothing.
    np.testing.assert_array_equal(found.places[1], [[1, 0]] * 3)


def test_of_fewer_pictures_fewer_are_found():
    found = strongest(network(), "relu", [np.ones((2, 6, 8, 1), "float32")], 9)
    assert found.values.shape == (2, 2)


def test_a_unit_without_a_place_is_found_as_well():
    image = keras.Input((2, 2, 1))
    flat = layers.Flatten()(image)
    model = keras.Model(image, layers.Dense(3, kernel_initializer="ones", name="units")(flat))
    pictures = np.array([1, 3, 2], "float32").reshape(3, 1, 1, 1) * np.ones((2, 2, 1), "float32")
    found = strongest(model, "units", [pictures], 2)
    np.testing.assert_array_equal(found.values, [[12, 8]] * 3)
    np.testing.assert_array_equal(found.examples, [[1, 2]] * 3)


def test_pictures_come_back_by_their_numbers():
    images = np.arange(10, dtype="uint8").reshape(10, 1, 1, 1) * np.ones((1, 4, 4, 1), "uint8")
    pictures = Pictures(Split(images, np.zeros(10, "int32")))
    some = list(pictures.some([7, 2, 7]))
    assert [number for number, _ in some] == [2, 7]
    assert [round(255 * float(picture[0, 0, 0])) for _, picture in some] == [2, 7]
    assert sum(len(batch) for batch in pictures.batches()) == 10


def test_grey_is_zero_and_each_projection_has_its_own_scale():
    numbers = np.array([[0, 2], [-1, np.nan]], "float32").reshape(2, 2, 1)
    drawn = signed(numbers)
    np.testing.assert_array_equal(drawn[0, 0], [128] * 3)
    np.testing.assert_array_equal(drawn[0, 1], [255] * 3)
    np.testing.assert_array_equal(drawn[1, 0], [64] * 3)
    assert len(set(drawn[1, 1].tolist())) > 1
    np.testing.assert_array_equal(drawn, signed(1000 * numbers))
    np.testing.assert_array_equal(signed(np.zeros((1, 1, 3))), np.full((1, 1, 3), 128))


def test_projections_lie_beside_their_patches_cut_to_what_was_seen(trained):
    settings = config.load(trained / "lenet" / "config.yaml")
    picture = np.zeros((28, 28, 1), "float32")
    picture[0, 5] = 1
    looked_at = OneByOne(1, lambda number: picture)
    explainer = Explainer.of_run(settings, trained / "lenet", "best", looked_at, (28, 28, 1))
    found = strongest(explainer.model, "conv1", explainer.pictures.batches(), 1)
    drawn = explainer.maps(explainer.model, "conv1", found, [0], ["saliency"])
    (patch,), (projection,) = drawn[0].patches, drawn[0].projections["saliency"]
    assert patch.shape == projection.shape == (5, 5, 1)
    # The first convolution sees 5x5 pixels around its own.
    row, column = found.places[0, 0]
    assert np.isnan(patch[..., 0]).sum() == 25 - min(5, row + 3) * min(5, column + 3, 30 - column)
    kernel = explainer.model.get_layer("conv1").kernel.numpy()[..., 0] / 0.3081
    inside = np.isfinite(projection)
    np.testing.assert_array_equal(inside, np.isfinite(patch))
    if found.values[0, 0] > 0:
        np.testing.assert_allclose(projection[inside], kernel[inside], rtol=1e-5)
    assert (row, column) != (5, 0)


def test_it_is_told_whether_an_element_sees_all_of_the_picture(trained):
    settings = config.load(trained / "lenet" / "config.yaml")
    black = OneByOne(1, lambda number: np.zeros((28, 28, 1), "float32"))
    explainer = Explainer.of_run(settings, trained / "lenet", "best", black, (28, 28, 1))
    assert "sees 14x14 pixels, and both are cut to these" in explainer._legend("conv2")
    assert "sees the whole picture" in explainer._legend("fc1")


def test_a_map_that_is_never_active_has_no_projection(trained):
    settings = config.load(trained / "lenet" / "config.yaml")
    black = OneByOne(1, lambda number: np.zeros((28, 28, 1), "float32"))
    explainer = Explainer.of_run(settings, trained / "lenet", "best", black, (28, 28, 1))
    # In a corner nine pixels are seen, black ones, -.1307 / .3081 each: 99 - 9 * .4242.
    for bias, label, active in ((99.0, "map 2: 95.2", True), (-1.0, "map 2: never active", False)):
        explainer.model.get_layer("conv1").set_weights([np.ones((5, 5, 1, 4)), np.full(4, bias)])
        found = strongest(explainer.model, "conv1", black.batches(), 1)
        (drawn,) = explainer.maps(explainer.model, "conv1", found, [2], ["deconvnet"])
        assert drawn.label == label
        (projection,) = drawn.projections["deconvnet"]
        assert np.any(projection[np.isfinite(projection)]) == active


def test_a_page_holds_each_map_once_and_is_the_same_for_the_same_maps():
    cells = [np.full((3, 3, 1), value) for value in range(9)]
    maps = [Map(f"map {n}", {"guided": cells}, [cell / 9 for cell in cells]) for n in range(4)]
    page = projections([Group("conv", "", maps)], ["a note"])
    np.testing.assert_array_equal(page, projections([Group("conv", "", maps)], ["a note"]))
    assert page.shape[0] > projections([Group("conv", "", maps[:3])], ["a note"]).shape[0]
    with pytest.raises(ValueError, match="expected groups with maps"):
        projections([Group("conv", "", [])], [])


def test_a_sheet_a_layer_is_in_the_figures_and_in_tensorboard(trained):
    words = "run=lenet top=4 maps=[1,0] method=[saliency,guided]"
    out, _ = run("src.explain", words, trained)
    assert [line.partition(":")[0] for line in out.splitlines()] == ["conv1", "conv2"]
    for layer in ("conv1", "conv2"):
        assert Image.open(trained / "lenet" / "figures" / f"explain-{layer}.png").width > 200
        events = next((trained / "lenet" / "tensorboard").glob(f"*.{layer}"))
        tags = EventAccumulator(str(events)).Reload().Tags()
        assert {f"explain/{layer}", f"activations/{layer}"} <= set(tags["tensors"])
        assert Image.open(trained / "lenet" / "figures" / f"activations-{layer}.png").width > 200
    events = next((trained / "lenet" / "tensorboard").glob("*.first-layer"))
    assert "kernels/first-layer" in EventAccumulator(str(events)).Reload().Tags()["tensors"]
    assert Image.open(trained / "lenet" / "figures" / "kernels-first-layer.png").width > 200


def test_kernels_are_shown_in_the_order_of_the_colours_of_a_picture():
    image = keras.Input((8, 8, 3))
    kernel = np.arange(2 * 2 * 3 * 4, dtype="float32").reshape(2, 2, 3, 4)
    for scaled, order in ((image, [0, 1, 2]), (CaffeScaling()(image), [2, 1, 0])):
        model = keras.Model(image, layers.Conv2D(4, 2, use_bias=False, name="first")(scaled))
        model.get_layer("first").set_weights([kernel])
        shown = colour_kernels(model, "first")
        assert len(shown) == 4
        np.testing.assert_array_equal(shown[1], kernel[:, :, order, 1])


def test_a_map_has_one_scale_for_all_examples():
    positive, signed_ = np.array([[0, 2]], "float32"), np.array([[-4, 2]], "float32")
    levels = [np.asarray(each).tolist() for each in _levels([positive, 2 * positive])]
    assert levels == [[[0, 128]], [[0, 255]]]
    assert [np.asarray(each).tolist() for each in _levels([signed_, positive])] == [
        [[1, 192]],
        [[128, 192]],
    ]


def test_maps_larger_than_a_page_are_reduced_to_the_means_of_squares():
    small = np.arange(12, dtype="float32").reshape(2, 3, 2)
    assert reduced(small) is small
    large = np.kron(small, np.ones((500, 400, 1), "float32"))
    # The longer side is 1200: squares of three pixels.
    means = reduced(large)
    assert means.shape == (333, 400, 2)
    np.testing.assert_array_equal(means[0, 0], small[0, 0])
    np.testing.assert_array_equal(means[-1, -1], small[-1, -1])
    assert reduced(np.ones((1, 2000, 1))).shape == (1, 500, 1)


def test_the_page_about_tensorboard_names_what_is_written(trained):
    page = (Path(__file__).parent.parent / "docs" / "tensorboard.md").read_text()
    files = (trained / "lenet" / "tensorboard").glob("events*")
    tags = {tag for file in files for tag in EventAccumulator(str(file)).Reload().Tags()["tensors"]}
    for tag in ("loss/train", "loss/val", "accuracy/best-test", "confusion_matrix/best-test"):
        assert tag in tags
        assert f"`{tag}`" in page
    for group in ("training/", "explain/", "activations/", "kernels/"):
        assert any(tag.startswith(group) for tag in tags)
        assert f"`{group}`" in page


@pytest.mark.parametrize(
    ("sizes", "maps"),
    [([(28, 28, 1)], (1, 1)), ([(8, 400, 3)] * 7, (2, 100)), ([(90, 60, 3), (300, 40, 3)], (9, 6))],
    ids=["a unit", "wide", "of two sizes"],
)
def test_activations_are_drawn_for_pictures_of_any_size(sizes, maps):
    pictures = [np.ones(size, "float32") for size in sizes]
    rows = {f"map {n}": [np.full(maps, n, "float32") for _ in sizes] for n in range(3)}
    drawn = activations("layer", pictures, rows)
    assert drawn.dtype == np.uint8
    assert drawn.shape[1] < 1000
    assert (drawn == 255).all(axis=-1).any()


def test_a_picture_of_any_size_takes_the_place_of_a_split(trained):
    Image.fromarray(np.arange(40 * 50 * 3, dtype="uint8").reshape(40, 50, 3)).save(
        trained / "a photo.png"
    )
    run("src.explain", ["run=lenet", "layer=conv2", "input=a photo.png"], trained)
    assert (trained / "lenet" / "figures" / "explain-conv2-a-photo.png").exists()


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("layer=conv9", "layer= as one of normalise, conv1"),
        ("layer=conv1 maps=4", "maps= from 0 to 3 for layer=conv1; received 4"),
        ("layer=[]", "at least one in layer="),
        ("maps=some", "maps= as strongest, all, or numbers from 0 on such as [3,17]"),
        ("maps=[-1]", "received [-1]"),
        ("method=[guided,grad]", "method= as deconvnet, saliency, guided, or a list of these"),
    ],
    ids=["layer", "map", "none", "maps", "negative", "method"],
)
def test_what_there_is_not_is_told_in_one_line(words, told, trained):
    assert told in refused(trained, f"run=lenet {words}")


@pytest.mark.parametrize(
    "words",
    ["top=0", "split=all", "colour=red", "checkpoint=first"],
)
def test_a_wrong_word_is_told_in_one_line(words, trained):
    _, err = run("src.explain", f"run=lenet {words}", trained, status=2)
    assert err.startswith("error: ")
    assert err.count("\n") == 1


def test_a_picture_that_is_none_is_told_in_one_line(trained):
    (trained / "text.png").write_text("no picture")
    _, err = run("src.explain", "run=lenet input=text.png", trained, status=2)
    assert "text.png: expected a picture" in err


def test_pictures_there_are_none_of_are_refused():
    with pytest.raises(UserError, match="expected pictures"):
        strongest(network(), "relu", [], 3)


def test_a_network_from_elsewhere_is_shown_a_folder_of_pictures(tmp_path):
    (tmp_path / "photos").mkdir()
    for name, size in (("a", (90, 80)), ("b", (100, 160))):
        noise = np.random.default_rng(0).integers(0, 256, (*size, 3), np.uint8)
        Image.fromarray(noise).save(tmp_path / "photos" / f"{name}.png")
    words = "model=mobilenet_v3_small model.weights=random model.size=80 input=photos"
    out, _ = run("src.explain", f"{words} layer=conv maps=[3] top=2 method=saliency", tmp_path)
    assert out == "conv: outputs/mobilenet_v3_small/figures/explain-conv-photos.png\n"
    sheet = np.asarray(Image.open(tmp_path / out.split()[1]))
    # Two pictures of one map, and what a 3x3 kernel of random weights makes of them.
    assert sheet.shape[0] > 200
    assert len(np.unique(sheet.reshape(-1, 3), axis=0)) > 20
    assert not list(tmp_path.rglob("config.yaml"))


def test_pictures_are_scaled_to_a_shorter_side_and_keep_their_ratio(tmp_path):
    Image.fromarray(np.zeros((100, 150, 3), np.uint8)).save(tmp_path / "a.png")
    assert _picture(100, 3, 80, "resize", tmp_path / "a.png").shape == (80, 120, 3)
    assert _picture(100, 1, None, "resize", tmp_path / "a.png").shape == (100, 150, 1)
    assert _picture(100, 1, (28, 28), "resize", tmp_path / "a.png").shape == (28, 28, 1)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("model=vgg16 input=a.png", "model.weights=<a file that Keras wrote>, imagenet or random"),
        ("model=vgg16 model.weights=random", "input=<a picture or a folder of them> for a network"),
        ("model=vgg16 model.weights=random input=a.png run=b", "run= or model=, not both"),
        ("model.weights=random", "inception_v3|mobilenet_v3_small|resnet50|vgg16 beside it"),
        (
            "model=vgg16 model.weights=gone.h5 input=a.png",
            "a weights file there, imagenet or random",
        ),
        (
            "model=vgg19 model.weights=random input=a.png",
            "model.name: expected 'efficientnet_v2b0'",
        ),
    ],
    ids=["no weights", "no picture", "a run besides", "no network", "no file", "no such network"],
)
def test_what_a_network_from_elsewhere_lacks_is_told_in_one_line(words, told, tmp_path):
    _, err = run("src.explain", words, tmp_path, status=2)
    assert told in err
    assert err.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_layers_that_have_no_name_of_their_own_are_explained():
    section = config.LeNet5(name="lenet5")
    images = np.random.default_rng(0).integers(0, 256, (6, 28, 28, 1), np.uint8)
    pictures = Pictures(Split(images, np.zeros(6, "int32")))
    keras.utils.clear_session()
    explainer = Explainer(lambda shape: build(section, shape, 10), pictures, (28, 28, 1))
    unnamed = [f"activation{number}" for number in ("", "_1", "_2", "_3", "_4")]
    assert explainer.layers() == unnamed
    for layer in unnamed:
        assert set(explainer.draw(layer, "strongest", 1, ["saliency"])) == {
            "explain",
            "activations",
        }

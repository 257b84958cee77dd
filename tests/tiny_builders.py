"""Tiny data sets for TensorFlow Datasets to prepare."""

# mypy: disable-error-code="call-arg, name-defined"

import numpy as np
import tensorflow_datasets as tfds

F = tfds.features


def image(number, shape):
    """Pixels that follow from the number; PNG keeps them."""
    return np.random.default_rng(number).integers(0, 256, shape, np.uint8)


class Tiny(tfds.core.GeneratorBasedBuilder, skip_registration=True):
    """Images of one size with a label."""

    VERSION = tfds.core.Version("1.0.0")
    pkg_dir_path = tfds.core.Path(__file__).parent
    shape, side = (8, 10, 3), 0
    splits: tuple[tuple[str, int], ...] = (("train", 20), ("test", 6))
    label = F.ClassLabel(names=["cat", "dog", "emu"])

    def _info(self):
        shape = self.shape if not self.side else (None, None, self.shape[-1])
        features = {"image": F.Image(shape=shape, encoding_format="png"), "label": self.label}
        return self.dataset_info_from_configs(features=F.FeaturesDict(features))

    def _split_generators(self, dl_manager):
        del dl_manager
        begin, generators = 0, {}
        for split, count in self.splits:
            generators[split] = self._generate_examples(begin, begin + count)
            begin += count
        return generators

    def _generate_examples(self, begin, end):
        for number in range(begin, end):
            grown = self.side * number
            shape = (self.shape[0] + grown, self.shape[1] + grown, self.shape[2])
            yield number, {"image": image(number, shape), "label": number % self.label.num_classes}


class TinyColour(Tiny, skip_registration=True):
    """Colour, two files for training."""


class TinyGrey(Tiny, skip_registration=True):
    """Grey, with a validation split."""

    shape, splits = (28, 28, 1), (("train", 30), ("validation", 10), ("test", 10))


class TinyMany(Tiny, skip_registration=True):
    """Many classes without names, splits of other names."""

    splits = (("train_full", 300), ("holdout", 10))
    label = F.ClassLabel(num_classes=300)


class TinySizes(Tiny, skip_registration=True):
    """Pictures of many sizes, training only."""

    splits, side = (("train", 30),), 1


class TinyLetters(Tiny, skip_registration=True):
    """Two configs, of which the first is the default."""

    BUILDER_CONFIGS = tuple(tfds.core.BuilderConfig(name=name) for name in ("upper-case", "lower"))


class TinyMasks(Tiny, skip_registration=True):
    """Images with masks of 1, 2 and 3."""

    def _info(self):
        features = {
            "image": F.Image(shape=(None, None, 3), encoding_format="png"),
            "segmentation_mask": F.Image(shape=(None, None, 1), encoding_format="png"),
        }
        return self.dataset_info_from_configs(features=F.FeaturesDict(features))

    def _generate_examples(self, begin, end):
        for number in range(begin, end):
            mask = image(number, (32, 40, 1)) % 3 + 1
            yield number, {"image": image(number, (32, 40, 3)), "segmentation_mask": mask}

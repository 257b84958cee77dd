"""What a run writes for TensorBoard beside its curves: settings, texts, charts, PR curves, points.

Summaries are made here as protocol buffers; `src.training.output` writes them into events.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from tensorboard.plugins.custom_scalar import layout_pb2
from tensorboard.plugins.custom_scalar import summary as custom_scalar
from tensorboard.plugins.hparams import api as hparams
from tensorboard.plugins.pr_curve import summary as pr_curve

from src import figures, files
from src.models import layer_table
from src.training.features import Features

# The projector shows thumbnails at this size, and sprites up to 8192 pixels.
_THUMBNAIL = 48


def settings(values: Mapping[str, Any], name: str) -> Any:
    """A run's settings for the panel HParams, which compares runs by them.

    Args:
        values: by key, such as `optimizer.name`.
        name: of the run in the panel's table.
    """
    shown = {
        key: value if isinstance(value, (bool, int, float, str)) else _word(value)
        for key, value in values.items()
    }
    shown = {key: _encodable(v) if isinstance(v, str) else v for key, v in shown.items()}
    return hparams.hparams_pb(shown, trial_id=_encodable(name))


def _encodable(text: str) -> str:
    """A text with the bytes of names that are no text escaped: protocol buffers take no others."""
    return text.encode("utf-8", "backslashreplace").decode()


def layout(watched: str) -> Any:
    """The panel Custom Scalars: training and validation in one chart."""
    names = dict.fromkeys(("loss", watched))
    charts = [
        layout_pb2.Chart(
            title=name,
            multiline=layout_pb2.MultilineChartContent(tag=[f"^{name}/(train|val)$"]),
        )
        for name in names
    ]
    category = layout_pb2.Category(title="training and validation", chart=charts)
    return custom_scalar.pb(layout_pb2.Layout(category=[category]))


def texts(
    model: keras.Model, configuration: str, command: Sequence[str], data: str
) -> dict[str, str]:
    """What a run is, in Markdown by name: command, data, configuration and layers.

    Args:
        model: functional.
        configuration: YAML.
        command: the arguments of the command line.
        data: what was trained on, a line.
    """
    line = files.clipped(shlex.join(command), 2000)
    found = {
        "command": f"```\n{line}\n```",
        "data": data,
        "configuration": f"```yaml\n{configuration}\n```",
    }
    try:
        found["layers"] = _table(layer_table.rows(model))
    except ValueError:  # The table does not know all layers, or all sizes.
        found["layers"] = f"{model.count_params():,} parameters"
    return {name: _encodable(text) for name, text in found.items()}


def pr_curves(
    label: str, targets: NDArray[np.integer], outputs: NDArray[Any], classes: Sequence[str]
) -> list[Any]:
    """Precision over recall of each class against all others.

    Args:
        label: of the evaluation.
        targets: labels `[examples]`.
        outputs: logits `[examples, classes]`.
        classes: names.
    """
    logits = outputs.astype(np.float64)
    likely = np.exp(logits - logits.max(axis=-1, keepdims=True))
    likely /= likely.sum(axis=-1, keepdims=True)
    return [
        pr_curve.pb(f"{label}/{name}", targets == i, likely[:, i], num_thresholds=127)
        for i, name in enumerate(classes)
    ]


def write_projector(folder: Path, label: str, features: Features, classes: Sequence[str]) -> None:
    """Writes points with labels and thumbnails as TensorBoard's projector reads them.

    Args:
        folder: that of the run's events.
        label: of the evaluation; an earlier one's points are replaced.
        features: the points.
        classes: names of the labels.

    Raises:
        OSError: they cannot be written.
    """
    own = folder / "projector" / label
    own.mkdir(parents=True, exist_ok=True)
    # Half the time of formatting number by number.
    line = "\t".join(["%.5g"] * features.values.shape[1]) + "\n"
    rows = (line % tuple(point) for point in features.values.tolist())
    files.write(own / "tensors.tsv", "".join(rows))
    labels = features.labels
    count = len(features.values)
    names = ["-"] * count if labels is None else [_plain(classes[label]) for label in labels]
    lines = [f"{name}\t{number}" for number, name in enumerate(names)]
    files.write(own / "metadata.tsv", "\n".join(["class\texample", *lines]) + "\n")
    sprite, (width, height) = _sprite(features.images)
    figures.save_png(own / "sprite.png", sprite)
    files.write(
        own / "embedding.pbtxt",
        f'embeddings {{\n  tensor_name: "{label}"\n'
        f'  tensor_path: "projector/{label}/tensors.tsv"\n'
        f'  metadata_path: "projector/{label}/metadata.tsv"\n'
        f'  sprite {{\n    image_path: "projector/{label}/sprite.png"\n'
        f"    single_image_dim: {width}\n    single_image_dim: {height}\n  }}\n}}\n",
    )
    parts = sorted(folder.glob("projector/*/embedding.pbtxt"))
    text = "".join(files.read(part).decode() for part in parts)
    files.write(folder / "projector_config.pbtxt", text)


def _sprite(images: NDArray[np.uint8]) -> tuple[figures.Picture, tuple[int, int]]:
    """All pictures in a square of equal thumbnails, row by row, and a thumbnail's size."""
    height, width = images.shape[1:3]
    shrink = min(1.0, _THUMBNAIL / max(height, width))
    size = (max(1, round(width * shrink)), max(1, round(height * shrink)))
    across = int(np.ceil(np.sqrt(len(images))))
    sheet = Image.new("RGB", (across * size[0], across * size[1]))
    for i, image in enumerate(images):
        tile = Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image)
        if tile.size != size:
            tile = tile.resize(size, Image.Resampling.BOX)
        sheet.paste(tile, (i % across * size[0], i // across * size[1]))
    return np.asarray(sheet), size


def _table(rows: Sequence[layer_table.Row]) -> str:
    lines = ["| layer | type | output | parameters | multiply-adds |", "|---|---|---:|---:|---:|"]
    for row in rows:
        shape = "x".join(map(str, row.output_shape))
        lines.append(
            f"| {row.name} | {row.type} | {shape} | {row.parameters:,} | {row.multiply_adds:,} |"
        )
    total = sum(row.parameters for row in rows), sum(row.multiply_adds for row in rows)
    return "\n".join([*lines, f"| total | | | {total[0]:,} | {total[1]:,} |"])


def _word(value: Any) -> str:
    return "null" if value is None else files.clipped(value, 80)


def _plain(name: str) -> str:
    """A name without the tabs and ends of lines that part a table's cells."""
    return " ".join(name.split()) or "-"

"""Pictures of a study, by Optuna's own drawings."""

from __future__ import annotations

import errno
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import optuna
from matplotlib.ticker import MaxNLocator
from optuna.visualization import matplotlib as drawings

matplotlib.use("Agg")
_INCHES = (9.0, 5.0)
_MOST_NAMES = 12
_FEW = 2  # Trials of which there is nothing to compare.


def draw(study: optuna.Study, metric: str, folder: Path) -> list[Path]:
    """Draws a study: the best so far, the curves of its trials, and what each key does.

    Args:
        study: the study.
        metric: the name of what its trials are compared by.
        folder: where the PNG files go; it is made.

    Returns:
        The files; none of a study with fewer than two trials that came to their end.

    Raises:
        OSError: they cannot be written.
    """
    from matplotlib import pyplot as plt

    done = [trial for trial in study.get_trials(deepcopy=False) if trial.state.name == "COMPLETE"]
    if len(done) < _FEW:
        return []
    pictures: dict[str, Callable[[], Any]] = {
        "history": lambda: drawings.plot_optimization_history(study, target_name=metric),
        "epochs": lambda: _epochs(study, metric),
        "slices": lambda: drawings.plot_slice(study, target_name=metric),
    }
    # Where all trials came to the same, nothing is more important than anything else.
    if len({trial.value for trial in done}) > 1 and len(done[0].params) > 1:
        pictures["importances"] = lambda: drawings.plot_param_importances(
            study, evaluator=optuna.importance.FanovaImportanceEvaluator(seed=0)
        )
        pictures["parallel"] = lambda: drawings.plot_parallel_coordinate(study, target_name=metric)
    if folder.is_symlink():
        raise OSError(errno.EINVAL, "a link", str(folder))
    folder.mkdir(exist_ok=True)
    written = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name, picture in pictures.items():
            axes = picture()
            figure = np.ravel(axes)[0].figure
            figure.set_size_inches(*_INCHES)
            written.append(folder / f"{name}.png")
            # It may be a link of a stranger's.
            written[-1].unlink(missing_ok=True)
            figure.savefig(written[-1], dpi=100, bbox_inches="tight")
            plt.close(figure)
    return written


def _epochs(study: optuna.Study, metric: str) -> Any:
    """The curves of the trials, without names where there are more than fit beside them."""
    axes = drawings.plot_intermediate_values(study)
    axes.set(title="Epochs of the trials", xlabel="Epoch", ylabel=metric)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    legend = axes.get_legend()
    if legend and len(legend.get_texts()) > _MOST_NAMES:
        legend.remove()
    return axes

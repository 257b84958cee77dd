"""Where examples come from: a module for each data set, which finds it on this machine.

The section of `src/config/datasets/x.py` is read by `src/data/sources/x.py`, whose `load` takes it
and returns a `DataSet`. One more such pair is one more data set.
"""

from __future__ import annotations

import importlib

from src.config import Data
from src.data.dataset import DataSet


def load(data: Data) -> DataSet:
    """Finds a data set; what is not read here is read when it is first asked for.

    Args:
        data: the checked section `data` of the configuration.

    Returns:
        The data set; images are uint8 `[n, height, width, channels]`. Its splits raise a
        `DataError` when they turn out to be damaged or too small.

    Raises:
        DataError: the data set is missing or damaged, in one line for the user.
    """
    name = type(data).__module__.rpartition(".")[2]
    return importlib.import_module(f"{__name__}.{name}").load(data)

"""The examples in the docstrings of the layers are true."""

import doctest
import importlib

import numpy as np
import pytest


@pytest.mark.parametrize(
    ("module", "examples"),
    [("pooling", 3), ("upsampling", 2), ("lenet5", 3), ("initializers", 1)],
)
def test_the_examples_of_the_layers_come_out(module, examples):
    module = importlib.import_module(f"src.layers.{module}")
    documented = [test for test in doctest.DocTestFinder().find(module) if test.examples]
    assert len(documented) == examples
    failed, tried = doctest.testmod(module, extraglobs={"np": np})
    assert (failed, tried > 0) == (0, True)

"""PyTorch asked live, and the layers on the JAX backend; where these are installed."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.vectors import make_pytorch_vectors

pytestmark = pytest.mark.peer
pytest.importorskip("torch")

ROOT = Path(__file__).resolve().parent.parent

ON_JAX = """
import sys
import jax, keras, numpy as np
from keras import ops
from src.arithmetic import reference
from src.layers.initializers import Bilinear
from src.layers.pooling import AverageUnpool2D, MaxPoolWithArgmax2D, MaxUnpool2D
from src.layers.upsampling import DepthwiseConv2DTranspose

assert keras.backend.backend() == "jax"
rng = np.random.default_rng(0)
for case in range(int(sys.argv[1])):
    pool, strides = (tuple(map(int, rng.integers(1, 4, 2))) for _ in range(2))
    height, width = (int(rng.integers(k, k + 6)) for k in pool)
    padding = ("valid", "same")[case % 2]
    x = rng.integers(-3, 4, (2, height, width, 2)).astype("float32")
    for value in (np.nan, np.inf, -np.inf):
        x[rng.random(x.shape) < 0.1] = value
    expected = reference.max_pool_with_argmax(x, pool, strides, padding)
    pooling, unpooling = MaxPoolWithArgmax2D(pool, strides, padding), MaxUnpool2D()
    run = lambda x: pooling(x) + (unpooling(*pooling(x), like=x),)
    for function in (run, jax.jit(run)) if case % 4 == 0 else (run,):
        values, indices, back = function(ops.convert_to_tensor(x))
        np.testing.assert_array_equal(values, expected[0])
        np.testing.assert_array_equal(indices, expected[1])
        np.testing.assert_array_equal(back, reference.max_unpool(*expected, height, width))

x = ops.convert_to_tensor(rng.permutation(72).reshape(1, 6, 6, 2).astype("float32"))
for pool, strides in ((2, 2), (3, 2)):
    pooling, unpooling = MaxPoolWithArgmax2D(pool, strides), MaxUnpool2D()
    values, indices = pooling(x)
    ones = lambda x: ops.sum(pooling(x)[0])
    counts = np.bincount(np.ravel(indices), minlength=72).reshape(x.shape)
    for transform in (lambda f: f, jax.jit):
        np.testing.assert_array_equal(transform(jax.grad(ones))(x), counts)
        gather = lambda v: ops.sum(unpooling(v, indices, like=x) * x)
        np.testing.assert_array_equal(transform(jax.grad(gather))(values), values)

try:
    MaxUnpool2D()(values, indices + 71, like=x)
except ValueError as error:
    assert "expected indices from 0 to 71" in str(error)
else:
    raise SystemExit("an index outside was taken")

small = rng.standard_normal((2, 3, 3, 2)).astype("float32")
back = AverageUnpool2D(2)(small, like=np.zeros((2, 5, 6, 1), "float32"))
np.testing.assert_array_equal(back, reference.average_unpool(small, (2, 2), (5, 6)))
kernel = np.einsum("hwc,cd->hwcd", np.asarray(Bilinear()((4, 4, 2))), np.eye(2))
grown = reference.conv2d_transpose(small, kernel, (2, 2), "same", (6, 6))
np.testing.assert_allclose(DepthwiseConv2DTranspose(4, 2)(small), grown, atol=1e-6)

inputs = keras.Input((6, 5, 2))
maps = keras.layers.Conv2D(3, 3, padding="same")(inputs)
pooled, indices = MaxPoolWithArgmax2D(2, padding="same")(maps)
model = keras.Model(inputs, MaxUnpool2D()(pooled, indices, like=maps))
model.compile("sgd", "mse")
model.fit(np.ones((4, 6, 5, 2)), np.ones((4, 6, 5, 3)), verbose=0)
print("agreed")
"""


def test_the_stored_answers_are_what_pytorch_says_today(tmp_path, monkeypatch):
    stored = dict(np.load(make_pytorch_vectors.FILE, allow_pickle=False))
    monkeypatch.setattr(make_pytorch_vectors, "FILE", tmp_path / "again.npz")
    make_pytorch_vectors.main()
    again = dict(np.load(tmp_path / "again.npz", allow_pickle=False))
    assert stored.keys() == again.keys()
    for name, array in stored.items():
        np.testing.assert_array_equal(array, again[name], err_msg=name)


def test_transposed_convolution_equals_pytorch():
    """PyTorch pads both ends alike; `output_padding` says how much of the end is kept."""
    import torch

    from src.arithmetic import reference

    rng = np.random.default_rng(0)
    for _ in range(100):
        kernel, stride = (int(n) for n in rng.integers(1, 6, 2))
        pad, extra = int(rng.integers(0, (kernel - 1) // 2 + 1)), int(rng.integers(0, stride))
        x = rng.integers(-4, 5, (2, 4, 1, 3)).astype("float32")
        w = rng.integers(-4, 5, (kernel, 1, 2, 3)).astype("float32")
        theirs = torch.nn.functional.conv_transpose2d(
            torch.from_numpy(x.transpose(0, 3, 1, 2).copy()),
            torch.from_numpy(w.transpose(3, 2, 0, 1).copy()),
            stride=(stride, 1),
            padding=(pad, 0),
            output_padding=(extra, 0),
        )
        size = 3 * stride + kernel + extra
        full = reference.conv2d_transpose(x, w, (stride, 1), "valid", (size, 1))
        cropped = full[:, pad : size - pad].transpose(0, 3, 1, 2)
        np.testing.assert_array_equal(theirs, cropped)


@pytest.mark.skipif(not importlib.util.find_spec("jax"), reason="JAX is not installed")
def test_the_layers_agree_on_jax():
    environment = {**os.environ, "KERAS_BACKEND": "jax"}
    done = subprocess.run(
        [sys.executable, "-c", ON_JAX, "40"],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.stdout.endswith("agreed\n"), done.stderr[-3000:]

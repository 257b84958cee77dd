"""Writes PyTorch's answers to random pooling problems, for tests that do not install PyTorch.

    python -m tests.vectors.make_pytorch_vectors

Makes `pytorch_pooling.npz` anew, the same for a given PyTorch. A row of `windows` is a case: pool
height and width, strides, 1 for SAME or 0 for VALID; so is a row of `shapes`, of the input and then
of the pooled maps. All cases one after the other, flat and channels last, are in `x` (input),
`values` and `indices` (PyTorch's: `row * width + column` within a channel); `other` (values to
unpool) and `unpooled`; and the gradients `pool_gradient` for an upstream of `other` and
`unpool_gradient` for an upstream of `x`.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

FILE = Path(__file__).parent / "pytorch_pooling.npz"
CASES = 300


def random_case(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Draws an input and windows; every second input is full of ties and infinities.

    Of several NaN in a window PyTorch takes the last, we the first: no channel has more than one.
    """
    pool, strides = rng.integers(1, 5, 2), rng.integers(1, 5, 2)
    height, width = rng.integers(pool, pool + 6)
    shape = (int(rng.integers(1, 3)), int(height), int(width), int(rng.integers(1, 4)))
    if rng.random() < 0.5:
        x = rng.permutation(np.prod(shape)).reshape(shape) - rng.integers(0, 2) * np.prod(shape)
        x = x.astype(np.float32)
    else:
        x = rng.integers(-3, 4, shape).astype(np.float32)
        x[rng.random(shape) < 0.2] = -np.inf
        x[rng.random(shape) < 0.1] = np.inf
        x[0, rng.integers(height), rng.integers(width), 0] = np.nan
    return x, np.array([*pool, *strides, rng.integers(0, 2)], np.int8)


def pytorch_answers(
    x: np.ndarray, windows: np.ndarray, rng: np.random.Generator
) -> dict[str, np.ndarray] | None:
    """Asks PyTorch for everything about a case; None if it has no such SAME padding.

    PyTorch pads both ends alike. Rounding the number of windows up adds what is missing at the
    end, but not always.
    """
    import torch
    from torch.nn import functional

    def first(array: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(np.ascontiguousarray(array.transpose(0, 3, 1, 2)))

    def last(tensor: torch.Tensor) -> np.ndarray:
        return tensor.detach().numpy().transpose(0, 2, 3, 1)

    *pool_and_strides, same = windows.tolist()
    pool, strides = pool_and_strides[:2], pool_and_strides[2:]
    axes = list(zip(x.shape[1:3], pool, strides, strict=True))
    counts = [-(-n // s) if same else (n - k) // s + 1 for n, k, s in axes]
    totals = [max((c - 1) * s + k - n, 0) for c, (n, k, s) in zip(counts, axes, strict=True)]
    pads = [total // 2 for total in totals]
    maps = first(x).requires_grad_()
    values, indices = functional.max_pool2d(
        maps, pool, strides, pads, ceil_mode=bool(same), return_indices=True
    )
    if list(values.shape[2:]) != counts:
        return None
    # Which of different values with one index is written last PyTorch leaves open.
    numbers = torch.from_numpy(rng.integers(-99, 100, tuple(maps.shape)).astype(np.float32))
    other = numbers.flatten(2).gather(2, indices.flatten(2)).view_as(values).requires_grad_()
    # Only the size is taken from the windows, and it is told.
    unpooled = functional.max_unpool2d(
        other, indices, pool, strides, pads, output_size=maps.shape[2:]
    )
    values.backward(other.detach(), retain_graph=True)
    unpooled.backward(maps.detach())
    return {
        "values": last(values),
        "indices": last(indices).astype(np.int16),
        "other": last(other),
        "unpooled": last(unpooled),
        "pool_gradient": last(maps.grad),
        "unpool_gradient": last(other.grad),
    }


def main() -> None:
    """Writes the file."""
    rng = np.random.default_rng(0)
    cases: list[dict[str, np.ndarray]] = []
    while len(cases) < CASES:
        x, windows = random_case(rng)
        answers = pytorch_answers(x, windows, rng)
        if answers is not None:
            shapes = np.array([*x.shape, *answers["values"].shape], np.int8)
            cases.append({"windows": windows, "shapes": shapes, "x": x, **answers})
    arrays = {name: np.concatenate([case[name].ravel() for case in cases]) for name in cases[0]}
    for name in ("windows", "shapes"):
        arrays[name] = arrays[name].reshape(CASES, -1)
    np.savez_compressed(FILE, allow_pickle=False, **arrays)
    print(f"{FILE}: {CASES} cases, {FILE.stat().st_size} bytes")


if __name__ == "__main__":
    main()

"""PyTorch: the networks of this project, its MNIST example, and the product of two matrices.

    python -m benchmarks.pytorch_peers train mnist.npz lenet5 memory bfloat16 channels_last 550
    python -m benchmarks.pytorch_peers example mnist.npz 0
    python -m benchmarks.pytorch_peers product bfloat16

Prints a line of JSON.
"""

from __future__ import annotations

import time
from collections.abc import Iterator

import numpy as np
import torch
from torch import nn
from torch.nn import functional
from torch.utils.data import DataLoader, TensorDataset

from benchmarks import peer, pytorch_fcn


class _ScaledTanh(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return 1.7159 * torch.tanh(x * (2 / 3))


class _Normalise(nn.Module):
    def __init__(self, scale: float, offset: float) -> None:
        super().__init__()
        self.scale, self.offset = scale, offset

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.scale * x + self.offset


def network(name: str, channels: int, classes: int) -> nn.Module:
    """The layers of `src.models`, as one would write them."""
    if name in peer.CONVOLUTIONS:
        return pytorch_fcn.Fcn(name, channels, classes)
    stacks = {
        "lenet5": [
            *[nn.ZeroPad2d(2), _Normalise(1.275, -0.1)],
            *[nn.Conv2d(1, 6, 5), _ScaledTanh(), nn.AvgPool2d(2), _ScaledTanh()],
            *[nn.Conv2d(6, 16, 5), _ScaledTanh(), nn.AvgPool2d(2), _ScaledTanh()],
            *[nn.Conv2d(16, 120, 5), _ScaledTanh(), nn.Flatten()],
            *[nn.Linear(120, 84), _ScaledTanh(), nn.Linear(84, 10)],
        ],
        "lenet_mnist": [
            _Normalise(1 / 0.3081, -0.1307 / 0.3081),
            *[nn.Conv2d(1, 32, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2)],
            *[nn.Conv2d(32, 64, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2)],
            *[nn.Flatten(), nn.Linear(3136, 512), nn.ReLU(), nn.Dropout(), nn.Linear(512, 10)],
        ],
        "autoencoder": [
            *[nn.Conv2d(1, 32, 5, 2, padding=2), nn.SiLU()],
            *[nn.Conv2d(32, 64, 5, 2, padding=2), nn.SiLU(), nn.Flatten()],
            *[nn.Linear(3136, 256), nn.SiLU(), nn.Linear(256, 20)],
            *[nn.Linear(20, 256), nn.SiLU(), nn.Linear(256, 3136), nn.SiLU()],
            nn.Unflatten(1, (64, 7, 7)),
            *[nn.ConvTranspose2d(64, 32, 5, 2, padding=2, output_padding=1), nn.SiLU()],
            *[nn.ConvTranspose2d(32, 1, 5, 2, padding=2, output_padding=1), nn.Sigmoid()],
        ],
    }
    return nn.Sequential(*stacks[name])


def _in_memory(
    x: torch.Tensor, y: torch.Tensor, batch: int
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    order = torch.randperm(len(x))
    for begin in range(0, len(x), batch):
        chosen = order[begin : begin + batch]
        yield x[chosen], y[chosen]


def train(
    data: str, name: str, feed: str, precision: str, order: str, steps: int
) -> dict[str, object]:
    """Trains two epochs of `steps` steps, of which the second counts."""
    layout = torch.channels_last if order == "channels_last" else torch.contiguous_format
    arrays = np.load(data)
    batch, classes = int(arrays["batch"]), int(arrays["classes"])
    x = torch.from_numpy(arrays["x_train"][: steps * batch]).permute(0, 3, 1, 2).float() / 255
    x = x.contiguous(memory_format=layout)
    y = torch.from_numpy(arrays["y_train"][: steps * batch]).long()
    model = network(name, x.shape[1], classes).to(memory_format=layout)
    # Its fastest Adam on a processor.
    optimizer = torch.optim.Adam(model.parameters(), 1e-3, fused=True)
    loader = DataLoader(TensorDataset(x, y), batch, shuffle=True)
    model.train()
    seconds = []
    for _ in range(2):
        begun = time.perf_counter()
        for images, labels in _in_memory(x, y, batch) if feed == "memory" else loader:
            optimizer.zero_grad()
            with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bfloat16"):
                outputs = model(images)
            if name == "autoencoder":
                loss = functional.mse_loss(outputs.float(), images)
            else:
                # Of a mask, the label after the last class is void.
                loss = functional.cross_entropy(outputs.float(), labels, ignore_index=classes)
            loss.backward()
            optimizer.step()
        seconds.append(time.perf_counter() - begun)
    # Moving means and variances are weights to Keras; a count of batches is none.
    weights = [*model.parameters(), *(buffer for buffer in model.buffers() if buffer.ndim)]
    parameters = sum(weight.numel() for weight in weights)
    return {"images_per_second": steps * batch / seconds[1], "parameters": parameters}


class _Example(nn.Module):
    """The network of PyTorch's MNIST example."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(1, 32, 3, 1), nn.Conv2d(32, 64, 3, 1)
        self.dropout1, self.dropout2 = nn.Dropout(0.25), nn.Dropout(0.5)
        self.fc1, self.fc2 = nn.Linear(9216, 128), nn.Linear(128, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = functional.relu(self.conv2(functional.relu(self.conv1(x))))
        x = torch.flatten(self.dropout1(functional.max_pool2d(x, 2)), 1)
        x = self.fc2(self.dropout2(functional.relu(self.fc1(x))))
        return functional.log_softmax(x, dim=1)


def example(data: str, seed: int) -> dict[str, object]:
    """Trains PyTorch's MNIST example until an epoch ends with 99 % on the test set.

    Its model and settings; like it, it evaluates after each epoch. Images lie in memory, scaled
    and normalised once, which is faster than the example's way through PIL for each.
    """
    torch.manual_seed(seed)
    arrays = np.load(data)
    sets = []
    for part in ("train", "test"):
        images = torch.from_numpy(arrays[f"x_{part}"]).permute(0, 3, 1, 2).float() / 255
        sets.append(
            TensorDataset((images - 0.1307) / 0.3081, torch.from_numpy(arrays[f"y_{part}"]).long())
        )
    loader, test = DataLoader(sets[0], 64, shuffle=True), DataLoader(sets[1], 1000)
    model = _Example()
    optimizer = torch.optim.Adadelta(model.parameters(), lr=1.0)
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, step_size=1, gamma=0.7)
    epochs, accuracy = 0, 0.0
    while accuracy < 0.99 and epochs < 14:
        model.train()
        for images, labels in loader:
            optimizer.zero_grad()
            functional.nll_loss(model(images), labels).backward()
            optimizer.step()
        model.eval()
        with torch.no_grad():
            right = sum(int((model(x).argmax(1) == y).sum()) for x, y in test)
        scheduler.step()
        epochs, accuracy = epochs + 1, right / len(sets[1])
    return {"epochs": epochs, "accuracy": accuracy}


def product(precision: str) -> dict[str, object]:
    """The operations a second of a large matrix product."""

    def factors(side: int) -> tuple[torch.Tensor, torch.Tensor]:
        a, b = torch.randn(2, side, side, dtype=getattr(torch, precision))
        return a, b

    return peer.product(factors, torch.matmul)


if __name__ == "__main__":
    peer.main(train, example, product)

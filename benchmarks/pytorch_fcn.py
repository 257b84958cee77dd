"""The network of `model=fcn` in PyTorch."""

from __future__ import annotations

import torch
from torch import nn

from benchmarks.peer import CONVOLUTIONS, FUSED, MAPS, SCORES


class Fcn(nn.Module):
    """FCN as `src.models.fcn` has it.

    Args:
        name: `fcn` or `street`.
        channels: of the pictures.
        classes: logits a pixel.
    """

    def __init__(self, name: str, channels: int, classes: int) -> None:
        super().__init__()
        self.stages = nn.ModuleList()
        for stage, (convolutions, maps) in enumerate(zip(CONVOLUTIONS[name], MAPS, strict=True)):
            parts: list[nn.Module] = []
            for _ in range(convolutions):
                parts.append(nn.Conv2d(channels, maps, 3, padding=1, bias=stage == 0))
                if stage > 0:
                    parts.append(nn.BatchNorm2d(maps, eps=1e-3))
                parts.append(nn.ReLU(inplace=True))
                channels = maps
            self.stages.append(nn.Sequential(*parts, nn.MaxPool2d(2, ceil_mode=True)))
        self.fused = FUSED[name]
        stride = 2 ** (self.fused[-1] + 1)
        self.scores = nn.ModuleList(
            nn.Conv2d(MAPS[stage], SCORES, 1) for stage in (-1, *self.fused)
        )
        self.doubles = nn.ModuleList(
            nn.ConvTranspose2d(SCORES, SCORES, 4, 2, padding=1, bias=False) for _ in self.fused
        )
        self.last = nn.ConvTranspose2d(
            SCORES, classes, 2 * stride, stride, padding=stride // 2, bias=False
        )

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Pictures `[batch, channels, height, width]` to logits of every pixel."""
        x, pooled = image, []
        for stage in self.stages:
            x = stage(x)
            pooled.append(x)
        scores = self.scores[0](x)
        for double, score, stage in zip(self.doubles, self.scores[1:], self.fused, strict=True):
            scores = _cropped(double(scores), pooled[stage]) + score(pooled[stage])
        return _cropped(self.last(scores), image)


def _cropped(x: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    return x[:, :, : like.shape[2], : like.shape[3]]

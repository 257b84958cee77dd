"""Durations, converted once: how many steps a run has and in what portions they are trained."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass

from src.config import Trainer
from src.config.model import FineTuning
from src.errors import UserError


@dataclass(frozen=True)
class Plan:
    """The steps of a run.

    Attributes:
        batch_size: examples a step.
        steps_per_epoch: whole batches in the training set.
        steps: steps in all.
        checkpoint_every: steps between checkpoints, or None.
        explain_every: steps between pictures of what excites the maps, or None.
        fine_tuning: step after which fine-tuning begins, or None.
    """

    batch_size: int
    steps_per_epoch: int
    steps: int
    checkpoint_every: int | None
    explain_every: int | None = None
    fine_tuning: int | None = None

    @classmethod
    def of(cls, trainer: Trainer, examples: int, tuning: FineTuning | None = None) -> Plan:
        """Plans the training on so many examples.

        Args:
            trainer: how long, and in what portions.
            examples: how many there are.
            tuning: when more of the network is trained; None for never.

        Raises:
            UserError: the examples do not fill one batch, or the run ends before it fine-tunes.
        """
        steps_per_epoch = examples // trainer.batch_size
        if not steps_per_epoch:
            raise UserError(
                f"expected trainer.batch_size of at most the {examples} training examples; "
                f"received trainer.batch_size={trainer.batch_size}"
            )
        steps = trainer.steps or trainer.epochs * steps_per_epoch
        fine_tuning = tuning and tuning.after * steps_per_epoch
        if fine_tuning is not None and fine_tuning >= steps:
            raise UserError(
                f"expected trainer.steps beyond the {fine_tuning} of model.fine_tune_after="
                f"{fine_tuning // steps_per_epoch} epochs, to have some to fine-tune in; "
                f"received trainer.steps={steps}"
            )
        return cls(
            trainer.batch_size,
            steps_per_epoch,
            steps,
            trainer.checkpoint_every,
            trainer.explain_every,
            fine_tuning,
        )

    @property
    def epochs(self) -> int:
        """Epochs in all, the last of which may be a part."""
        return math.ceil(self.steps / self.steps_per_epoch)

    def tunes(self, step: int) -> bool:
        """Whether the step that follows on `step` steps fine-tunes."""
        return self.fine_tuning is not None and step >= self.fine_tuning

    def fits(self, step: int = 0) -> Iterator[tuple[int, int]]:
        """The calls of `fit` by first and last step: the rest of an epoch, whole ones, a part.

        None goes on into the fine-tuning.
        """
        if step >= self.steps:
            return
        whole = self.steps_per_epoch
        bounds = {step, min(math.ceil(step / whole) * whole, self.steps)}
        bounds |= {max(step, self.steps // whole * whole), self.steps}
        if self.fine_tuning is not None and self.fine_tuning > step:
            bounds.add(self.fine_tuning)
        ordered = sorted(bounds)
        yield from itertools.pairwise(ordered)

    def steps_per_call(self, most: int, step: int = 0) -> int:
        """The most steps, up to `most`, that end with every call of fit, checkpoint and picture."""
        lengths = [self.checkpoint_every or 0, self.explain_every or 0]
        for first, last in self.fits(step):
            lengths.append(min(last - first, self.steps_per_epoch))
        # With nothing left to train, any number does.
        common = math.gcd(*lengths) or 1
        return max(size for size in range(1, min(most, common) + 1) if common % size == 0)

"""Where a training stands within an epoch, and how it goes on from there."""

from __future__ import annotations

from typing import Any

from lightning.pytorch.utilities.rank_zero import rank_zero_only

from ammrg.errors import CheckpointError
from datamodules.loading import StudyLoader


class TrainingPlace:
    """The place of the training loader in its epoch, kept in checkpoints.

    Lightning would keep the loader's place itself, but asks for the loader's length before it gives the place back, and
    then never does (https://github.com/Lightning-AI/pytorch-lightning/issues/20550). So it is given back here, in
    whichever order the loader and the checkpoint come.
    """

    def __init__(self) -> None:
        self.loader: StudyLoader | None = None
        self.kept: dict[str, Any] | None = None
        """Read from a checkpoint, and not given to a loader yet."""
        self.forced = False
        """Whether a training goes on although its checkpoint stands among other batches."""

    def state(self) -> dict[str, Any]:
        """For a checkpoint; empty before there is a loader."""
        return {} if self.loader is None else {"place": self.loader.state_dict()}

    def restore(self, state: dict[str, Any]) -> None:
        """Take what :meth:`state` gave."""
        self.kept = state.get("place")
        self._go_on()

    def begin(self, loader: StudyLoader) -> None:
        """Take the loader of the training."""
        self.loader = loader
        self._go_on()

    def _go_on(self) -> None:
        if self.loader is None or self.kept is None:
            return
        try:
            self.loader.load_state_dict(self.kept)
        except CheckpointError as error:
            if not self.forced:
                raise
            rank_zero_only(print)(f"warning: --force-resume: the epoch's order begins anew; {error}")
        self.kept = None

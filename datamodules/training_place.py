"""The place of a training run within an epoch, saved in checkpoints and restored on resuming."""

from __future__ import annotations

from typing import Any

from lightning.pytorch.utilities.rank_zero import rank_zero_only

from ammrg.errors import CheckpointError
from datamodules.loading import StudyLoader


class TrainingPlace:
    """The place of the training loader in its epoch, saved in checkpoints.

    Lightning saves the loader's place, but then asks for the loader's length first and never restores the place
    (https://github.com/Lightning-AI/pytorch-lightning/issues/20550). So it is restored here, whether the loader or the
    checkpoint comes first.
    """

    def __init__(self) -> None:
        self.loader: StudyLoader | None = None
        self.kept: dict[str, Any] | None = None
        """The place read from a checkpoint, until the loader takes it."""
        self.forced = False
        """Whether training resumes even from a checkpoint with other batches (``--force-resume``)."""

    def state(self) -> dict[str, Any]:
        """The place, for a checkpoint; empty before there is a loader."""
        return {} if self.loader is None else {"place": self.loader.state_dict()}

    def restore(self, state: dict[str, Any]) -> None:
        """Restore the place that :meth:`state` saved."""
        self.kept = state.get("place")
        self._go_on()

    def begin(self, loader: StudyLoader) -> None:
        """Take the training loader, and restore a place that was read before."""
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
            rank_zero_only(print)(f"warning: --force-resume: the epoch starts again from its first batch; {error}")
        self.kept = None

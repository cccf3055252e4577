"""Ends a training whose loss is not finite, and names the studies of the batch."""

from __future__ import annotations

from pathlib import Path
from typing import NoReturn

from lightning import LightningModule
from torch import Tensor

from ammrg.atomic import write_json
from ammrg.errors import AMMRGError
from ammrg.types import StudyBatch


def stop(module: LightningModule, batch: StudyBatch, logits: Tensor, loss: Tensor) -> NoReturn:
    """Write the study ids of the batch to ``not_finite-RANK.json`` in the run's folder and end the training.

    Args:
        module: the module in training.
        batch: b studies.
        logits: ``[b 14]``.
        loss: a scalar, NaN or infinite.

    Raises:
        AMMRGError: always; the message says where the ids are and what to do.
    """
    broken = (~logits.isfinite()).any(dim=1).tolist()
    facts = {
        "epoch": module.current_epoch,
        "step": module.global_step,
        "loss": str(loss.item()),
        "study_ids": batch.study_ids,
        "of_them_with_logits_that_are_not_finite": [
            study for study, bad in zip(batch.study_ids, broken, strict=True) if bad
        ],
    }
    path = Path(module.trainer.default_root_dir) / f"not_finite-{module.global_rank}.json"
    write_json(path, facts)
    raise AMMRGError(
        f"stage 1: the loss of step {module.global_step} is {loss.item()}, for studies {', '.join(batch.study_ids)} "
        f"(listed in {path}). Check these films, or lower model.lr; the same command resumes from the last "
        "checkpoint."
    )

"""Replay: the association losses see the state patterns of earlier training studies again.

A contrastive loss needs more studies than the language model has room or time for in a step. Stage 1 is frozen, or
nearly so, and its output for a study is small: it is kept for a while, and some kept studies join each step's losses.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from ammrg.networks.recall_targets import RecallTargets
from ammrg.networks.visual_prompt import VisualPrompt

KEPT = 512
"""Studies that are kept at most, the latest ones."""


class KeptStates(NamedTuple):
    """What stage 1 computed for m training studies, without gradient, and what they should recall."""

    queries: Tensor
    """Q_f ``[m 14 q]``."""
    logits: Tensor
    """``[m 14]``."""
    places: Tensor | None
    """``[m 14 5]``; None where stage 1 knows none."""
    targets: RecallTargets

    @classmethod
    def of(cls, shown: VisualPrompt, targets: RecallTargets) -> KeptStates:
        """Keep what was computed for the studies of a batch."""
        places = None if shown.places is None else shown.places.detach()
        return cls(shown.queries.detach(), shown.logits.detach(), places, targets)

    def join(self, later: KeptStates) -> KeptStates:
        """Append the studies of another part."""
        ours, theirs = self.targets, later.targets
        return KeptStates(
            torch.cat([self.queries, later.queries]),
            torch.cat([self.logits, later.logits]),
            None if self.places is None or later.places is None else torch.cat([self.places, later.places]),
            RecallTargets(
                ours.study_ids + theirs.study_ids,
                ours.subject_ids + theirs.subject_ids,
                *(torch.cat(pair) for pair in zip(ours[2:], theirs[2:], strict=True)),
            ),
        )

    def take(self, rows: list[int]) -> KeptStates:
        """Choose some of the studies."""
        ids, subjects, *known = self.targets
        return KeptStates(
            self.queries[rows],
            self.logits[rows],
            None if self.places is None else self.places[rows],
            RecallTargets([ids[row] for row in rows], [subjects[row] for row in rows], *(each[rows] for each in known)),
        )


class StateReplay:
    """Keeps the latest :data:`KEPT` training studies of this process and draws from them.

    Args:
        drawn: studies drawn for a step.
    """

    def __init__(self, drawn: int) -> None:
        self.drawn = drawn
        self.kept: KeptStates | None = None

    def draw(self, step: int, process: int) -> KeptStates | None:
        """Draw studies at random, the same for the same step; None while nothing is kept.

        Args:
            step: number of the optimizer step.
            process: number of the process.
        """
        if self.kept is None:
            return None
        count = len(self.kept.targets.study_ids)
        rows = np.random.default_rng([step, process]).permutation(count)[: self.drawn]
        return self.kept.take(rows.tolist())

    def keep(self, batch: KeptStates) -> None:
        """Keep the studies of a batch; the oldest ones beyond :data:`KEPT` are forgotten."""
        kept = batch if self.kept is None else self.kept.join(batch)
        count = len(kept.targets.study_ids)
        self.kept = kept.take(list(range(count - KEPT, count))) if count > KEPT else kept

    def state_dict(self) -> dict[str, Any]:
        """Return the kept studies for a checkpoint: tensors and ids, no texts."""
        if self.kept is None:
            return {}
        *computed, targets = self.kept
        return {"computed": computed, "targets": list(targets)}

    def load_state_dict(self, state: dict[str, Any], device: torch.device) -> None:
        """Keep the studies of a checkpoint again."""
        if state:
            queries, logits, places = (None if each is None else each.to(device) for each in state["computed"])
            assert queries is not None
            assert logits is not None
            self.kept = KeptStates(queries, logits, places, RecallTargets(*state["targets"]))

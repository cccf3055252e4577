"""The association losses of stage 2: which are on, what each sums over, and their share of a training step."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from torch import Tensor

from ammrg.networks.recall_targets import RecallTargets
from ammrg.networks.report_network import ReportNetwork
from lightning_modules.report_validation import Recall
from lightning_modules.state_replay import StateReplay

ASSOCIATION_LOSSES = {
    "association_loss": ("visual", False),
    "report_association_loss": ("report", False),
    "own_region_loss": ("visual", True),
    "own_report_loss": ("report", True),
}
"""Setting -> the memory, and whether a patient's own patterns are what should be recalled."""


class Replayed(NamedTuple):
    """The losses of earlier studies."""

    loss: Tensor
    """Their weighted sum, a scalar."""
    studies: int
    """Number of the studies."""

    def share(self, studies: int) -> float:
        """Their share of the losses of a step in which this process also sees ``studies`` new ones.

        New studies have the steepest losses. If they counted as much as all earlier ones together, they would make the
        gradient as noisy as if there were no earlier ones.
        """
        return self.studies / (self.studies + studies)


class RecallLosses:
    """The association losses that are on, of the batch and of earlier studies.

    Args:
        weights: setting -> weight; those of :data:`ASSOCIATION_LOSSES` are read.
        replayed_studies: earlier studies that join each step; 0 = none.
    """

    def __init__(self, weights: Mapping[str, float], replayed_studies: int) -> None:
        self.weights = {name: weights[name] for name in ASSOCIATION_LOSSES if weights[name] > 0}
        self.replay = StateReplay(replayed_studies) if self.weights and replayed_studies else None

    def counts(self, network: ReportNetwork, targets: RecallTargets) -> dict[str, int]:
        """Count the queries or studies that each loss averages over."""
        found = {}
        for name in self.weights:
            memory, own = ASSOCIATION_LOSSES[name]
            found[name] = network.memory(memory).associating(targets, own)
        return found

    def means(self, network: ReportNetwork, targets: RecallTargets, states: Tensor) -> dict[str, Tensor]:
        """Compute each loss of b studies, averaged over those that have something to recall.

        Args:
            network: the network.
            targets: of the studies.
            states: their state patterns ``[b 14 q]``.
        """
        found = {}
        for name in self.weights:
            memory, own = ASSOCIATION_LOSSES[name]
            found[name] = network.memory(memory).association_loss(targets, states, own)
        return found

    @property
    def memories(self) -> list[str]:
        """The memories that are taught to recall what is right, not just what is the patient's own."""
        return [memory for name, (memory, own) in ASSOCIATION_LOSSES.items() if name in self.weights and not own]

    def first_recalled(self, network: ReportNetwork, targets: RecallTargets, states: Tensor) -> list[dict[str, Recall]]:
        """Judge what each of b studies recalls first from each of :attr:`memories`.

        Args:
            network: the network.
            targets: of the studies.
            states: their state patterns ``[b 14 q]``.
        """
        studies: list[dict[str, Recall]] = [{} for _ in targets.study_ids]
        for memory in self.memories:
            first = network.memory(memory).first_recalled(targets, states)
            for row, found in enumerate(studies):
                own = first.study == row
                right, chance = first.right[own], first.chance[own]
                found[memory] = Recall(len(right), int(right.sum()), float(chance.sum()))
        return studies

    def replayed(self, network: ReportNetwork, step: int, process: int) -> Replayed | None:
        """Compute the losses of the earlier studies drawn for a step; None where there are none.

        Args:
            network: the network.
            step: number of the optimizer step.
            process: number of the process.
        """
        drawn = None if self.replay is None else self.replay.draw(step, process)
        if drawn is None:
            return None
        states = network.states(drawn.queries, drawn.logits, drawn.places)
        means = self.means(network, drawn.targets, states)
        loss = sum((self.weights[name] * mean for name, mean in means.items()), start=states.new_zeros(()))
        return Replayed(loss, len(drawn.targets.study_ids))

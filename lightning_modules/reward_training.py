"""Reward training: stage 2 goes on from its supervised weights by the rewards of its own samples.

For each study, a group of reports is drawn from the present policy. Each is rewarded beside the study's own training
report; a sample better than the others of its group becomes more probable, a worse one less (GRPO, Shao et al. 2024).
Each sample is used for one step only, so the ratio of new to old probabilities is 1 and nothing is clipped; it is the
distance from the supervised weights that costs.
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from ammrg.errors import CheckpointError, SettingsError
from ammrg.fingerprints import tensors_fingerprint
from ammrg.memory.held_out import HeldOut, Unchecked
from ammrg.metrics.rewards import REWARDS, Reward, check_weights, guard, rewards
from ammrg.networks.evaluating import evaluating
from ammrg.networks.group_policy import group_advantages, kl_estimates
from ammrg.networks.language_model import TargetLosses
from ammrg.networks.report_network import ReportNetwork
from ammrg.networks.stage2_settings import RewardSettings
from ammrg.networks.visual_prompt import SeenFilms, VisualPrompt
from ammrg.ranges import check_ranges
from ammrg.text.abnormal_spans import abnormal_spans
from ammrg.text.places import place_spans
from ammrg.types import StudyBatch
from lightning_modules.stage1_checkpoint import read_checkpoint
from lightning_modules.stage2_identity import check_identity
from lightning_modules.study_losses import TokenMarks, means_by_study, sums_by_study

Item = TypeVar("Item")


def check_reward(settings: Mapping[str, Any]) -> None:
    """Refuse settings of the reward training that are out of range or lack its start.

    Args:
        settings: the arguments of ReportGeneration, by name.

    Raises:
        SettingsError: the message names the first wrong setting.
    """
    start = settings["start_from"]
    if settings["reward"] is None:
        if start is not None:
            raise SettingsError(
                "model.start_from: only reward training starts from a finished stage 2; set model.reward too, or leave "
                "start_from out"
            )
        return
    if not start:
        raise SettingsError(
            "model.reward: reward training starts from a finished stage 2; name its checkpoint as --model.start_from "
            "(RUN/stage2/best.ckpt)"
        )
    found = vars(RewardSettings(**settings["reward"]))
    check_ranges(found, root="model.reward", above_zero=("temperature",), not_negative=("kl",))
    if found["samples"] < 2:
        raise SettingsError(f"model.reward.samples ({found['samples']}) must be at least 2: they are compared")
    if found["weights"] is not None:
        check_weights(found["weights"], "model.reward.weights")


class Samples(NamedTuple):
    """Reports drawn for b studies, s each, study after study."""

    ids: list[list[int]]
    """The tokens of each, with the end token unless it was cut."""
    texts: list[str]


class RewardStep(NamedTuple):
    """What a batch adds to a step: sums over its samples."""

    loss: Tensor
    """Scalar with gradient."""
    numbers: dict[str, Tensor]
    """The numbers that are logged, by name."""
    tokens: int
    """Tokens of all samples."""


class RewardTraining:
    """Draws, rewards and compares samples; keeps the supervised weights.

    Args:
        settings: of the group :class:`RewardSettings`.
    """

    def __init__(self, settings: RewardSettings) -> None:
        self.settings = settings
        weights = dict.fromkeys(REWARDS, 1.0) if settings.weights is None else settings.weights
        self.weights = {name: weight for name, weight in weights.items() if weight > 0}
        self.rewards: dict[str, Reward] = {}
        self.first: dict[str, Tensor] = {}
        """The supervised weights of the trained tensors, by name."""
        self.fingerprint: str | None = None
        """Of the supervised weights; None until they are read."""

    @property
    def names(self) -> list[str]:
        """The numbers that are logged in training, each a mean over samples."""
        own = ("loss", "guard", "kl", "length", "distinct", "compared")
        return [*own, *(f"reward_{name}" for name in self.weights)]

    # --- the supervised weights -------------------------------------------------------------------------------------
    def start(self, network: ReportNetwork, path: str, held_out: HeldOut | Unchecked | None) -> None:
        """Load the weights of a finished stage 2 into the network and keep them.

        Raises:
            CheckpointError: there is no such checkpoint, or it belongs to another stage 1, memory or language model.
            MemoryBankError: see :func:`lightning_modules.stage2_identity.check_identity`.
        """
        try:
            checkpoint = read_checkpoint(path)
            check_identity(checkpoint.get("identity"), network, held_out)
            network.load_trained_state_dict(checkpoint["state_dict"])
        except CheckpointError as error:
            raise CheckpointError(f"model.start_from {path}: {error}") from error
        self.keep(network)

    def keep(self, network: ReportNetwork) -> None:
        """Keep the network's present weights as the supervised ones."""
        self.first = {
            name: parameter.detach().clone()
            for name, parameter in network.named_parameters()
            if parameter.requires_grad
        }
        self.fingerprint = tensors_fingerprint({name: each.cpu() for name, each in self.first.items()})

    def check_start(self, kept: str | None) -> None:
        """Refuse to resume a training that started from other weights.

        Raises:
            CheckpointError: the kept fingerprint is another one.
        """
        if self.fingerprint is not None and kept != self.fingerprint:
            raise CheckpointError(
                f"the reward training started from weights {kept}, but model.start_from now holds {self.fingerprint}; "
                "give back the checkpoint that it started from, or choose another RUN="
            )

    @contextmanager
    def supervised(self, network: ReportNetwork) -> Iterator[None]:
        """Read with the supervised weights."""
        present = {}
        for name, parameter in network.named_parameters():
            if name in self.first:
                present[name] = parameter.data
                parameter.data = self.first[name] = self.first[name].to(parameter.device)
        try:
            yield
        finally:
            for name, parameter in network.named_parameters():
                if name in present:
                    parameter.data = present[name]

    # --- rewards ----------------------------------------------------------------------------------------------------
    def prepare(self, training: Sequence[str]) -> None:
        """Make the rewards; the idf is that of these training reports."""
        self.rewards = rewards(self.weights, training)

    def rewarded(self, texts: Sequence[str], references: Sequence[str]) -> tuple[Tensor, Tensor]:
        """Reward samples.

        Args:
            texts: s samples of each of b studies.
            references: the b true reports.

        Returns:
            (the rewards ``[b s r]``, before the guard; the guard ``[b s]``).
        """
        shape = (len(references), self.settings.samples)
        pairs = list(zip(texts, self.for_each_sample(references), strict=True))
        found = [[reward(*pair) for reward in self.rewards.values()] for pair in pairs]
        return torch.tensor(found).view(*shape, -1), torch.tensor([guard(*pair) for pair in pairs]).view(shape)

    # --- a step -----------------------------------------------------------------------------------------------------
    def draw(self, network: ReportNetwork, shown: VisualPrompt, batch: StudyBatch, epoch: int, step: int) -> Samples:
        """Draw the samples of a batch: the same for the same run's seed, study, epoch and step."""
        count = self.settings.samples
        run = int(os.environ.get("PL_GLOBAL_SEED") or 0)
        places = [(run, epoch, step, zlib.crc32(study.encode()), n) for study in batch.study_ids for n in range(count)]
        ids = network.language_model.sample(
            *self.repeated(shown),
            max_new_tokens=network.max_report_tokens,
            seeds=[int(np.random.SeedSequence(place).generate_state(1)[0]) for place in places],
            temperature=self.settings.temperature,
        )
        return Samples(ids, [network.language_model.text(each) for each in ids])

    def repeated(self, shown: VisualPrompt) -> tuple[list[Tensor], list[str]]:
        """The visual tokens and instructions of each study, once for each of its samples."""
        return self.for_each_sample(shown.tokens), self.for_each_sample(shown.instructions)

    def for_each_sample(self, items: Sequence[Item]) -> list[Item]:
        """Each study's item, once for each of its samples."""
        return [item for item in items for _ in range(self.settings.samples)]

    def losses(self, network: ReportNetwork, shown: VisualPrompt, samples: Samples) -> TargetLosses:
        """Cross entropy of every token of the samples."""
        visual, instructions = self.repeated(shown)
        return network.language_model.sample_losses(
            visual,
            samples.ids,
            instructions,
            temperature=self.settings.temperature,
            emphasis=abnormal_spans,
            places=place_spans,
        )

    def step(
        self, network: ReportNetwork, batch: StudyBatch, seen: SeenFilms, epoch: int, step: int, marks: TokenMarks
    ) -> RewardStep:
        """Draw and reward the samples of a batch, and compute their loss.

        The loss of a sample is ``-A`` times the mean log-probability of its tokens, weighted by their marks, plus
        ``kl`` times the mean over its tokens of :func:`kl_estimates`. Instructions name the predicted findings, as they
        will when reports are written, and nothing is dropped out, so both passes read the policy that wrote.

        Args:
            network: with the present weights.
            batch: b studies.
            seen: stage 1's output for their films.
            epoch: of the training.
            step: optimizer step.
            marks: weights of the tokens.
        """
        unpacked = network.language_model.reading_unpacked
        with undisturbed(network):
            with torch.no_grad():
                with unpacked():
                    samples = self.draw(network, network.prompt(batch, seen=seen), batch, epoch, step)
                with self.supervised(network), unpacked():
                    first = self.losses(network, network.prompt(batch, seen=seen), samples)
            own = self.losses(network, network.prompt(batch, seen=seen), samples)
        count = len(samples.ids)
        found, factor = self.rewarded(samples.texts, batch.reports)
        advantages = group_advantages(found * factor[..., None], torch.tensor([*self.weights.values()]))
        weights = marks(own)
        weighted = sums_by_study(own._replace(values=own.values * weights), count)
        means = weighted / sums_by_study(own._replace(values=weights), count)  # of minus the log-probabilities
        kl = means_by_study(own._replace(values=kl_estimates(-own.values, -first.values)), count)
        policy = advantages.flatten().to(means)
        losses = policy * means + self.settings.kl * kl
        lengths = torch.tensor([float(len(ids)) for ids in samples.ids])
        numbers = {
            "loss": losses.detach().sum(),
            "guard": factor.sum(),
            "kl": kl.detach().sum(),
            "length": lengths.sum(),
            "distinct": torch.tensor(float(len(set(samples.texts)))),
            "compared": (advantages != 0).any(dim=1).sum() * self.settings.samples,
            **{f"reward_{name}": found[..., i].sum() for i, name in enumerate(self.weights)},
        }
        return RewardStep(losses.sum(), {name: each.to(losses) for name, each in numbers.items()}, int(lengths.sum()))


@contextmanager
def undisturbed(network: ReportNetwork) -> Iterator[None]:
    """Read without dropout, but with gradient checkpointing, which transformers does only in training mode."""
    with evaluating(network):
        model = network.language_model.model
        if model.is_activation_checkpointing:
            for module in model.modules():
                module.training = not isinstance(module, nn.Dropout)
        yield

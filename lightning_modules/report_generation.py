"""Stage 2: the Lightning module around :class:`ammrg.networks.report_network.ReportNetwork`.

The file is long because it documents every setting: the command line reads names and defaults from the signature and
help texts from the docstring.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from functools import partial
from typing import Any, Literal

import torch
from lightning.pytorch import LightningModule
from lightning.pytorch.utilities import rank_zero_only
from lightning.pytorch.utilities.types import OptimizerLRSchedulerConfig
from rich.progress import track
from torch import Tensor
from torch.nn.parallel import DistributedDataParallel

from ammrg.errors import SettingsError
from ammrg.findings import POSITIVE
from ammrg.gathering import gather_once
from ammrg.memory import bank_files
from ammrg.memory.held_out import HeldOut, Unchecked
from ammrg.metrics.report_metrics import ClinicalMetric, LanguageMetric
from ammrg.networks.associative_memory import Memories
from ammrg.networks.cross_fit import CrossFit
from ammrg.networks.evaluating import evaluating
from ammrg.networks.film_cache import FilmCache
from ammrg.networks.influence import with_influence
from ammrg.networks.language_model import LanguageModel, TargetLosses
from ammrg.networks.places import place_targets
from ammrg.networks.reading_thresholds import ReadingThresholds
from ammrg.networks.recall_targets import recall_targets
from ammrg.networks.report_network import ReportNetwork
from ammrg.networks.stage2_settings import (
    DecodingSettings,
    LoraSettings,
    NetworkSettings,
    RewardSettings,
    UnfreezeSteps,
)
from ammrg.networks.token_budget import token_budget
from ammrg.networks.trained_parts import PARTS, STAGE1
from ammrg.networks.visual_prompt import SeenFilms, VisualPrompt
from ammrg.operating_points import BALANCED, OperatingCurve
from ammrg.partners import SEED
from ammrg.text.prompts import INSTRUCTION
from ammrg.types import GeneratedReport, StudyBatch
from lightning_modules.cross_fitting import load_cross_fit
from lightning_modules.memory_guard import given
from lightning_modules.optimizers import TrainedPart, adamw_cosine, beginnings_within
from lightning_modules.recall_losses import RecallLosses
from lightning_modules.report_settings import check_same_data, check_settings, frozen_parts
from lightning_modules.report_validation import Judged, Yardstick, loss_numbers, report_numbers
from lightning_modules.reward_training import RewardTraining
from lightning_modules.setting_groups import groups_as_primitives
from lightning_modules.stage1_checkpoint import load_stage1
from lightning_modules.stage2_identity import check_identity, tell_missing_places
from lightning_modules.state_replay import KeptStates
from lightning_modules.step_mean import StepMeans
from lightning_modules.study_losses import TokenMarks, reports_differ, shuffle_hinge, sums_by_study


class ReportGeneration(LightningModule):
    """Writes reports with a frozen quantised LLM from film tokens and two associative memories.

    The best checkpoint is the one with the highest ``val/score``: the mean of clinical micro-F1 over the 13 abnormal
    findings, CIDEr, the F1 of the findings' sides and, for memories with an association loss, the share of right
    recall, each divided by its yardstick on the same validation studies: the score of the best constant report, for the
    sides that of exchanged sides, for recall that of chance.

    Args:
        stage1_checkpoint: stage-1 checkpoint that provides the encoder, the Q-Former and the disease queries.
        regions_memory: path, without suffix, of the region bank that was mined with ``stage1_checkpoint``.
        reports_memory: path, without suffix, of the report bank.
        further_memories: name -> path, without suffix, of the bank of a further memory that the language model reads
            after these two (docs/extending/memory.md); None = none.
        language_model: local folder or hub id of a causal language model (LLM).
        quantization: number format of the LLM's linear layers: ``nf4`` or ``fp4`` (4-bit), ``int8``, or ``none``.
        compute_dtype: dtype of the LLM's arithmetic; None = float32 on a CPU, bfloat16 on a GPU.
        lora: low-rank adapters of the LLM, see :class:`LoraSettings`; None = the LLM is wholly frozen.
        gradient_checkpointing: recompute the LLM's activations in the backward pass, which saves memory but takes time.
        revision: hub revision of the LLM; None = the hub's default.
        network: switches of :class:`ReportNetwork` (streams, retrieval, pooling, markers), see
            :class:`NetworkSettings`; None = its defaults.
        exclude_self: patterns that a study may not recall, in training and after: those that belong to the ``study``
            alone, to its ``patient`` alone, to the patient even if ``shared`` with others, or ``none``; see
            docs/memory.md.
        instruction: text of the user's turn after the film; may contain ``{findings}`` (those above their threshold, in
            words), ``{placed_findings}`` (the same with their sides and levels, if stage 1 knows places) and
            ``{indication}``.
        named_findings: findings that these fields name in training: the ``predicted`` ones, as in validation and
            prediction, or the positive ``labels`` (after PromptMRG, Jin et al. 2024) with the places of the report, so
            that the LLM learns to follow the instruction even where stage 1 is often wrong.
        naming_thresholds: probability above which a finding counts as predicted in ``{findings}``: ``f1``, stage 1's
            own, or ``prevalence``, which names each finding in as large a share of validation studies as have it in
            training.
        max_report_tokens: most LLM tokens of a training report, > 0; longer reports are cut at a sentence end.
        freeze: parts that are not trained, among encoder, qformer, memories, lora and projections; None = encoder and
            qformer.
        unfreeze_at: optimizer step, >= 0, from which a part named in ``freeze`` is trained, with a warm-up of its own;
            ``{lora: 300}`` first trains the projections against the unchanged LLM. None = never. Where the run is too
            short for it, see :func:`lightning_modules.optimizers.beginnings_within`.
        lr: peak learning rate, > 0, of projections and marks.
        lora_lr: peak learning rate of the LoRA adapters, >= 0; None = ``lr``.
        memory_lr: peak learning rate of the memories, >= 0; None = ``lr``.
        qformer_lr: peak learning rate of the Q-Former, >= 0; None = ``lr``.
        encoder_lr: peak learning rate of the encoder, >= 0; None = ``lr``.
        weight_decay: AdamW's weight decay, >= 0, of matrices only.
        warmup_steps: optimizer steps of linear warm-up, >= 0, before the cosine decay; half of the run, if it is
            too short for them.
        final_lr_fraction: learning rate at the last step as a share, in [0, 1], of the peak.
        decoding: how reports are written, see :class:`DecodingSettings`; None = its defaults.
        generate_studies: number of validation studies, over all processes, whose reports are written at each
            validation, the same each time; None = all.
        generate_shuffled: also write these reports from another patient's films, for the gaps of the clinical score and
            of the side.
        abnormal_weight: weight, >= 0, in the training loss of tokens in sentences that affirm an abnormal finding;
            other tokens have weight 1.
        place_weight: weight, >= 0, of words of place in such sentences; None = ``abnormal_weight``.
        shuffle_loss: weight, >= 0, of a hinge loss: with another patient's films the loss should be at least
            ``shuffle_margin`` higher than with the study's own; pairs with the same report are left out. 0 = off.
        shuffle_margin: margin of ``shuffle_loss`` in nats a token, >= 0.
        association_loss: weight, >= 0, of a contrastive loss that teaches each positive finding's query to recall
            regions of its finding in the same place (:class:`ammrg.networks.associative_memory.AssociativeMemory`); 0 =
            off (as published).
        report_association_loss: weight, >= 0, of the same for the report memory: recall reports with mostly the same
            findings on the same sides; 0 = off (as published).
        own_region_loss: weight, >= 0, of a further loss: recall the patient's own regions of the finding among all
            others, so that different films recall different regions; 0 = off (as published).
        own_report_loss: weight, >= 0, of the same for the report memory; 0 = off (as published).
        replayed_studies: number of earlier training studies, in each process, whose state patterns join these four
            losses in each step (:mod:`lightning_modules.state_replay`); 0 = none.
        cross_fit: folder of a cross-fitting (``make stage2 FOLDS=5``): each training film is read by the stage-1
            network that never saw its patient; needs the region bank mined out of fold as ``regions_memory``. None =
            films are read by the network trained on all of them, which may remember them (as published).
        cache_films: MiB of main memory for the outputs of a frozen stage 1 on training films, which are then computed
            once; needs films that do not vary (``data.augment: false``). 0 = off.
        reward: reward training (docs/stage2.md), see :class:`RewardSettings`: samples of the reports are rewarded, in
            place of all losses above; None = off.
        start_from: checkpoint of the finished stage 2 from which reward training starts.
    """

    def __init__(
        self,
        stage1_checkpoint: str,
        regions_memory: str,
        reports_memory: str,
        language_model: str,
        further_memories: dict[str, str] | None = None,
        quantization: Literal["nf4", "fp4", "int8", "none"] = "nf4",
        compute_dtype: Literal["float32", "bfloat16", "float16"] | None = None,
        lora: LoraSettings | None = None,
        gradient_checkpointing: bool = False,
        revision: str | None = None,
        network: NetworkSettings | None = None,
        exclude_self: Literal["study", "patient", "shared", "none"] = "patient",
        instruction: str = INSTRUCTION,
        named_findings: Literal["predicted", "labels"] = "predicted",
        naming_thresholds: Literal["f1", "prevalence"] = "f1",
        max_report_tokens: int = 128,
        freeze: list[str] | None = None,
        unfreeze_at: UnfreezeSteps | None = None,
        lr: float = 1e-3,
        lora_lr: float | None = None,
        memory_lr: float | None = None,
        qformer_lr: float | None = None,
        encoder_lr: float | None = None,
        weight_decay: float = 0.01,
        warmup_steps: int = 50,
        final_lr_fraction: float = 0.01,
        decoding: DecodingSettings | None = None,
        generate_studies: int | None = None,
        generate_shuffled: bool = True,
        abnormal_weight: float = 1.0,
        place_weight: float | None = None,
        shuffle_loss: float = 0.0,
        shuffle_margin: float = 0.2,
        association_loss: float = 0.0,
        report_association_loss: float = 0.0,
        own_region_loss: float = 0.0,
        own_report_loss: float = 0.0,
        replayed_studies: int = 0,
        cross_fit: str | None = None,
        cache_films: int = 0,
        reward: RewardSettings | None = None,
        start_from: str | None = None,
    ) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.hparams.update(groups_as_primitives(ReportGeneration, self.hparams))
        check_settings(self.hparams)
        self.frozen = frozen_parts(self.hparams)
        self.unfreeze_at: dict[str, int] = self.hparams["unfreeze_at"] or {}
        self.film_cache = FilmCache(cache_films) if cache_films else None
        self.recall = RecallLosses(self.hparams, replayed_studies)
        self.replayed_share = 0.0
        """Share of the earlier studies in the association losses of the present step."""
        self.cross_fit: CrossFit | None = None
        self.generator: ReportNetwork | None = None
        self.held_out: HeldOut | Unchecked | None = None
        """The held-out studies that its memories do not contain, or why they were not checked; None before reading."""
        self.memories: Memories = "own"
        """For guards: write reports with another patient's memories, or with one or both silenced."""
        self.operating_point = BALANCED
        """At which reports are written, see :mod:`ammrg.operating_points`; another one needs :attr:`turned_to`."""
        self.turned_to: ReadingThresholds | None = None
        """Its thresholds; None = the network's own."""
        self.abnormal_weight: float = self.hparams["abnormal_weight"]
        given_weight = self.hparams["place_weight"]
        self.place_weight: float = self.abnormal_weight if given_weight is None else given_weight
        self.marks = TokenMarks(self.abnormal_weight, self.place_weight)
        rewarded = self.hparams["reward"]
        self.reward = None if rewarded is None else RewardTraining(RewardSettings(**rewarded))
        self.measures_influence = True
        """Whether predicting measures the influence of what was recalled; guards do without."""
        self.judged: list[tuple[str, Judged]] = []
        self.means = StepMeans(self)
        self.yardstick = Yardstick()

    tokens = 0
    """Report tokens of the last training step."""

    @property
    def shuffles(self) -> bool:
        """Whether training reads the films of other patients."""
        return self.reward is None and self.hparams["shuffle_loss"] > 0

    def setup(self, stage: str) -> None:
        """Ask the data module for partner studies in the splits whose films or memories are exchanged."""
        if hasattr(self.data, "partnered"):
            wanted = {"val": stage in ("fit", "validate"), "train": stage == "fit" and self.shuffles}
            if stage == "predict" and self.memories == "shuffled":
                wanted[self.data.predict_split] = True
            self.data.partnered = {split for split, needed in wanted.items() if needed}

    # --- building ---------------------------------------------------------------------------------------------------
    def configure_model(self) -> None:
        """Load stage 1, the banks and the LLM, and check that they belong together; does so once in each process.

        Raises:
            SettingsError: ``trainer.precision`` would hold trained weights in less than float32.
            CheckpointError: see :func:`load_stage1`, :func:`check_same_data` and :func:`load_cross_fit`.
            MemoryBankError: see :func:`ammrg.memory.bank_files.load`.
        """
        if self.generator is not None:
            return
        settings = self.hparams
        if torch.get_default_dtype() != torch.float32:
            raise SettingsError(
                f"trainer.precision {self.trainer.precision}: trained weights must be float32; use bf16-mixed (the "
                "frozen language model computes in bfloat16 on a GPU either way)"
            )
        stage1 = load_stage1(settings["stage1_checkpoint"], trainable=True)
        self.image_size, self.cam, self.restricted_origin = stage1.image_size, stage1.cam, stage1.restricted
        self.trained_on, self.film_distance = stage1.dataset, stage1.distance
        if self.data is not None and self.trainer.state.fn == "fit" and not self.data.forced:
            check_same_data(stage1, settings["stage1_checkpoint"], self.data.card["fingerprint"])
        self.held_out = given() if self.data is None else self.data.prepared.held_out()
        visual_bank = bank_files.load(
            settings["regions_memory"],
            self.held_out,
            encoder_fingerprint=stage1.fingerprint,
            data_fingerprint=stage1.data_fingerprint,
        )
        tell_missing_places(settings["regions_memory"], visual_bank)
        if settings["cross_fit"] is not None and self.data is not None and self.trainer.state.fn == "fit":
            self.cross_fit = load_cross_fit(settings["cross_fit"], stage1, visual_bank)
        report_bank = bank_files.load(
            settings["reports_memory"], self.held_out, data_fingerprint=stage1.data_fingerprint
        )
        self.generator = ReportNetwork(
            stage1.classifier,
            LanguageModel(
                settings["language_model"],
                quantization=settings["quantization"],
                compute_dtype=settings["compute_dtype"],
                lora=settings["lora"],
                revision=settings["revision"],
                gradient_checkpointing=settings["gradient_checkpointing"],
            ),
            visual_bank,
            report_bank,
            {
                name: bank_files.load(path, self.held_out, data_fingerprint=stage1.data_fingerprint)
                for name, path in (settings["further_memories"] or {}).items()
            },
            exclude_self=settings["exclude_self"],
            instruction=settings["instruction"],
            max_report_tokens=settings["max_report_tokens"],
            freeze=sorted(self.frozen - set(self.unfreeze_at)),
            **(settings["network"] or {}),
        )
        if self.reward is not None and self._trainer is not None and self.trainer.state.fn == "fit":
            self.reward.start(self.generator, settings["start_from"], self.held_out)
        # Every process loads frozen weights from the same files. DDP would broadcast packed 4-bit weights without their
        # quantisation state, and copy all frozen weights into its buckets.
        frozen = [name for name, parameter in self.named_parameters() if not parameter.requires_grad]
        frozen += [name for name, _ in self.named_buffers()]
        DistributedDataParallel._set_params_and_buffers_to_ignore_for_model(self, frozen)

    @property
    def data(self) -> Any:
        """The trainer's data module, or None."""
        return None if self._trainer is None else getattr(self._trainer, "datamodule", None)

    @property
    def network(self) -> ReportNetwork:
        """The stage-2 network, once :meth:`configure_model` has built it."""
        assert self.generator is not None, "configure_model() has not run"
        return self.generator

    # --- training ---------------------------------------------------------------------------------------------------
    def on_train_batch_start(self, batch: StudyBatch, batch_idx: int) -> None:
        """Activate the parts whose ``unfreeze_at`` step is reached."""
        waiting = {part for part, step in self.unfreeze_at.items() if self.global_step < step}
        if waiting != self.network.parts.inactive:
            self.network.activate(set(PARTS) - waiting, inactive_in_graph=self.trainer.world_size > 1)

    def on_after_backward(self) -> None:
        """Drop the gradients of inactive parts.

        Their weights then stay as they are, AdamW collects no moments, and they do not count in the gradient norm.
        """
        parts = self.network.parts
        for part in parts.inactive:
            for parameter in parts.parameters()[part]:
                parameter.grad = None

    def see_training_films(self, batch: StudyBatch) -> SeenFilms:
        """Stage-1 outputs of a batch's films: out of fold with ``cross_fit``, from the cache with ``cache_films``."""

        def see(films: Tensor | slice) -> SeenFilms:
            if self.cross_fit is None:
                return self.network.see(batch.images[films])
            subjects = [batch.subject_ids[study] for study in batch.study_of_view[films].tolist()]
            return self.cross_fit.see(batch.images[films], subjects)

        return see(slice(None)) if self.film_cache is None else self.film_cache(batch, see)

    def training_step(self, batch: StudyBatch, batch_idx: int) -> Tensor:
        """The batch's share of the optimizer step's mean loss, a scalar.

        It is the next-token loss on the report tokens, plus the losses whose weights in the settings are above 0.
        """
        means = self.means
        means.begin(batch, batch_idx, self.terms)
        if self.reward is not None:
            return self.reward_step(batch, self.reward)
        named, placed = self.named_in_training(batch)
        shown = self.network.prompt(batch, seen=self.see_training_films(batch), named=named, placed=placed)
        for name in self.network.retrievals:
            self.network.memory(name).observe(batch, shown.states)
        losses = self.network.target_losses(batch, shown)
        self.tokens = len(losses.values)
        means.log("train/loss", losses.values.sum(), batch, prog_bar=True)
        loss = means.share("weight", (losses.values * self.marks(losses)).sum())
        if self.recall.weights:
            loss = loss + self.recall_loss(batch, batch_idx, shown)
        if self.shuffles:
            total = self.shuffle_loss(batch, losses)
            means.log("train/shuffle_loss", total, batch)
            loss = loss + self.hparams["shuffle_loss"] * means.share("train/shuffle_loss", total)
        return loss

    def reward_step(self, batch: StudyBatch, reward: RewardTraining) -> Tensor:
        """The batch's share of the reward training's loss, a mean over the samples of the step."""
        seen = self.see_training_films(batch)
        found = reward.step(self.network, batch, seen, self.current_epoch, self.global_step, self.marks)
        self.tokens = found.tokens
        for name, total in found.numbers.items():
            self.means.log(f"train/{name}", total, batch, prog_bar=name.startswith("reward"))
        return self.means.share("train/loss", found.loss)

    def terms(self, batch: StudyBatch) -> dict[str, float]:
        """Number of terms that each loss of the batch sums over: report tokens, their weights, studies or queries.

        It reads no pixels.
        """
        if self.reward is not None:
            samples = len(batch.study_ids) * self.reward.settings.samples
            return {f"train/{name}": samples for name in self.reward.names}
        tokens, emphasised, placed = self.network.target_counts(batch.reports)
        weight = tokens + (self.abnormal_weight - 1) * emphasised + (self.place_weight - self.abnormal_weight) * placed
        found = {"train/loss": tokens, "weight": weight}
        if self.shuffles:
            found["train/shuffle_loss"] = sum(reports_differ(batch))
        if self.recall.weights:
            counts = self.recall.counts(self.network, recall_targets(batch))
            found |= {f"train/{name}": count for name, count in counts.items()}
        return found

    def named_in_training(self, batch: StudyBatch) -> tuple[Tensor | None, Tensor | None]:
        """The findings that the instruction names in training, bool ``[b 14]``, and their places, bool ``[b 14 5]``.

        None = the predicted ones. Places are named only if stage 1 knows them, since afterwards it has to.
        """
        if self.hparams["named_findings"] == "predicted":
            return None, None
        knows = self.network.classifier.place_head is not None
        return batch.labels == POSITIVE, place_targets(batch.reports).elements.bool() if knows else None

    def recall_loss(self, batch: StudyBatch, batch_idx: int, shown: VisualPrompt) -> Tensor:
        """The batch's share of the association losses, with those of earlier studies at a step's first batch."""
        recall, network, means = self.recall, self.network, self.means
        targets = recall_targets(batch)
        counts = recall.counts(network, targets)
        loss = shown.states.new_zeros(())
        for name, mean in recall.means(network, targets, shown.states).items():
            means.log(f"train/{name}", mean * counts[name], batch)
            loss = loss + recall.weights[name] * means.share(f"train/{name}", mean * counts[name])
        if recall.replay is None:
            return loss
        first = batch_idx % means.gathered == 0
        replayed = recall.replayed(network, self.global_step, self.global_rank) if first else None
        if first:
            new = sum(len(part.study_ids) for part in batch.step or [batch])
            self.replayed_share = 0.0 if replayed is None else replayed.share(new)
        loss = (1 - self.replayed_share) * loss
        if replayed is not None:  # the Trainer divides by the number of a step's batches; the first carries them all
            loss = loss + self.replayed_share * replayed.loss * means.gathered
        recall.replay.keep(KeptStates.of(shown, targets))
        return loss

    def shuffle_loss(self, batch: StudyBatch, own: TargetLosses) -> Tensor:
        """:func:`lightning_modules.study_losses.shuffle_hinge` of a training batch, a scalar.

        The partner's films may recall neither the partner's own patterns nor those of the study they are shown for.
        """
        partner, exchanged = batch.partner, batch.exchanged()
        assert partner is not None
        seen, (named, placed) = self.see_training_films(partner), self.named_in_training(partner)
        shown = self.network.prompt(exchanged, seen=seen, named=named, placed=placed, hidden_from=partner)
        return shuffle_hinge(batch, own, self.network.target_losses(exchanged, shown), self.hparams["shuffle_margin"])

    def configure_optimizers(self) -> OptimizerLRSchedulerConfig:
        """AdamW with warm-up and cosine decay; each part has its own learning rate and first step."""
        settings = self.hparams
        own = {"memories": "memory_lr", "lora": "lora_lr", "qformer": "qformer_lr", "encoder": "encoder_lr"}
        rates = {part: settings[name] for part, name in own.items() if settings[name] is not None}
        steps = self.trainer.estimated_stepping_batches
        self.unfreeze_at = beginnings_within(self.unfreeze_at, settings["warmup_steps"], steps)
        return adamw_cosine(
            [
                TrainedPart(module, rates.get(part, settings["lr"]) / settings["lr"], self.unfreeze_at.get(part, 0))
                for part, module in self.network.parts.modules.items()
            ],
            settings["lr"],
            settings["weight_decay"],
            settings["warmup_steps"],
            steps,
            settings["final_lr_fraction"],
        )

    # --- validation -------------------------------------------------------------------------------------------------
    @torch.no_grad()
    def name_by_prevalence(self) -> None:
        """Set the naming thresholds by prevalence.

        Each finding is then named in as large a share of validation studies as have it in training. Reads every
        validation film once, shared among the processes.
        """
        network, found = self.network, []
        quiet = not (self.trainer.is_global_zero and self.trainer.progress_bar_callback)
        with evaluating(network):
            for batch in track(self.data.val_dataloader(), "stage 1 on validation", disable=quiet):
                films, owner = (tensor.to(self.device) for tensor in (batch.images, batch.study_of_view))
                logits = network.classifier.study_logits(network.see(films).logits, owner, len(batch.study_ids))
                found += zip(batch.study_ids, logits.float().sigmoid().cpu(), strict=True)
        labels = torch.as_tensor(self.data.training_labels())
        network.name_as_often(torch.stack([*gather_once(found).values()]), (labels == POSITIVE).float().mean(0))

    def on_fit_start(self) -> None:
        """Choose and print how the language model's weights are held, and print how many tokens it reads.

        Sets the naming thresholds if they follow the prevalence.

        Raises:
            SettingsError: ``cache_films`` is on, but films vary or stage 1 is trained.
        """
        model = self.network.language_model
        model.read_packed()
        model.train_unpacked()
        rank_zero_only(print)(f"the language model trains with {model.weight_form}")
        datamodule = self.data
        if self.film_cache is not None and (datamodule.augment or not self.network.parts.frozen >= STAGE1):
            raise SettingsError(
                "model.cache_films stores the outputs of stage 1 for each film, which must not change: it needs "
                "data.augment: false, and encoder and qformer in model.freeze but not in model.unfreeze_at"
            )
        if self.hparams["naming_thresholds"] == "prevalence":
            self.name_by_prevalence()
        if self.reward is not None:
            self.reward.prepare(datamodule.texts("train"))
        budget = token_budget(self.network, datamodule.image_size)
        parts = ", ".join(f"{count} {name}" for name, count in budget.items())
        rank_zero_only(print)(
            f"the language model reads {sum(budget.values())} tokens of a study with one film ({parts}) and writes up "
            f"to {self.hparams['max_report_tokens']}, of the {model.context:,} it can hold"
        )

    def on_validation_epoch_start(self) -> None:
        """Choose the studies whose reports are written: the same in every process and every epoch."""
        wanted, self.writes = self.hparams["generate_studies"], None
        if wanted is not None and self.data is not None:
            studies = self.data.ids("val")[0]
            self.writes = set(random.Random(SEED).sample(studies, min(wanted, len(studies))))

    writes: set[str] | None = None
    """Validation studies whose reports are written; None = all."""

    def validation_step(self, batch: StudyBatch, batch_idx: int) -> None:
        """Collect each study's loss with its own films and with its partner's, and its generated reports."""
        size, exchanged = len(batch.study_ids), batch.exchanged()
        seen, seen_exchanged = self.network.see(batch.images), self.network.see(exchanged.images)
        shown = self.network.prompt(batch, seen=seen)
        own = self.network.target_losses(batch, shown)
        recalled = self.recall.first_recalled(self.network, recall_targets(batch), shown.states)
        other = self.network.target_losses(exchanged, self.network.prompt(exchanged, seen=seen_exchanged))
        tokens = torch.bincount(own.report_of_token, minlength=size).tolist()
        rows = [row for row, study in enumerate(batch.study_ids) if self.writes is None or study in self.writes]
        texts = self.written(batch, seen, rows)
        others = self.written(exchanged, seen_exchanged, rows) if self.hparams["generate_shuffled"] else {}
        for row, (study, *losses) in enumerate(
            zip(
                batch.study_ids,
                sums_by_study(own, size).tolist(),
                sums_by_study(other, size).tolist(),
                tokens,
                strict=True,
            )
        ):
            judged = Judged(*losses, batch.reports[row], texts.get(row), others.get(row), recalled[row])
            self.judged.append((study, judged))

    def written(self, batch: StudyBatch, seen: SeenFilms, rows: list[int]) -> dict[int, str]:
        """Write the reports of these rows (studies) of a batch; returns row -> report."""
        if not rows:
            return {}
        films = torch.isin(batch.study_of_view, torch.tensor(rows, device=batch.study_of_view.device)).nonzero()[:, 0]
        with self.network.language_model.reading_unpacked():
            reports = self.generate(batch.take(rows), seen.take(films.to(seen.logits.device)))
        return {row: report.text for row, report in zip(rows, reports, strict=True)}

    def on_validation_epoch_end(self) -> None:
        """Log losses and scores over the studies of all processes, each study once."""
        judged = list(gather_once(self.judged).values())
        self.judged = []
        if not judged:
            return
        for name, value in loss_numbers(judged).items():
            self.log(f"val/{name}", value, prog_bar=True)
        compared = self.data is not None and not self.trainer.sanity_checking
        yardstick = partial(self.yardstick, self.data.texts) if compared else None
        for name, value in report_numbers(judged, self.hparams["generate_shuffled"], yardstick).items():
            self.log(f"val/{name}", value, prog_bar=name in ("shuffle_gap_f1", "score"))

    # --- test -------------------------------------------------------------------------------------------------------
    def on_test_epoch_start(self) -> None:
        """Build the language and clinical metrics of each of the data module's ``test_splits``."""
        splits = self.trainer.datamodule.test_splits  # type: ignore[attr-defined]
        made = {split: (LanguageMetric(), ClinicalMetric()) for split in splits}
        # Moved here, because a process without any study of a split must gather on the device too.
        self.test_metrics = {split: [metric.to(self.device) for metric in metrics] for split, metrics in made.items()}

    def test_step(self, batch: StudyBatch, batch_idx: int, dataloader_idx: int = 0) -> None:
        """Write the reports of one batch and collect them for the scores."""
        texts = [report.text for report in self.generate(batch)]
        for metric in list(self.test_metrics.values())[dataloader_idx]:
            metric.update(batch.study_ids, batch.reports, texts)

    def on_test_epoch_end(self) -> None:
        """Log the scores of each split over the studies of all processes, each study once: ``test/cider`` and so on."""
        for split, metrics in self.test_metrics.items():
            for metric in metrics:
                self.log_dict({f"{split}/{name}": value for name, value in metric.compute().items()})

    # --- writing ----------------------------------------------------------------------------------------------------
    def generate(self, batch: StudyBatch, seen: SeenFilms | None = None) -> list[GeneratedReport]:
        """Write the reports of one batch with the run's decoding settings."""
        decoding = self.hparams["decoding"] or {}
        return self.network.generate(batch, memories=self.memories, seen=seen, reading=self.turned_to, **decoding)

    @property
    def reading(self) -> ReadingThresholds:
        """The thresholds with which reports are written, ``[14]`` each."""
        return self.network.thresholds if self.turned_to is None else self.turned_to

    def turn_to(self, setting: float, curve: OperatingCurve) -> None:
        """Write reports at an operating point from now on."""
        found, named = (torch.tensor(limits, device=self.network.device) for limits in curve.thresholds(setting))
        self.operating_point, self.turned_to = setting, ReadingThresholds(found, named)

    def on_predict_start(self) -> None:
        """Let the language model write with merged weights, since nothing is trained any more, and say so."""
        model = self.network.language_model
        model.read_unpacked()
        rank_zero_only(print)(f"the language model writes with {model.weight_form}")

    def predict_step(self, batch: StudyBatch, batch_idx: int) -> list[tuple[GeneratedReport, str, str]]:
        """Write the reports of one batch: (report, reference, subject id) of each study."""
        seen = self.network.see(batch.images)
        reports = self.generate(batch, seen)
        if self.measures_influence:
            reports = with_influence(self.network, batch, reports, seen, self.turned_to)
        return list(zip(reports, batch.reports, batch.subject_ids, strict=True))

    # --- checkpoints: what is trained, and what it belongs to ---------------------------------------------------------
    def state_dict(self, *args: Any, **kwargs: Any) -> dict[str, Any]:  # type: ignore[override]
        """The trained tensors only; the LLM, stage 1 and the banks have their own files."""
        return self.network.trained_state_dict()

    def load_state_dict(self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False) -> Any:
        """Load the trained tensors; a missing or unexpected key is an error, whatever ``strict`` is."""
        return self.network.load_trained_state_dict(state_dict)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add the identity of the memories, stage 1 and language model that the trained parts belong to.

        The states of earlier studies are those of the first process.
        """
        checkpoint["identity"] = self.network.identity
        if self.recall.replay is not None:
            checkpoint["replay"] = self.recall.replay.state_dict()
        if self.reward is not None:
            checkpoint["started_from"] = self.reward.fingerprint

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Refuse a checkpoint that belongs to other parts.

        Raises:
            CheckpointError, MemoryBankError: see :func:`lightning_modules.stage2_identity.check_identity`.
        """
        check_identity(checkpoint.get("identity"), self.network, self.held_out)
        if self.recall.replay is not None:
            self.recall.replay.load_state_dict(checkpoint.get("replay", {}), self.network.device)
        if self.reward is not None:
            self.reward.check_start(checkpoint.get("started_from"))

"""Stage 2: the Lightning shell around :class:`ammrg.networks.report_generator.ReportGenerator`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

import torch
from lightning.pytorch import LightningModule
from lightning.pytorch.utilities import rank_zero_only
from lightning.pytorch.utilities.types import OptimizerLRSchedulerConfig
from rich.progress import track
from torch import Tensor
from torch.nn.parallel import DistributedDataParallel

from ammrg.errors import CheckpointError, SettingsError
from ammrg.findings import POSITIVE
from ammrg.gathering import gather_once, weight_of_mean
from ammrg.memory import bank
from ammrg.metrics.clinical import clinical_scores
from ammrg.metrics.guards import best_constant
from ammrg.metrics.language import language_scores
from ammrg.metrics.report_metrics import ClinicalMetric, LanguageMetric
from ammrg.networks.cross_fit import CrossFit
from ammrg.networks.film_cache import FilmCache
from ammrg.networks.language_model import LanguageModel, TargetLosses
from ammrg.networks.report_generator import GeneratedReport, Memories, ReportGenerator, SeenFilms, VisualPrompt
from ammrg.networks.stage2_settings import DecodingSettings, LoraSettings, NetworkSettings, UnfreezeSteps
from ammrg.text.cleaning import normalise
from ammrg.text.labeler import label
from ammrg.text.prompts import INSTRUCTION
from ammrg.types import StudyBatch
from lightning_modules.cross_fitting import load_cross_fit
from lightning_modules.optimizers import TrainedPart, adamw_cosine
from lightning_modules.report_settings import check_settings, frozen_parts
from lightning_modules.setting_groups import primitives, read_groups
from lightning_modules.stage1_checkpoint import Stage1, load_stage1

CLINICAL = "clinical_micro_f1_13_neg"
CONSTANT_FLOOR = 0.1
"""A constant report may score next to nothing clinically; dividing by less than this would let noise choose."""


class Written(NamedTuple):
    """What was written for a validation study."""

    text: str
    reference: str
    shuffled: str | None
    """The text from another study's films; None where none was written."""


class ReportGeneration(LightningModule):
    """Writes reports with a frozen quantised LLM from film tokens and two associative memories.

    The best checkpoint is the one with the highest ``val/score``: the mean of clinical micro-F1 over the 13 abnormal
    findings and CIDEr, each divided by what the best constant report reaches on the same validation studies.

    Args:
        stage1_checkpoint: the stage-1 checkpoint whose encoder, Q-Former and disease queries this stage starts from.
        regions_memory: region bank (path without suffix), mined with that very checkpoint.
        reports_memory: report bank (path without suffix).
        language_model: local folder or hub id of a causal LM.
        quantization: how its linear layers are held; NF4 is 4-bit.
        compute_dtype: dtype of the LLM's arithmetic; None = float32 on a CPU, bfloat16 on a GPU.
        lora: see :class:`LoraSettings`; None for a wholly frozen LLM.
        gradient_checkpointing: see :class:`LanguageModel`.
        revision: hub revision of the LLM.
        network: switches of :class:`ReportGenerator` (streams on or off, retrievals, pooling, markers), see
            :class:`NetworkSettings`.
        exclude_self: whose own patterns a study may not recall, in training and after.
        instruction: the text of the user's turn after the film; may name ``{findings}`` (those above threshold, in
            words) and ``{indication}``.
        named_findings: which findings ``{findings}`` names in training: the ``predicted`` ones, as always elsewhere, or
            those of the ``labels`` (after PromptMRG, Jin et al. 2024), so that the model learns to write what it is
            told even where stage 1 is often wrong.
        naming_thresholds: above which probability a finding counts as predicted there: ``f1``, stage 1's own, or
            ``prevalence``, so that it is named in as many validation studies as have it in training.
        max_report_tokens: longer training reports are cut at a sentence end (counted), in LLM tokens.
        freeze: parts that are not trained, among encoder, qformer, memories, lora and projections.
        unfreeze_at: optimizer step of each part from which it is trained after all, warming up then, though named in
            ``freeze``; ``{lora: 300}`` lets the projections learn to speak to the language model as it is.
        lr: peak learning rate of projections and marks.
        lora_lr, memory_lr, qformer_lr, encoder_lr: of these parts; None = ``lr``.
        weight_decay: AdamW's, on matrices only.
        warmup_steps: optimizer steps of linear warm-up; then a cosine to ``final_lr_fraction`` of the peak.
        decoding: how reports are written, see :class:`DecodingSettings`.
        generate_studies: reports written at each validation; None = for every validation study.
        generate_shuffled: write them from another study's films too, for the clinical shuffle gap.
        abnormal_weight: in the training loss, of tokens of sentences that affirm an abnormal finding; others have 1.
        shuffle_loss: weight of a hinge on the loss with another study's films, which should lie at least
            ``shuffle_margin`` nats a token above that with its own; studies with the same report are left out. 0 = off.
        association_loss: weight of :meth:`ReportGenerator.association_loss` beside the report's; 0 = off, as published.
        cross_fit: folder of a cross-fitting (``make stage2 FOLDS=5``): training films are read by the network of their
            patient's fold, which never saw it; give the regions mined so as ``regions_memory``. None = by the one
            trained on all, which may have learnt them by heart (published).
        cache_films: MiB of main memory for what a frozen stage 1 says of training films, computed once where they do
            not vary (``data.augment: false``); 0 = off.
    """

    def __init__(
        self,
        stage1_checkpoint: str,
        regions_memory: str,
        reports_memory: str,
        language_model: str,
        quantization: Literal["nf4", "fp4", "int8", "none"] = "nf4",
        compute_dtype: Literal["float32", "bfloat16", "float16"] | None = None,
        lora: LoraSettings | None = None,
        gradient_checkpointing: bool = False,
        revision: str | None = None,
        network: NetworkSettings | None = None,
        exclude_self: Literal["study", "patient", "none"] = "patient",
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
        shuffle_loss: float = 0.0,
        shuffle_margin: float = 0.2,
        association_loss: float = 0.0,
        cross_fit: str | None = None,
        cache_films: int = 0,
    ) -> None:
        super().__init__()
        self.save_hyperparameters()
        groups = read_groups(ReportGeneration, self.hparams)
        self.hparams.update({name: primitives(group) for name, group in groups.items()})  # for checkpoints
        check_settings(self.hparams)
        self.frozen = frozen_parts(self.hparams)
        self.unfreeze_at: dict[str, int] = self.hparams["unfreeze_at"] or {}
        self.film_cache = FilmCache(cache_films) if cache_films else None
        self.cross_fit: CrossFit | None = None
        self.generator: ReportGenerator | None = None
        self.memories: Memories = "own"
        """Guard: write reports with another study's memories, or with one or both silenced."""
        self.written: list[tuple[str, Written]] = []

    tokens = 0
    """Report tokens of the last training step."""

    # --- building ---------------------------------------------------------------------------------------------------
    def configure_model(self) -> None:
        """Load stage 1, both banks and the LLM, each checked against the others; called once a process."""
        if self.generator is not None:
            return
        settings = self.hparams
        if torch.get_default_dtype() != torch.float32:
            raise SettingsError(
                f"trainer.precision {self.trainer.precision}: what is trained must be held in float32; take bf16-mixed "
                "(the frozen language model computes in bfloat16 on a GPU either way)"
            )
        stage1 = load_stage1(settings["stage1_checkpoint"])
        self.image_size, self.cam, self.restricted_origin = stage1.image_size, stage1.cam, stage1.restricted
        self.check_data(stage1)
        forbidden = self.evaluation_ids()
        visual_bank = bank.load(
            settings["regions_memory"],
            encoder_fingerprint=stage1.fingerprint,
            data_fingerprint=stage1.data_fingerprint,
            **forbidden,
        )
        if settings["cross_fit"] is not None and self.data is not None and self.trainer.state.fn == "fit":
            self.cross_fit = load_cross_fit(settings["cross_fit"], stage1, visual_bank)
        report_bank = bank.load(settings["reports_memory"], data_fingerprint=stage1.data_fingerprint, **forbidden)
        self.generator = ReportGenerator(
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
            exclude_self=settings["exclude_self"],
            instruction=settings["instruction"],
            max_report_tokens=settings["max_report_tokens"],
            freeze=sorted(self.frozen - set(self.unfreeze_at)),
            **(settings["network"] or {}),
        )
        # Every process loads what is frozen from the same files. DDP would broadcast packed 4-bit weights without their
        # state, and hold all of it in its buckets.
        frozen = [name for name, parameter in self.named_parameters() if not parameter.requires_grad]
        frozen += [name for name, _ in self.named_buffers()]
        DistributedDataParallel._set_params_and_buffers_to_ignore_for_model(self, frozen)

    @property
    def data(self) -> Any:
        """The trainer's data module; None without one."""
        return None if self._trainer is None else getattr(self._trainer, "datamodule", None)

    def check_data(self, stage1: Stage1) -> None:
        """Training goes on from a stage 1 of the same data: of others it may have seen what is now a test study.

        Raises:
            CheckpointError: other data, or a network that is one of several folds', and no ``--force-resume``.
        """
        if self.data is None or self.trainer.state.fn != "fit" or self.data.forced:
            return
        if stage1.fold is not None:
            raise CheckpointError(
                f"model.stage1_checkpoint {self.hparams['stage1_checkpoint']} was trained without a fold; name the one "
                "trained on all (the folds' go into model.cross_fit)"
            )
        found = self.data.card["fingerprint"]
        if stage1.data_fingerprint != found:
            raise CheckpointError(
                f"model.stage1_checkpoint {self.hparams['stage1_checkpoint']} was trained on data "
                f"{stage1.data_fingerprint}, but the prepared data have fingerprint {found}; train stage 1 on them, or "
                "prepare its data again"
            )

    def evaluation_ids(self) -> dict[str, set[str]]:
        """Ids no bank may hold, wherever a data set is at hand to name them."""
        datamodule = self.data
        if datamodule is None:
            return {}
        studies: set[str] = set()
        subjects: set[str] = set()
        for split in ("val", "test"):
            study_ids, subject_ids = datamodule.ids(split)
            studies.update(study_ids)
            subjects.update(subject_ids)
        return {"forbidden_studies": studies, "forbidden_subjects": subjects}

    @property
    def network(self) -> ReportGenerator:
        """The stage-2 network, built."""
        assert self.generator is not None, "configure_model() has not run"
        return self.generator

    # --- training ---------------------------------------------------------------------------------------------------
    def on_train_batch_start(self, batch: StudyBatch, batch_idx: int) -> None:
        """What is not trained yet rests."""
        resting = frozenset(part for part, step in self.unfreeze_at.items() if self.global_step < step)
        if resting != self.network.resting:
            self.network.rest(resting, in_graph=self.trainer.world_size > 1)

    def on_after_backward(self) -> None:
        """A part that rests moves no weight, gathers no moments and takes no share of the gradient's norm."""
        for part, parameters in self.network.part_parameters().items() if self.network.resting else ():
            if part in self.network.resting:
                for parameter in parameters:
                    parameter.grad = None

    def see_training_films(self, batch: StudyBatch) -> SeenFilms:
        """What stage 1 says of a batch's films, out of fold and from the cache where that is asked for."""

        def see(films: Tensor | slice) -> SeenFilms:
            if self.cross_fit is None:
                return self.network.see(batch.images[films])
            subjects = [batch.subject_ids[study] for study in batch.study_of_view[films].tolist()]
            return self.cross_fit.see(batch.images[films], subjects)

        return see(slice(None)) if self.film_cache is None else self.film_cache(batch, see)

    def training_step(self, batch: StudyBatch, batch_idx: int) -> Tensor:
        """Next-token loss on the report tokens of one batch, and what else is asked of the visual tokens."""
        size = len(batch.study_ids)
        seen = self.see_training_films(batch)
        named = batch.labels == POSITIVE if self.hparams["named_findings"] == "labels" else None
        shown = self.network.prompt(batch, seen=seen, named=named)
        losses = self.network.target_losses(batch, shown)
        self.tokens = len(losses.values)
        mean = losses.values.detach().mean() * weight_of_mean(len(losses.values), self.device)
        self.log("train/loss", mean, prog_bar=True, batch_size=size, sync_dist=True)  # of all processes' tokens
        weights = 1 + (self.hparams["abnormal_weight"] - 1) * losses.emphasised.float()
        loss = (losses.values * weights).sum() / weights.sum().clamp(min=1)
        loss = loss * weight_of_mean(weights.sum(), self.device)
        further = {"shuffle_loss": lambda: self.shuffle_loss(batch, shown, losses)}
        further["association_loss"] = lambda: self.network.association_loss(batch, shown.states)
        for name, asked in further.items():
            if self.hparams[name] > 0:
                value = asked()
                self.log(f"train/{name}", value, batch_size=size)
                loss = loss + self.hparams[name] * value
        return loss

    def shuffle_loss(self, batch: StudyBatch, shown: VisualPrompt, own: TargetLosses) -> Tensor:
        """Mean over studies of ``max(0, margin - (loss with the next study's visual tokens - loss with its own))``; 0
        for a batch whose reports are all alike."""
        count = len(batch.study_ids)
        other = shown._replace(
            tokens=[shown.tokens[row - 1] for row in range(count)],
            instructions=[shown.instructions[row - 1] for row in range(count)],
        )
        gaps = _means(self.network.target_losses(batch, other), count) - _means(own, count)
        differ = torch.tensor(
            [batch.reports[row] != batch.reports[row - 1] for row in range(count)], device=gaps.device
        )
        short = (self.hparams["shuffle_margin"] - gaps).clamp(min=0)
        return (short * differ).sum() / differ.sum().clamp(min=1)

    def configure_optimizers(self) -> OptimizerLRSchedulerConfig:
        """AdamW with warm-up and cosine per step; each part has a learning rate, and a first step, of its own."""
        settings = self.hparams
        own = {"memories": "memory_lr", "lora": "lora_lr", "qformer": "qformer_lr", "encoder": "encoder_lr"}
        rates = {part: settings[name] for part, name in own.items() if settings[name] is not None}
        return adamw_cosine(
            [
                TrainedPart(module, rates.get(part, settings["lr"]) / settings["lr"], self.unfreeze_at.get(part, 0))
                for part, module in self.network.part_modules().items()
            ],
            settings["lr"],
            settings["weight_decay"],
            settings["warmup_steps"],
            self.trainer.estimated_stepping_batches,
            settings["final_lr_fraction"],
        )

    # --- validation -------------------------------------------------------------------------------------------------
    @torch.no_grad()
    def name_by_prevalence(self) -> None:
        """Look at all validation films once, all processes together."""
        network, found = self.network, []
        training = network.training
        network.eval()
        quiet = not (self.trainer.is_global_zero and self.trainer.progress_bar_callback)
        for batch in track(self.data.val_dataloader(), "stage 1 on validation", disable=quiet):
            films, owner = (tensor.to(self.device) for tensor in (batch.images, batch.study_of_view))
            logits = network.classifier.study_logits(network.see(films).logits, owner, len(batch.study_ids))
            found += zip(batch.study_ids, logits.float().sigmoid().cpu(), strict=True)
        network.train(training)
        labels = torch.as_tensor(self.data.training_labels())
        network.name_as_often(torch.stack([*gather_once(found).values()]), (labels == POSITIVE).float().mean(0))

    def on_fit_start(self) -> None:
        """Say what the language model reads, choose above what a finding is named to it, and find what the best
        constant report reaches on validation: the yardstick of ``val/score``."""
        datamodule = self.data
        if self.film_cache is not None and (datamodule.augment or not self.network.frozen >= {"encoder", "qformer"}):
            raise SettingsError(
                "model.cache_films keeps what stage 1 says of a film, which must stay the same: it needs data.augment: "
                "false and encoder and qformer in model.freeze, not in model.unfreeze_at"
            )
        if self.hparams["shuffle_loss"] > 0 and datamodule.training_shares[0] < 2:
            raise SettingsError(
                "model.shuffle_loss compares studies of a batch, but a process takes one at a time; raise "
                "data.batch_size or data.micro_batch_size, or set it to 0"
            )
        if self.hparams["naming_thresholds"] == "prevalence":
            self.name_by_prevalence()
        budget = self.network.token_budget(datamodule.image_size)
        parts = ", ".join(f"{count} {name}" for name, count in budget.items())
        rank_zero_only(print)(
            f"the language model reads {sum(budget.values())} tokens of a study with one film ({parts}) and writes up "
            f"to {self.hparams['max_report_tokens']}, of the {self.network.language_model.context:,} it can hold"
        )
        references = datamodule.texts("val")
        constants = best_constant(datamodule.texts("train"), references)
        labels, count = [label(text) for text in references], len(references)
        scores = [
            self.report_scores(references, [text] * count, labels, [label(text)] * count) for text in constants.values()
        ]
        self.yardstick = {key: max(CONSTANT_FLOOR, *(score[key] for score in scores)) for key in ("cider", CLINICAL)}

    @staticmethod
    def report_scores(
        references: list[str], texts: list[str], labels: list[list[float]], said: list[list[float]]
    ) -> dict[str, float]:
        """CIDEr and the clinical score of generated texts against references (whole, lightly normalised), both with
        what the labeler reads in them: ``labels`` of the references, ``said`` of the texts."""
        clinical = clinical_scores(labels, said)
        words = ([normalise(text) for text in column] for column in (references, texts))
        return {"cider": language_scores(*words)["cider"], CLINICAL: clinical[CLINICAL]}

    def validation_step(self, batch: StudyBatch, batch_idx: int) -> None:
        """Loss with the study's own films and with a neighbour's, and its generated reports."""
        size = len(batch.study_ids)
        seen = self.network.see(batch.images)
        losses = self.network.target_losses(batch, self.network.prompt(batch, seen=seen)).values
        # Lightning averages weights over processes in whole numbers: multiples of their count lose nothing.
        loss, tokens = losses.mean(), len(losses) * self.trainer.world_size
        self.log("val/loss", loss, prog_bar=True, batch_size=tokens, sync_dist=True)
        exchanged, films = exchange_films(batch)
        seen_exchanged = seen.take(films)
        if size > 1:
            gap = self.network(exchanged, self.network.prompt(exchanged, seen=seen_exchanged)) - loss
            self.log("val/shuffle_gap", gap, prog_bar=True, batch_size=tokens, sync_dist=True)
        wanted = self.hparams["generate_studies"]
        if wanted is not None and len(self.written) >= wanted:
            return
        own = [report.text for report in self.generate(batch, seen)]
        shuffled: list[Any] = [None] * size
        if self.hparams["generate_shuffled"] and size > 1:
            shuffled = [report.text for report in self.generate(exchanged, seen_exchanged)]
        texts = zip(own, batch.reports, shuffled, strict=True)
        self.written += [(study, Written(*said)) for study, said in zip(batch.study_ids, texts, strict=True)]

    def on_validation_epoch_end(self) -> None:
        """Score the reports of all ranks, each study once."""
        written = [Written(*said) for said in gather_once(self.written).values()]
        self.written = []
        if not written:
            return
        texts, references = [study.text for study in written], [study.reference for study in written]
        labels, said = [label(text) for text in references], [label(text) for text in texts]
        scores = self.report_scores(references, texts, labels, said)
        self.log("val/distinct", len(set(texts)) / len(texts))
        both = [
            (truth, own, label(study.shuffled))
            for study, truth, own in zip(written, labels, said, strict=True)
            if study.shuffled is not None
        ]
        if both:
            truths, own, other = (list(column) for column in zip(*both, strict=True))
            gap = clinical_scores(truths, own)[CLINICAL] - clinical_scores(truths, other)[CLINICAL]
            self.log("val/shuffle_gap_f1", gap, prog_bar=True)
        for name, value in scores.items():
            self.log(f"val/{name}", value)
        if hasattr(self, "yardstick"):
            score = sum(scores[key] / self.yardstick[key] for key in scores) / len(scores)
            self.log("val/score", score, prog_bar=True)

    # --- test -------------------------------------------------------------------------------------------------------
    def on_test_epoch_start(self) -> None:
        """A pair of metrics for each of the data module's ``test_splits``."""
        splits = self.trainer.datamodule.test_splits  # type: ignore[attr-defined]
        self.test_metrics = {split: (LanguageMetric(), ClinicalMetric()) for split in splits}

    def test_step(self, batch: StudyBatch, batch_idx: int, dataloader_idx: int = 0) -> None:
        """Write the reports of one batch."""
        texts = [report.text for report in self.generate(batch)]
        for metric in list(self.test_metrics.values())[dataloader_idx]:
            metric.to(self.device).update(batch.study_ids, batch.reports, texts)

    def on_test_epoch_end(self) -> None:
        """Scores of each split over the studies of all processes, each once: ``test/cider`` and so on."""
        for split, metrics in self.test_metrics.items():
            for metric in metrics:
                self.log_dict({f"{split}/{name}": value for name, value in metric.compute().items()})

    # --- writing ----------------------------------------------------------------------------------------------------
    def generate(self, batch: StudyBatch, seen: SeenFilms | None = None) -> list[GeneratedReport]:
        """The reports of one batch with the run's decoding settings."""
        return self.network.generate(batch, memories=self.memories, seen=seen, **(self.hparams["decoding"] or {}))

    def predict_step(self, batch: StudyBatch, batch_idx: int) -> list[tuple[GeneratedReport, str, str]]:
        """(report, reference, subject id) of each study."""
        return list(zip(self.generate(batch), batch.reports, batch.subject_ids, strict=True))

    # --- checkpoints: what is trained, and what it belongs to ---------------------------------------------------------
    def state_dict(self, *args: Any, **kwargs: Any) -> dict[str, Any]:  # type: ignore[override]
        """Trained tensors only: the LLM, stage 1 and the banks are files of their own."""
        return self.network.trained_state_dict()

    def load_state_dict(self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False) -> Any:
        """Strictly the trained tensors; a missing or unexpected key is an error."""
        return self.network.load_trained_state_dict(state_dict)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Note what the trained parts belong to."""
        checkpoint["identity"] = self.network.identity

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Refuse a checkpoint of another stage, memory, encoder or LLM."""
        kept = checkpoint.get("identity")
        if kept is None:
            raise CheckpointError(
                "this checkpoint is not of stage 2; a stage-1 checkpoint goes into --model.stage1_checkpoint"
            )
        for key, found in self.network.identity.items():
            if kept.get(key) != found and not self.is_edited_since(key, kept.get(key)):
                raise CheckpointError(
                    f"the checkpoint was trained with {key} {kept.get(key)!r}, but {found!r} is loaded: "
                    "give it the memory, stage-1 checkpoint and language model of its own run"
                )

    def is_edited_since(self, memory: str, fingerprint: str | None) -> bool:
        """Whether a memory is the one of that fingerprint with studies withdrawn or taken in since (and says so): a
        trained network goes on with it, a patient who withdraws need not wait for the next training."""
        bank = {"visual_memory": self.network.visual_bank, "report_memory": self.network.report_bank}.get(memory)
        if bank is None or fingerprint is None or not bank.descends_from(fingerprint):
            return False
        edit = bank.meta.edits[-1].what
        rank_zero_only(print)(
            f"{memory} was edited since this checkpoint was trained ({edit}); going on with it as it is"
        )
        return True


def _means(losses: TargetLosses, studies: int) -> Tensor:
    """Each study's mean loss over its tokens ``[b]``."""
    sums = losses.values.new_zeros(studies).index_add(0, losses.report_of_token, losses.values)
    return sums / torch.bincount(losses.report_of_token, minlength=studies)


def exchange_films(batch: StudyBatch) -> tuple[StudyBatch, Tensor]:
    """The same studies, each with the films of the next one of the batch (the last gets the first's); and where each
    film now in the batch stood before, int64 ``[v]``."""
    count = len(batch.study_ids)
    owner = (batch.study_of_view - 1) % count
    order = torch.argsort(owner, stable=True)
    exchanged = batch._replace(
        images=batch.images[order],
        study_of_view=owner[order],
        projections=[batch.projections[i] for i in order.tolist()],
        boxes=[],
    )
    return exchanged, order

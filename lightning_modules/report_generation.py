"""Stage 2: the Lightning shell around :class:`ammrg.networks.report_generator.ReportGenerator`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import torch
from lightning.pytorch import LightningModule
from lightning.pytorch.utilities import rank_zero_only
from lightning.pytorch.utilities.types import OptimizerLRSchedulerConfig
from torch import Tensor
from torch.nn.parallel import DistributedDataParallel

from ammrg.errors import CheckpointError, SettingsError
from ammrg.gathering import gather_once, weight_of_mean
from ammrg.memory import bank
from ammrg.metrics.clinical import clinical_scores
from ammrg.metrics.guards import best_constant
from ammrg.metrics.language import language_scores
from ammrg.networks.language_model import LanguageModel
from ammrg.networks.report_generator import GeneratedReport, Memories, ReportGenerator
from ammrg.text.cleaning import normalise
from ammrg.text.labeler import label
from ammrg.text.prompts import INSTRUCTION
from ammrg.types import StudyBatch
from lightning_modules.optimizers import adamw_cosine
from lightning_modules.stage1_checkpoint import load_stage1

CLINICAL = "clinical_micro_f1_13_neg"
CONSTANT_FLOOR = 0.1
"""A constant report may score next to nothing clinically; dividing by less than this would let noise choose."""


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
        lora: ``{rank, alpha, dropout, targets}``, or None for a wholly frozen LLM.
        revision: hub revision of the LLM.
        network: switches of :class:`ReportGenerator` (streams on or off, Hopfield settings, pooling, markers).
        exclude_self: whose own patterns a training study may not recall.
        instruction: the text of the user's turn after the film.
        max_report_tokens: longer training reports are cut at a sentence end (counted), in LLM tokens.
        lr: peak learning rate of projections, markers and memories.
        lora_lr: peak learning rate of the LoRA weights.
        weight_decay: AdamW's, on matrices only.
        warmup_steps: optimizer steps of linear warm-up; then a cosine to ``final_lr_fraction`` of the peak.
        decoding: ``{max_new_tokens, num_beams, ...}`` for generation.
        generate_studies: reports written at each validation; None = for every validation study.
        association_loss: weight of :meth:`ReportGenerator.association_loss` beside the report's; 0 = off, as published.
    """

    def __init__(
        self,
        stage1_checkpoint: str,
        regions_memory: str,
        reports_memory: str,
        language_model: str,
        quantization: Literal["nf4", "fp4", "int8", "none"] = "nf4",
        compute_dtype: str | None = None,
        lora: dict[str, Any] | None = None,
        revision: str | None = None,
        network: dict[str, Any] | None = None,
        exclude_self: Literal["study", "patient", "none"] = "patient",
        instruction: str = INSTRUCTION,
        max_report_tokens: int = 128,
        lr: float = 1e-3,
        lora_lr: float = 1e-3,
        weight_decay: float = 0.01,
        warmup_steps: int = 50,
        final_lr_fraction: float = 0.01,
        decoding: dict[str, Any] | None = None,
        generate_studies: int | None = None,
        association_loss: float = 0.0,
    ) -> None:
        super().__init__()
        if association_loss < 0:
            raise SettingsError(f"model.association_loss ({association_loss}) is a weight and must not be negative")
        self.save_hyperparameters()
        self.generator: ReportGenerator | None = None
        self.memories: Memories = "own"
        """Guard: write reports with another study's memories, or with one or both silenced."""
        self.written: list[tuple[str, tuple[str, str]]] = []

    tokens = 0
    """Report tokens of the last training step."""

    # --- building ---------------------------------------------------------------------------------------------------
    def configure_model(self) -> None:
        """Load stage 1, both banks and the LLM, each checked against the others; called once a process."""
        if self.generator is not None:
            return
        settings = self.hparams
        stage1 = load_stage1(settings["stage1_checkpoint"])
        self.image_size, self.cam = stage1.image_size, stage1.cam
        forbidden = self.evaluation_ids()
        visual_bank = bank.load(
            settings["regions_memory"],
            encoder_fingerprint=stage1.fingerprint,
            data_fingerprint=stage1.data_fingerprint,
            **forbidden,
        )
        report_bank = bank.load(settings["reports_memory"], data_fingerprint=stage1.data_fingerprint, **forbidden)
        self.generator = ReportGenerator(
            stage1.classifier,
            LanguageModel(
                settings["language_model"],
                quantization=settings["quantization"],
                compute_dtype=settings["compute_dtype"],
                lora=settings["lora"],
                revision=settings["revision"],
            ),
            visual_bank,
            report_bank,
            exclude_self=settings["exclude_self"],
            instruction=settings["instruction"],
            max_report_tokens=settings["max_report_tokens"],
            **(settings["network"] or {}),
        )
        # Every process loads what is frozen from the same files. DDP would broadcast packed 4-bit weights without their
        # state, and hold all of it in its buckets.
        frozen = [name for name, parameter in self.named_parameters() if not parameter.requires_grad]
        frozen += [name for name, _ in self.named_buffers()]
        DistributedDataParallel._set_params_and_buffers_to_ignore_for_model(self, frozen)

    def evaluation_ids(self) -> dict[str, set[str]]:
        """Ids no bank may hold, wherever a data set is at hand to name them."""
        datamodule = getattr(self._trainer, "datamodule", None) if self._trainer is not None else None
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
    def training_step(self, batch: StudyBatch, batch_idx: int) -> Tensor:
        """Next-token loss on the report tokens of one batch, and what is asked of the associations."""
        size, weight = len(batch.study_ids), self.hparams["association_loss"]
        shown = self.network.prompt(batch)
        losses = self.network.target_losses(batch, shown).values
        loss, self.tokens = losses.mean(), len(losses)
        self.log("train/loss", loss, prog_bar=True, batch_size=size)
        loss = loss * weight_of_mean(len(losses), self.device)
        if weight > 0:
            associations = self.network.association_loss(batch, shown.states)
            self.log("train/association_loss", associations, batch_size=size)
            loss = loss + weight * associations
        return loss

    def configure_optimizers(self) -> OptimizerLRSchedulerConfig:
        """AdamW with warm-up and cosine per step; LoRA weights have a learning rate of their own."""
        settings = self.hparams
        return adamw_cosine(
            [(self.network.language_model, settings["lora_lr"] / settings["lr"]), (self.network, 1.0)],
            settings["lr"],
            settings["weight_decay"],
            settings["warmup_steps"],
            self.trainer.estimated_stepping_batches,
            settings["final_lr_fraction"],
        )

    # --- validation -------------------------------------------------------------------------------------------------
    def on_fit_start(self) -> None:
        """What the best constant report reaches on validation: the yardstick of ``val/score``."""
        datamodule = self.trainer.datamodule  # type: ignore[attr-defined]
        references = datamodule.texts("val")
        constants = best_constant(datamodule.texts("train"), references)
        labels = [label(text) for text in references]
        scores = [self.report_scores(references, [text] * len(references), labels) for text in constants.values()]
        self.yardstick = {key: max(CONSTANT_FLOOR, *(score[key] for score in scores)) for key in ("cider", CLINICAL)}

    @staticmethod
    def report_scores(references: list[str], texts: list[str], labels: list[list[float]]) -> dict[str, float]:
        """CIDEr and the clinical score of generated texts against references (whole, lightly normalised)."""
        clinical = clinical_scores(labels, [label(text) for text in texts])
        words = ([normalise(text) for text in column] for column in (references, texts))
        return {"cider": language_scores(*words)["cider"], CLINICAL: clinical[CLINICAL]}

    def validation_step(self, batch: StudyBatch, batch_idx: int) -> None:
        """Loss with the study's own films and with a neighbour's, and its generated reports."""
        size = len(batch.study_ids)
        losses = self.network.target_losses(batch).values
        # Lightning averages weights over processes in whole numbers: multiples of their count lose nothing.
        loss, tokens = losses.mean(), len(losses) * self.trainer.world_size
        self.log("val/loss", loss, prog_bar=True, batch_size=tokens, sync_dist=True)
        if size > 1:
            gap = self.network(exchange_films(batch)) - loss
            self.log("val/shuffle_gap", gap, prog_bar=True, batch_size=tokens, sync_dist=True)
        wanted = self.hparams["generate_studies"]
        if wanted is None or len(self.written) < wanted:
            reports = self.generate(batch)
            self.written += [
                (report.study_id, (report.text, reference))
                for report, reference in zip(reports, batch.reports, strict=True)
            ]

    def on_validation_epoch_end(self) -> None:
        """Score the reports of all ranks, each study once."""
        pairs = list(gather_once(self.written).values())
        self.written = []
        if not pairs:
            return
        texts, references = (list(column) for column in zip(*pairs, strict=True))
        scores = self.report_scores(references, texts, [label(text) for text in references])
        self.log("val/distinct", len(set(texts)) / len(texts))
        for name, value in scores.items():
            self.log(f"val/{name}", value)
        if hasattr(self, "yardstick"):
            score = sum(scores[key] / self.yardstick[key] for key in scores) / len(scores)
            self.log("val/score", score, prog_bar=True)

    # --- writing ----------------------------------------------------------------------------------------------------
    def generate(self, batch: StudyBatch) -> list[GeneratedReport]:
        """The reports of one batch with the run's decoding settings."""
        return self.network.generate(batch, memories=self.memories, **(self.hparams["decoding"] or {}))

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


def exchange_films(batch: StudyBatch) -> StudyBatch:
    """The same studies, each with the films of the next one of the batch (the last gets the first's)."""
    count = len(batch.study_ids)
    owner = (batch.study_of_view - 1) % count
    order = torch.argsort(owner, stable=True)
    return batch._replace(
        images=batch.images[order],
        study_of_view=owner[order],
        projections=[batch.projections[i] for i in order.tolist()],
        boxes=[],
    )

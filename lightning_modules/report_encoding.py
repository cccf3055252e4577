"""Encodes each training report as one vector for the report memory; a module that is never trained."""

from __future__ import annotations

from typing import Literal, NamedTuple

import torch
from lightning.pytorch import LightningModule
from torch import Tensor

from ammrg.networks.text_encoder import TextEncoder
from ammrg.types import StudyBatch


class EncodedReports(NamedTuple):
    """The report patterns of one batch, with the studies and patients they come from."""

    patterns: Tensor
    """float32 ``[b d]`` on the CPU."""
    texts: list[str]
    labels: Tensor
    """float32 ``[b 14]``."""
    study_ids: list[str]
    subject_ids: list[str]


class ReportEncoding(LightningModule):
    """Encodes each study's report with a frozen text encoder.

    Args:
        text_encoder: local folder or hub id of a transformers model (as published: Bio_ClinicalBERT).
        pooling: ``cls`` (the first token, as published) or ``mean`` over the report's tokens.
        max_tokens: most tokens of a report that the encoder reads; longer reports are cut.
    """

    def __init__(self, text_encoder: str, pooling: Literal["cls", "mean"] = "cls", max_tokens: int = 256) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.encoder: TextEncoder | None = None

    def configure_model(self) -> None:
        """Load the encoder, once, on the trainer's device."""
        if self.encoder is None:
            self.encoder = TextEncoder(
                self.hparams["text_encoder"], pooling=self.hparams["pooling"], max_tokens=self.hparams["max_tokens"]
            )

    @property
    def fingerprint(self) -> str:
        """The text encoder's fingerprint, which the bank stores; only banks with equal fingerprints can be merged."""
        assert self.encoder is not None
        return self.encoder.fingerprint

    @torch.inference_mode()
    def predict_step(self, batch: StudyBatch, batch_idx: int) -> EncodedReports:
        """Encode the reports of one batch of studies."""
        assert self.encoder is not None
        patterns = self.encoder.encode(batch.reports).float().cpu()
        return EncodedReports(patterns, batch.reports, batch.labels.cpu(), batch.study_ids, batch.subject_ids)

"""Writes a memory of definitions: for each of the 14 findings, what it looks like on a chest film."""

from __future__ import annotations

from typing import Any

import torch
from lightning.pytorch import LightningModule, Trainer

from ammrg.findings import FINDINGS, NUM_FINDINGS
from ammrg.memory.bank import MemoryBank
from callbacks.memory_writer import NO_BOX, MemoryWriter

DEFINITIONS = {
    "Enlarged Cardiomediastinum": "The middle shadow is wider than normal: heart, great vessels or mediastinum.",
    "Cardiomegaly": "The heart is wider than half of the chest on a frontal film taken in inspiration.",
    "Lung Opacity": "An area of lung is whiter than normal lung, whatever the reason.",
    "Lung Lesion": "A round or lobed shadow with a visible border in the lung: a nodule or a mass.",
    "Edema": "Hazy white near both hila, blurred vessels and thin lines to the pleura: fluid in the lungs.",
    "Consolidation": "Dense white lung that hides the vessels; bronchi with air stay dark within it.",
    "Pneumonia": "A patchy or dense opacity of a lobe or segment that fits an infection.",
    "Atelectasis": "Lung with less air: a band or wedge of white; fissure, diaphragm or hilum is pulled toward it.",
    "Pneumothorax": "Air between lung and chest wall: a thin line, and no vessels beyond it.",
    "Pleural Effusion": "Fluid beside the lung: a blunt costophrenic angle, or a white base with a curved upper edge.",
    "Pleural Other": "Pleura that is thick, scarred or calcified, without free fluid or air.",
    "Fracture": "A break or step in the line of a rib, the clavicle or another bone.",
    "Support Devices": "Bright straight or curved objects from outside: tubes, lines, wires, pacemakers.",
    "No Finding": "Clear lungs, sharp angles and a heart of normal size; nothing abnormal, and no device.",
}
"""Finding -> its definition, in the words of this project."""


class DefinitionWriter(MemoryWriter):
    """Writes the bank ``definitions``: one pattern for each finding, its definition read by the run's text encoder."""

    kind, name = "knowledge", "definitions"

    def on_predict_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Encode the definitions and save the bank, on the first process; what the data predicted is not used."""
        if not trainer.is_global_zero:
            return
        encoder: Any = pl_module.encoder
        texts = tuple(DEFINITIONS[finding] for finding in FINDINGS)
        nobody = ((),) * NUM_FINDINGS
        bank = MemoryBank(
            patterns=encoder.encode(list(texts)).float().cpu(),
            study_ids=nobody,
            subject_ids=nobody,
            findings=torch.arange(NUM_FINDINGS),
            boxes=torch.tensor([NO_BOX] * NUM_FINDINGS),
            views=torch.full((NUM_FINDINGS,), -1),
            texts=texts,
            scores=torch.ones(NUM_FINDINGS),
            meta=self.meta(trainer, pl_module, "all"),
        )
        self.write(trainer, bank, "a definition for each finding")

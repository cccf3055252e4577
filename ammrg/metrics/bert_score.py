"""BERTScore (Zhang et al. 2020) through torchmetrics, one pair at a time.

Torchmetrics 1.9 sorts a batch by length and does not restore the order, so the scores of a batch belong to the wrong
pairs. A single pair has only one order. (Batches can be scored at once when
https://github.com/Lightning-AI/torchmetrics/issues/2728 is closed and a test of many pairs agrees.)
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ammrg.errors import ScoringError
from ammrg.fingerprints import tensors_fingerprint

PARTS = ("precision", "recall", "f1")


class BertScorer:
    """BERTScore with one encoder.

    Args:
        encoder: a local folder or hub id of a BERT-like encoder (``distilroberta-base``).
        layer: the layer whose hidden states are compared, from 1; None: the last.

    Raises:
        ScoringError: if there is no such encoder or layer, or the encoder's weights are incomplete.
    """

    def __init__(self, encoder: str, layer: int | None = None) -> None:
        from transformers import AutoModel, AutoTokenizer

        try:
            self.tokenizer: Any = AutoTokenizer.from_pretrained(encoder)
            model, report = AutoModel.from_pretrained(encoder, output_loading_info=True, ignore_mismatched_sizes=True)
        except (OSError, ValueError) as error:
            raise ScoringError(f"BERTScore: no encoder {encoder!r} ({error}); name a folder or a hub id.") from error
        random = {*report["missing_keys"], *(name for name, *_ in report["mismatched_keys"])}
        random = {name for name in random if "pooler" not in name}  # the pooler is not used
        if random:
            raise ScoringError(
                f"BERTScore: {len(random)} weights of {encoder!r} are missing or have another shape, the first is "
                f"{min(random)}; they would be random. Copy the whole model."
            )
        self.model: Any = model.eval()
        layers = self.model.config.num_hidden_layers
        if layer is not None and not 1 <= layer <= layers:
            raise ScoringError(f"BERTScore: layer {layer} of {encoder!r}, which has layers 1 to {layers}.")
        self.layer = layer
        weights = tensors_fingerprint(self.model.state_dict())[:8]
        folder = encoder.rstrip("/").rpartition("/")[2]
        self.name = f"BERTScore ({folder} {weights}, layer {layer or layers}, not rescaled)"

    def per_study(self, references: Sequence[str], hypotheses: Sequence[str]) -> dict[str, NDArray[np.float64]]:
        """``bertscore_{precision,recall,f1}`` -> ``[n]``, in [-1, 1]; 0 if a text is empty.

        Equal pairs are compared once.
        """
        from rich.console import Console
        from rich.progress import track
        from torchmetrics.functional.text.bert import bert_score

        logging.getLogger("transformers.tokenization_utils_base").setLevel(logging.ERROR)
        pairs = list(zip(references, hypotheses, strict=True))
        known: dict[tuple[str, str], list[float]] = {}
        for reference, hypothesis in track(
            dict.fromkeys(pairs), description="BERTScore", transient=True, console=Console(stderr=True)
        ):
            found = [0.0] * len(PARTS)
            if reference.strip() and hypothesis.strip():
                scores: dict[str, Any] = bert_score(
                    [hypothesis],
                    [reference],
                    model=self.model,
                    user_tokenizer=self.tokenizer,
                    num_layers=self.layer,
                    truncation=True,
                    max_length=min(512, self.model.config.max_position_embeddings - 2),
                )
                found = [float(scores[part]) for part in PARTS]
            known[reference, hypothesis] = found
        table = np.array([known[pair] for pair in pairs])
        return {f"bertscore_{part}": table[:, i] for i, part in enumerate(PARTS)}

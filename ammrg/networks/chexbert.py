"""CheXbert (Smit et al. 2020): a BERT that labels reports, loaded from the published weights.

A linear head for each finding reads the [CLS] state. Its classes are blank, positive, negative and uncertain; for "No
Finding", blank and positive. Findings are in the order of :data:`ammrg.findings.FINDINGS`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import Tensor, nn

from ammrg.errors import CheckpointError
from ammrg.findings import BLANK, FINDINGS, NEGATIVE, NO_FINDING, POSITIVE, UNCERTAIN
from ammrg.text.blank import is_blank
from ammrg.text.labelers import Labeler

if TYPE_CHECKING:
    from transformers import BertConfig

CLASSES = (BLANK, POSITIVE, NEGATIVE, UNCERTAIN)
"""The meaning of a head's outputs."""
WEIGHTS = "chexbert.pth"
HUB_BERT = "google-bert/bert-base-uncased"
"""Hub id of the configuration and vocabulary, where the weights come from the hub."""
LONGEST = 512
"""Most tokens of a report; longer ones are cut, as published."""
BATCH = 32


class CheXbert(nn.Module):
    """The network, with the parameter names of the published weights."""

    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        from transformers import BertModel

        self.bert = BertModel(config)
        outputs = [2 if i == NO_FINDING else len(CLASSES) for i in range(len(FINDINGS))]
        self.linear_heads = nn.ModuleList(nn.Linear(config.hidden_size, size) for size in outputs)

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Classify reports: tokens ``[b n]`` -> class of each finding, int64 ``[b 14]``, an index into CLASSES."""
        state = self.bert(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state[:, 0]
        return torch.stack([head(state).argmax(dim=1) for head in self.linear_heads], dim=1)


def load_chexbert(location: str, device: str | torch.device | None = None) -> Labeler:
    """Load CheXbert as a labeler.

    Args:
        location: a folder with ``chexbert.pth`` and BERT's ``config.json`` and vocabulary (``vocab.txt`` or
            ``tokenizer.json``); or a hub repository with ``chexbert.pth`` (``StanfordAIMI/RRG_scorers``): BERT's files
            then come from ``google-bert/bert-base-uncased``.
        device: None uses a GPU where there is one.

    Raises:
        CheckpointError: files are missing, or the weights are not CheXbert's.
    """
    from transformers import AutoTokenizer, BertConfig

    weights, bert = _files(location)
    try:
        config, tokenizer = BertConfig.from_pretrained(bert), AutoTokenizer.from_pretrained(bert)
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{bert}: BERT's configuration or vocabulary cannot be read ({error})") from error
    network = CheXbert(config)
    _load_weights(network, weights)
    chosen = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
    network = network.to(chosen).eval()
    fingerprint = hashlib.sha256(weights.read_bytes()).hexdigest()[:8]
    return Labeler(f"CheXbert ({fingerprint})", lambda texts: _label_all(network, tokenizer, texts, chosen))


def _files(location: str) -> tuple[Path, str]:
    """Return the path of the weights, and the folder or hub id of BERT's configuration and vocabulary."""
    folder = Path(location)
    if folder.is_dir():
        for name, origin in ((WEIGHTS, "CheXbert's published weights"), ("config.json", f"{HUB_BERT}'s files")):
            if not (folder / name).is_file():
                raise CheckpointError(f"{folder}: no {name}; put {origin} there")
        return folder / WEIGHTS, str(folder)
    from huggingface_hub import hf_hub_download

    try:
        return Path(hf_hub_download(location, WEIGHTS)), HUB_BERT
    except Exception as error:  # the hub's client raises many types, also for an invalid name
        raise CheckpointError(
            f"{location}: neither a folder here nor a repository with {WEIGHTS} on the hub ({type(error).__name__}); "
            "download the weights elsewhere and name their folder"
        ) from error


def _load_weights(network: CheXbert, path: Path) -> None:
    try:
        kept = torch.load(path, weights_only=True, map_location="cpu")
        state = {name.removeprefix("module."): value for name, value in kept["model_state_dict"].items()}
    except Exception as error:  # torch raises many types for a broken file
        raise CheckpointError(
            f"{path}: not CheXbert's weights ({type(error).__name__}: no 'model_state_dict' of plain tensors)"
        ) from error
    # Older releases of transformers saved this table with the weights.
    state.pop("bert.embeddings.position_ids", None)
    try:
        network.load_state_dict(state)
    except RuntimeError as error:
        reason = " ".join(str(error).split())[:300]
        raise CheckpointError(f"{path}: does not fit CheXbert with this configuration of BERT: {reason} ...") from error


@torch.inference_mode()
def _label_all(network: CheXbert, tokenizer: Any, texts: Sequence[str], device: torch.device) -> list[list[float]]:
    """Label texts; a text without content is unlabelled (all blank), as with the rule-based labeler."""
    from rich.console import Console
    from rich.progress import track

    labels = [[BLANK] * len(FINDINGS) for _ in texts]
    # Texts of similar length share a batch, for little padding. The longest come first: a lack of memory shows at once.
    order = sorted((i for i, text in enumerate(texts) if not is_blank(text)), key=lambda i: -len(texts[i]))
    starts = range(0, len(order), BATCH)
    shown = track(starts, description="CheXbert", transient=True, console=Console(stderr=True), disable=len(starts) < 4)
    for start in shown:
        rows = order[start : start + BATCH]
        words = [" ".join(texts[i].split()) for i in rows]
        read = tokenizer(words, padding=True, truncation=True, max_length=LONGEST, return_tensors="pt").to(device)
        classes = cast(Tensor, network(read["input_ids"], read["attention_mask"])).tolist()
        for i, found in zip(rows, classes, strict=True):
            labels[i] = [CLASSES[k] for k in found]
    return labels

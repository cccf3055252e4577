"""The weights a training of stage 1 begins with: those of another stage 1, and heads at the prevalence."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from lightning.pytorch.utilities.rank_zero import rank_zero_only
from torch import Tensor

from ammrg.errors import SettingsError
from ammrg.findings import UncertainPolicy
from ammrg.networks.disease_classifier import PerQueryHead, log_odds
from ammrg.networks.finding_loss import prevalence
from lightning_modules.stage1_start import Start, fitting, read_start


def read_first_weights(path: str, config: Mapping[str, Any], own: Mapping[str, Tensor], data: Any) -> Start:
    """Another stage 1 with the weights that fit this one, and a line that says where they come from.

    Args:
        path: of its checkpoint (``model.start_from``).
        config: see :func:`lightning_modules.stage1_start.read_start`.
        own: the state dict of the module that takes them.
        data: the data module of the training to come.

    Raises:
        SettingsError: the training leaves a fold out, whose patients the other network may know; or see ``read_start``.
        CheckpointError: see ``read_start`` and ``fitting``.
    """
    if getattr(data, "fold", None) is not None:
        raise SettingsError(
            f"model.start_from {path}: may have seen the patients of fold {data.fold[0]}, whom this network must "
            "not see; train folds (FOLDS=) of a stage 1 that starts from scratch, or from pretrained parts"
        )
    held_out = getattr(data, "held_out_patients", None)
    start = read_start(path, config, held_out() if held_out else ())
    start = start._replace(weights=fitting(start.weights, own, path))
    size = start.origin["image_size"]
    rank_zero_only(print)(
        f"stage 1 starts from {path} (network {start.origin['network']}, {start.origin['dataset']}, films of "
        f"{size} pixels{'' if size == data.image_size else f', here {data.image_size}'})"
    )
    return start


@torch.no_grad()
def start_heads(
    head: PerQueryHead, token_bias: Tensor | None, labels: Tensor, uncertain: UncertainPolicy, start: Start | None
) -> None:
    """Set the biases of the heads so that they begin at the prevalence of the training studies.

    Args:
        head: of the network; with ``start``, with the weights that were read.
        token_bias: ``[14]``, of the token loss; None without one.
        labels: ``[n 14]`` of the studies to train on.
        uncertain: what -1 is in the loss.
        start: where the weights came from; None = from scratch.
    """
    # A head from elsewhere learnt a prevalence that leaves uncertain labels out; ours is counted alike then.
    share = prevalence(labels, uncertain if start is None else "ignore")
    learnt = None if start is None else start.prevalence.where(start.prevalence.isfinite(), share)
    moved = head.start_at(share, learnt)
    if token_bias is not None:
        brought = start is not None and "token_bias" in start.weights
        token_bias.copy_(token_bias + moved if brought else log_odds(share))

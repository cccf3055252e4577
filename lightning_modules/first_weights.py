"""The first weights of a stage-1 training: those of another stage 1, and heads that predict the prevalence."""

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
    """Read the weights of another stage 1 that fit this one, and print where they come from.

    Args:
        path: the other stage 1's checkpoint (``model.start_from``).
        config: see :func:`lightning_modules.stage1_start.read_start`.
        own: the state dict of the module that takes the weights.
        data: the data module of the training.

    Raises:
        SettingsError: the training leaves a fold out whose patients the other network may have seen; or see
            ``read_start``.
        CheckpointError: see ``read_start`` and ``fitting``.
    """
    if getattr(data, "fold", None) is not None:
        raise SettingsError(
            f"model.start_from {path}: this network may have been trained on patients of fold {data.fold[0]}, whom "
            "a training without that fold must not know; train the folds (FOLDS=) from scratch or from pretrained parts"
        )
    held_out = getattr(data, "held_out_patients", None)
    start = read_start(path, config, held_out() if held_out else ())
    start = start._replace(weights=fitting(start.weights, own, path))
    size = start.origin["image_size"]
    rank_zero_only(print)(
        f"stage 1 starts from {path} (network {start.origin['network']}, trained on {start.origin['dataset']}, films "
        f"of {size} pixels{'' if size == data.image_size else f'; here {data.image_size}'})"
    )
    return start


@torch.no_grad()
def start_heads(
    head: PerQueryHead, token_bias: Tensor | None, labels: Tensor, uncertain: UncertainPolicy, start: Start | None
) -> None:
    """Set the biases of the heads so that their first predictions are the prevalence of the training studies.

    Args:
        head: the network's head; with ``start`` it already has the weights that were read.
        token_bias: bias ``[14]`` of the token loss; None without one.
        labels: ``[n 14]`` of the training studies.
        uncertain: what -1 means in the loss.
        start: the weights that were read; None = training from scratch.
    """
    # The recorded prevalence of another network leaves uncertain labels out, so ours must do the same.
    share = prevalence(labels, uncertain if start is None else "ignore")
    learnt = None if start is None else start.prevalence.where(start.prevalence.isfinite(), share)
    moved = head.start_at(share, learnt)
    if token_bias is not None:
        brought = start is not None and "token_bias" in start.weights
        token_bias.copy_(token_bias + moved if brought else log_odds(share))

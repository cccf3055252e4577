"""Weights of a model folder that the model built from it has no place for."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

TABLES = (
    *("position_ids", "token_type_ids", "inv_freq", "relative_position_index", "relative_coords_table"),
    *("attn_mask", "masked_bias", "num_batches_tracked"),
)
"""Last names of what is no weight: tables that some releases saved and others compute."""
UNUSED = ("pooler", "mask_token")
"""Parts on top of the tokens, or for pretraining: not used here, whether a folder has them or not."""


def left_over(model: Any, unexpected: Collection[str]) -> list[str]:
    """Of the weights that a folder holds and a model does not know, those that belong inside one of its parts: they are
    of a deeper or another network, and the one that was built is not the one that was trained.

    Heads of another task are parts of their own, and may be left over.

    Args:
        model: a ``PreTrainedModel``, as ``from_pretrained`` made it.
        unexpected: the ``unexpected_keys`` of its loading report.
    """
    prefix, base = f"{model.base_model_prefix}.", model.base_model
    parts = {name for whole in (model, base) for name, _ in (*whole.named_children(), *whole.named_parameters())}
    found = []
    for key in unexpected:
        inside = key.removeprefix(prefix).split(".")
        if inside[0] in parts and inside[-1] not in TABLES and not set(inside) & set(UNUSED):
            found.append(key)
    return sorted(found)


def other_network(model: Any, report: Mapping[str, Any]) -> str | None:
    """What a loading report says of weights that are of another network than config.json describes, as a sentence; None
    where all fit.

    Args:
        model: as ``from_pretrained`` made it, with ``ignore_mismatched_sizes``: else it raises without naming one.
        report: its loading report.
    """
    surplus, reshaped = left_over(model, report["unexpected_keys"]), sorted(report["mismatched_keys"], key=str)
    if not surplus and not reshaped:
        return None
    if reshaped:
        name, theirs, ours = reshaped[0]
        found = (
            f"{len(reshaped)} of its weights have another shape, {name} {list(theirs)} where it should be {list(ours)}"
        )
    else:
        more = ", ..." if len(surplus) > 3 else ""
        found = (
            f"{len(surplus)} of its weights have no place in {type(model).__name__} ({', '.join(surplus[:3])}{more})"
        )
    return f"{found}: config.json and weights are of different networks; put the config.json of the weights beside them"

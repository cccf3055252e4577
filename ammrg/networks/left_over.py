"""Weights in a model's folder that do not fit the model that its config.json describes."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

TABLES = (
    *("position_ids", "token_type_ids", "inv_freq", "relative_position_index", "relative_coords_table"),
    *("attn_mask", "masked_bias", "num_batches_tracked"),
)
"""Last parts of the names of tables that some releases save and others compute: they are not weights."""
UNUSED = ("pooler", "mask_token")
"""Parts that follow the tokens or serve pretraining; they are not used here, so a folder may have them or not."""


def left_over(model: Any, unexpected: Collection[str]) -> list[str]:
    """List the unexpected weights that belong inside one of a model's parts.

    They show that the folder's weights were trained in a deeper or another network than the one that was built. Heads
    of another task are separate parts, and may be left over.

    Args:
        model: a ``PreTrainedModel``, as ``from_pretrained`` made it.
        unexpected: the ``unexpected_keys`` of its loading report.

    Returns:
        Their names, sorted.
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
    """Say which weights belong to another network than config.json describes.

    Args:
        model: as ``from_pretrained`` made it with ``ignore_mismatched_sizes`` (without it, loading raises an error that
            names no weight).
        report: its loading report.

    Returns:
        The end of a message; None where all weights fit.
    """
    surplus, reshaped = left_over(model, report["unexpected_keys"]), sorted(report["mismatched_keys"], key=str)
    if not surplus and not reshaped:
        return None
    if reshaped:
        name, theirs, ours = reshaped[0]
        found = f"{len(reshaped)} of its weights have another shape ({name}: {list(theirs)}, expected {list(ours)})"
    else:
        more = ", ..." if len(surplus) > 3 else ""
        found = (
            f"{len(surplus)} of its weights have no place in {type(model).__name__} ({', '.join(surplus[:3])}{more})"
        )
    return f"{found}: config.json and weights belong to different networks; use the config.json of these weights"

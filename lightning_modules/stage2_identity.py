"""Checks that a stage-2 checkpoint belongs to the loaded memories, stage 1 and language model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lightning.pytorch.utilities import rank_zero_only

from ammrg.errors import CheckpointError, MemoryBankError
from ammrg.memory.bank import NO_PLACES, MemoryBank
from ammrg.memory.held_out import HeldOut, Unchecked
from ammrg.networks.report_network import ReportNetwork, is_same_part


def check_identity(
    kept: Mapping[str, Any] | None, network: ReportNetwork, held_out: HeldOut | Unchecked | None
) -> None:
    """Refuse a checkpoint of another stage, memory, stage 1 or language model.

    Args:
        kept: the checkpoint's ``identity``; None if it has none.
        network: the network that takes the checkpoint.
        held_out: the studies its memories were checked against.

    Raises:
        CheckpointError: the checkpoint belongs to other parts; the message names the first.
        MemoryBankError: see :func:`is_edited_since`.
    """
    if kept is None:
        raise CheckpointError(
            "this is not a stage-2 checkpoint; give a stage-1 checkpoint as --model.stage1_checkpoint"
        )
    for key, found in network.identity.items():
        if not is_same_part(kept.get(key), found) and not is_edited_since(key, kept.get(key), network, held_out):
            raise CheckpointError(
                f"the checkpoint was trained with {key} {kept.get(key)!r}, but {found!r} is loaded; "
                "use the memories, stage-1 checkpoint and language model of its own run"
            )


def tell_missing_places(path: str, regions: MemoryBank) -> None:
    """Print it where a memory of regions is of an earlier version, without places."""
    if regions.lacks_places:
        rank_zero_only(print)(f"{path}: {NO_PLACES}")


def is_edited_since(
    memory: str, fingerprint: str | None, network: ReportNetwork, held_out: HeldOut | Unchecked | None
) -> bool:
    """Whether a memory is an edited version of the one with that fingerprint; if so, print it.

    Studies may be withdrawn from a memory or added to it, and a trained network goes on with the edited memory: the
    withdrawal of a patient does not wait for the next training.

    Raises:
        MemoryBankError: the memory was edited, and the added studies cannot be checked.
    """
    bank = {"visual_memory": network.visual_bank, "report_memory": network.report_bank}.get(memory)
    if bank is None or fingerprint is None or not bank.descends_from(fingerprint):
        return False
    if isinstance(held_out, Unchecked):
        raise MemoryBankError(
            f"{memory} was edited after this checkpoint was trained, and cannot be checked ({held_out.why}); "
            "name the prepared data with --data FOLDER"
        )
    edit = bank.meta.edits[-1].what
    rank_zero_only(print)(f"{memory} was edited after this checkpoint was trained ({edit}); the edited one is used")
    return True

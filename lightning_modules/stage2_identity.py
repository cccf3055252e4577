"""Whether a checkpoint of stage 2 belongs to the memories, stage 1 and language model that are loaded."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lightning.pytorch.utilities import rank_zero_only

from ammrg.errors import CheckpointError, MemoryBankError
from ammrg.memory.held_out import HeldOut, Unchecked
from ammrg.networks.report_network import ReportNetwork, is_same_part


def check_identity(
    kept: Mapping[str, Any] | None, network: ReportNetwork, held_out: HeldOut | Unchecked | None
) -> None:
    """Refuse a checkpoint of another stage, memory, stage 1 or language model.

    Args:
        kept: the checkpoint's ``identity``; None where it has none.
        network: as it was built.
        held_out: what its memories were checked against.

    Raises:
        CheckpointError: the checkpoint belongs to other parts; names the first.
        MemoryBankError: see :func:`is_edited_since`.
    """
    if kept is None:
        raise CheckpointError(
            "this checkpoint is not of stage 2; a stage-1 checkpoint goes into --model.stage1_checkpoint"
        )
    for key, found in network.identity.items():
        if not is_same_part(kept.get(key), found) and not is_edited_since(key, kept.get(key), network, held_out):
            raise CheckpointError(
                f"the checkpoint was trained with {key} {kept.get(key)!r}, but {found!r} is loaded: "
                "give it the memory, stage-1 checkpoint and language model of its own run"
            )


def is_edited_since(
    memory: str, fingerprint: str | None, network: ReportNetwork, held_out: HeldOut | Unchecked | None
) -> bool:
    """Whether a memory is the one of that fingerprint, edited since; then say so.

    Studies may be withdrawn from a memory or taken into it, and a trained network goes on with it: a patient who
    withdraws need not wait for the next training.

    Raises:
        MemoryBankError: it was edited, and what came in cannot be checked.
    """
    bank = {"visual_memory": network.visual_bank, "report_memory": network.report_bank}.get(memory)
    if bank is None or fingerprint is None or not bank.descends_from(fingerprint):
        return False
    if isinstance(held_out, Unchecked):
        raise MemoryBankError(
            f"{memory} was edited since this checkpoint was trained, and cannot be checked ({held_out.why}); "
            "name the prepared data with --data FOLDER"
        )
    edit = bank.meta.edits[-1].what
    rank_zero_only(print)(f"{memory} was edited since this checkpoint was trained ({edit}); going on with it as it is")
    return True

"""A folder of cross-fitting as stage 2 takes it: the stage 1 of each fold, and maps into the space of that of all."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from ammrg.atomic import as_new_files, write_json
from ammrg.errors import CheckpointError
from ammrg.fingerprints import tensors_fingerprint
from ammrg.memory.bank import MemoryBank
from ammrg.networks.cross_fit import CrossFit, SpaceMaps
from lightning_modules.stage1_checkpoint import Stage1, load_stage1

CARD, MAPS = "cross_fit.json", "maps.safetensors"
MAKE = "make it with make stage2 FOLDS=5, or python -m experiments crossfit"


def load_folds(paths: Sequence[Path], stage1: Stage1) -> list[Stage1]:
    """The networks of folds 0, 1, ..., each checked to be what its place says.

    Raises:
        CheckpointError: one of another fold, of other data, or of another form than the one of all.
    """
    folds = [load_stage1(path) for path in paths]
    for number, (path, fold) in enumerate(zip(paths, folds, strict=True)):
        if fold.fold != (number, len(paths)):
            trained = "on every fold" if fold.fold is None else "without fold {} of {}".format(*fold.fold)
            raise CheckpointError(
                f"{path}: was trained {trained}, must be without fold {number} of {len(paths)}; remove the folder of "
                "another number of folds and train them anew"
            )
        for what in ("data_fingerprint", "image_size"):
            if getattr(fold, what) != getattr(stage1, what):
                raise CheckpointError(
                    f"{path}: its {what.replace('_', ' ')} is {getattr(fold, what)}, that of the stage 1 of all "
                    f"{getattr(stage1, what)}: train the folds with its settings on its data"
                )
        if fold.classifier.config != stage1.classifier.config:
            raise CheckpointError(
                f"{path}: a network of another form than the stage 1 of all; train it with its settings"
            )
    return folds


def save_cross_fit(
    folder: Path,
    stage1: Stage1,
    folds: Mapping[Path, Stage1],
    maps: Sequence[SpaceMaps],
    memory: str,
    measured: dict[str, Any],
) -> None:
    """Write ``cross_fit.json`` and ``maps.safetensors``; the folds' checkpoints stay where they are in ``folder``.

    Args:
        folder: of the run's cross-fitting.
        stage1: trained on all.
        folds: of each checkpoint within ``folder``, in order.
        maps: of each fold.
        memory: fingerprint of the region memory that was mined so.
        measured: primitives to keep beside.
    """
    tensors = {
        f"fold_{number}.{name}": tensor.contiguous()
        for number, fold in enumerate(maps)
        for name, tensor in fold._asdict().items()
    }
    save_file(tensors, folder / MAPS)
    as_new_files([folder / MAPS])
    card = {
        "encoder_fingerprint": stage1.fingerprint,
        "data_fingerprint": stage1.data_fingerprint,
        "folds": [[str(path.relative_to(folder)), fold.fingerprint] for path, fold in folds.items()],
        "memory": memory,
        "maps": tensors_fingerprint(tensors),
        **measured,
    }
    write_json(folder / CARD, card)


def load_cross_fit(folder: str | Path, stage1: Stage1, memory: MemoryBank) -> CrossFit:
    """Read what :func:`save_cross_fit` wrote, checked against the stage 1 and the region memory in use.

    Raises:
        CheckpointError: no such folder, files missing, broken or changed, or made for another stage 1 or memory.
    """
    folder = Path(folder)
    try:
        card = json.loads((folder / CARD).read_text(encoding="utf-8"))
        named = [(str(name), str(fingerprint)) for name, fingerprint in card["folds"]]
        belongs = {what: str(card[what]) for what in ("encoder_fingerprint", "memory", "maps")}
        tensors = load_file(folder / MAPS)
        maps = [
            SpaceMaps(*(tensors[f"fold_{number}.{space}"] for space in SpaceMaps._fields))
            for number in range(len(named))
        ]
    except FileNotFoundError as error:
        raise CheckpointError(f"model.cross_fit {folder}: {error.filename} is not there; {MAKE}") from None
    except (ValueError, KeyError, TypeError, SafetensorError) as error:
        raise CheckpointError(f"model.cross_fit {folder}: {CARD} or {MAPS} is broken ({error}); {MAKE}") from error
    if belongs["encoder_fingerprint"] != stage1.fingerprint:
        raise CheckpointError(
            f"model.cross_fit {folder}: maps into the space of stage 1 {belongs['encoder_fingerprint']}, but "
            f"{stage1.fingerprint} is in use; {MAKE}"
        )
    if memory.fingerprint != belongs["memory"] and not memory.descends_from(belongs["memory"]):
        raise CheckpointError(
            f"model.cross_fit {folder}: its regions have fingerprint {belongs['memory']}, but model.regions_memory "
            f"{memory.fingerprint}: give the memory mined out of fold (memory/regions_cross_fit of the run)"
        )
    folds = load_folds([folder / name for name, _ in named], stage1)
    changed = [fold.fingerprint for fold in folds] != [fingerprint for _, fingerprint in named]
    if changed or tensors_fingerprint(tensors) != belongs["maps"]:
        raise CheckpointError(f"model.cross_fit {folder}: a checkpoint or the maps were changed since; {MAKE}")
    return CrossFit([fold.classifier for fold in folds], maps)

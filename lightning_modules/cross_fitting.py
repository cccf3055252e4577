"""The folder of a cross-fitting: the stage-1 network of each fold, and maps into the space of the full network.

The full network is the stage 1 that was trained on all folds.
"""

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
    """Load the networks of folds 0, 1, ..., and check each against its number and against the full network.

    Args:
        paths: one checkpoint a fold, in order.
        stage1: the full network.

    Raises:
        CheckpointError: a checkpoint left out another fold, or its data, film size or architecture differ from the
            full network's.
    """
    folds = [load_stage1(path) for path in paths]
    for number, (path, fold) in enumerate(zip(paths, folds, strict=True)):
        if fold.fold != (number, len(paths)):
            trained = "on every fold" if fold.fold is None else "without fold {} of {}".format(*fold.fold)
            raise CheckpointError(
                f"{path}: was trained {trained}, but it must leave out fold {number} of {len(paths)}; remove the "
                "folder of the other number of folds and train the folds again"
            )
        for what in ("data_fingerprint", "image_size"):
            if getattr(fold, what) != getattr(stage1, what):
                raise CheckpointError(
                    f"{path}: its {what.replace('_', ' ')} is {getattr(fold, what)}, but that of the stage 1 trained "
                    f"on all folds is {getattr(stage1, what)}; train the folds with the same settings and data"
                )
        if fold.classifier.config != stage1.classifier.config:
            raise CheckpointError(
                f"{path}: its architecture differs from that of the stage 1 trained on all folds; train the folds "
                "with the same settings"
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
    """Write ``cross_fit.json`` and ``maps.safetensors``; the folds' checkpoints already lie in ``folder``.

    Args:
        folder: the folder of the cross-fitting.
        stage1: the full network.
        folds: checkpoint path within ``folder`` -> network, in the order of the folds.
        maps: the maps of each fold, in the same order.
        memory: fingerprint of the region memory that was mined out of fold.
        measured: further primitives to write into ``cross_fit.json``.
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
    """Read what :func:`save_cross_fit` wrote, and check it against the stage 1 and the region memory in use.

    Args:
        folder: the folder of the cross-fitting.
        stage1: the full network in use.
        memory: the region memory in use.

    Raises:
        CheckpointError: the folder or a file is missing, a file is broken or was changed, or the cross-fitting was
            made for another stage 1 or another memory.
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
        raise CheckpointError(f"model.cross_fit {folder}: {error.filename} is missing; {MAKE}") from None
    except (ValueError, KeyError, TypeError, SafetensorError) as error:
        raise CheckpointError(f"model.cross_fit {folder}: {CARD} or {MAPS} is broken ({error}); {MAKE}") from error
    if belongs["encoder_fingerprint"] != stage1.fingerprint:
        raise CheckpointError(
            f"model.cross_fit {folder}: its maps lead into the space of stage 1 {belongs['encoder_fingerprint']}, but "
            f"stage 1 {stage1.fingerprint} is in use; {MAKE}"
        )
    if memory.fingerprint != belongs["memory"] and not memory.descends_from(belongs["memory"]):
        raise CheckpointError(
            f"model.cross_fit {folder}: its regions have fingerprint {belongs['memory']}, but model.regions_memory "
            f"has {memory.fingerprint}; give the memory mined out of fold (memory/regions_cross_fit of the run)"
        )
    folds = load_folds([folder / name for name, _ in named], stage1)
    changed = [fold.fingerprint for fold in folds] != [fingerprint for _, fingerprint in named]
    if changed or tensors_fingerprint(tensors) != belongs["maps"]:
        raise CheckpointError(
            f"model.cross_fit {folder}: a checkpoint or the maps have changed since it was made; {MAKE}"
        )
    return CrossFit([fold.classifier for fold in folds], maps)

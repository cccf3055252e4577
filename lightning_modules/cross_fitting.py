"""A folder of cross-fitting as stage 2 takes it: the stage 1 of each fold, and maps into the space of that of all."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from ammrg.atomic import write_atomically
from ammrg.errors import CheckpointError
from ammrg.fingerprints import tensors_fingerprint
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
    folder: Path, stage1: Stage1, paths: Sequence[Path], maps: Sequence[SpaceMaps], measured: dict[str, Any]
) -> None:
    """Write ``cross_fit.json`` and ``maps.safetensors``; the folds' checkpoints stay where they are in ``folder``.

    Args:
        folder: of the run's cross-fitting.
        stage1: trained on all.
        paths: of the folds' checkpoints, within ``folder``.
        maps: of each fold.
        measured: primitives to keep beside.
    """
    tensors = {
        f"fold_{number}.{name}": tensor.contiguous()
        for number, fold in enumerate(maps)
        for name, tensor in fold._asdict().items()
    }
    save_file(tensors, folder / MAPS)
    card = {
        "encoder_fingerprint": stage1.fingerprint,
        "data_fingerprint": stage1.data_fingerprint,
        "folds": {str(path.relative_to(folder)): load_stage1(path).fingerprint for path in paths},
        "maps": tensors_fingerprint(tensors),
        **measured,
    }
    write_atomically(folder / CARD, (json.dumps(card, indent=2, sort_keys=True) + "\n").encode())


def load_cross_fit(folder: str | Path, stage1: Stage1) -> CrossFit:
    """Read what :func:`save_cross_fit` wrote, checked against the stage 1 in use.

    Raises:
        CheckpointError: no such folder, files missing or changed, or made for another stage 1.
    """
    folder = Path(folder)
    try:
        card = json.loads((folder / CARD).read_text(encoding="utf-8"))
        tensors = load_file(folder / MAPS)
    except FileNotFoundError as error:
        raise CheckpointError(f"model.cross_fit {folder}: {error.filename} is not there; {MAKE}") from None
    except (ValueError, SafetensorError) as error:
        raise CheckpointError(f"model.cross_fit {folder}: cannot be read ({error}); {MAKE}") from error
    if card["encoder_fingerprint"] != stage1.fingerprint:
        raise CheckpointError(
            f"model.cross_fit {folder}: maps into the space of stage 1 {card['encoder_fingerprint']}, but "
            f"{stage1.fingerprint} is in use; {MAKE}"
        )
    paths = [folder / name for name in card["folds"]]
    folds = load_folds(paths, stage1)
    found = [fold.fingerprint for fold in folds]
    if found != list(card["folds"].values()) or tensors_fingerprint(tensors) != card["maps"]:
        raise CheckpointError(f"model.cross_fit {folder}: a checkpoint or the maps were changed since; {MAKE}")
    maps = [
        SpaceMaps(*(tensors[f"fold_{number}.{name}"] for name in SpaceMaps._fields)) for number in range(len(folds))
    ]
    return CrossFit([fold.classifier for fold in folds], maps)

"""A finished run -> one self-contained Hugging Face-style folder with its model card; on request, to the hub."""

from __future__ import annotations

import json
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ammrg import __version__
from ammrg.errors import CheckpointError
from ammrg.fingerprints import file_fingerprint, json_fingerprint
from experiments.runs.run import Run

if TYPE_CHECKING:
    from ammrg.networks.report_generator import ReportGenerator

VERSIONS = ("torch", "transformers", "peft", "bitsandbytes", "safetensors")


def export(run: Path, out: Path, data: str | None = None, *, let_restricted_data_leave: bool = False) -> Path:
    """Write the folder of a run; see :mod:`ammrg.inference.pretrained`.

    Args:
        run: a finished run with its scores.
        out: new, empty, or an export of this very content.
        data: the prepared data; None takes those of the training.
        let_restricted_data_leave: see :func:`ammrg.inference.pretrained.save`.

    Raises:
        CheckpointError: a run that is not finished or not scored, or whose scores are of another checkpoint.
        DataError: no prepared data there, or others than the run was trained on.
        SettingsError: ``out`` holds something else.
        MemoryBankError: a memory holds a study of the evaluation splits.
    """
    opened = Run(run)
    checkpoint = opened.checkpoint
    meta, scores = _read(opened.reports_meta), _read(opened.scores)
    from ammrg.inference import pretrained  # seconds of imports: what is missing is said before
    from experiments.runs.model_card import model_card

    pretrained.check_place(out)
    said = opened.kept
    kept, settings = said["provenance"], said["hyper_parameters"]
    stage1_scores = _read(opened.stage1_checkpoint.parent / "scores.json")
    written_by, found = meta.get("checkpoint"), file_fingerprint(checkpoint)
    if written_by != found:
        raise CheckpointError(
            f"{opened.reports_meta}: the scored reports are of checkpoint {written_by}, but {checkpoint} is "
            f"{found}; write and score its own first (make scores)"
        )
    data = opened.data_folder(data)
    model = opened.generator(data)
    split = checked_split(model.network, data, opened)
    named = model.network.identity["language_model"]
    in_folder = Path(named["name"]).is_dir()
    manifest = _read(opened.stage2.folder / "manifest.json")
    provenance = {
        "dataset": kept["dataset"],
        "data": kept["data_fingerprint"],
        "checkpoint": found,
        "cross_fitted": settings.get("cross_fit") is not None,
        "stage1": said["identity"]["classifier"],
        "language_model": {
            **named,
            "name": Path(named["name"]).name if in_folder else named["name"],
            "in_folder": in_folder,
        },
        "split": split,
        "scored": {"studies": scores["meta"]["studies"], "split": meta["split"], "inputs": scores["meta"]["inputs"]},
        "precision": manifest.get("precision"),
        "trained_with": manifest.get("versions", {}),
        "versions": {"ammrg": __version__, **{name: metadata.version(name) for name in VERSIONS}},
    }
    restricted = bool(kept["restricted"]) or any(
        bank.meta.restricted for bank in (model.network.visual_bank, model.network.report_bank) if bank is not None
    )
    bare = restricted and not let_restricted_data_leave
    return pretrained.save(
        out,
        model,
        card=model_card(model, scores, stage1_scores, provenance, restricted=restricted, bare=bare),
        provenance=provenance,
        restricted=restricted,
        let_restricted_data_leave=let_restricted_data_leave,
    )


def checked_split(network: ReportGenerator, folder: str, run: Run) -> dict[str, Any]:
    """Check both memories against the validation and test studies and their patients of the prepared data.

    Returns:
        The split's fingerprint (of all these ids, which themselves stay here) and its sizes.

    Raises:
        DataError, MemoryBankError: see :func:`export`.
    """
    from ammrg.memory.bank import check_leaks
    from datamodules.prepared import PreparedFolder

    prepared = PreparedFolder(folder)
    run.check_data(prepared, f"--data {folder}")
    indices = {name: prepared.index(name) for name in ("val", "test") if name in prepared.card["counts"]}
    studies = {name: sorted(index.study_ids) for name, index in indices.items()}
    subjects = {name: sorted(set(index.subject_ids)) for name, index in indices.items()}
    for where, bank in (("region memory", network.visual_bank), ("report memory", network.report_bank)):
        if bank is not None:
            check_leaks(bank, prepared.held_out(), where=where)
    counts = {name: len(ids) for name, ids in studies.items()}
    return {"fingerprint": json_fingerprint([studies, subjects]), **counts}


def _read(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise CheckpointError(f"{path}: not there; finish and score the run first (make scores)")
    value: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return value

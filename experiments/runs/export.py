"""A finished run written as one self-contained folder (Hugging Face layout) with its model card."""

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
    from ammrg.networks.report_network import ReportNetwork

VERSIONS = ("torch", "transformers", "peft", "bitsandbytes", "safetensors")


def export_and_print(run: Path, out: Path, data: str | None = None, *, let_restricted_data_leave: bool = False) -> None:
    """Export a run as :func:`export` does, and print the folder's size and card."""
    from rich.console import Console

    console = Console()
    before = _written(out)
    with console.status("reading the run, writing the export"):
        folder = export(run, out, data, let_restricted_data_leave=let_restricted_data_leave)
    after = _written(folder)
    renewed = sum(before.get(path) != found for path, found in after.items())
    if not before:
        state = ""
    else:
        state = f" is repaired: {renewed} of its files were written again" if renewed else " is up to date"
    size = sum(path.stat().st_size for path in after)
    console.print(f"{folder}{state} ({size / 2**20:,.1f} MiB); its card: {folder / 'README.md'}", soft_wrap=True)


def _written(folder: Path) -> dict[Path, tuple[int, int]]:
    """Each file below a folder with its inode and time of change; empty if there is no such folder."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path: (path.stat().st_ino, path.stat().st_mtime_ns) for path in files}


def push_and_print(folder: Path, repository: str, *, private: bool, let_restricted_data_leave: bool = False) -> None:
    """Put an exported folder on the Hugging Face hub, and print its address.

    Args:
        folder: an export.
        repository: ``ORG/NAME``.
        private: whether a new repository is private.
        let_restricted_data_leave: allow it for a model of restricted data.
    """
    from rich.console import Console

    from ammrg.inference.hub import push_to_hub

    address = push_to_hub(folder, repository, private=private, let_restricted_data_leave=let_restricted_data_leave)
    Console().print(address, soft_wrap=True)


def export(run: Path, out: Path, data: str | None = None, *, let_restricted_data_leave: bool = False) -> Path:
    """Write the folder of a run; :mod:`ammrg.inference.model_folder` describes its files.

    Args:
        run: a finished run with its scores.
        out: a new or empty folder, or an earlier export of the same content.
        data: the prepared data; None takes those that the run was trained on.
        let_restricted_data_leave: see :func:`ammrg.inference.saving.save`.

    Returns:
        ``out``.

    Raises:
        CheckpointError: the run is not finished or not scored, or its scores are of another checkpoint.
        DataError: there are no prepared data there, or the run was trained on others.
        SettingsError: ``out`` holds something else.
        MemoryBankError: a memory holds a study of the evaluation splits.
    """
    opened = Run(run)
    checkpoint = opened.checkpoint
    meta, scores = _read(opened.reports_meta, "make reports"), _read(opened.scores)
    manifest = _read(opened.stage2.folder / "manifest.json")
    from ammrg.inference import saving  # takes seconds to import: missing files are an error before
    from experiments.runs.model_card import model_card

    saving.check_place(out)
    saved = opened.kept
    kept, settings = saved["provenance"], saved["hyper_parameters"]
    stage1_scores = _read(opened.stage1_checkpoint.parent / "scores.json")
    written_by, found = meta.get("checkpoint"), file_fingerprint(checkpoint)
    if written_by != found:
        raise CheckpointError(
            f"{opened.reports_meta}: the scored reports are of checkpoint {written_by}, but {checkpoint} "
            f"is {found}; write and score its own reports first (make scores)"
        )
    data = opened.data_folder(data)
    model = opened.generator(data)
    split = checked_split(model.network, data, opened)
    named = model.network.identity["language_model"]
    in_folder = Path(named["name"]).is_dir()
    provenance = {
        "dataset": kept["dataset"],
        "data": kept["data_fingerprint"],
        "checkpoint": found,
        "cross_fitted": settings.get("cross_fit") is not None,
        "stage1": saved["identity"]["classifier"],
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
    restricted = bool(kept["restricted"]) or any(bank.meta.restricted for bank in model.network.banks.values())
    bare = restricted and not let_restricted_data_leave
    return saving.save(
        out,
        model,
        card=model_card(model, scores, stage1_scores, provenance, restricted=restricted, bare=bare),
        provenance=provenance,
        restricted=restricted,
        let_restricted_data_leave=let_restricted_data_leave,
    )


def checked_split(network: ReportNetwork, folder: str, run: Run) -> dict[str, Any]:
    """Check that no memory holds a validation or test study of the prepared data, or one of their patients.

    Args:
        network: the run's network, with its memories.
        folder: prepared data.
        run: the run that was trained on them.

    Returns:
        The fingerprint of the ids of these studies and patients, and the number of studies per split.

    Raises:
        DataError, MemoryBankError: see :func:`export`.
    """
    from ammrg.memory.bank_checks import check_leaks
    from datamodules.prepared import PreparedFolder

    prepared = PreparedFolder(folder)
    run.check_data(prepared, f"--data {folder}")
    indices = {name: prepared.index(name) for name in ("val", "test") if name in prepared.card["counts"]}
    studies = {name: sorted(index.study_ids) for name, index in indices.items()}
    subjects = {name: sorted(set(index.subject_ids)) for name, index in indices.items()}
    for name, bank in network.banks.items():
        check_leaks(bank, prepared.held_out(), where=f"{name} memory")
    counts = {name: len(ids) for name, ids in studies.items()}
    return {"fingerprint": json_fingerprint([studies, subjects]), **counts}


def _read(path: Path, how: str = "make scores") -> dict[str, Any]:
    if not path.is_file():
        raise CheckpointError(f"{path}: not there; finish and score the run first ({how} RUN=..., or make export)")
    try:
        value: dict[str, Any] = dict(json.loads(path.read_text(encoding="utf-8")))
    except (TypeError, ValueError) as error:
        raise CheckpointError(f"{path}: damaged, not a JSON object; remove it and run {how} again") from error
    return value

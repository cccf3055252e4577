"""Raw data sets prepared: validated Parquet shards, ``card.json`` and two pictures."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from ammrg.atomic import write_atomically
from ammrg.errors import DataError, SettingsError
from ammrg.fingerprints import file_fingerprint
from datamodules.format import CARD
from datamodules.prepared import read_card
from datamodules.shards import write_shards
from datamodules.sources.csv import TABLE
from datamodules.sources.painted import PAINTER
from datamodules.sources.painted import SIDE as PAINTED_SIDE
from datamodules.sources.phantom import SPLIT_SIZES, VERSION, VERSIONS
from datamodules.sources.reading import read_source
from datamodules.sources.source_reading import Section
from experiments.runs.lock import locked
from experiments.runs.settings import differences

DATASETS = sorted(path.stem for path in (Path(__file__).parents[1] / "configs" / "data").glob("*.yaml"))
"""The data sets: those that have a configuration."""
DEFAULT_SIZE = 512
DRAWN_SIZE = {"phantom": 256, "painted": PAINTED_SIDE}
SMALLEST_SIZE, LARGEST_SIZE = 32, 4096
SETTINGS = "prepare.json"
RENEWED = {
    "table_fingerprint": "{raw}/" + TABLE + " has changed since this folder was prepared",
    "raw_fingerprint": "{raw} has been prepared again since this folder was painted from it",
}
"""What it means that the content of the raw data, kept as a fingerprint, is another one."""


def prepare(
    dataset: str,
    raw: Path | None,
    out: Path,
    *,
    size: int | None = None,
    workers: int | None = None,
    section: Section = "findings",
    source: str | None = None,
    seed: int = 0,
    studies: Mapping[str, int] | None = None,
    version: int | None = None,
    max_rejected: float = 0.01,
) -> dict[str, Any]:
    """Prepare one data set, or continue an earlier call that was stopped; a finished folder stays as it is.

    Args:
        dataset: one of :data:`DATASETS`; ``csv`` takes any table, ``r2gen`` any annotation.json.
        raw: folder of the raw data; None for the phantom, which has none.
        out: folder of the shards.
        size: most pixels of a film's shorter side. None: 256 for the phantom and for painted films (which have no other
            size), 512 for all other data sets.
        workers: processes; None takes one per core.
        section: the section of the report that a model learns to write.
        source: the layout to read, if the folder holds several.
        seed: of drawn or painted films, and of a split made here; not negative.
        studies: split -> number of studies, for the phantom only.
        version: version of the phantom, 1 or 2; None takes the newest.
        max_rejected: share of films, from 0 to 1; if more are set aside, the call ends with an error.

    Returns:
        The card.

    Raises:
        SettingsError: a setting is out of range, or differs from those the folder was prepared with; names each.
        DataError: the raw data are missing or break their format, too many films were set aside, the folder holds
            other files or is being prepared by another process, or a file cannot be read or written.
    """
    phantom = dataset == "phantom"
    side = DRAWN_SIZE.get(dataset, DEFAULT_SIZE) if size is None else size
    if not SMALLEST_SIZE <= side <= LARGEST_SIZE:
        raise SettingsError(f"--size {side}: must lie between {SMALLEST_SIZE} and {LARGEST_SIZE} pixels")
    painted = dataset == "painted"
    if painted and side != PAINTED_SIDE:
        raise SettingsError(f"--size {side}: painted films are {PAINTED_SIDE} pixels on a side; leave the option out")
    if seed < 0:
        raise SettingsError(f"--seed {seed}: must not be negative")
    if studies is not None and not phantom:
        raise SettingsError(f"--studies is for the phantom; the number of studies of {dataset} is given")
    if version is not None and not phantom:
        raise SettingsError(f"--version is for the phantom; there is one version of {dataset}")
    drawn_version = VERSION if version is None else version
    if drawn_version not in VERSIONS:
        raise SettingsError(f"--version {version}: the phantom has the versions {' and '.join(map(str, VERSIONS))}")
    counts = dict(studies or SPLIT_SIZES) if phantom else None
    settings: dict[str, Any] = {
        "dataset": dataset,
        "raw": None if phantom or raw is None else str(raw.resolve()),
        "source": source,
        "section": section,
        "size": side,
        "seed": seed,
        "studies": counts,
    }
    if phantom:
        settings["version"] = drawn_version
    if painted:
        # Their raw data are prepared films, which somebody may prepare again in the same folder.
        settings["painter"] = PAINTER
        settings["raw_fingerprint"] = None if raw is None or not raw.is_dir() else read_card(raw)["fingerprint"]
    if dataset == "csv":
        # A table of one's own, which its owner mends and prepares again.
        settings["table_fingerprint"] = file_fingerprint(raw / TABLE) if raw and (raw / TABLE).is_file() else None
    try:
        finished = (out / CARD).exists()
        check_kept(out / SETTINGS, settings, finished)
        if finished:
            print(f"{out} is up to date")
            card = read_card(out)
            draw_pictures(out, card)
            return card
        if not (out / SETTINGS).exists() and out.exists() and any(out.iterdir()):
            raise DataError(f"{out} holds other files; name a new or an empty folder with --out")
        reading = read_source(
            dataset,
            raw,
            source=source,
            section=section,
            seed=seed,
            split_sizes=counts,
            size=side,
            version=drawn_version,
        )
        out.mkdir(parents=True, exist_ok=True)
        with alone(out):
            write_atomically(out / SETTINGS, (json.dumps(settings, indent=2) + "\n").encode())
            card = write_shards(
                reading,
                out,
                dataset=dataset,
                settings={key: value for key, value in settings.items() if key != "raw"},
                size=side,
                section=section,
                workers=workers,
                max_rejected=max_rejected,
            )
            draw_pictures(out, card)
        return card
    except OSError as error:
        raise DataError(
            f"{error.filename or out}: {error.strerror or error}. What is finished in {out} stays; remove the cause "
            "and run the same command again to continue"
        ) from error


def alone(folder: Path) -> AbstractContextManager[None]:
    """Hold a folder for one process.

    Raises:
        DataError: another process holds it; says which. A killed one holds nothing.
    """
    return locked(folder, "prepares data", "wait for it, or stop it first", DataError)


def check_kept(path: Path, settings: Mapping[str, Any], finished: bool) -> None:
    """Compare the settings with those a folder was prepared with.

    Of a finished folder, the raw data and the layout are compared only if they are given. Of an unfinished one, a table
    may have been mended: finished shards of other rows are made again.

    Args:
        path: ``prepare.json`` of the folder; if it does not exist, there is nothing to compare.
        settings: the settings of this call.
        finished: whether the folder is finished.

    Raises:
        SettingsError: names every setting that differs, and says if the raw data have changed.
        DataError: ``prepare.json`` cannot be read.
    """
    if not path.exists():
        return
    try:
        kept = dict(json.loads(path.read_text(encoding="utf-8")))
    except (ValueError, TypeError) as error:
        raise DataError(f"{path}: cannot be read as settings: {error}; prepare into another folder") from error
    requested = dict(settings)
    if "version" in requested:
        kept.setdefault("version", 1)  # folders of before there were versions
    for key in ("raw", "source", "raw_fingerprint", "table_fingerprint"):
        if finished and key in requested and requested[key] is None:
            requested[key] = kept.get(key)
    if not finished and "table_fingerprint" in requested:
        kept["table_fingerprint"] = requested["table_fingerprint"]
    now, before = ({key: value for key, value in each.items() if key not in RENEWED} for each in (requested, kept))
    changed = [
        said.format(raw=now["raw"])
        for key, said in RENEWED.items()
        if requested.get(key) not in (None, kept.get(key)) and now["raw"] == before.get("raw")
    ] + differences(before, now)
    if changed:
        raise SettingsError(
            f"{path.parent} is not what was asked for:\n  " + "\n  ".join(changed) + "\n"
            f"Remove {path.parent} yourself and give the same command again, prepare into another folder (--out; DATA= "
            "with make), or undo the change."
        )


def draw_pictures(out: Path, card: Mapping[str, Any]) -> None:
    """Draw ``contact_sheet.png`` and ``findings.png`` beside the shards, unless they exist."""
    from datamodules.pictures import contact_sheet, findings_chart

    if not (out / "contact_sheet.png").exists():
        contact_sheet(out, card, out / "contact_sheet.png")
    if not (out / "findings.png").exists():
        findings_chart(card, out / "findings.png")

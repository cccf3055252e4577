"""``python -m experiments prepare``: a raw data set -> validated Parquet shards, card.json and two pictures."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from ammrg.atomic import write_atomically
from ammrg.errors import DataError, SettingsError
from ammrg.findings import FINDINGS
from datamodules.format import CARD
from datamodules.prepared import read_card
from datamodules.shards import write_shards
from datamodules.sources import SPLITS, Section, read_source
from datamodules.sources.painted import PAINTER
from datamodules.sources.painted import SIDE as PAINTED_SIDE
from datamodules.sources.phantom import SPLIT_SIZES
from experiments.runs.lock import locked
from experiments.runs.settings import differences

DEFAULT_SIZE = 512
DRAWN_SIZE = {"phantom": 256, "painted": PAINTED_SIDE}
SMALLEST_SIZE, LARGEST_SIZE = 32, 4096
SETTINGS = "prepare.json"


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
    max_rejected: float = 0.01,
) -> dict[str, Any]:
    """Prepare one data set, go on where an earlier call was stopped, or find that nothing is to be done.

    Args:
        dataset: one of :data:`datamodules.sources.DATASETS`; ``r2gen`` is any annotation.json.
        raw: folder of the raw data; the phantom has none.
        out: folder of the shards.
        size: a film's shorter side is at most this many pixels; None: 256 where films are drawn or painted, which is
            the only size of painted ones, and 512 elsewhere.
        workers: processes; None takes one a core.
        section: the text a model shall write.
        source: which layout, where a folder holds several.
        seed: of the phantom, or of a split made here.
        studies: split -> number of phantom studies.
        max_rejected: more than this share of films set aside is an error, at the end.

    Returns:
        The card.

    Raises:
        SettingsError: settings that cannot be, or the folder was prepared with others; names each.
        DataError: the raw data are missing or not as their format says, too many films were set aside, the folder holds
            something else or is being prepared by another process, or a file cannot be read or written.
    """
    phantom = dataset == "phantom"
    side = DRAWN_SIZE.get(dataset, DEFAULT_SIZE) if size is None else size
    if not SMALLEST_SIZE <= side <= LARGEST_SIZE:
        raise SettingsError(f"--size {side}: must lie between {SMALLEST_SIZE} and {LARGEST_SIZE} pixels")
    painted = dataset == "painted"
    if painted and side != PAINTED_SIDE:
        raise SettingsError(f"--size {side}: painted films have {PAINTED_SIDE} pixels a side; leave it out")
    if seed < 0:
        raise SettingsError(f"--seed {seed}: must not be negative")
    if studies is not None and not phantom:
        raise SettingsError(f"--studies is for the phantom; {dataset} has the studies it has")
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
    if painted:
        # Their raw data are prepared films, which may be prepared anew in the same place.
        settings["painter"] = PAINTER
        settings["raw_fingerprint"] = None if raw is None or not raw.is_dir() else read_card(raw)["fingerprint"]
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
        reading = read_source(dataset, raw, source=source, section=section, seed=seed, split_sizes=counts, size=side)
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
            f"{error.filename or out}: {error.strerror or error}. What is finished in {out} stays; with the cause "
            "cured, the same command goes on"
        ) from error


def alone(folder: Path) -> AbstractContextManager[None]:
    """Hold a folder for one process.

    Raises:
        DataError: another process holds it; says which. A killed one holds nothing.
    """
    return locked(folder, "prepares data", "wait for it, or stop it first", DataError)


def check_kept(path: Path, settings: Mapping[str, Any], finished: bool) -> None:
    """Compare with the settings a folder was prepared with.

    A finished folder needs no raw data and a layout only where one is asked for.

    Raises:
        SettingsError: names every setting that differs.
        DataError: the kept settings cannot be read.
    """
    if not path.exists():
        return
    try:
        kept = dict(json.loads(path.read_text(encoding="utf-8")))
    except (ValueError, TypeError) as error:
        raise DataError(f"{path}: cannot be read as settings: {error}; prepare into another folder") from error
    asked = dict(settings)
    for key in ("raw", "source", "raw_fingerprint"):
        if finished and key in asked and asked[key] is None:
            asked[key] = kept.get(key)
    changed = differences(kept, asked)
    if changed:
        raise SettingsError(
            f"{path} keeps other settings than those asked for:\n  " + "\n  ".join(changed) + "\n"
            f"Prepare into another folder (--out), take the change back, or remove {path.parent} yourself."
        )


def draw_pictures(out: Path, card: Mapping[str, Any]) -> None:
    """``contact_sheet.png`` and ``findings.png`` beside the shards, to look at; those that are there stay."""
    from datamodules.pictures import contact_sheet, findings_chart

    if not (out / "contact_sheet.png").exists():
        contact_sheet(out, card, out / "contact_sheet.png")
    if not (out / "findings.png").exists():
        findings_chart(card, out / "findings.png")


def print_card(out: Path, card: Mapping[str, Any]) -> None:
    """The card as two tables, and where things lie."""
    from rich.console import Console
    from rich.table import Table

    console = Console()
    splits = [split for split in SPLITS if split in card["counts"]]
    table = Table(title=f"{card['dataset']} ({card['source']}, {card['section']}), fingerprint {card['fingerprint']}")
    table.add_column("")
    for split in splits:
        table.add_column(split, justify="right")
    for key, label in (
        ("studies", "studies"),
        ("subjects", "subjects"),
        ("views", "films"),
        ("frontal", "  frontal"),
        ("lateral", "  lateral"),
        ("unknown", "  unknown"),
        ("unlabelled", "unlabelled studies"),
    ):
        table.add_row(label, *(f"{card['counts'][split][key]:,}" for split in splits))
    for name in ("findings", "impression", "indication"):
        table.add_row(f"with {name}", *(f"{card['sections'][split][name]:,}" for split in splits))
    table.add_row("words, median", *(f"{card['text'][split]['words_median']:.0f}" for split in splits))
    table.add_row("text also in train", *(f"{card['texts_shared_with_train'].get(split, '')}" for split in splits))
    table.add_section()
    for name in FINDINGS:
        cells = [card["findings"][split][name] for split in splits]
        table.add_row(name, *(f"{cell['positive']:,} + / {cell['uncertain']:,} ?" for cell in cells))
    console.print(table)
    if empty := [split for split in SPLITS if split not in card["counts"]]:
        console.print(f"no study in {' and '.join(empty)}: what reads them will refuse this folder", style="yellow")
    for key, value in card["notes"].items():
        console.print(f"{key}: {value}", highlight=False)
    share = card["rejected"] / max(1, card["films_named"])
    studies = sum(counts["studies"] for counts in card["counts"].values())
    console.print(
        f"films set aside: {card['rejected']:,} of {card['films_named']:,} ({share:.2%}); restricted: "
        f"{'yes' if card['restricted'] else 'no'}\n{card['bytes'] / 2**20:,.1f} MiB, "
        f"{card['bytes'] / studies / 2**10:,.0f} KiB a study; the films came in {card['raw_bytes'] / 2**20:,.1f} MiB"
    )
    for name in ("card.json", "rejected.jsonl", "contact_sheet.png", "findings.png"):
        if (out / name).exists():
            console.print(f"  {out / name}", soft_wrap=True)

"""The card of a prepared data set, printed as two tables."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ammrg.findings import FINDINGS
from datamodules.sources.source_reading import SPLITS
from experiments.data.card_warnings import warnings_of


def print_card(out: Path, card: Mapping[str, Any]) -> None:
    """Print the counts of a prepared data set per split and finding, its notes and its files.

    Args:
        out: the prepared folder.
        card: the content of its ``card.json``.
    """
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
    for key, value in card["notes"].items():
        console.print(f"{key}: {value}", highlight=False, markup=False)
    share = card["rejected"] / max(1, card["films_named"])
    studies = sum(counts["studies"] for counts in card["counts"].values())
    console.print(
        f"films set aside: {card['rejected']:,} of {card['films_named']:,} ({share:.2%}); restricted: "
        f"{'yes' if card['restricted'] else 'no'}\n{card['bytes'] / 2**20:,.1f} MiB, "
        f"{card['bytes'] / studies / 2**10:,.0f} KiB per study; the raw films had {card['raw_bytes'] / 2**20:,.1f} MiB"
    )
    for name in ("card.json", "rejected.jsonl", "contact_sheet.png", "findings.png"):
        if (out / name).exists():
            console.print(f"  {out / name}", soft_wrap=True)
    for warning in warnings_of(card):
        console.print(warning, style="yellow", highlight=False, markup=False, soft_wrap=True)

"""One film -> its report, 14 findings with maps, and the memories it leaned on."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ammrg.inference.pretrained import Pretrained


def describe(
    films: Sequence[Path], model: Pretrained, folder: Path, lateral: Sequence[int] = (), indication: str = ""
) -> Path:
    """Write ``folder/report.json`` and ``folder/panel.png``, print the report; return the folder."""
    import torch
    from rich.console import Console
    from rich.table import Table

    from ammrg.atomic import write_json
    from ammrg.data_sets import trained_on
    from ammrg.imaging.panel import draw_case
    from ammrg.inference.case_page import case_page
    from ammrg.inference.distance_note import distance_note
    from ammrg.notice import NOTICE
    from ammrg.thresholds import is_predicted

    projections = ["lateral" if place in lateral else "frontal" for place in range(1, len(films) + 1)]
    batch = model.processor(films, projections, study_id=films[0].stem, indication=indication)
    with torch.inference_mode():
        report = model.network.generate(batch)[0]
    # The processor leaves laterals out where the network reads frontal films alone.
    kept = [film.name for film, name in zip(films, projections, strict=True) if name in batch.projections]
    note = distance_note(model, batch, kept)
    trained = f"This model was {trained_on(model.dataset)}."
    page = case_page(model.network, batch, report, None, model.map_method, [trained, note.sentence])
    write_json(
        folder / "report.json",
        {
            "films": [str(film) for film in films],
            "report": report.text,
            "findings": report.findings,
            "thresholds": dict(page.thresholds),
            "regions": [leaned._asdict() for leaned in report.regions],
            "reports": [leaned._asdict() for leaned in report.reports],
            "trained_on": {"dataset": model.dataset, "sentence": trained},
            "distance_from_training": {**note.as_json(), "sentence": note.sentence},
            "notice": NOTICE,
        },
    )
    draw_case(page, folder / "panel.png")

    console = Console()
    table = Table(title="findings", title_justify="left")
    for column in ("finding", "probability", "threshold", ""):
        table.add_column(column, justify="left" if column in ("finding", "") else "right")
    for name, value in report.findings.items():
        present = is_predicted(value, page.thresholds[name])
        table.add_row(
            name,
            f"{value:.2f}",
            f"{page.thresholds[name]:.2f}",
            "present" if present else "",
            style="bold" if present else "dim",
        )
    console.print(table)
    # Texts of models and memories are printed as they are: brackets in them are no markup.
    console.print("\nreport", style="bold")
    console.print(report.text, markup=False, highlight=False)
    console.print("\nleaned on", style="bold")
    console.print("\n".join(page.recalled), markup=False, highlight=False)
    console.print(f"\n{folder / 'panel.png'}\n{folder / 'report.json'}", markup=False, highlight=False, soft_wrap=True)
    console.print(trained, markup=False, highlight=False)
    console.print(note.sentence, style="bold red" if note.warns else None, markup=False, highlight=False)
    console.print(NOTICE, style="red")
    return folder

"""One film -> its report, 14 findings with maps, and the memories it leaned on."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from ammrg.errors import CheckpointError, ReadError
from ammrg.findings import FINDINGS


def main(argv: Sequence[str]) -> int:
    """``python -m experiments describe film.png --run outputs/phantom/default``."""
    parser = argparse.ArgumentParser(
        prog="python -m experiments describe",
        description="Write the report of one examination, with its reasons. Research use only. Not for diagnosis.",
    )
    parser.add_argument("films", nargs="+", type=Path, help="film(s) of one study: PNG or JPEG")
    parser.add_argument("--run", type=Path, required=True, help="a finished run: outputs/<dataset>/<run>")
    parser.add_argument(
        "--out",
        type=Path,
        help="where panel.png and report.json go (default: beside the first film's name, in RUN/described)",
    )
    parser.add_argument(
        "--lateral", type=int, nargs="*", default=[], metavar="N", help="which of the films (1, 2, ...) are lateral"
    )
    options = parser.parse_args(argv)
    for film in options.films:
        if not film.is_file():
            raise ReadError(f"{film}: no such film; name a PNG or JPEG file")
    checkpoint = options.run / "stage2" / "best.ckpt"
    if not checkpoint.is_file():
        raise CheckpointError(f"{checkpoint}: not there; train the run first (make stage2) or name another with --run")
    folder = options.out or options.run / "described" / options.films[0].stem
    describe(options.films, options.run, folder, options.lateral)
    return 0


def describe(films: Sequence[Path], run: Path, folder: Path, lateral: Sequence[int] = ()) -> Path:
    """Write ``folder/report.json`` and ``folder/panel.png``, print the report; return the folder."""
    import torch
    from rich.console import Console
    from rich.table import Table

    from ammrg.imaging.panel import NOTICE, draw_case
    from ammrg.imaging.reading import read_film
    from ammrg.imaging.transforms import eval_transform
    from ammrg.types import StudyBatch
    from experiments.case_picture import case_page
    from experiments.manifest import write_json
    from experiments.run_model import open_model

    arrays = [read_film(film) for film in films]
    model = open_model(run)
    network = model.network
    transform = eval_transform(model.image_size)
    batch = StudyBatch(
        images=torch.stack([torch.from_numpy(transform(array)).unsqueeze(0) for array in arrays]),
        study_of_view=torch.zeros(len(arrays), dtype=torch.int64),
        labels=torch.full((1, len(FINDINGS)), float("nan")),
        reports=[""],
        study_ids=[films[0].stem],
        subject_ids=[""],
        projections=["lateral" if index + 1 in lateral else "frontal" for index in range(len(arrays))],
        boxes=[],
    )
    with torch.inference_mode():
        report = model.generate(batch)[0]
    page = case_page(network, batch, report, None, model.cam)
    write_json(
        folder / "report.json",
        {
            "films": [str(film) for film in films],
            "report": report.text,
            "findings": report.findings,
            "thresholds": dict(page.thresholds),
            "regions": [leaned._asdict() for leaned in report.regions],
            "reports": [leaned._asdict() for leaned in report.reports],
            "notice": NOTICE,
        },
    )
    draw_case(page, folder / "panel.png")

    console = Console()
    table = Table(title="findings", title_justify="left")
    for column in ("finding", "probability", "threshold", ""):
        table.add_column(column, justify="left" if column in ("finding", "") else "right")
    for name, value in report.findings.items():
        present = value >= page.thresholds[name]
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
    console.print(NOTICE, style="red")
    return folder

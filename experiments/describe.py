"""One film -> its report, 14 findings with maps, and the memories it leaned on."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ammrg.errors import SettingsError
from experiments.command_parser import CommandParser

if TYPE_CHECKING:
    from ammrg.networks.pretrained import Pretrained


def main(argv: Sequence[str]) -> int:
    """``python -m experiments describe film.png --run outputs/phantom/default``, or ``--model FOLDER``."""
    parser = CommandParser(
        prog="python -m experiments describe",
        description="Write the report of one examination, with its reasons. Research use only. Not for diagnosis.",
    )
    parser.add_argument("films", nargs="+", type=Path, help="film(s) of one study: PNG or JPEG")
    whose = parser.add_mutually_exclusive_group(required=True)
    whose.add_argument("--run", type=Path, help="a finished run: outputs/<dataset>/<run>")
    whose.add_argument("--model", help="an exported folder (python -m experiments export), or the hub id of one")
    parser.add_argument(
        "--out",
        type=Path,
        help="where panel.png and report.json go (default: a folder of the first film's name in RUN/described, "
        "with --model in described/ here)",
    )
    parser.add_argument(
        "--lateral", type=int, nargs="*", default=[], metavar="N", help="which of the films (1, 2, ...) are lateral"
    )
    parser.add_argument(
        "--data",
        metavar="FOLDER",
        help="with --run: prepared data whose split its memories are checked against; default: those of the training",
    )
    parser.add_argument("--indication", default="", help="why the study was made, for a prompt that names it")
    options = parser.parse_args(argv)
    if options.model and options.data:
        raise SettingsError("--data is for --run: an exported model's memories were checked when it was written")
    from ammrg.imaging.reading import read_film

    for film in options.films:
        read_film(film)  # one that cannot be read is an error before any weights load
    from experiments.finished_run import best_checkpoint, load_run

    if options.run:
        best_checkpoint(options.run)
    from rich.console import Console

    from ammrg.networks import pretrained

    with Console(stderr=True).status("reading the model, checking its files"):
        model = pretrained.load(options.model) if options.model else load_run(options.run, options.data)
    described = Path("described") if options.model else options.run / "described"
    folder = options.out or described / options.films[0].stem
    describe(options.films, model, folder, options.lateral, options.indication)
    return 0


def describe(
    films: Sequence[Path], model: Pretrained, folder: Path, lateral: Sequence[int] = (), indication: str = ""
) -> Path:
    """Write ``folder/report.json`` and ``folder/panel.png``, print the report; return the folder."""
    import torch
    from rich.console import Console
    from rich.table import Table

    from ammrg.imaging.panel import NOTICE, draw_case
    from ammrg.thresholds import is_predicted
    from experiments.case_picture import case_page
    from experiments.data_sets import trained_on
    from experiments.distance_note import distance_note
    from experiments.manifest import write_json

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

"""Measures the film distance of odd pictures: ``python -m benchmarks.unlike_films best.ckpt --data data/phantom``.

A stage-1 checkpoint has a distance from its training films (:mod:`ammrg.networks.film_distance`), and ``make describe``
warns above 1. It is measured for the test films, for the same films inverted, turned and mirrored, for drawn pictures
(:mod:`benchmarks._odd_pictures`), and for films of the folders given by ``--others``. Prints, for each kind, the share
above 1 and the least and median distance, then one JSON line. Nothing else about the films is printed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from torch import Tensor

from ammrg.commands.parser import CommandParser
from ammrg.errors import AMMRGError, CheckpointError, DataError, ReadError
from ammrg.imaging.reading import read_film
from ammrg.imaging.transforms import eval_transform
from ammrg.networks.film_distance import FilmDistance
from benchmarks._odd_pictures import KINDS
from benchmarks._result import print_result
from datamodules.studies import StudyDataModule
from lightning_modules.stage1_checkpoint import Stage1, read_checkpoint, stage1_of

DRAWN = 40
"""Number of pictures of each kind."""
BATCH = 32
FALSE_ALARMS = 0.05
"""Largest share of test films that may be above 1; of the validation films one in a hundred is."""
CHANGES: dict[str, Callable[[Tensor], Tensor]] = {
    "inverted": lambda films: 255 - films,
    "turned by 90 degrees": lambda films: films.rot90(1, (2, 3)),
    "turned by 180 degrees": lambda films: films.rot90(2, (2, 3)),
    "mirrored": lambda films: films.flip(3),
}
"""Changes of test films, uint8 ``[v 1 s s]``, by name."""


def squashed(pictures: Sequence[NDArray[np.uint8]], side: int) -> Tensor:
    """Pictures as the network sees them: uint8 ``[v 1 s s]``."""
    transform = eval_transform(side)
    return torch.from_numpy(np.stack([transform(picture) for picture in pictures])[:, None])


def drawn(side: int) -> Iterator[tuple[str, Tensor]]:
    """Each kind of odd picture, uint8 ``[v 1 s s]``; the same ones in every run."""
    for place, (kind, picture) in enumerate(KINDS.items()):
        draws = [np.random.default_rng((place, number)) for number in range(DRAWN)]
        yield kind, squashed([picture(draw, side) for draw in draws], side)


def films_in(folder: Path, most: int, side: int) -> tuple[Tensor, int]:
    """Evenly spaced files of a folder and those below it.

    Returns:
        uint8 ``[v 1 s s]``, and the number of files that could not be read.

    Raises:
        DataError: there is no such folder, or no file in it can be read.
    """
    if not folder.is_dir():
        raise DataError(f"--others {folder}: no such folder")
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    places = np.linspace(0, len(files) - 1, min(most, len(files))).round().astype(int)
    films, unreadable = [], 0
    for place in places.tolist():
        try:
            films.append(read_film(files[place]))
        except ReadError:
            unreadable += 1
    if not films:
        raise DataError(f"--others {folder}: no file in it can be read as a film; name another folder")
    return squashed(films, side), unreadable


@torch.inference_mode()
def distances(stage1: Stage1, films: Tensor) -> Tensor:
    """Distances, float32 ``[v]``, of films uint8 ``[v 1 s s]``; above 1 ``describe`` warns."""
    assert isinstance(stage1.distance, FilmDistance)
    return torch.cat([stage1.distance(part, *stage1.classifier.encoder(part)) for part in films.split(BATCH)])


def case(kind: str, found: Tensor) -> dict[str, Any]:
    """One row of the table."""
    return {
        "kind": kind,
        "films": len(found),
        "beyond": float((found > 1).float().mean()),
        "least": float(found.min()),
        "median": float(found.median()),
    }


def opened(path: Path, folder: str) -> tuple[Stage1, StudyDataModule]:
    """Open a stage-1 checkpoint that has a film distance, and its training data with the views it was trained on.

    Raises:
        CheckpointError: the checkpoint cannot be read, or has no film distance.
        DataError: the folder is not prepared, or contains other data.
    """
    checkpoint = read_checkpoint(path)
    stage1 = stage1_of(checkpoint, path)
    if not isinstance(stage1.distance, FilmDistance):
        raise CheckpointError(
            f"{path}: has no distance of films from the training films (an earlier version wrote it, or there "
            "were too few films to fit it); train stage 1 again"
        )
    views = checkpoint.get("datamodule_hyper_parameters", {}).get("views", "all")
    data = StudyDataModule(folder, stage1.image_size, views=views, num_workers=0)
    if stage1.data_fingerprint != data.card["fingerprint"]:
        raise DataError(f"{path}: was trained on other data than {folder}; name its own with --data")
    return stage1, data


def measured(stage1: Stage1, data: StudyDataModule, others: Sequence[Path], most: int) -> list[dict[str, Any]]:
    """Measure every kind, test films first."""
    test = data.typical_films("test", most)
    cases = [case("own test films", distances(stage1, test))]
    cases += [case(f"own, {name}", distances(stage1, change(test))) for name, change in CHANGES.items()]
    cases += [case(kind, distances(stage1, films)) for kind, films in drawn(stage1.image_size)]
    for folder in others:
        films, unreadable = films_in(folder, most, stage1.image_size)
        cases.append({**case(folder.name, distances(stage1, films)), "unreadable": unreadable})
    return cases


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print."""
    parser = CommandParser(prog="python -m benchmarks.unlike_films", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("checkpoint", type=Path, help="of stage 1 (best.ckpt)")
    parser.add_argument("--data", required=True, help="the prepared folder it was trained on")
    parser.add_argument("--others", type=Path, nargs="+", default=[], help="folders of film files of any kind")
    parser.add_argument("--most", type=int, default=256, help="films of a split or folder (default: %(default)s)")
    options = parser.parse_args(argv)
    if options.most < 1:
        parser.error("--most must be at least 1 film")
    try:
        stage1, data = opened(options.checkpoint, options.data)
        cases = measured(stage1, data, options.others, options.most)
    except AMMRGError as error:
        raise SystemExit(f"error: {error}") from error
    distance = stage1.distance
    assert isinstance(distance, FilmDistance)
    fitted = {"training_films": distance.training_films, "validation_films": distance.validation_films}
    films = f"{distance.training_films} training and {distance.validation_films} validation films"
    table = Table(title=f"{stage1.dataset} at {stage1.image_size} px, distance from {films}")
    for column in ("kind", "films", "unreadable", "share beyond 1", "least distance", "median"):
        table.add_column(column, justify="left" if column == "kind" else "right")
    for row in cases:
        shares = (f"{row['beyond']:.3f}", f"{row['least']:.2f}", f"{row['median']:.2f}")
        table.add_row(row["kind"], str(row["films"]), str(row.get("unreadable", "")), *shares)
    Console(width=120).print(table)
    false = cases[0]["beyond"]
    target = {"own test films within 1": (1 - false, 1 - FALSE_ALARMS)}
    facts = {"dataset": stage1.dataset, "image_size": stage1.image_size, **fitted}
    print_result("unlike_films", cases, target, facts)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

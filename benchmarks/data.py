"""Compares preparing and loading films with the usual ways: ``python -m benchmarks.data [--quick]``.

Films are phantom films, enlarged to 2,500 x 3,000 pixels, with grain so that a JPEG of quality 95 has 1.5 MB, the mean
size of a film of MIMIC-CXR-JPG (570 GB for 377,110 films).

prepare  ours: ``write_shards`` as ``make data`` calls it, default workers, 512 pixels: decode, shrink, encode, Parquet.
         peer: PIL, one film after the other: open, convert to grey, resize to the same size; nothing is stored.
load     ours: films a second from the training loader at 224 pixels, with augmentation and default workers.
         peer: R2GenGPT's way in a DataLoader with as many workers: PIL opens the original film in colour, then a Swin's
         image processor resizes it to 224 pixels and normalises it. Our loader yields grey bytes, which the network
         normalises on its device.

Times are medians of interleaved runs in one process tree, with files in the page cache for both. A first pass, which
starts the loaders' workers, is not counted. The peers process fewer films than ours, and all times are per film. PNG
films are processed by one process on both sides and have no target. Prints a table, then one JSON line.
"""

from __future__ import annotations

import io
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from rich.console import Console
from rich.table import Table
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from ammrg.commands.parser import CommandParser
from ammrg.findings import NUM_FINDINGS
from ammrg.imaging.reading import read_film, shrink
from ammrg.types import Study, View
from benchmarks._result import print_result
from datamodules.phantom import PhantomDataModule
from datamodules.shards import to_jpeg, write_shards
from datamodules.sources.phantom import draw_study
from datamodules.sources.source_reading import SourceReading

FILM, QUICK_FILM, QUALITY = (2500, 3000), (750, 900), 95
"""Width and height in pixels, and the JPEG quality."""
MIMIC_BYTES = 570e9 / 377_110
GRAIN = 1.8
"""Standard deviation of the grain, in grey levels, that gives a film the size of one of MIMIC-CXR-JPG."""
SIZE, IMAGE_SIZE, BATCH = 512, 224, 16
PREPARE_TARGET, LOAD_TARGET = 3.0, 8.0

Films = list[list[Path]]
"""The films of each drawn study."""


def draw_films(index: int, folder: Path, sides: tuple[int, int]) -> list[Path]:
    """Draw one study's films, enlarged to ``sides``, as JPEG files like MIMIC-CXR-JPG's; returns the files."""
    cv2.setNumThreads(1)
    paths = []
    for number, view in enumerate(draw_study("train", index, size=SIZE).views):
        film = cv2.resize(read_film(view.image), sides, interpolation=cv2.INTER_CUBIC)
        grain = np.random.default_rng((index, number)).normal(0, GRAIN, film.shape)
        path = folder / f"{index}_{number}.jpg"
        Image.fromarray((film + grain).clip(0, 255).astype(np.uint8)).save(path, quality=QUALITY)
        paths.append(path)
    return paths


def records(films: Films, count: int) -> list[Study]:
    """``count`` studies that reuse the drawn films in turn."""
    return [
        Study(
            study_id=f"s{number}",
            subject_id=f"p{number}",
            split="train",
            views=tuple(View(path, "frontal") for path in films[number % len(films)]),
            findings="The lungs are clear.",
            impression="",
            indication="",
            labels=(0.0,) * NUM_FINDINGS,
            source="phantom",
        )
        for number in range(count)
    ]


def prepare(studies: list[Study], folder: Path) -> dict[str, Any]:
    """Prepare films our way; returns their card."""
    reading = SourceReading({"train": studies}, "phantom", sum(len(study.views) for study in studies))
    settings = {"section": "findings", "seed": 0, "size": SIZE}
    return write_shards(reading, folder, dataset="phantom", settings=settings, size=SIZE, section="findings")


def usual_resize(path: Path) -> Image.Image:
    """Prepare a film the peer's way: decoded whole, in grey, with a shorter side of :data:`SIZE`."""
    with Image.open(path) as image:
        grey = image.convert("L")
    scale = SIZE / min(grey.size)
    return grey.resize((round(grey.width * scale), round(grey.height * scale)))


class OriginalFilms(Dataset[Tensor]):
    """Films read R2GenGPT's way: decoded whole, converted to RGB, and passed to its Swin's image processor."""

    def __init__(self, paths: Sequence[Path]) -> None:
        from transformers.models.vit.image_processing_pil_vit import ViTImageProcessorPil

        self.paths = paths
        self.processor = ViTImageProcessorPil(
            size={"height": IMAGE_SIZE, "width": IMAGE_SIZE},
            resample=Image.Resampling.BICUBIC,
            image_mean=[0.485, 0.456, 0.406],
            image_std=[0.229, 0.224, 0.225],
        )

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> Tensor:
        with Image.open(self.paths[index]) as image:
            colour = np.array(image.convert("RGB"), dtype=np.uint8)
        return self.processor(colour, return_tensors="pt").pixel_values[0]


def seconds_per_film(work: Callable[[], int]) -> float:
    """Wall time of a call divided by the number of films that it returns."""
    start = time.perf_counter()
    films = work()
    return (time.perf_counter() - start) / films


def drain(loader: DataLoader[Any], films_of: Callable[[Any], int]) -> int:
    """Run through a loader once; returns the number of films."""
    return sum(films_of(batch) for batch in loader)


def in_turn(sides: dict[str, Callable[[], int]], runs: int) -> dict[str, float]:
    """Median seconds a film of each side, with runs of the sides in turn."""
    times: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(runs):
        for name, work in sides.items():
            times[name].append(seconds_per_film(work))
    return {name: statistics.median(values) for name, values in times.items()}


def each(paths: Sequence[Path], work: Callable[[Path], object]) -> int:
    """Call ``work`` on each file; returns the number of files."""
    for path in paths:
        work(path)
    return len(paths)


def case(what: str, films: int, times: dict[str, float], **more: float) -> dict[str, Any]:
    """One entry of ``cases``; seconds are per film."""
    found = {"case": what, "films": films, "ours_s": times["ours"], "peer_s": times["peer"]}
    return {**found, "ratio": times["peer"] / times["ours"], **more}


def preparing(films: Films, studies: int, peer_films: int, runs: int, folder: Path) -> dict[str, Any]:
    """Compare the two ways to make small films from large ones; the last prepared folder is kept."""
    paths = [path for study in films for path in study]
    made = iter(range(runs))
    card: dict[str, Any] = {}

    def ours() -> int:
        card.update(prepare(records(films, studies), folder / f"prepared-{next(made)}"))
        return int(card["films_named"])

    peer = partial(each, (paths * peer_films)[:peer_films], usual_resize)
    times = in_turn({"ours": ours, "peer": peer}, runs)
    count = int(card["films_named"])
    return case(
        f"prepare, {os.cpu_count()} cores",
        count,
        times,
        bytes_per_study_before=card["raw_bytes"] / studies,
        bytes_per_study_after=card["bytes"] / studies,
    )


def loading(prepared: Path, paths: Sequence[Path], peer_films: int, runs: int) -> dict[str, Any]:
    """Compare the two ways from files to batches."""
    data = PhantomDataModule(folder=str(prepared), image_size=IMAGE_SIZE, batch_size=BATCH)
    data.prepare_data()
    data.setup("fit")
    loader = data.train_dataloader()
    usual = DataLoader(
        OriginalFilms((list(paths) * peer_films)[:peer_films]),
        batch_size=BATCH,
        num_workers=loader.num_workers,
        persistent_workers=loader.num_workers > 0,
    )
    sides = {
        "ours": partial(drain, loader, lambda batch: len(batch.images)),
        "peer": partial(drain, usual, len),
    }
    films, _ = (work() for work in sides.values())  # starts the workers
    times = in_turn(sides, runs)
    per_second = {f"{name}_films_per_s": 1 / value for name, value in times.items()}
    return case(f"load, {loader.num_workers} workers", films, times, **per_second)


def png_films(paths: Sequence[Path], runs: int, folder: Path) -> list[dict[str, Any]]:
    """The same films as 8-bit and 16-bit PNG, each in one process."""
    found = []
    for bits, kind, scale in ((8, np.uint8, 1), (16, np.uint16, 16)):
        stored = []
        for path in paths:
            pixels: NDArray[Any] = np.asarray(Image.open(path)).astype(kind) * kind(scale)
            stored.append(folder / f"{path.stem}-{bits}.png")
            Image.fromarray(pixels).save(stored[-1])
        ours = partial(each, stored, lambda path: to_jpeg(shrink(read_film(path, at_least=SIZE), SIZE)))
        sides = {"ours": ours, "peer": partial(each, stored, usual_resize)}
        found.append(case(f"prepare PNG of {bits} bits, one process", len(paths), in_turn(sides, runs)))
    return found


def floors(paths: Sequence[Path], runs: int) -> dict[str, Any]:
    """Lower bounds for any reader of these JPEGs, in seconds a film in one process."""

    def reduced(path: Path) -> None:
        with Image.open(io.BytesIO(path.read_bytes())) as image:
            image.draft("L", (1, 1))
            image.load()

    ways: dict[str, Callable[[Path], object]] = {
        "read_bytes_s": Path.read_bytes,
        "entropy_decode_s": reduced,
        "ours_decode_s": lambda path: read_film(path, at_least=SIZE),
        "whole_decode_s": lambda path: np.asarray(Image.open(path)),
    }
    times = in_turn({name: partial(each, paths, way) for name, way in ways.items()}, runs)
    return {"case": "floor, one process", "films": len(paths), **times}


def table(cases: Sequence[dict[str, Any]]) -> Table:
    """Milliseconds a film, ours and the peer's."""
    shown = Table(title="milliseconds a film, median", pad_edge=False)
    shown.add_column("")
    for column in ("films", "ours", "peer", "ratio"):
        shown.add_column(column, justify="right")
    for row in cases:
        if "ratio" in row:
            cells = (f"{1e3 * row['ours_s']:.2f}", f"{1e3 * row['peer_s']:.2f}", f"{row['ratio']:.1f}x")
            shown.add_row(row["case"], f"{row['films']:,}", *cells)
    return shown


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print."""
    parser = CommandParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--quick", action="store_true", help="a few small films, once: shows that it runs, measures nothing"
    )
    quick = parser.parse_args(argv).quick
    drawn, studies, peer_films, runs = (2, 2, 2, 1) if quick else (64, 1024, 128, 3)
    sides = QUICK_FILM if quick else FILM
    console = Console(width=120)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        draw = partial(draw_films, folder=folder, sides=sides)
        if quick:
            films = [draw(index) for index in range(drawn)]
        else:
            with ProcessPoolExecutor() as pool:
                films = list(pool.map(draw, range(drawn)))
        paths = [path for study in films for path in study]
        per_film = statistics.mean(path.stat().st_size for path in paths)
        few = paths[: 1 if quick else 16]
        cases = [
            preparing(films, studies, peer_films, runs, folder),
            loading(folder / f"prepared-{runs - 1}", paths, peer_films, runs),
            *png_films(few, runs, folder),
            floors(few, runs),
        ]
    preparation, load, *_, floor = cases
    console.print(table(cases))
    before, after = preparation["bytes_per_study_before"], preparation["bytes_per_study_after"]
    words = ", ".join(f"{name[:-2].replace('_', ' ')} {1e3 * floor[name]:.2f}" for name in floor if name.endswith("_s"))
    for line in (
        f"{len(paths)} films of {sides[0]:,} x {sides[1]:,}, {per_film / 1e6:.2f} MB each (MIMIC-CXR-JPG: "
        f"{MIMIC_BYTES / 1e6:.2f}), in {len(films)} studies that {studies:,} records share",
        f"bytes a study: {before:,.0f} before, {after:,.0f} after ({before / after:.0f}x less)",
        f"films a second out of the loader: {load['ours_films_per_s']:.0f}, the peer {load['peer_films_per_s']:.1f}",
        f"milliseconds a film in one process: {words}",
    ):
        console.print(line, highlight=False)
    targets = {
        f"preparing {SIZE}-pixel films against PIL one at a time": (preparation["ratio"], PREPARE_TARGET),
        "films a second out of the training loader against R2GenGPT's way": (load["ratio"], LOAD_TARGET),
    }
    print_result("data", cases, targets)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

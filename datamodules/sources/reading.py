"""Reads the records of any data set, by its name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import overload

from ammrg.errors import DataError, SettingsError
from ammrg.types import Study
from datamodules.sources.source_reading import SECTIONS, Section, SourceReading


class DrawnStudies(Sequence[Study]):
    """Studies ``start .. stop`` of a phantom split; each is drawn when it is read, so that workers draw them."""

    def __init__(self, split: str, start: int, stop: int, seed: int, size: int, version: int) -> None:
        self.split, self.start, self.stop = split, start, stop
        self.seed, self.size, self.version = seed, size, version

    def __len__(self) -> int:
        return max(0, self.stop - self.start)

    @overload
    def __getitem__(self, index: int) -> Study: ...
    @overload
    def __getitem__(self, index: slice) -> DrawnStudies: ...
    def __getitem__(self, index: int | slice) -> Study | DrawnStudies:
        from datamodules.sources.phantom import draw_study

        if isinstance(index, slice):
            start, stop, _ = index.indices(len(self))
            return DrawnStudies(self.split, self.start + start, self.start + stop, self.seed, self.size, self.version)
        if not 0 <= index < len(self):
            raise IndexError(index)
        return draw_study(self.split, self.start + index, self.seed, self.size, self.version)

    def __repr__(self) -> str:
        # Shards of version 1 that were written before there were versions keep their description.
        version = f", version={self.version}" if self.version > 1 else ""
        return f"DrawnStudies({self.split}, {self.start}, {self.stop}, seed={self.seed}, size={self.size}{version})"


def read_source(
    dataset: str,
    raw: Path | None,
    *,
    source: str | None = None,
    section: Section = "findings",
    seed: int = 0,
    split_sizes: Mapping[str, int] | None = None,
    size: int = 256,
    version: int = 2,
) -> SourceReading:
    """Read the records (not the films) of one data set.

    Args:
        dataset: the phantom, or the name of a module of ``datamodules.sources`` that has a function
            ``read(raw, *, source, section, seed) -> SourceReading``.
        raw: folder of the raw data; None for the phantom.
        source: layout to read, if the folder has several; None = the first that is present.
        section: the text that a model should write; studies without it are left out and counted.
        seed: seed of a split made here, or of the phantom's drawing.
        split_sizes: number of studies of each phantom split.
        size: side of the phantom's films in pixels.
        version: version of the phantom, 1 or 2.

    Raises:
        SettingsError: the data set, section or layout is unknown, or RAW is not given.
        DataError: RAW is missing or does not have the expected layout.
    """
    if section not in SECTIONS:
        raise SettingsError(f"--section {section}: not known; give one of {', '.join(SECTIONS)}")
    if dataset == "phantom":
        for option, value in (("--raw", raw), ("--source", source)):
            if value is not None:
                raise SettingsError(
                    f"{option} {value}: the phantom is drawn and has no raw data; name another data set (--dataset, "
                    "DATASET= with make), or leave the option out"
                )
        sizes = split_sizes or {}
        drawn = {split: DrawnStudies(split, 0, count, seed, size, version) for split, count in sizes.items()}
        return SourceReading(drawn, "phantom", films=0, restricted=False)
    name = f"datamodules.sources.{dataset}"
    module = import_module(name) if dataset.isidentifier() and find_spec(name) else None
    if not hasattr(module, "read"):
        raise SettingsError(f"--dataset {dataset}: not known; datamodules/sources/{dataset}.py would have to read it")
    if raw is None:
        raise SettingsError(f"--dataset {dataset} needs --raw, the folder of the raw data (RAW= with make)")
    if not raw.is_dir():
        found = "a file" if raw.exists() else "nothing"
        raise DataError(f"--raw {raw}: looked for a folder with {dataset}'s raw data, found {found} there")
    reading: SourceReading = module.read(raw, source=source, section=section, seed=seed)
    return reading

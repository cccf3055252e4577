"""Films described by the network of a run or of an exported folder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ammrg.inference.description import describe
from experiments.runs.run import Run


def describe_films(
    films: Sequence[Path],
    *,
    run: Path | None = None,
    model: str | None = None,
    out: Path | None = None,
    lateral: Sequence[int] = (),
    indication: str = "",
    data: str | None = None,
) -> None:
    """Write the report, findings and maps of one study; print them.

    Args:
        films: PNG or JPEG files of one study.
        run: a finished run; give either this or ``model``.
        model: an exported folder, or its hub id.
        out: folder for ``panel.png`` and ``report.json``; None: a folder named after the first film, in
            ``run/described`` or, with ``model``, in ``described`` here.
        lateral: numbers of the lateral films, from 1.
        indication: why the study was made, for models whose prompt contains it.
        data: prepared data whose validation and test studies the run's memories must not hold; None takes those that
            the run was trained on.

    Raises:
        DataError: a film cannot be read, or there are no prepared data in ``data``.
        CheckpointError: the run is not finished, or the exported folder is damaged.
        MemoryBankError: a memory of the run holds a study of the evaluation splits.
    """
    from ammrg.imaging.reading import read_film

    for film in films:
        read_film(film)  # a film that cannot be read is an error before any weights load
    opened = None if run is None else Run(run)
    if opened is not None:
        opened.checkpoint  # noqa: B018  # a missing one is an error before seconds of imports
    from rich.console import Console

    from ammrg.inference import pretrained

    with Console(stderr=True).status("reading the model, checking its files"):
        loaded = pretrained.load(str(model)) if opened is None else opened.generator(data)
    described = Path("described") if opened is None else opened.folder / "described"
    describe(films, loaded, out or described / films[0].stem, lateral, indication)

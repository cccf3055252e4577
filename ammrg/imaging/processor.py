"""The film processor: film files of one study -> the batch that the networks read."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from ammrg.findings import NUM_FINDINGS
from ammrg.imaging.reading import read_film
from ammrg.imaging.transforms import eval_transform
from ammrg.types import StudyBatch


class FilmProcessor(NamedTuple):
    """Reads the films of a study in the same way as the evaluation of the run did."""

    image_size: int
    """Side in pixels of the square that a film is resized to."""
    views: Literal["all", "frontal"] = "all"
    """``all`` films of a study, or ``frontal`` ones only (all where it has no frontal film)."""

    def __call__(
        self,
        films: Sequence[Path | str | bytes | NDArray[np.uint8]],
        projections: Sequence[str] | None = None,
        study_id: str = "",
        subject_id: str = "",
        indication: str = "",
    ) -> StudyBatch:
        """Make a batch of one study, without labels and report.

        Args:
            films: files, their encoded bytes, or films that are read already (:func:`read_film`), 1 to n.
            projections: ``frontal``, ``lateral`` or ``unknown`` for each film; None: all frontal.
            study_id: of the study, where known: it then does not retrieve its own patterns from a memory.
            subject_id: its patient, where known, for the same reason.
            indication: why the study was made, where known; used where the network's prompt names it.

        Raises:
            ReadError: a film cannot be read; the message names it.
            ValueError: there is no film, or the numbers of films and projections differ.
        """
        known = ["frontal"] * len(films) if projections is None else list(projections)
        if not films or len(known) != len(films):
            raise ValueError(
                f"{len(films)} films and {len(known)} projections; give one or more films, and one projection for each"
            )
        frontal = [place for place, name in enumerate(known) if name == "frontal"]
        kept = frontal if self.views == "frontal" and frontal else list(range(len(films)))
        transform = eval_transform(self.image_size)
        read = [each if isinstance(each, np.ndarray) else read_film(each) for each in (films[place] for place in kept)]
        return StudyBatch(
            images=torch.stack([torch.from_numpy(transform(film)).unsqueeze(0) for film in read]),
            study_of_view=torch.zeros(len(kept), dtype=torch.int64),
            labels=torch.full((1, NUM_FINDINGS), float("nan")),
            reports=[""],
            study_ids=[study_id],
            subject_ids=[subject_id],
            projections=[known[place] for place in kept],
            boxes=[],
            indications=[indication],
        )

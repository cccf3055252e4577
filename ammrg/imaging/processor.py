"""Film files of one study -> what the networks read of it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal, NamedTuple

import torch

from ammrg.findings import NUM_FINDINGS
from ammrg.imaging.reading import read_film
from ammrg.imaging.transforms import eval_transform
from ammrg.types import StudyBatch


class FilmProcessor(NamedTuple):
    """How the films of a study are read: as the evaluation of the run read them."""

    image_size: int
    """Side in pixels of the square a film is squashed to."""
    views: Literal["all", "frontal"] = "all"
    """``all`` films of a study, or ``frontal`` ones only (all, where it has no frontal)."""

    def __call__(
        self,
        films: Sequence[Path | str | bytes],
        projections: Sequence[str] | None = None,
        study_id: str = "",
        subject_id: str = "",
        indication: str = "",
    ) -> StudyBatch:
        """A batch of one study, without labels and report.

        Args:
            films: files or their encoded bytes, 1 to n.
            projections: ``frontal``, ``lateral`` or ``unknown`` of each film; None: all frontal.
            study_id, subject_id: of the study, where known: what a memory holds of itself is not recalled.
            indication: why the study was made, where it is known and the network's prompt names it.

        Raises:
            ReadError: a film that cannot be read, by name.
            ValueError: no film, or another number of projections.
        """
        known = ["frontal"] * len(films) if projections is None else list(projections)
        if not films or len(known) != len(films):
            raise ValueError(
                f"{len(films)} films and {len(known)} projections; give one or more films, and one for each"
            )
        frontal = [place for place, name in enumerate(known) if name == "frontal"]
        kept = frontal if self.views == "frontal" and frontal else list(range(len(films)))
        transform = eval_transform(self.image_size)
        return StudyBatch(
            images=torch.stack([torch.from_numpy(transform(read_film(films[place]))).unsqueeze(0) for place in kept]),
            study_of_view=torch.zeros(len(kept), dtype=torch.int64),
            labels=torch.full((1, NUM_FINDINGS), float("nan")),
            reports=[""],
            study_ids=[study_id],
            subject_ids=[subject_id],
            projections=[known[place] for place in kept],
            boxes=[],
            indications=[indication],
        )

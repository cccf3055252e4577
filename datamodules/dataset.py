"""The studies of a split as a torch data set: it turns rows of a prepared folder into examples with decoded films."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from torch.utils.data import Dataset

from ammrg.errors import DataError, ReadError
from ammrg.imaging.reading import read_film
from ammrg.imaging.transforms import FilmTransform
from ammrg.partners import SEED
from ammrg.types import Box
from datamodules.collate import Example
from datamodules.loading import Key
from datamodules.prepared import Rows

Films = Literal["own", "shuffled", "noise", "mirrored"]
"""The films that a study is shown with: its own, its partner's (shuffled), noise, or its own with left and right
exchanged (mirrored)."""


class StudyDataset(Dataset[list[Example]]):
    """The studies of a prepared split; an item is the list of examples of one batch."""

    def __init__(
        self,
        rows: Rows,
        transform: FilmTransform,
        *,
        frontal_only: bool = False,
        films: Films = "own",
        seed: int = 0,
        partners: NDArray[np.int64] | None = None,
    ) -> None:
        """Set up the data set; films are decoded when an item is read.

        Args:
            rows: rows of a prepared split.
            transform: transform of each film.
            frontal_only: leave out other projections, except in studies without a frontal film.
            films: ``own`` films, the partner's films (``shuffled``), random pixels (``noise``), or own films flipped
                left to right (``mirrored``), boxes too.
            seed: seed of the augmentation.
            partners: ``[n]``, for each row the row of its partner, a study of another patient; an example then carries
                its partner, unless it shows the partner's films already.
        """
        self.rows, self.transform, self.frontal_only, self.films, self.seed = rows, transform, frontal_only, films, seed
        self.partners = partners

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, keys: Sequence[Key] | int) -> list[Example]:
        """The examples of a batch, or of a single row, which Lightning's ``overfit_batches`` sampler asks for."""
        return [self.example(key) for key in ([(keys, 0, 0)] if isinstance(keys, int) else keys)]

    def example(self, key: Key) -> Example:
        """One study with its own films or, if they are shuffled, its partner's."""
        if self.partners is None:
            return self._example(key, key[0])
        partner = int(self.partners[key[0]])
        if self.films == "shuffled":
            return self._example(key, partner)
        return self._example(key, key[0])._replace(partner=self._example((partner, *key[1:]), partner))

    def _example(self, key: Key, films_of: int) -> Example:
        index, epoch, copy = key
        row = self.rows[index]
        shown = row if films_of == index else self.rows[films_of]
        kept = self.views(shown["projections"])
        known = [Box(**box) for box in shown["boxes"]] if self.films != "noise" else []
        films: list[NDArray[np.uint8]] = []
        boxes: list[Box] = []
        for place, view in enumerate(kept):
            if self.films == "noise":
                draw = np.random.default_rng((SEED, index, place))
                film = draw.integers(0, 256, (self.transform.size, self.transform.size), dtype=np.uint8)
            else:
                film = self.film(shown, view)
            on_film = [box._replace(view=place) for box in known if box.view == view]
            if self.films == "mirrored":
                film = np.ascontiguousarray(film[:, ::-1])
                on_film = [box._replace(x0=1 - box.x1, x1=1 - box.x0) for box in on_film]
            film, on_film_now = self.transform.with_boxes(film, on_film, (self.seed, epoch, index, copy, place))
            films.append(film)
            boxes += on_film_now
        return Example(
            study_id=row["study_id"],
            subject_id=row["subject_id"],
            films=np.stack(films),
            projections=[shown["projections"][view] for view in kept],
            labels=np.asarray(row["labels"], np.float32),
            report=row["report"],
            boxes=boxes,
            indication=row["indication"] or "",
        )

    def film(self, row: Mapping[str, Any], view: int) -> NDArray[np.uint8]:
        """Decode one stored film: uint8 ``[h w]``.

        Raises:
            DataError: the film cannot be decoded, although it could when it was prepared.
        """
        try:
            return read_film(row["images"][view], at_least=self.transform.size)
        except ReadError as error:
            raise DataError(
                f"film {view + 1} of study {row['study_id']} in the prepared data is damaged ({error}); the shards "
                "were whole when they were written, so copy or prepare them again"
            ) from error

    def views(self, projections: list[str]) -> list[int]:
        """The places, from 0, of the films of a study that are used."""
        frontal = [view for view, name in enumerate(projections) if name == "frontal"]
        return frontal if self.frontal_only and frontal else list(range(len(projections)))

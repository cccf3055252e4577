"""One study as the network reads it: its films as a batch, and how they are read."""

from __future__ import annotations

from typing import NamedTuple

from ammrg.fingerprints import json_fingerprint
from ammrg.operating_points import BALANCED
from ammrg.studies.records import SetAside, StudyIdentity, StudyView
from ammrg.types import StudyBatch


class PreparedStudy(NamedTuple):
    """One study as the network reads it."""

    identity: StudyIdentity
    views: tuple[StudyView, ...]
    """All of its films that could be read; those that the network does not read are among them."""
    set_aside: tuple[SetAside, ...]
    inputs: str
    """See :meth:`ammrg.studies.grouping.StudyFilms.fingerprint`."""
    batch: StudyBatch
    """Of this study alone."""
    aspects: tuple[float, ...]
    """Width over height of each film of the batch, before it was resized to a square."""
    operating_point: float = BALANCED
    """See :mod:`ammrg.operating_points`."""
    is_mirrored: bool = False
    """Whether its films are flipped left to right."""

    def mirrored(self) -> PreparedStudy:
        """Return the study with all films flipped left to right, as the guard ``films_mirrored`` does.

        The network reads each frontal film with the patient's right at its left edge. So it finds every sign on the
        other side, if it looks. The inputs are others, so their fingerprint is another too. The sides of the views
        stay: they say how a film is read.
        """
        flipped = self.batch._replace(images=self.batch.images.flip(-1), boxes=[])
        return self._replace(
            batch=flipped, inputs=json_fingerprint([self.inputs, "mirrored"]), is_mirrored=not self.is_mirrored
        )

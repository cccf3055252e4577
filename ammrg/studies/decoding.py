"""The films of a study decoded: what cannot be read is set aside, and the rest goes on."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ammrg.errors import ReadError
from ammrg.imaging.contrast import check_contrast
from ammrg.imaging.reading import in_one_sentence, read_film
from ammrg.studies.grouping import StudyFilms, refusal
from ammrg.studies.records import SetAside, StudyIdentity, StudyView


class DecodedStudy(NamedTuple):
    """A study whose films are read."""

    identity: StudyIdentity
    pixels: list[NDArray[np.uint8]]
    """8-bit grey ``[h w]``, one or more."""
    views: list[StudyView]
    """Of the same length."""
    set_aside: tuple[SetAside, ...]
    inputs: str
    """See :meth:`StudyFilms.fingerprint`; also of films that cannot be decoded."""


def decode_study(study: StudyFilms, indication: str = "") -> DecodedStudy:
    """Read the pixels of a study's films; one without contrast is set aside like one that cannot be read.

    Raises:
        ReadError: none can be read; the message is about the first.
    """
    pixels, views, aside = [], [], list(study.set_aside)
    for film in study.films:
        try:
            with in_one_sentence(film.view.path):
                decoded = read_film(film.source.read(), name=film.view.path)
                check_contrast(decoded, film.view.path)
            pixels.append(decoded)
            views.append(film.view)
        except ReadError as error:
            aside.append(refusal(film.view.path, error))
    if not pixels:
        first = next(each for each in aside if each.path == study.films[0].view.path)
        raise ReadError(f"{first.path}: {first.reason}")
    return DecodedStudy(study.identity, pixels, views, tuple(aside), study.fingerprint(indication))

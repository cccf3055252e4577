"""Films of a study that show what another one shows: copies, and raw images beside those for presentation."""

from __future__ import annotations

from collections.abc import Sequence

from ammrg.studies.films import Film
from ammrg.studies.identity import same_exposure
from ammrg.studies.records import SetAside

RAW = "for processing (raw), and no image for presentation of its exposure is here: findings may be meaningless"


def without_repeats(films: Sequence[Film]) -> tuple[list[Film], list[SetAside]]:
    """Leave out copies of a film, and raw images whose exposure is there for presentation too.

    A raw image that is the only one of its exposure stays, with a warning.

    Args:
        films: of one study, in order.
    """
    kept, left_out = _without_copies(films)
    shown = [film for film in kept if film.exposure is None or not film.exposure.for_processing]
    chosen: list[Film] = []
    for film in kept:
        if film in shown:
            chosen.append(film)
        elif (better := next((other for other in shown if _shows(film, other)), None)) is not None:
            reason = f"for processing; the same exposure is described from {better.view.path}, for presentation"
            left_out.append(SetAside(film.view.path, reason))
        else:
            chosen.append(warned_if_raw(film))
    return chosen, left_out


def warned_if_raw(film: Film) -> Film:
    """Return a film that is described; with a warning where it is a raw image."""
    if film.exposure is None or not film.exposure.for_processing:
        return film
    words = "; ".join(part for part in (film.view.warning, RAW) if part)
    return film._replace(view=film.view._replace(warning=words))


def _without_copies(films: Sequence[Film]) -> tuple[list[Film], list[SetAside]]:
    kept: list[Film] = []
    left_out: list[SetAside] = []
    seen: dict[str, str] = {}
    for film in films:
        names = {film.view.fingerprint} | ({film.view.dicom.sop_instance_uid} if film.view.dicom else set())
        first = next((seen[name] for name in sorted(names) if name in seen), None)
        if first is None:
            kept.append(film)
            seen |= dict.fromkeys(names, film.view.path)
        else:
            left_out.append(SetAside(film.view.path, f"the same image as {first}"))
    return kept, left_out


def _shows(raw: Film, shown: Film) -> bool:
    """Tell whether a film for presentation is of the exposure of a raw one."""
    if raw.exposure is None or shown.exposure is None:
        return False
    instance = "" if raw.view.dicom is None else raw.view.dicom.sop_instance_uid
    return same_exposure(raw.exposure, shown.exposure, instance, raw.view.projection, shown.view.projection)

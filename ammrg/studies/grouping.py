"""Films grouped by study. Films of two patients, or of two studies, are never in one group."""

from __future__ import annotations

import fnmatch
import itertools
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path, PurePath
from typing import NamedTuple

from ammrg.errors import ReadError, SettingsError
from ammrg.fingerprints import bytes_fingerprint, json_fingerprint
from ammrg.studies.films import Film, examine
from ammrg.studies.projection import Choice
from ammrg.studies.records import SetAside, StudyIdentity
from ammrg.studies.repeats import warned_if_raw, without_repeats
from ammrg.studies.sources import NAMED, Source, find_sources, natural

MAX_FILMS = 16
"""Most films of a study. A folder with more pictures holds several studies, most likely of several patients."""

Group = tuple[str, ...]
"""What films of one study share: their StudyInstanceUID, or the place where they were found."""


class StudyFilms:
    """The films of one study, not decoded.

    Attributes:
        identity: its names.
        films: one or more, in order.
        set_aside: films and files of the study that are left out.
    """

    def __init__(self, identity: StudyIdentity, films: Sequence[Film], set_aside: Sequence[SetAside]) -> None:
        self.identity, self.films, self.set_aside = identity, tuple(films), tuple(set_aside)

    def fingerprint(self, indication: str = "") -> str:
        """Return the fingerprint of all that a model reads: the films' bytes, their projections, the indication."""
        return json_fingerprint([[[film.view.fingerprint, film.view.projection] for film in self.films], indication])

    def read_as(self, chosen: Mapping[str, Choice]) -> StudyFilms:
        """Return the study with projections that a person chose.

        Args:
            chosen: fingerprint of a film -> its projection; other films stay as they are.
        """
        films = [
            warned_if_raw(film._replace(view=examine(film.source, 0, chosen[film.view.fingerprint]).view))
            if film.view.fingerprint in chosen
            else film
            for film in self.films
        ]
        return StudyFilms(self.identity, films, self.set_aside)


class FoundStudies(NamedTuple):
    """All that was found in some paths."""

    studies: list[StudyFilms]
    """Sorted by the paths of their films."""
    set_aside: list[SetAside]
    """All films and files that are left out, also those of the studies."""
    studies_set_aside: int
    """Number of studies of which no film is left."""


def find_studies(
    paths: Sequence[Path | str],
    lateral: Sequence[str] = (),
    skip: Path | str | None = None,
    frontal: Sequence[str] = (),
) -> FoundStudies:
    """Find the studies in files, folders and zip archives.

    DICOM films are grouped by their StudyInstanceUID, others by folder. Films that are named one by one, and say
    nothing of their study, are one study. What cannot be described is set aside with its reason.

    Args:
        paths: files, folders (searched with all folders in them) and zip archives.
        lateral: the lateral films: their names or paths, in which ``*`` and ``?`` are wildcards, or their numbers (1,
            2, ...) among the films that are named one by one. Tags of DICOM files say it themselves; a film whose tags
            say another projection is read as it is named, with a warning.
        skip: a folder that is not searched.
        frontal: the frontal films, named in the same way.

    Raises:
        ReadError: a path does not exist.
        SettingsError: a word of ``lateral`` or ``frontal`` names no film, or a film is named in both.
    """
    sources = find_sources([Path(path) for path in paths], None if skip is None else Path(skip))
    return studies_in(sources, lateral, frontal)


def studies_in(
    sources: Iterable[Source | SetAside], lateral: Sequence[str] = (), frontal: Sequence[str] = ()
) -> FoundStudies:
    """Group the films that :func:`ammrg.studies.sources.find_sources` found; see :func:`find_studies`."""
    films: list[Film] = []
    refused: list[tuple[str, SetAside]] = []
    words: list[tuple[Choice, str]] = [
        *(("lateral", word) for word in lateral),
        *(("frontal", word) for word in frontal),
    ]
    unused, named = set(words), 0
    for source in sources:
        if isinstance(source, SetAside):
            refused.append((source.path, source))
            continue
        named += source.place == NAMED
        naming = [(choice, word) for choice, word in words if _names(word, source, named)]
        unused.difference_update(naming)
        chosen = {choice for choice, _ in naming}
        if len(chosen) > 1:
            raise SettingsError(f"--lateral and --frontal both name {source.path}; name it once")
        try:
            films.append(examine(source, named, *chosen))
        except ReadError as error:
            refused.append((source.place, refusal(source.path, error)))
    if unused:
        raise SettingsError(f"--{' '.join(min(unused))}: names none of the films; give a film's name, path or number")
    return _grouped(films, refused)


def study_of(sources: Sequence[Source], lateral: Sequence[int] = ()) -> StudyFilms:
    """Make one study of films that the caller says belong together.

    Args:
        sources: one or more.
        lateral: the numbers (1, 2, ...) of the lateral films. Tags of DICOM films say it themselves.

    Raises:
        ReadError: a film is no chest film, or they are of two patients or two studies.
        ValueError: there is no film, or a number names none.
    """
    if not sources:
        raise ValueError("0 films; give one or more")
    if wrong := [number for number in lateral if not 1 <= number <= len(sources)]:
        raise ValueError(f"lateral is {wrong[0]}, but the films are numbered 1 to {len(sources)}")
    films = [
        examine(source, number, "lateral" if number in lateral else None) for number, source in enumerate(sources, 1)
    ]
    found = _grouped(films, [])
    if len(found.studies) == 1 and not found.studies_set_aside:
        return found.studies[0]
    if found.studies:
        raise ReadError(f"{sources[0].path}: these films are of {len(found.studies)} studies; describe each by itself")
    raise ReadError(f"{found.set_aside[0].path}: {found.set_aside[0].reason}")


def refusal(path: str, error: Exception) -> SetAside:
    """Make the reason of an error about a film."""
    return SetAside(path, str(error).removeprefix(f"{path}: "))


def _names(word: str, source: Source, named: int) -> bool:
    """Tell whether a word of ``lateral`` or ``frontal`` names a film."""
    if word.isdecimal():
        return source.place == NAMED and int(word) == named
    return any(fnmatch.fnmatchcase(name, word) for name in (source.path, PurePath(source.path).name))


def _grouped(films: Iterable[Film], refused: Sequence[tuple[str, SetAside]]) -> FoundStudies:
    """Group films by study.

    Args:
        films: in any order.
        refused: place and reason of each file that is no film.
    """
    films = list(films)
    named = {film.study_uid for film in films if film.source.place == NAMED and film.study_uid}
    # Pictures named beside the films of one DICOM study belong to it: who names them says so.
    joined = ("uid", min(named)) if len(named) == 1 else None

    def group_of(film: Film) -> Group:
        if film.study_uid:
            return ("uid", film.study_uid)
        if film.source.place == NAMED and joined is not None:
            return joined
        # DICOM films without a StudyInstanceUID are not mixed with pictures, which could be anybody's.
        return ("place", film.source.place) if film.patient is None else ("dicom", film.source.place)

    groups: dict[Group, list[Film]] = {}
    for film in sorted(films, key=lambda film: (film.order[0], natural(film.source.path))):
        groups.setdefault(group_of(film), []).append(film)
    found_in: dict[str, set[Group]] = {}
    for group, members in groups.items():
        for film in members:
            found_in.setdefault(film.source.place, set()).add(group)
    studies: dict[str, StudyFilms] = {}
    aside, empty = [each for _, each in refused], 0
    for group, members in groups.items():
        ours = [each for place, each in refused if found_in.get(place) == {group}]
        study, others = _study(group, sorted(members, key=lambda film: film.order), ours)
        aside += others
        if study is None:
            empty += 1
        elif (twin := studies.get(study.identity.key)) is not None:
            originals = {film.view.fingerprint: film.view.path for film in twin.films}
            aside += [
                SetAside(film.view.path, f"the same image as {originals[film.view.fingerprint]}")
                for film in study.films
            ]
        else:
            studies[study.identity.key] = study
    ordered = sorted(studies.values(), key=lambda study: min(natural(film.source.path) for film in study.films))
    return FoundStudies(ordered, sorted(set(aside), key=lambda each: natural(each.path)), empty)


def _study(
    group: Group, films: Sequence[Film], refused: Sequence[SetAside]
) -> tuple[StudyFilms | None, list[SetAside]]:
    """Make the study of a group, None where none of its films may be described; and say which films are set aside.

    Args:
        group: of the films.
        films: in order.
        refused: files beside them that are no films.
    """
    patients = {film.patient: film.view.path for film in reversed(films) if film.patient is not None}
    for (first, path), (second, other) in itertools.combinations(sorted(patients.items(), key=lambda each: each[1]), 2):
        if (attribute := first.differs_from(second)) is not None:
            reason = (
                f"its study is of two patients: {attribute} differs between {path} and {other}; "
                "correct the tags, or describe the films of each patient by themselves"
            )
            return None, [SetAside(film.view.path, reason) for film in films]
    kept, left_out = without_repeats(films)
    if len(kept) > MAX_FILMS:
        reason = (
            f"its study would have {len(kept)} films, and a study has at most {MAX_FILMS}: give each study a folder of "
            "its own"
        )
        return None, [SetAside(film.view.path, reason) for film in films]
    if group[0] == "uid":
        identity = StudyIdentity(bytes_fingerprint(group[1].encode()), group[1])
    else:
        identity = StudyIdentity(json_fingerprint(sorted(film.view.fingerprint for film in kept)), None)
    return StudyFilms(identity, kept, [*refused, *left_out]), left_out

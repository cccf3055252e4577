"""The report generator: a trained model that turns the films of one study into a report with its reasons."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, overload

import torch
from torch import Tensor

from ammrg import operating_points
from ammrg.data_sets import trained_on
from ammrg.errors import ReadError, SettingsError
from ammrg.fingerprints import json_fingerprint
from ammrg.imaging.processor import FilmProcessor
from ammrg.inference.case_page import case_page
from ammrg.inference.description import MIRRORED, NOT_COMPARED, WORTHLESS, Description
from ammrg.inference.distance_note import distance_note
from ammrg.inference.film_name import film_name, film_numbers
from ammrg.inference.finding_maps import finding_maps
from ammrg.inference.hub import local_folder
from ammrg.inference.loading import load_parts
from ammrg.inference.memory_note import MEMORIES_OFF, memory_note
from ammrg.inference.no_frontal_film import no_frontal_film
from ammrg.inference.prepared_study import PreparedStudy
from ammrg.networks.class_activation import ActivationMaps, MapMethod, activation_maps
from ammrg.networks.film_distance import FilmDistance, TooFewFilms
from ammrg.networks.influence import with_influence
from ammrg.networks.reading_thresholds import ReadingThresholds
from ammrg.networks.report_network import ReportNetwork
from ammrg.networks.word_stream import OnText
from ammrg.operating_points import BALANCED, OperatingCurve
from ammrg.reasons import InfluenceThresholds
from ammrg.studies.decoding import DecodedStudy, decode_study
from ammrg.studies.grouping import StudyFilms, study_of
from ammrg.studies.in_memory import film_source
from ammrg.studies.records import SetAside
from ammrg.types import GeneratedReport, StudyBatch

if TYPE_CHECKING:
    from ammrg.studies.in_memory import FilmInput


class ReportGenerator(NamedTuple):
    """A trained model, ready to describe films.

    For example::

        generator = ReportGenerator.from_pretrained("exported/phantom")
        description = generator.describe(["frontal.png", "lateral.png"], lateral=[2])
        print(description.report)
    """

    network: ReportNetwork
    """In eval mode, with no trainable weights; it decodes as its run did."""
    processor: FilmProcessor
    """Reads films as the evaluation of its run did."""
    map_method: MapMethod
    """How the maps of findings are made."""
    dataset: str = ""
    """Name of the data set it was trained on."""
    distance: FilmDistance | TooFewFilms | None = None
    """Measures a film's distance from the training films, or says that there were too few to fit it; None where its
    stage 1 says neither."""
    influence: InfluenceThresholds | None = None
    """The influence that a recalled case must exceed to be called a reason; None where its run did not measure it."""
    fingerprint: str = ""
    """Of everything that decides a report, see :func:`ammrg.inference.model_fingerprint.model_fingerprint`; empty = not
    known. :meth:`fingerprint_at` adds the operating point."""
    curve: OperatingCurve | None = None
    """Its thresholds at other operating points than the balanced one; None where they were not measured."""
    beats_constants: bool | None = None
    """Whether its reports were clearly better than one constant report by any score; None where it was not scored, or
    an earlier release exported it."""

    @classmethod
    def from_pretrained(
        cls, folder: str | Path, *, revision: str | None = None, device: str | None = None
    ) -> ReportGenerator:
        """Open an exported folder and check all of it.

        Args:
            folder: its path, or the hub id of a repository that holds one.
            revision: commit, branch or tag, for a hub id.
            device: for the networks; default: the current CUDA device where there is one, else the CPU.

        Raises:
            CheckpointError, SettingsError, MemoryBankError: see :func:`ammrg.inference.loading.load_parts`.
        """
        return cls(*load_parts(local_folder(folder, revision), device))

    def fingerprint_at(self, setting: float) -> str:
        """Return the fingerprint of the model at an operating point; at the balanced one, the model's own.

        Raises:
            SettingsError: the model has no curve, and the setting is another than balanced.
        """
        if setting == BALANCED or not self.fingerprint:
            self._check(setting)
            return self.fingerprint
        return json_fingerprint([self.fingerprint, setting, *self._thresholds(setting)])

    def _check(self, setting: float) -> None:
        if setting != BALANCED and self.curve is None:
            raise SettingsError(
                f"operating point {setting:g}: this model has no operating curve, because an earlier release wrote it; "
                "read it balanced (0.5), or write the run's reports again (make reports) and export it again"
            )

    def _thresholds(self, setting: float) -> tuple[list[float], list[float]]:
        """The thresholds above which findings are found and named, 14 each."""
        self._check(setting)
        if self.curve is None or setting == BALANCED:
            own = self.network.thresholds
            return own.found.tolist(), own.named.tolist()
        return self.curve.thresholds(setting)

    def _reading(self, settings: Sequence[float]) -> ReadingThresholds | None:
        """The thresholds of b studies, ``[b 14]``; None where all are read with the network's own."""
        if all(setting == BALANCED for setting in settings):
            return None
        found, named = zip(*(self._thresholds(setting) for setting in settings), strict=True)
        device = self.network.device
        return ReadingThresholds(torch.tensor(found, device=device), torch.tensor(named, device=device))

    @overload
    def describe(
        self,
        study: FilmInput | Sequence[FilmInput] | StudyFilms,
        lateral: Sequence[int] = (),
        indication: str = "",
        *,
        operating_point: str | float = BALANCED,
        memories: bool = True,
        mirrored: bool = False,
        on_text: OnText | None = None,
    ) -> Description: ...

    @overload
    def describe(
        self, study: list[StudyFilms] | list[list[FilmInput]], *, operating_point: str | float = BALANCED
    ) -> list[Description | SetAside]: ...

    def describe(
        self,
        study: FilmInput | Sequence[FilmInput] | StudyFilms | list[StudyFilms] | list[list[FilmInput]],
        lateral: Sequence[int] = (),
        indication: str = "",
        *,
        operating_point: str | float = BALANCED,
        memories: bool = True,
        mirrored: bool = False,
        on_text: OnText | None = None,
    ) -> Description | list[Description | SetAside]:
        """Generate the report of one study, or of several, with its reasons. No file is written.

        Args:
            study: the films of one study: paths, encoded bytes, PIL images, arrays ``[h w]`` of uint8 or uint16
                (MONOCHROME2: larger is brighter) or pydicom data sets; or a single one; or one of the studies that
                :func:`ammrg.studies.grouping.find_studies` found. Or a list of studies, each a list of films or found.
            lateral: the numbers (1, 2, ...) of the lateral films of one study. DICOM films say it themselves; others
                are frontal.
            indication: why the study was made, for a model whose prompt uses it.
            operating_point: how readily findings are called: ``sensitive``, ``balanced`` (as trained), ``specific``, or
                a number from 0 (most sensitive) to 1 (most specific); see :mod:`ammrg.operating_points`.
            memories: of one study; whether the report is written with what is recalled from the memories.
            mirrored: of one study; whether its films are flipped left to right first (:meth:`PreparedStudy.mirrored`).
            on_text: of one study; called with the report so far after each word, and last with the whole report. With a
                beam search, only the whole report is known.

        Returns:
            The description; or a list of the same length, with the reason in place of a study that cannot be described.

        Raises:
            ReadError: a film cannot be read, or the films are of two patients or two studies; the message names it. Of
                a study that was found, only where none of its films can be read. Of a list of studies, never.
            ValueError: there is no film, or ``lateral`` names none.
            SettingsError: there is no such operating point, or the model was saved without its curve.
        """
        setting = operating_points.operating_point(operating_point)
        self._check(setting)
        how: dict[str, Any] = {"memories": memories, "mirrored": mirrored, "on_text": on_text}
        if isinstance(study, StudyFilms):
            if lateral:
                raise ValueError("lateral is for films that you give; for a study that is found, find_studies takes it")
            return self.describe_decoded(decode_study(study, indication), indication, setting, **how)
        if isinstance(study, list | tuple):
            if study and all(isinstance(each, list | tuple | StudyFilms) for each in study):
                if lateral or indication or not memories or mirrored or on_text:
                    raise ValueError(
                        "all arguments but operating_point are of one study; describe these studies one by one"
                    )
                return [self._one_of_many(each, number, setting) for number, each in enumerate(study, 1)]
            films = list(study)
        else:
            films = [study]
        sources = [film_source(film, number) for number, film in enumerate(films, 1)]
        given = study_of(sources, lateral)
        decoded = decode_study(given, indication)
        if len(decoded.pixels) < len(given.films):
            refused = next(each for each in decoded.set_aside if each not in given.set_aside)
            raise ReadError(f"{refused.path}: {refused.reason}")
        return self.describe_decoded(decoded, indication, setting, **how)

    def _one_of_many(
        self, study: StudyFilms | Sequence[FilmInput], number: int, setting: float
    ) -> Description | SetAside:
        try:
            return self.describe(study, operating_point=setting)
        except ReadError as error:
            return SetAside(f"study {number}", str(error))

    def describe_decoded(
        self,
        study: DecodedStudy,
        indication: str = "",
        setting: float = BALANCED,
        *,
        memories: bool = True,
        mirrored: bool = False,
        on_text: OnText | None = None,
    ) -> Description:
        """Generate the report of one study whose films are read, at an operating point; see :meth:`describe`."""
        prepared = self.prepare(study, indication, setting)
        prepared = prepared.mirrored() if mirrored else prepared
        return self.describe_prepared([prepared], memories=memories, on_text=on_text)[0]

    def prepare(self, study: DecodedStudy, indication: str = "", setting: float = BALANCED) -> PreparedStudy:
        """Make the network's input of one study. Only the films are read, not the network: any thread may do it."""
        projections = [view.projection for view in study.views]
        batch = self.processor(study.pixels, projections, study_id=study.identity.key, indication=indication)
        # The processor leaves lateral films out where the network reads only frontal ones.
        views = tuple(view._replace(is_read=view.projection in batch.projections) for view in study.views)
        aspects = tuple(
            pixels.shape[1] / pixels.shape[0] for pixels, view in zip(study.pixels, views, strict=True) if view.is_read
        )
        return PreparedStudy(study.identity, views, study.set_aside, study.inputs, batch, aspects, setting)

    def describe_prepared(
        self, studies: Sequence[PreparedStudy], *, memories: bool = True, on_text: OnText | None = None
    ) -> list[Description]:
        """Generate the reports of one or more studies in one pass; each is the one that its study alone would have.

        Texts are the same, numbers up to rounding.

        Args:
            studies: one or more.
            memories: whether reports are written with what is recalled from the memories.
            on_text: for one study, see :meth:`describe`.

        Raises:
            ValueError: ``on_text`` for several studies.
        """
        network = self.network
        batch = StudyBatch.joined([study.batch for study in studies]).to(network.device)
        reading = self._reading([study.operating_point for study in studies])
        with torch.inference_mode():
            seen = network.see(batch.images)
            reports = network.generate(batch, "own" if memories else "off", seen=seen, reading=reading, on_text=on_text)
            if memories and self.influence is not None:
                reports = with_influence(network, batch, reports, seen, reading)
        maps = activation_maps(network.classifier, batch.images, self.map_method)
        films = [(batch.study_of_view == row).nonzero()[:, 0] for row in range(len(studies))]
        return [
            self._description(study, report, maps.take(rows), seen.raw_tokens[rows], seen.grid, memories)
            for study, report, rows in zip(studies, reports, films, strict=True)
        ]

    def _description(
        self,
        study: PreparedStudy,
        report: GeneratedReport,
        maps: ActivationMaps,
        tokens: Tensor,
        grid: tuple[int, int],
        memories: bool,
    ) -> Description:
        read = [view for view in study.views if view.is_read]
        numbers = film_numbers(study.views)
        note = distance_note(self.distance, study.batch.images, tokens, grid, numbers)
        doubts = [  # about all of the report
            *([WORTHLESS] if self.beats_constants is False else []),
            *([MIRRORED] if study.is_mirrored else []),
            *no_frontal_film(read, self.processor.views == "frontal"),
            *([note.sentence] if note.warns else []),
        ]
        compared = [NOT_COMPARED] if self.beats_constants is None else []
        origin = " ".join([f"This model was {trained_on(self.dataset)}.", *compared])
        memory = memory_note(report, self.influence) if memories else MEMORIES_OFF
        setting = study.operating_point
        turned = [self.curve.sentence(setting)] if self.curve is not None and setting != BALANCED else []
        # As float32, like the probabilities' comparison in the network.
        limits = torch.tensor(self._thresholds(setting)[0]).tolist()
        page = case_page(
            *(self.network, study.batch, report, memory, None, maps),
            notes=[*turned, origin, *dict.fromkeys([*doubts, note.sentence])],  # at the foot there is always room
            sides=[view.sides for view in read],
            numbers=numbers,
            aspects=study.aspects,
            warnings=[
                f"WARNING: {film_name(number)}: {view.warning}."
                for number, view in zip(numbers, read, strict=True)
                if view.warning
            ],
            limits=limits,
        )
        return Description(
            study=study.identity,
            views=study.views,
            set_aside=study.set_aside,
            report=report.text,
            findings=report.findings,
            thresholds=dict(page.thresholds),
            places=dict(report.places),
            regions=report.regions,
            reports=report.reports,
            recalled=dict(report.recalled),
            memory=memory,
            dataset=self.dataset,
            trained_on=origin,
            distance=note,
            warnings=[*doubts, *page.warnings],
            page=page,
            model=self.fingerprint_at(setting),
            inputs=study.inputs,
            operating_point=setting,
            operating_note="".join(turned),
            maps=finding_maps(maps),
            memories=memories,
            mirrored=study.is_mirrored,
        )

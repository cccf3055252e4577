"""The report generator: a trained model that turns the films of one study into a report with its reasons."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import torch

from ammrg.data_sets import trained_on
from ammrg.imaging.processor import FilmProcessor
from ammrg.inference.case_page import case_page
from ammrg.inference.description import Description
from ammrg.inference.distance_note import distance_note
from ammrg.inference.hub import local_folder
from ammrg.inference.loading import load_parts
from ammrg.inference.memory_note import memory_note
from ammrg.networks.class_activation import MapMethod
from ammrg.networks.film_distance import FilmDistance
from ammrg.networks.influence import with_influence
from ammrg.networks.report_network import ReportNetwork
from ammrg.reasons import InfluenceThresholds
from ammrg.studies.records import StudyIdentity, StudyView


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
    distance: FilmDistance | None = None
    """Measures a film's distance from the training films; None where its stage 1 has no such measure."""
    influence: InfluenceThresholds | None = None
    """The influence that a recalled case must exceed to be called a reason; None where its run did not measure it."""

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

    def describe(self, films: Sequence[Path | str], lateral: Sequence[int] = (), indication: str = "") -> Description:
        """Generate the report of one study with its reasons. No file is written.

        Args:
            films: 1 to n image files of the study.
            lateral: the numbers (1, 2, ...) of the lateral films; the others are frontal.
            indication: why the study was made, for a model whose prompt uses it.

        Raises:
            ReadError: a film cannot be read; the message names it.
            ValueError: there is no film.
        """
        paths = [Path(film) for film in films]
        projections = ["lateral" if place in lateral else "frontal" for place in range(1, len(paths) + 1)]
        name = paths[0].stem if paths else ""
        batch = self.processor(paths, projections, study_id=name, indication=indication).to(self.network.device)
        with torch.inference_mode():
            seen = self.network.see(batch.images)
            report = self.network.generate(batch, seen=seen)[0]
            if self.influence is not None:
                report = with_influence(self.network, batch, [report], seen)[0]
        # The processor leaves lateral films out where the network reads only frontal ones.
        kept = [path.name for path, view in zip(paths, projections, strict=True) if view in batch.projections]
        note = distance_note(self.distance, self.network.classifier, batch, kept)
        origin = f"This model was {trained_on(self.dataset)}."
        memory = memory_note(report, self.influence)
        page = case_page(self.network, batch, report, memory, None, self.map_method, [origin, note.sentence])
        return Description(
            study=StudyIdentity(name, None),
            views=tuple(
                StudyView(str(path), view, "", "", is_read=view in batch.projections)
                for path, view in zip(paths, projections, strict=True)
            ),
            set_aside=(),
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
            warnings=list(page.warnings),
            page=page,
        )

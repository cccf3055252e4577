"""Reader of CheXpert Plus: the table of reports, CheXbert's labels and the PNG tree, or an R2Gen annotation.

The table has one row for each film. Each row has its own copy of the study's report, anonymised independently; a study
takes the copy of its first frontal film. An annotation takes precedence: its splits and texts are used, and the table
adds patients, projections, the other sections and the labels.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path, PurePosixPath

from rich.progress import track

from ammrg.errors import DataError
from ammrg.text.labeler import label
from ammrg.types import Study, View
from datamodules.sources.chexpert_plus_files import (
    VAL_SHARE,
    Record,
    film_key,
    read_entries,
    read_labels,
    read_table,
)
from datamodules.sources.matching import match_rows
from datamodules.sources.r2gen import ANNOTATION, stem
from datamodules.sources.source_reading import (
    SPLITS,
    Rejection,
    Section,
    SourceReading,
    check_source,
    listed,
    section_text,
)

SOURCES = ("r2gen", "csv")
TABLE = "df_chexpert_plus_*.csv"
"""Name of the table: ``df_chexpert_plus_240401.csv`` in the release of 2024-04-01; of several the last is read."""
LABELS: Mapping[Section, str] = {
    "findings": "chexbert_labels/findings_fixed.json",
    "impression": "chexbert_labels/impression_fixed.json",
    "both": "chexbert_labels/report_fixed.json",
}
"""Section -> JSON Lines file of the labels that CheXbert read from it."""
FILM_FOLDERS = ("PNG/PNG", "PNG", "PNGs", ".")


class FilmTree:
    """Finds film files by the paths in the table, which end in ``.jpg`` although the PNG release has ``.png`` files.

    Films are looked up one by one, because listing 187,000 study folders would take longer than everything else.
    """

    def __init__(self, raw: Path) -> None:
        """Note the folder; films are looked up later.

        Args:
            raw: folder of the raw data; ``train/`` and ``valid/`` are each in one of :data:`FILM_FOLDERS`.
        """
        self.raw = raw
        self._folders: dict[str, Path] = {}

    def find(self, film: str) -> Path | None:
        """The file of a film, or None if it is missing."""
        top = PurePosixPath(film).parts[0]
        if top not in self._folders:
            folders = (self.raw / name for name in FILM_FOLDERS)
            self._folders[top] = next((folder for folder in folders if (folder / top).is_dir()), self.raw)
        candidates = (self._folders[top] / name for name in (f"{stem(film)}.png", film))
        return next((file for file in candidates if file.is_file()), None)


def read(raw: Path, *, source: str | None = None, section: Section = "findings", seed: int = 0) -> SourceReading:
    """Read all studies of a raw CheXpert Plus folder that have a film and a text in the section.

    Args:
        raw: folder with ``df_chexpert_plus_240401.csv`` or R2Gen's ``annotation.json`` or both; films in ``PNG/``,
            ``PNG/PNG/``, ``PNGs/`` or ``raw`` itself; optionally ``chexbert_labels/``.
        source: ``r2gen`` or ``csv``; None = the first that is present.
        section: the target text.
        seed: seed that decides which patients of the table's ``train`` become validation. Its ``valid`` becomes test.

    Raises:
        SettingsError: the source is unknown.
        DataError: the layout or every film is missing, a file is not in its format, labels or an annotation belong to
            other films than the table, or a patient is in two splits.
    """
    check_source("chexpert_plus", source, SOURCES)
    table = max(raw.glob(TABLE), default=None, key=lambda path: path.name)
    annotated = (raw / ANNOTATION).is_file()
    present = {"r2gen": annotated, "csv": table is not None}
    if not (present[source] if source else any(present.values())):
        wanted = {"r2gen": ANNOTATION, "csv": TABLE, None: f"{ANNOTATION} or {TABLE}"}[source]
        raise DataError(f"{raw}: looked for {wanted}; found {listed(raw)}")
    layout = source or ("r2gen" if annotated else "csv")
    labels = read_labels(raw / LABELS[section])
    known = read_table(table, labels, section, seed) if table else {}
    records = read_entries(raw / ANNOTATION, known, section) if layout == "r2gen" else known.values()
    matched: dict[str, str] = {}
    if table:
        matched |= match_rows(raw / LABELS[section], [*labels], known, "path_to_image", f"film of {table.name}")
        if layout == "r2gen":
            keys = [film_key(record.film) or record.film for record in records]
            matched |= match_rows(raw / ANNOTATION, keys, known, "the image path", f"film of {table.name}")
    studies, rejected, counts = assemble(records, FilmTree(raw), section)
    if rejected and not any(studies.values()):
        raise DataError(
            f"{raw}: none of {counts['films']} films was found; looked for {rejected[0].film}, also as .png, in "
            f"{', '.join(FILM_FOLDERS)}"
        )
    by_table = (
        f"train, of which {VAL_SHARE:.0%} of the patients are validation (hash, seed {seed}); valid is the test part, "
        "which is not the split of papers that use an annotation"
    )
    notes = {
        "split": "annotation" if layout == "r2gen" else by_table,
        "labels": f"{LABELS[section]} for {counts['chexbert']} studies, the labeler for {counts['labeler']}",
        "matched": matched,
        "table": table.name if table else "none, so no projections, and patients as far as the annotation tells them",
        "reports_that_differ_between_films": counts["differ"],
        "without_text": counts["without text"],
        "films_without_text": counts["films without text"],
        "without_film": counts["without film"],
        "without_frontal": counts["without frontal"],
    }
    return SourceReading(studies, layout, counts["films"], tuple(rejected), notes, film_folder=raw)


def assemble(
    records: Collection[Record], films: FilmTree, section: Section
) -> tuple[dict[str, list[Study]], list[Rejection], Counter[str]]:
    """Join films to studies: studies with a text and a film by split, missing films, and counts for the card.

    The films of a study without a text are not looked for.
    """
    grouped: dict[str, list[Record]] = {}
    for record in records:
        grouped.setdefault(record.study.study_id, []).append(record)
    studies: dict[str, list[Study]] = {split: [] for split in SPLITS}
    rejected: list[Rejection] = []
    counts: Counter[str] = Counter()
    for group in track(grouped.values(), "looking for films", total=len(grouped), transient=True):
        group.sort(key=lambda record: (len(record.film), record.film))  # view2 before view10
        study = next((record for record in group if record.projection == "frontal"), group[0]).study
        texts = {(record.study.findings, record.study.impression, record.study.indication) for record in group}
        counts["differ"] += len(texts) > 1
        text = section_text(study, section)
        if not text:
            counts["without text"] += 1
            counts["films without text"] += len(group)
            continue
        counts["films"] += len(group)
        views, missing = views_of(group, films)
        rejected += missing
        if not views:
            counts["without film"] += 1
            continue
        counts["chexbert" if study.labels else "labeler"] += 1
        counts["without frontal"] += all(view.projection != "frontal" for view in views)
        studies[study.split].append(study._replace(views=views, labels=study.labels or tuple(label(text))))
    return studies, rejected, counts


def views_of(records: Sequence[Record], films: FilmTree) -> tuple[tuple[View, ...], list[Rejection]]:
    """The films of a study that were found, and those that are missing."""
    views, missing = [], []
    for film, projection, study in records:
        file = films.find(film)
        if file is None:
            missing.append(Rejection(study.study_id, film, "no such file"))
        else:
            views.append(View(file, projection))
    return tuple(views), missing

"""``from ammrg import evaluate``: scores of generated reports in one call from Python."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ammrg.errors import ScoringError
from ammrg.evaluation.column_names import Columns, parse_columns
from ammrg.evaluation.prediction_files import AS_THEY_ARE
from ammrg.evaluation.predictions import (
    System,
    lines_of,
    read_references,
    read_systems,
    read_train_texts,
    rows_by_id,
)
from ammrg.evaluation.recalled import RecallFile, read_recalled
from ammrg.evaluation.reports_meta import dataset_beside
from ammrg.evaluation.scored_file import default_protocols
from ammrg.evaluation.scorer import Extra
from ammrg.evaluation.scoring import score_systems
from ammrg.metrics import bootstrap
from ammrg.text.labelers import Labeler

Texts = Iterable[str] | Mapping[Any, str]
"""One text for each study, in their order; or study id -> text."""


def evaluate(
    reports: str | Path | Texts,
    *,
    references: str | Path | Texts | None = None,
    patients: Texts | None = None,
    against: Iterable[str | Path] = (),
    columns: Columns = None,
    dataset: str | None = None,
    protocols: str | Iterable[str] | None = None,
    train_texts: str | Path | Texts | None = None,
    tokenizer: str | Path | None = None,
    labeler: Labeler | None = None,
    extras: Sequence[Extra] = (),
    resamples: int = bootstrap.RESAMPLES,
    seed: int = 0,
    with_meteor: bool = True,
) -> dict[str, Any]:
    """Score generated reports against their references, as ``ammrg score`` does.

    Args:
        reports: n generated texts, or a dictionary of them by study id; or the path of a predictions file, see
            :data:`ammrg.evaluation.prediction_files.LAYOUTS`. The files ``baselines/*.jsonl``, ``guards/*.jsonl`` and
            ``recalled/*.jsonl`` beside it are scored with it.
        references: for n texts, their n references, none empty, in the same order; for a dictionary, one with the same
            ids; for a file that has only generated texts, the path of a file with the references.
        patients: for texts, the patient of each (n ids, or by study id), because intervals are over patients; None:
            each text has a patient of its own.
        against: for a file, the files of other systems on the same studies, which are compared with it in pairs.
        columns: for files, other names of their columns, such as ``"id=study,text=prediction,patient=person"`` or
            ``{"id": "study", "text": "prediction"}``, with the words of ``--columns``; None: their own.
        dataset: the data set whose cleaner and cut ``r2gen`` and ``r2gengpt`` use (``phantom``, ``iu_xray``,
            ``mimic_cxr`` or ``chexpert_plus``); None: as ``reports.meta.json`` beside the file says.
        protocols: one or several of ``full``, ``r2gen`` and ``r2gengpt``, see :mod:`ammrg.metrics.protocols`; None:
            ``full``, and ``r2gen`` if the data set is known.
        train_texts: training reports, for ``r2gen``'s vocabulary: the texts, or the path of a file, see
            :func:`ammrg.evaluation.predictions.read_train_texts`.
        tokenizer: the folder or ``tokenizer.json`` of a language model, for ``r2gengpt``.
        labeler: labels the findings: :func:`ammrg.networks.chexbert.load_chexbert` of a folder, or another
            :class:`ammrg.text.labelers.Labeler`; None: the rule-based labeler.
        extras: further metrics.
        resamples: bootstrap resamples of patients, at least 20; 0 gives no intervals.
        seed: seed of the resamples.
        with_meteor: also compute METEOR, if there is a ``java`` command.

    Returns:
        The contents of ``scores.json``, e.g. ``scores["full"]["cider"]["value"]``; see
        :func:`ammrg.evaluation.scoring.score_systems`. If texts without ids are given, the id of a study is its
        position among them, from 0 and with leading zeros; messages name the first ``reports[0]``. The labels of a
        Series of pandas are no ids, but must be the same in all Series that are given.

    Raises:
        ScoringError: if the reports cannot be scored, e.g. because the numbers of texts and references differ, or a
            reference is empty. The message says what is wrong and what to do.
    """
    bootstrap.check_resamples("resamples", resamples)
    if labeler is not None and not isinstance(labeler, Labeler):
        raise ScoringError(
            f"labeler={labeler!r}: give a Labeler, such as ammrg.networks.chexbert.load_chexbert(FOLDER), or None for "
            "the rule-based one."
        )
    name, source = dataset, "as the caller says"
    recalled: list[RecallFile] = []
    names = parse_columns(columns)
    systems = read_input(reports, references, patients, against, names)
    if isinstance(train_texts, str | Path):
        train_texts = read_train_texts(Path(train_texts), names)
    if isinstance(protocols, str):
        protocols = [protocols]
    if isinstance(reports, str | Path):
        recalled = read_recalled(Path(reports), [line.study_id for line in systems[0].lines])
        if dataset is None:
            name, source = dataset_beside(Path(reports))
    return score_systems(
        systems,
        protocols=default_protocols(name) if protocols is None else list(protocols),
        dataset=name,
        dataset_from=source,
        recalled=recalled,
        train_texts=None if train_texts is None else _listed(train_texts),
        tokenizer=tokenizer,
        labeler=labeler,
        extras=list(extras),
        resamples=resamples,
        seed=seed,
        with_meteor=with_meteor,
    )


def read_input(
    reports: str | Path | Texts,
    references: str | Path | Texts | None,
    patients: Texts | None,
    against: Iterable[str | Path] = (),
    columns: Mapping[str, str] = AS_THEY_ARE,
) -> list[System]:
    """The systems that the arguments of :func:`evaluate` name, the reports themselves first.

    Raises:
        ScoringError: if the arguments do not fit together, or a file cannot be scored.
    """
    others = [Path(path) for path in against]
    if isinstance(reports, str | Path):
        if patients is not None or not (references is None or isinstance(references, str | Path)):
            raise ScoringError(
                f"{reports}: patients and a list of references go with a list of reports, not with a file; give the "
                "path of a references file, and patients as its column subject_id."
            )
        known = read_references(Path(references), columns) if references is not None else None
        return read_systems(Path(reports), others, known, columns)
    if references is None or isinstance(references, str | Path) or others:
        raise ScoringError(
            "a list of reports takes a list of references, and no files to compare with; to compare systems, give "
            "the path of a predictions file."
        )
    given = {"reports": reports, "references": references} | ({} if patients is None else {"patients": patients})
    return [_system(given)]


def _system(given: Mapping[str, Texts]) -> System:
    """Texts in the form of a predictions file's studies: dictionaries by their ids, others by their places."""
    if any(isinstance(each, Mapping) for each in given.values()):
        ids, columns = _by_id(given)
        places = [f"reports[{study_id!r}]" for study_id in ids]
    else:
        columns = _by_place(given)
        width = len(str(len(columns["reports"]) - 1))
        ids = [f"{i:0{width}}" for i in range(len(columns["reports"]))]
        places = [f"reports[{i}]" for i in range(len(ids))]
    fields = ("study_id", "generated", "reference", "subject_id")
    studies = zip(ids, *columns.values(), strict=True)
    rows = [(place, dict(zip(fields, study, strict=False))) for place, study in zip(places, studies, strict=True)]
    return System("", "ours", Path("reports"), lines_of("reports", rows))


def _by_id(given: Mapping[str, Texts]) -> tuple[list[str], dict[str, list[Any]]]:
    """The ids of dictionaries, and the values of each in the order of these."""
    columns: dict[str, dict[str, Any]] = {}
    for name, texts in given.items():
        if not isinstance(texts, Mapping):
            raise ScoringError(f"{name}: no dictionary, but others are; give all by study id, or all as lists.")
        rows = rows_by_id((f"{name}[{key!r}]", {"study_id": key, "text": text}) for key, text in texts.items())
        columns[name] = {study_id: row["text"] for study_id, (_, row) in rows.items()}
    ids = columns["reports"].keys()
    for name, column in columns.items():
        if odd := sorted(column.keys() ^ ids):
            raise ScoringError(
                f"reports and {name} differ in {len(odd)} study ids (first: {odd[0]}): give both for the same studies."
            )
    return list(ids), {name: [column[study_id] for study_id in ids] for name, column in columns.items()}


def _by_place(given: Mapping[str, Texts]) -> dict[str, list[Any]]:
    """The values in their order, as many for each name; the labels of pandas must not contradict it."""
    columns = {name: _listed(texts) for name, texts in given.items()}
    if len({len(column) for column in columns.values()}) > 1:
        counts = " and ".join(f"{len(column)} {name}" for name, column in columns.items())
        raise ScoringError(f"{counts}: give one of each for every study.")
    labels = [list(texts.keys()) for texts in given.values() if hasattr(texts, "keys")]
    if any(each != labels[0] for each in labels):
        raise ScoringError(
            f"{' and '.join(given)}: Series whose labels differ, or have another order; bring them into one order, "
            "or give dictionaries by study id (.to_dict())."
        )
    return columns


def _listed(texts: Texts) -> list[Any]:
    return list(texts.values()) if isinstance(texts, Mapping) else list(texts)

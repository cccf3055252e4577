"""``from ammrg import evaluate``: scores of generated reports in one call from Python."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ammrg.errors import ScoringError
from ammrg.evaluation.column_names import Columns, parse_columns
from ammrg.evaluation.prediction_files import AS_THEY_ARE
from ammrg.evaluation.predictions import System, lines_of, read_references, read_systems, read_train_texts
from ammrg.evaluation.recalled import RecallFile, read_recalled
from ammrg.evaluation.reports_meta import dataset_beside
from ammrg.evaluation.scored_file import default_protocols
from ammrg.evaluation.scorer import Extra
from ammrg.evaluation.scoring import score_systems
from ammrg.metrics import bootstrap
from ammrg.text.labelers import Labeler


def evaluate(
    reports: str | Path | Sequence[str],
    *,
    references: str | Path | Sequence[str] | None = None,
    patients: Sequence[str] | None = None,
    against: Sequence[str | Path] = (),
    columns: Columns = None,
    dataset: str | None = None,
    protocols: str | Sequence[str] | None = None,
    train_texts: str | Path | Sequence[str] | None = None,
    tokenizer: str | Path | None = None,
    labeler: Labeler | None = None,
    extras: Sequence[Extra] = (),
    resamples: int = bootstrap.RESAMPLES,
    seed: int = 0,
    with_meteor: bool = True,
) -> dict[str, Any]:
    """Score generated reports against their references, as ``ammrg score`` does.

    Args:
        reports: n generated texts; or the path of a predictions file, see
            :data:`ammrg.evaluation.prediction_files.LAYOUTS`. The files ``baselines/*.jsonl``, ``guards/*.jsonl`` and
            ``recalled/*.jsonl`` beside it are scored with it.
        references: for n texts, their n references, none empty; for a file that has only generated texts, the path of
            a file with the references.
        patients: for n texts, the patient of each (n ids), because intervals are over patients; None: each text has a
            patient of its own.
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
        :func:`ammrg.evaluation.scoring.score_systems`. If texts are given, the id of a study is its position among
        them, from 0 and with leading zeros; messages name the first ``reports[0]``.

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
        protocols=default_protocols(name) if protocols is None else protocols,
        dataset=name,
        dataset_from=source,
        recalled=recalled,
        train_texts=train_texts,
        tokenizer=tokenizer,
        labeler=labeler,
        extras=extras,
        resamples=resamples,
        seed=seed,
        with_meteor=with_meteor,
    )


def read_input(
    reports: str | Path | Sequence[str],
    references: str | Path | Sequence[str] | None,
    patients: Sequence[str] | None,
    against: Sequence[str | Path] = (),
    columns: Mapping[str, str] = AS_THEY_ARE,
) -> list[System]:
    """The systems that the arguments of :func:`evaluate` name, the reports themselves first.

    Raises:
        ScoringError: if the arguments do not fit together, or a file cannot be scored.
    """
    if isinstance(reports, str | Path):
        if patients is not None or not (references is None or isinstance(references, str | Path)):
            raise ScoringError(
                f"{reports}: patients and a list of references go with a list of reports, not with a file; give the "
                "path of a references file, and patients as its column subject_id."
            )
        known = read_references(Path(references), columns) if references is not None else None
        return read_systems(Path(reports), [Path(path) for path in against], known, columns)
    if references is None or isinstance(references, str | Path) or against:
        raise ScoringError(
            "a list of reports takes a list of references, and no files to compare with; to compare systems, give "
            "the path of a predictions file."
        )
    return [_system(reports, references, patients)]


def _system(reports: Sequence[str], references: Sequence[str], patients: Sequence[str] | None) -> System:
    """Texts in the form of a predictions file's studies, in the same order."""
    count = len(reports)
    if len(references) != count or (patients is not None and len(patients) != count):
        of_patients = "" if patients is None else f" and {len(patients)} patients"
        raise ScoringError(
            f"{count} reports, {len(references)} references{of_patients}: give one of each for every study."
        )
    width = len(str(count - 1))
    rows = [
        (
            f"reports[{i}]",
            {
                "study_id": f"{i:0{width}}",
                "generated": reports[i],
                "reference": references[i],
                "subject_id": None if patients is None else patients[i],
            },
        )
        for i in range(count)
    ]
    return System("", "ours", Path("reports"), lines_of("reports", rows))

"""``from ammrg import evaluate``: scores of generated reports in one call, without a command line or a file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ammrg.errors import ScoringError
from ammrg.evaluation.predictions import System, lines_of, read_references, read_systems
from ammrg.evaluation.scored_file import default_protocols
from ammrg.evaluation.scoring import Extra, dataset_beside, score_systems
from ammrg.metrics import bootstrap
from ammrg.text.labelers import Labeler


def evaluate(
    reports: str | Path | Sequence[str],
    *,
    references: str | Path | Sequence[str] | None = None,
    patients: Sequence[str] | None = None,
    against: Sequence[str | Path] = (),
    dataset: str | None = None,
    protocols: Sequence[str] | None = None,
    train_texts: Sequence[str] | None = None,
    tokenizer: str | Path | None = None,
    labeler: Labeler | None = None,
    extras: Sequence[Extra] = (),
    resamples: int = bootstrap.RESAMPLES,
    seed: int = 0,
    with_meteor: bool = True,
) -> dict[str, Any]:
    """Score generated reports against their references, as ``ammrg score`` does.

    Args:
        reports: n generated texts; or the path of a predictions file (``.jsonl``, ``.csv`` or ``.json``, see
            :mod:`ammrg.evaluation.predictions`), with which ``baselines/*.jsonl`` and ``guards/*.jsonl`` beside it are
            scored.
        references: for a file that holds generated texts alone, the path of a file that holds the references; for n
            texts, their n references, none empty.
        patients: for n texts, whose they are (n ids), since intervals are over patients; None: each is another's.
        against: for a file, the files of other systems on the same studies, which are compared with it in pairs.
        dataset: whose cleaner and cut ``r2gen`` and ``r2gengpt`` take (``phantom``, ``iu_xray``, ``mimic_cxr`` or
            ``chexpert_plus``); None: what ``reports.meta.json`` beside the file names.
        protocols: ``full``, ``r2gen`` or ``r2gengpt``, see :mod:`ammrg.metrics.protocols`; None: ``full``, and
            ``r2gen`` where the data set is known.
        train_texts: training reports, for ``r2gen``'s vocabulary.
        tokenizer: of a language model, for ``r2gengpt``: its folder or ``tokenizer.json``.
        labeler: who reads the findings; None: the rule-based labeler.
        extras: further metrics.
        resamples: bootstrap resamples of patients, 0 or more; 0 gives no intervals.
        seed: of the resamples.
        with_meteor: also METEOR, where a ``java`` command is.

    Returns:
        What ``scores.json`` holds, e.g. ``scores["full"]["cider"]["value"]``; all of it is described at
        :func:`ammrg.evaluation.scoring.score_systems`. Of texts, study i is called by its place, with leading zeros.

    Raises:
        ScoringError: what cannot be scored as it stands, e.g. unequal numbers of texts and references, or an empty
            reference; the message says which and what to do.
    """
    if resamples < 0:
        raise ScoringError(f"resamples={resamples}: give 0 or more resamples.")
    whose, whence = dataset, "as the caller says"
    if isinstance(reports, str | Path):
        if patients is not None or not (references is None or isinstance(references, str | Path)):
            raise ScoringError(f"{reports}: patients and a list of references go with a list of reports, not a file.")
        known = read_references(Path(references)) if references is not None else None
        systems = read_systems(Path(reports), [Path(path) for path in against], known)
        if dataset is None:
            whose, whence = dataset_beside(Path(reports))
    else:
        if references is None or isinstance(references, str | Path) or against:
            raise ScoringError("a list of reports takes a list of references, and no files to compare with.")
        systems = [_system(reports, references, patients)]
    return score_systems(
        systems,
        protocols=default_protocols(whose) if protocols is None else protocols,
        dataset=whose,
        dataset_from=whence,
        train_texts=train_texts,
        tokenizer=tokenizer,
        labeler=labeler,
        extras=extras,
        resamples=resamples,
        seed=seed,
        with_meteor=with_meteor,
    )


def _system(reports: Sequence[str], references: Sequence[str], patients: Sequence[str] | None) -> System:
    """Texts as a predictions file would give them, in their order."""
    count = len(reports)
    if len(references) != count or (patients is not None and len(patients) != count):
        of_patients = "" if patients is None else f" and {len(patients)} patients"
        raise ScoringError(f"{count} reports, {len(references)} references{of_patients}: give one of each for a study.")
    width = len(str(count - 1))
    rows = [
        (
            f"report {i}",
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

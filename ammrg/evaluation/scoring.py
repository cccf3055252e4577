"""Scores of predictions files on the same studies: values, intervals, differences, and the guards' sentences."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from rich.console import Console
from rich.progress import Progress

from ammrg import __version__
from ammrg.errors import ScoringError
from ammrg.evaluation.box_verdicts import box_sentences
from ammrg.evaluation.faithfulness_verdicts import faithfulness_sentences
from ammrg.evaluation.invented_verdicts import invented_sentences
from ammrg.evaluation.location_verdicts import location_sentences
from ammrg.evaluation.mirrored_films import mirrored_sentences
from ammrg.evaluation.predictions import GROUPS, Line, System
from ammrg.evaluation.recall_verdicts import recall_sentences
from ammrg.evaluation.recalled import RecallFile
from ammrg.evaluation.score_notes import notes
from ammrg.evaluation.scorer import Extra, Scorer
from ammrg.evaluation.text_verdicts import text_sentences
from ammrg.evaluation.verdicts import EXCHANGED, EXCHANGED_MEMORY, MIRRORED, WATCHED, sentences
from ammrg.findings import ABNORMAL
from ammrg.fingerprints import json_fingerprint
from ammrg.metrics import (
    bootstrap,
    clinical,
    meteor,
)
from ammrg.metrics.copying import copying
from ammrg.metrics.guards import collapse, exchanged
from ammrg.metrics.mirroring import FOLLOWS
from ammrg.metrics.odd_texts import odd_texts, training_texts
from ammrg.metrics.protocols import DEFAULT, SCORED, protocol
from ammrg.text.labelers import Labeler, rule_based


class ScorerSettings(NamedTuple):
    """How texts are scored; each field is explained at :func:`score_systems`."""

    protocols: Sequence[str] = DEFAULT
    dataset: str | None = None
    train_texts: Sequence[str] | None = None
    tokenizer: str | Path | None = None
    labeler: Labeler | None = None
    extras: Sequence[Extra] = ()
    resamples: int = bootstrap.RESAMPLES
    seed: int = 0
    with_meteor: bool = True


def score_systems(
    systems: Sequence[System],
    *,
    protocols: Sequence[str] = DEFAULT,
    dataset: str | None = None,
    dataset_from: str | None = None,
    recalled: Sequence[RecallFile] = (),
    train_texts: Sequence[str] | None = None,
    tokenizer: str | Path | None = None,
    labeler: Labeler | None = None,
    extras: Sequence[Extra] = (),
    resamples: int = bootstrap.RESAMPLES,
    seed: int = 0,
    with_meteor: bool = True,
) -> dict[str, Any]:
    """Score systems on the same studies. The first system is compared with all others.

    Args:
        systems: from :func:`ammrg.evaluation.predictions.read_systems`.
        protocols: see :mod:`ammrg.metrics.protocols`.
        dataset: the data set whose cleaner and cut ``r2gen`` and ``r2gengpt`` use; ``full`` needs none.
        dataset_from: where the data set's name comes from, for the sentences.
        recalled: from :func:`ammrg.evaluation.recalled.read_recalled`: what the first system recalled.
        train_texts: training reports for ``r2gen``'s vocabulary.
        tokenizer: the language model's folder or ``tokenizer.json``, for ``r2gengpt``.
        labeler: labels the findings; None: the rule-based labeler.
        extras: metrics of other packages.
        resamples: number of bootstrap resamples of patients, and of draws of approximate randomisation; 0: neither.
        seed: seed of both.
        with_meteor: also compute METEOR, if there is a ``java`` command.

    Returns:
        The contents of scores.json: ``{protocol: {metric: {value, low, high}}, baselines: {name: the same}, guards:
        {name: the same}, against: {name: the same}, comparisons: {name: {protocol: {metric: {value, low, high, p_value,
        effect}}}}, differences, findings, location, boxes, recall, invented, faithfulness, collapse, odd_texts,
        copying, cider_idf, studies, sentences, alarms, meta}``. ``differences`` are those of the reports minus each
        baseline and guard but ``films_mirrored``, in pairs: ``{baselines: {name: {metric: {value, low, high}}}, guards:
        {name: the same}}``, without measures that are undefined for either. That guard also has ``mirrored_follows``;
        ``recall`` has ``exchange_cost`` (metric -> {value, low, high}: what is lost with another patient's memories) if
        the guard ``memory_shuffled`` is there, else None. ``alarms`` are the sentences that report a problem. Equal
        inputs give equal values.

    Raises:
        ScoringError: if a protocol is unknown, or something it needs is missing.
    """
    settings = ScorerSettings(protocols, dataset, train_texts, tokenizer, labeler, extras, resamples, seed, with_meteor)
    with scorer_of(systems, settings) as scorer:
        return scored(systems, scorer, (dataset, dataset_from), recalled, train_texts)


@contextmanager
def scorer_of(systems: Sequence[System], settings: ScorerSettings) -> Iterator[Scorer]:
    """A scorer for the texts of these systems, with METEOR's Java process while it is open.

    Raises:
        ScoringError: see :func:`score_systems`.
    """
    made_for = (settings.dataset, settings.train_texts, settings.tokenizer)
    chosen = [protocol(name, *made_for) for name in dict.fromkeys(settings.protocols)]
    if not chosen:
        raise ScoringError(f"no protocol is given; choose among {', '.join(SCORED)}.")
    labeler = settings.labeler or rule_based()
    make = partial(Scorer, chosen, labeler, settings.extras, settings.resamples, settings.seed)
    if not (settings.with_meteor and meteor.MeteorScorer.available()):
        yield make()
        return
    lines = [line for system in systems for line in system.lines]
    texts = {
        text
        for each in chosen
        for line in lines
        for text in (each.reference(line.reference), each.hypothesis(line.generated))
    }
    with meteor.MeteorScorer(texts) as java:
        yield make(java)


def scored(
    systems: Sequence[System],
    scorer: Scorer,
    dataset: tuple[str | None, str | None],
    recalled: Sequence[RecallFile] = (),
    train_texts: Sequence[str] | None = None,
) -> dict[str, Any]:
    """The result of :func:`score_systems` by a scorer, which several results may share.

    Args:
        systems: the first is compared with all others.
        scorer: from :func:`scorer_of`.
        dataset: the data set's name, and where it comes from.
        recalled: what the first system recalled.
        train_texts: for the fingerprint of the inputs, and compared with the references.
    """
    ours = systems[0].lines
    inputs = fingerprint(systems, train_texts, recalled)
    patients = [line.subject_id for line in ours]
    if len(set(patients)) > 1:
        texts = exchanged([line.generated for line in ours], patients)
        others = [line._replace(generated=text, retrieved=()) for line, text in zip(ours, texts, strict=True)]
        systems = [*systems, System("guards", EXCHANGED, systems[0].path, others)]
    result: dict[str, Any] = {group: {} for group in (*GROUPS, "against")}
    result |= {"findings": {}, "location": {}, "invented": {}, "faithfulness": {}, "collapse": {}}
    result |= {"odd_texts": {}, "comparisons": {}}
    with Progress(transient=True, console=Console(stderr=True)) as progress:
        task = progress.add_task("scoring", total=len(systems) + 1)
        for system in systems:
            scores: dict[str, Any] = scorer.score(system.lines, with_extras=system.group in ("", "against"))
            if (system.group, system.name) == ("guards", MIRRORED):
                scores[FOLLOWS] = scorer.mirrored_follows(ours, system.lines)
            if system.group:
                result[system.group][system.name] = scores
            else:
                result |= scores
            if system.group == "against" and scorer.draws(ours):
                result["comparisons"][system.name] = scorer.compare(ours, system.lines)
            references = [line.reference for line in system.lines]
            generated = [line.generated for line in system.lines]
            labels = scorer.labels(references), scorer.labels(generated)
            name = f"{system.group}/{system.name}" if system.group else system.name
            result["findings"][name] = {
                uncertain: clinical.finding_table(*labels, uncertain) for uncertain in clinical.UNCERTAIN_AS
            }
            result["location"][name] = scorer.location(system.lines)
            result["invented"][name] = scorer.invented(system.lines)
            result["faithfulness"][name] = scorer.faithfulness(system.lines)
            if (system.group, system.name) == ("guards", EXCHANGED):
                result["faithfulness"]["ours"]["above_exchanged"] = scorer.said_above(ours, system.lines)
            result["collapse"][name] = collapse(references, generated, *labels)._asdict()
            result["odd_texts"][name] = odd_texts(references, generated, patients)._asdict()
            progress.advance(task)
        result["cider_idf"] = scorer.idf(ours)
        progress.advance(task)
    copied = copying([line.generated for line in ours], [line.retrieved for line in ours], patients)
    result["copying"] = copied._asdict() if copied else None
    gaps = {
        (system.group, system.name): scorer.watched_difference(ours, system.lines, WATCHED)
        for system in (systems[1:] if scorer.draws(ours) else ())
        # A mirrored film shows the same findings, so no fall in these metrics is expected.
        if system.group != "against" and (system.group, system.name) != ("guards", MIRRORED)
    }
    result["differences"] = {group: {name: gap for (of, name), gap in gaps.items() if of == group} for group in GROUPS}
    result["boxes"] = scorer.boxes(ours)
    result["recall"] = scorer.recall(ours, recalled)
    if result["recall"]:
        result["recall"]["exchange_cost"] = gaps.get(("guards", EXCHANGED_MEMORY))
    result["studies"] = _per_study(ours, scorer)
    result["meta"] = {
        "reports": systems[0].path.name,
        "studies": len(ours),
        "patients": len({line.subject_id for line in ours}),
        "dataset": dataset[0],
        "dataset_from": dataset[1] or "as the caller says",
        "labeler": scorer.labeler.name,
        "extras": [each.name for each in scorer.extras],
        "meteor": "present" if scorer.java else "absent",
        "protocols": {each.name: each.settings for each in scorer.protocols},
        "bootstrap": {"resamples": scorer.resamples, "seed": scorer.seed, "unit": "patient", "level": bootstrap.LEVEL},
        "inputs": inputs,
        "versions": {"ammrg": __version__, **{name: metadata.version(name) for name in ("numpy", "pycocoevalcap")}},
        "reference_in_training": _on_unseen(ours, scorer),
        "train_texts": None
        if train_texts is None
        else training_texts(
            train_texts, [line.reference for line in ours], [line.generated for line in ours]
        )._asdict(),
    }
    verdicts = [
        *notes(result["meta"]),
        *text_sentences(result),
        *location_sentences(result),
        *box_sentences(result),
        *mirrored_sentences(result),
        *recall_sentences(result),
        *invented_sentences(result),
        *faithfulness_sentences(result),
        *sentences(result, gaps),
    ]
    result["sentences"] = [each.text for each in verdicts]
    result["alarms"] = [each.text for each in verdicts if each.alarm]
    return result


def _per_study(lines: Sequence[Line], scorer: Scorer) -> dict[str, list[Any]]:
    """Each study's ROUGE-L and CIDEr under the first protocol, F1 over the 13 findings, and the findings of its texts.

    F1 is None where neither text affirms an abnormal finding. "No Finding" is left out: by CheXpert's rule any text
    that names no finding has it, even nonsense. The positive findings of a text are one integer: bit i is finding i.
    """
    statistics = scorer.statistics(lines, with_extras=True)
    words = statistics.language[scorer.protocols[0].name]
    truth, predicted = statistics.clinical["neg"]
    sides = [side[:, list(ABNORMAL)] for side in (truth, predicted)]
    both, named = (sides[0] & sides[1]).sum(axis=1), sides[0].sum(axis=1) + sides[1].sum(axis=1)
    bits = 2 ** np.arange(truth.shape[1])
    return {
        "study_id": [line.study_id for line in lines],
        "rouge_l": words.rouge_l.tolist(),
        "cider": words.cider.tolist(),
        "f1": [2 * int(agreed) / int(count) if count else None for agreed, count in zip(both, named, strict=True)],
        "reference": (truth @ bits).tolist(),
        "generated": (predicted @ bits).tolist(),
    }


def fingerprint(
    systems: Sequence[System], train_texts: Sequence[str] | None, recalled: Sequence[RecallFile] = ()
) -> str:
    """A fingerprint of all inputs of the scores except settings; it ignores the order of lines and the folder."""
    return json_fingerprint(
        [[system.group, system.name, system.lines] for system in systems]
        + [None if train_texts is None else list(train_texts)]
        + [[file.name, file.fingerprint] for file in recalled]
    )


def _on_unseen(lines: Sequence[Line], scorer: Scorer) -> dict[str, Any]:
    """The share of references that are also training reports, word for word, and the scores on the other studies."""
    if any(line.reference_in_training is None for line in lines):
        return {"share": None, "others": 0, "scores_on_others": {}}
    others = [line for line in lines if not line.reference_in_training]
    return {
        "share": 1 - len(others) / len(lines),
        "others": len(others),
        "scores_on_others": scorer.score(others) if others else {},
    }

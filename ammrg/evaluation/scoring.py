"""Scores of predictions files on the same studies: values, intervals, differences, and the guards' sentences."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import Progress

from ammrg import __version__
from ammrg.errors import ScoringError
from ammrg.evaluation.box_scores import box_section
from ammrg.evaluation.box_verdicts import box_sentences
from ammrg.evaluation.location_verdicts import location_sentences
from ammrg.evaluation.mirrored_films import mirrored_sentences
from ammrg.evaluation.predictions import GROUPS, Line, System
from ammrg.evaluation.recall_scores import StudyTruth, recall_section
from ammrg.evaluation.recall_verdicts import recall_sentences
from ammrg.evaluation.recalled import RecallFile
from ammrg.evaluation.score_notes import notes
from ammrg.evaluation.verdicts import MIRRORED, sentences, watched
from ammrg.fingerprints import json_fingerprint
from ammrg.metrics import bootstrap, box_location, clinical, comparison, language, location, meteor
from ammrg.metrics.copying import copying
from ammrg.metrics.guards import collapse, exchanged
from ammrg.metrics.mirroring import FOLLOWS, mirrored_follows, outcome_counts
from ammrg.metrics.protocols import DEFAULT, SCORED, Protocol, protocol
from ammrg.metrics.resampled_idf import idf_difference
from ammrg.text.labelers import Labeler, rule_based
from ammrg.text.places import finding_places

Floats = NDArray[np.float64]
Scores = dict[str, dict[str, float | None]]
"""metric -> {value, low, high}."""

IDF_RESAMPLES = 100
"""Number of resamples for which the idf is computed again, to show the effect of a fixed idf."""
META = "reports.meta.json"
"""File beside a run's reports that says how they were made."""
EXCHANGED = "reports_exchanged"
"""The guard that needs no network: each study gets another patient's generated report."""
UNDEFINED: dict[str, float | None] = {"value": None, "low": None, "high": None}


class Extra(NamedTuple):
    """A metric of another package, which scores each pair of whole texts; the score is the mean over studies."""

    name: str
    """Name and version, for the table."""
    per_study: Callable[[Sequence[str], Sequence[str]], Mapping[str, Floats]]
    """References and generated reports -> metric -> ``[n]``."""


class Statistics(NamedTuple):
    """Each study's contribution to every score of a system."""

    language: dict[str, language.LanguageStatistics]
    """Protocol -> statistics."""
    meteor: dict[str, meteor.MeteorStatistics]
    """Protocol -> statistics; empty without METEOR."""
    clinical: dict[str, clinical.ClinicalStatistics]
    """How "uncertain" counts (neg, pos) -> statistics."""
    location: location.LocationStatistics
    boxes: location.LocationStatistics
    """Location against the boxes of the films; no counts without boxes."""
    extra: dict[str, Floats]
    """Metric -> ``[n]``."""

    def under(self, name: str) -> Statistics:
        """The statistics with this protocol only."""
        return self._replace(
            language={name: self.language[name]}, meteor={name: self.meteor[name]} if self.meteor else {}
        )

    def without_chance(self) -> Statistics:
        """The statistics without the chance of location, which says nothing about a difference of two systems."""
        return self._replace(location=self.location._replace(chance={}), boxes=self.boxes._replace(chance={}))

    def undefined(self) -> set[str]:
        """The measures of location that have nothing to count."""
        return location.undefined(self.location) | box_location.undefined(self.boxes)


def weighted_scores(statistics: Statistics, weights: Floats) -> dict[str, Floats]:
    """Every metric under study weights ``[r n]``: metric -> ``[r]``. The statistics must be of one protocol."""
    (words,) = statistics.language.values()
    total = weights.sum(axis=1)
    scores = language.weighted_scores(words, weights)
    for aligned in statistics.meteor.values():
        scores |= meteor.weighted_scores(aligned, weights)
    return {
        **scores,
        **clinical.weighted_scores(statistics.clinical, weights),
        **location.weighted_scores(statistics.location, weights),
        **box_location.weighted_scores(statistics.boxes, weights),
        **{key: weights @ values / total for key, values in statistics.extra.items()},
    }


class Scorer:
    """Scores systems on the same studies, with the same resamples.

    Args:
        protocols: the protocols of the word metrics.
        labeler: labels the findings.
        extras: metrics of other packages, for the reports and the files they are compared with.
        resamples: number of bootstrap resamples, and of draws of approximate randomisation.
        seed: seed of both.
        java: a started METEOR scorer; None: no METEOR.
    """

    def __init__(
        self,
        protocols: Sequence[Protocol],
        labeler: Labeler,
        extras: Sequence[Extra] = (),
        resamples: int = bootstrap.RESAMPLES,
        seed: int = 0,
        java: meteor.MeteorScorer | None = None,
    ) -> None:
        self.protocols, self.labeler, self.extras = protocols, labeler, extras
        self.resamples, self.seed, self.java = resamples, seed, java
        self.known_labels: dict[str, list[float]] = {}
        self.known_places: dict[str, location.Places] = {}
        self.known_statistics: dict[tuple[Line, ...], Statistics] = {}
        self.known_extras: dict[tuple[Line, ...], dict[str, Floats]] = {}

    def labels(self, texts: Iterable[str]) -> list[list[float]]:
        """The 14 labels of each text; equal texts are labelled once."""
        wanted = list(texts)
        new = list(dict.fromkeys(text for text in wanted if text not in self.known_labels))
        self.known_labels.update(zip(new, self.labeler.label_all(new), strict=True) if new else ())
        return [self.known_labels[text] for text in wanted]

    def places(self, texts: Iterable[str]) -> list[location.Places]:
        """Where each text puts the findings that it affirms, by the rule-based labeler; equal texts are read once."""
        wanted = list(texts)
        for text in wanted:
            if text not in self.known_places:
                self.known_places[text] = finding_places(text)
        return [self.known_places[text] for text in wanted]

    def box_truths(self, lines: Sequence[Line]) -> list[box_location.BoxTruth]:
        """Where the findings of each study are, by its boxes."""
        references = self.places(line.reference for line in lines)
        return [box_location.box_truth(found, line.boxes) for found, line in zip(references, lines, strict=True)]

    def draws(self, lines: Sequence[Line]) -> int:
        """The number of resamples for these patients; 0 if they are too few."""
        return bootstrap.drawable(len({line.subject_id for line in lines}), self.resamples)

    def weights(self, lines: Sequence[Line]) -> Floats:
        """Resamples of the patients, as weights of the n studies ``[draws n]``."""
        return bootstrap.patient_weights([line.subject_id for line in lines], self.draws(lines), self.seed)

    def statistics(self, lines: Sequence[Line], with_extras: bool = False) -> Statistics:
        """Per-study statistics; computed once for the same lines."""
        key = tuple(lines)
        if key not in self.known_statistics:
            self.known_statistics[key] = self._measure(lines)
        known = self.known_statistics[key]
        if with_extras and self.extras:
            if key not in self.known_extras:
                texts = [line.reference for line in lines], [line.generated for line in lines]
                parts = [each.per_study(*texts) for each in self.extras]
                self.known_extras[key] = {metric: values for part in parts for metric, values in part.items()}
            known = known._replace(extra=self.known_extras[key])
        return known

    def _measure(self, lines: Sequence[Line]) -> Statistics:
        references, generated = [line.reference for line in lines], [line.generated for line in lines]
        words = {
            each.name: ([each.reference(text) for text in references], [each.hypothesis(text) for text in generated])
            for each in self.protocols
        }
        with ThreadPoolExecutor(1) as pool:  # Java aligns words while Python counts them
            aligning = {name: pool.submit(self.java.statistics, *pair) for name, pair in words.items() if self.java}
            counted = {name: language.language_statistics(*pair) for name, pair in words.items()}
            found = clinical.clinical_statistics(self.labels(references), self.labels(generated))
            places = self.places(references), self.places(generated)
            placed = location.location_statistics(*places, seed=self.seed)
            boxed = box_location.box_statistics(self.box_truths(lines), places[1], seed=self.seed)
            aligned = {name: future.result() for name, future in aligning.items()}
        return Statistics(counted, aligned, found, placed, boxed, {})

    def score(self, lines: Sequence[Line], with_extras: bool = False) -> dict[str, Scores]:
        """Protocol -> metric -> {value, low, high}; all three None for a measure of location with n = 0."""
        weights, statistics = self.weights(lines), self.statistics(lines, with_extras)
        without = dict.fromkeys(statistics.undefined(), UNDEFINED)
        return {
            each.name: bootstrap.with_intervals(partial(weighted_scores, statistics.under(each.name)), weights)
            | without
            for each in self.protocols
        }

    def location(self, lines: Sequence[Line]) -> dict[str, dict[str, Any]]:
        """Aspect -> {pairs, same, placed, covered, varies, above_chance: {part: {value, low, high, error}}}.

        ``above_chance`` is empty without resamples; it lacks a measure with n = 0.
        """
        weights, statistics = self.weights(lines), self.statistics(lines).location
        references = self.places(line.reference for line in lines)
        gaps = location.above_chance(statistics, weights) if len(weights) else {}
        return {
            aspect: {
                **counts,
                "varies": location.varies(references, aspect),
                "above_chance": {
                    part: gaps[key] for part in location.PARTS if (key := f"location_{aspect}_{part}") in gaps
                },
            }
            for aspect, counts in location.pair_counts(statistics).items()
        }

    def mirrored_follows(self, lines: Sequence[Line], mirrored: Sequence[Line]) -> dict[str, Any]:
        """Whether the sides in reports follow mirrored films, see :func:`ammrg.metrics.mirroring.mirrored_follows`."""
        texts = ([line.generated for line in each] for each in (lines, mirrored))
        return mirrored_follows(outcome_counts(*map(self.places, texts)), self.weights(lines))

    def boxes(self, lines: Sequence[Line]) -> dict[str, Any] | None:
        """What stands behind the measures against boxes, see :func:`ammrg.evaluation.box_scores.box_section`."""
        references = self.places(line.reference for line in lines)
        return box_section(self.box_truths(lines), references, self.statistics(lines).boxes, self.weights(lines))

    def recall(self, lines: Sequence[Line], recalled: Sequence[RecallFile]) -> dict[str, Any] | None:
        """The measures of recall, see :func:`ammrg.evaluation.recall_scores.recall_section`."""
        references = self.places(line.reference for line in lines)
        truths = list(map(StudyTruth, references, self.box_truths(lines)))
        return recall_section(recalled, truths, self.places, self.weights(lines))

    def watched_difference(
        self, first: Sequence[Line], second: Sequence[Line], metrics: Iterable[str]
    ) -> dict[str, dict[str, float]]:
        """First minus second in some metrics, under the first protocol, over paired resamples."""
        name = self.protocols[0].name

        def chosen(statistics: Statistics, rows: Floats) -> dict[str, Floats]:
            everything = weighted_scores(statistics, rows)
            return {key: everything[key] for key in metrics}

        sides = [partial(chosen, self.statistics(lines).under(name).without_chance()) for lines in (first, second)]
        return bootstrap.paired_difference(sides[0], sides[1], self.weights(first))

    def compare(self, first: Sequence[Line], second: Sequence[Line]) -> dict[str, dict[str, dict[str, float]]]:
        """First minus second: protocol -> metric -> {value, low, high, p_value, effect}.

        A measure of location for which either has n = 0 is left out.
        """
        weights = self.weights(first)
        swaps = comparison.swaps([line.subject_id for line in first], self.resamples, self.seed)
        both = [self.statistics(lines, with_extras=True).without_chance() for lines in (first, second)]
        without = both[0].undefined() | both[1].undefined()
        return {
            each.name: {
                metric: difference._asdict()
                for metric, difference in comparison.compare(
                    both[0].under(each.name), both[1].under(each.name), weighted_scores, weights, swaps
                ).items()
                if metric not in without
            }
            for each in self.protocols
        }

    def idf(self, lines: Sequence[Line]) -> dict[str, dict[str, float]]:
        """The effect of CIDEr's fixed idf on the first resamples, for each protocol; empty without resamples."""
        weights = self.weights(lines)[:IDF_RESAMPLES]
        return {
            each.name: idf_difference(
                [each.reference(line.reference) for line in lines],
                [each.hypothesis(line.generated) for line in lines],
                weights,
            )
            for each in self.protocols
            if len(weights)
        }


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
        effect}}}}, findings, location, boxes, recall, collapse, copying, cider_idf, studies, sentences, alarms,
        meta}``. The guard ``films_mirrored`` also has ``mirrored_follows``. ``alarms`` are the sentences that report a
        problem. Equal inputs give equal values.

    Raises:
        ScoringError: if a protocol is unknown, or something it needs is missing.
    """
    chosen = [protocol(name, dataset, train_texts, tokenizer) for name in dict.fromkeys(protocols)]
    if not chosen:
        raise ScoringError(f"no protocol is given; choose among {', '.join(SCORED)}.")
    make = partial(Scorer, chosen, labeler or rule_based(), extras, resamples, seed)
    if not (with_meteor and meteor.MeteorScorer.available()):
        return _scored(systems, make(), (dataset, dataset_from), recalled, train_texts)
    lines = [line for system in systems for line in system.lines]
    texts = {
        text
        for each in chosen
        for line in lines
        for text in (each.reference(line.reference), each.hypothesis(line.generated))
    }
    with meteor.MeteorScorer(texts) as java:
        return _scored(systems, make(java), (dataset, dataset_from), recalled, train_texts)


def _scored(
    systems: Sequence[System],
    scorer: Scorer,
    dataset: tuple[str | None, str | None],
    recalled: Sequence[RecallFile],
    train_texts: Sequence[str] | None,
) -> dict[str, Any]:
    ours = systems[0].lines
    inputs = fingerprint(systems, train_texts, recalled)
    patients = [line.subject_id for line in ours]
    if len(set(patients)) > 1:
        texts = exchanged([line.generated for line in ours], patients)
        others = [line._replace(generated=text, retrieved=()) for line, text in zip(ours, texts, strict=True)]
        systems = [*systems, System("guards", EXCHANGED, systems[0].path, others)]
    result: dict[str, Any] = {group: {} for group in (*GROUPS, "against")}
    result |= {"findings": {}, "location": {}, "collapse": {}, "comparisons": {}}
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
            result["collapse"][name] = collapse(references, generated, *labels)._asdict()
            progress.advance(task)
        result["cider_idf"] = scorer.idf(ours)
        progress.advance(task)
    copied = copying([line.generated for line in ours], [line.retrieved for line in ours], patients)
    result["copying"] = copied._asdict() if copied else None
    gaps = {
        (system.group, system.name): scorer.watched_difference(ours, system.lines, watched(system.name))
        for system in (systems[1:] if scorer.draws(ours) else ())
        # A mirrored film shows the same findings, so no fall in these metrics is expected.
        if system.group != "against" and (system.group, system.name) != ("guards", MIRRORED)
    }
    result["boxes"] = scorer.boxes(ours)
    result["recall"] = scorer.recall(ours, recalled)
    result["studies"] = _per_study(ours, scorer)
    result["meta"] = {
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
    }
    verdicts = [
        *notes(result["meta"]),
        *location_sentences(result),
        *box_sentences(result),
        *mirrored_sentences(result),
        *recall_sentences(result),
        *sentences(result, gaps),
    ]
    result["sentences"] = [each.text for each in verdicts]
    result["alarms"] = [each.text for each in verdicts if each.alarm]
    return result


def _per_study(lines: Sequence[Line], scorer: Scorer) -> dict[str, list[Any]]:
    """Each study's ROUGE-L and CIDEr under the first protocol, F1 over the 14 findings, and the findings of its texts.

    The positive findings of a text are one integer: bit i is finding i.
    """
    statistics = scorer.statistics(lines, with_extras=True)
    words = statistics.language[scorer.protocols[0].name]
    truth, predicted = statistics.clinical["neg"]
    both, named = (truth & predicted).sum(axis=1), truth.sum(axis=1) + predicted.sum(axis=1)
    bits = 2 ** np.arange(truth.shape[1])
    return {
        "study_id": [line.study_id for line in lines],
        "rouge_l": words.rouge_l.tolist(),
        "cider": words.cider.tolist(),
        "f1": (2 * both / np.maximum(1, named)).tolist(),
        "reference": (truth @ bits).tolist(),
        "generated": (predicted @ bits).tolist(),
    }


def dataset_beside(reports: Path) -> tuple[str | None, str]:
    """(the data set that ``reports.meta.json`` beside the reports names, or None; where its name comes from)."""
    return named_beside(reports, "dataset"), f"as {META} says"


def named_beside(reports: Path, field: str) -> str | None:
    """A field of ``reports.meta.json`` beside the reports; None if there is no such file or field."""
    path = reports.parent / META
    named = json.loads(path.read_text(encoding="utf-8")).get(field) if path.is_file() else None
    return None if named is None else str(named)


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

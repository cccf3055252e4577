"""The statistics and scores of one file of predictions, and its paired differences from another."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ammrg.evaluation.box_scores import box_section
from ammrg.evaluation.findings_tables import present_findings, why_unknown
from ammrg.evaluation.predictions import Line
from ammrg.evaluation.recall_scores import StudyTruth, recall_section
from ammrg.evaluation.recalled import RecallFile
from ammrg.metrics import (
    bootstrap,
    box_location,
    clinical,
    comparison,
    faithfulness,
    invented,
    language,
    location,
    meteor,
)
from ammrg.metrics.mirroring import mirrored_follows, outcome_counts
from ammrg.metrics.protocols import Protocol
from ammrg.metrics.resampled_idf import idf_difference
from ammrg.text.labelers import Labeler
from ammrg.text.places import finding_places
from ammrg.text.unseen import unseen_kinds

Floats = NDArray[np.float64]
Scores = dict[str, dict[str, float | None]]
"""metric -> {value, low, high}."""
IDF_RESAMPLES = 100
"""Number of resamples for which the idf is computed again, to show the effect of a fixed idf."""
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
    invented: invented.InventedStatistics
    faithfulness: faithfulness.Statistics
    """Empty if the file does not say which findings are present."""
    extra: dict[str, Floats]
    """Metric -> ``[n]``."""

    def under(self, name: str) -> Statistics:
        """The statistics with this protocol only."""
        return self._replace(
            language={name: self.language[name]}, meteor={name: self.meteor[name]} if self.meteor else {}
        )

    def without_chance(self) -> Statistics:
        """The statistics without the chance of location and without what the references invent.

        They say nothing about a difference of two systems.
        """
        return self._replace(
            location=self.location._replace(chance={}),
            boxes=self.boxes._replace(chance={}),
            invented=self.invented._replace(references={}),
        )

    def undefined(self) -> set[str]:
        """The measures that have nothing to count."""
        return (
            clinical.undefined(self.clinical)
            | location.undefined(self.location)
            | box_location.undefined(self.boxes)
            | faithfulness.undefined(self.faithfulness)
        )


def weighted_scores(statistics: Statistics, weights: Floats) -> dict[str, Floats]:
    """Every metric under study weights ``[r n]``: metric -> ``[r]``. The statistics must be of one protocol."""
    return word_scores(statistics, weights) | finding_scores(statistics, weights) | extra_scores(statistics, weights)


def word_scores(statistics: Statistics, weights: Floats) -> dict[str, Floats]:
    """The metrics that depend on the protocol, as in :func:`weighted_scores`."""
    (words,) = statistics.language.values()
    scores = language.weighted_scores(words, weights)
    for aligned in statistics.meteor.values():
        scores |= meteor.weighted_scores(aligned, weights)
    return scores


def finding_scores(statistics: Statistics, weights: Floats) -> dict[str, Floats]:
    """The metrics of findings, places and claims, which are the same under every protocol."""
    return {
        **clinical.weighted_scores(statistics.clinical, weights),
        **location.weighted_scores(statistics.location, weights),
        **box_location.weighted_scores(statistics.boxes, weights),
        **invented.weighted_scores(statistics.invented, weights),
        **faithfulness.weighted_scores(statistics.faithfulness, weights),
    }


def extra_scores(statistics: Statistics, weights: Floats) -> dict[str, Floats]:
    """The metrics of other packages."""
    total = weights.sum(axis=1)
    return {key: weights @ values / total for key, values in statistics.extra.items()}


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
        self.known_words: dict[tuple[str, str, str], str] = {}
        """(protocol, reference or hypothesis, text) -> its words."""
        self.known_labels: dict[str, list[float]] = {}
        self.known_places: dict[str, location.Places] = {}
        self.known_statistics: dict[tuple[Line, ...], Statistics] = {}
        self.known_extras: dict[tuple[Line, ...], dict[str, Floats]] = {}
        self.known_weights: dict[tuple[str, ...], Floats] = {}
        self.known_values: dict[tuple[str, tuple[Line, ...]], dict[str, Floats]] = {}

    def words(self, lines: Sequence[Line], protocol: Protocol) -> tuple[list[str], list[str]]:
        """References and generated reports as the protocol reads them; equal texts are read once."""

        def read(side: str, view: Callable[[str], str], text: str) -> str:
            key = (protocol.name, side, text)
            if key not in self.known_words:
                self.known_words[key] = view(text)
            return self.known_words[key]

        return (
            [read("reference", protocol.reference, line.reference) for line in lines],
            [read("hypothesis", protocol.hypothesis, line.generated) for line in lines],
        )

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
        """Resamples of the patients, as weights of the n studies ``[draws n]``; drawn once for the same patients."""
        key = tuple(line.subject_id for line in lines)
        if key not in self.known_weights:
            # Only the last are kept: they are the largest arrays of all.
            self.known_weights = {key: bootstrap.patient_weights(key, self.draws(lines), self.seed)}
        return self.known_weights[key]

    def values(self, lines: Sequence[Line], protocol: str) -> dict[str, Floats]:
        """Every metric under one protocol, without extras: the plain value and the resamples' ``[1 + draws]``."""
        statistics, weights = self.statistics(lines), self.weights(lines)
        parts = (("", statistics, finding_scores), (protocol, statistics.under(protocol), word_scores))
        for name, each, scores in parts:
            if (name, tuple(lines)) not in self.known_values:
                found = bootstrap.plain_and_resampled(partial(scores, each), weights)
                self.known_values[name, tuple(lines)] = found
        return self.known_values[protocol, tuple(lines)] | self.known_values["", tuple(lines)]

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
        words = {each.name: self.words(lines, each) for each in self.protocols}
        with ThreadPoolExecutor(1) as pool:  # Java aligns words while Python counts them
            aligning = {name: pool.submit(self.java.statistics, *pair) for name, pair in words.items() if self.java}
            counted = {name: language.language_statistics(*pair) for name, pair in words.items()}
            found = clinical.clinical_statistics(self.labels(references), self.labels(generated))
            places = self.places(references), self.places(generated)
            placed = location.location_statistics(*places, seed=self.seed)
            boxed = box_location.box_statistics(self.box_truths(lines), places[1], seed=self.seed)
            unseen = invented.invented_statistics(
                *([unseen_kinds(text) for text in texts] for texts in (references, generated))
            )
            present = present_findings(line.table for line in lines)
            told = {} if present is None else faithfulness.faithfulness_statistics(present, self.labels(generated))
            aligned = {name: future.result() for name, future in aligning.items()}
        return Statistics(counted, aligned, found, placed, boxed, unseen, told, {})

    def score(self, lines: Sequence[Line], with_extras: bool = False) -> dict[str, Scores]:
        """Protocol -> metric -> {value, low, high}; all three None for a measure with n = 0."""
        statistics = self.statistics(lines, with_extras)
        extras = bootstrap.plain_and_resampled(partial(extra_scores, statistics), self.weights(lines))
        without = dict.fromkeys(statistics.undefined(), UNDEFINED)
        return {
            each.name: {
                key: bootstrap.with_interval(values) for key, values in (self.values(lines, each.name) | extras).items()
            }
            | without
            for each in self.protocols
        }

    def location(self, lines: Sequence[Line]) -> dict[str, dict[str, Any]]:
        """Aspect -> {pairs, same, placed, covered, varies, above_chance: {part: {value, low, high, error}}}.

        ``above_chance`` is empty without resamples; it lacks a measure with n = 0.
        """
        statistics, values = self.statistics(lines).location, self.values(lines, self.protocols[0].name)
        references = self.places(line.reference for line in lines)
        gaps = location.above_chance(statistics, values) if self.draws(lines) else {}
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

    def invented(self, lines: Sequence[Line]) -> dict[str, Any]:
        """{reports, generated and references: {key: count}, above_references: {key: {value, low, high, error}}}.

        ``above_references`` is empty without resamples.
        """
        weights, statistics = self.weights(lines), self.statistics(lines).invented
        return {
            "reports": len(lines),
            **invented.report_counts(statistics),
            "above_references": invented.above_references(statistics, weights) if len(weights) else {},
        }

    def faithfulness(self, lines: Sequence[Line]) -> dict[str, Any]:
        """See :func:`ammrg.metrics.faithfulness.finding_counts`; ``{"absent": why}`` if the tables are not known."""
        statistics = self.statistics(lines).faithfulness
        if not statistics:
            return {"absent": why_unknown(line.table for line in lines)}
        return {"absent": None, **faithfulness.finding_counts(statistics)}

    def said_above(self, first: Sequence[Line], second: Sequence[Line]) -> Mapping[str, float] | None:
        """``said_f1`` of the first minus the second; None without tables or resamples."""
        weights, sides = self.weights(first), [self.statistics(lines).faithfulness for lines in (first, second)]
        return faithfulness.f1_above(sides[0], sides[1], weights) if len(weights) and all(sides) else None

    def mirrored_follows(self, lines: Sequence[Line], mirrored: Sequence[Line]) -> dict[str, Any]:
        """Whether the sides in reports follow mirrored films, see :func:`ammrg.metrics.mirroring.mirrored_follows`."""
        texts = ([line.generated for line in each] for each in (lines, mirrored))
        return mirrored_follows(outcome_counts(*map(self.places, texts)), self.weights(lines))

    def boxes(self, lines: Sequence[Line]) -> dict[str, Any] | None:
        """What stands behind the measures against boxes, see :func:`ammrg.evaluation.box_scores.box_section`."""
        references = self.places(line.reference for line in lines)
        statistics, values = self.statistics(lines).boxes, self.values(lines, self.protocols[0].name)
        return box_section(self.box_truths(lines), references, statistics, values, self.weights(lines))

    def recall(self, lines: Sequence[Line], recalled: Sequence[RecallFile]) -> dict[str, Any] | None:
        """The measures of recall, see :func:`ammrg.evaluation.recall_scores.recall_section`."""
        references = self.places(line.reference for line in lines)
        truths = list(map(StudyTruth, references, self.box_truths(lines)))
        return recall_section(recalled, truths, self.places, self.weights(lines))

    def watched_difference(
        self, first: Sequence[Line], second: Sequence[Line], metrics: Iterable[str]
    ) -> dict[str, dict[str, float]]:
        """First minus second in some metrics, under the first protocol, over paired resamples.

        A measure for which either has n = 0 is left out.
        """
        without = self.statistics(first).undefined() | self.statistics(second).undefined()
        sides = [self.values(lines, self.protocols[0].name) for lines in (first, second)]
        return {key: bootstrap.difference(sides[0][key], sides[1][key]) for key in metrics if key not in without}

    def compare(self, first: Sequence[Line], second: Sequence[Line]) -> dict[str, dict[str, dict[str, float]]]:
        """First minus second: protocol -> metric -> {value, low, high, p_value, effect}.

        A measure for which either has n = 0 is left out, and those of faithfulness if either has no tables.
        """
        weights = self.weights(first)
        swaps = comparison.swaps([line.subject_id for line in first], self.resamples, self.seed)
        both = [self.statistics(lines, with_extras=True).without_chance() for lines in (first, second)]
        if not all(each.faithfulness for each in both):
            both = [each._replace(faithfulness={}) for each in both]
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
                *self.words(lines, each),
                weights,
            )
            for each in self.protocols
            if len(weights)
        }

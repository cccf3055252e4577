"""What stands behind the measures of location against boxes, as scores.json has it under ``boxes``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from ammrg.metrics import bootstrap, box_location, location
from ammrg.metrics.location import Floats, LocationStatistics, Places


def box_section(
    truths: Sequence[box_location.BoxTruth],
    references: Sequence[Places],
    statistics: LocationStatistics,
    values: Mapping[str, Floats],
    weights: Floats,
) -> dict[str, Any] | None:
    """The counts, the references' own figures, and the distance from chance.

    Args:
        truths: of n studies.
        references: the places of their reference reports.
        statistics: of their generated reports against the boxes, with the chance.
        values: key -> ``[1 + r]`` of :func:`ammrg.metrics.box_location.weighted_scores`.
        weights: ``[r n]`` of :func:`ammrg.metrics.bootstrap.patient_weights`; r may be 0.

    Returns:
        None without any box. Else ``findings``: pairs (study, finding) with a box; ``unknown``: pairs that a reference
        affirms without one; and aspect -> ``{placed, varies, references, above_chance}``: the pairs that the boxes
        place; whether these places differ; the F1 {value, low, high} of the references themselves, which may leave a
        place out; the F1 of the reports minus its chance {value, low, high, error}, None without resamples or counts.
    """
    if not statistics.found:
        return None
    written = box_location.box_statistics(truths, references, draws=0)
    known = bootstrap.with_intervals(partial(box_location.weighted_scores, written), weights)
    gaps = box_location.above_chance(statistics, values) if len(weights) else {}
    return {
        "findings": sum(len(truth.places) for truth in truths),
        "unknown": sum(len(truth.unknown) for truth in truths),
        **{
            aspect: {
                "placed": counts["placed"],
                "varies": location.varies([truth.places for truth in truths], aspect),
                "references": known[f"box_{aspect}_f1"],
                "above_chance": gaps.get(f"box_{aspect}_f1"),
            }
            for aspect, counts in location.pair_counts(statistics).items()
        },
    }

"""report.html from scores and predictions: verdicts, the studies one by one, and tables."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from rich.console import Console
from rich.progress import track

from ammrg.atomic import write_atomically
from ammrg.data_sets import trained_on
from ammrg.evaluation.mirrored_films import mirrored_note
from ammrg.evaluation.page.agreement import marked_pair
from ammrg.evaluation.page.claims import (
    faithfulness_rows,
    found_bits,
    places_of,
    probabilities_of,
    unseen_marks,
)
from ammrg.evaluation.page.columns import PAGE_COLUMNS, page_columns
from ammrg.evaluation.page.headlines import headline
from ammrg.evaluation.prediction_fields import id_text
from ammrg.evaluation.prediction_files import AS_THEY_ARE, study_rows
from ammrg.evaluation.predictions import GROUPS, Line
from ammrg.evaluation.recall_table import COLUMNS as RECALL_COLUMNS
from ammrg.evaluation.recall_table import recall_note, recall_rows
from ammrg.evaluation.reports_meta import thresholds_in
from ammrg.evaluation.score_notes import patients_in_words
from ammrg.evaluation.score_table import ALL_COLUMNS, figures
from ammrg.evaluation.verdicts import called, protocols_of
from ammrg.findings import FINDINGS
from ammrg.metrics.mirroring import FOLLOWS
from ammrg.notice import NOTICE
from ammrg.pages.page_file import render
from ammrg.text.shown_places import shown_place

PARTS = Path(__file__).parent
SCRIPTS = ("verdicts", "tables", "studies", "study", "start")
CASES = 30
"""Number of the worst studies, and of the best, that are shown with their films."""
RESTRICTED = (
    "Restricted data: this page has {held} under their data set's terms of use. It must not leave this machine."
)


class Films(NamedTuple):
    """The films and maps of some studies."""

    of_study: Mapping[str, Mapping[str, Any]]
    """Study id -> ``{image: data URI, maps: {finding: {probability, grid: rows of 0..100}}, shift: in cells}``."""
    absent: str
    """The text in place of a film that is not shown."""


FilmsOf = Callable[[Path, Sequence[str]], Films]
"""(run folder, study ids) -> the films of these studies."""
NO_FILMS = Films({}, "Films are shown only for the reports of a run, whose folder has the network and names the data.")


def write_page(
    path: Path,
    reports: Path,
    lines: Sequence[Line],
    scores: Mapping[str, Any],
    films: Films = NO_FILMS,
    columns: Mapping[str, str] = AS_THEY_ARE,
) -> Path:
    """Write the page atomically and return its path.

    Args:
        path: the page's file.
        reports: the predictions file, which names the retrieved reports and regions; ``reports.meta.json`` beside it
            says whether the data is restricted.
        lines: its studies.
        scores: the contents of scores.json.
        films: the films and maps to show.
        columns: the file's own names, from :func:`ammrg.evaluation.column_names.parse_columns`.
    """
    write_atomically(path, rendered(page_data(reports, lines, scores, films, columns)).encode())
    return path


def rendered(data: Mapping[str, Any]) -> str:
    """The page with its data, style and script inside."""
    return render(PARTS / "page.html", [PARTS / "page.css"], [PARTS / f"{name}.js" for name in SCRIPTS], data)


def page_data(
    reports: Path,
    lines: Sequence[Line],
    scores: Mapping[str, Any],
    films: Films,
    columns: Mapping[str, str] = AS_THEY_ARE,
) -> dict[str, Any]:
    """The data of the page, as JSON values."""
    meta = scores["meta"]
    known = reports.parent / "reports.meta.json"
    written_with = json.loads(known.read_text(encoding="utf-8")) if known.is_file() else None
    restricted = written_with is not None and written_with.get("restricted", True)
    trained = f"; the model was {trained_on(written_with.get('dataset', ''))}" if written_with else ""
    thresholds = thresholds_in(reports.parent)
    texts: dict[str, int] = {}
    rows = _rows(reports, columns)
    place = {study_id: i for i, study_id in enumerate(scores["studies"]["study_id"])}
    studies = [
        _study(line, {key: values[place[line.study_id]] for key, values in scores["studies"].items()}, rows, texts)
        for line in track(lines, "report.html", transient=True, console=Console(stderr=True), disable=len(lines) < 1000)
    ]
    return {
        "title": f"Generated reports: {reports.resolve().parent.name}/{reports.name}",
        "notice": NOTICE,
        "restricted": RESTRICTED.format(held="reports and films" if films.of_study else "reports")
        if restricted
        else None,
        "facts": f"{meta['studies']} studies of {patients_in_words(meta['patients'])}, "
        f"{meta['dataset'] or 'data set not named'}; findings read by {meta['labeler']}; METEOR {meta['meteor']}; "
        f"intervals: 95% of {meta['bootstrap']['resamples']} resamples of patients{trained}",
        "names": list(FINDINGS),
        "protocols": protocols_of(scores),
        "columns": page_columns(),
        "systems": [
            _system(group, name, scores, values)
            for group, named in {
                "": {"ours": scores},
                **{group: scores[group] for group in (*GROUPS, "against")},
            }.items()
            for name, values in named.items()
        ],
        "differences": {protocol: _differences(scores, protocol) for protocol in protocols_of(scores)},
        "figures": figures(scores),
        "sentences": [
            {"text": text, "alarm": text in scores["alarms"], "headline": headline(text)}
            for text in scores["sentences"]
        ],
        "findings": {
            uncertain: [table[name] for name in FINDINGS] for uncertain, table in scores["findings"]["ours"].items()
        },
        "faithfulness": faithfulness_rows(scores),
        "recall": {"columns": RECALL_COLUMNS, "rows": recall_rows(scores), "note": recall_note(scores)},
        "reasons": ((scores["recall"] or {}).get("mattered") or {}).get("influence_threshold"),
        "thresholds": None if thresholds is None else [thresholds.get(name) for name in FINDINGS],
        "studies": studies,
        "texts": list(texts),
        "films": dict(films.of_study),
        "films_absent": films.absent,
    }


def _system(group: str, name: str, scores: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    shown = {
        protocol: {key: [row["value"], row["low"], row["high"]] for key, row in table.items() if key in PAGE_COLUMNS}
        for protocol, table in ((protocol, values[protocol]) for protocol in protocols_of(scores))
    }
    return {
        "group": group,
        "name": f"against {name}" if group == "against" else called(name),
        "note": mirrored_note(values[FOLLOWS]) if FOLLOWS in values else "",
        "values": shown,
    }


def _differences(scores: Mapping[str, Any], protocol: str) -> dict[str, list[list[Any]]]:
    """Other file -> rows of metric, ours, theirs, and the difference's value, low, high, p-value and effect."""
    parts = ("value", "low", "high", "p_value", "effect")
    return {
        name: [
            [label, scores[protocol][key]["value"], scores["against"][name][protocol][key]["value"]]
            + [compared[protocol][key][part] for part in parts]
            for key, label in ALL_COLUMNS.items()
            if key in compared[protocol]
        ]
        for name, compared in scores["comparisons"].items()
    }


def _rows(reports: Path, columns: Mapping[str, str]) -> dict[str, Mapping[str, Any]]:
    """Study id -> its row of a reports.jsonl, the only layout with retrieved reports and regions."""
    if reports.suffix != ".jsonl":
        return {}
    return {id_text(where, row, "study_id"): row for where, row in study_rows(reports, columns)}


def _study(
    line: Line, scored: Mapping[str, Any], rows: Mapping[str, Mapping[str, Any]], texts: dict[str, int]
) -> dict[str, Any]:
    row = rows.get(line.study_id, {})
    retrieved = [
        [
            each.get("weight"),
            each.get("study_id"),
            texts.setdefault(each["text"], len(texts)),
            each.get("influence"),
        ]
        for each in row.get("reports") or ()
        if isinstance(each.get("text"), str)
    ]
    regions = [
        [
            *(each.get(field) for field in ("weight", "finding", "study_id", "influence")),
            shown_place(each.get("place") or ()),
            texts.setdefault(each["text"], len(texts)) if each.get("text") else None,
        ]
        for each in row.get("regions") or ()
    ]
    generated, reference = marked_pair(line.generated, line.reference)
    return {
        "id": line.study_id,
        "generated": generated,
        "reference": reference,
        "f1": None if scored["f1"] is None else round(scored["f1"], 4),
        "cider": round(scored["cider"], 4),
        "rouge": round(scored["rouge_l"], 4),
        "truth": scored["reference"],
        "predicted": scored["generated"],
        "found": found_bits(line),
        "probabilities": probabilities_of(line),
        "places": places_of(row),
        "unseen": {"generated": unseen_marks(line.generated), "reference": unseen_marks(line.reference)},
        "known": bool(line.reference_in_training),
        "retrieved": retrieved,
        "regions": regions,
    }


def cases(scores: Mapping[str, Any], count: int = CASES) -> list[str]:
    """Ids of the studies to show with films: the ``count`` worst and best by F1 of the findings, then CIDEr.

    Studies without an F1 are shown only where no more than ``2 * count`` have one, after those.
    """
    studies = scores["studies"]
    found = list(zip(studies["f1"], studies["cider"], studies["study_id"], strict=True))
    rows = sorted(row for row in found if row[0] is not None)
    without = sorted(row[1:] for row in found if row[0] is None)
    spare = max(0, 2 * count - len(rows))
    chosen = rows if spare else rows[:count] + rows[-count:]
    return [study_id for *_, study_id in (*chosen, *without[:spare])]

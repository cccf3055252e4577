"""``python -m experiments score reports.jsonl``: scores.json and one table, with baselines, guards and intervals.

Made from predictions files alone: no GPU, no Lightning; Java only adds METEOR.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from ammrg import __version__
from ammrg.errors import ScoringError
from ammrg.fingerprints import json_fingerprint
from ammrg.metrics import bootstrap, clinical, language
from ammrg.metrics.guards import Collapse, collapse, warnings
from ammrg.metrics.protocols import PROTOCOLS, Protocol, protocol
from ammrg.text import labeler
from experiments.manifest import write_json

Floats = NDArray[np.float64]
Scores = dict[str, dict[str, float | None]]
"""metric -> {value, low, high}."""

NOTICE = "Research use only. Not for diagnosis."
GROUPS = ("baselines", "guards")
"""Folders beside reports.jsonl whose files are scored with it."""
COLUMNS = {
    "bleu_1": "BLEU-1",
    "bleu_2": "BLEU-2",
    "bleu_3": "BLEU-3",
    "bleu_4": "BLEU-4",
    "rouge_l": "ROUGE-L",
    "cider": "CIDEr",
    "meteor": "METEOR",
    "clinical_micro_f1_14_neg": "micro F1 14",
    "clinical_macro_f1_14_neg": "macro F1 14",
    "clinical_example_f1_14_neg": "example F1 14",
    "clinical_micro_f1_13_neg": "micro F1 13",
    "clinical_macro_f1_13_neg": "macro F1 13",
    "clinical_micro_f1_5_neg": "micro F1 5",
    "clinical_macro_f1_5_neg": "macro F1 5",
}
WATCHED = {"clinical_micro_f1_13_neg": "clinical micro F1 (13)", "cider": "CIDEr"}
"""The two figures that the guard sentences speak of."""


class Line(NamedTuple):
    """What is scored of one study."""

    study_id: str
    subject_id: str
    reference: str
    generated: str
    reference_in_training: bool | None


class System(NamedTuple):
    """One predictions file, ordered by study id."""

    group: str
    """Empty for the reports themselves, else ``baselines`` or ``guards``."""
    name: str
    path: Path
    lines: list[Line]


def read_lines(path: Path) -> list[Line]:
    """Read one predictions file.

    Raises:
        ScoringError: not JSON Lines, a field missing or of another type, an id twice, an empty reference, studies of
            more than one split, or no line at all.
    """
    if not path.is_file():
        raise ScoringError(f"{path}: no such file; write the reports first (make reports).")
    lines: dict[str, Line] = {}
    splits = set()
    for number, raw in enumerate(path.read_text(encoding="utf-8").split("\n"), start=1):
        if not raw.strip():
            continue
        where = f"{path}, line {number}"
        try:
            row = json.loads(raw)
        except json.JSONDecodeError as error:
            raise ScoringError(f"{where}: not JSON ({error}); each line must be one JSON object.") from error
        if not isinstance(row, dict):
            raise ScoringError(f"{where}: found {type(row).__name__}; each line must be one JSON object.")
        for field in ("study_id", "subject_id", "reference", "generated"):
            if not isinstance(row.get(field), str):
                raise ScoringError(f"{where}: field '{field}' is {row.get(field)!r}; it must be a text.")
        if not row["reference"].strip():
            raise ScoringError(f"{where}: study {row['study_id']} has an empty reference; leave such studies out.")
        if row["study_id"] in lines:
            raise ScoringError(f"{where}: study {row['study_id']} stands twice; each study is scored once.")
        splits.add(row.get("split"))
        lines[row["study_id"]] = Line(
            row["study_id"], row["subject_id"], row["reference"], row["generated"], row.get("reference_in_training")
        )
    if not lines:
        raise ScoringError(f"{path}: no line; there is nothing to score.")
    if len(splits) > 1:
        names = ", ".join(sorted(map(str, splits)))
        raise ScoringError(f"{path}: studies of several splits ({names}); score one at a time.")
    return [lines[study_id] for study_id in sorted(lines)]


def read_systems(reports: Path) -> list[System]:
    """The reports and, where they exist, their sibling baselines and guards, all on the very same studies.

    Raises:
        ScoringError: see :func:`read_lines`; or a sibling that lacks a study, holds an unknown one, or has another
            reference or patient for it.
    """
    ours = System("", "ours", reports, read_lines(reports))
    systems = [ours]
    for group in GROUPS:
        for path in sorted((reports.parent / group).glob("*.jsonl")):
            other = System(group, path.stem, path, read_lines(path))
            _check_same_studies(ours, other)
            systems.append(other)
    return systems


def _check_same_studies(ours: System, other: System) -> None:
    expected, found = ({line.study_id for line in system.lines} for system in (ours, other))
    for what, ids in (("lacks", expected - found), ("holds unknown", found - expected)):
        if ids:
            raise ScoringError(
                f"{other.path}: {what} {len(ids)} studies (first: {min(ids)}), compared with {ours.path}; "
                "write both from the same split."
            )
    for mine, theirs in zip(ours.lines, other.lines, strict=True):
        if (mine.reference, mine.subject_id) != (theirs.reference, theirs.subject_id):
            raise ScoringError(
                f"{other.path}: study {mine.study_id} has another reference or subject_id than in {ours.path}; "
                "write both from the same prepared data."
            )


Statistics = tuple[dict[str, language.LanguageStatistics], dict[str, clinical.ClinicalStatistics]]


class _Scorer:
    """Scores systems on the same studies, with the same resamples."""

    def __init__(
        self, protocols: Sequence[Protocol], resamples: int, seed: int, meteor: language.MeteorScorer | None
    ) -> None:
        self.protocols = protocols
        self.resamples, self.seed = resamples, seed
        self.meteor = meteor
        self.known_labels: dict[str, list[float]] = {}
        self.known_statistics: dict[tuple[Line, ...], Statistics] = {}

    def labels(self, texts: Iterable[str]) -> list[list[float]]:
        """Labels of texts; equal texts are labelled once."""
        rows = []
        for text in texts:
            if text not in self.known_labels:
                self.known_labels[text] = labeler.label(text)
            rows.append(self.known_labels[text])
        return rows

    def statistics(self, lines: Sequence[Line]) -> Statistics:
        """Per protocol the language statistics, and the clinical ones; measured once for the same lines."""
        key = tuple(lines)
        if key not in self.known_statistics:
            self.known_statistics[key] = self._measure(lines)
        return self.known_statistics[key]

    def _measure(self, lines: Sequence[Line]) -> Statistics:
        spoken = {
            each.name: language.language_statistics(
                [each.reference(line.reference) for line in lines], [each.hypothesis(line.generated) for line in lines]
            )
            for each in self.protocols
        }
        found = clinical.clinical_statistics(
            self.labels(line.reference for line in lines), self.labels(line.generated for line in lines)
        )
        return spoken, found

    def score(self, lines: Sequence[Line]) -> dict[str, Scores]:
        """protocol -> metric -> {value, low, high}."""
        weights = bootstrap.patient_weights([line.subject_id for line in lines], self.resamples, self.seed)
        spoken, found = self.statistics(lines)
        clinical_scores = bootstrap.with_intervals(partial(clinical.weighted_scores, found), weights)
        table = {}
        for each in self.protocols:
            scores = bootstrap.with_intervals(partial(language.weighted_scores, spoken[each.name]), weights)
            if self.meteor is not None:
                value = self.meteor.score(
                    [each.reference(line.reference) for line in lines],
                    [each.hypothesis(line.generated) for line in lines],
                )
                scores["meteor"] = {"value": value, "low": None, "high": None}
            table[each.name] = {**scores, **clinical_scores}
        return table

    def difference(self, first: Sequence[Line], second: Sequence[Line]) -> dict[str, dict[str, float]]:
        """The watched metrics of first minus second under the first protocol, over paired resamples."""
        weights = bootstrap.patient_weights([line.subject_id for line in first], self.resamples, self.seed)
        name = self.protocols[0].name

        def both(statistics: Statistics, rows: Floats) -> dict[str, Floats]:
            spoken, found = statistics
            everything = {**language.weighted_scores(spoken[name], rows), **clinical.weighted_scores(found, rows)}
            return {key: everything[key] for key in WATCHED}

        return bootstrap.paired_difference(
            partial(both, self.statistics(first)), partial(both, self.statistics(second)), weights
        )


def score(
    reports_jsonl: Path,
    *,
    protocols: Sequence[str] = PROTOCOLS,
    dataset: str | None = None,
    train_texts: Sequence[str] | None = None,
    resamples: int = bootstrap.RESAMPLES,
    seed: int = 0,
    meteor: bool = True,
) -> dict[str, Any]:
    """Score a predictions file and its siblings.

    Args:
        reports_jsonl: the file; ``baselines/*.jsonl`` and ``guards/*.jsonl`` beside it are scored with it.
        protocols: see :mod:`ammrg.metrics.protocols`.
        dataset: which cleaner and cut ``r2gen`` takes; None reads it from ``reports.meta.json`` (else ``iu_xray``).
        train_texts: training reports for ``r2gen``'s vocabulary.
        resamples: bootstrap resamples of patients; 0 gives no intervals.
        seed: of the resamples.
        meteor: also METEOR, where a ``java`` command is.

    Returns:
        What scores.json holds: ``{protocol: {metric: {value, low, high}}, baselines: {name: the same}, guards: {name:
        the same}, findings, collapse, sentences, meta}``. Equal inputs give equal values.

    Raises:
        ScoringError: a file that cannot be scored as it stands.
    """
    reports = Path(reports_jsonl)
    systems = read_systems(reports)
    dataset = dataset or _dataset_of(reports)
    chosen = [protocol(name, dataset, train_texts) for name in dict.fromkeys(protocols)]
    if not chosen:
        raise ScoringError(f"no protocol; choose among {', '.join(PROTOCOLS)}.")
    with_meteor = meteor and language.MeteorScorer.available()
    if not with_meteor:
        return _scored(systems, _Scorer(chosen, resamples, seed, None), dataset, train_texts)
    with language.MeteorScorer() as java:
        return _scored(systems, _Scorer(chosen, resamples, seed, java), dataset, train_texts)


def _scored(
    systems: Sequence[System], scorer: _Scorer, dataset: str, train_texts: Sequence[str] | None
) -> dict[str, Any]:
    result: dict[str, Any] = {group: {} for group in GROUPS}
    result |= {"findings": {}, "collapse": {}, "sentences": []}
    with Progress(transient=True, console=Console(stderr=True)) as progress:
        task = progress.add_task("scoring", total=len(systems))
        for system in systems:
            scores = scorer.score(system.lines)
            if system.group:
                result[system.group][system.name] = scores
            else:
                result |= scores
            references = [line.reference for line in system.lines]
            generated = [line.generated for line in system.lines]
            labels = scorer.labels(references), scorer.labels(generated)
            name = f"{system.group}/{system.name}" if system.group else system.name
            result["findings"][name] = clinical.finding_table(*labels)
            result["collapse"][name] = collapse(references, generated, *labels)._asdict()
            progress.advance(task)
    ours = systems[0].lines
    result["sentences"] = _sentences(systems, scorer, result)
    result["meta"] = {
        "studies": len(ours),
        "patients": len({line.subject_id for line in ours}),
        "dataset": dataset,
        "labeler": labeler.NAME,
        "meteor": "present" if scorer.meteor else "absent",
        "protocols": {each.name: each.settings for each in scorer.protocols},
        "bootstrap": {"resamples": scorer.resamples, "seed": scorer.seed, "unit": "patient", "level": bootstrap.LEVEL},
        "inputs": _fingerprint(systems, train_texts),
        "versions": {"ammrg": __version__, **{name: metadata.version(name) for name in ("numpy", "pycocoevalcap")}},
        "reference_in_training": _on_unseen(ours, scorer),
    }
    return result


def _dataset_of(reports: Path) -> str:
    path = reports.parent / "reports.meta.json"
    if not path.is_file():
        return "iu_xray"
    return str(json.loads(path.read_text(encoding="utf-8")).get("dataset", "iu_xray"))


def _fingerprint(systems: Sequence[System], train_texts: Sequence[str] | None) -> str:
    """Of everything the scores depend on but the settings, whatever the order of lines and the folder."""
    return json_fingerprint(
        [[system.group, system.name, system.lines] for system in systems]
        + [None if train_texts is None else list(train_texts)]
    )


def _on_unseen(lines: Sequence[Line], scorer: _Scorer) -> dict[str, Any]:
    """Share of references that stand verbatim in training, and the scores on the other studies."""
    if any(line.reference_in_training is None for line in lines):
        return {"share": None, "others": 0, "scores_on_others": {}}
    others = [line for line in lines if not line.reference_in_training]
    return {
        "share": 1 - len(others) / len(lines),
        "others": len(others),
        "scores_on_others": scorer.score(others) if others else {},
    }


def _sentences(systems: Sequence[System], scorer: _Scorer, result: Mapping[str, Any]) -> list[str]:
    """What the guards say, in plain words."""
    ours, first = systems[0], scorer.protocols[0].name
    said = warnings(Collapse(**result["collapse"]["ours"]))
    silent = clinical.silent_findings(result["findings"]["ours"])
    if silent:
        said.append(f"{len(silent)} findings have neither support nor predictions and count 0: {', '.join(silent)}.")
    for system in systems[1:] if scorer.resamples else ():
        parts, unclear = [], []
        for metric, gap in scorer.difference(ours.lines, system.lines).items():
            mine = _short(result[first][metric]["value"])
            theirs = _short(result[system.group][system.name][first][metric]["value"])
            spread = f"{_signed(gap['value'])}, 95% {_signed(gap['low'])} to {_signed(gap['high'])}"
            parts.append(f"{WATCHED[metric]} {mine} against {theirs} ({spread})")
            if gap["low"] <= 0:
                unclear.append(WATCHED[metric])
        verdict = f" {_doubt(system)} by {' and '.join(unclear)}." if unclear else ""
        said.append(f"Beside {_what(system)}: {'; '.join(parts)}.{verdict}")
    return said


def _what(system: System) -> str:
    return {
        "images_shuffled": "films shuffled among studies",
        "memory_off": "both memories off",
    }.get(system.name, system.name.replace("_", " "))


def _doubt(system: System) -> str:
    if system.group == "baselines":
        return "NOT CLEARLY ABOVE THIS BASELINE"
    if system.name == "images_shuffled":
        return "NO CLEAR USE OF THE FILMS"
    return "No clear use of the memories" if system.name.startswith("memory") else "No clear difference"


def _short(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}".removeprefix("0") if value >= 0 else f"{value:.3f}"


def _signed(value: float) -> str:
    return f"{value:+.3f}".replace("0.", ".")


def score_table(scores: Mapping[str, Any]) -> Table:
    """Rows: the reports (with the 95% interval under each value), baselines, guards; a section a protocol."""
    protocols = list(scores["meta"]["protocols"])
    columns = [key for key in COLUMNS if key in scores[protocols[0]]]
    meta = scores["meta"]
    table = Table(
        title=f"{meta['studies']} studies of {meta['patients']} patients; labeler: {meta['labeler']}; "
        f"uncertain as negative; METEOR {meta['meteor']}",
        caption=NOTICE,
        pad_edge=False,
        padding=(0, 0, 0, 1),
    )
    table.add_column("protocol / reports", overflow="fold")
    for key in columns:
        table.add_column(COLUMNS[key].replace(" F1 ", "\nF1 "), justify="right", no_wrap=True)
    for name in protocols:
        ours = scores[name]
        table.add_row(f"[bold]{name}[/bold]: ours", *(f"[bold]{_short(ours[key]['value'])}[/bold]" for key in columns))
        if meta["bootstrap"]["resamples"]:
            for label, side in (("  95% from", "low"), ("  95% to", "high")):
                table.add_row(f"[dim]{label}", *(f"[dim]{_short(ours[key][side])}" for key in columns))
        rows = [(other, scores[group][other]) for group in GROUPS for other in scores[group]]
        for i, (other, values) in enumerate(rows):
            cells = (_short(values[name][key]["value"]) for key in columns)
            table.add_row(f"  {other.replace('_', ' ')}", *cells, end_section=i == len(rows) - 1)
    return table


def print_scores(scores: Mapping[str, Any], console: Console) -> None:
    """The table, what the guards say, and the notice."""
    console.print(score_table(scores))
    figures = scores["collapse"]["ours"]
    console.print(
        f"{figures['distinct']} of {figures['reports']} reports are different texts; No Finding in "
        f"{figures['no_finding']:.0%} (references {figures['no_finding_reference']:.0%}); length "
        f"{figures['length_ratio']:.2f} of the references'.",
        highlight=False,
    )
    known = scores["meta"]["reference_in_training"]
    if known["share"] is not None:
        line = f"{known['share']:.0%} of the references stand verbatim in training"
        for name, values in known["scores_on_others"].items():
            told = ", ".join(f"{COLUMNS[key]} {_short(values[key]['value'])}" for key in ("bleu_4", "cider"))
            line += f"; on the other {known['others']} {name}: {told}"
        console.print(line + ".", highlight=False)
    for sentence in scores["sentences"]:
        console.print(f"- {sentence}", highlight=False, markup=False)


def read_train_texts(path: Path) -> list[str]:
    """Training reports: JSON Lines with a field ``report`` (or ``reference``), or one report a line.

    Raises:
        ScoringError: no such file, or a line without text.
    """
    if not path.is_file():
        raise ScoringError(f"{path}: no such file of training texts.")
    lines = [line for line in path.read_text(encoding="utf-8").split("\n") if line.strip()]
    if path.suffix != ".jsonl":
        return lines
    texts = []
    for number, line in enumerate(lines, start=1):
        row = json.loads(line)
        text = row.get("report", row.get("reference")) if isinstance(row, dict) else None
        if not isinstance(text, str):
            raise ScoringError(f"{path}, line {number}: no text under 'report' or 'reference'.")
        texts.append(text)
    return texts


def _still_true(out: Path, reports: Path, settings: argparse.Namespace, train_texts: Sequence[str] | None) -> Any:
    """The kept scores if they were made from these very inputs and settings, else None."""
    if not out.is_file():
        return None
    kept = json.loads(out.read_text(encoding="utf-8"))
    meta = kept.get("meta", {})
    same = (
        meta.get("inputs") == _fingerprint(read_systems(reports), train_texts)
        and list(meta.get("protocols", {})) == sorted(settings.protocol)
        and meta.get("bootstrap", {}).get("resamples") == settings.bootstrap
        and meta.get("bootstrap", {}).get("seed") == settings.seed
        and meta.get("dataset") == (settings.dataset or _dataset_of(reports))
        and meta.get("versions", {}).get("ammrg") == __version__
    )
    return kept if same else None


def main(argv: Sequence[str]) -> int:
    """Score, write scores.json, print.

    Returns:
        0.

    Raises:
        ScoringError: a file that cannot be scored as it stands.
    """
    parser = argparse.ArgumentParser(prog="python -m experiments score", description=f"{__doc__} {NOTICE}")
    parser.add_argument("reports", type=Path, help="reports.jsonl: one JSON object a study")
    parser.add_argument("--protocol", nargs="+", default=list(PROTOCOLS), choices=PROTOCOLS, help="default: all")
    parser.add_argument("--dataset", help="whose cleaner and cut r2gen takes; default: as reports.meta.json says")
    parser.add_argument("--train-texts", type=Path, help="training reports, for r2gen's vocabulary (.jsonl or plain)")
    parser.add_argument("--out", type=Path, help="default: scores.json beside the reports")
    parser.add_argument("--bootstrap", type=int, default=bootstrap.RESAMPLES, help="resamples; default %(default)s")
    parser.add_argument("--seed", type=int, default=0, help="of the resamples; default %(default)s")
    parser.add_argument("--no-meteor", action="store_true", help="leave METEOR out even where Java is")
    parser.add_argument("--quiet", action="store_true", help="write scores.json, print nothing")
    parser.add_argument("--show", action="store_true", help="print kept scores where they still hold, else score anew")
    arguments = parser.parse_args(argv)
    if arguments.bootstrap < 0:
        raise ScoringError(f"--bootstrap={arguments.bootstrap}: give 0 or more resamples.")
    out = arguments.out or arguments.reports.parent / "scores.json"
    train_texts = read_train_texts(arguments.train_texts) if arguments.train_texts else None
    scores = _still_true(out, arguments.reports, arguments, train_texts) if arguments.show else None
    if scores is None:
        scores = score(
            arguments.reports,
            protocols=sorted(arguments.protocol),
            dataset=arguments.dataset,
            train_texts=train_texts,
            resamples=arguments.bootstrap,
            seed=arguments.seed,
            meteor=not arguments.no_meteor,
        )
        write_json(out, scores)
    if not arguments.quiet:
        console = Console()
        # A pipe or a narrow window would break the columns; the table has one width.
        console.width = max(console.width, 150)
        print_scores(scores, console)
        case = arguments.reports.parent / "case.png"
        for name, path in (("reports", arguments.reports), ("scores", out), ("one case", case)):
            if path.is_file():
                console.print(f"{name}: {path}", highlight=False, soft_wrap=True)
    return 0

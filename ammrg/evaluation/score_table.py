"""Scores in the terminal: tables of systems, clinical averages and findings, and the guards' sentences."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from ammrg.evaluation.box_table import BOX_COLUMNS, box_table
from ammrg.evaluation.faithfulness_table import FAITHFULNESS_COLUMNS, faithfulness_tables
from ammrg.evaluation.invented_table import INVENTED_COLUMNS, invented_table
from ammrg.evaluation.location_table import LOCATION_COLUMNS, location_table
from ammrg.evaluation.mirrored_films import mirrored_table
from ammrg.evaluation.predictions import GROUPS
from ammrg.evaluation.recall_table import recall_table
from ammrg.evaluation.score_notes import patients_in_words
from ammrg.evaluation.verdicts import others_share, protocols_of, short
from ammrg.findings import FINDINGS
from ammrg.metrics.clinical import AVERAGES, PARTS, SELECTIONS, UNCERTAIN_AS
from ammrg.notice import NOTICE

COLUMNS = {
    "bleu_1": "BLEU-1",
    "bleu_2": "BLEU-2",
    "bleu_3": "BLEU-3",
    "bleu_4": "BLEU-4",
    "rouge_l": "ROUGE-L",
    "cider": "CIDEr",
    "meteor": "METEOR",
    "bertscore_f1": "BERT-\nScore",
    "radeval_radgraph_simple": "RadGraph\nsimple",
    "radeval_radgraph_partial": "RadGraph\npartial",
    "radeval_radgraph_complete": "RadGraph\ncomplete",
    "radeval_radcliq_v1": "RadCliQ\nv1",
    "radeval_radgraph_radcliq": "RadGraph\nin RadCliQ",
    "radeval_green": "GREEN",
    "clinical_micro_f1_13_neg": "micro F1 13",
    "clinical_macro_f1_13_neg": "macro F1 13",
    "clinical_micro_f1_14_neg": "micro F1 14",
    "clinical_macro_f1_14_neg": "macro F1 14",
    "clinical_example_f1_14_neg": "example F1 14",
    "clinical_micro_f1_5_neg": "micro F1 5",
    "clinical_macro_f1_5_neg": "macro F1 5",
}

ALL_COLUMNS = {**COLUMNS, **LOCATION_COLUMNS, **BOX_COLUMNS, **INVENTED_COLUMNS, **FAITHFULNESS_COLUMNS}
"""The metrics of the page and of differences; those below the clinical ones have tables of their own."""

ABSENT = {"value": None}
"""Value of a metric of another package for baselines and guards, which such metrics do not score."""


def score_table(scores: Mapping[str, Any]) -> Table:
    """The table of systems, with one section for each protocol.

    Rows: the reports (with the 95% interval under each value), baselines, guards, other files.
    """
    names = protocols_of(scores)
    columns = [key for key in COLUMNS if key in scores[names[0]]]
    meta = scores["meta"]
    table = Table(
        title=f"{meta['studies']} studies of {patients_in_words(meta['patients'])}; "
        f"labeler: {escape(meta['labeler'])}; uncertain as negative; METEOR {meta['meteor']}",
        caption=NOTICE,
        pad_edge=False,
        padding=(0, 0, 0, 1),
    )
    table.add_column("protocol / reports", overflow="fold")
    for key in columns:
        table.add_column(COLUMNS[key].replace(" F1 ", "\nF1 "), justify="right", no_wrap=True)
    for name in names:
        ours = scores[name]
        table.add_row(f"[bold]{name}[/bold]: ours", *(f"[bold]{short(ours[key]['value'])}[/bold]" for key in columns))
        if ours[columns[0]]["low"] is not None:
            for label, side in (("  95% from", "low"), ("  95% to", "high")):
                table.add_row(f"[dim]{label}", *(f"[dim]{short(ours[key][side])}" for key in columns))
        rows = [
            (f"against {other}" if group == "against" else other, scores[group][other])
            for group in (*GROUPS, "against")
            for other in scores[group]
        ]
        for i, (other, values) in enumerate(rows):
            cells = (short(values[name].get(key, ABSENT)["value"]) for key in columns)
            table.add_row(f"  {escape(other.replace('_', ' '))}", *cells, end_section=i == len(rows) - 1)
    return table


def clinical_table(scores: Mapping[str, Any]) -> Table:
    """The table of clinical averages, each with its interval.

    Rows: average and part. Columns: 14, 13 and 5 findings, with uncertain as negative and as positive.
    """
    ours = scores[protocols_of(scores)[0]]
    columns = [(selection, uncertain) for uncertain in UNCERTAIN_AS for selection in SELECTIONS]
    table = Table(
        title=f"clinical averages; labeler: {escape(scores['meta']['labeler'])}; blank is negative", pad_edge=False
    )
    table.add_column("average")
    for selection, uncertain in columns:
        table.add_column(f"{selection} findings\n-1 as {uncertain}", justify="right", no_wrap=True)
    for average in AVERAGES:
        for part in PARTS:
            cells = []
            for selection, uncertain in columns:
                row = ours[f"clinical_{average}_{part}_{selection}_{uncertain}"]
                between = f" [dim]{short(row['low'])}-{short(row['high'])}[/dim]" if row["low"] is not None else ""
                cells.append(f"{short(row['value'])}{between}")
            table.add_row(f"{average} {part}", *cells, end_section=part == PARTS[-1])
    return table


def findings_table(scores: Mapping[str, Any]) -> Table:
    """The table of findings: precision, recall, F1, support and predictions; uncertain as negative and as positive."""
    table = Table(title=f"findings; labeler: {escape(scores['meta']['labeler'])}", pad_edge=False)
    table.add_column("finding", no_wrap=True)
    for uncertain in UNCERTAIN_AS:
        for column in ("P", "R", "F1", "support", "predicted"):
            table.add_column(f"-1 {uncertain}\n{column}", justify="right")
    for name in FINDINGS:
        cells = []
        for uncertain in UNCERTAIN_AS:
            row = scores["findings"]["ours"][uncertain][name]
            cells += [short(row[part]) for part in PARTS] + [str(row["support"]), str(row["predicted"])]
        table.add_row(name, *cells)
    return table


def differences_table(scores: Mapping[str, Any], name: str) -> Table:
    """The table of ours minus another file: difference, 95% interval, p-value, difference over standard error."""
    first = protocols_of(scores)[0]
    table = Table(title=f"ours minus {escape(name)}, protocol {first}", pad_edge=False)
    for column in ("metric", "ours", "theirs", "difference", "95% from", "to", "p", "effect"):
        table.add_column(column, justify="left" if column == "metric" else "right")
    for key, label in ALL_COLUMNS.items():
        row = scores["comparisons"][name][first].get(key)
        if row is not None:
            pair = [scores[first][key]["value"], scores["against"][name][first][key]["value"]]
            cells = [short(value) for value in pair] + [f"{row[part]:+z.3f}" for part in ("value", "low", "high")]
            table.add_row(label, *cells, f"{row['p_value']:.3f}", f"{row['effect']:+.1f}")
    return table


def print_scores(scores: Mapping[str, Any], console: Console) -> None:
    """Print the tables, the figures and the sentences."""
    tables = score_table(scores), clinical_table(scores), location_table(scores), mirrored_table(scores)
    judged = box_table(scores), recall_table(scores), invented_table(scores), *faithfulness_tables(scores)
    for table in (*tables, *judged, findings_table(scores)):
        if table is not None:
            console.print(table)
    for name in scores["comparisons"]:
        console.print(differences_table(scores, name))
    for sentence in (*figures(scores), *(f"- {text}" for text in scores["sentences"])):
        console.print(sentence, highlight=False, markup=False)


def figures(scores: Mapping[str, Any]) -> list[str]:
    """The figures of the guards, one sentence each."""
    found, first = [], protocols_of(scores)[0]
    shape = scores["collapse"]["ours"]
    found.append(
        f"{shape['distinct']} of {shape['reports']} reports are different texts; No Finding in "
        f"{shape['no_finding']:.0%} (references {shape['no_finding_reference']:.0%}); length "
        f"{shape['length_ratio']:.2f} of the references'."
    )
    copied = scores["copying"]
    if copied:
        found.append(
            f"{copied['share']:.0%} of the words are copied from a retrieved report{others_share(copied)}; "
            f"{copied['whole']:.0%} of the reports are whole copies."
        )
    known = scores["meta"]["reference_in_training"]
    if known["share"] is not None:
        line = f"{known['share']:.0%} of the references are also training reports, word for word"
        for name, values in known["scores_on_others"].items():
            parts = ", ".join(f"{COLUMNS[key]} {short(values[key]['value'])}" for key in ("bleu_4", "cider"))
            line += f"; on the other {known['others']}, {name}: {parts}"
        found.append(line + ".")
    idf = scores["cider_idf"].get(first)
    if idf:
        found.append(
            f"CIDEr's intervals use the idf of all references; with the idf of each resample ({idf['resamples']} "
            f"tried) CIDEr differs by {idf['mean_difference']:+z.4f} on average, {idf['largest_difference']:.4f} at "
            f"most (standard error {idf['recomputed_sd']:.4f} instead of {idf['fixed_sd']:.4f})."
        )
    return found

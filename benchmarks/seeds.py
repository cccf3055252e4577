"""Scores of one configuration over several seeds: mean [lowest, highest]. ``python -m benchmarks.seeds RUN RUN ...``.

Each RUN is the folder of a finished run (``make stage2 RUN=... ARGS="--seed_everything=..."``). Prints a Markdown table
of the runs' own reports beside their baselines and guards, one of what their memories recalled, and one JSON line. The
line also has differences in pairs, of each run by itself; :mod:`benchmarks.table` writes those of ``docs/results.md``
from it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ammrg.commands.parser import CommandParser
from ammrg.errors import ScoringError
from benchmarks._markdown import markdown
from benchmarks._result import print_result

COLUMNS: dict[str, str] = {
    "clinical_micro_f1_13_neg": "micro F1 (13)",
    "location_side_f1": "side F1",
    "location_side_agreement": "side agrees",
    "location_level_f1": "level F1",
    "location_level_agreement": "level agrees",
    "box_side_f1": "side F1, boxes",
    "box_level_f1": "level F1, boxes",
    "said_f1": "said F1",
    "cider": "CIDEr",
    "bleu_4": "BLEU-4",
}
DIFFERENCES = ("clinical_micro_f1_13_neg", "location_side_f1", "cider")
"""Scores whose differences in pairs are kept."""
PAIRED = ("baselines/stage1_template", "guards/memory_shuffled")
"""From these the runs' own reports are subtracted, study by study."""
RECALL: tuple[str, ...] = ("distinct_first", "top_share", "precision_at_1", "precision_at_5")
Found = Callable[[Mapping[str, Any]], float | None]


def read(run: Path, how: str = "finish the run first (make scores)") -> dict[str, Any]:
    """The scores of a folder of reports.

    Args:
        run: the folder.
        how: what to do if it has none, for the message.

    Raises:
        ScoringError: the run has none.
    """
    path = run / "scores.json"
    if not path.is_file():
        raise ScoringError(f"{path}: not there; {how}")
    scores: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    if "differences" not in scores:
        raise ScoringError(f"{path}: holds no differences; score the reports again (make scores RUN={run.name})")
    return scores


def value_of(entry: Any) -> float | None:
    """The value of ``{value, low, high}``; None where there is none."""
    return None if entry is None else entry.get("value") if isinstance(entry, Mapping) else float(entry)


def spread(runs: Sequence[Mapping[str, Any]], found: Found) -> tuple[float, float, float] | None:
    """Mean, lowest and highest over the runs; None if a run lacks the value."""
    values = [found(run) for run in runs]
    known = [value for value in values if value is not None]
    return (sum(known) / len(known), min(known), max(known)) if known and len(known) == len(values) else None


def short(number: float) -> str:
    """``.912``."""
    return f"{number:.3f}".removeprefix("0")


def shown(numbers: tuple[float, float, float] | None) -> str:
    """``.912 [.905, .920]``, or a dash."""
    if numbers is None:
        return "-"
    mean, low, high = map(short, numbers)
    return f"{mean} [{low}, {high}]"


def cell(entry: Any, wide: bool = True) -> str:
    """``.351 [.298, .403]``, ``.351`` where it is not wide or has no interval, or a dash."""
    if wide and isinstance(entry, Mapping):
        return shown((entry["value"], entry["low"], entry["high"]))
    found = value_of(entry)
    return "-" if found is None else short(found)


def systems(scores: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """Name -> scores under the first protocol, of the run itself, its baselines and its guards."""
    protocol = next(iter(scores["meta"]["protocols"]))
    found = {"ours": scores[protocol]}
    for group in ("baselines", "guards"):
        found |= {f"{group}/{name}": each[protocol] for name, each in scores[group].items()}
    return found


def table(runs: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, tuple[float, float, float] | None]]:
    """System -> metric -> mean, lowest and highest, of the systems that every run has."""
    names = [name for name in systems(runs[0]) if all(name in systems(run) for run in runs)]
    return {
        name: {
            key: spread(runs, lambda run, name=name, key=key: value_of(systems(run)[name].get(key)))  # type: ignore[misc]
            for key in COLUMNS
        }
        for name in names
    }


def recalled(runs: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, tuple[float, float, float] | None]]:
    """What was recalled, and by which baseline -> measure -> mean, lowest and highest."""
    rows: dict[str, dict[str, tuple[float, float, float] | None]] = {}
    if any(run.get("recall") is None for run in runs):
        return rows
    for kind in ("regions", "reports"):
        for name in ("own", *runs[0]["recall"][kind].get("baselines", {})):

            def entry(run: Mapping[str, Any], kind: str = kind, name: str = name) -> Mapping[str, Any]:
                section: Mapping[str, Any] = run["recall"][kind]
                return section if name == "own" else section["baselines"][name]

            rows[f"{kind}, {name}"] = {
                key: spread(runs, lambda run, key=key, entry=entry: value_of(entry(run).get(key)))  # type: ignore[misc]
                for key in RECALL
            }
    return rows


def pairs(scores: Mapping[str, Any], run: str) -> list[dict[str, Any]]:
    """Differences of a run's reports from others of the same films, and how many of them a recalled case influences."""
    found = []
    for name in PAIRED:
        group, _, other = name.partition("/")
        if (gap := scores["differences"][group].get(other)) is not None:
            found.append({"pairs": f"ours minus {name}", "run": run, **gap})
    if (mattered := (scores.get("recall") or {}).get("mattered")) is not None:
        found.append({"pairs": "influenced", "run": run, "value": mattered["value"], "chance": mattered["chance"]})
    return found


def without_memories(file: Path, run: str) -> dict[str, Any]:
    """The difference from the only file that a scores.json was made ``--against``.

    Raises:
        ScoringError: it is not there, or was made against no file or several.
    """
    compared = json.loads(file.read_text(encoding="utf-8"))["comparisons"] if file.is_file() else {}
    if len(compared) != 1:
        raise ScoringError(
            f"{file}: {len(compared)} comparisons, must be one (ammrg score RUN/reports.jsonl --against)"
        )
    first = next(iter(next(iter(compared.values())).values()))
    gap = {key: {part: first[key][part] for part in ("value", "low", "high")} for key in DIFFERENCES}
    return {"pairs": "ours minus a network without memories", "run": run, **gap}


def stage1(runs: Sequence[Path]) -> dict[str, Any]:
    """Macro AUROC and the share of maps with their peak in the finding's box, on test."""
    scores = [json.loads((run / "stage1" / "scores.json").read_text(encoding="utf-8"))["test"] for run in runs]
    keys = ("auroc_macro", "pointing_game")
    return {key: spread(scores, lambda each, key=key: value_of(each[key])) for key in keys}  # type: ignore[misc]


def table_of(title: str, rows: Mapping[str, Mapping[str, Any]], columns: Mapping[str, str]) -> str:
    """A Markdown table; columns without any number are left out."""
    kept = [key for key in columns if any(row[key] is not None for row in rows.values())]
    heads = [title, *(columns[key] for key in kept)]
    return markdown(heads, [[name, *(shown(row[key]) for key in kept)] for name, row in rows.items()])


def main(argv: Sequence[str] | None = None) -> int:
    """Measure."""
    parser = CommandParser(description=__doc__.splitlines()[0])
    parser.add_argument("runs", nargs="+", type=Path, help="folders of finished runs")
    told = "for each run, the scores.json of `ammrg score RUN/reports.jsonl --against` a network without memories"
    parser.add_argument("--without-memories", nargs="*", type=Path, default=[], metavar="SCORES", help=told)
    arguments = parser.parse_args(argv)
    if arguments.without_memories and len(arguments.without_memories) != len(arguments.runs):
        parser.error(f"{len(arguments.without_memories)} SCORES for {len(arguments.runs)} runs; give one for each")
    try:
        return measure(arguments.runs, arguments.without_memories)
    except (ScoringError, FileNotFoundError) as error:
        parser.error(str(error))


def measure(folders: Sequence[Path], free: Sequence[Path]) -> int:
    """Read the runs and print."""
    runs = [read(run) for run in folders]
    found, memory = table(runs), recalled(runs)
    print(table_of("reports", found, COLUMNS))
    if memory:
        print()
        print(table_of("recalled", memory, {key: key.replace("_", " ") for key in RECALL}))
    mirrored = spread(runs, lambda run: value_of(run["guards"].get("films_mirrored", {}).get("mirrored_follows")))
    print(f"\nside flips with mirrored films: {shown(mirrored)}")
    cases: list[dict[str, Any]] = [{"system": name, **row} for name, row in (found | memory).items()]
    cases += [{"system": "mirrored_follows", "value": mirrored}, {"system": "stage 1", **stage1(folders)}]
    names = [run.name for run in folders]
    cases += [pair for scores, name in zip(runs, names, strict=True) for pair in pairs(scores, name)]
    cases += [without_memories(*each) for each in zip(free, names, strict=False)]
    print_result("seeds", cases, {})
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

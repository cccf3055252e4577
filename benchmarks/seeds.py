"""Scores of one configuration over several seeds: mean [lowest, highest]. ``python -m benchmarks.seeds RUN RUN ...``.

Each RUN is the folder of a finished run (``make stage2 RUN=... ARGS="--seed_everything=..."``). Prints a Markdown table
of the runs' own reports beside their baselines and guards, one of what their memories recalled, and one JSON line.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ammrg.commands.parser import CommandParser
from ammrg.errors import ScoringError
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
RECALL: tuple[str, ...] = ("distinct_first", "top_share", "precision_at_1", "precision_at_5")
Found = Callable[[Mapping[str, Any]], float | None]


def read(run: Path) -> dict[str, Any]:
    """The scores of a run.

    Raises:
        ScoringError: the run has none.
    """
    path = run / "scores.json"
    if not path.is_file():
        raise ScoringError(f"{path}: not there; finish the run first (make scores)")
    scores: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return scores


def value_of(entry: Any) -> float | None:
    """The value of ``{value, low, high}``; None where there is none."""
    return None if entry is None else entry.get("value") if isinstance(entry, Mapping) else float(entry)


def spread(runs: Sequence[Mapping[str, Any]], found: Found) -> tuple[float, float, float] | None:
    """Mean, lowest and highest over the runs; None if a run lacks the value."""
    values = [found(run) for run in runs]
    known = [value for value in values if value is not None]
    return (sum(known) / len(known), min(known), max(known)) if known and len(known) == len(values) else None


def shown(numbers: tuple[float, float, float] | None) -> str:
    """``.912 [.905, .920]``, or a dash."""
    if numbers is None:
        return "-"
    mean, low, high = (f"{number:.3f}".removeprefix("0") for number in numbers)
    return f"{mean} [{low}, {high}]"


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


def markdown(title: str, rows: Mapping[str, Mapping[str, Any]], columns: Mapping[str, str]) -> str:
    """A Markdown table; columns without any number are left out."""
    kept = [key for key in columns if any(row[key] is not None for row in rows.values())]
    lines = [f"| {title} | {' | '.join(columns[key] for key in kept)} |", f"|{' --- |' * (len(kept) + 1)}"]
    lines += [f"| {name} | {' | '.join(shown(row[key]) for key in kept)} |" for name, row in rows.items()]
    return "\n".join(lines)


def main(argv: Sequence[str] | None = None) -> int:
    """Read the runs and print."""
    parser = CommandParser(description=__doc__.splitlines()[0])
    parser.add_argument("runs", nargs="+", type=Path, help="folders of finished runs")
    runs = [read(run) for run in parser.parse_args(argv).runs]
    found, memory = table(runs), recalled(runs)
    print(markdown("reports", found, COLUMNS))
    if memory:
        print()
        print(markdown("recalled", memory, {key: key.replace("_", " ") for key in RECALL}))
    mirrored = spread(runs, lambda run: value_of(run["guards"].get("films_mirrored", {}).get("mirrored_follows")))
    print(f"\nside flips with mirrored films: {shown(mirrored)}")
    cases = [{"system": name, **row} for name, row in (found | memory).items()]
    print_result("seeds", [*cases, {"system": "mirrored_follows", "value": mirrored}], {})
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

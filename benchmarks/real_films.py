"""Gathers the scores of a run on real films: ``python -m benchmarks.real_films RUN``. It trains and writes nothing.

RUN is the folder of a supervised run, such as ``outputs/iu_xray/first``. These of its folders are read; the first two
must be there:

- ``.`` and ``reward``: reports of the test studies, supervised and after reward training, with baselines and guards;
- ``reward_seedN``: the same after reward training with other seeds;
- ``val``, ``reward/val`` and ``reward_NAME/val``: reports of the validation studies (``experiments reports --split
  val``); the networks in ``reward_NAME`` were trained by other rewards;
- ``reward/val/operating_points/SETTING``: the same at other settings of the dial.

A difference in pairs is there where the reports were scored ``--against`` others. Prints one JSON line, from which
:mod:`benchmarks.table` writes the tables of ``README.md`` and ``docs/real_films.md``.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ammrg.commands.parser import CommandParser
from ammrg.errors import ScoringError
from ammrg.evaluation.predictions import read_lines
from ammrg.findings import ABNORMAL, UNCERTAIN
from ammrg.text.cleaning import normalise
from ammrg.text.labeler import label
from ammrg.text.places import finding_places
from benchmarks._result import print_result
from benchmarks.seeds import read, systems

SCORES = (
    "bleu_4",
    "cider",
    "clinical_micro_f1_13_neg",
    "clinical_micro_f1_14_neg",
    "clinical_micro_recall_13_neg",
    "clinical_micro_precision_13_neg",
    "location_side_f1",
    "location_side_f1_chance",
    "location_side_agreement",
    "location_level_f1",
    "location_level_f1_chance",
    "said_f1",
)
REWARDED = "reward"
VALIDATION = "val"
COMMANDS = "docs/real_films.md has the commands that write it"


def affirmed(text: str) -> frozenset[tuple[str, str]]:
    """The pairs (affirmed finding, side) of a text; the side is empty where none is named."""
    return frozenset((finding, side) for finding, place in finding_places(text).items() for side in place.side or ("",))


def doubted(texts: Iterable[str]) -> int:
    """How many abnormal findings the texts call possible."""
    return sum(label(text)[i] == UNCERTAIN for text in texts for i in ABNORMAL)


def variety(folder: Path) -> dict[str, int]:
    """How many texts and sets of findings with their sides differ among a folder's reports, and what they doubt."""
    lines = read_lines(folder / "reports.jsonl")
    texts = Counter(normalise(line.generated) for line in lines)
    return {
        "n": len(lines),
        "distinct_texts": len(texts),
        "commonest_text": max(texts.values()),
        "distinct_findings": len({affirmed(line.generated) for line in lines}),
        "distinct_findings_of_references": len({affirmed(line.reference) for line in lines}),
        "doubted": doubted(line.generated for line in lines),
        "doubted_by_references": doubted(line.reference for line in lines),
    }


def kept(scores: Mapping[str, Any]) -> dict[str, Any]:
    """The scores that are kept, each with its interval; those that there are none of are left out."""
    return {key: scores[key] for key in SCORES if scores.get(key) is not None}


def pairs(scores: Mapping[str, Any], of: Mapping[str, str]) -> Iterator[dict[str, Any]]:
    """Differences in pairs from the reports that these were scored against: supervised or balanced ones."""
    for protocols in scores["comparisons"].values():
        yield {"minus": "balanced" if "setting" in of else "supervised", **of, **kept(next(iter(protocols.values())))}


def cases(run: Path) -> Iterator[dict[str, Any]]:
    """All that is kept of a run.

    Raises:
        ScoringError: the run, or its reward phase, has no scores.
    """
    for phase, folder in (("supervised", run), (REWARDED, run / REWARDED)):
        scores = read(folder, COMMANDS)
        for name, each in systems(scores).items():
            if name == "ours" or phase == REWARDED:
                counts = variety(folder) if name == "ours" else {}
                yield {"split": "test", "phase": phase, "system": name, **counts, **kept(each)}
        for group, others in scores["differences"].items():
            for name, gap in others.items():
                yield {"minus": f"{group}/{name}", "split": "test", "phase": phase, **kept(gap)}
        yield from pairs(scores, {"split": "test", "phase": phase})
    for folder in sorted(run.glob(f"{REWARDED}_seed*")):
        if (folder / "scores.json").is_file():
            ours = kept(systems(read(folder, COMMANDS))["ours"])
            yield {"split": "test", "phase": folder.name, "system": "ours", **variety(folder), **ours}
    for folder in (run, *sorted(run.glob(f"{REWARDED}*"))):
        phase = "supervised" if folder == run else folder.name
        if (folder / VALIDATION / "scores.json").is_file():
            yield from validated(folder / VALIDATION, {"split": VALIDATION, "phase": phase})
    for folder in sorted((run / REWARDED / VALIDATION / "operating_points").glob("*/")):
        yield from validated(folder, {"split": VALIDATION, "phase": REWARDED, "setting": folder.name})


def validated(folder: Path, of: Mapping[str, str]) -> Iterator[dict[str, Any]]:
    """Reports of the validation studies, and their differences in pairs."""
    scores = read(folder, COMMANDS)
    yield {**of, "system": "ours", **variety(folder), **kept(systems(scores)["ours"])}
    yield from pairs(scores, of)


def main(argv: Sequence[str] | None = None) -> int:
    """Gather."""
    parser = CommandParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("run", type=Path, help="folder of a finished run that has a reward phase")
    run: Path = parser.parse_args(argv).run
    try:
        found = list(cases(run))
        stage1 = {split: each["auroc_macro"] for split, each in stage1_scores(run).items()}
    except (ScoringError, FileNotFoundError) as error:
        parser.error(str(error))
    print_result("real_films", found, {}, {"stage1_auroc_macro": stage1})
    return 0


def stage1_scores(run: Path) -> Mapping[str, Mapping[str, Any]]:
    """What stage 1 reached on its splits."""
    path = run / "stage1" / "scores.json"
    found: Mapping[str, Mapping[str, Any]] = json.loads(path.read_text(encoding="utf-8"))
    return {split: found[split] for split in ("val", "test") if split in found}


if __name__ == "__main__":
    raise SystemExit(main())

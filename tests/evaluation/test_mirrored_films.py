"""The guard with mirrored films: the examples of docs/location.md, scores.json, tables, page and verdicts."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from ammrg.commands.score import main
from ammrg.metrics.mirroring import FOLLOWS, OUTCOMES, outcome_counts
from ammrg.text.places import finding_places

DOCS = Path(__file__).parents[2] / "docs" / "location.md"
HEADER = "| report | report of the mirrored films |"
LEFT, RIGHT = "There is a left pneumothorax.", "There is a right pneumothorax."


def examples() -> list[tuple[str, str, list[int]]]:
    _, _, after = DOCS.read_text(encoding="utf-8").partition(HEADER)
    rows = [row.strip("|").split("|") for row in after.partition("\n\n")[0].splitlines()[2:]]
    return [(first.strip(), second.strip(), [*map(int, counts.split(","))]) for first, second, counts in rows]


def test_the_examples_are_counted_as_by_hand() -> None:
    *eight, total = examples()
    assert (len(eight), total[0]) == (8, "all eight")
    for original, mirrored, counts in eight:
        found = outcome_counts([finding_places(original)], [finding_places(mirrored)])[0]
        assert found.astype(int).tolist() == counts, original
    assert [sum(column) for column in zip(*(counts for *_, counts in eight), strict=True)] == total[2]
    told = re.search(r"So (\d) of (\d) pairs follow: `mirrored_follows` is (\S+)\.\n", DOCS.read_text(encoding="utf-8"))
    assert told is not None
    assert [int(told[1]), int(told[2])] == [total[2][0], sum(total[2])]
    assert float(told[3]) == total[2][0] / sum(total[2])


def write(path: Path, texts: list[str]) -> Path:
    rows = [
        {"study_id": f"s{i:03}", "subject_id": f"p{i}", "reference": LEFT if i % 2 else RIGHT, "generated": text}
        for i, text in enumerate(texts)
    ]
    path.parent.mkdir(exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def scored(folder: Path, original: list[str], mirrored: list[str] | None, *words: str) -> dict[str, Any]:
    reports = write(folder / "reports.jsonl", original)
    if mirrored is not None:
        write(folder / "guards" / "films_mirrored.jsonl", mirrored)
    main([str(reports), "--no-meteor", *(words or ("--bootstrap", "100"))])
    return dict(json.loads((folder / "scores.json").read_text()))


def sentence(scores: dict[str, Any]) -> str:
    (found,) = [text for text in scores["sentences"] if "ilms mirrored" in text]
    return str(found)


@pytest.mark.parametrize(
    ("follow", "end", "alarm"),
    [
        (55, "The side follows the film.", False),
        (31, "NO CLEAR SIGN THAT THE SIDE FOLLOWS THE FILM.", True),
        (5, "THE SIDE DOES NOT FOLLOW THE FILM.", True),
    ],
)
def test_the_verdict(tmp_path: Path, capsys: pytest.CaptureFixture[str], follow: int, end: str, alarm: bool) -> None:
    scores = scored(tmp_path, [LEFT] * 60, [RIGHT] * follow + [LEFT] * (60 - follow))
    row = scores["guards"]["films_mirrored"][FOLLOWS]
    assert row["value"] == pytest.approx(follow / 60)
    assert row["low"] < row["value"] < row["high"]
    assert [row[name] for name in ("n", *OUTCOMES)] == [60, follow, 60 - follow, 0, 0, 0]
    assert sentence(scores).endswith(end)
    assert (sentence(scores) in scores["alarms"]) == alarm
    shown = capsys.readouterr().out
    assert "films mirrored: findings that the report puts on one side" in shown
    assert "films mirrored " in shown
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert f'"note":"side flips: {row["value"]:.3f}, 95%'.replace("0.", ".") in page
    assert end in page
    assert f"{follow} ({row['value']:.3f}".replace("0.", ".") in sentence(scores)


def test_its_clinical_scores_raise_no_alarm(tmp_path: Path) -> None:
    """The mirrored film shows the same findings: equal clinical scores are right."""
    scores = scored(tmp_path, [LEFT, RIGHT] * 30, [RIGHT, LEFT] * 30)
    assert scores["guards"]["films_mirrored"]["full"]["clinical_micro_f1_13_neg"]["value"] == 1.0
    assert not [text for text in scores["sentences"] if "Compared with films mirrored" in text]
    assert [text for text in scores["sentences"] if "Compared with reports exchanged" in text]


def test_few_pairs_or_none_have_no_verdict(tmp_path: Path) -> None:
    few = sentence(scored(tmp_path / "few", [LEFT] * 39 + ["Clear."] * 20, [LEFT] * 59))
    assert few.endswith("n too small (below 40), so no verdict.")
    none = scored(tmp_path / "none", ["There is a pneumothorax."] * 50, [LEFT] * 50)
    assert sentence(none) == "Films mirrored: the reports put no finding on one side (n = 0), so nothing can flip."
    assert none["guards"]["films_mirrored"][FOLLOWS]["value"] is None
    assert '"note":"side flips: -; n = 0"' in (tmp_path / "none" / "report.html").read_text(encoding="utf-8")
    plain = scored(tmp_path / "plain", [LEFT] * 50, [LEFT] * 50, "--bootstrap", "0")
    assert sentence(plain).endswith("0 not reported.")
    assert plain["guards"]["films_mirrored"][FOLLOWS]["low"] is None


def test_without_the_guards_file_there_is_no_measure(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    scores = scored(tmp_path, [LEFT] * 50, None)
    assert "films_mirrored" not in scores["guards"]
    assert FOLLOWS not in json.dumps(scores)
    assert not [text for text in scores["sentences"] if "irrored" in text]
    assert "irrored" not in capsys.readouterr().out
    assert '"note":"side' not in (tmp_path / "report.html").read_text(encoding="utf-8")


def test_a_file_that_lies_among_the_baselines_is_no_guard(tmp_path: Path) -> None:
    write(tmp_path / "baselines" / "films_mirrored.jsonl", [LEFT] * 50)
    scores = scored(tmp_path, [LEFT] * 50, None)
    assert FOLLOWS not in scores["baselines"]["films_mirrored"]
    assert any("Compared with films mirrored" in text for text in scores["sentences"])

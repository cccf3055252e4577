"""Several runs of one configuration: means, ranges, differences in pairs, and the tables written from them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks import _seed_tables, seeds

KEYS = ("clinical_micro_f1_13_neg", "location_side_f1", "cider")


def row(value: float) -> dict[str, dict[str, float]]:
    return {key: {"value": value, "low": value - 0.1, "high": value + 0.1} for key in KEYS}


def write(path: Path, content: dict[str, Any]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))
    return path


def finished(folder: Path, value: float) -> Path:
    """A run whose scores are all ``value``."""
    scores = {
        "meta": {"protocols": {"full": {}}},
        "full": row(value),
        "baselines": {"stage1_template": {"full": row(value / 2)}},
        "guards": {"memory_shuffled": {"full": row(value)}, "films_mirrored": {"full": row(value)}},
        "differences": {"baselines": {"stage1_template": row(value / 2)}, "guards": {"memory_shuffled": row(-0.0001)}},
        "comparisons": {},
        "recall": {kind: {"distinct_first": value, "baselines": {}} for kind in ("regions", "reports")},
    }
    scores["guards"]["films_mirrored"]["mirrored_follows"] = {"value": value}
    scores["recall"]["mattered"] = {"value": value, "chance": 0.08}
    write(folder / "scores.json", scores)
    write(
        folder / "stage1" / "scores.json",
        {"test": {name: {"value": value} for name in ("auroc_macro", "pointing_game")}},
    )
    return folder


def test_the_line_has_means_ranges_and_pairs_and_makes_tables(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    runs = [finished(tmp_path / name, value) for name, value in (("s0", 0.4), ("s1", 0.8))]
    free = [write(tmp_path / f"{i}.json", {"comparisons": {"x": {"full": row(i / 10)}}}) for i in range(2)]
    words = [str(run) for run in runs]
    assert seeds.main([*words, "--without-memories", *map(str, free)]) == 0
    shown = capsys.readouterr().out
    assert "| ours | .600 [.400, .800] |" in shown
    write(tmp_path / "phantom_seeds.json", json.loads(shown.splitlines()[-1]))
    assert _seed_tables.minus("baselines/stage1_template")(tmp_path).splitlines() == [
        "| run | micro F1 (13) | side F1 | CIDEr |",
        "| --- | --- | --- | --- |",
        "| s0 |" + " +.200 [+.100, +.300] |" * 3,
        "| s1 |" + " +.400 [+.300, +.500] |" * 3,
    ]
    assert "| s0 | .000 [-.100, +.100] |" in _seed_tables.minus("guards/memory_shuffled")(tmp_path)
    assert "| s1 | +.100 [.000, +.200] |" in _seed_tables.minus("a network without memories")(tmp_path)
    assert "| s1 | .800 | .080 |" in _seed_tables.influenced(tmp_path)
    assert "| macro AUROC of stage 1 | .600 [.400, .800] |" in _seed_tables.said(tmp_path)


def test_scores_without_memories_are_one_for_each_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = str(finished(tmp_path / "s0", 0.5))
    with pytest.raises(SystemExit):
        seeds.main([run, run, "--without-memories", "scores.json"])
    assert "1 SCORES for 2 runs; give one for each" in capsys.readouterr().err


def test_what_cannot_be_read_is_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = finished(tmp_path / "s0", 0.5)
    for words, told in (
        ([tmp_path / "none"], "none/scores.json: not there; finish the run first"),
        ([run, "--without-memories", tmp_path / "none.json"], "none.json: 0 comparisons, must be one"),
        ([run, "--without-memories", run / "scores.json"], "s0/scores.json: 0 comparisons, must be one"),
        ([write(tmp_path / "old" / "scores.json", {}).parent], "old/scores.json: holds no differences; score"),
    ):
        with pytest.raises(SystemExit):
            seeds.main([str(word) for word in words])
        err = capsys.readouterr().err
        assert told in err
        assert len(err.splitlines()) == 1

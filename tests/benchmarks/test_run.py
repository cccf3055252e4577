"""``make bench``: what runs, what is kept, and that the table and the documentation quote what is kept."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from benchmarks import run, table
from benchmarks._film_distance_table import NETWORKS
from benchmarks.run import Benchmark
from benchmarks.table import CLAIMS, RESULTS, Figures, row_of

ROOT = Path(__file__).parents[2]


def test_a_result_is_kept_with_how_it_was_measured(tmp_path: Path) -> None:
    assert run.run("stage2_cost", Benchmark("", 300), tmp_path) is None
    result = json.loads((tmp_path / "stage2_cost.json").read_text())
    assert result["benchmark"] == "stage2_cost"
    assert len(result["cases"]) == 2
    how = result["run"]
    assert how["command"] == "python -m benchmarks.stage2_cost"
    assert re.fullmatch(r"\d{4}-\d\d-\d\d", how["date"])
    assert how["seconds"] > 0


def test_one_that_takes_too_long_is_ended_and_keeps_nothing(tmp_path: Path) -> None:
    assert run.run("stage2_cost", Benchmark("", 0), tmp_path) == "its 0 s were over"
    assert list(tmp_path.iterdir()) == []


def test_a_wrong_argument_is_no_result(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert run.run("two_step", Benchmark("--pattern 5", 300), tmp_path) == "it ended with 2"
    assert "--patterns" in capfd.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_one_that_cannot_run_here_says_why(tmp_path: Path) -> None:
    reason = run.run("gpu", Benchmark("", 300), tmp_path)
    assert reason is not None
    assert "there is no GPU here" in reason


def test_make_bench_takes_at_most_half_an_hour() -> None:
    assert sum(how.limit for how in run.CPU.values()) <= 1800
    for name in run.CPU | run.OTHERS:
        assert (ROOT / "benchmarks" / f"{name}.py").exists()


def test_every_claim_can_be_measured_anew_as_the_page_says() -> None:
    assert {claim.benchmark for claim in CLAIMS} <= (run.CPU | run.OTHERS).keys()


def test_the_pages_have_the_tables_of_the_kept_results() -> None:
    assert table.main(["--check"]) == 0, "python -m benchmarks.table writes it anew"


def test_the_page_on_stage_1_says_what_mining_took() -> None:
    result = json.loads((RESULTS / "mining.json").read_text())
    one, eight = (
        next(case for case in result["cases"] if case["findings_per_film"] == findings and "ours_mib" in case)
        for findings in (1, 8)
    )
    hours = {way: f"{value:.0f}" for way, value in result["mimic_hours_here"].items()}
    page = " ".join((ROOT / "docs" / "stage1_measured.md").read_text().split())
    assert (
        f"({one['ours_mib']:.0f} MiB with one, {eight['ours_mib']:.0f} with eight, "
        f"{result['ours_mib_of_twice_the_films']:.0f} with twice the films)"
    ) in page
    assert (
        f"{hours['ours']} hours with region tokens from the film's own pass, {hours['crop']} with crops, "
        f"{hours['peer']} the published way"
    ) in page


def test_ways_of_writing_are_rows_and_batches_columns(tmp_path: Path) -> None:
    rows = [
        {
            "batch": batch,
            "way": way,
            "ours": way == "b",
            "tokens_per_s": rate,
            "ratio": rate / 10,
            "same_next_tokens": same,
        }
        for batch in (1, 8)
        for way, rate, same in (("a", 10.0, None), ("b", 31.26, 0.9961))
    ]
    (tmp_path / "generation.json").write_text(json.dumps({"cases": rows}))
    assert table.ways_of_writing(tmp_path).splitlines() == [
        "| way | batch 1 | batch 8 | next tokens as NF4's |",
        "| --- | --- | --- | --- |",
        "| a | 10.0 (1.0) | 10.0 (1.0) | - |",
        "| b (ours) | 31.3 (3.1) | 31.3 (3.1) | 99.6% |",
    ]


def test_a_page_without_its_marks_is_left_alone() -> None:
    with pytest.raises(SystemExit, match="put both around the table"):
        table.with_table("# Benchmarks\n", "table", "| a |")


def kept(cases: list[dict[str, Any]], **more: Any) -> dict[str, Any]:
    how = {"command": "c", "date": "2026-01-02", "cpus": 2, "processor": "p", "load_before": 3.2}
    return {"cases": cases, "run": how, **more}


def test_a_row_shows_figures_machine_and_other_work(tmp_path: Path) -> None:
    (claim,) = (claim for claim in CLAIMS if claim.benchmark == "generation" and "batch 8" in claim.claim)
    assert row_of(claim, tmp_path)[1:5] == ("-",) * 4
    rows = [
        {"batch": 8, "way": "NF4, float32", "ours": False, "tokens_per_s": 20.0, "ratio": 1.0, "floor_share": 0.2},
        {"batch": 8, "way": "merged", "ours": True, "tokens_per_s": 60.04, "ratio": 3.002, "floor_share": 0.61},
    ]
    (tmp_path / "generation.json").write_text(json.dumps(kept(rows)))
    _, *figures, measured = row_of(claim, tmp_path)
    assert figures == ["60.0 tokens/s", "20.0 tokens/s", "3.0 (2.5)", "61% of it"]
    assert measured.startswith("2026-01-02, 2 CPUs (p), beside other work (load 3); `c`")


@pytest.mark.parametrize(
    ("read", "result", "expected"),
    [
        (
            table.mining(2),
            kept([{"findings_per_film": 2, "precision": "fp32", "ours_s": 0.1, "peer_s": 1.5, "ratio": 15.0}]),
            Figures("0.1 s", "1.5 s", 15.0),
        ),
        (table.mining(1), kept([]), None),
        (
            table.scoring,
            kept([{"ours": {"cpu_s": 10.0}, "peer_s": 500.0, "times_floor": 2.0}]),
            Figures("10 s", "500 s", 50.0, "2.0 times it"),
        ),
        (
            table.stage2,
            kept(
                [
                    {"table": "published association space", "row": "ours", "studies_per_s": 1.2},
                    {"table": "published association space", "row": "published", "studies_per_s": 0.2},
                ]
            ),
            Figures("1.2 studies/s", "0.2 studies/s", pytest.approx(6.0)),
        ),
        (
            table.first_word,
            kept(
                [
                    {"name": "ours", "cpu_s": 4.0},
                    {"name": "other", "cpu_s": 10.0},
                    {"name": "import torch", "cpu_s": 3.0},
                ]
            ),
            Figures("4 s", "10 s", 2.5, "3 s"),
        ),
        (
            table.first_run,
            kept([{"seconds": {"whole": 60.0}, "floor_s": 12.0}, {"seconds": {"whole": 90.0}, "floor_s": 12.0}]),
            Figures("60 s", "90 s", 1.5, "12 s"),
        ),
        (
            table.association("forward", "peer"),
            kept(
                [
                    {
                        **{"n": 7014, "batch": 16, "mode": "forward", "dropout": 0.0, "exclude_self": False, "k": 0},
                        **{"ours_s": 0.3, "peer_s": None, "ours_gflops": 50.0},
                    }
                ],
                machine={"matmul_gflops": 100.0},
            ),
            None,
        ),
    ],
)
def test_readers(read: Callable[[Any], Figures | None], result: dict[str, Any], expected: Figures | None) -> None:
    assert read(result) == expected


def test_every_kept_result_is_read_by_a_row() -> None:
    named = {claim.benchmark for claim in CLAIMS} | {
        "phantom_seeds",
        "phantom_seeds_before",
        "growth",
        "real_films",
        "dial",
        "queries",
        *NETWORKS,
    }
    named |= {f"stage1_{against}{epoch}" for against in ("", "chain_") for epoch in ("best", "last")}
    for file in RESULTS.glob("*.json"):
        assert file.stem in named
        assert json.loads(file.read_text())["benchmark"]
    for claim in CLAIMS:
        assert (ROOT / "docs" / f"{claim.page}.md").exists()

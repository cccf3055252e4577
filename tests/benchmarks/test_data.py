"""The benchmark of the data runs, and ends with the line that others read."""

from __future__ import annotations

import json

from benchmarks.data import main


def test_it_runs_on_a_few_films_and_says_what_it_found(capsys):
    assert main(["--quick"]) == 0
    printed = capsys.readouterr().out
    assert "bytes a study" in printed
    result = json.loads(printed.splitlines()[-1])
    assert result["benchmark"] == "data"
    compared = [case for case in result["cases"] if "ratio" in case]
    assert [case["case"].split(",")[0] for case in compared] == [
        "prepare",
        "load",
        "prepare PNG of 8 bits",
        "prepare PNG of 16 bits",
    ]
    for case in compared:
        assert case["films"] > 0
        assert case["ratio"] == case["peer_s"] / case["ours_s"]
    assert all(set(target) == {"value", "target", "met"} for target in result["targets"].values())
    assert [target["target"] for target in result["targets"].values()] == [3.0, 8.0]

"""The disease queries of a trained stage 1, exchanged with each other."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml

from ammrg.errors import CheckpointError
from ammrg.findings import FINDINGS
from experiments.__main__ import main
from experiments.runs.stage import data_of_stage1
from lightning_modules.stage1_checkpoint import load_stage1
from tests.pipeline.nano_run import Run


def test_queries_are_put_in_each_others_place(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["queries", str(run.stage1 / "best.ckpt"), "--split", "val", "--data"]
    assert main([*words, str(run.data)]) == 0
    assert "moves no other by more than" in capsys.readouterr().out
    found = json.loads((run.stage1 / "queries_val.json").read_text())
    assert set(found["findings"]) == set(FINDINGS)
    assert 0 <= found["attention_pointing_game"]["value"] <= 1
    judged = len(FINDINGS) - len(found["not_found"])
    assert len(found["not_broken"]) == round((1 - (found["share_broken"] or 0)) * 13 * judged)
    rows = found["findings"]
    assert all(rows[p["finding"]]["auroc_replaced_highest"] >= p["auroc"] for p in found["not_broken"])
    assert all(rows[p["finding"]]["auroc"] - p["auroc"] <= 0.05 for p in found["not_broken"])
    other = run.root / "other_data"
    assert main(["prepare", "--dataset", "phantom", "--out", str(other), "--studies", "train=4,val=2,test=2"]) == 0
    assert main([*words, str(other)]) == 1
    assert "name the folder it was trained on" in capsys.readouterr().err


@pytest.mark.parametrize(("head", "status"), [("untied", 0), ("pooled", 1)])
def test_queries_of_other_heads(
    run: Run, head: str, status: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    ends: list[str] = []

    @contextmanager
    def spied(logger: object) -> Iterator[None]:
        yield
        ends.append(head)

    monkeypatch.setattr("experiments.training.cli.ended", spied)
    other = Run(run.root, head)
    assert other.fit_stage1(f"--model.head={head}", "--trainer.max_epochs=1") == 0
    assert ends == [head]  # ends with the command, not with the process
    checkpoint = str(other.stage1 / "best.ckpt")
    assert main(["queries", checkpoint, "--split", "val", "--data", str(run.data)]) == status
    said = capsys.readouterr()
    expected = "moves no other by more than" if status == 0 else "head pooled reads no single query; name a"
    assert expected in said.out + said.err
    with pytest.raises(SystemExit, match="2"):
        main(["queries", checkpoint, "--data", str(run.data), "--batch", "0"])


def test_queries_are_judged_by_the_views_that_were_trained_on(run: Run, tmp_path: Path) -> None:
    stage1 = load_stage1(run.stage1 / "best.ckpt")
    settings = yaml.safe_load((run.stage1 / "config.yaml").read_text())
    films = {}
    for views in ("all", "frontal"):
        settings["data"]["init_args"]["views"] = views
        (tmp_path / "config.yaml").write_text(yaml.safe_dump(settings))
        data = data_of_stage1(stage1, tmp_path / "best.ckpt", str(run.data), 4)
        films[views] = sum(len(batch.images) for batch in data.evaluation_loader("val"))
    assert films["frontal"] == 16 < films["all"]
    (tmp_path / "config.yaml").unlink()
    with pytest.raises(CheckpointError, match="belongs beside the checkpoint"):
        data_of_stage1(stage1, tmp_path / "best.ckpt", str(run.data), 4)

"""Stage 2 trained on films that are read out of fold."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch

from ammrg.folds import fold_of
from ammrg.memory import bank_files as banks
from experiments.__main__ import main
from tests.pipeline.nano_run import Run
from tests.unchecked import UNCHECKED


def test_stage_2_learns_from_readings_out_of_fold(run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folds, memory = tmp_path / "cross_fit", tmp_path / "memory" / "regions_cross_fit"
    for fold in range(2):
        stage1 = folds / f"fold-{fold}" / "stage1"
        settings = ["--data.folds=2", f"--data.left_out_fold={fold}", f"--trainer.default_root_dir={stage1}"]
        assert main(["fit", "-c", f"{run.stage1}/config.yaml", *settings]) == 0
        assert main(["predict", "-c", f"{stage1}/config.yaml", f"--ckpt_path={stage1}/best.ckpt"]) == 0
    join = ["crossfit", f"{run.stage1}/best.ckpt", str(folds), "--data", str(run.data), "--memory", str(memory)]
    assert main(join) == 0
    assert "that each mapped fold explains" in capsys.readouterr().out
    card = json.loads((folds / "cross_fit.json").read_text())
    assert [sorted(shares) for shares in card["explained_on_val"]] == [["queries", "raw_tokens", "tokens"]] * 2
    assert all(share <= 1 for shares in card["explained_on_val"] for share in shares.values())

    joined, parts = (
        banks.load(memory, UNCHECKED),
        [banks.load(folds / f"fold-{fold}" / "memory" / "regions", UNCHECKED) for fold in range(2)],
    )
    assert joined.meta.encoder_fingerprint == banks.load(run.memory / "regions", UNCHECKED).meta.encoder_fingerprint
    assert torch.equal(joined.patterns[:14], banks.load(run.memory / "regions", UNCHECKED).patterns[:14])
    for fold, part in enumerate(parts):
        assert {fold_of(subject, 2) for owners in part.subject_ids for subject in owners} == {fold}
    assert len(joined) > 14
    assert set(joined.study_ids) <= {row for part in parts for row in part.study_ids}

    given = [f"--model.cross_fit={folds}", f"--model.regions_memory={memory}", "--trainer.max_epochs=1"]
    own = f"--trainer.default_root_dir={tmp_path / 'stage2'}"
    of_fold = f"--model.stage1_checkpoint={folds / 'fold-0' / 'stage1' / 'best.ckpt'}"
    assert run.fit_stage2(of_fold, own) == 1
    assert "was trained without a fold; name the checkpoint trained on all" in capsys.readouterr().err
    assert run.fit_stage2(given[0], own) == 1
    assert "give the memory mined out of fold" in capsys.readouterr().err
    assert run.fit_stage2(*given, own) == 0
    read = torch.load(tmp_path / "stage2" / "last.ckpt", weights_only=True)["state_dict"]
    assert not [name for name in read if "cross_fit" in name]

    swapped = tmp_path / "swapped"
    shutil.copytree(folds, swapped)
    (swapped / "fold-0").rename(swapped / "old")
    (swapped / "fold-1").rename(swapped / "fold-0")
    (swapped / "old").rename(swapped / "fold-1")
    assert main([*join[:2], str(swapped), *join[3:]]) == 1
    assert "was trained without fold 1 of 2, but it must leave out fold 0 of 2" in capsys.readouterr().err
    assert main([*join[:1], str(folds / "fold-0" / "stage1" / "best.ckpt"), *join[2:]]) == 1
    assert "name the stage 1 trained on all" in capsys.readouterr().err
    (folds / "fold-1" / "stage1" / "best.ckpt").unlink()
    assert main(join) == 1
    assert "best.ckpt: not there; train this fold first" in capsys.readouterr().err

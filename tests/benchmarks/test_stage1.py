"""Stage 1 beside its reference: the paired table against scikit-learn, and the reference through its whole way."""

from __future__ import annotations

import json
import math
from argparse import Namespace
from pathlib import Path

import pytest
import torch
from rich.console import Console
from sklearn.metrics import roc_auc_score

from ammrg.errors import SettingsError
from ammrg.findings import NUM_FINDINGS
from ammrg.fingerprints import id_codes
from benchmarks import stage1
from benchmarks.stage1 import Rated, compare, films, rate, reference, trainings
from callbacks.provenance import Provenance
from datamodules.studies import StudyDataModule
from experiments.__main__ import main
from lightning_modules.disease_classification import DiseaseClassification
from tests.lightning_modules.blobs import SETTINGS
from tests.quiet_trainer import quiet_trainer


def test_the_table_is_scikit_learns_and_its_differences_are_paired() -> None:
    generator = torch.Generator().manual_seed(0)
    labels = torch.zeros(120, NUM_FINDINGS)
    labels[:60, 0] = math.nan  # not mentioned in a labelled report: negative, as 0 is
    labels[:40, 0] = 1.0
    labels[5:20, 1] = 1.0
    labels[:3, 2] = 1.0  # too few for a mean
    labels[30:50, 1] = -1.0  # uncertain: left out
    good = torch.randn(120, NUM_FINDINGS, generator=generator) + 2 * labels.nan_to_num(0)
    poor = torch.randn(120, NUM_FINDINGS, generator=generator)
    studies, subjects = [f"s{i}" for i in range(120)], [f"p{i // 2}" for i in range(120)]
    console = Console(width=150, record=True)
    found = compare(
        "test", Rated(good[None], labels, studies, subjects), Rated(poor[None], labels, studies, subjects), console
    )
    known = labels[:, 1] != -1
    areas = [
        [roc_auc_score((labels[rows, i] == 1), logits[rows, i]) for i, rows in ((0, slice(None)), (1, known))]
        for logits in (good, poor)
    ]
    assert [(mean["least_positives"], mean["findings"]) for mean in found] == [(10, 2), (20, 1)]
    mean = found[0]
    assert mean["ours"]["value"] == pytest.approx(sum(areas[0]) / 2, abs=1e-9)
    assert mean["difference"]["value"] == pytest.approx((sum(areas[0]) - sum(areas[1])) / 2, abs=1e-9)
    assert mean["difference"]["low"] > 0
    assert found[1]["ours"]["value"] == pytest.approx(areas[0][0], abs=1e-9)
    same = compare(
        "test", Rated(good[None], labels, studies, subjects), Rated(good[None], labels, studies, subjects), console
    )
    assert same[0]["difference"] == {"value": 0.0, "low": 0.0, "high": 0.0}
    # Of several networks it is the mean over them, not that of an ensemble.
    both = compare(
        "test",
        Rated(torch.stack([good, poor]), labels, studies, subjects),
        Rated(poor[None], labels, studies, subjects),
        console,
    )
    assert both[0]["ours"]["value"] == pytest.approx((sum(areas[0]) + sum(areas[1])) / 4, abs=1e-9)
    assert both[0]["difference"]["value"] == pytest.approx(mean["difference"]["value"] / 2, abs=1e-9)
    with pytest.raises(SystemExit, match="rated different studies"):
        compare(
            "test",
            Rated(good[None], labels, studies, subjects),
            Rated(good[None], labels, studies[::-1], subjects),
            console,
        )


def test_references_train_by_the_clock_once_a_seed_and_rate_every_study(tmp_path: Path) -> None:
    assert (
        main(["prepare", "--dataset", "phantom", "--out", str(tmp_path / "one"), "--studies", "train=40,val=5,test=4"])
        == 0
    )
    options = Namespace(references=tmp_path / "references", data=str(tmp_path / "one"), minutes=0.05)
    networks = [reference(options, seed) for seed in (0, 1)]
    assert not any(network.training for network in networks)
    before = {path: path.stat().st_mtime_ns for path in options.references.iterdir()}
    kept = reference(options, 0)  # not trained again
    assert {path: path.stat().st_mtime_ns for path in options.references.iterdir()} == before
    with pytest.raises(SystemExit, match=r"'minutes': '0.05'.*, not by .*'minutes': '8'.*name another --references"):
        reference(Namespace(**{**vars(options), "minutes": 8.0}), 0)
    drawn = ["--studies", "train=40,val=5,test=4", "--seed", "1"]
    assert main(["prepare", "--dataset", "phantom", "--out", str(tmp_path / "other"), *drawn]) == 0
    with pytest.raises(SystemExit, match="name another --references"):
        reference(Namespace(**{**vars(options), "data": str(tmp_path / "other")}), 0)
    rated = rate("reference", [*networks, kept], films(options.data, 0), "val")
    assert rated.logits.shape == (3, 5, NUM_FINDINGS)
    assert rated.labels.shape == (5, NUM_FINDINGS)
    torch.testing.assert_close(rated.logits[0], rated.logits[2])
    assert not rated.logits[0].allclose(rated.logits[1])


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A prepared folder."""
    folder = tmp_path_factory.mktemp("drawn") / "films"
    assert main(["prepare", "--dataset", "phantom", "--out", str(folder), "--studies", "train=24,val=40,test=40"]) == 0
    return folder


@pytest.fixture
def checkpoints(drawn: Path, tmp_path: Path) -> list[Path]:
    """Of two seeds."""
    paths = [tmp_path / f"{seed}.ckpt" for seed in range(2)]
    for seed, path in enumerate(paths):
        torch.manual_seed(seed)
        trainer = quiet_trainer(tmp_path, max_epochs=1, callbacks=[Provenance()])
        data = StudyDataModule(str(drawn), 48, 8, 8, views="frontal", num_workers=0)
        trainer.fit(DiseaseClassification(**{**SETTINGS, "warmup_steps": 0}), datamodule=data)
        trainer.save_checkpoint(path)
    return paths


def test_trainings_beside_other_trainings(
    drawn: Path, checkpoints: list[Path], capsys: pytest.CaptureFixture[str]
) -> None:
    found = {}
    for name, against in (("itself", checkpoints[:1]), ("other", checkpoints[1:])):
        capsys.readouterr()
        stage1.main([str(checkpoints[0]), "--data", str(drawn), "--against", *map(str, against)])
        found[name] = json.loads(capsys.readouterr().out.splitlines()[-1])
        assert found[name]["facts"]["against"] == "other trainings"
    assert {case["studies"] for case in found["itself"]["cases"]} == {"validation", "test", "both"}
    assert all(case["difference"] == {"value": 0.0, "low": 0.0, "high": 0.0} for case in found["itself"]["cases"])
    for same, case in zip(found["itself"]["cases"], found["other"]["cases"], strict=True):
        assert case["ours"] == same["ours"]
        gap = case["ours"]["value"] - case["reference"]["value"]
        assert case["difference"]["value"] == pytest.approx(gap, abs=1e-9)
        assert case["difference"]["low"] < case["difference"]["high"]


def test_who_was_trained_on_does_not_judge(checkpoints: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    data = StudyDataModule("none", 48, 1, 1)
    monkeypatch.setattr(data, "held_out_patients", lambda: {"1", "2"})
    assert len(trainings(checkpoints, data)) == 2
    content = torch.load(checkpoints[1], weights_only=True)
    torch.save({**content, "seen_patients": id_codes(["2", "3"])}, checkpoints[1])
    with pytest.raises(SettingsError, match=r"1\.ckpt: was trained on 1 of the 2 patients who are validation or test"):
        trainings(checkpoints, data)
    del content["seen_patients"]
    torch.save(content, checkpoints[1])
    with pytest.raises(SystemExit, match="does not record the patients it was trained on"):
        trainings(checkpoints, data)

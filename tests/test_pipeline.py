"""The whole way in miniature (MODEL=nano), through the real command: data, both stages, memories, reports, scores."""

from __future__ import annotations

import csv
import dataclasses
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
import yaml
from safetensors.torch import load_file

from ammrg.commands.exit_status import STOPPED
from ammrg.errors import CheckpointError, MemoryBankError
from ammrg.evaluation.figures import told
from ammrg.findings import FINDINGS
from ammrg.fingerprints import file_fingerprint
from ammrg.folds import fold_of
from ammrg.inference.report_generator import ReportGenerator
from ammrg.memory import bank_files as banks
from ammrg.memory.bank import BankEdit
from datamodules.phantom import PhantomDataModule
from datamodules.prepared import PreparedFolder
from datamodules.sources.phantom import draw_study
from experiments.__main__ import main
from experiments.runs.export import checked_split
from experiments.runs.lock import locked
from experiments.runs.run import Run as OpenedRun
from experiments.runs.stage import data_of_stage1
from lightning_modules.disease_classification import DiseaseClassification
from lightning_modules.report_generation import ReportGeneration
from lightning_modules.stage1_checkpoint import load_stage1
from tests.unchecked import UNCHECKED

CONFIGS = Path(__file__).parent.parent / "experiments" / "configs"


class Run:
    """The commands of the Makefile for one run folder, with MODEL=nano."""

    def __init__(self, root: Path, name: str = "default") -> None:
        self.root, self.folder = root, root / "outputs" / "phantom" / name
        self.data, self.llm = root / "data", root / "llm"
        self.stage1, self.memory, self.stage2 = (self.folder / part for part in ("stage1", "memory", "stage2"))

    def configs(self, stage: str) -> list[str]:
        files = (CONFIGS / stage / "default.yaml", CONFIGS / "data" / "phantom.yaml", CONFIGS / stage / "nano.yaml")
        settings = [f"--data.folder={self.data}", f"--trainer.default_root_dir={self.folder / stage}"]
        return [word for file in files for word in ("-c", str(file))] + settings

    def prepare(self) -> None:
        sizes = "train=64,val=16,test=16"
        assert main(["prepare", "--dataset", "phantom", "--out", str(self.data), "--studies", sizes]) == 0
        assert main(["models", "phantom", "--data", str(self.data), "--out", str(self.llm), "--size", "nano"]) == 0

    def fit_stage1(self, *extra: str) -> int:
        return main(["fit", *self.configs("stage1"), *extra])

    def mine(self) -> int:
        return main(["predict", "-c", f"{self.stage1}/config.yaml", f"--ckpt_path={self.stage1}/best.ckpt"])

    def encode_reports(self) -> int:
        return main(["predict", *self.configs("memory"), f"--model.text_encoder={self.llm}"])

    def parts(self) -> list[str]:
        parts = {
            "stage1_checkpoint": self.stage1 / "best.ckpt",
            "regions_memory": self.memory / "regions",
            "reports_memory": self.memory / "reports",
            "language_model": self.llm,
        }
        return [f"--model.{key}={value}" for key, value in parts.items()]

    def fit_stage2(self, *extra: str) -> int:
        return main(["fit", *self.configs("stage2"), *self.parts(), *extra])

    def write_reports(self) -> int:
        return main(["predict", "-c", f"{self.stage2}/config.yaml", f"--ckpt_path={self.stage2}/best.ckpt"])

    def lines(self, name: str = "reports.jsonl") -> list[dict[str, object]]:
        return [json.loads(line) for line in (self.folder / name).read_text().splitlines()]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    finished = Run(tmp_path_factory.mktemp("pipeline"))
    finished.prepare()
    for step in (
        finished.fit_stage1,
        finished.mine,
        finished.encode_reports,
        finished.fit_stage2,
        finished.write_reports,
    ):
        assert step() == 0
    assert main(["score", str(finished.folder / "reports.jsonl"), "--bootstrap", "50", "--no-meteor"]) == 0
    return finished


def test_every_artifact_is_there(run: Run) -> None:
    for stage in (run.stage1, run.stage2):
        names = {path.name for path in stage.iterdir()}
        assert {"best.ckpt", "last.ckpt", "config.yaml", "metrics.csv", "manifest.json"} <= names
    assert (run.stage1 / "scores.json").exists()
    for name in ("case.png", "reports.meta.json", "scores.json", "memory/regions.json", "memory/reports.safetensors"):
        assert (run.folder / name).stat().st_size > 0, name


def test_the_mining_says_what_it_mined(run: Run) -> None:
    report = json.loads((run.memory / "regions_report" / "report.json").read_text())
    bank = json.loads((run.memory / "regions.json").read_text())
    assert report["stored_regions"] == bank["count"] - len(FINDINGS) > 0
    pages = list((run.memory / "regions_report").glob("*.png"))
    assert len(pages) == sum(row["stored_regions"] > 0 for row in report["findings"].values())


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
    assert "was trained without a fold; name the one trained on all" in capsys.readouterr().err
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
    assert "was trained without fold 1 of 2, must be without fold 0 of 2" in capsys.readouterr().err
    assert main([*join[:1], str(folds / "fold-0" / "stage1" / "best.ckpt"), *join[2:]]) == 1
    assert "name the stage 1 trained on all" in capsys.readouterr().err
    (folds / "fold-1" / "stage1" / "best.ckpt").unlink()
    assert main(join) == 1
    assert "best.ckpt: not there; train this fold first" in capsys.readouterr().err


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
    assert ends == [head]  # with its command, not with the process
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


def test_reports_say_what_the_contract_says(run: Run) -> None:
    lines = run.lines()
    assert len({line["study_id"] for line in lines}) == len(lines) == 16
    for line in lines:
        assert set(line["findings"]) == set(FINDINGS)
        assert line["reference"]
        assert line["reports"]
        assert all(0 <= pattern["weight"] <= 1 for pattern in [*line["regions"], *line["reports"]])


def test_memories_hold_training_studies_only(run: Run) -> None:
    trained = {study for split in ("regions", "reports") for study in owners(run.memory / f"{split}.json")}
    evaluated = {line["study_id"] for line in run.lines()}
    assert trained
    assert not trained & evaluated


def owners(path: Path) -> set[str]:
    return {study for ids in json.loads(path.read_text())["study_ids"] for study in ids}


def test_scores_stand_beside_baselines_and_guards(run: Run) -> None:
    scores = json.loads((run.folder / "scores.json").read_text())
    assert {"random_training", "nearest_image", "nearest_findings"} <= set(scores["baselines"])
    assert {"images_shuffled", "memory_off"} <= set(scores["guards"])
    bleu = scores["full"]["bleu_4"]
    assert bleu["low"] <= bleu["value"] <= bleu["high"]
    stage1 = json.loads((run.stage1 / "scores.json").read_text())
    assert {"val", "test"} <= set(stage1)
    assert 0 <= stage1["test"]["pointing_game"]["value"] <= 1


def test_checkpoints_hold_no_language_model(run: Run) -> None:
    checkpoint = torch.load(run.stage2 / "best.ckpt", weights_only=True)
    llm = load_file(run.llm / "model.safetensors")
    assert sum(tensor.numel() for tensor in checkpoint["state_dict"].values()) < 10 * sum(
        t.numel() for t in llm.values()
    )
    assert not [name for name in checkpoint["state_dict"] if "embed_tokens" in name or "base_layer" in name]
    assert checkpoint["identity"]["language_model"]["quantization"] == "nf4"


def test_a_finished_run_is_left_alone(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    before = (run.stage1 / "best.ckpt").stat().st_mtime_ns
    assert run.fit_stage1() == 0
    assert "is finished" in capsys.readouterr().out
    assert (run.stage1 / "best.ckpt").stat().st_mtime_ns == before


def test_changed_settings_are_refused_by_name(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert run.fit_stage1("--model.lr=0.5") == 1
    assert "model.lr: 0.001 (kept) -> 0.5 (asked)" in capsys.readouterr().err
    assert yaml.safe_load((run.stage1 / "config.yaml").read_text())["model"]["init_args"]["lr"] == 1e-3


def test_changed_memory_settings_are_refused_by_name(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    before = (run.memory / "reports.json").read_bytes()
    assert run.encode_reports() == 0
    words = [*run.configs("memory"), f"--model.text_encoder={run.llm}", "--model.max_tokens=7"]
    assert main(["predict", *words]) == 1
    assert "model.max_tokens: 256 (kept) -> 7 (asked)" in capsys.readouterr().err
    assert (run.memory / "reports.json").read_bytes() == before


def test_a_stopped_run_goes_on_to_the_same_weights(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    again = Run(run.root, "stopped")
    with monkeypatch.context() as patch:

        def stop(module: DiseaseClassification) -> None:
            if module.current_epoch == 1:
                raise KeyboardInterrupt

        patch.setattr(DiseaseClassification, "on_train_epoch_start", stop)
        assert again.fit_stage1() == STOPPED  # what runs several commands in turn ends with it
    assert (again.stage1 / "last.ckpt").exists()
    assert not (again.stage1 / "manifest.json").exists()
    assert again.fit_stage1() == 0
    resumed, whole = (torch.load(r.stage1 / "last.ckpt", weights_only=True)["state_dict"] for r in (again, run))
    assert resumed.keys() == whole.keys()
    assert not [name for name in whole if not torch.equal(resumed[name].nan_to_num(), whole[name].nan_to_num())]


def test_a_checkpoint_of_the_other_stage_is_refused(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["predict", "-c", f"{run.stage1}/config.yaml", f"--ckpt_path={run.stage2}/best.ckpt"]) == 1
    assert "holds ReportGeneration, but the settings ask for DiseaseClassification" in capsys.readouterr().err
    other = Run(run.root, "other_stage")
    shutil.copytree(run.memory, other.memory)
    other.stage1.mkdir()
    shutil.copy(run.stage2 / "best.ckpt", other.stage1 / "best.ckpt")
    assert other.fit_stage2() == 1
    assert "not DiseaseClassification" in capsys.readouterr().err


def test_a_damaged_checkpoint_is_named(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    broken = run.root / "broken.ckpt"
    broken.write_bytes((run.stage1 / "best.ckpt").read_bytes()[:1000])
    assert main(["predict", "-c", f"{run.stage1}/config.yaml", f"--ckpt_path={broken}"]) == 1
    assert "broken.ckpt: not a whole checkpoint" in capsys.readouterr().err


def test_settings_of_a_call_that_trained_nothing_do_not_bind(run: Run) -> None:
    again = Run(run.root, "corrected")
    assert again.fit_stage1("--model.warmup_steps=10000") == 1
    assert (again.stage1 / "config.yaml").exists()
    assert again.fit_stage1("--trainer.max_epochs=1") == 0


def test_a_run_may_be_moved(run: Run, tmp_path: Path) -> None:
    place = tmp_path / "elsewhere"
    run.folder.rename(place)
    try:
        moved = OpenedRun(place)
        model = moved.model(moved.held_out())
    finally:
        place.rename(run.folder)
    assert model.network.identity == OpenedRun(run.folder).model().network.identity


def test_weights_that_are_trained_are_held_in_float32(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert Run(run.root, "bf16").fit_stage2("--trainer.precision=bf16-true", *run.parts()) == 1
    assert "trainer.precision bf16-true: what is trained must be held in float32" in capsys.readouterr().err


def test_stopped_stage_2_goes_on_to_the_same_weights(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    again = Run(run.root, "stopped_stage_2")
    shutil.copytree(run.memory, again.memory)
    again.stage1.mkdir()
    shutil.copy(run.stage1 / "best.ckpt", again.stage1 / "best.ckpt")
    with monkeypatch.context() as patch:

        def stop(module: ReportGeneration) -> None:
            if module.current_epoch == 1:
                raise KeyboardInterrupt

        patch.setattr(ReportGeneration, "on_train_epoch_start", stop)
        assert again.fit_stage2() != 0
    assert again.fit_stage2() == 0
    resumed, whole = (torch.load(r.stage2 / "last.ckpt", weights_only=True)["state_dict"] for r in (again, run))
    assert resumed.keys() == whole.keys()
    assert not [name for name in whole if not torch.equal(resumed[name], whole[name])]


def tensors(checkpoint: Path) -> dict[str, torch.Tensor]:
    """Weights and optimizer moments of a checkpoint, by name."""
    kept = torch.load(checkpoint, weights_only=True)
    moments = {
        f"optimizer.{number}.{name}": value
        for number, state in kept["optimizer_states"][0]["state"].items()
        for name, value in state.items()
    }
    return {name: value.nan_to_num() for name, value in {**kept["state_dict"], **moments}.items()}


def rows_of(run: Path) -> list[dict[str, str]]:
    with (run / "metrics.csv").open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.slow
@pytest.mark.parametrize("stage", ["stage1", "stage2"])
def test_resume_within_an_epoch_gives_the_same_checkpoints_and_metrics(
    run: Run, stage: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    again = Run(run.root, f"signalled_{stage}")
    shutil.copytree(run.memory, again.memory)
    if stage == "stage2":
        again.stage1.mkdir()
        shutil.copy(run.stage1 / "best.ckpt", again.stage1 / "best.ckpt")
    fit = again.fit_stage1 if stage == "stage1" else again.fit_stage2
    module = DiseaseClassification if stage == "stage1" else ReportGeneration
    for epoch, batch in ((0, 4), (1, 2), (1, 7)):  # the last falls on the step before a validation
        with monkeypatch.context() as patch:

            def fire(self: DiseaseClassification, *_: object, place: tuple[int, int] = (epoch, batch)) -> None:
                if (self.current_epoch, self.trainer.fit_loop.batch_idx) == place:
                    os.kill(os.getpid(), signal.SIGUSR1)

            patch.setattr(module, "on_train_batch_start", fire)
            assert fit() != 0
            signal.signal(signal.SIGINT, signal.default_int_handler)
        assert "SIGUSR1: saving a checkpoint after this step" in capsys.readouterr().out
        assert not (again.folder / stage / "manifest.json").exists()
    assert fit() == 0
    for name in ("last.ckpt", "best.ckpt"):
        resumed, whole = (tensors(each.folder / stage / name) for each in (again, run))
        assert resumed.keys() == whole.keys()
        assert not [key for key in whole if not torch.equal(resumed[key], whole[key])]
    assert rows_of(again.folder / stage) == rows_of(run.folder / stage)
    if stage == "stage1":
        assert (again.stage1 / "scores.json").read_bytes() == (run.stage1 / "scores.json").read_bytes()


@pytest.mark.slow
def test_resume_with_other_settings_or_data_only_where_it_is_forced(
    run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    again = Run(run.root, "forced")
    assert again.fit_stage1("--trainer.max_epochs=1") == 0
    (again.stage1 / "manifest.json").unlink()
    assert again.fit_stage1() == 1
    assert "trainer.max_epochs: 1 (kept) -> 2 (asked)" in capsys.readouterr().err
    again.data = run.root / "data_of_another_seed"
    sizes = "train=64,val=16,test=16"
    words = ["prepare", "--dataset", "phantom", "--out", str(again.data), "--studies", sizes, "--seed", "1"]
    assert main(words) == 0
    assert again.fit_stage1() == 1
    assert "data.folder" in capsys.readouterr().err
    (again.stage1 / "config.yaml").write_text(
        (again.stage1 / "config.yaml").read_text().replace(str(run.data), str(again.data))
    )
    assert again.fit_stage1("--trainer.max_epochs=1") == 1
    assert "the checkpoint was trained on data" in capsys.readouterr().err
    assert again.fit_stage1("--force-resume") == 0
    shown = capsys.readouterr().out
    assert "warning: --force-resume: the checkpoint was trained on data" in shown
    assert "trainer.max_epochs: 1 (kept) -> 2 (asked)" in shown
    assert torch.load(again.stage1 / "last.ckpt", weights_only=True)["global_step"] == 16


def copy_of_stage1(run: Run, name: str) -> Run:
    again = Run(run.root, name)
    shutil.copytree(run.stage1, again.stage1)
    return again


def test_a_force_that_cannot_go_on_changes_nothing(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    again = copy_of_stage1(run, "not_forced")
    kept = {path.name: path.read_bytes() for path in again.stage1.glob("*.*") if path.suffix in (".yaml", ".json")}
    assert again.fit_stage1("--model.qformer.layers=2", "--force-resume") == 1
    assert "do not fit the network of these settings" in capsys.readouterr().err
    assert again.fit_stage1("--model.warmup_steps=10000", "--force-resume") == 1
    assert kept == {name: (again.stage1 / name).read_bytes() for name in kept}
    assert again.fit_stage1() == 0
    assert "is finished" in capsys.readouterr().out


def test_a_second_training_in_a_folder_is_refused(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    again = Run(run.root, "busy")
    with locked(again.stage1):
        assert again.fit_stage1() == 1
    assert f"another process trains here (process {os.getpid()} on" in capsys.readouterr().err


@pytest.mark.parametrize("key", ["data.batch_size", "data.micro_batch_size"])
def test_what_a_constructor_refuses_is_one_clear_error(run: Run, key: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert Run(run.root, "refused").fit_stage1(f"--{key}=0") == 1
    said = capsys.readouterr().err
    assert f"error: {key} (0)" in said
    assert "Traceback" not in said


def test_data_prepared_anew_are_not_those_of_a_finished_run(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    card = run.data / "card.json"
    before = card.read_text()
    other = Run(run.root, "other_data")
    other.stage1, other.memory = run.stage1, run.memory
    try:
        card.write_text(json.dumps({**json.loads(before), "fingerprint": "f" * 16}))
        assert run.fit_stage1() == 1
        assert f"holds data {'f' * 16} now" in capsys.readouterr().err
        assert other.fit_stage2() == 1
        assert "train stage 1 on them, or prepare its data again" in capsys.readouterr().err
    finally:
        card.write_text(before)


def test_a_best_checkpoint_that_is_gone_is_named(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    again = copy_of_stage1(run, "best_gone")
    (again.stage1 / "manifest.json").unlink()
    (again.stage1 / "best.ckpt").write_bytes(b"half")
    assert again.fit_stage1() == 1
    assert "best.ckpt: missing or damaged, and no epoch is left" in capsys.readouterr().err


def test_where_no_last_checkpoint_is_whole_settings_still_bind(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    again = copy_of_stage1(run, "all_damaged")
    (again.stage1 / "manifest.json").unlink()
    for path in again.stage1.glob("last*.ckpt"):
        path.write_bytes(path.read_bytes()[:1000])
    assert again.fit_stage1("--model.lr=0.5") == 1
    shown = capsys.readouterr()
    assert "no whole checkpoint is left" in shown.out
    assert "model.lr: 0.001 (kept) -> 0.5 (asked)" in shown.err


def test_sharding_where_it_cannot_be_is_refused(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    sharded = ["-c", str(CONFIGS / "stage1" / "sharded.yaml")]
    averaged = "--trainer.callbacks+=callbacks.averaged_weights.AveragedWeights"
    assert Run(run.root, "sharded").fit_stage1(*sharded, "--trainer.precision=16-mixed") == 1
    assert "sharded training takes 32-true" in capsys.readouterr().err
    assert Run(run.root, "sharded").fit_stage1(*sharded, averaged) == 1
    assert "which sharded training cannot make" in capsys.readouterr().err
    again = Run(run.root, "sharded")
    again.stage1, again.memory = run.stage1, run.memory
    assert again.fit_stage2(*sharded) == 1
    assert "shards stage 1 alone" in capsys.readouterr().err


def test_a_memory_of_another_encoder_is_refused(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    other = Run(run.root, "other_encoder")
    assert other.fit_stage1("--seed_everything=1") == 0
    shutil.copytree(run.memory, other.memory)
    assert other.fit_stage2() == 1
    message = capsys.readouterr().err
    assert "encoder_fingerprint" in message
    assert "regions" in message


@pytest.mark.parametrize("bank", ["regions", "reports"])
@pytest.mark.parametrize("owner", ["study_ids", "subject_ids"])
def test_a_test_study_slipped_into_a_memory_is_refused(
    run: Run, bank: str, owner: str, capsys: pytest.CaptureFixture[str]
) -> None:
    other = Run(run.root, f"leak_{bank}_{owner}")
    for part in ("memory", "stage1"):
        shutil.copytree(run.folder / part, other.folder / part)
    memory = banks.load(other.memory / bank, UNCHECKED)
    leaked = run.lines()[3]["study_id" if owner == "study_ids" else "subject_id"]
    row = next(row for row, owners in enumerate(memory.study_ids) if owners)
    owners = list(getattr(memory, owner))
    owners[row] = (str(leaked), *owners[row][1:])
    banks.save(dataclasses.replace(memory, **{owner: tuple(owners)}), other.memory / bank)
    assert other.fit_stage2() == 1
    message = capsys.readouterr().err
    assert f"{bank}.json: holds patterns of 1" in message
    assert str(leaked) in message


def leaked_into(memory: Path, bank: str, study: str, patient: str) -> None:
    """Put an evaluation study into a memory as a merge does, so that a trained network takes it as its own, edited."""
    before = banks.load(memory / bank, UNCHECKED)
    row = next(row for row, owners in enumerate(before.study_ids) if owners)
    owners = {name: list(getattr(before, name)) for name in ("study_ids", "subject_ids")}
    owners["study_ids"][row] += (study,)
    owners["subject_ids"][row] += (patient,)
    meta = dataclasses.replace(before.meta, edits=(BankEdit(before.fingerprint, "merged with another"),))
    after = dataclasses.replace(before, meta=meta, **{name: tuple(rows) for name, rows in owners.items()})
    banks.save(after, memory / bank)


@pytest.mark.parametrize("bank", ["regions", "reports"])
def test_every_command_refuses_a_memory_with_a_test_study(
    run: Run, bank: str, capsys: pytest.CaptureFixture[str]
) -> None:
    other = Run(run.root, f"every_{bank}")
    shutil.copytree(run.folder, other.folder)
    for config in (other.stage2 / "config.yaml", other.memory / "config.yaml"):
        config.write_text(config.read_text().replace(str(run.folder), str(other.folder)))
    line = run.lines()[3]
    leaked_into(other.memory, bank, str(line["study_id"]), str(line["subject_id"]))
    place, film, out = str(other.folder), run.root / "leak.png", str(other.folder / "out")
    film.write_bytes(draw_study("test", 0, 0, 128).views[0].image)
    path, clean = str(other.memory / bank), str(run.memory / bank)
    commands = [
        ["guards", place, "--only", "memory_off"],
        ["memory", "compare", place],
        ["memory", "associations", place, "--split", "train"],
        ["memory", "check", path, "--data", str(run.data)],
        ["memory", "merge", path, clean, "--out", out],
        ["memory", "merge", clean, path, "--out", out],
        ["describe", str(film), "--run", place, "--out", out],
        ["export", place, "--out", out],
        ["predict", "-c", f"{other.stage2}/config.yaml", f"--ckpt_path={other.stage2}/best.ckpt"],
        ["test", "-c", f"{other.stage2}/config.yaml", f"--ckpt_path={other.stage2}/best.ckpt"],
        ["validate", "-c", f"{other.stage2}/config.yaml", f"--ckpt_path={other.stage2}/best.ckpt"],
    ]
    before = {name: (other.folder / name).read_bytes() for name in ("reports.jsonl", "scores.json")}
    for words in commands:
        capsys.readouterr()
        assert main(words) == 1, words
        message = capsys.readouterr().err
        assert (
            f"{bank}.json: holds patterns of 1 studies of the validation or test split: {line['study_id']}" in message
        )
        assert not Path(out).exists(), words
        assert not Path(out).with_suffix(".json").exists(), words
    assert before == {name: (other.folder / name).read_bytes() for name in before}


def test_other_data_than_the_runs_are_no_guard(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    """Their evaluation studies are others: a memory with a test study of the run's own would pass."""
    other, strange = Run(run.root, "other_guard"), run.root / "strange_data"
    shutil.copytree(run.folder, other.folder)
    leaked_into(other.memory, "reports", "of_the_runs_own_test", "a_patient")
    words = ["prepare", "--dataset", "phantom", "--out", str(strange), "--studies", "train=4,val=2,test=2"]
    assert main(words) == 0
    config = other.stage2 / "config.yaml"
    config.write_text(config.read_text().replace(str(run.data), str(strange)))
    film = run.root / "strange.png"
    film.write_bytes(draw_study("test", 0, 0, 128).views[0].image)
    out = str(other.folder / "out")
    for words in (
        ["describe", str(film), "--run", str(other.folder), "--data", str(strange), "--out", out],
        ["export", str(other.folder), "--data", str(strange), "--out", out],
        ["guards", str(other.folder), "--only", "memory_off"],
        ["memory", "compare", str(other.folder)],
    ):
        capsys.readouterr()
        assert main(words) == 1, words
        assert "name the folder it was trained on" in capsys.readouterr().err
    assert not Path(out).exists()


def test_a_run_away_from_its_data_takes_the_memories_of_its_training_alone(
    run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    other, film = Run(run.root, "away"), run.root / "away.png"
    shutil.copytree(run.folder, other.folder)
    film.write_bytes(draw_study("test", 0, 0, 128).views[0].image)
    describe = ["describe", str(film), "--run", str(other.folder), "--out", str(other.folder / "described")]
    hidden = run.data.rename(run.root / "elsewhere")
    try:
        assert main(describe) == 0
        assert "only to be those of the training" in capsys.readouterr().out
        leaked_into(other.memory, "reports", "nobody_knows", "nobody")
        assert main(describe) == 1
        assert "cannot be checked" in (said := capsys.readouterr().err)
        assert "name the prepared data with --data FOLDER" in said
        assert main([*describe, "--data", str(hidden)]) == 0  # it is none of the evaluation studies
    finally:
        hidden.rename(run.data)


def test_describe_writes_a_report_for_one_film(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    film = run.root / "film.png"
    film.write_bytes(draw_study("test", 0, 0, 128).views[0].image)
    assert main(["describe", str(film), "--run", str(run.folder), "--out", str(run.root / "described")]) == 0
    assert "Not for diagnosis" in capsys.readouterr().out
    found = json.loads((run.root / "described" / "report.json").read_text())
    assert set(found["findings"]) == set(FINDINGS)
    assert (run.root / "described" / "panel.png").stat().st_size > 0
    assert main(["describe", str(film), "--model", "exported", "--data", str(run.data)]) == 1
    assert "--data is for --run" in capsys.readouterr().err

    assert found["trained_on"]["dataset"] == "phantom"
    assert "trained on drawn films" in found["trained_on"]["sentence"]
    assert len(found["distance_from_training"]["distances"]) == 1
    film.write_bytes(film.read_bytes()[:100])
    assert main(["describe", str(film), "--run", str(run.folder)]) == 1
    assert "film.png" in capsys.readouterr().err


def test_memories_are_measured(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["memory", "associations", str(run.folder), "--split", "train"]) == 0
    found = json.loads((run.folder / "associations.json").read_text())
    assert found["all"]["queries"] == sum(each["queries"] for each in found["findings"].values()) > 16
    assert 0 < found["all"]["chance"] < 1
    assert all(0 <= found["all"][name] <= 1 for name in ("top", "top_k", "weight", "on_regions"))
    assert "beside" not in capsys.readouterr().err
    assert main(["memory", "compare", str(run.folder)]) == 0
    shown = capsys.readouterr().out
    guards = json.loads((run.folder / "scores.json").read_text())["guards"]
    for name in ("memory_shuffled", "memory_visual_off", "memory_report_off", "memory_off"):
        assert name.removeprefix("memory_").replace("_", " ") in shown
        assert "clinical_macro_f1_14_neg" in guards[name]["full"]
    silent = run.lines("guards/memory_visual_off.jsonl")
    assert all(line["reports"] and not line["regions"] for line in silent)


def test_a_withdrawn_patient_leaves_a_trained_run_usable(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    less = Run(run.root, "withdrawn")
    shutil.copytree(run.folder, less.folder)
    sidecar = json.loads((less.memory / "regions.json").read_text())
    patient = next(ids[0] for ids in sidecar["subject_ids"] if ids)
    settings = (less.stage2 / "config.yaml").read_text().replace(str(run.folder), str(less.folder))
    (less.stage2 / "config.yaml").write_text(settings)
    for bank in ("regions", "reports"):
        assert main(["memory", "prune", str(less.memory / bank), "--patient", patient]) == 0
    assert less.write_reports() == 0
    named = {pattern["study_id"] for line in less.lines() for kind in ("regions", "reports") for pattern in line[kind]}
    assert named
    assert not {study for study in named if patient in owners_of(run, study)}
    capsys.readouterr()
    shutil.copy(run.memory / "regions.json", less.memory / "regions.json")
    assert less.write_reports() == 1
    assert "regions.safetensors" in capsys.readouterr().err


def test_a_copied_run_answers_from_its_own_memories(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    copy = Run(run.root, "copied")
    shutil.copytree(run.folder, copy.folder)
    whole = banks.load(run.memory / "regions", UNCHECKED)
    patient = next(ids[0] for ids in whole.subject_ids if ids)
    assert main(["memory", "prune", str(copy.memory), "--patient", patient]) == 0
    pruned = banks.load(copy.memory / "regions", UNCHECKED).fingerprint
    assert pruned != whole.fingerprint
    capsys.readouterr()
    assert main(["memory", "associations", str(copy.folder), "--split", "train", "--top", "1"]) == 0
    shown = capsys.readouterr().out
    assert f"regions memory: {copy.memory}/regions.safetensors, fingerprint {pruned}" in shown
    assert f"reports memory: {copy.memory}/reports.safetensors" in shown
    assert json.loads((copy.folder / "associations.json").read_text())["memory"] == pruned
    film = run.root / "copied.png"
    film.write_bytes(draw_study("test", 0, 0, 128).views[0].image)
    assert main(["describe", str(film), "--run", str(copy.folder)]) == 0
    assert f"regions memory: {copy.memory}/regions.safetensors, fingerprint {pruned}" in capsys.readouterr().out
    for file in (copy.memory / "regions").parent.glob("regions.*"):
        file.unlink()
    assert main(["memory", "associations", str(copy.folder), "--split", "train"]) == 0  # there is no other
    assert f"{run.memory}/regions.safetensors, fingerprint {whole.fingerprint}" in capsys.readouterr().out


def test_new_studies_come_into_the_memories_of_a_trained_run(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    grown, new = Run(run.root, "grown"), run.root / "new"
    shutil.copytree(run.folder, grown.folder)
    sizes = "train=80,val=2,test=2"  # the run's 64 training studies and 16 more
    assert main(["prepare", "--dataset", "phantom", "--out", str(new / "data"), "--studies", sizes]) == 0
    mine = ["predict", "-c", f"{grown.stage1}/config.yaml", f"--ckpt_path={grown.stage1}/best.ckpt"]
    mine += [f"--data.folder={new}/data", f"--trainer.default_root_dir={new}/stage1"]
    for words, message in (
        ([], "--new_studies=true makes a memory of new studies"),
        (["--new_studies=true", f"--trainer.default_root_dir={grown.stage1}"], "is the run itself, whose memory would"),
        (["--new_studies=true", "--data.image_size=96"], "trained on films of 64 pixels, but data.image_size is 96"),
    ):
        assert main([*mine, *words]) == 1
        assert message in capsys.readouterr().err
        assert not (new / "memory").exists()
    assert main([*mine, "--new_studies=true"]) == 0
    encode = ["predict", "-c", f"{grown.memory}/config.yaml", f"--data.folder={new}/data"]
    assert main([*encode, f"--trainer.default_root_dir={new}/memory"]) == 0
    for bank, guards in (("regions", ["--stage1", f"{grown.stage1}/best.ckpt"]), ("reports", [])):
        place = str(grown.memory / bank)
        merge = ["memory", "merge", place, f"{new}/memory/{bank}", "--out", place, "--data", str(run.data)]
        assert main([*merge, *guards]) == 0
    added = owners(grown.memory / "reports.json") - owners(run.memory / "reports.json")
    assert added
    assert added <= set(PreparedFolder(new / "data").index("train").study_ids[64:])
    capsys.readouterr()
    assert main(["memory", "associations", str(grown.folder), "--split", "train", "--top", "1"]) == 0
    shown = capsys.readouterr().out  # stage 2 loads what it was not trained with, and says so
    assert shown.count("was edited since this checkpoint was trained (merged with") == 2
    assert main(["predict", "-c", f"{grown.stage2}/config.yaml", "--new_studies=true"]) == 1
    assert "stage 2 makes none" in capsys.readouterr().err


def owners_of(run: Run, study: str) -> set[str]:
    """The patients of a study, as the memories name them."""
    found = set()
    for bank in ("regions", "reports"):
        sidecar = json.loads((run.memory / f"{bank}.json").read_text())
        for studies, subjects in zip(sidecar["study_ids"], sidecar["subject_ids"], strict=True):
            found |= {subject for name, subject in zip(studies, subjects, strict=True) if name == study}
    return found


@pytest.fixture(scope="module")
def exported(run: Run) -> Path:
    folder = run.root / "exported"
    assert main(["export", str(run.folder), "--out", str(folder)]) == 0
    return folder


def test_an_exported_run_writes_the_very_reports_of_the_run(run: Run, exported: Path) -> None:
    model = ReportGenerator.from_pretrained(exported)
    network, image_size = model.network, model.processor.image_size
    data = PhantomDataModule(str(run.data), image_size=image_size, num_workers=0)
    with torch.inference_mode():
        reports = [report for batch in data.predict_dataloader() for report in network.generate(batch)]
    written = {line["study_id"]: line for line in run.lines()}
    assert {report.study_id for report in reports} == set(written)
    for report in reports:
        line = written[report.study_id]
        assert report.text.encode() == str(line["generated"]).encode()
        assert {name: round(value, 5) for name, value in report.findings.items()} == line["findings"]
        named = json.loads(json.dumps([pattern._asdict() for pattern in (*report.regions, *report.reports)]))
        kept = [pattern for kind in ("regions", "reports") for pattern in line[kind]]  # type: ignore[attr-defined]
        assert [pattern["study_id"] for pattern in named] == [pattern["study_id"] for pattern in kept]


def test_an_export_asked_for_again_is_up_to_date(run: Run, exported: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = {path: (path.stat().st_ino, path.read_bytes()) for path in exported.rglob("*") if path.is_file()}
    assert main(["export", str(run.folder), "--out", str(exported)]) == 0
    assert f"{exported} is up to date" in capsys.readouterr().out
    after = {path: (path.stat().st_ino, path.read_bytes()) for path in exported.rglob("*") if path.is_file()}
    assert after == before
    written = [path for folder in (exported, run.folder) for path in folder.rglob("*") if "wandb" not in path.parts]
    closed = [str(path) for path in written if not path.stat().st_mode & 0o040]
    assert closed == []  # the umask of the tests lets a group read


def test_the_card_shows_the_scores_of_the_run(run: Run, exported: Path) -> None:
    card = (exported / "README.md").read_text()
    scores = json.loads((run.folder / "scores.json").read_text())
    rows = {"": {"**this model**": scores}, "baseline: ": scores["baselines"], "guard: ": scores["guards"]}
    for first, group in rows.items():
        assert group
        for name, values in group.items():
            row = next(line for line in card.splitlines() if line.startswith(f"| {first}{name.replace('_', ' ')} |"))
            for metric in ("bleu_4", "cider", "clinical_macro_f1_14_neg", "clinical_micro_f1_13_neg"):
                assert told(values["full"][metric]) in row
    stage1 = json.loads((run.stage1 / "scores.json").read_text())
    assert f"| macro AUROC | {told(stage1['test']['auroc_macro'])} |" in card
    assert all(f"| {name} | " in card for name in FINDINGS)
    assert "**Research use only.**" in card
    assert all(sentence in card for sentence in scores["sentences"])
    config = json.loads((exported / "config.json").read_text())
    assert all(config["provenance"][what] in card for what in ("data", "checkpoint", "stage1"))
    assert config["provenance"]["split"]["fingerprint"] in card
    assert str(run.root) not in card + (exported / "config.json").read_text()  # nothing of this machine
    assert not any(str(line[part]) in card for line in run.lines() for part in ("study_id", "generated"))


def test_describe_takes_an_exported_folder(run: Run, exported: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from datamodules.sources.phantom import draw_study

    film = run.root / "another.png"
    film.write_bytes(draw_study("test", 1, 0, 128).views[0].image)
    found = []
    for place, words in enumerate((["--run", str(run.folder)], ["--model", str(exported)])):
        assert main(["describe", str(film), *words, "--out", str(run.root / f"described_{place}")]) == 0
        found.append(json.loads((run.root / f"described_{place}" / "report.json").read_text()))
        assert (run.root / f"described_{place}" / "panel.png").stat().st_size > 0
    assert found[0] == found[1]
    capsys.readouterr()
    assert main(["describe", str(film), "--model", str(run.folder)]) == 1
    assert "holds no exported report generator" in capsys.readouterr().err


def test_what_cannot_be_exported_says_why(run: Run, exported: Path, capsys: pytest.CaptureFixture[str]) -> None:
    other = run.root / "to_export"
    shutil.copytree(run.folder, other)
    target = ["export", str(other), "--out", str(run.root / "not_written")]

    def refused(*words: str) -> str:
        assert main(list(words)) == 1
        return capsys.readouterr().err

    assert "not empty and no export" in refused("export", str(run.folder), "--out", str(run.stage2))
    assert "best.ckpt: not there" in refused("export", str(run.root), "--out", str(run.root / "not_written"))
    assert "--out FOLDER" in refused("export", str(other))
    data = run.root / "smaller"
    assert main(["prepare", "--dataset", "phantom", "--out", str(data), "--studies", "train=4,val=2,test=2"]) == 0
    assert "but the run was trained on" in refused(*target, "--data", str(data))
    meta = json.loads((other / "reports.meta.json").read_text())
    (other / "reports.meta.json").write_text(json.dumps({**meta, "checkpoint": "another"}))
    assert "the scored reports are of checkpoint another" in refused(*target)
    (other / "scores.json").unlink()
    assert "scores.json: not there; finish and score the run first" in refused(*target)
    assert not (run.root / "not_written").exists()


def test_an_export_is_checked_against_the_split_it_names(run: Run, exported: Path) -> None:
    network = ReportGenerator.from_pretrained(exported).network
    opened = OpenedRun(run.folder)
    split = checked_split(network, str(run.data), opened)
    assert split == json.loads((exported / "config.json").read_text())["provenance"]["split"]
    assert (split["val"], split["test"]) == (16, 16)
    assert network.report_bank is not None
    tested = str(run.lines()[0]["study_id"])
    first, *others = network.report_bank.study_ids
    leaking = ((tested,) * len(first), *others)
    network.report_bank = dataclasses.replace(network.report_bank, study_ids=leaking)
    with pytest.raises(MemoryBankError, match=f"report memory: holds patterns of 1 studies.*{tested}"):
        checked_split(network, str(run.data), opened)


def test_an_export_of_restricted_data_stays_here(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    other, folder = run.root / "restricted", run.root / "restricted_export"
    shutil.copytree(run.folder, other)
    checkpoint = torch.load(other / "stage2" / "best.ckpt", weights_only=True)
    checkpoint["provenance"] |= {"restricted": True, "dataset": "iu_xray"}
    torch.save(checkpoint, other / "stage2" / "best.ckpt")
    meta = json.loads((other / "reports.meta.json").read_text())
    meta["checkpoint"] = file_fingerprint(other / "stage2" / "best.ckpt")
    (other / "reports.meta.json").write_text(json.dumps(meta))
    words = ["export", str(other), "--out", str(folder), "--push", "someone/reports"]
    assert main(words) == 1  # written, but not pushed
    assert "iu_xray, which is restricted" in capsys.readouterr().err
    card = (folder / "README.md").read_text()
    assert "CC BY-NC-ND" in card
    assert "Ids and texts are left out of the memories" in card
    for name in ("regions", "reports"):
        bank = banks.load(folder / "memory" / name, UNCHECKED)
        assert not any((*bank.study_ids, *bank.subject_ids, *bank.texts))
    model = ReportGenerator.from_pretrained(folder)
    network, image_size = model.network, model.processor.image_size
    data = PhantomDataModule(str(run.data), image_size=image_size, num_workers=0)
    written = {line["study_id"]: line["generated"] for line in run.lines()}
    for batch in data.predict_dataloader():
        assert all(report.text == written[report.study_id] for report in network.generate(batch))


def test_guards_by_one_command(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["guards", str(run.folder), "--only", "images_noise"]) == 0
    assert "images noise" in capsys.readouterr().out
    scores = json.loads((run.folder / "scores.json").read_text())
    assert "cider" in scores["guards"]["images_noise"]["full"]
    own, noise = (run.lines(name) for name in ("reports.jsonl", "guards/images_noise.jsonl"))
    assert [line["study_id"] for line in own] == [line["study_id"] for line in noise]
    assert [line["findings"] for line in own] != [line["findings"] for line in noise]


def test_the_page_of_a_run_shows_films_and_maps(run: Run) -> None:
    page = (run.folder / "report.html").read_text()
    data = json.loads(page.partition('id="data">')[2].partition("</script>")[0])
    assert len(data["films"]) == len(data["studies"]) == 16
    for kept in data["films"].values():
        assert kept["image"].startswith("data:image/jpeg;base64,")
        assert kept["maps"]
        for grid in kept["maps"].values():
            assert max(map(max, grid)) in (0, 100)
    assert all(study["retrieved"] for study in data["studies"])


@pytest.mark.slow
def test_two_processes_test_stage_2_as_one_does(run: Run) -> None:
    """Batches of 5 of the 16 studies, so that one process has 10 and the other 6; figures equal to the last digit."""
    measured = []
    for devices in (1, 2):
        folder = run.root / f"tested_{devices}"
        words = ["test", "-c", f"{run.stage2}/config.yaml", f"--ckpt_path={run.stage2}/best.ckpt"]
        words += [f"--trainer.default_root_dir={folder}", "--data.eval_batch_size=5"]
        words += [f"--trainer.devices={devices}", "--trainer.accelerator=cpu", "--trainer.enable_progress_bar=false"]
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "COLUMNS": "200"}
        done = subprocess.run(
            [sys.executable, "-m", "experiments", *words],
            cwd=CONFIGS.parents[1],
            env=environment,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr[-3000:]
        measured.append(dict(re.findall(r"(test/\w+)\W+([\d.e-]+)", done.stdout)))
    assert len(measured[0]) == 6 + 54
    assert measured[0] == measured[1]

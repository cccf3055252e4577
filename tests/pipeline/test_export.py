"""A run exported to one folder."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path

import pytest
import torch

from ammrg.errors import MemoryBankError
from ammrg.evaluation.figures import formatted
from ammrg.findings import FINDINGS
from ammrg.fingerprints import file_fingerprint
from ammrg.inference.report_generator import ReportGenerator
from ammrg.memory import bank_files as banks
from ammrg.thresholds import rounded
from datamodules.phantom import PhantomDataModule
from datamodules.sources.phantom import draw_study
from experiments.__main__ import main
from experiments.runs.export import checked_split
from experiments.runs.run import Run as OpenedRun
from tests.pipeline.nano_run import Run
from tests.unchecked import UNCHECKED


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
    thresholds = dict(zip(FINDINGS, network.classifier.thresholds.tolist(), strict=True))
    written = {line["study_id"]: line for line in run.lines()}
    assert {report.study_id for report in reports} == set(written)
    for report in reports:
        line = written[report.study_id]
        assert report.text.encode() == str(line["generated"]).encode()
        assert {name: rounded(value, thresholds[name]) for name, value in report.findings.items()} == line["findings"]
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
    assert closed == []  # the umask of the tests allows the group to read


def test_a_damaged_export_says_what_was_repaired(
    run: Run, exported: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(exported, copy)
    (copy / "generation_config.json").write_text("{}")
    (copy / "memory" / "regions.json").unlink()
    assert main(["export", str(run.folder), "--out", str(copy)]) == 0
    assert f"{copy} is repaired: 2 of its files were written again" in capsys.readouterr().out.replace("\n", " ")
    assert (copy / "generation_config.json").read_bytes() == (exported / "generation_config.json").read_bytes()
    assert main(["export", str(run.folder), "--out", str(copy)]) == 0
    assert f"{copy} is up to date" in capsys.readouterr().out


def test_the_card_shows_the_scores_of_the_run(run: Run, exported: Path) -> None:
    card = (exported / "README.md").read_text()
    scores = json.loads((run.folder / "scores.json").read_text())
    rows = {"": {"**this model**": scores}, "baseline: ": scores["baselines"], "guard: ": scores["guards"]}
    for first, group in rows.items():
        assert group
        for name, values in group.items():
            row = next(line for line in card.splitlines() if line.startswith(f"| {first}{name.replace('_', ' ')} |"))
            for metric in ("bleu_4", "cider", "clinical_macro_f1_14_neg", "clinical_micro_f1_13_neg"):
                assert formatted(values["full"][metric]) in row
    stage1 = json.loads((run.stage1 / "scores.json").read_text())
    assert f"| macro AUROC | {formatted(stage1['test']['auroc_macro'])} |" in card
    assert all(f"| {name} | " in card for name in FINDINGS)
    assert "**Research use only.**" in card
    assert all(sentence in card for sentence in scores["sentences"])
    config = json.loads((exported / "config.json").read_text())
    assert all(config["provenance"][what] in card for what in ("data", "checkpoint", "stage1"))
    assert config["provenance"]["split"]["fingerprint"] in card
    assert str(run.root) not in card + (exported / "config.json").read_text()  # no path of this machine
    assert not any(str(line[part]) in card for line in run.lines() for part in ("study_id", "generated"))


def test_describe_takes_an_exported_folder(run: Run, exported: Path, capsys: pytest.CaptureFixture[str]) -> None:
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

    assert "already exists and is not an export" in refused("export", str(run.folder), "--out", str(run.stage2))
    assert "best.ckpt: no trained run" in refused("export", str(run.root), "--out", str(run.root / "not_written"))
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


def test_a_run_decodes_as_its_scored_reports_were(run: Run, tmp_path: Path) -> None:
    """Also where the command line changed the settings of the training; but not as reports of another checkpoint."""
    other = tmp_path / "other"
    shutil.copytree(run.folder, other)
    trained = dict(OpenedRun(run.folder).model().hparams["decoding"])
    meta = json.loads((other / "reports.meta.json").read_text())
    assert meta["decoding"] == trained
    (other / "reports.meta.json").write_text(json.dumps({**meta, "decoding": {"max_new_tokens": 7, "drafts": 2}}))
    assert OpenedRun(other).generator().network.decoding == {"max_new_tokens": 7, "drafts": 2}
    (other / "reports.meta.json").write_text(json.dumps({**meta, "checkpoint": "x", "decoding": {"max_new_tokens": 7}}))
    assert OpenedRun(other).generator().network.decoding == trained


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

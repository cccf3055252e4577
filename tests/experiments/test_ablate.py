"""What an ablation's file may say, and one of nano size through the real command."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from ammrg.errors import SettingsError
from ammrg.evaluation.figures import formatted
from experiments.__main__ import main as command
from experiments.commands.ablate import main
from experiments.launching.ablation import numbers, show
from experiments.launching.ablation_file import Variant, read_ablation

SHIPPED = Path(__file__).parents[2] / "experiments" / "configs" / "ablations"


def written(folder: Path, **changes: Any) -> Path:
    settings: dict[str, Any] = {
        "stage": "stage1",
        "variants": {
            "ours": {},
            "pooled heads": {"arguments": ["--model.head=pooled"]},
            "random": {"weights_of": "ours", "arguments": ["--trainer.callbacks.selection=random"]},
        },
        "columns": {"AUROC": ["stage1/scores.json", "test", "auroc_macro"], "stored": ["memory/r.json", "stored"]},
    }
    path = folder / "ablation.yaml"
    path.write_text(yaml.safe_dump(settings | changes, sort_keys=False))
    return path


def test_the_shipped_ones_can_be_read() -> None:
    files = sorted(SHIPPED.glob("*.yaml"))
    assert SHIPPED / "stage1.yaml" in files
    for path in files:
        assert len(read_ablation(path).variants) > 2


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"stage": "stage9"}, "stage 'stage9' has no"),
        ({"variants": {}}, "variants: found none, must hold at least one"),
        ({"variants": {"a": {"argument": []}}}, r"variants\.a: unknown argument"),
        ({"variants": {"a": {"weights_of": "ours"}}}, r"variants\.a\.weights_of: 'ours' is no trained variant before"),
        (
            {"variants": {"a": {"arguments": [{"model.lora": None}]}}},
            r"variants\.a\.arguments: found \{'model.lora': None\}",
        ),
        ({"variants": {"a": {"arguments": "--model.lora=null"}}}, r"variants\.a\.arguments: found '--model.lora=null'"),
        ({"rows": 3}, "must hold stage, variants and columns"),
    ],
)
def test_wrong_files_are_told_by_field(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        read_ablation(written(tmp_path, **changes))
    with pytest.raises(SettingsError, match=r"no such file; .* holds .*stage1"):
        read_ablation(tmp_path / "other.yaml")


def test_a_variant_may_hold_nothing_and_null_is_handed_on(tmp_path: Path) -> None:
    variants = {"ours": None, "frozen": {"arguments": ["--model.lora=null"]}}
    assert [each.arguments for each in read_ablation(written(tmp_path, variants=variants)).variants] == [
        [],
        ["--model.lora=null"],
    ]


def test_commands_of_variants_and_what_is_finished_is_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked: list[list[str]] = []

    def run(words: list[str]) -> int:
        asked.append(words)
        folder = Path(next(word for word in words if "default_root_dir" in word).partition("=")[2])
        folder.mkdir(parents=True, exist_ok=True)
        if words[0] == "fit" and not (folder / "best.ckpt").exists():
            (folder / "best.ckpt").write_text("weights")
            scores = {"test": {"auroc_macro": {"value": 0.9, "low": 0.85, "high": 0.95}}}
            (folder / "scores.json").write_text(json.dumps(scores))
        return 0

    monkeypatch.setattr("experiments.training.start.start", run)
    words = [str(written(tmp_path)), "--dataset", "phantom", "--data", "d", "--model", "nano"]
    words += ["--out", str(tmp_path / "out"), "--trainer.max_epochs=1"]
    assert main(words) == 0
    assert [call[0] for call in asked] == ["fit", "predict", "fit", "predict", "predict"]
    assert all("--trainer.max_epochs=1" in call for call in asked)
    assert "--model.head=pooled" in asked[2]
    assert f"--ckpt_path={tmp_path}/out/ours/stage1/best.ckpt" in asked[4]
    assert f"--trainer.default_root_dir={tmp_path}/out/random/stage1" in asked[4]
    rows = json.loads((tmp_path / "out" / "ablation.json").read_text())
    assert rows["ours"] == {"AUROC": {"value": 0.9, "low": 0.85, "high": 0.95}, "stored": None}
    assert rows["random"] == {"AUROC": None, "stored": None}
    assert "0.900 [0.850, 0.950]" in capsys.readouterr().out
    asked.clear()
    assert main([*words, "--only", "ours", "random"]) == 0
    assert [call[0] for call in asked] == ["fit"]  # which says itself that it is finished
    (tmp_path / "out" / "ours" / "stage1" / "best.ckpt").unlink()
    asked.clear()
    assert main(words) == 0
    assert [call[0] for call in asked].count("predict") == 2  # new weights: both that use them, not the pooled one
    with pytest.raises(SettingsError, match="no variant patches; there are ours, pooled heads, random"):
        main([*words, "--only", "patches"])
    capsys.readouterr()
    monkeypatch.setattr("experiments.training.start.start", lambda words: 1 if words[0] == "predict" else run(words))
    assert main([*words[:-1], "--trainer.max_epochs=2"]) == 1
    assert "not finished: ours, pooled heads, random" in capsys.readouterr().out


def test_numbers_are_found_by_their_keys(tmp_path: Path) -> None:
    ablation = read_ablation(written(tmp_path))
    variant = Variant("Pooled Heads", [], None)
    folder = variant.folder(tmp_path)
    assert folder.name == "pooled_heads"
    (folder / "memory").mkdir(parents=True)
    (folder / "memory" / "r.json").write_text('{"stored": 1204}')
    found = numbers(variant, ablation, tmp_path)
    assert found == {"AUROC": None, "stored": 1204}
    assert [formatted(value) for value in found.values()] == ["-", "1,204"]
    assert formatted({"value": None, "low": None, "high": None}) == "-"
    assert formatted(0.5) == "0.500"


def test_the_table_of_stage_2_shows_places_with_intervals(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The columns of the shipped file against the scores.json that scoring writes."""
    ablation = read_ablation(SHIPPED / "stage2.yaml")
    variants = [variant for variant in ablation.variants if variant.name in ("ours", "F only")]
    texts = ["There is a left upper lobe pneumonia.", "There is a right pneumothorax."]
    for variant, flipped in zip(variants, ((1, 0), (0, 1)), strict=True):
        folder = variant.folder(tmp_path)
        for name, order in (("reports.jsonl", (0, 1)), ("guards/films_mirrored.jsonl", flipped)):
            rows = [
                {"study_id": f"s{i}", "reference": texts[i % 2], "generated": texts[order[i % 2]]} for i in range(20)
            ]
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text("".join(json.dumps(row) + "\n" for row in rows))
        assert command(["score", str(folder / "reports.jsonl"), "--bootstrap", "20", "--no-meteor", "--quiet"]) == 0
    rows = {variant.name: numbers(variant, ablation, tmp_path) for variant in variants}
    for heading in ("micro F1 (13)", "side F1", "level F1"):
        assert rows["ours"][heading] == {"value": 1.0, "low": 1.0, "high": 1.0}
    assert rows["ours"]["side flips, films mirrored"]["value"] == 0.0
    assert rows["ours"]["regions P@1"] is None
    capsys.readouterr()
    show(rows, list(ablation.columns), "stage2")
    shown = " ".join(capsys.readouterr().out.split())
    for heading in ("micro F1 (13)", "side F1", "level F1"):
        assert heading in shown
    assert "1.000 [1.000, 1.000]" in shown
    assert "P@1" not in shown  # nothing was recalled
    rows["ours"]["regions P@1"] = {"value": 0.25, "low": 0.2, "high": 0.3}
    show(rows, list(ablation.columns), "stage2")
    assert "0.250 [0.200, 0.300]" in capsys.readouterr().out


@pytest.mark.slow
def test_the_shipped_ablation_of_stage_1_at_nano_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_MODE", "offline")
    data = str(tmp_path / "data")
    assert command(["prepare", "--dataset", "phantom", "--out", data, "--studies", "train=64,val=16,test=16"]) == 0
    words = ["ablate", str(SHIPPED / "stage1.yaml"), "--dataset", "phantom", "--data", data, "--model", "nano"]
    out = tmp_path / "out"
    # squares of two cells: none of an untrained map reaches the published mean
    words += ["--out", str(out), "--trainer.max_epochs=6", "--model.lr=3e-3"]
    assert command(words) in (0, 1)
    rows = json.loads((out / "ablation.json").read_text())
    assert set(rows) == {variant.name for variant in read_ablation(SHIPPED / "stage1.yaml").variants}
    for name, row in rows.items():
        trained = name in ("ours", "no token loss", "untied heads", "pooled heads", "published")
        assert (row["macro AUROC"] is not None) is trained, name
        folder = out / name.lower().replace(" ", "_")
        assert len(list(folder.glob("stage1/wandb/offline-run-*"))) == trained, name
    for name in ("ours", "random selection", "crop tokens"):
        assert rows[name]["stored"] > 0, name
    assert rows["random selection"]["regions mined"] == rows["ours"]["regions mined"]
    assert rows["crop tokens"]["regions mined"] == rows["ours"]["regions mined"]
    assert rows["crop tokens"]["mean distance"] != rows["ours"]["mean distance"] or rows["ours"]["mean distance"] == 0

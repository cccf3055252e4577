"""What several files and options say of one group of settings joins, at any depth."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from experiments.__main__ import main
from experiments.training.settings_parser import join

CONFIGS = Path(__file__).parents[2] / "experiments" / "configs"


def words(stage: str, model: str, *more: str) -> list[str]:
    files = (CONFIGS / stage / "default.yaml", CONFIGS / "data" / "phantom.yaml", CONFIGS / stage / f"{model}.yaml")
    found = ["fit", *(word for file in files for word in ("-c", str(file)))]
    if stage == "stage2":
        found += ["--model.stage1_checkpoint=a", "--model.regions_memory=r", "--model.reports_memory=s"]
    return [*found, *more]


@pytest.fixture
def resolved(capsys: pytest.CaptureFixture[str]) -> Any:
    """The model's settings of a stage, an overlay and further words."""

    def ask(stage: str, model: str, *more: str) -> dict[str, Any]:
        assert main([*words(stage, model, *more), "--print_config"]) == 0, capsys.readouterr().err
        found: dict[str, Any] = yaml.safe_load(capsys.readouterr().out)["model"]["init_args"]
        return found

    return ask


def test_options_of_one_group_all_hold_and_leave_the_file_s(resolved: Any) -> None:
    network = resolved("stage2", "small", "--model.network.hopfield.beta=8", "--model.network.hopfield.steps", "2")
    hopfield = network["network"]["hopfield"]
    assert (hopfield["beta"], hopfield["steps"]) == (8, 2)
    assert (hopfield["association_width"], hopfield["heads"]) == (64, 6)  # of small.yaml
    assert network["network"]["pool_image_tokens"] == 3


def test_only_the_rewards_that_are_named_count(resolved: Any) -> None:
    more = ["-c", str(CONFIGS / "stage2" / "reward.yaml"), "--model.start_from=best.ckpt"]
    assert resolved("stage2", "tiny", *more)["reward"]["weights"] is None  # 1 for each
    named = resolved("stage2", "tiny", *more, "--model.reward.weights={cider: 1, side_f1: 2}")
    assert named["reward"]["weights"] == {"cider": 1.0, "side_f1": 2.0}
    assert named["reward"]["samples"] == 8


def test_a_later_file_changes_what_it_names(resolved: Any, tmp_path: Path) -> None:
    shorter = tmp_path / "shorter.yaml"
    shorter.write_text("model: {init_args: {decoding: {max_new_tokens: 90}, network: {hopfield: {beta: 2}}}}\n")
    found = resolved("stage2", "paper", "-c", str(shorter), "--model.decoding.length_penalty=1.5")
    said = {name: value for name, value in found["decoding"].items() if value is not None}
    assert said == {
        "max_new_tokens": 90,
        "min_new_tokens": 80,
        "num_beams": 3,
        "repetition_penalty": 2.0,
        "length_penalty": 1.5,
    }
    assert (found["network"]["hopfield"]["beta"], found["network"]["hopfield"]["dropout"]) == (2.0, 0.1)


def test_a_group_comes_from_nothing_joins_and_goes(resolved: Any, tmp_path: Path) -> None:
    assert resolved("stage2", "paper")["lora"] is None
    assert resolved("stage2", "paper", "--model.lora.rank=4")["lora"]["rank"] == 4
    modern = resolved("stage2", "modern", "--model.lora.rank=4", "--model.unfreeze_at.memories=7")
    assert (modern["lora"]["rank"], modern["lora"]["alpha"], modern["lora"]["dropout"]) == (4, 32, 0.05)
    assert (modern["unfreeze_at"]["lora"], modern["unfreeze_at"]["memories"]) == (1000, 7)
    assert resolved("stage2", "modern", "--model.lora=null")["lora"] is None
    two = resolved("stage2", "small", "--model.network.two_step.visited=8", "--model.network.two_step.lists=null")
    assert two["network"]["two_step"] == {"candidates": 256, "visited": 8, "lists": None, "folder": None}
    on = tmp_path / "on.yaml"
    on.write_text("model: {init_args: {network: {two_step: {candidates: 64}}}}\n")
    off = resolved("stage2", "small", "-c", str(on), "--model.network.two_step=null", "--model.lora=null")
    assert off["network"]["two_step"] is None
    assert (off["lora"], off["network"]["pool_image_tokens"]) == (None, 3)


def test_null_within_a_group_is_null(resolved: Any) -> None:
    assert resolved("stage2", "small", "--model.network.pool_image_tokens=null")["network"]["pool_image_tokens"] is None
    found = resolved("stage1", "tiny", "--model.encoder.config.depths=null", "--model.qformer.intermediate=null")
    assert (found["encoder"]["config"]["depths"], found["qformer"]["intermediate"]) == (None, None)
    assert found["encoder"]["config"]["hidden_sizes"] == [16, 32, 128]


def test_free_mappings_join_too(resolved: Any, tmp_path: Path) -> None:
    deeper = tmp_path / "deeper.yaml"
    deeper.write_text("model: {init_args: {encoder: {config: {within: {a: 1, b: 2}}}}}\n")
    options = ("--model.encoder.config.within.b=3", "--model.encoder.config.within.c=relu")
    config = resolved("stage1", "nano", "-c", str(deeper), *options, "--model.encoder.config.depths=[2, 2]")["encoder"]
    assert config["config"] == {
        **yaml.safe_load((CONFIGS / "stage1" / "nano.yaml").read_text())["model"]["init_args"]["encoder"]["config"],
        "depths": [2, 2],
        "within": {"a": 1, "b": 3, "c": "relu"},
    }


def test_another_model_type_begins_anew() -> None:
    resnet = {"model_type": "resnet", "depths": [1], "stem": {"a": 1}}
    assert join(resnet, {"depths": [2], "stem": {"b": 2}}) == {**resnet, "depths": [2], "stem": {"a": 1, "b": 2}}
    assert join(resnet, {"model_type": "vit", "depths": [3]}) == {"model_type": "vit", "depths": [3]}
    assert join(resnet, {"model_type": "resnet"}) == resnet


def test_files_given_as_the_makefile_does_and_callbacks_still_append(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*words("stage1", "tiny", "--trainer.callbacks.maps_num=7"), "--print_config"]) == 0
    callbacks = yaml.safe_load(capsys.readouterr().out)["trainer"]["callbacks"]
    assert [each["class_path"].rpartition(".")[2] for each in callbacks][-2:] == ["MiningReport", "RegionMemoryWriter"]
    assert callbacks[-1]["init_args"]["maps_num"] == 7


def test_help_shows_the_settings_within(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words("stage2", "small", "--help")) == 0
    shown = capsys.readouterr().out
    for name in ("network.hopfield.beta", "network.two_step.visited", "lora.rank", "decoding.num_beams"):
        assert f"--model.{name} " in shown
    assert "Inverse temperature > 0" in shown
    assert "--data.image_size " in shown
    assert main(["fit", "--model.help=lightning_modules.disease_classification.DiseaseClassification"]) == 0
    shown = capsys.readouterr().out
    for name in ("encoder.pretrained", "qformer.layers", "regions.share"):
        assert f"--model.{name} " in shown

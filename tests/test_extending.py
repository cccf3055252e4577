"""The examples of docs/extending, run as they stand on their pages."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import yaml
from transformers import AutoConfig, AutoModelForCausalLM

import datamodules.sources
from ammrg.findings import FINDINGS
from ammrg.networks.language_model import LanguageModel
from ammrg.networks.visual_encoder import VisualEncoder
from datamodules.studies import StudyDataModule
from experiments.__main__ import main
from experiments.data import preparation
from experiments.language_models.tokenizer import train_tokenizer
from tests.datamodules.conftest import SENTENCES, write_film

ROOT = Path(__file__).parents[1]
PAGES = ROOT / "docs" / "extending"
CONFIGS = ROOT / "experiments" / "configs"


def block(page: str, language: str) -> str:
    """The page's only code block of a language."""
    (found,) = re.findall(rf"^```{language}\n(.*?)^```$", (PAGES / page).read_text(), re.MULTILINE | re.DOTALL)
    return found


def resolved(words: list[str], capsys: pytest.CaptureFixture[str]) -> dict:
    capsys.readouterr()
    assert main([*words, "--print_config"]) == 0
    return yaml.safe_load(capsys.readouterr().out)


def test_every_page_is_listed_and_short() -> None:
    index = (PAGES / "index.md").read_text()
    names = {path.name for path in PAGES.glob("*.md")} - {"index.md"}
    assert names == {"data_set.md", "encoder.md", "llm.md", "memory.md", "metric.md"}
    assert all(f"({name})" in index for name in names)
    assert all(len((PAGES / name).read_text().split()) < 700 for name in names)


def test_a_data_set_is_one_reader_and_one_configuration(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    raw, readers = tmp_path / "raw", tmp_path / "readers"
    for number in range(60):
        write_film(raw / f"p{number // 2}_{number}.png", number)
        (raw / f"p{number // 2}_{number}.txt").write_text(f"{SENTENCES[number % 3]} Number {number}.")
    readers.mkdir()
    (readers / "pairs.py").write_text(block("data_set.md", "python"))
    (tmp_path / "pairs.yaml").write_text(block("data_set.md", "yaml"))
    monkeypatch.setattr(datamodules.sources, "__path__", [*datamodules.sources.__path__, str(readers)])
    card = preparation.prepare("pairs", raw, tmp_path / "out", workers=1)
    assert sum(counts["studies"] for counts in card["counts"].values()) == 60
    assert card["restricted"]
    config = resolved(
        [
            "fit",
            "-c",
            f"{CONFIGS}/stage1/default.yaml",
            "-c",
            f"{tmp_path}/pairs.yaml",
            "-c",
            f"{CONFIGS}/stage1/nano.yaml",
        ],
        capsys,
    )
    assert config["data"]["class_path"] == "datamodules.studies.StudyDataModule"
    module = StudyDataModule(str(tmp_path / "out"), image_size=32, batch_size=4, num_workers=0)
    module.setup("fit")
    patients = [set(module.ids(split)[1]) for split in module.card["counts"]]
    assert sum(map(len, patients)) == len(set.union(*patients)) == 30
    assert next(iter(module.train_dataloader())).images.shape == (4, 1, 32, 32)
    (raw / "p0_0.txt").unlink()
    card = preparation.prepare("pairs", raw, tmp_path / "again", workers=1, max_rejected=0.1)
    assert card["rejected"] == 1


def test_an_encoder_is_one_configuration(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "dino.yaml").write_text(block("encoder.md", "yaml"))
    files = (f"{CONFIGS}/stage1/default.yaml", f"{CONFIGS}/data/phantom.yaml", f"{tmp_path}/dino.yaml")
    settings = resolved(["fit", *(word for file in files for word in ("-c", file))], capsys)
    encoder = VisualEncoder(settings["model"]["init_args"]["encoder"]["config"])
    tokens, grid = encoder(torch.zeros(2, 1, 224, 224, dtype=torch.uint8))
    assert (grid, tokens.shape) == ((16, 16), (2, 256, 96))
    assert settings["model"]["init_args"]["qformer"]["width"] == 96


def test_a_language_model_is_one_configuration(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A random model of the page's architecture stands for its weights, which come from a hub."""
    (tmp_path / "qwen.yaml").write_text(block("llm.md", "yaml"))
    command = (
        block("llm.md", "sh")
        .replace("\\\n", "")
        .replace("experiments/configs/stage2/qwen.yaml", f"{tmp_path}/qwen.yaml")
    )
    words = shlex.split(command.replace("-c experiments", f"-c {ROOT}/experiments"))
    assert words[:3] == ["python", "-m", "experiments"]
    settings = resolved(words[3:], capsys)["model"]["init_args"]
    assert settings["language_model"] == "Qwen/Qwen2.5-0.5B-Instruct"
    sizes = {"hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2, "num_key_value_heads": 2}
    config = AutoConfig.for_model("qwen2", vocab_size=320, intermediate_size=64, **sizes)
    AutoModelForCausalLM.from_config(config).save_pretrained(tmp_path / "llm")
    train_tokenizer([*SENTENCES, *FINDINGS], 300).save_pretrained(tmp_path / "llm")
    model = LanguageModel(
        str(tmp_path / "llm"), settings["quantization"], device="cpu", lora={"rank": settings["lora"]["rank"]}
    )
    loss = model.loss([torch.randn(9, 64)], [SENTENCES[0]], "Write the findings.")
    loss.backward()
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    assert trained
    assert any(parameter.grad is not None and parameter.grad.abs().sum() > 0 for parameter in trained)


def test_the_memory_of_the_page_is_that_of_the_repository() -> None:
    assert block("memory.md", "python") in (ROOT / "callbacks" / "definition_writer.py").read_text()
    assert block("memory.md", "yaml") == (CONFIGS / "memory" / "definitions.yaml").read_text()


def test_a_metric_is_one_function(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", block("metric.md", "python")],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={"PYTHONPATH": str(ROOT), "PATH": ""},  # without Java
    )
    assert done.returncode == 0, done.stderr
    found = yaml.safe_load(done.stdout.splitlines()[-1])
    assert found["value"] == pytest.approx((1 + 3 / 4 + 0) / 3)
    assert found["low"] <= found["value"] <= found["high"]

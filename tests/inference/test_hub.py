"""Exported folders and language models of the Hugging Face hub, which stands in a folder here."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import huggingface_hub
import pytest

from ammrg.errors import CheckpointError, SettingsError
from ammrg.inference.hub import push_to_hub
from ammrg.inference.model_folder import FORMAT, seal
from ammrg.inference.report_generator import ReportGenerator
from tests.tiny_export import OTHERS, random_model, reseal, write
from tests.tiny_stage2 import batch

COMMIT = "0123456789abcdef0123456789abcdef01234567"


def hub_copy(cache: Path, repo: str, source: Path, commit: str = COMMIT) -> None:
    """What a download of a hub id leaves in the hub's cache."""
    place = cache / f"models--{repo.replace('/', '--')}"
    shutil.copytree(source, place / "snapshots" / commit)
    (place / "refs").mkdir(exist_ok=True)
    (place / "refs" / "main").write_text(commit)


def test_a_language_model_of_the_hub_goes_by_its_commit(
    llm_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    hub_copy(tmp_path / "cache", "someone/llama", llm_folder)
    named = random_model("someone/llama")
    folder = write(tmp_path / "model", named)
    assert not (folder / "language_model").exists()
    config = json.loads((folder / "config.json").read_text())
    assert (config["language_model"]["name"], config["language_model"]["revision"]) == ("someone/llama", COMMIT)
    assert ReportGenerator.from_pretrained(folder).network.generate(batch(OTHERS)) == named.network.generate(
        batch(OTHERS)
    )
    # A tag that has moved on since, kept as the revision by a folder made by other means.
    hub_copy(tmp_path / "cache", "someone/llama", llm_folder, commit="f" * 40)
    reseal(folder, lambda config: config["language_model"].update(revision="main"))
    with pytest.raises(CheckpointError, match=r"someone/llama has fingerprint f{40}.*the files differ"):
        ReportGenerator.from_pretrained(folder)


def test_a_hub_id_is_read_like_a_folder(exported: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    hub_copy(tmp_path, "someone/reports", exported)
    assert ReportGenerator.from_pretrained("someone/reports").network.decoding == {"max_new_tokens": 12, "num_beams": 2}
    with pytest.raises(CheckpointError, match="someone/other: not a folder, and the hub gave no model of this name"):
        ReportGenerator.from_pretrained("someone/other")


def test_a_mistyped_folder_is_not_looked_for_on_the_hub(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(huggingface_hub, "snapshot_download", lambda *_, **__: pytest.fail("the hub was asked"))
    for name in ("no/such/folder", "mistyped", "./mistyped", "/nowhere/export"):
        with pytest.raises(CheckpointError, match=f"{name}: no such folder; name an exported folder, or a hub id"):
            ReportGenerator.from_pretrained(name)


class Taken:
    """Stands in for the hub, where its client would speak to it: what it was given."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.repositories: list[tuple[str, bool]] = []
        self.files: set[str] = set()
        monkeypatch.setattr(huggingface_hub.HfApi, "create_repo", self.create)
        monkeypatch.setattr(huggingface_hub.HfApi, "upload_folder", self.upload)

    def create(self, repo_id: str, *, private: bool, exist_ok: bool) -> None:
        assert exist_ok
        self.repositories.append((repo_id, private))

    def upload(self, *, repo_id: str, folder_path: Path, allow_patterns: list[str], commit_message: str) -> Any:
        assert [name for name, _ in self.repositories] == [repo_id]
        names = [path.relative_to(folder_path).as_posix() for path in folder_path.rglob("*") if path.is_file()]
        self.files = set(huggingface_hub.utils.filter_repo_objects(names, allow_patterns=allow_patterns))
        return SimpleNamespace(commit_url=f"https://hub/{repo_id}/{commit_message}")


def test_a_push_takes_the_files_of_the_export_alone(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (copy / "notes.txt").write_text("mine")
    (copy / "README.md").write_text("# An edited card\n")
    taken = Taken(monkeypatch)
    address = push_to_hub(copy, "someone/reports")
    config = json.loads((copy / "config.json").read_text())
    assert address == f"https://hub/someone/reports/{FORMAT} {config['fingerprint']}"
    assert taken.repositories == [("someone/reports", True)]
    assert taken.files == {*config["files"], "config.json", "README.md"}


def test_restricted_data_are_not_pushed_unless_told(
    llm_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write(tmp_path / "model", random_model(llm_folder, restricted=True), restricted=True)
    taken = Taken(monkeypatch)
    with pytest.raises(SettingsError, match=r"iu_xray, which is restricted.*--let-restricted-data-leave"):
        push_to_hub(folder, "someone/reports")
    config = json.loads((folder / "config.json").read_text())
    text = (folder / "config.json").read_text().replace('"restricted": true', '"restricted": false')
    (folder / "config.json").write_text(text)
    with pytest.raises(CheckpointError, match="was changed since it was written"):
        push_to_hub(folder, "someone/reports")
    assert not taken.repositories
    seal(folder, config)
    push_to_hub(folder, "someone/reports", private=False, let_restricted_data_leave=True)
    assert taken.repositories == [("someone/reports", False)]


def test_a_hub_that_does_not_answer_is_one_clear_error(copy: Path) -> None:
    with pytest.raises(SettingsError, match=r"someone/reports: the hub refused the folder .*offline"):
        push_to_hub(copy, "someone/reports")
    with pytest.raises(SettingsError, match="a/b/c: the hub refused the folder"):
        push_to_hub(copy, "a/b/c")
    (copy / "model.safetensors").write_bytes(b"cut short")
    with pytest.raises(CheckpointError, match=r"model.safetensors: has fingerprint"):
        push_to_hub(copy, "someone/reports")


def test_a_hub_that_cannot_be_reached_is_one_clear_error(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The hub's own client, against a port of this machine where nobody listens."""
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setenv("HF_TOKEN", "hf_none")
    huggingface_hub.close_session()
    try:
        with pytest.raises(SettingsError, match=r"someone/reports: the hub refused the folder .*refused"):
            push_to_hub(copy, "someone/reports")
    finally:
        huggingface_hub.close_session()

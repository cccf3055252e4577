"""An exported folder with real (tiny, random) networks: written, read back, refused where it is not as written."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import huggingface_hub
import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from ammrg.errors import CheckpointError, MemoryBankError, ReadError, SettingsError
from ammrg.fingerprints import file_fingerprint
from ammrg.imaging.processor import FilmProcessor
from ammrg.inference import pretrained
from ammrg.inference.pretrained import Pretrained
from ammrg.memory import bank_files as banks
from ammrg.memory.candidates import ExactSearch
from ammrg.networks import report_generator
from ammrg.networks.film_distance import film_features, fit_distance
from ammrg.networks.report_generator import GeneratedReport, ReportGenerator
from tests.tiny_stage2 import STUDIES, bank, batch, build
from tests.unchecked import UNCHECKED

COMMIT = "0123456789abcdef0123456789abcdef01234567"
OTHERS = ("x0", "x1", "x2")
"""Studies that no memory holds."""


def random_model(llm: Path | str, restricted: bool = False, **settings: Any) -> Pretrained:
    """A network whose trained parts, thresholds and LoRA are not as they start."""
    memories = bank("regions", 32), bank("reports", 24)
    if restricted:
        memories = tuple(replace(each, meta=replace(each.meta, restricted=True)) for each in memories)
    network = build(Path(llm), lora={"rank": 2}, banks=memories, **settings)
    network.classifier.thresholds.copy_(torch.linspace(0.3, 0.7, 14))
    with torch.no_grad():
        for parameter in network.parameters():
            if parameter.requires_grad:
                parameter.add_(torch.randn_like(parameter) * 0.3)
    network.decoding = {"max_new_tokens": 12, "num_beams": 2}
    return Pretrained(network.eval(), FilmProcessor(48), "hirescam")


def write(folder: Path, model: Pretrained, restricted: bool = False, leave: bool = False) -> Path:
    said = {"dataset": "iu_xray" if restricted else "phantom", "split": {"fingerprint": "5" * 16}}
    return pretrained.save(
        folder, model, card="# A card\n", provenance=said, restricted=restricted, let_restricted_data_leave=leave
    )


def test_the_distance_from_training_travels_and_an_earlier_folder_has_none(llm_folder: Path, tmp_path: Path) -> None:
    plain = random_model(llm_folder)
    tokens, grid = plain.network.classifier.encoder(torch.randint(0, 256, (40, 1, 48, 48), dtype=torch.uint8))
    features = film_features(tokens.detach(), grid)
    distance = fit_distance(features[:20], features[20:])
    assert distance is not None
    folder = write(tmp_path / "new", plain._replace(distance=distance))
    found = pretrained.load(folder, device="cpu")
    assert found.dataset == "phantom"
    assert found.distance is not None
    torch.testing.assert_close(found.distance(tokens.detach(), grid), distance(tokens.detach(), grid))
    assert pretrained.DISTANCE in json.loads((folder / "config.json").read_text())["files"]

    old = write(tmp_path / "old", plain)
    config = json.loads((old / "config.json").read_text())
    del config["film_distance"]
    pretrained.seal(old, config)
    assert pretrained.load(old, device="cpu").distance is None


@pytest.fixture(scope="module")
def model(llm_folder: Path) -> Pretrained:
    return random_model(llm_folder)


@pytest.fixture(scope="module")
def exported(model: Pretrained, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("exported") / "deeper" / "model", model)


@pytest.fixture
def copy(exported: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(exported, tmp_path / "copy"))


def texts(reports: list[GeneratedReport]) -> list[str]:
    return [report.text for report in reports]


def reseal(folder: Path, change: Callable[[dict[str, Any]], None] = lambda config: None) -> None:
    """A folder made by other means: all its fingerprints are right, whatever it holds."""
    config = json.loads((folder / "config.json").read_text())
    config["files"] = {name: file_fingerprint(folder / name) for name in config["files"]}
    change(config)
    pretrained.seal(folder, config)


def test_what_is_read_back_writes_the_same_reports(model: Pretrained, exported: Path) -> None:
    again = pretrained.load(exported)
    for studies in (OTHERS, STUDIES):
        written, read = (each.network.generate(batch(studies)) for each in (model, again))
        assert read == written  # texts, findings, what was leaned on: number for number
    assert len(set(texts(written))) > 1
    assert max(map(len, texts(written))) > 5
    assert again.processor == model.processor
    assert again.map_method == "hirescam"
    assert again.network.config == json.loads(json.dumps(model.network.config))
    assert torch.equal(again.network.classifier.thresholds, model.network.classifier.thresholds)
    assert not any(parameter.requires_grad for parameter in again.network.parameters())
    assert not again.network.training


def test_the_run_decoding_is_the_default_and_can_be_overruled(model: Pretrained) -> None:
    network = model.network
    assert texts(network.generate(batch(OTHERS))) == texts(
        network.generate(batch(OTHERS), max_new_tokens=12, num_beams=2)
    )
    short = texts(network.generate(batch(OTHERS), max_new_tokens=3, num_beams=1))
    assert short != texts(network.generate(batch(OTHERS)))


def test_it_is_read_without_lightning(model: Pretrained, exported: Path, tmp_path: Path) -> None:
    film = tmp_path / "film.png"
    pixels = np.random.default_rng(0).integers(0, 256, (60, 50), np.uint8)
    Image.fromarray(pixels).save(film)
    script = (
        "import sys; from ammrg.imaging.processor import FilmProcessor;"
        "from ammrg.networks.report_generator import ReportGenerator;"
        "network = ReportGenerator.from_pretrained(sys.argv[1]);"
        "print(repr(network.generate(FilmProcessor(48)([sys.argv[2]]))[0].text));"
        "print({'lightning', 'pytorch_lightning', 'wandb'} & set(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(exported), str(film)], capture_output=True, text=True, check=True
    )
    expected = model.network.generate(model.processor([film]))[0].text
    assert done.stdout.splitlines() == [repr(expected), "set()"]


def test_the_folder_holds_tensors_json_and_text_alone(exported: Path) -> None:
    names = {path.relative_to(exported).as_posix() for path in exported.rglob("*") if path.is_file()}
    assert {
        *("README.md", "config.json", "model.safetensors", "classifier.safetensors", "preprocessor_config.json"),
        *("generation_config.json", "memory/regions.safetensors", "memory/regions.json", "memory/reports.safetensors"),
        *("memory/reports.json", "language_model/model.safetensors", "language_model/tokenizer.json"),
    } <= names
    assert {Path(name).suffix for name in names} == {".md", ".json", ".safetensors", ".jinja"}
    config = json.loads((exported / "config.json").read_text())
    assert set(config["files"]) == names - {"config.json", "README.md"}
    assert [path.name for path in exported.parent.iterdir()] == ["model"]  # no partial folder is left
    trained = load_file(exported / "model.safetensors")
    assert not [name for name in trained if name.startswith("classifier.") or "base_layer" in name]
    assert load_file(exported / "classifier.safetensors")["thresholds"].shape == (14,)


def test_the_same_model_gives_the_same_bytes(model: Pretrained, exported: Path, tmp_path: Path) -> None:
    again = write(tmp_path / "again", model)
    for name in [path.relative_to(exported) for path in exported.rglob("*") if path.is_file()]:
        assert (again / name).read_bytes() == (exported / name).read_bytes(), name


def test_a_trained_classifier_travels_as_it_was_trained(llm_folder: Path, tmp_path: Path) -> None:
    trained = random_model(llm_folder, freeze=())
    again = pretrained.load(write(tmp_path / "model", trained))
    assert again.network.generate(batch(OTHERS)) == trained.network.generate(batch(OTHERS))


def test_memories_that_are_off_stay_off(llm_folder: Path, tmp_path: Path) -> None:
    without = random_model(llm_folder, visual_memory=False)
    folder = write(tmp_path / "model", without)
    assert {path.name for path in (folder / "memory").iterdir()} == {"reports.json", "reports.safetensors"}
    assert pretrained.load(folder).network.generate(batch(OTHERS)) == without.network.generate(batch(OTHERS))


def test_restricted_memories_leave_without_ids_and_texts(llm_folder: Path, tmp_path: Path) -> None:
    restricted = random_model(llm_folder, restricted=True)
    folder = write(tmp_path / "model", restricted, restricted=True)
    said = "".join(path.read_text() for path in folder.glob("memory/*.json"))
    assert not [word for word in (*STUDIES, "report 0", "report 1") if word in said]
    bare = pretrained.load(folder).network
    written, read = restricted.network.generate(batch(OTHERS)), bare.generate(batch(OTHERS))
    assert texts(read) == texts(written)
    for whole, shown in zip(written, read, strict=True):
        assert all(leaned.study_id == "" and leaned.text is None for leaned in (*shown.regions, *shown.reports))
        assert [leaned.weight for leaned in shown.regions] == [leaned.weight for leaned in whole.regions]
        assert [leaned.box for leaned in shown.regions] == [leaned.box for leaned in whole.regions]
    assert bare.visual_bank is not None
    assert restricted.network.visual_bank is not None
    assert bare.visual_bank.descends_from(restricted.network.visual_bank.fingerprint)
    assert bare.visual_bank.meta.restricted


def test_one_switch_keeps_ids_and_texts(llm_folder: Path, tmp_path: Path) -> None:
    restricted = random_model(llm_folder, restricted=True)
    folder = write(tmp_path / "model", restricted, restricted=True, leave=True)
    assert pretrained.load(folder).network.generate(batch(OTHERS)) == restricted.network.generate(batch(OTHERS))
    assert banks.load(folder / "memory" / "reports", UNCHECKED).texts == restricted.network.report_bank.texts  # type: ignore[union-attr]


@pytest.mark.parametrize(
    "name",
    [
        *("model.safetensors", "classifier.safetensors", "preprocessor_config.json", "generation_config.json"),
        *("memory/regions.safetensors", "memory/reports.json", "language_model/model.safetensors"),
        "language_model/chat_template.jinja",
    ],
)
def test_a_changed_or_missing_file_is_named(copy: Path, name: str) -> None:
    file = copy / name
    content = bytearray(file.read_bytes())
    content[-2] ^= 1
    file.write_bytes(content)
    with pytest.raises(CheckpointError, match=rf"{name}: content \w+, but config.json says"):
        pretrained.load(copy)
    file.unlink()
    with pytest.raises(CheckpointError, match=f"{name}: missing"):
        pretrained.load(copy)


def test_another_language_model_in_its_place_is_refused(copy: Path) -> None:
    weights = load_file(copy / "language_model" / "model.safetensors")
    weights["model.norm.weight"] += 1
    save_file(weights, copy / "language_model" / "model.safetensors", {"format": "pt"})
    with pytest.raises(CheckpointError, match=r"language_model/model.safetensors: content"):
        pretrained.load(copy)


def test_settings_that_were_changed_or_are_of_another_kind_are_refused(copy: Path, tmp_path: Path) -> None:
    kept = (copy / "config.json").read_text()
    changed = {
        "was changed since it was written": kept.replace('"restricted": false', '"restricted": true'),
        "format version 1, but this code reads version 2": kept.replace('"version": 2', '"version": 1'),
        "format is 'other'": kept.replace(pretrained.FORMAT, "other"),
        "not readable as JSON": kept[:100],
        "holds list, not an object": "[]",
    }
    for message, text in changed.items():
        assert text != kept
        (copy / "config.json").write_text(text)
        with pytest.raises(CheckpointError, match=message):
            pretrained.load(copy)
    with pytest.raises(CheckpointError, match="holds no exported report generator"):
        pretrained.load(tmp_path)


def test_missing_and_unexpected_weights_are_named(copy: Path) -> None:
    for name, key in (("model.safetensors", "projection_marks"), ("classifier.safetensors", "head.reading")):
        whole = load_file(copy / name)
        save_file({other: tensor for other, tensor in whole.items() if other != key}, copy / name)
        reseal(copy)
        with pytest.raises(CheckpointError, match=rf"(?s){name}: .*Missing key.*{key}"):
            pretrained.load(copy)
        save_file({**whole, "stray": torch.zeros(1)}, copy / name)
        reseal(copy)
        with pytest.raises(CheckpointError, match=rf"(?s){name}: .*Unexpected key.*stray"):
            pretrained.load(copy)
        save_file(whole, copy / name)
        reseal(copy)
    (copy / "model.safetensors").write_bytes(b"cut short")
    reseal(copy)
    with pytest.raises(CheckpointError, match=r"model.safetensors: not a whole safetensors file"):
        pretrained.load(copy)


def test_a_setting_or_a_memory_of_another_network_is_named(copy: Path) -> None:
    reseal(copy, lambda config: config["generator"].update(mood="calm"))
    with pytest.raises(CheckpointError, match="generator: the setting 'mood' is not known"):
        pretrained.load(copy)
    reseal(copy, lambda config: config["generator"].pop("mood"))
    kept = banks.load(copy / "memory" / "regions", UNCHECKED)
    banks.save(kept.take(torch.tensor([0, 1, 2])), copy / "memory" / "regions")
    reseal(copy)
    with pytest.raises(MemoryBankError, match=r"memory/regions.json: is bank \w+, but the network was exported with"):
        pretrained.load(copy)


def test_memories_that_nobody_checked_are_refused(copy: Path) -> None:
    reseal(copy, lambda config: config["provenance"].pop("split"))
    with pytest.raises(CheckpointError, match=r"provenance.split: does not say .* export the run again"):
        pretrained.load(copy)


def test_where_this_machine_keeps_an_index_is_not_told(
    llm_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(report_generator, "FaissSearch", lambda patterns, visited, folder=None: ExactSearch(patterns))
    settings = {"candidates": 6, "visited": 3, "folder": str(tmp_path / "index")}
    two_steps = random_model(llm_folder, two_step=settings)
    folder = write(tmp_path / "model", two_steps)
    assert str(tmp_path) not in (folder / "config.json").read_text()
    again = pretrained.load(folder).network
    assert again.config["two_step"] == {"candidates": 6, "visited": 3}
    assert again.generate(batch(OTHERS)) == two_steps.network.generate(batch(OTHERS))


def test_weights_in_pickles_are_not_copied(llm_folder: Path, tmp_path: Path) -> None:
    source = Path(shutil.copytree(llm_folder, tmp_path / "llm"))
    (source / "modeling_custom.py").write_text("raise SystemExit\n")
    (source / "pytorch_model.bin").write_bytes(b"a pickle")
    model = random_model(source)
    folder = write(tmp_path / "out" / "model", model)
    names = {path.name for path in (folder / "language_model").iterdir()}
    assert not names & {"modeling_custom.py", "pytorch_model.bin"}
    (source / "model.safetensors").unlink()
    with pytest.raises(SettingsError, match=r"holds no \*.safetensors"):
        write(tmp_path / "out" / "second", model)
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["model"]


def test_a_folder_that_holds_something_is_left_alone(model: Pretrained, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(SettingsError, match="not empty"):
        write(tmp_path, model)
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def test_an_export_of_the_same_stays_and_what_is_damaged_is_put_right(model: Pretrained, copy: Path) -> None:
    (copy / "README.md").write_text("# Edited\n")
    kept = {path: path.stat().st_ino for path in copy.rglob("*")}
    assert write(copy, model) == copy
    assert {path: path.stat().st_ino for path in copy.rglob("*")} == kept
    whole = (copy / "classifier.safetensors").read_bytes()
    (copy / "classifier.safetensors").write_bytes(whole[:-1])
    (copy / "memory" / "reports.json").unlink()
    write(copy, model)
    assert (copy / "classifier.safetensors").read_bytes() == whole
    assert (copy / "README.md").read_text() == "# Edited\n"
    pretrained.verified(copy)
    assert [path.name for path in copy.parent.iterdir()] == [copy.name]  # nothing is left beside


def test_an_export_of_something_else_stays_and_is_refused(model: Pretrained, copy: Path) -> None:
    before = {path: path.read_bytes() for path in copy.rglob("*") if path.is_file()}
    for said, words in (
        ({"dataset": "phantom", "checkpoint": "0123"}, "checkpoint None, not 0123"),
        ({"dataset": "mine"}, "another provenance"),
    ):
        with pytest.raises(SettingsError, match=f"holds an export of other content .{words}"):
            pretrained.save(copy, model, card="# A card\n", provenance=said, restricted=False)
    (copy / "notes.txt").write_text("mine")
    with pytest.raises(SettingsError, match=r"notes.txt is not of the export; take it away"):
        write(copy, model)
    assert {
        path: path.read_bytes() for path in copy.rglob("*") if path.is_file() and path.name != "notes.txt"
    } == before
    assert sorted(path.name for path in copy.parent.iterdir()) == [copy.name]


@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o002, 0o664), (0o077, 0o600)])
def test_who_may_read_an_export_is_the_umask_s_to_say(model: Pretrained, tmp_path: Path, umask: int, mode: int) -> None:
    before = os.umask(umask)
    try:
        folder = write(tmp_path / "model", model)
    finally:
        os.umask(before)
    modes = {path.relative_to(folder): path.stat().st_mode & 0o777 for path in folder.rglob("*") if path.is_file()}
    assert len(modes) > 8
    assert {str(path): found for path, found in modes.items() if found != mode} == {}


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
    assert pretrained.load(folder).network.generate(batch(OTHERS)) == named.network.generate(batch(OTHERS))
    # A tag that has moved on since, kept as the revision by a folder made by other means.
    hub_copy(tmp_path / "cache", "someone/llama", llm_folder, commit="f" * 40)
    reseal(folder, lambda config: config["language_model"].update(revision="main"))
    with pytest.raises(CheckpointError, match=r"someone/llama has fingerprint f{40}.*other files"):
        pretrained.load(folder)


def test_a_hub_id_is_read_like_a_folder(exported: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    hub_copy(tmp_path, "someone/reports", exported)
    assert ReportGenerator.from_pretrained("someone/reports").decoding == {"max_new_tokens": 12, "num_beams": 2}
    with pytest.raises(CheckpointError, match="someone/other: neither a folder nor a model the hub gave"):
        ReportGenerator.from_pretrained("someone/other")
    with pytest.raises(CheckpointError, match="no/such/folder: neither"):
        ReportGenerator.from_pretrained("no/such/folder")


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
    address = pretrained.push_to_hub(copy, "someone/reports")
    config = json.loads((copy / "config.json").read_text())
    assert address == f"https://hub/someone/reports/{pretrained.FORMAT} {config['fingerprint']}"
    assert taken.repositories == [("someone/reports", True)]
    assert taken.files == {*config["files"], "config.json", "README.md"}


def test_restricted_data_are_not_pushed_unless_told(
    llm_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write(tmp_path / "model", random_model(llm_folder, restricted=True), restricted=True)
    taken = Taken(monkeypatch)
    with pytest.raises(SettingsError, match=r"iu_xray, which is restricted.*--let-restricted-data-leave"):
        pretrained.push_to_hub(folder, "someone/reports")
    config = json.loads((folder / "config.json").read_text())
    text = (folder / "config.json").read_text().replace('"restricted": true', '"restricted": false')
    (folder / "config.json").write_text(text)
    with pytest.raises(CheckpointError, match="was changed since it was written"):
        pretrained.push_to_hub(folder, "someone/reports")
    assert not taken.repositories
    pretrained.seal(folder, config)
    pretrained.push_to_hub(folder, "someone/reports", private=False, let_restricted_data_leave=True)
    assert taken.repositories == [("someone/reports", False)]


def test_a_hub_that_does_not_answer_is_one_clear_error(copy: Path) -> None:
    with pytest.raises(SettingsError, match=r"someone/reports: the hub did not take the folder .*offline"):
        pretrained.push_to_hub(copy, "someone/reports")
    with pytest.raises(SettingsError, match="a/b/c: the hub did not take the folder"):
        pretrained.push_to_hub(copy, "a/b/c")
    (copy / "model.safetensors").write_bytes(b"cut short")
    with pytest.raises(CheckpointError, match=r"model.safetensors: content"):
        pretrained.push_to_hub(copy, "someone/reports")


def test_a_hub_that_cannot_be_reached_is_one_clear_error(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The hub's own client, against a port of this machine where nobody listens."""
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setenv("HF_TOKEN", "hf_none")
    huggingface_hub.close_session()
    try:
        with pytest.raises(SettingsError, match=r"someone/reports: the hub did not take the folder .*refused"):
            pretrained.push_to_hub(copy, "someone/reports")
    finally:
        huggingface_hub.close_session()


def test_films_are_read_as_the_run_read_them(tmp_path: Path) -> None:
    files = []
    for place, shade in enumerate((40, 200)):
        Image.new("L", (64, 80), shade).save(tmp_path / f"{place}.png")
        files.append(tmp_path / f"{place}.png")
    both = FilmProcessor(32)(files, ["lateral", "frontal"], study_id="a", subject_id="p", indication="cough")
    assert both.images.shape == (2, 1, 32, 32)
    assert both.images.dtype == torch.uint8
    assert both.images[:, 0, 0, 0].tolist() == [40, 200]
    assert (both.study_ids, both.subject_ids, both.projections) == (["a"], ["p"], ["lateral", "frontal"])
    assert both.indications == ["cough"]
    frontal = FilmProcessor(32, "frontal")(files, ["lateral", "frontal"])
    assert (frontal.projections, frontal.images[:, 0, 0, 0].tolist()) == (["frontal"], [200])
    assert FilmProcessor(32, "frontal")(files, ["lateral", "lateral"]).images.shape[0] == 2
    assert torch.equal(FilmProcessor(32)([files[0].read_bytes()]).images, both.images[:1])
    with pytest.raises(ValueError, match="2 films and 1 projections"):
        FilmProcessor(32)(files, ["frontal"])
    with pytest.raises(ValueError, match="0 films"):
        FilmProcessor(32)([])
    with pytest.raises(ReadError, match=r"none.png: no such file"):
        FilmProcessor(32)([tmp_path / "none.png"])

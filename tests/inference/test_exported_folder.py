"""An exported folder with real (tiny, random) networks: written, read back, refused where it is not as written."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from ammrg.documents.remarks import remarks
from ammrg.errors import CheckpointError, MemoryBankError, SettingsError
from ammrg.inference.description import NOT_COMPARED, WORTHLESS
from ammrg.inference.model_folder import DISTANCE, FORMAT, seal, verified
from ammrg.inference.report_generator import ReportGenerator
from ammrg.inference.saving import save
from ammrg.memory import bank_files as banks
from ammrg.memory.candidates import ExactSearch
from ammrg.networks import associative_memory
from ammrg.networks.film_distance import FilmDistance, FilmFeatures, TooFewFilms, film_features, fit_distance
from tests.tiny_export import OTHERS, random_model, reseal, texts, write
from tests.tiny_stage2 import STUDIES, batch
from tests.unchecked import UNCHECKED


def test_the_distance_from_training_travels_and_an_earlier_folder_has_none(llm_folder: Path, tmp_path: Path) -> None:
    plain = random_model(llm_folder)
    films = torch.randint(0, 256, (40, 1, 48, 48), dtype=torch.uint8)
    with torch.no_grad():
        tokens, grid = plain.network.classifier.encoder(films)
    features = film_features(films, tokens, grid)
    distance = fit_distance(*(FilmFeatures(*(view[half] for view in features)) for half in (slice(20), slice(20, 40))))
    assert isinstance(distance, FilmDistance)
    folder = write(tmp_path / "new", plain._replace(distance=distance))
    found = ReportGenerator.from_pretrained(folder, device="cpu")
    assert found.dataset == "phantom"
    assert isinstance(found.distance, FilmDistance)
    torch.testing.assert_close(found.distance(films, tokens, grid), distance(films, tokens, grid))
    assert DISTANCE in json.loads((folder / "config.json").read_text())["files"]

    few = write(tmp_path / "few", plain._replace(distance=TooFewFilms(40, 5)))
    assert not (few / DISTANCE).exists()
    assert ReportGenerator.from_pretrained(few, device="cpu").distance == TooFewFilms(40, 5)

    old = write(tmp_path / "old", plain)
    config = json.loads((old / "config.json").read_text())
    del config["film_distance"]
    seal(old, config)
    assert ReportGenerator.from_pretrained(old, device="cpu").distance is None

    # A release that measured the tokens alone:
    save_file({"mean": torch.zeros(3)}, folder / DISTANCE)
    reseal(folder, lambda config: config.update(film_distance={"rest": 1.0, "limit": 2.0}))
    assert ReportGenerator.from_pretrained(folder, device="cpu").distance is None


@pytest.mark.parametrize("verdict", [True, False])
def test_an_earlier_folder_that_tells_no_verdict_describes_and_says_so_once(
    model: ReportGenerator, tmp_path: Path, verdict: bool
) -> None:
    folder, film = write(tmp_path / "old", model._replace(beats_constants=verdict)), np.eye(64, dtype=np.uint8) * 200
    scored = ReportGenerator.from_pretrained(folder, device="cpu").describe(film)
    assert scored.warnings.count(WORTHLESS) == scored.page.notes.count(WORTHLESS) == (not verdict)
    assert NOT_COMPARED not in " ".join([*remarks(scored), *scored.page.notes])
    reseal(folder, lambda config: config.pop("beats_constants"))
    old = ReportGenerator.from_pretrained(folder, device="cpu").describe(film)
    assert old.report == scored.report
    assert WORTHLESS not in old.warnings
    assert " ".join(remarks(old)).count(NOT_COMPARED) == " ".join(old.page.notes).count(NOT_COMPARED) == 1


def test_what_is_read_back_writes_the_same_reports(model: ReportGenerator, exported: Path) -> None:
    again = ReportGenerator.from_pretrained(exported)
    for studies in (OTHERS, STUDIES):
        written, read = (each.network.generate(batch(studies)) for each in (model, again))
        assert read == written  # texts, findings, what was retrieved: number for number
    assert len(set(texts(written))) > 1
    assert max(map(len, texts(written))) > 5
    assert again.processor == model.processor
    assert again.map_method == "hirescam"
    assert again.network.config == json.loads(json.dumps(model.network.config))
    assert torch.equal(again.network.classifier.thresholds, model.network.classifier.thresholds)
    assert not any(parameter.requires_grad for parameter in again.network.parameters())
    assert not again.network.training


def test_the_run_decoding_is_the_default_and_can_be_overruled(model: ReportGenerator) -> None:
    network = model.network
    assert texts(network.generate(batch(OTHERS))) == texts(
        network.generate(batch(OTHERS), max_new_tokens=12, num_beams=2)
    )
    short = texts(network.generate(batch(OTHERS), max_new_tokens=3, num_beams=1))
    assert short != texts(network.generate(batch(OTHERS)))


def test_it_is_read_without_lightning(model: ReportGenerator, exported: Path, tmp_path: Path) -> None:
    film = tmp_path / "film.png"
    pixels = np.random.default_rng(0).integers(0, 256, (60, 50), np.uint8)
    Image.fromarray(pixels).save(film)
    script = (
        "import sys; from ammrg.imaging.processor import FilmProcessor;"
        "from ammrg.inference.report_generator import ReportGenerator;"
        "network = ReportGenerator.from_pretrained(sys.argv[1]).network;"
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


def test_the_same_model_gives_the_same_bytes(model: ReportGenerator, exported: Path, tmp_path: Path) -> None:
    again = write(tmp_path / "again", model)
    for name in [path.relative_to(exported) for path in exported.rglob("*") if path.is_file()]:
        assert (again / name).read_bytes() == (exported / name).read_bytes(), name


def test_a_trained_classifier_travels_as_it_was_trained(llm_folder: Path, tmp_path: Path) -> None:
    trained = random_model(llm_folder, freeze=())
    again = ReportGenerator.from_pretrained(write(tmp_path / "model", trained))
    assert again.network.generate(batch(OTHERS)) == trained.network.generate(batch(OTHERS))


def test_memories_that_are_off_stay_off(llm_folder: Path, tmp_path: Path) -> None:
    without = random_model(llm_folder, visual_memory=False)
    folder = write(tmp_path / "model", without)
    assert {path.name for path in (folder / "memory").iterdir()} == {"reports.json", "reports.safetensors"}
    assert ReportGenerator.from_pretrained(folder).network.generate(batch(OTHERS)) == without.network.generate(
        batch(OTHERS)
    )


def test_restricted_memories_leave_without_ids_and_texts(llm_folder: Path, tmp_path: Path) -> None:
    restricted = random_model(llm_folder, restricted=True)
    folder = write(tmp_path / "model", restricted, restricted=True)
    said = "".join(path.read_text() for path in folder.glob("memory/*.json"))
    assert not [word for word in (*STUDIES, "report 0", "report 1") if word in said]
    bare = ReportGenerator.from_pretrained(folder).network
    written, read = restricted.network.generate(batch(OTHERS)), bare.generate(batch(OTHERS))
    assert texts(read) == texts(written)
    for whole, shown in zip(written, read, strict=True):
        assert all(pattern.study_id == "" and pattern.text is None for pattern in (*shown.regions, *shown.reports))
        assert [pattern.weight for pattern in shown.regions] == [pattern.weight for pattern in whole.regions]
        assert [pattern.box for pattern in shown.regions] == [pattern.box for pattern in whole.regions]
    assert bare.visual_bank is not None
    assert restricted.network.visual_bank is not None
    assert bare.visual_bank.descends_from(restricted.network.visual_bank.fingerprint)
    assert bare.visual_bank.meta.restricted


def test_one_switch_keeps_ids_and_texts(llm_folder: Path, tmp_path: Path) -> None:
    restricted = random_model(llm_folder, restricted=True)
    folder = write(tmp_path / "model", restricted, restricted=True, leave=True)
    assert ReportGenerator.from_pretrained(folder).network.generate(batch(OTHERS)) == restricted.network.generate(
        batch(OTHERS)
    )
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
    with pytest.raises(CheckpointError, match=rf"{name}: has fingerprint \w+, but config.json says"):
        ReportGenerator.from_pretrained(copy)
    file.unlink()
    with pytest.raises(CheckpointError, match=f"{name}: missing"):
        ReportGenerator.from_pretrained(copy)


def test_another_language_model_in_its_place_is_refused(copy: Path) -> None:
    weights = load_file(copy / "language_model" / "model.safetensors")
    weights["model.norm.weight"] += 1
    save_file(weights, copy / "language_model" / "model.safetensors", {"format": "pt"})
    with pytest.raises(CheckpointError, match=r"language_model/model.safetensors: has fingerprint"):
        ReportGenerator.from_pretrained(copy)


def test_settings_that_were_changed_or_are_of_another_kind_are_refused(copy: Path, tmp_path: Path) -> None:
    kept = (copy / "config.json").read_text()
    changed = {
        "was changed since it was written": kept.replace('"restricted": false', '"restricted": true'),
        "format version 1, but this code reads version 2": kept.replace('"version": 2', '"version": 1'),
        "format is 'other'": kept.replace(FORMAT, "other"),
        "not readable as JSON": kept[:100],
        "holds list, not an object": "[]",
    }
    for message, text in changed.items():
        assert text != kept
        (copy / "config.json").write_text(text)
        with pytest.raises(CheckpointError, match=message):
            ReportGenerator.from_pretrained(copy)
    with pytest.raises(CheckpointError, match="holds no exported report generator"):
        ReportGenerator.from_pretrained(tmp_path)


def test_missing_and_unexpected_weights_are_named(copy: Path) -> None:
    for name, key in (("model.safetensors", "projection_marks"), ("classifier.safetensors", "head.reading")):
        whole = load_file(copy / name)
        save_file({other: tensor for other, tensor in whole.items() if other != key}, copy / name)
        reseal(copy)
        with pytest.raises(CheckpointError, match=rf"(?s){name}: .*Missing key.*{key}"):
            ReportGenerator.from_pretrained(copy)
        save_file({**whole, "stray": torch.zeros(1)}, copy / name)
        reseal(copy)
        with pytest.raises(CheckpointError, match=rf"(?s){name}: .*Unexpected key.*stray"):
            ReportGenerator.from_pretrained(copy)
        save_file(whole, copy / name)
        reseal(copy)
    (copy / "model.safetensors").write_bytes(b"cut short")
    reseal(copy)
    with pytest.raises(CheckpointError, match=r"model.safetensors: not a complete safetensors file"):
        ReportGenerator.from_pretrained(copy)


def test_a_setting_or_a_memory_of_another_network_is_named(copy: Path) -> None:
    reseal(copy, lambda config: config["generator"].update(mood="calm"))
    with pytest.raises(CheckpointError, match="generator: this release does not know the setting 'mood'"):
        ReportGenerator.from_pretrained(copy)
    reseal(copy, lambda config: config["generator"].pop("mood"))
    kept = banks.load(copy / "memory" / "regions", UNCHECKED)
    banks.save(kept.take(torch.tensor([0, 1, 2])), copy / "memory" / "regions")
    reseal(copy)
    with pytest.raises(
        MemoryBankError, match=r"memory/regions.json: is bank \w+, but the network was exported with bank"
    ):
        ReportGenerator.from_pretrained(copy)


def test_memories_that_nobody_checked_are_refused(copy: Path) -> None:
    reseal(copy, lambda config: config["provenance"].pop("split"))
    with pytest.raises(CheckpointError, match=r"provenance.split: has no fingerprint .* export the run again"):
        ReportGenerator.from_pretrained(copy)


def test_where_this_machine_keeps_an_index_is_not_told(
    llm_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(associative_memory, "FaissSearch", lambda patterns, visited, folder=None: ExactSearch(patterns))
    settings = {"candidates": 6, "visited": 3, "folder": str(tmp_path / "index")}
    two_steps = random_model(llm_folder, two_step=settings)
    folder = write(tmp_path / "model", two_steps)
    assert str(tmp_path) not in (folder / "config.json").read_text()
    again = ReportGenerator.from_pretrained(folder).network
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


def test_a_folder_that_holds_something_is_left_alone(model: ReportGenerator, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(SettingsError, match="is not an export"):
        write(tmp_path, model)
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def test_an_export_of_the_same_stays_and_what_is_damaged_is_put_right(model: ReportGenerator, copy: Path) -> None:
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
    verified(copy)
    assert [path.name for path in copy.parent.iterdir()] == [copy.name]  # nothing is left beside


def test_an_export_of_something_else_stays_and_is_refused(model: ReportGenerator, copy: Path) -> None:
    before = {path: path.read_bytes() for path in copy.rglob("*") if path.is_file()}
    for said, words in (
        ({"dataset": "phantom", "checkpoint": "0123"}, "checkpoint None, not 0123"),
        ({"dataset": "mine"}, "another provenance"),
    ):
        with pytest.raises(SettingsError, match=f"holds an export with other content .{words}"):
            save(copy, model, card="# A card\n", provenance=said, restricted=False)
    (copy / "notes.txt").write_text("mine")
    with pytest.raises(SettingsError, match=r"notes.txt does not belong to the export; remove it"):
        write(copy, model)
    assert {
        path: path.read_bytes() for path in copy.rglob("*") if path.is_file() and path.name != "notes.txt"
    } == before
    assert sorted(path.name for path in copy.parent.iterdir()) == [copy.name]


@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o002, 0o664), (0o077, 0o600)])
def test_who_may_read_an_export_is_the_umask_s_to_say(
    model: ReportGenerator, tmp_path: Path, umask: int, mode: int
) -> None:
    before = os.umask(umask)
    try:
        folder = write(tmp_path / "model", model)
    finally:
        os.umask(before)
    modes = {path.relative_to(folder): path.stat().st_mode & 0o777 for path in folder.rglob("*") if path.is_file()}
    assert len(modes) > 8
    assert {str(path): found for path, found in modes.items() if found != mode} == {}

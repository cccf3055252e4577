"""The files of a memory bank: written whole, read back, and refused where they are broken or do not belong."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open

from ammrg.errors import MemoryBankError
from ammrg.findings import FINDINGS
from ammrg.memory import bank_files
from ammrg.memory.bank import FORMAT_VERSION, MemoryBank
from ammrg.memory.bank_files import bank_paths, load, save
from tests.unchecked import UNCHECKED

BankOf = Callable[..., MemoryBank]
OWNERS = [[("s1", "p1")], [("s2", "p1")], [("s3", "p2"), ("s4", "p3")], []]


def test_both_files_of_a_bank_are_read_by_those_who_read_any_other(tmp_path: Path, bank_of: BankOf) -> None:
    before = os.umask(0o022)
    try:
        save(bank_of(OWNERS), tmp_path / "regions")
        save(bank_of(OWNERS[:2]), tmp_path / "regions")
    finally:
        os.umask(before)
    assert {path.name: path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {
        "regions.json": 0o644,
        "regions.safetensors": 0o644,
    }


def test_comes_back_as_it_was_saved(tmp_path: Path, bank_of: BankOf) -> None:
    bank = bank_of(OWNERS, restricted=True)
    bank.boxes[3] = torch.nan
    save(bank, tmp_path / "memory" / "regions")
    back = load(tmp_path / "memory" / "regions", UNCHECKED, encoder_fingerprint="e" * 16, data_fingerprint="d" * 16)
    assert back.study_ids == (("s1",), ("s2",), ("s3", "s4"), ())
    assert back.subject_ids == (("p1",), ("p1",), ("p2", "p3"), ())
    assert back.meta == bank.meta
    assert back.meta.restricted
    for name in ("patterns", "findings", "views", "scores"):
        assert torch.equal(getattr(back, name), getattr(bank, name))
    torch.testing.assert_close(back.boxes, bank.boxes, rtol=0, atol=0, equal_nan=True)
    assert back.fingerprint == bank.fingerprint
    assert (
        len(load(tmp_path / "memory" / "regions.json", UNCHECKED))
        == len(load(tmp_path / "memory" / "regions.safetensors", UNCHECKED))
        == 4
    )


def test_a_dot_in_the_name_is_not_a_suffix(tmp_path: Path, bank_of: BankOf) -> None:
    save(bank_of(OWNERS), tmp_path / "regions.v2")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["regions.v2.json", "regions.v2.safetensors"]
    assert len(load(tmp_path / "regions.v2", UNCHECKED)) == 4


def test_reports_keep_their_texts_and_files_are_readable_without_the_project(tmp_path: Path, bank_of: BankOf) -> None:
    texts = ["no acute disease.", 'heart "large"; größe 12 µm\n']
    save(bank_of(OWNERS[:2], texts=texts), tmp_path / "reports")
    assert load(tmp_path / "reports", UNCHECKED).texts == tuple(texts)
    sidecar = json.loads((tmp_path / "reports.json").read_text(encoding="utf-8"))
    assert sidecar["texts"] == texts
    assert sidecar["count"] == 2
    assert sidecar["finding_names"][8] == "Pneumothorax"
    with safe_open(tmp_path / "reports.safetensors", "pt") as file:
        assert file.get_tensor("patterns").shape == (2, 4)


def test_equal_banks_give_equal_files_and_other_content_another_fingerprint(tmp_path: Path, bank_of: BankOf) -> None:
    save(bank_of(OWNERS), tmp_path / "a")
    save(bank_of(OWNERS), tmp_path / "b")
    for suffix in (".json", ".safetensors"):
        assert (tmp_path / f"a{suffix}").read_bytes() == (tmp_path / f"b{suffix}").read_bytes()
    bank = bank_of(OWNERS)
    prints = {bank.fingerprint, bank_of(OWNERS, seed=1).fingerprint, bank_of([[("x", "p1")], *OWNERS[1:]]).fingerprint}
    changed = bank_of(OWNERS)
    changed.patterns[0, 0] += 1
    assert len(prints | {changed.fingerprint}) == 4


@pytest.mark.parametrize("field", ["encoder", "data"])
def test_a_memory_of_another_encoder_or_data_set_is_refused(tmp_path: Path, bank_of: BankOf, field: str) -> None:
    save(bank_of(OWNERS), tmp_path / "regions")
    with pytest.raises(
        MemoryBankError, match=rf"{field}_fingerprint is {field[0] * 16}, but the {field} in use is ffff"
    ):
        load(tmp_path / "regions", UNCHECKED, **{f"{field}_fingerprint": "ffff"})


def test_an_interrupted_save_leaves_the_old_bank(
    tmp_path: Path, bank_of: BankOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    save(bank_of(OWNERS), tmp_path / "regions")
    old = load(tmp_path / "regions", UNCHECKED).fingerprint

    def full_disk(*_: Any, **__: Any) -> None:
        raise OSError("No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_text", full_disk)
        with pytest.raises(MemoryBankError, match=r"regions\.safetensors: cannot be written \(No space left"):
            save(bank_of(OWNERS[:2]), tmp_path / "regions")
    assert load(tmp_path / "regions", UNCHECKED).fingerprint == old
    assert sorted(path.name for path in tmp_path.iterdir()) == ["regions.json", "regions.safetensors"]


@pytest.mark.parametrize("killed_at", [".part", ".json", ".safetensors"])
@pytest.mark.parametrize("old", [True, False])
def test_a_save_killed_at_any_step_leaves_one_whole_bank(
    tmp_path: Path, bank_of: BankOf, monkeypatch: pytest.MonkeyPatch, killed_at: str, old: bool
) -> None:
    before, after, path = bank_of(OWNERS), bank_of([[("s9", "p9")]], width=6), tmp_path / "regions"
    if old:
        save(before, path)
    really = os.replace

    def replace(source: Path, target: Path) -> None:
        if target == path.with_suffix(killed_at):
            raise SystemExit
        really(source, target)

    def fsync(file: int) -> None:
        if killed_at == ".part":
            raise SystemExit

    with monkeypatch.context() as patch:  # SIGKILL runs no finally
        patch.setattr(os, "replace", replace)
        patch.setattr(os, "fsync", fsync)
        patch.setattr(Path, "unlink", lambda *_, **__: None)
        with pytest.raises(SystemExit):
            save(after, path)
    left = sorted(file.name for file in tmp_path.iterdir())
    if killed_at == ".safetensors":
        assert load(path, UNCHECKED).fingerprint == after.fingerprint
        assert bank_files.banks_in(tmp_path) == [path]
    elif old:
        assert load(path, UNCHECKED).fingerprint == before.fingerprint
    else:
        with pytest.raises(MemoryBankError, match="no memory bank there"):
            load(path, UNCHECKED)
    assert any(name not in ("regions.json", "regions.safetensors") for name in left)
    save(before, path)  # the next one that ends leaves nothing of it
    assert load(path, UNCHECKED).fingerprint == before.fingerprint
    assert sorted(file.name for file in tmp_path.iterdir()) == ["regions.json", "regions.safetensors"]


def test_the_tensors_of_a_killed_save_are_not_lost_by_a_failing_one(
    tmp_path: Path, bank_of: BankOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    save(bank_of(OWNERS), tmp_path / "regions")
    tensors, sidecar = bank_paths(tmp_path / "regions")
    tensors.rename(tmp_path / f"regions.{json.loads(sidecar.read_text())['tensors']}.safetensors")

    really = os.replace

    def refused(source: Path, target: Path) -> None:
        if target == sidecar:
            raise PermissionError("not here")
        really(source, target)

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", refused)
        with pytest.raises(MemoryBankError, match="not here"):
            save(bank_of(OWNERS), tmp_path / "regions")
    assert len(load(tmp_path / "regions", UNCHECKED)) == 4


def test_a_save_clears_its_own_leftovers_and_nobody_elses(tmp_path: Path, bank_of: BankOf) -> None:
    others = [".reports.json.1.part", "regions.v2.safetensors", "regions.0123456789abcdef.txt", "regions.part"]
    stale = [".regions.json.77.part", ".regions.safetensors.77.part", "regions.0123456789abcdef.safetensors"]
    for name in (*others, *stale):
        (tmp_path / name).write_text("s1")
    save(bank_of(OWNERS), tmp_path / "regions.fedcba9876543210")  # a bank with such a name is no leftover
    save(bank_of(OWNERS), tmp_path / "regions")
    left = {file.name for file in tmp_path.iterdir()}
    assert left >= {*others, "regions.fedcba9876543210.json", "regions.fedcba9876543210.safetensors"}
    assert not left & set(stale)
    assert len(load(tmp_path / "regions.fedcba9876543210", UNCHECKED)) == 4


def test_halves_of_two_saves_are_told_apart(tmp_path: Path, bank_of: BankOf) -> None:
    save(bank_of(OWNERS), tmp_path / "regions")
    save(bank_of(OWNERS[:2]), tmp_path / "other")
    bank_paths(tmp_path / "other")[1].replace(tmp_path / "regions.json")
    with pytest.raises(MemoryBankError, match="interrupted copy or a changed file"):
        load(tmp_path / "regions", UNCHECKED)
    save(bank_of(OWNERS[:2]), tmp_path / "regions")
    assert len(load(tmp_path / "regions", UNCHECKED)) == 2


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path, bank_of: BankOf) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "regions.json").mkdir()
    (tmp_path / "regions.safetensors").write_text("")
    for place in (tmp_path / "file" / "regions", tmp_path / "regions"):
        with pytest.raises(MemoryBankError, match=r"regions\.safetensors: cannot be written"):
            save(bank_of(OWNERS), place)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["file", "regions.json", "regions.safetensors"]
    for nameless in ("", ".", "/", ".."):
        with pytest.raises(MemoryBankError, match="a folder, not a bank"):
            load(nameless, UNCHECKED)


def _edit(path: Path, **changes: Any) -> None:
    sidecar = json.loads(path.read_text())
    for key, value in changes.items():
        if value is None:
            del sidecar[key]
        else:
            sidecar[key] = value
    path.write_text(json.dumps(sidecar))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"version": FORMAT_VERSION + 1}, r"format version 3, but this code reads version 2"),
        ({"format": "something"}, "not a memory bank"),
        ({"kind": "films"}, "kind is 'films', not one of regions, reports"),
        ({"version": FORMAT_VERSION - 1}, r"format version 1, but this code reads version 2"),
        ({"split": None}, "field 'split' must be str, found NoneType"),
        ({"split": "test"}, "its patterns come from the split 'test'"),
        ({"edits": None}, "field 'edits' must be list, found NoneType"),
        ({"edits": [{"before": "a", "what": "b", "who": "s1"}]}, r"not a whole memory bank .*'who'"),
        ({"texts": ["", "", "", 4]}, "texts must be a list of strings"),
        ({"texts": "one"}, "field 'texts' must be list, found str"),
        ({"texts": ["one"]}, r"not a whole memory bank .*4 patterns, but 1 texts"),
        ({"subject_ids": [["p1"], [], [], []]}, r"pattern 1 has 1 study_ids but 0 subject_ids"),
        ({"study_ids": [1, 2, 3, 4]}, "study_ids must be a list of lists of strings"),
        ({"study_ids": [["s1"], [""], ["s3", "s4"], []]}, r"owning studies have an id, but not in 1 of 4 .*rows 1\)"),
        ({"count": 7}, "count is 7, but its tensors hold 4"),
        ({"width": 9}, "width is 9, but its tensors hold 4"),
        ({"count": None}, "field 'count' must be int"),
        ({"finding_names": list(FINDINGS)[::-1]}, "finding_names are No Finding, Support Devices"),
        ({"kind": "reports"}, r"a report has a text, but not in 4 of 4 patterns"),
        ({"edits": [{"before": 1, "what": []}]}, r"edits must be a list of \{before: string, what: string\}"),
        ({"tensors": "../../x"}, r"tensors is '\.\./\.\./x', not 16 hex digits"),
    ],
)
def test_a_wrong_sidecar_is_refused_by_field(
    tmp_path: Path, bank_of: BankOf, changes: dict[str, Any], message: str
) -> None:
    save(bank_of(OWNERS), tmp_path / "regions")
    _edit(tmp_path / "regions.json", **changes)
    with pytest.raises(MemoryBankError, match=message):
        load(tmp_path / "regions", UNCHECKED)


def test_missing_and_broken_files_are_refused(tmp_path: Path, bank_of: BankOf) -> None:
    with pytest.raises(MemoryBankError, match="no memory bank there"):
        load(tmp_path / "none", UNCHECKED)
    save(bank_of(OWNERS), tmp_path / "regions")
    tensors, sidecar = bank_paths(tmp_path / "regions")
    whole = tensors.read_bytes()
    tensors.unlink()
    with pytest.raises(MemoryBankError, match=r"missing beside regions\.json"):
        load(tmp_path / "regions", UNCHECKED)
    tensors.write_bytes(whole[:-7])
    with pytest.raises(MemoryBankError, match="interrupted copy or a changed file"):
        load(tmp_path / "regions", UNCHECKED)
    sidecar.write_text("{")
    with pytest.raises(MemoryBankError, match="not readable as JSON"):
        load(tmp_path / "regions", UNCHECKED)
    sidecar.write_text("[]")
    with pytest.raises(MemoryBankError, match="format is 'list'"):
        load(tmp_path / "regions", UNCHECKED)

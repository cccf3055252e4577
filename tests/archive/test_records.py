"""The state folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from ammrg.archive.records import Record, Records
from ammrg.errors import SettingsError


def test_records_outlive_the_process(tmp_path: Path) -> None:
    first = Records(tmp_path / "state")
    record = Record("set aside", "m-f", 3, 1, "no film")
    first.write("k", record)
    first.put("k", {"report.dcm": b"r", "maps.dcm": b"m"})
    first.close()
    again = Records(tmp_path / "state")
    assert again.read("k") == record
    assert again.read("other") is None
    assert [(key, [path.read_bytes() for path in files]) for key, files in again.waiting()] == [("k", [b"m", b"r"])]
    again.discard("k")
    assert list(again.waiting()) == []


def test_two_processes_never_share_a_folder(tmp_path: Path) -> None:
    first = Records(tmp_path)
    with pytest.raises(SettingsError, match="another process uses it"):
        Records(tmp_path)
    first.close()
    Records(tmp_path).close()


def test_what_an_interrupted_write_left_is_removed(tmp_path: Path) -> None:
    Records(tmp_path).close()
    (tmp_path / "outbox" / ".k").mkdir()
    (tmp_path / "outbox" / ".k" / "report.dcm").write_bytes(b"half")
    (tmp_path / "studies" / ".k.json.1.partial").write_text("{")
    (tmp_path / "studies" / "d.json").write_text("{")
    opened = Records(tmp_path)
    assert list(opened.waiting()) == []
    assert not list((tmp_path / "studies").glob(".*"))
    assert opened.read("d") is None
    opened.put("k", {"report.dcm": b"whole"})
    assert [path.read_bytes() for path in opened.files("k")] == [b"whole"]


def test_others_cannot_read_it(tmp_path: Path) -> None:
    records = Records(tmp_path / "state")
    records.put("k", {"report.dcm": b"r"})
    for folder in ("state", "state/outbox", "state/outbox/k", "state/studies"):
        assert (tmp_path / folder).stat().st_mode & 0o077 == 0

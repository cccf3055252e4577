"""The loop over a real Orthanc: found, fetched, described, stored, and asked back."""

from __future__ import annotations

import hashlib
import io
import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from subprocess import PIPE

import pydicom
import pytest

from ammrg.__main__ import main
from ammrg.archive.records import Records
from ammrg.archive.server import Archive, ListedStudy
from ammrg.commands import archive
from ammrg.documents.statement import SERIES, plain
from ammrg.errors import ArchiveError
from ammrg.inference.report_generator import ReportGenerator
from ammrg.notice import NOTICE
from tests.archive.conftest import Look
from tests.archive.orthanc import Orthanc
from tests.dicom_studies import phantom_dicom, uids_of
from tests.documents.test_source_films import retagged
from tests.tiny_export import write

pytestmark = pytest.mark.slow


def study_of(films: list[bytes]) -> str:
    return str(pydicom.dcmread(io.BytesIO(films[0])).StudyInstanceUID)


def texts(report: pydicom.Dataset) -> list[str]:
    listed = [item for part in report.ContentSequence for item in part.get("ContentSequence", [])]
    return [item.TextValue for item in listed if item.ValueType == "TEXT"]


def test_a_study_is_stored_once_and_says_what_describe_says(
    orthanc: Orthanc, look: Look, generator: ReportGenerator
) -> None:
    ordinary, compressed = phantom_dicom(0), phantom_dicom(1, compress=True)
    orthanc.put(*ordinary, *compressed)
    assert look() == {"stored": 2}
    found = orthanc.documents()
    assert set(found) == {study_of(ordinary), study_of(compressed)}
    for films in (ordinary, compressed):
        stored = {file.Modality: file for file in found[study_of(films)]}
        assert set(stored) == {"SR", "OT"}
        assert stored["SR"].SeriesDescription == SERIES
        (study,) = stored["SR"].CurrentRequestedProcedureEvidenceSequence
        named = {each.ReferencedSOPInstanceUID for each in study.ReferencedSeriesSequence[0].ReferencedSOPSequence}
        assert named == set(uids_of(films))
        assert plain(generator.describe(films).report) in texts(stored["SR"])
        assert stored["SR"].PatientID == pydicom.dcmread(io.BytesIO(films[0])).PatientID
    before = orthanc.count()
    assert look() == {"known": 2}
    assert look(state="lost") == {"known": 2}
    assert orthanc.count() == before


def test_a_study_that_gains_a_film_is_corrected(orthanc: Orthanc, look: Look) -> None:
    films = next(found for index in range(40) if len(found := phantom_dicom(index)) == 2)
    orthanc.put(films[0])
    assert look() == {"stored": 1}
    orthanc.put(films[1])
    assert look() == {"stored": 1}
    assert look() == {"known": 1}
    reports = [file for file in orthanc.documents()[study_of(films)] if file.Modality == "SR"]
    assert len(reports) == 2
    (later,) = [report for report in reports if "PredecessorDocumentsSequence" in report]
    (earlier,) = [report for report in reports if report is not later]
    series = later.PredecessorDocumentsSequence[0].ReferencedSeriesSequence[0]
    assert series.ReferencedSOPSequence[0].ReferencedSOPInstanceUID == earlier.SOPInstanceUID
    assert later.SeriesDescription == f"{SERIES}, correction"
    orthanc.put(retagged(films[1], SOPInstanceUID="2.25.7"))
    assert look() == {"stored": 1}
    named = [file.get("PredecessorDocumentsSequence", []) for file in orthanc.documents()[study_of(films)]]
    found = {
        each.ReferencedSOPSequence[0].ReferencedSOPInstanceUID
        for sequence in named
        for study in sequence
        for each in study.ReferencedSeriesSequence
    }
    assert found == {earlier.SOPInstanceUID, later.SOPInstanceUID}  # a correction is found again by its series


def test_a_lateral_film_alone_is_described_with_a_warning(orthanc: Orthanc, look: Look) -> None:
    films = next(found for index in range(40) if len(found := phantom_dicom(index)) == 2)
    orthanc.put(films[1])
    assert look() == {"stored": 1}
    (report,) = [file for file in orthanc.documents()[study_of(films)] if file.Modality == "SR"]
    assert any("WARNING: no frontal film" in text for text in texts(report))


@pytest.mark.parametrize("spoiled", ["cut off", "a hand"])
def test_a_film_that_is_left_out_is_named_in_the_report_and_in_the_record(
    orthanc: Orthanc, look: Look, tmp_path: Path, spoiled: str
) -> None:
    whole, other = next(found for index in range(40) if len(found := phantom_dicom(index, compress=True)) == 2)
    if spoiled == "cut off":
        at = other.index(b"\xff\x4f\xff\x51") + 60  # in the pixels; the tags stay whole
        other = other[:at].ljust(len(other) - 8, b"\0") + other[-8:]
    else:
        other = retagged(other, BodyPartExamined="HAND")
    orthanc.put(whole, other)
    lines: list[str] = []
    assert look(lines.append) == {"stored": 1}
    (record,) = (tmp_path / "state" / "studies").glob("*.json")
    assert f"{record} says which films were left out" in lines[-1]
    reason = json.loads(record.read_text())["reason"]
    assert reason.startswith("WARNING: left out were 1 of the study's 2 films: ")
    assert spoiled == "cut off" or "HAND" in reason
    (report,) = [file for file in orthanc.documents()[study_of([whole])] if file.Modality == "SR"]
    assert plain(reason) in texts(report)
    assert look() == {"known": 1}


def test_another_patients_film_under_a_known_study_is_noticed(orthanc: Orthanc, look: Look) -> None:
    """Orthanc then lists the study twice, with the number of each patient's instances."""
    films = phantom_dicom(0)
    orthanc.put(*films)
    assert look() == {"stored": 1}
    assert look() == {"known": 1}
    other = phantom_dicom(4)[0]
    orthanc.put(retagged(other, StudyInstanceUID=study_of(films), PatientID="OTHER"))
    lines: list[str] = []
    assert look(lines.append) == {"set aside": 1}
    assert "state/studies/" in lines[-1]
    assert look() == {"known": 1}


def test_another_model_describes_again(orthanc: Orthanc, look: Look, generator: ReportGenerator) -> None:
    orthanc.put(*phantom_dicom(0))
    assert look() == {"stored": 1}
    assert look(model=generator._replace(fingerprint="f" * 16)) == {"stored": 1}
    assert look() == {"known": 1}


def test_no_rotten_study_ends_the_look(orthanc: Orthanc, look: Look, tmp_path: Path) -> None:
    good, broken, hand = phantom_dicom(0), phantom_dicom(1, compress=True), phantom_dicom(2, BodyPartExamined="HAND")
    starts = [film.index(b"\xff\x4f\xff\x51") + 60 for film in broken]  # of the pixels; the tags stay whole
    damaged = [film[:at].ljust(len(film) - 8, b"\0") + film[-8:] for film, at in zip(broken, starts, strict=True)]
    mixed = phantom_dicom(3)[:1]
    mixed += [retagged(film, StudyInstanceUID=study_of(mixed), PatientID="OTHER") for film in phantom_dicom(4)[:1]]
    orthanc.put(*damaged, *hand, *mixed, *good)
    lines: list[str] = []
    done = look(lines.append)
    assert done["stored"] == 1
    assert done["set aside"] >= 2
    assert set(orthanc.documents()) == {study_of(good)}
    said = "\n".join(lines)
    assert f"study {hashlib.sha256(study_of(good).encode()).hexdigest()[:16]}: described and stored" in said
    assert "set aside (other body part); " in said
    assert not [word for word in ("P0000", "P0002", "ller", study_of(good), study_of(hand), "HAND") if word in said]
    again = look(lines.append)
    assert again.get("stored", 0) == 0
    reasons = "".join(path.read_text() for path in (tmp_path / "state" / "studies").glob("*.json"))
    assert "HAND" in reasons


def test_an_archive_that_does_not_answer_is_one_sentence_before_the_model_is_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["archive", "--dicomweb", "http://127.0.0.1:9/rs", "--model", "no model", "--state", str(tmp_path / "s")]
    assert main([*words, "--once"]) == 1
    said = capsys.readouterr()
    assert "error: the archive did not answer when asked to list studies" in said.err
    assert "does it run at http://127.0.0.1:9/rs?" in said.err
    assert (
        f"studies dated yesterday or later (StudyDate; --since); what was done is kept in {tmp_path / 's'}. {NOTICE}"
        in said.out
    )


def test_an_address_beside_the_service_is_asked_after(
    orthanc: Orthanc, generator: ReportGenerator, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    exported = write(tmp_path / "model", generator)
    beside = orthanc.dicomweb.rpartition("/")[0]
    for address, status in ((beside, 400), (f"{beside}/dicomweb", 404)):
        words = ["archive", "--dicomweb", address, "--model", str(exported), "--state", str(tmp_path / "s"), "--once"]
        assert main(words) == 1
        assert f"list studies (status {status}); is --dicomweb its DICOMweb service" in capsys.readouterr().err


def test_the_command_describes_and_names_nobody(
    orthanc: Orthanc, generator: ReportGenerator, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    films = phantom_dicom(0)
    orthanc.put(*films)
    exported = write(tmp_path / "model", generator)
    words = ["archive", "--dicomweb", orthanc.dicomweb, "--model", str(exported), "--state", str(tmp_path / "s")]
    assert main([*words, "--once", "--since", "20261101", "--page"]) == 0
    assert sorted(file.Modality for file in orthanc.documents()[study_of(films)]) == ["DOC", "OT", "SR"]
    out, err = capfd.readouterr()
    assert "1 stored, 0 set aside, 0 arriving, 0 waiting, 0 known" in out
    assert not [word for word in ("P0000", "ller", *uids_of(films), study_of(films)) if word in out + err]


def test_one_look_says_what_to_do_where_it_finds_nothing_new(
    orthanc: Orthanc, generator: ReportGenerator, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    films, exported, state = phantom_dicom(0), write(tmp_path / "model", generator), tmp_path / "s"
    orthanc.put(*films)

    def told(*words: str) -> str:
        how = ["--dicomweb", orthanc.dicomweb, "--model", str(exported), "--state", str(state), *words]
        assert archive.main(how) == 0
        return capsys.readouterr().out

    out = told("--once", "--since", "20270101")
    assert "studies dated 20270101 or later (StudyDate; --since)" in out
    assert "no study of CR or DX is dated 20270101 or later; for older ones give --since" in out
    assert "--since 20000101" not in told("--once", "--since", "20261101")
    first = orthanc.documents()[study_of(films)]
    out = told("--once", "--since", "20261101")
    assert "0 stored, 0 set aside, 0 arriving, 0 waiting, 1 known" in out
    assert "remove its documents from the archive, then --again STUDY_UID" in out
    again = "--again", study_of(films)
    out = told(*again)
    assert "one study again; what was done is kept in" in out
    assert "remove them there, then give the study to --again" in out
    # What the sentence says: without its documents, the study is described anew; the films are the same, so the UIDs.
    orthanc.remove(*(document.SOPInstanceUID for document in first))
    assert "0 stored" in told("--once", "--since", "20261101")
    assert "1 stored" in told(*again)
    anew = orthanc.documents()[study_of(films)]
    assert {each.SOPInstanceUID for each in anew} == {each.SOPInstanceUID for each in first}


def test_looking_again_and_again_tells_only_what_is_new(
    orthanc: Orthanc,
    generator: ReportGenerator,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    exported = write(tmp_path / "model", generator)
    films = iter([phantom_dicom(0), (), (), ()])

    def sleep(seconds: float) -> None:
        assert seconds == 7
        try:
            orthanc.put(*next(films))
        except StopIteration:
            raise KeyboardInterrupt from None

    monkeypatch.setattr("ammrg.commands.archive.time.sleep", sleep)
    words = ["archive", "--dicomweb", orthanc.dicomweb, "--model", str(exported), "--state", str(tmp_path / "s")]
    with pytest.raises(KeyboardInterrupt):
        archive.main([*words[1:], "--every", "7", "--since", "20261101"])
    told = [line.split(" ", 2)[2] for line in capsys.readouterr().out.splitlines() if " known" in line]
    assert told == [
        "0 stored, 0 set aside, 0 arriving, 0 waiting, 0 known",  # the first look, of an empty archive
        "0 stored, 0 set aside, 1 arriving, 0 waiting, 0 known",
        "1 stored, 0 set aside, 0 arriving, 0 waiting, 0 known",
    ]


def test_an_archive_that_was_away_and_answers_again_is_told_in_a_line(
    generator: ReportGenerator, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    exported = write(tmp_path / "model", generator)
    times = iter(range(6))

    def studies(self: Archive, since: str) -> Iterator[ListedStudy]:
        if next(times) in (0, 1, 3):
            raise ArchiveError("the archive did not answer")
        return iter(())

    def sleep(seconds: float) -> None:
        if next(looks) == 5:
            raise KeyboardInterrupt

    looks = iter(range(1, 6))
    monkeypatch.setattr(Archive, "studies", studies)
    monkeypatch.setattr("ammrg.commands.archive.time.sleep", sleep)
    words = ["--dicomweb", "http://127.0.0.1:9/rs", "--model", str(exported), "--state", str(tmp_path / "s")]
    with pytest.raises(KeyboardInterrupt):
        archive.main(words)
    told = [line.split(" ", 2)[2] for line in capsys.readouterr().out.splitlines()][1:]
    assert told[0].endswith("(ConnectionError); it is asked again once the model is loaded")
    assert told[1:] == [
        "the archive did not answer; it is asked again every 60 s",
        "the archive answers again",
        "0 stored, 0 set aside, 0 arriving, 0 waiting, 0 known",
        "the archive did not answer; it is asked again every 60 s",
        "the archive answers again",
    ]


def test_sigterm_ends_the_loop_at_once_and_without_a_word(
    orthanc: Orthanc, generator: ReportGenerator, tmp_path: Path
) -> None:
    exported = write(tmp_path / "model", generator)
    words = ["--dicomweb", orthanc.dicomweb, "--model", exported, "--state", tmp_path / "s", "--every", "600"]
    process = subprocess.Popen(
        [sys.executable, "-m", "ammrg", "archive", *map(str, words)], stdout=PIPE, stderr=PIPE, text=True
    )
    try:
        assert process.stdout is not None
        for line in process.stdout:
            if " known" in line:
                break
        process.terminate()
        out, err = process.communicate(timeout=60)
    finally:
        process.kill()
    assert (process.returncode, out, err) == (-signal.SIGTERM, "", "")
    Records(tmp_path / "s").close()
    assert "Unsupported" not in (tmp_path / "orthanc.log").read_text()


def test_a_film_without_a_patient_is_described(orthanc: Orthanc, look: Look) -> None:
    film = retagged(phantom_dicom(0)[0], PatientID="", PatientName="")
    orthanc.put(film)
    assert look() == {"stored": 1}


def test_damaged_documents_in_the_outbox_are_made_again(orthanc: Orthanc, look: Look, tmp_path: Path) -> None:
    films = phantom_dicom(0)
    orthanc.put(*films)
    records = Records(tmp_path / "state")
    key = hashlib.sha256(study_of(films).encode()).hexdigest()[:16]
    records.put(key, {"report.dcm": b"torn"})
    records.close()
    assert look() == {"waiting": 1}
    assert look() == {"stored": 1}
    assert sorted(file.Modality for file in orthanc.documents()[study_of(films)]) == ["OT", "SR"]

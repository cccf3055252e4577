"""Many studies described by the command: the same reports as one by one, resumed, and none of them ends a run."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pydicom
import pytest
import torch
from matplotlib.figure import Figure
from PIL import Image

from ammrg.commands.describe import SET_ASIDE, main
from ammrg.documents.remarks import remarks
from ammrg.errors import ReadError
from ammrg.findings import FINDINGS
from ammrg.imaging.panel import draw_case
from ammrg.imaging.reading import read_film
from ammrg.inference import description_output
from ammrg.inference.case_html.writing import case_data
from ammrg.inference.describing import REPORTS
from ammrg.inference.description import Description
from ammrg.inference.description_output import print_description
from ammrg.inference.report_generator import ReportGenerator
from ammrg.studies.grouping import find_studies
from ammrg.studies.records import DicomReference, SetAside
from tests.studies.study_films import FRONT, SIDE, colour_picture, even_picture, film, picture, written


@pytest.fixture
def clinic(tmp_path: Path) -> Path:
    """Two patients, a study of pictures, and what is set aside."""
    return written(
        tmp_path / "clinic",
        a__one_dcm=film("1", "1.2.1", 1, **FRONT),
        a__two_dcm=film("1", "1.2.1", 2, **SIDE),
        a__hand_dcm=film("1", "1.2.1", 3, BodyPartExamined="HAND"),
        b__three_dcm=film("2", "1.2.2", 1, **FRONT),
        c__front_png=picture(1),
        c__side_png=picture(2),
        c__photo_png=colour_picture(),
        d__photo_png=colour_picture(),
    )


def run(exported: Path, *words: str | Path) -> int:
    return main([*map(str, words), "--model", str(exported), "--lateral", "side.png"])


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_batch_command_and_python_describe_a_study_alike(
    exported: Path, clinic: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert run(exported, clinic, "--out", out, "--json") == 0
    told = capsys.readouterr()
    printed = [json.loads(line) for line in told.out.splitlines()]
    assert len(printed) == 3
    assert sorted(printed, key=lambda line: line["folder"]) == lines(out / REPORTS)
    assert "studies: 3 described, 1 set aside, 0 failed; 3 files set aside" in told.err
    assert [line for line in told.err.splitlines() if "read as one study" in line] == [
        f"{clinic / 'c'}: its 3 films are read as one study (front.png, photo.png, side.png); if they are of several, "
        "give each study a folder of its own"
    ]
    assert {path.name for path in out.iterdir()} == {REPORTS, SET_ASIDE, *(line["folder"] for line in printed)}

    generator = ReportGenerator.from_pretrained(exported)
    found = find_studies([clinic], ["side.png"])
    described = generator.describe(found.studies)
    assert [type(each) for each in described] == [Description] * 3 + [SetAside]
    assert "photo.png: a picture in colour" in described[3].reason
    for study, line in zip(found.studies[:3], printed, strict=True):
        folder = out / line.pop("folder")
        assert folder.name == f"study-{study.identity.key}"
        assert json.loads((folder / "report.json").read_text()) == line
        assert Image.open(folder / "panel.png").size == (1400, 800)
        assert json.loads(json.dumps(generator.describe(study).as_json())) == line
    assert [each.as_json()["report"] for each in described[:3]] == [line["report"] for line in printed]

    films = [clinic / "a" / "one.dcm", clinic / "a" / "two.dcm", clinic / "a" / "hand.dcm"]
    assert main([*map(str, films), "--model", str(exported), "--out", str(tmp_path / "single")]) == 0
    single = json.loads((tmp_path / "single" / "report.json").read_text())
    assert single == printed[0]
    by_hand = generator.describe([pydicom.dcmread(films[0]), films[1].read_bytes()]).as_json()
    for field in ("report", "findings", "study"):
        assert by_hand[field] == single[field]


def test_what_a_study_s_report_json_says_of_its_films(exported: Path, clinic: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert run(exported, clinic, "--out", out) == 0
    found = next(line for line in lines(out / REPORTS) if line["study"]["uid"] == "1.2.1")
    assert [(Path(view["path"]).name, view["projection"], view["why"], view["sides"]) for view in found["views"]] == [
        ("one.dcm", "frontal", "ViewPosition is PA", ["R", "L"]),
        ("two.dcm", "lateral", "PatientOrientation is P\\F", ["A", "P"]),
    ]
    reference = DicomReference(pydicom.uid.DigitalXRayImageStorageForPresentation, "1.2.1.1.1", "1.2.1", "1.2.1.1", 1)
    assert DicomReference(**found["views"][0]["dicom"]) == reference
    assert [each["reason"][:24] for each in found["set_aside"]] == ["BodyPartExamined is HAND"]
    assert found["trained_on"]["dataset"] == "phantom"
    assert "not known" in found["distance_from_training"]["sentence"]
    assert {Path(line["path"]).parent.name for line in lines(out / SET_ASIDE)} == {"a", "c", "d"}
    assert "Family" not in "".join(path.read_text() for path in out.rglob("*.json*"))


def test_what_is_complete_is_not_described_again(
    exported: Path, clinic: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert run(exported, clinic, "--out", out, "--json") == 0
    first = capsys.readouterr().out
    index = (out / REPORTS).read_bytes()
    times = {path: path.stat().st_mtime_ns for path in out.rglob("report.json")}
    assert run(exported, clinic, "--out", out, "--json") == 0
    told = capsys.readouterr()
    assert told.out == first
    assert "studies: 3 described (3 of them before)" in told.err
    assert (out / REPORTS).read_bytes() == index
    written(clinic, b__three_dcm=film("2", "1.2.2", 5, **FRONT))  # other pixels
    assert run(exported, clinic, "--out", out) == 0
    assert "(2 of them before)" in capsys.readouterr().err
    again = {path: path.stat().st_mtime_ns for path in out.rglob("report.json")}
    assert sum(again[path] != time for path, time in times.items()) == 1
    folder = next(iter(times)).parent
    made = json.loads((folder / "report.json").read_text())["made_from"]
    assert description_output.written_before(folder, **made) is not None
    assert description_output.written_before(folder, "another", made["inputs"]) is None
    assert description_output.written_before(folder, made["model"], "others") is None
    (folder / "panel.png").unlink()
    assert description_output.written_before(folder, **made) is None


def test_a_run_that_was_stopped_is_finished_by_the_next(
    exported: Path, clinic: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out, write = tmp_path / "out", description_output.write_json

    def stopped(path: Path, value: object, mode: int) -> None:
        if len(list(out.rglob("report.json"))) == 1:
            path.with_name(".panel.png.1.partial").touch()
            raise KeyboardInterrupt
        write(path, value, mode)

    with monkeypatch.context() as patch:
        patch.setattr(description_output, "write_json", stopped)
        with pytest.raises(KeyboardInterrupt):
            run(exported, clinic, "--out", out)
    assert len(list(out.rglob("report.json"))) == 1
    assert len(list(out.rglob("panel.png"))) == 2
    assert run(exported, clinic, "--out", out) == 0
    assert "3 described (1 of them before)" in capsys.readouterr().err
    assert len(lines(out / REPORTS)) == 3
    assert not list(out.rglob(".*"))
    assert not [path for path in out.rglob("*") if path.is_file() and path.stat().st_mode & 0o077]


def test_one_study_that_fails_does_not_end_the_run(
    exported: Path, clinic: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    key = next(study.identity.key for study in find_studies([clinic]).studies if study.identity.uid == "1.2.2")
    (out / f"study-{key}").write_text("a file where the study's folder would be")
    assert run(exported, clinic, "--out", out) == 3
    told = capsys.readouterr().err
    assert "studies: 2 described, 1 set aside, 1 failed" in told
    assert f"failed {out}/study-{key}:" in told
    assert len(lines(out / REPORTS)) == 2


def test_where_no_film_can_be_described_the_status_says_so(
    exported: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    written(tmp_path / "d", photo_png=colour_picture(), hand_dcm=film("1", "1.2", 1, BodyPartExamined="HAND"))
    for paths in ([tmp_path / "d"], [tmp_path / "d" / "photo.png"]):
        assert main([*map(str, paths), "--model", str(exported), "--out", str(tmp_path / "out"), "--json"]) == 1
        told = capsys.readouterr()
        assert told.out == ""
        assert "photo.png: a picture in colour" in told.err
        assert "studies: 0 described, 1 set aside, 0 failed" in told.err
    (tmp_path / "black.png").write_bytes(even_picture(0))
    assert main([str(tmp_path / "black.png"), "--model", "gone"]) == 1
    assert "black.png: 99% of its pixels or more are of one grey" in capsys.readouterr().err
    with zipfile.ZipFile(tmp_path / "empty.zip", "w"):
        pass
    (tmp_path / "empty").mkdir()
    for path in (tmp_path / "empty.zip", tmp_path / "empty"):
        assert main([str(path), "--model", "gone"]) == 1
        assert (
            ": no films there; name films, or a folder or archive of DICOM, PNG or JPEG films"
            in capsys.readouterr().err
        )


def test_python_takes_films_in_every_form_and_lists_of_studies(model: ReportGenerator, tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(picture(1))
    grey = np.asarray(Image.open(tmp_path / "a.png"))
    forms = [tmp_path / "a.png", str(tmp_path / "a.png"), picture(1), Image.fromarray(grey), grey]
    described = model.describe([[each] for each in forms])
    assert {each.report for each in described} == {model.describe(forms[0]).report}
    assert all(each.findings == described[0].findings for each in described)
    assert [each.films for each in described] == [[str(forms[0])]] * 2 + [["film 1"]] * 3
    with pytest.raises(ReadError, match="film 1: a picture in colour"):
        model.describe(colour_picture())
    with pytest.raises(ReadError, match="of two patients"):
        model.describe([film("1", "1.2.1", 1), film("2", "1.2.1", 2)])
    with pytest.raises(ValueError, match="of one study"):
        model.describe([[grey], [grey]], lateral=[1])  # type: ignore[call-overload]


def test_each_map_is_on_the_film_that_decides(model: ReportGenerator, tmp_path: Path) -> None:
    study = [film("1", "1.2.1", number, **(FRONT if number < 3 else SIDE)) for number in (1, 2, 3)]
    described = model.describe(study)
    page = described.page
    images = model.processor([read_film(each) for each in study], [view.projection for view in described.views]).images
    logits = model.network.classifier(images).logits
    assert page.maps
    assert page.map_films == {name: int(logits[:, FINDINGS.index(name)].argmax()) for name in page.maps}
    assert [each.name for each in page.films] == ["frontal", "frontal", "lateral"]
    assert [each.sides for each in page.films] == [("R", "L"), ("R", "L"), ("A", "P")]
    drawn: list[Figure] = []
    save = Figure.savefig
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Figure, "savefig", lambda figure, *a, **b: (drawn.append(figure), save(figure, *a, **b)))
        draw_case(page, tmp_path / "panel.png")
    pictures = [axes for axes in drawn[0].axes if axes.images]
    assert len(pictures) == 3 + min(3, len(page.maps))
    assert [text.get_text() for text in pictures[0].texts] == ["R", "L"]
    assert [text.get_text() for text in pictures[2].texts] == ["A", "P"]
    first = next(iter(page.maps))
    assert pictures[3].get_title(loc="left").endswith(f"film {page.map_films[first] + 1}")


def test_a_network_of_frontal_films_says_which_it_does_not_read(model: ReportGenerator) -> None:
    frontal = model._replace(processor=model.processor._replace(views="frontal"))
    described = frontal.describe([film("1", "1.2.1", 1, **FRONT), film("1", "1.2.1", 2, **SIDE)])
    assert [view.is_read for view in described.views] == [True, False]
    assert len(described.page.films) == 1


def test_films_have_their_numbers_in_the_study_also_where_one_is_not_read(
    model: ReportGenerator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    frontal = model._replace(processor=model.processor._replace(views="frontal"))
    mirrored = film("1", "1.2.1", 2, ViewPosition="PA", PatientOrientation=["R", "F"])
    both = frontal.describe([film("1", "1.2.1", 1, **SIDE), mirrored])
    assert [view.projection for view in both.views] == ["lateral", "frontal"]
    assert [line for line in both.warnings if line.startswith("WARNING: film 2: PatientOrientation is ")]
    assert [each["number"] for each in case_data(both)["films"]] == [2]
    drawn: list[Figure] = []
    save = Figure.savefig
    monkeypatch.setattr(Figure, "savefig", lambda figure, *a, **b: (drawn.append(figure), save(figure, *a, **b)))
    draw_case(both.page, tmp_path / "panel.png")
    titles = [axes.get_title(loc="left") for axes in drawn[0].axes if axes.images]
    assert titles[0] == "film 2, frontal"
    assert all(title.endswith(", film 2") for title in titles[1:])
    alone = frontal.describe([mirrored])
    assert [line for line in alone.warnings if line.startswith("WARNING: this film: ")]
    assert case_data(alone)["films"][0]["number"] == 0


@pytest.mark.parametrize("views", ["all", "frontal"])
def test_a_study_without_a_frontal_film_is_warned_of(
    model: ReportGenerator, views: Literal["all", "frontal"], tmp_path: Path
) -> None:
    reader = model._replace(processor=model.processor._replace(views=views))
    alone = reader.describe([film("1", "1.2.1", 1, **SIDE)])
    (said,) = (line for line in alone.warnings if "no frontal film" in line)
    assert said.startswith("WARNING: no frontal film: the report is of a lateral film alone")
    assert ("trained on frontal ones" in said) == (views == "frontal")
    assert said in alone.page.notes
    assert said in set(remarks(alone))
    data = case_data(alone)
    assert said in data["warnings"]
    assert said not in data["notes"]
    assert not [line for line in reader.describe([film("1", "1.2.1", 2, **FRONT)]).warnings if "frontal" in line]


def test_a_film_that_is_far_from_training_is_among_the_warnings(
    model: ReportGenerator, capsys: pytest.CaptureFixture[str]
) -> None:
    class Far:
        validation_films = 120

        def __call__(self, films: Any, tokens: Any, grid: Any) -> Any:
            return torch.full((len(films),), 3.2)

    far = model._replace(distance=Far()).describe([film("1", "1.2.1", 1, **FRONT)])  # type: ignore[arg-type]
    said = far.distance.sentence
    assert (
        far.as_json()["warnings"].count(said) == list(far.page.notes).count(said) == list(remarks(far)).count(said) == 1
    )
    assert said not in case_data(far)["notes"]
    assert far.background == [far.trained_on]
    print_description(far)
    assert " ".join(capsys.readouterr().out.split()).count(said) == 1

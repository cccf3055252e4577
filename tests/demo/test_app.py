"""The routes of the page: what it is told, what it may send, and who may ask."""

from __future__ import annotations

import io
import re
import shutil
import zlib
from pathlib import Path

import numpy as np
import pydicom
import pytest
from PIL import Image
from starlette.testclient import TestClient

from ammrg.demo.desk import LIMITS
from ammrg.demo.examples import example_cards, example_folders
from ammrg.errors import ReadError
from ammrg.notice import NOTICE
from ammrg.service.scratch import Scratch
from tests.dicom_films import dicom_film
from tests.service.uploads import Sent, archive, files, one, study
from tests.studies.study_films import FRONT, colour_picture, even_picture, film, pixels


def huge() -> bytes:
    """A PNG whose header claims 30,000 x 30,000 pixels."""
    file = io.BytesIO()
    Image.fromarray(np.zeros((8, 8), np.uint8)).save(file, "PNG")
    data = bytearray(file.getvalue())
    data[16:24] = (30_000).to_bytes(4, "big") * 2
    data[29:33] = zlib.crc32(bytes(data[12:29])).to_bytes(4, "big")
    return bytes(data)


def without_pixels() -> bytes:
    tags = pydicom.dcmread(io.BytesIO(film("1", "1.2.1", 1, **FRONT)))
    del tags.PixelData
    file = io.BytesIO()
    tags.save_as(file)
    return file.getvalue()


def test_the_page_is_told_what_it_shows(client: TestClient) -> None:
    page = client.get("/")
    assert page.status_code == 200
    for name in ("page.css", "page.js", "dom.js", "films.js", "report.js", "cards.js", "service.js"):
        assert client.get(f"/page/{name}").status_code == 200, name
    facts = client.get("/facts").json()
    assert facts["notice"] == NOTICE
    assert facts["trained_on"] == "trained on drawn films: the phantom, and no film of a patient"
    assert facts["has_memories"]
    assert [each["title"] for each in facts["examples"]] == ["Two films", "Other"]
    assert facts["examples_note"] == "made up"


def test_nothing_on_the_page_comes_from_elsewhere(client: TestClient) -> None:
    page = client.get("/")
    assert "default-src 'none'" in page.headers["content-security-policy"]
    folder = Path(__file__).parents[2] / "ammrg" / "demo" / "page"
    for path in folder.iterdir():
        text = path.read_text().replace("http://www.w3.org/2000/svg", "")
        assert "http://" not in text, path
        assert "https://" not in text, path
        assert "innerHTML" not in text, path


@pytest.mark.parametrize(
    "path", ["/config", "/gradio_api/upload", "/gradio_api/file=/etc/passwd", "/monitoring", "/docs", "/openapi.json"]
)
def test_gradio_s_other_routes_are_closed(client: TestClient, path: str) -> None:
    for answer in (client.get(path), client.post(path)):
        assert (answer.status_code, answer.text) == (404, "no such page")


def test_only_this_machine_and_this_page_are_answered(client: TestClient) -> None:
    assert client.get("/facts", headers={"Host": "evil.example:7860"}).status_code == 403
    assert client.post("/examples/0", headers={"Sec-Fetch-Site": "cross-site"}).status_code == 403
    assert client.post("/examples/0", headers={"Origin": "http://evil.example"}).status_code == 403
    assert client.get("/", headers={"Host": "localhost:7860", "Sec-Fetch-Site": "none"}).status_code == 200


@pytest.mark.parametrize("sent", [study(), one(), [("files", ("study.zip", archive(study())))]])
def test_a_study_is_read_from_films_and_archives_and_nothing_is_left(
    client: TestClient, scratch: Scratch, sent: Sent
) -> None:
    answer = client.post("/studies", files=sent)
    assert answer.status_code == 200
    assert len(answer.json()["films"]) == (1 if sent[0][1][0] == "front.png" else 2)
    assert [path.name for path in scratch.own.iterdir()] == ["lock"]


BAD = {
    "a text named .png": (files(letter_png=b"Dear colleague, " * 9), r"letter.png: .* whatever its name says"),
    "30,000 x 30,000": (files(wide_png=huge()), r"wide.png: .*more than the 64,000,000 pixels a film may have"),
    "no pixels": (files(a_dcm=without_pixels()), r"a.dcm: .*(P|p)ixel"),
    "a hand": (files(a_dcm=dicom_film(pixels(1), BodyPartExamined="HAND")), r"a.dcm: .*BodyPartExamined is HAND"),
    "a colour photo": (files(photo_png=colour_picture()), r"photo.png: a picture in colour"),
    "a black picture": (files(black_png=even_picture(0)), r"black.png: .*a picture without contrast"),
    "two patients, one study": (
        files(a_dcm=film("1", "1.2.1", 1, **FRONT), b_dcm=film("2", "1.2.1", 2, **FRONT)),
        r"^[^:]*: a.dcm, b.dcm: its study is of two patients: PatientID differs between a.dcm and b.dcm; [^;]*$",
    ),
    "two patients, two studies": (
        files(a_dcm=film("1", "1.2.1", 1, **FRONT), b_dcm=film("2", "1.2.2", 1, **FRONT)),
        r"holds 2 studies; send each by itself",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_one_sentence(client: TestClient, scratch: Scratch, name: str) -> None:
    sent, said = BAD[name]
    answer = client.post("/studies", files=sent)
    assert answer.status_code in (413, 422)
    assert re.search(said, answer.json()["error"])
    assert "\n" not in answer.json()["error"]
    assert answer.json()["notice"] == NOTICE
    assert [path.name for path in scratch.own.iterdir()] == ["lock"]


def test_200_mb_are_refused_before_they_are_read(client: TestClient) -> None:
    assert LIMITS.upload_bytes < 200_000_000
    headers = {"Content-Type": "multipart/form-data; boundary=x", "Content-Length": "200000000"}
    answer = client.post("/studies", content=b"--x", headers=headers)
    assert answer.status_code == 413
    assert "more than the 134,217,728 bytes" in answer.json()["error"]


def test_a_download_that_is_not_there_is_a_sentence(client: TestClient) -> None:
    key = client.post("/examples/0").json()["case"]
    for path, said in ((f"/cases/{key}/report.json", "load it again"), (f"/cases/{key}/x", "report.pdf")):
        answer = client.get(path)
        assert answer.status_code == 404
        assert said in answer.json()["error"]
    assert client.post("/examples/7").status_code == 404


def test_examples_are_folders_with_films(examples: list[Path], tmp_path: Path) -> None:
    assert example_folders(None) == []
    assert example_folders(examples[0].parent) == examples
    for folder, said in ((tmp_path / "gone", "no such folder"), (tmp_path, "holds no folder")):
        with pytest.raises(ReadError, match=said):
            example_folders(folder)
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / "a.png").write_bytes(b"text")
    with pytest.raises(ReadError, match=r"a\.png"):
        example_cards([tmp_path / "x"])


def test_hidden_files_are_no_examples(examples: list[Path], tmp_path: Path) -> None:
    (tmp_path / ".cache").mkdir()
    (tmp_path / ".cache" / "a.png").write_bytes(b"text")
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / ".DS_Store").write_bytes(b"text")
    shutil.copytree(examples[0], tmp_path / "x")
    (tmp_path / "x" / ".DS_Store").write_bytes(b"text")
    assert example_folders(tmp_path) == [tmp_path / "x"]
    assert [card["films"] for card in example_cards([tmp_path / "x"])] == [2]

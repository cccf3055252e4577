"""Studies described by the service: the same reports as by the command, or a refusal in one sentence."""

from __future__ import annotations

import json
import zipfile
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from starlette.testclient import TestClient

from ammrg.commands.describe import main
from ammrg.inference.report_generator import ReportGenerator
from ammrg.notice import NOTICE
from ammrg.studies.grouping import find_studies
from tests.service.conftest import Start
from tests.service.uploads import Sent, archive, files, one, study
from tests.studies.study_films import FRONT, SIDE, colour_picture, even_picture, film, picture
from tests.tiny_export import with_curve


def near(value: Any) -> Any:
    """The same value, with floats that are equal up to rounding."""
    if isinstance(value, dict):
        # an influence is a difference of log-likelihoods, which are sums over all tokens of a report
        influence = {key: pytest.approx(value[key], abs=1e-4) for key in ("influence",) if value.get(key) is not None}
        return {key: near(each) for key, each in value.items()} | influence
    if isinstance(value, list):
        return [near(each) for each in value]
    return pytest.approx(value, abs=1e-5) if isinstance(value, float) else value


def leftovers(folder: Path) -> list[Path]:
    """What requests left in the scratch."""
    return [path for path in folder.rglob("*") if path.is_file() and path.name != "lock"]


def test_command_python_and_service_describe_a_study_alike(
    client: TestClient, model: ReportGenerator, exported: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent = [*study(), *files(hand_dcm=film("1", "1.2.1", 3, BodyPartExamined="HAND"))]
    monkeypatch.chdir(tmp_path)
    names = [name for _, (name, data) in sent if Path(name).write_bytes(data)]
    words = ["--model", str(exported), "--out", "out", "--indication", "Cough."]
    assert main([*names, *words]) == 0
    command = json.loads(Path("out/report.json").read_text())
    (found,) = find_studies(names).studies
    python = model.describe(found, indication="Cough.").as_json()
    answer = client.post("/v1/studies", files=sent, data={"indication": "Cough."})
    assert answer.status_code == 200
    service = answer.json()
    assert service.pop("schema_version") == 1
    assert service == near(command)
    assert json.loads(json.dumps(python)) == near(command)
    assert [each["path"] for each in service["set_aside"]] == ["hand.dcm"]
    assert service["made_from"]["model"] == model.fingerprint
    assert leftovers(tmp_path / "scratch") == []


def test_an_operating_point_is_read_as_by_python(start: Start, model: ReportGenerator) -> None:
    turnable = with_curve(model)
    client = start(model=turnable)
    for setting in ("sensitive", "balanced", "0.9", ""):
        answer = client.post("/v1/studies", files=one(), data={"operating_point": setting})
        assert answer.status_code == 200
        named = one()[0][1][1]
        python = turnable.describe(named, operating_point=setting or "balanced").as_json()
        found = answer.json()
        for field in ("report", "thresholds", "operating_point", "made_from", "places"):
            assert found[field] == near(python[field])
    assert found["operating_point"] == {"setting": 0.5, "sentence": ""}


def test_an_archive_of_one_study_gives_the_report_of_its_films(client: TestClient, tmp_path: Path) -> None:
    alone = client.post("/v1/studies", files=study()).json()
    packed = client.post("/v1/studies", files=[("files", ("a.zip", archive(study(), notes=b"nothing")))]).json()
    assert packed["films"] == ["a.zip/study/one.dcm", "a.zip/study/two.dcm"]
    assert packed["study"] == alone["study"]
    assert packed["made_from"] == alone["made_from"]
    assert packed["report"] == alone["report"]
    assert packed["findings"] == near(alone["findings"])
    assert leftovers(tmp_path / "scratch") == []


def test_lateral_films_are_named_by_name_or_number(client: TestClient) -> None:
    sent = files(a_png=picture(1), b_png=picture(2))
    for lateral in ("b.png", "2"):
        found = client.post("/v1/studies", files=sent, data={"lateral": lateral}).json()
        assert [view["projection"] for view in found["views"]] == ["frontal", "lateral"]
        assert not [line for line in found["warnings"] if "no frontal film" in line]
    alone = client.post("/v1/studies", files=files(b_png=picture(2)), data={"lateral": "1"}).json()
    assert [line for line in alone["warnings"] if "no frontal film" in line]
    front = files(b_dcm=film("1", "1.2.1", 1, **FRONT))
    turned = client.post("/v1/studies", files=front, data={"lateral": "b.dcm"}).json()
    assert turned["views"][0]["projection"] == "lateral"
    assert "WARNING: this film: named as lateral, but ViewPosition is PA." in turned["warnings"]
    back = client.post("/v1/studies", files=files(b_dcm=film("1", "1.2.1", 1, **SIDE)), data={"frontal": "1"}).json()
    assert back["views"][0]["projection"] == "frontal"
    answer = client.post("/v1/studies", files=sent, data={"lateral": ["2", "c.png"]})
    assert answer.status_code == 422
    assert answer.json()["error"].startswith("lateral c.png: names none of the films")


RAISED = "whoever runs the service can raise this limit: ammrg serve"


def huge_zip() -> Sent:
    return files(a_zip=archive(one(), zeros=bytes(3_000_000)))


def big_picture() -> bytes:
    file = BytesIO()
    Image.fromarray(np.zeros((600, 600), np.uint8)).save(file, "PNG")
    return file.getvalue()


def damaged_zip() -> bytes:
    return archive(one())[:-30]


@pytest.mark.parametrize(
    ("sent", "status", "words"),
    [
        (files(a_txt=b"no film"), 422, "no chest film that can be read: a.txt: cannot be decoded"),
        (files(a_png=b""), 422, "a.png: the file is empty"),
        (files(a_png=colour_picture()), 422, "a.png: a picture in colour"),
        (files(a_png=even_picture(0)), 422, "a.png: 99% of its pixels or more are of one grey"),
        (files(a_dcm=film("1", "1.2.1", 1), b_dcm=film("2", "1.2.2", 1)), 422, "holds 2 studies; send each"),
        (files(a_dcm=film("1", "1.2.1", 1), b_dcm=film("2", "1.2.1", 2)), 422, "of two patients"),
        (files(a_zip=archive(one()), b_png=picture(2)), 422, "2 files, and one is a zip archive"),
        (files(a_zip=damaged_zip()), 422, "a.zip: cannot be opened as a zip archive"),
        (
            files(a_png=big_picture()),
            413,
            f"360,000 pixels together, more than the 200,000 that are read; {RAISED} --pixels",
        ),
        (huge_zip(), 413, f"more than the 2,000,000 that are read; {RAISED} --unpacked-mib"),
        (
            files(a_zip=archive(one(), **{f"{n}": b"x" for n in range(6)})),
            413,
            f"an archive of more than the 5 files that are read; {RAISED} --files",
        ),
        (files(a_zip=archive(one(), **{f"{n}": b"x" for n in range(60)})), 413, "an archive of more than the 5 files"),
        (
            [each for seed in range(6) for each in one(seed)],
            413,
            f"more than the 5 files that are read; {RAISED} --files",
        ),
        (
            files(a_png=bytes(1_200_000)),
            413,
            f"the upload has more than the 1,000,000 bytes that are read; {RAISED} --upload-mib",
        ),
        (
            [("films", ("a.png", picture(1)))],
            422,
            "unknown field 'films'; send films as files (curl -F files=@film.dcm)",
        ),
        ([("lateral", ("a.png", picture(1)))], 422, "lateral is a text"),
        ([("lateral", (None, b"1"))], 422, "the upload has no file"),
        ([*one(), ("indication", (None, b"a")), ("indication", (None, b"b"))], 422, "indication is given 2 times"),
        ([*one(), ("operating_point", (None, b"2"))], 422, "operating point: found '2', must be sensitive, balanced, "),
        ([*one(), ("operating_point", (None, b"nan"))], 422, "a number from 0 (most sensitive) to 1"),
        ([*one(), ("operating_point", (None, b"x" * 9000))], 422, "must be sensitive, balanced, specific"),
        ([*one(), *[("operating_point", (None, b"0.5"))] * 2], 422, "operating_point is given 2 times"),
        ([*one(), ("operating_point", (None, b"0.4"))], 422, "this model has no operating curve"),
        ([*one(), ("indication", (None, b"\xff"))], 422, "indication is not UTF-8"),
        ([*one(), ("indication", (None, b"x" * 20_000))], 413, "texts and names have more than the 16,384 bytes"),
    ],
)
def test_what_cannot_be_described_is_refused_in_a_sentence(
    start: Start, tmp_path: Path, sent: Sent, status: int, words: str
) -> None:
    client = start(upload_bytes=1_000_000, files=5, unpacked_bytes=2_000_000, pixels=200_000)
    answer = client.post("/v1/studies", files=sent)
    assert (answer.status_code, list(answer.json())) == (status, ["error", "notice"])
    assert words in answer.json()["error"]
    assert "\n" not in answer.json()["error"]
    assert str(tmp_path) not in answer.text
    assert leftovers(tmp_path / "scratch") == []
    assert client.post("/v1/studies", files=one()).status_code == 200


@pytest.mark.parametrize(
    ("kind", "body", "status"),
    [
        ("application/json", b"{}", 415),
        ("", b"", 415),
        ("multipart/form-data", b"", 400),
        ("multipart/form-data; boundary=x", b"", 400),
        ("multipart/form-data; boundary=x", b"--x\r\nno header\r\n", 400),
        ("multipart/form-data; boundary=x", b'--x\r\nContent-Disposition: form-data; name="files"\r\n\r\nabc', 400),
    ],
)
def test_a_body_that_is_no_upload_is_refused(client: TestClient, kind: str, body: bytes, status: int) -> None:
    answer = client.post("/v1/studies", content=body, headers={"Content-Type": kind})
    assert answer.status_code == status
    assert answer.json()["notice"] == NOTICE


def test_an_upload_without_a_length_is_cut_off_at_the_limit(start: Start) -> None:
    client, taken = start(upload_bytes=100_000), []

    def body() -> Any:
        yield b'--x\r\nContent-Disposition: form-data; name="files"; filename="a"\r\n\r\n'
        for _ in range(1000):
            taken.append(1)
            yield bytes(10_000)

    answer = client.post("/v1/studies", content=body(), headers={"Content-Type": "multipart/form-data; boundary=x"})
    assert answer.status_code == 413


def test_a_name_leads_nowhere(client: TestClient, tmp_path: Path) -> None:
    for name in ("../../up.png", "/etc/abs.png", "..\\..\\up.png", "..", "a\0b.png", "x" * 500 + ".png"):
        answer = client.post("/v1/studies", files=[("files", (name, picture(1)))])
        assert answer.status_code == 200, answer.text
        (path,) = answer.json()["films"]
        assert "/" not in path
    hostile = BytesIO()
    with zipfile.ZipFile(hostile, "w") as packed:
        packed.writestr("../../up.png", picture(1))
        packed.writestr("in.png", picture(1))
    found = client.post("/v1/studies", files=files(a_zip=hostile.getvalue())).json()
    assert found["films"] == ["a.zip/in.png"]
    assert not list(tmp_path.rglob("up.png"))


def test_the_other_answers(client: TestClient, model: ReportGenerator) -> None:
    for path in ("/healthz", "/readyz", "/version", "/model"):
        answer = client.get(path)
        assert (answer.status_code, answer.json()["notice"]) == (200, NOTICE)
    told = client.get("/model").json()
    assert (told["fingerprint"], told["dataset"], told["card"]) == (model.fingerprint, "phantom", "# A card")
    for method, path, status in (("GET", "/v1/nothing", 404), ("GET", "/v1/studies", 405), ("DELETE", "/model", 405)):
        answer = client.request(method, path)
        assert (answer.status_code, answer.json()["notice"]) == (status, NOTICE)
    assert client.get("/v1/studies").headers["allow"] == "POST"
    assert "there is no such path; there are /v1/studies, /healthz" in client.get("/").json()["error"]
    assert NOTICE in client.get("/openapi.json").json()["info"]["description"]


def test_what_is_counted_names_nobody(client: TestClient) -> None:
    sent = files(
        family_dcm=film("7", "1.2.7", 1, **FRONT),
        again_dcm=film("7", "1.2.7", 1, **FRONT),
        hand_dcm=film("7", "1.2.7", 3, BodyPartExamined="HAND"),
        note_txt=b"Family7",
        ct_dcm=film("7", "1.2.7", 4, Modality="CT"),
        photo_png=colour_picture(),
    )
    assert client.post("/v1/studies?patient=Family7", files=sent, data={"indication": "Family7"}).status_code == 200
    client.get("/Family7?Family7")
    text = client.get("/metrics").text
    for reason in ("same_image", "other_body_part", "no_film", "other_modality", "colour"):
        assert f'ammrg_set_aside_total{{reason="{reason}"}} 1.0' in text
    assert 'ammrg_requests_total{route="/v1/studies",status="200"} 1.0' in text
    assert 'ammrg_requests_total{route="other",status="404"} 1.0' in text
    assert "ammrg_batch_studies_count 1.0" in text
    assert "ammrg_queue_studies 0.0" in text
    assert 'ammrg_request_seconds_count{route="/v1/studies"} 1.0' in text
    assert not [word for word in ("Family7", "family.dcm", "1.2.7", "HAND") if word in text]

"""The benchmark of odd pictures on a tiny stage 1: its rows are what the network itself says of each film."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from lightning import seed_everything

from ammrg.imaging.reading import read_film
from ammrg.imaging.transforms import eval_transform
from benchmarks import unlike_films
from benchmarks._odd_pictures import KINDS
from callbacks.provenance import Provenance
from datamodules.phantom import PhantomDataModule
from experiments.data.preparation import prepare
from lightning_modules.disease_classification import DiseaseClassification
from lightning_modules.stage1_checkpoint import load_stage1
from tests.quiet_trainer import quiet_trainer
from tests.tiny_encoder import ENCODER


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with prepared ``data``, ``other`` data, and ``best.ckpt``."""
    folder = tmp_path_factory.mktemp("trained")
    for name, seed in (("data", 0), ("other", 1)):
        studies = {"train": 32, "val": 20, "test": 10}
        prepare("phantom", None, folder / name, size=64, workers=1, studies=studies, seed=seed)
    seed_everything(0)
    qformer = {"width": 16, "layers": 1, "heads": 2}
    module = DiseaseClassification(encoder=ENCODER, qformer=qformer, bootstrap=5, warmup_steps=1)
    trainer = quiet_trainer(folder, max_epochs=1, callbacks=[Provenance()])
    trainer.fit(module, datamodule=PhantomDataModule(str(folder / "data"), image_size=32, batch_size=8, num_workers=0))
    trainer.save_checkpoint(folder / "best.ckpt")
    return folder


def measured(folder: Path, capsys: pytest.CaptureFixture[str], *words: str) -> dict[str, Any]:
    assert unlike_films.main([str(folder / "best.ckpt"), "--data", str(folder / "data"), *words]) == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out.splitlines()[-1])
    return found


def test_each_kind_is_counted_and_agrees_with_the_network(
    trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    generator = np.random.default_rng(0)
    (tmp_path / "below").mkdir()
    for name in ("a.png", "below/b.png"):
        cv2.imwrite(str(tmp_path / name), generator.integers(0, 256, (90, 70), dtype=np.uint8))
    (tmp_path / "notes.txt").write_text("no film")
    result = measured(trained, capsys, "--others", str(tmp_path))
    rows = {row["kind"]: row for row in result["cases"]}
    assert list(rows) == [
        "own test films",
        *(f"own, {change}" for change in ("inverted", "turned by 90 degrees", "turned by 180 degrees", "mirrored")),
        *("noise", "smooth noise", "grey gradient", "flat grey", "photo-like", "hand", "skull", "knee"),
        tmp_path.name,
    ]
    assert rows["own test films"]["films"] == rows["own, mirrored"]["films"] == 10
    assert (rows[tmp_path.name]["films"], rows[tmp_path.name]["unreadable"]) == (2, 1)
    assert rows["noise"]["beyond"] == 1
    assert result["targets"]["own test films within 1"]["value"] == 1 - rows["own test films"]["beyond"]

    stage1 = load_stage1(trained / "best.ckpt")
    assert stage1.distance is not None
    own = PhantomDataModule(str(trained / "data"), image_size=32, num_workers=0).typical_films("test", 10)
    files = [eval_transform(32)(read_film(tmp_path / name)) for name in ("a.png", "below/b.png")]
    for kind, films in (
        ("own test films", own),
        ("own, inverted", 255 - own),
        ("own, turned by 180 degrees", own.flip(2, 3)),
        ("own, mirrored", own.flip(3)),
        (tmp_path.name, torch.from_numpy(np.stack(files)[:, None])),
    ):
        with torch.no_grad():
            found = stage1.distance(films, *stage1.classifier.encoder(films))
        assert rows[kind]["beyond"] == pytest.approx(float((found > 1).float().mean()))
        assert rows[kind]["least"] == pytest.approx(float(found.min()), rel=1e-4)
        assert rows[kind]["median"] == pytest.approx(float(found.median()), rel=1e-4)


def test_most_bounds_what_is_read(trained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    result = measured(trained, capsys, "--most", "4")
    assert [row["films"] for row in result["cases"][:5]] == [4] * 5


def test_what_cannot_be_measured_is_one_sentence(trained: Path, tmp_path: Path) -> None:
    kept = torch.load(trained / "best.ckpt", weights_only=True)
    torch.save({**kept, "film_distance": None}, tmp_path / "old.ckpt")
    best, data = str(trained / "best.ckpt"), str(trained / "data")
    with pytest.raises(SystemExit, match=r"^error: .*old.ckpt: has no distance of films .* train stage 1 again$"):
        unlike_films.main([str(tmp_path / "old.ckpt"), "--data", data])
    with pytest.raises(SystemExit, match=r"^error: .*best.ckpt: was trained on other data than .*other"):
        unlike_films.main([best, "--data", str(trained / "other")])
    with pytest.raises(SystemExit, match=r"^error: --others .*absent: no such folder"):
        unlike_films.main([best, "--data", data, "--others", str(tmp_path / "absent")])
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts" / "notes.txt").write_text("no film")
    with pytest.raises(SystemExit, match="no file in it can be read as a film"):
        unlike_films.main([best, "--data", data, "--others", str(tmp_path / "texts")])


@pytest.mark.parametrize("kind", KINDS)
def test_odd_pictures_are_drawn_alike_from_the_same_seed(kind: str) -> None:
    one, again, other = (KINDS[kind](np.random.default_rng(seed), 48) for seed in (0, 0, 1))
    assert one.dtype == np.uint8
    assert one.ndim == 2
    assert np.array_equal(one, again)
    assert not np.array_equal(one, other)
    assert kind == "flat grey" or np.ptp(one) > 100

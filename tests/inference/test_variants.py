"""One study described in other ways (word by word, without memories, mirrored), and the maps of all findings."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from ammrg.findings import FINDINGS
from ammrg.imaging.map_picture import drawn_findings
from ammrg.inference.description import MIRRORED
from ammrg.inference.report_generator import ReportGenerator
from ammrg.studies.decoding import decode_study
from ammrg.studies.grouping import study_of
from ammrg.studies.in_memory import film_source


def film(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (60, 48), np.uint8)


def test_without_memories_nothing_is_recalled_and_the_findings_stay(model: ReportGenerator) -> None:
    own, off = model.describe(film(0)), model.describe(film(0), memories=False)
    assert own.memories
    assert own.regions
    assert own.reports
    assert not off.memories
    assert not any((off.regions, off.reports, off.recalled, off.memory.reasons, off.memory.similar))
    assert "switched off" in off.memory.sentence
    assert off.findings == own.findings
    assert off.report == model.network.generate(model.processor([film(0)], study_id=own.study.key), "off")[0].text
    assert (own.as_json()["memories"], off.as_json()["memories"]) == ("on", "off")


def test_mirrored_films_are_described_as_films_that_were_flipped_before(model: ReportGenerator) -> None:
    own, mirrored = model.describe(film(0)), model.describe(film(0), mirrored=True)
    flipped = model.describe(np.ascontiguousarray(film(0)[:, ::-1]))
    assert torch.equal(torch.from_numpy(mirrored.page.films[0].pixels), torch.from_numpy(flipped.page.films[0].pixels))
    assert list(mirrored.findings.values()) == pytest.approx(list(flipped.findings.values()), abs=1e-5)
    assert mirrored.findings != own.findings
    assert mirrored.report == flipped.report
    assert mirrored.inputs != own.inputs
    assert mirrored.warnings[0] == MIRRORED
    assert MIRRORED not in own.warnings
    assert (own.as_json()["films_mirrored"], mirrored.as_json()["films_mirrored"]) == (False, True)
    prepared = model.prepare(decode_study(study_of([film_source(film(0), 1)])))
    twice = prepared.mirrored().mirrored()
    assert torch.equal(twice.batch.images, prepared.batch.images)
    assert not twice.is_mirrored


def test_the_report_comes_word_by_word_and_is_the_same(model: ReportGenerator) -> None:
    beams = model.network.decoding.pop("num_beams")
    try:
        seen: list[str] = []
        found = model.describe(film(1), on_text=seen.append)
        assert seen[-1] == found.report == model.describe(film(1)).report
        assert len(seen) > 1
    finally:
        model.network.decoding["num_beams"] = beams
    seen.clear()
    assert model.describe(film(1), on_text=seen.append).report == seen[0]
    assert len(seen) == 1


def test_how_is_for_one_study(model: ReportGenerator) -> None:
    for how in ({"memories": False}, {"mirrored": True}, {"on_text": print}):
        with pytest.raises(ValueError, match="of one study"):
            model.describe([[film(0)], [film(1)]], **how)  # type: ignore[call-overload]


def test_each_finding_has_its_map_on_the_film_that_decides_it(model: ReportGenerator) -> None:
    found = model.describe([film(0), film(1)], lateral=[2])
    assert tuple(found.maps) == FINDINGS
    seen = model.network.see(model.processor([film(0), film(1)], ["frontal", "lateral"]).images)
    assert [each.film for each in found.maps.values()] == seen.logits.argmax(0).tolist()
    for name in drawn_findings(found.page):
        assert found.page.map_films[name] == found.maps[name].film
        assert np.array_equal(found.page.maps[name], found.maps[name].heat)
    assert {each.film for each in found.maps.values()} == {0, 1}

"""The numbers of a mining, counted by hand on three films."""

from __future__ import annotations

import pytest
import torch

from ammrg.memory.bank import BankMeta, MemoryBank
from ammrg.memory.mining_report import mining_report
from ammrg.memory.regions import MinedFilm, Region
from ammrg.types import Box

HEART, EDEMA, FRACTURE = 1, 4, 11


def region(finding: int, token: list[float], x: float = 0.1) -> Region:
    return Region(finding, (x, 0.1, x + 0.2, 0.3), 0.9, torch.tensor(token))


FILMS = [
    MinedFilm(
        "a", "p", 0, [region(HEART, [1.0, 0, 0, 0]), region(EDEMA, [0, 1.0, 0, 0])], (HEART, EDEMA), (HEART, EDEMA)
    ),
    MinedFilm(
        "a",
        "p",
        1,
        [region(HEART, [0, 0, 1.0, 0], 0.7)],
        (HEART, EDEMA),
        (HEART,),
        (Box(1, HEART, 0.1, 0.1, 0.3, 0.3),),
    ),
    MinedFilm(
        "b", "q", 0, [region(HEART, [2.0, 0, 0, 0])], (HEART, FRACTURE), (HEART,), (Box(0, HEART, 0.1, 0.1, 0.3, 0.3),)
    ),
    MinedFilm("c", "r", 0, [], (), ()),
]


def bank_of(*rows: tuple[MinedFilm, Region]) -> MemoryBank:
    """The two queries (rows without an owner), then the given regions."""
    n = len(rows) + 2
    return MemoryBank(
        patterns=torch.cat([torch.randn(2, 4), torch.stack([r.token for _, r in rows])]),
        study_ids=((), (), *((film.study_id,) for film, _ in rows)),
        subject_ids=((), (), *((film.subject_id,) for film, _ in rows)),
        findings=torch.tensor([HEART, EDEMA, *(r.finding for _, r in rows)]),
        boxes=torch.tensor([[float("nan")] * 4] * 2 + [list(r.box) for _, r in rows]),
        views=torch.tensor([-1, -1, *(film.view for film, _ in rows)]),
        texts=("",) * n,
        scores=torch.ones(n),
        meta=BankMeta(
            kind="regions",
            encoder_fingerprint="e",
            data_fingerprint="d",
            split="train",
            seed=0,
            selection="coreset",
            restricted=False,
        ),
    )


def test_counts_coverage_distance_and_place() -> None:
    bank = bank_of((FILMS[1], FILMS[1].regions[0]), (FILMS[2], FILMS[2].regions[0]))
    report = mining_report(FILMS, bank)
    assert (report["films"], report["studies"], report["mined_regions"], report["stored_regions"]) == (4, 3, 4, 2)
    heart = report["findings"]["Cardiomegaly"]
    assert (heart["positive_studies"], heart["positive_films"], heart["predicted_films"]) == (2, 3, 3)
    assert (heart["mined_studies"], heart["mined_regions"], heart["coverage"]) == (2, 3, 1.0)
    assert (heart["stored_studies"], heart["stored_regions"]) == (2, 2)
    assert heart["flat_films"] == 0
    flat = [FILMS[0]._replace(flat=(1,)), *FILMS[1:]]
    assert mining_report(flat, bank)["findings"]["Cardiomegaly"]["flat_films"] == 1
    # [1 0 0 0] and [2 0 0 0] are one after the layer norm; [0 0 1 0] is stored itself
    assert heart["farthest"] == pytest.approx(0.0, abs=1e-3)
    assert heart["on_known_place"] == 0.5  # at 0.8 beside the box, at 0.2 in it
    edema = report["findings"]["Edema"]
    assert (edema["mined_regions"], edema["stored_regions"], edema["coverage"]) == (1, 0, 1.0)
    assert edema["farthest"] is edema["on_known_place"] is None
    fracture = report["findings"]["Fracture"]
    assert (fracture["positive_studies"], fracture["coverage"], fracture["mined_regions"]) == (1, 0.0, 0)
    assert report["findings"]["Pneumothorax"]["coverage"] is None  # no film shows it
    assert "No Finding" not in report["findings"]
    assert report["macro"]["coverage"] == pytest.approx((1 + 1 + 0) / 3)
    assert report["macro"]["on_known_place"] == 0.5


def test_distance_to_the_nearest_stored_region() -> None:
    film = FILMS[0]
    far = [region(HEART, token) for token in ([1.0, 0, 0, 0], [0, 0, 0, 1.0], [-1.0, 0, 0, 0])]
    films = [film._replace(regions=far)]
    heart = mining_report(films, bank_of((film, far[0])))["findings"]["Cardiomegaly"]
    # layer-normed one-hots of width 4 are sqrt(8/3 * 4 / 2)... by hand: two entries differ by 4/sqrt(3) each
    between = (2 * (4 / 3**0.5) ** 2) ** 0.5 / 2
    opposite = 2.0  # the same pattern with its sign turned: twice its norm, sqrt(4), over sqrt(4)
    assert heart["farthest"] == pytest.approx(opposite, abs=1e-3)
    assert heart["mean_distance"] == pytest.approx((0 + between + opposite) / 3, abs=1e-3)


def test_a_centre_on_the_widened_edge_of_a_known_place_is_on_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ammrg.memory.mining_report.TOLERANCE", 0.125)  # sums of eighths are exact in float32
    place = Box(0, HEART, 0.375, 0.375, 0.625, 0.625)
    for on_place, edges in ((1.0, (0.25, 0.75)), (0.0, (0.249, 0.751))):
        for edge in edges:
            for x, y in ((edge, 0.5), (0.5, edge)):
                mined = region(HEART, [1.0, 0, 0, 0])._replace(box=(x, y, x, y))
                film = FILMS[2]._replace(regions=[mined], boxes=(place,))
                heart = mining_report([film], bank_of((film, mined)))["findings"]["Cardiomegaly"]
                assert heart["on_known_place"] == on_place, (x, y)


def test_no_finding_is_listed_where_it_was_mined() -> None:
    films = [FILMS[3]._replace(regions=[region(13, [1.0, 0, 0, 0])])]
    report = mining_report(films, bank_of((films[0], films[0].regions[0])))
    assert report["findings"]["No Finding"]["stored_regions"] == 1

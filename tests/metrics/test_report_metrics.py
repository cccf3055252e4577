"""Scores of reports gathered over processes: those of one process, to the last digit."""

from __future__ import annotations

import contextlib
import io
import json
import random
from pathlib import Path

import pytest
import torch.distributed as distributed
import torch.multiprocessing as multiprocessing
from pycocoevalcap.bleu.bleu import Bleu
from pycocoevalcap.cider.cider import Cider
from pycocoevalcap.rouge.rouge import Rouge

from ammrg.errors import ScoringError
from ammrg.metrics.clinical import clinical_scores
from ammrg.metrics.language import language_scores
from ammrg.metrics.report_metrics import ClinicalMetric, LanguageMetric
from ammrg.text.cleaning import normalise
from ammrg.text.labeler import label

SENTENCES = (
    "Small left pleural effusion.",
    "No pleural effusion – or pneumothorax.",
    "Mild cardiomegaly.",
    "The heart is normal in size.",
    "Pneumonia is possible.",
    "Ein Erguß, 1.5 cm.",
    "",
)
Rows = list[tuple[str, str, str]]


def studies(count: int) -> Rows:
    draw = random.Random(3)
    texts = [[" ".join(draw.choices(SENTENCES, k=5)) for _ in range(count)] for _ in range(2)]
    return [(f"s{draw.random()}", reference or "Clear.", said) for reference, said in zip(*texts, strict=True)]


def feed(metric: LanguageMetric | ClinicalMetric, rows: Rows, batch: int) -> dict[str, float]:
    for start in range(0, len(rows), batch):
        ids, references, generated = (list(column) for column in zip(*rows[start : start + batch], strict=True))
        metric.update(ids, references, generated)
    return metric.compute()


def test_one_process_gives_the_plain_functions() -> None:
    rows = sorted(studies(40))
    references, generated = [row[1] for row in rows], [row[2] for row in rows]
    words = [[normalise(text) for text in column] for column in (references, generated)]
    assert feed(LanguageMetric(), rows, 7) == language_scores(*words)
    labels = [[label(text) for text in column] for column in (references, generated)]
    assert feed(ClinicalMetric(), rows, 9) == clinical_scores(*labels)


def test_order_and_repeats_do_not_matter() -> None:
    rows = studies(30)
    other = rows[::-1] + [(study, "Other.", "Other.") for study, *_ in rows[4:6]]
    assert feed(LanguageMetric(), rows, 4) == feed(LanguageMetric(), other, 11)


def test_reset_forgets() -> None:
    metric = LanguageMetric()
    metric.update(["a"], ["clear lungs"], ["clear lungs"])
    metric.reset()
    with pytest.raises(ScoringError, match="no reports"):
        metric.compute()


def test_unequal_numbers_are_refused() -> None:
    with pytest.raises(ScoringError, match="2 study ids, 1 references and 1 generated"):
        LanguageMetric().update(["a", "b"], ["x"], ["x"])


def coco(rows: Rows) -> dict[str, float]:
    """The public scorers on the whole corpus."""
    golds = {study: [normalise(reference)] for study, reference, _ in rows}
    said = {study: [normalise(text)] for study, _, text in rows}
    with contextlib.redirect_stdout(io.StringIO()):
        bleu, _ = Bleu(4).compute_score(golds, said)
    scores = {f"bleu_{k + 1}": float(value) for k, value in enumerate(bleu)}
    return scores | {
        "rouge_l": float(Rouge().compute_score(golds, said)[0]),
        "cider": float(Cider().compute_score(golds, said)[0]),
    }


COUNT, SHARES = 501, (326, 0)


def _rank(rank: int, store: str, out: str) -> None:
    distributed.init_process_group("gloo", init_method=f"file://{store}", rank=rank, world_size=2)
    rows, scores = studies(COUNT), []
    for share in SHARES:
        # One study stands on both, as samplers pad; with a share of 0 the first process has none.
        own = rows[:share] if rank == 0 else rows[max(0, share - 1) :]
        scores.append([feed(metric, own, 8) for metric in (LanguageMetric(), ClinicalMetric())])
    Path(f"{out}{rank}").write_text(json.dumps(scores))
    distributed.destroy_process_group()


def test_two_processes_with_uneven_shares_give_the_numbers_of_one(tmp_path: Path) -> None:
    multiprocessing.spawn(_rank, args=(str(tmp_path / "store"), str(tmp_path / "out")), nprocs=2)
    first, second = (json.loads((tmp_path / f"out{rank}").read_text()) for rank in (0, 1))
    rows = studies(COUNT)
    expected = [feed(metric, rows, 8) for metric in (LanguageMetric(), ClinicalMetric())]
    assert first == second == [expected] * len(SHARES)
    assert expected[0] == pytest.approx(coco(rows), abs=1e-9)

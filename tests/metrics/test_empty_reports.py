"""An empty report scores 0 in every metric, and white space scores nothing, under every protocol."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from tokenizers import Tokenizer, decoders, models, pre_tokenizers

from ammrg.metrics.protocols import SCORED, Protocol, protocol
from ammrg.metrics.report_metrics import ClinicalMetric, LanguageMetric

REPORTS = (
    "Heart size is normal. There is a small left pleural effusion. No pneumothorax.",
    "1. The heart is enlarged. 2. Mild edema at T11. No effusion: see above.",
    "The lungs are clear. No consolidation, effusion, or pneumothorax is seen.",
)
EMPTY = ("", " \n", ".", "---", "nan", "None", "N/A", "\u200b", "___")
SPACES = ("\n", "\t", "  ", "\u00a0", "\r\n", " \n\n ", "\u2003")


@pytest.fixture(params=[(name, dataset) for name in SCORED for dataset in ("iu_xray", "mimic_cxr")])
def found(request: pytest.FixtureRequest, tmp_path: Path) -> Protocol:
    name, dataset = request.param
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    made = Tokenizer(models.BPE(vocab={character: i for i, character in enumerate(sorted(alphabet))}, merges=[]))
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    made.save(str(tmp_path / "tokenizer.json"))
    return protocol(name, dataset, tokenizer=tmp_path)


def language(found: Protocol, generated: list[str]) -> dict[str, float]:
    """Scores of one report each, read as the protocol reads them."""
    metric = LanguageMetric()
    metric.view = str
    references = [found.reference(text) for text in REPORTS]
    metric.update([str(i) for i in range(len(REPORTS))], references, [found.hypothesis(text) for text in generated])
    return metric.compute()


@pytest.mark.parametrize("text", EMPTY)
def test_an_empty_report_scores_nothing(found: Protocol, text: str) -> None:
    assert found.reference(text) == found.hypothesis(text) == ""
    assert {name: pytest.approx(0, abs=1e-6) for name in ("rouge_l", "cider", "bleu_1", "bleu_4")}.items() <= dict(
        language(found, [text] * len(REPORTS))
    ).items()


def test_white_space_is_a_space(found: Protocol) -> None:
    rng = random.Random(0)
    spaced = ["".join(rng.choice(SPACES) if letter == " " else letter for letter in text) for text in REPORTS]
    assert [found.reference(text) for text in spaced] == [found.reference(text) for text in REPORTS]
    assert [found.hypothesis(f"\n{text}\t") for text in spaced] == [found.hypothesis(text) for text in REPORTS]


def test_clinical_scores_read_no_white_space_either() -> None:
    scores = []
    for space in (" ", *SPACES):
        metric = ClinicalMetric()
        generated = [text.replace(" ", space) for text in REPORTS[::-1]]
        metric.update([str(i) for i in range(len(REPORTS))], list(REPORTS), generated)
        scores.append(metric.compute())
    assert all(each == scores[0] for each in scores)


def test_a_report_that_says_nothing_is_not_normal() -> None:
    metric = ClinicalMetric()
    metric.update(["0"], ["The lungs are clear."], ["nan"])
    assert metric.compute()["clinical_micro_f1_14_neg"] == 0

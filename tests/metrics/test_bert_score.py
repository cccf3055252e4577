"""BERTScore against its definition, by hand from hidden states; the encoder is tiny and random."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from transformers import BertConfig, BertModel, BertTokenizer

from ammrg.errors import ScoringError
from ammrg.metrics.bert_score import BertScorer

WORDS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "no", "effusion", "heart", "large", "clear", "the", "lungs")
REFERENCES = ["no effusion", "the heart large", "clear lungs the", "no", "large"]
HYPOTHESES = ["no effusion", "the lungs clear clear clear heart", "no", "the lungs", " "]


@pytest.fixture
def encoder(tmp_path: Path) -> Path:
    return write_encoder(tmp_path)


def write_encoder(folder: Path, positions: int = 512) -> Path:
    torch.manual_seed(0)
    (folder / "vocab.txt").write_text("\n".join(WORDS) + "\n")
    BertTokenizer(str(folder / "vocab.txt")).save_pretrained(folder)
    config = BertConfig(
        vocab_size=len(WORDS),
        hidden_size=16,
        num_hidden_layers=3,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=positions,
    )
    BertModel(config).eval().save_pretrained(folder)
    return folder


def by_hand(encoder: Path, reference: str, hypothesis: str, layer: int) -> list[float]:
    model = BertModel.from_pretrained(encoder).eval()

    def states(text: str) -> torch.Tensor:
        ids = torch.tensor([[2, *(WORDS.index(word) for word in text.split()), 3]])
        with torch.no_grad():
            hidden = model(ids, output_hidden_states=True).hidden_states[layer][0, 1:-1]
        return torch.nn.functional.normalize(hidden, dim=-1)

    alike = states(hypothesis) @ states(reference).T
    precision, recall = alike.max(dim=1).values.mean().item(), alike.max(dim=0).values.mean().item()
    return [precision, recall, 2 * precision * recall / (precision + recall)]


@pytest.mark.parametrize("layer", [2, None])
def test_each_pair_by_hand_in_its_own_place(encoder: Path, layer: int | None) -> None:
    found = BertScorer(str(encoder), layer).per_study(REFERENCES, HYPOTHESES)
    for i, (reference, hypothesis) in enumerate(zip(REFERENCES, HYPOTHESES, strict=True)):
        expected = by_hand(encoder, reference, hypothesis, layer or 3) if hypothesis.strip() else [0.0] * 3
        for part, value in zip(("precision", "recall", "f1"), expected, strict=True):
            assert found[f"bertscore_{part}"][i] == pytest.approx(value, abs=1e-5), (i, part)


def test_a_long_text_is_cut_to_the_encoders_positions(tmp_path: Path) -> None:
    encoder = write_encoder(tmp_path, positions=10)  # two of them are kept free, as RoBERTa needs, two mark the ends
    text = "no effusion heart large clear the"
    expected = by_hand(encoder, text, "the lungs", 3)
    found = BertScorer(str(encoder)).per_study([f"{text} lungs lungs no lungs lungs"], ["the lungs"])
    assert [found[f"bertscore_{part}"][0] for part in ("precision", "recall", "f1")] == pytest.approx(
        expected, abs=1e-5
    )


def test_lists_of_two_lengths_are_refused(encoder: Path) -> None:
    with pytest.raises(ValueError, match="shorter"):
        BertScorer(str(encoder)).per_study(REFERENCES, HYPOTHESES[:-1])


def test_the_name_tells_other_weights_apart(encoder: Path) -> None:
    names = {BertScorer(str(encoder)).name, BertScorer(str(encoder)).name}
    torch.manual_seed(1)
    BertModel(BertConfig.from_pretrained(encoder)).save_pretrained(encoder)
    assert len(names) == 1
    assert BertScorer(str(encoder)).name not in names


def test_encoders_and_layers_that_are_not_there_are_refused(encoder: Path, tmp_path: Path) -> None:
    with pytest.raises(ScoringError, match="no encoder"):
        BertScorer(str(tmp_path / "nowhere"))
    with pytest.raises(ScoringError, match=r"layer 4 of .* layers 1 to 3"):
        BertScorer(str(encoder), 4)

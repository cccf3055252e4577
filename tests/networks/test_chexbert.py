"""CheXbert's module on weights of the published layout, tiny and random."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import BertConfig, BertModel, BertTokenizer

from ammrg.errors import CheckpointError
from ammrg.findings import FINDINGS
from ammrg.metrics.clinical import clinical_scores
from ammrg.networks.chexbert import WEIGHTS, load_chexbert
from experiments.__main__ import main

WORDS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "no", "effusion", "heart", "large", "clear", ".", "the")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder as one gets it: BERT's files, and weights saved from data-parallel training by an older transformers."""
    (tmp_path / "vocab.txt").write_text("\n".join(WORDS) + "\n")
    BertTokenizer(str(tmp_path / "vocab.txt")).save_pretrained(tmp_path)
    config = BertConfig(
        vocab_size=len(WORDS), hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32
    )
    config.save_pretrained(tmp_path)
    torch.save({"epoch": 3, "model_state_dict": published(config)}, tmp_path / WEIGHTS)
    return tmp_path


def published(config: BertConfig) -> dict[str, torch.Tensor]:
    torch.manual_seed(0)
    state = {f"module.bert.{name}": value for name, value in BertModel(config).state_dict().items()}
    state["module.bert.embeddings.position_ids"] = torch.arange(512)[None]
    for i in range(14):
        head = torch.nn.Linear(16, 2 if i == 13 else 4)
        state |= {f"module.linear_heads.{i}.{name}": value.detach() * 3 for name, value in head.state_dict().items()}
    return state


def by_hand(folder: Path, text: str) -> list[float]:
    """One text through a plain BertModel and the heads, no padding."""
    config = BertConfig.from_pretrained(folder)
    state = torch.load(folder / WEIGHTS, weights_only=True)["model_state_dict"]
    bert = BertModel(config).eval()
    bert.load_state_dict(
        {k.removeprefix("module.bert."): v for k, v in state.items() if "bert." in k and "position_ids" not in k}
    )
    ids = torch.tensor([[2, *(WORDS.index(word) for word in text.lower().replace(".", " .").split()), 3]])
    with torch.no_grad():
        cls = bert(ids).last_hidden_state[0, 0]
    scores = [
        state[f"module.linear_heads.{i}.weight"] @ cls + state[f"module.linear_heads.{i}.bias"] for i in range(14)
    ]
    return [(math.nan, 1.0, 0.0, -1.0)[int(score.argmax())] for score in scores]


def same(first: list[float], second: list[float]) -> bool:
    return all(a == b or (math.isnan(a) and math.isnan(b)) for a, b in zip(first, second, strict=True))


def test_labels_are_those_of_bert_and_its_heads(folder: Path) -> None:
    labeler = load_chexbert(str(folder), device="cpu")
    texts = ["No effusion.", "The heart\nis large .".replace("is ", ""), "", "clear clear clear no no heart effusion ."]
    found = labeler.label_all(texts)
    assert [len(row) for row in found] == [len(FINDINGS)] * 4
    for text, row in zip(texts, found, strict=True):
        assert same(row, by_hand(folder, text) if text else [math.nan] * 14)
    assert len({str(row) for row in found}) > 1
    assert set().union(*(row[:13] for row in found)) & {1.0, 0.0, -1.0}
    assert labeler.name.startswith("CheXbert (")


def test_texts_longer_than_the_network_are_cut(folder: Path) -> None:
    labeler = load_chexbert(str(folder), device="cpu")
    assert same(*labeler.label_all(["no effusion " * 600, "no effusion " * 255]))


def broken(folder: Path, content: Any) -> Path:
    torch.save(content, folder / WEIGHTS)
    return folder


def test_other_files_are_refused(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="not CheXbert's weights"):
        load_chexbert(str(broken(folder, {"state_dict": {}})))
    with pytest.raises(CheckpointError, match="does not fit CheXbert"):
        load_chexbert(str(broken(folder, {"model_state_dict": {"bert.x": torch.zeros(1)}})))
    (folder / WEIGHTS).unlink()
    with pytest.raises(CheckpointError, match=r"no chexbert\.pth"):
        load_chexbert(str(folder))
    with pytest.raises(CheckpointError, match="neither a folder"):
        load_chexbert(str(tmp_path / "nowhere"))


def test_weights_that_would_run_code_are_refused(folder: Path) -> None:
    """A pickle that calls a function when it is read is not read."""

    class Runs:
        def __reduce__(self) -> tuple[Any, ...]:
            return (Path.touch, (folder / "ran",))

    torch.save({"model_state_dict": {"a": Runs()}}, folder / WEIGHTS)
    with pytest.raises(CheckpointError, match="not CheXbert's weights"):
        load_chexbert(str(folder))
    assert not (folder / "ran").exists()


def test_bert_files_that_are_missing_are_named(folder: Path) -> None:
    (folder / "config.json").unlink()
    with pytest.raises(CheckpointError, match=r"no config.json; put google-bert/bert-base-uncased's files there"):
        load_chexbert(str(folder))


def test_the_score_command_labels_with_it_and_says_so(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [("s1", "no effusion.", "heart large."), ("s2", "clear.", "clear."), ("s3", "the heart large.", "no.")]
    path = folder / "reports.csv"
    path.write_text("study_id,reference,generated\n" + "".join(",".join(row) + "\n" for row in rows))
    words = ["--chexbert", str(folder), "--protocol", "full", "--bootstrap", "20", "--no-meteor", "--no-page"]
    assert main(["score", str(path), *words]) == 0
    scores = json.loads((folder / "scores.json").read_text())
    labeler = load_chexbert(str(folder))
    assert scores["meta"]["labeler"] == labeler.name
    assert labeler.name in capsys.readouterr().out
    expected = clinical_scores(*(labeler.label_all([row[side] for row in rows]) for side in (1, 2)))
    for key, value in expected.items():
        assert scores["full"][key]["value"] == pytest.approx(value)

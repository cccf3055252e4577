from __future__ import annotations

from pathlib import Path

import pytest
from tokenizers import Tokenizer, decoders, models, pre_tokenizers

from ammrg.errors import ScoringError
from ammrg.metrics.protocols import DEFAULT, protocol


def test_full_keeps_the_whole_text() -> None:
    full = protocol("full", "iu_xray")
    text = "Word. " * 200
    assert len(full.reference(text).split()) == 400
    assert full.hypothesis("A 1.5 cm Nodule.") == "a 1.5 cm nodule ."


@pytest.mark.parametrize(
    ("dataset", "words"), [("iu_xray", 59), ("phantom", 59), ("mimic_cxr", 99), ("chexpert_plus", 99)]
)
def test_r2gen_cuts_the_reference_alone(dataset: str, words: int) -> None:
    found = protocol("r2gen", dataset)
    text = "word " * 200
    assert len(found.reference(text).split()) == words
    assert len(found.hypothesis(text).split()) == 201


@pytest.mark.parametrize(
    ("dataset", "fewest"), [("iu_xray", 3), ("phantom", 3), ("mimic_cxr", 10), ("chexpert_plus", 10)]
)
def test_r2gen_vocabulary_thresholds_the_reference_alone(dataset: str, fewest: int) -> None:
    found = protocol("r2gen", dataset, train_texts=["Lungs clear."] * fewest + ["Rare mass."] * (fewest - 1))
    assert found.reference("Lungs clear. Rare mass.") == "lungs clear . <unk> <unk> ."
    assert found.hypothesis("Lungs clear. Rare mass.") == "lungs clear . rare mass ."
    assert found.settings["vocabulary"] == 3


def test_the_default_protocols_need_only_the_texts() -> None:
    assert [protocol(name, "iu_xray").name for name in DEFAULT] == ["full", "r2gen"]


def test_unknown_names_are_refused() -> None:
    with pytest.raises(ScoringError, match="rouge"):
        protocol("rouge", "iu_xray")
    with pytest.raises(ScoringError, match="padchest"):
        protocol("r2gen", "padchest")


@pytest.fixture
def tokenizer(tmp_path: Path) -> Path:
    """A byte-level tokenizer without merges: one sub-token a character."""
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    made = Tokenizer(models.BPE(vocab={character: i for i, character in enumerate(sorted(alphabet))}, merges=[]))
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    made.save(str(tmp_path / "tokenizer.json"))
    return tmp_path


@pytest.mark.parametrize("dataset", ["iu_xray", "mimic_cxr"])
def test_r2gengpt_cuts_the_reference_at_a_sub_token_even_within_a_word(tokenizer: Path, dataset: str) -> None:
    found = protocol("r2gengpt", dataset, tokenizer=tokenizer)
    kept = {"iu_xray": 60, "mimic_cxr": 100}[dataset]
    text = "Lungs are clear bilaterally. " * 9
    # "lungs are clear bilaterally . " has 30 characters: two and, for MIMIC, another third of it fit.
    assert found.reference(text) == ("lungs are clear bilaterally . " * 9)[:kept].strip()
    assert found.reference(text).endswith({"iu_xray": "bilaterally .", "mimic_cxr": "lungs are"}[dataset])
    assert found.hypothesis(text).count("bilaterally") == 9
    assert found.settings["subtokens"] == kept


def test_r2gengpt_keeps_colon_and_hyphen_of_mimic(tokenizer: Path) -> None:
    text = "Size: 3-cm <5 @ apex. Clear (both)."
    views = {name: protocol("r2gengpt", name, tokenizer=tokenizer) for name in ("iu_xray", "mimic_cxr")}
    assert views["iu_xray"].hypothesis(text) == "size 3-cm 5 apex . clear both ."
    assert views["mimic_cxr"].hypothesis(text) == "size : 3-cm <5 @ apex . clear both ."
    assert views["mimic_cxr"].reference(text) == "size : 3-cm <5 @ apex . clear both ."


def test_r2gengpt_needs_a_tokenizer(tmp_path: Path) -> None:
    with pytest.raises(ScoringError, match="--tokenizer"):
        protocol("r2gengpt", "iu_xray")
    with pytest.raises(ScoringError, match="no such tokenizer"):
        protocol("r2gengpt", "iu_xray", tokenizer=tmp_path)
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(ScoringError, match="not a tokenizer"):
        protocol("r2gengpt", "iu_xray", tokenizer=tmp_path)


def test_rexrank_is_no_view_of_texts() -> None:
    with pytest.raises(ScoringError, match="rexrank"):
        protocol("rexrank", "iu_xray")


def test_r2gen_by_hand() -> None:
    """A report of 61 words: the reference keeps 59 of them, the stop of the last sentence is cut too."""
    text = "No effusion. " * 20 + "Heart big."  # 20 x "no effusion ." and "heart big ."
    found = protocol("r2gen", "iu_xray")
    assert found.reference(text) == " ".join((["no", "effusion", "."] * 20)[:59])
    assert found.hypothesis(text) == " ".join(["no", "effusion", "."] * 20 + ["heart", "big", "."])

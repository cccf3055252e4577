"""TextEncoder over a tiny random BERT and Llama, saved as ordinary folders."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import (
    AutoModel,
    BertConfig,
    BertForMaskedLM,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedTokenizerFast,
    T5Config,
    T5EncoderModel,
)

from ammrg.errors import SettingsError
from ammrg.networks.text_encoder import TextEncoder

CORPUS = [
    "The heart is normal in size. The lungs are clear.",
    "No pneumothorax or pleural effusion.",
    "There is a small left pleural effusion with adjacent atelectasis.",
    "Cardiomegaly. Mild interstitial edema.",
] * 5
TEXTS = ["Clear.", "", "The heart is enlarged; there is a small pleural effusion on the left side.", "No edema."]


def _bpe(special: list[str]) -> Tokenizer:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=400, special_tokens=special, initial_alphabet=alphabet)
    tokenizer.train_from_iterator(CORPUS, trainer)
    return tokenizer


@pytest.fixture(scope="module")
def bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bert")
    tokenizer = _bpe(["[PAD]", "[CLS]", "[SEP]", "[UNK]"])
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 1), ("[SEP]", 2)]
    )
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="[PAD]", cls_token="[CLS]", sep_token="[SEP]", unk_token="[UNK]"
    ).save_pretrained(folder)
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=400,
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=48,
    )
    BertForMaskedLM(config).save_pretrained(folder)  # as published clinical BERTs are: without a pooler
    return folder


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("llama")
    tokenizer = _bpe(["<s>", "</s>"])
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>").save_pretrained(folder)
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=400,
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        intermediate_size=32,
        max_position_embeddings=64,
        bos_token_id=0,
        eos_token_id=1,
    )
    LlamaForCausalLM(config).to(torch.bfloat16).save_pretrained(folder)
    return folder


@pytest.mark.parametrize("pooling", ["cls", "mean"])
def test_bert_equals_one_text_at_a_time_without_padding(bert: Path, pooling: str) -> None:
    encoder = TextEncoder(str(bert), pooling=pooling, batch_size=3)  # type: ignore[arg-type]
    vectors = encoder.encode(TEXTS)
    assert vectors.shape == (4, encoder.width)
    model = AutoModel.from_pretrained(bert, dtype=torch.float32).eval()
    tokenizer = PreTrainedTokenizerFast.from_pretrained(bert)
    for text, vector in zip(TEXTS, vectors, strict=True):
        with torch.no_grad():
            hidden = model(**tokenizer(text, return_tensors="pt")).last_hidden_state[0]
        torch.testing.assert_close(vector, hidden[0] if pooling == "cls" else hidden.mean(0), rtol=1e-5, atol=1e-5)


def test_a_causal_model_without_a_padding_token_is_pooled_over_its_text_alone(llama: Path) -> None:
    encoder = TextEncoder(str(llama), pooling="mean", batch_size=4)
    assert encoder.tokenizer.pad_token_id is None
    vectors = encoder.encode(TEXTS)
    assert vectors.dtype == torch.float32
    assert next(encoder.model.parameters()).dtype == torch.float32, "stored in bfloat16, run in float32"
    for text, vector in zip(TEXTS, vectors, strict=True):
        torch.testing.assert_close(encoder.encode([text])[0], vector, rtol=1e-4, atol=1e-5)
    assert vectors.isfinite().all()
    assert not torch.allclose(vectors[0], vectors[2], atol=1e-3)


def test_order_is_kept_and_nothing_is_nothing(bert: Path) -> None:
    encoder = TextEncoder(str(bert), batch_size=2)
    texts = [f"{'edema ' * (i * 7 % 5)}clear {i}" for i in range(9)]
    vectors = encoder.encode(texts)
    backwards = encoder.encode(texts[::-1]).flip(0)
    torch.testing.assert_close(vectors, backwards, rtol=1e-4, atol=1e-5)
    assert len(vectors.unique(dim=0)) == 9
    assert encoder.encode([]).shape == (0, 16)


def test_long_texts_are_cut_to_what_the_model_has_positions_for(bert: Path) -> None:
    encoder = TextEncoder(str(bert), max_tokens=4096)
    assert encoder.max_tokens == 48
    assert encoder.encode(["effusion " * 500]).isfinite().all()
    short = TextEncoder(str(bert), max_tokens=6)
    same_start = short.encode(["No pneumothorax or pleural effusion.", "No pneumothorax or pleural edema, clear."])
    assert len(short._ids("No pneumothorax or pleural effusion.")) == 6
    torch.testing.assert_close(same_start[0], same_start[1])


def test_is_frozen_and_stays_in_evaluation_mode(bert: Path) -> None:
    encoder = TextEncoder(str(bert))
    torch.nn.Sequential(encoder).train()
    assert not encoder.model.training
    assert not any(parameter.requires_grad for parameter in encoder.parameters())
    first = encoder.encode(TEXTS)
    assert not first.requires_grad
    assert torch.equal(first, encoder.encode(TEXTS))


def test_fingerprint_is_of_content(bert: Path, llama: Path, tmp_path: Path) -> None:
    shutil.copytree(bert, tmp_path / "copy")
    encoder, copy = TextEncoder(str(bert)), TextEncoder(str(tmp_path / "copy"))
    copy.encode(TEXTS)  # leaves no trace in the tokenizer's part
    assert encoder.fingerprint == copy.fingerprint
    assert TextEncoder(str(bert)).fingerprint == encoder.fingerprint, "no random pooler in it"
    others = {
        encoder.fingerprint,
        TextEncoder(str(bert), pooling="mean").fingerprint,
        TextEncoder(str(bert), max_tokens=9).fingerprint,
        TextEncoder(str(llama), pooling="mean").fingerprint,
    }
    weights = load_file(tmp_path / "copy" / "model.safetensors")
    weights["bert.encoder.layer.1.output.dense.bias"][0] += 1
    save_file(weights, tmp_path / "copy" / "model.safetensors", metadata={"format": "pt"})
    others.add(TextEncoder(str(tmp_path / "copy")).fingerprint)
    assert len(others) == 5


def test_cls_of_a_causal_model_is_refused(llama: Path) -> None:
    with pytest.raises(SettingsError, match=r"no \[CLS\] token.*set pooling to 'mean'"):
        TextEncoder(str(llama), pooling="cls")


def test_a_folder_without_a_tokenizer_is_refused(bert: Path, tmp_path: Path) -> None:
    shutil.copytree(bert, tmp_path / "bare")
    for file in (tmp_path / "bare").glob("*token*"):
        file.unlink()
    with pytest.raises(SettingsError, match=r"bare'.*no usable tokenizer"):
        TextEncoder(str(tmp_path / "bare"))
    for file in bert.glob("*token*"):
        shutil.copy(file, tmp_path / "bare")
    large = json.loads((tmp_path / "bare" / "tokenizer.json").read_text())
    large["model"]["vocab"]["zzzz"] = 400
    (tmp_path / "bare" / "tokenizer.json").write_text(json.dumps(large))
    with pytest.raises(SettingsError, match="tokens, but the model has 400"):
        TextEncoder(str(tmp_path / "bare"))


def test_a_folder_without_a_model_or_with_half_of_one_is_refused(bert: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(SettingsError, match=r"empty'.*no model found"):
        TextEncoder(str(tmp_path / "empty"))
    shutil.copytree(bert, tmp_path / "half")
    weights = load_file(tmp_path / "half" / "model.safetensors")
    kept = {name: tensor for name, tensor in weights.items() if "layer.1" not in name}
    save_file(kept, tmp_path / "half" / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(SettingsError, match=r"half'.*weights are missing .*would be random"):
        TextEncoder(str(tmp_path / "half"))
    config = json.loads((tmp_path / "half" / "config.json").read_text())
    (tmp_path / "half" / "model.safetensors").write_bytes(b"not weights")
    with pytest.raises(SettingsError, match="no model found"):
        TextEncoder(str(tmp_path / "half"))
    assert config["model_type"] == "bert"


def test_an_encoder_decoder_and_bad_settings_are_refused(bert: Path, tmp_path: Path) -> None:
    config = T5Config(vocab_size=400, d_model=16, d_kv=8, d_ff=32, num_layers=1, num_heads=2)
    T5EncoderModel(config).save_pretrained(tmp_path)
    for file in bert.glob("*token*"):
        shutil.copy(file, tmp_path)
    with pytest.raises(SettingsError):
        TextEncoder(str(tmp_path))
    with pytest.raises(SettingsError, match="pooling must be"):
        TextEncoder(str(bert), pooling="max")  # type: ignore[arg-type]
    with pytest.raises(SettingsError, match="max_tokens"):
        TextEncoder(str(bert), max_tokens=0)


def test_weights_of_a_deeper_encoder_or_another_shape_are_refused(tmp_path: Path) -> None:
    """A config.json with fewer layers than there are weights would encode with half a network in silence."""
    from transformers import BertConfig, BertForMaskedLM

    config = BertConfig(vocab_size=99, hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=64)
    BertForMaskedLM(config).save_pretrained(tmp_path)
    said = json.loads((tmp_path / "config.json").read_text())
    for change, message in (
        ({"num_hidden_layers": 1}, r"16 of its weights have no place in BertModel \(bert\.encoder\.layer\.1\."),
        ({"intermediate_size": 48}, r"another shape \(encoder\.layer\.0.*, expected \[48"),
    ):
        (tmp_path / "config.json").write_text(json.dumps({**said, **change}))
        with pytest.raises(SettingsError, match=message):
            TextEncoder(str(tmp_path))

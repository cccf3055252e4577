from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from ammrg.errors import SettingsError
from ammrg.networks.disease_qformer import DiseaseQFormer


def build(positions: bool = True) -> DiseaseQFormer:
    torch.manual_seed(0)
    return DiseaseQFormer(
        12, width=16, layers=2, heads=2, cross_attention_every=1, dropout=0.0, positions=positions
    ).eval()


def test_shapes_and_attention_sums_to_one() -> None:
    output = build()(torch.randn(3, 6, 12), (2, 3), output_attentions=True)
    assert output.queries.shape == (3, 14, 16)
    assert output.projected_tokens.shape == (3, 6, 16)
    assert output.attentions.shape == (3, 14, 6)
    torch.testing.assert_close(output.attentions.sum(-1), torch.ones(3, 14))
    assert build()(torch.randn(3, 4, 12)).attentions is None


def test_cross_attention_by_hand() -> None:
    """The recorded attention is softmax(q k / sqrt(d)) of the cross-attention, not of the self-attention."""
    model = build()
    model.qformer.encoder.layer = model.qformer.encoder.layer[:1]
    model.qformer.config.num_hidden_layers = 1
    output = model(torch.randn(1, 6, 12), (2, 3), output_attentions=True)
    layer = model.qformer.encoder.layer[0]
    states = layer.attention(model.qformer.layernorm(model.disease_queries)[None])
    cross = layer.crossattention.attention
    query, key = (
        x.view(x.shape[1], 2, 8).transpose(0, 1) for x in (cross.query(states), cross.key(output.projected_tokens))
    )
    expected = (query @ key.mT / 8**0.5).softmax(-1).mean(0)
    torch.testing.assert_close(output.attentions[0], expected)


def test_positions_tell_tokens_apart() -> None:
    tokens = torch.randn(1, 6, 12)
    order = torch.tensor([3, 0, 5, 1, 4, 2])
    for positions in (True, False):
        model = build(positions)
        same = torch.allclose(model(tokens, (2, 3)).queries, model(tokens[:, order], (2, 3)).queries, atol=1e-6)
        assert same is not positions
        assert model(tokens, (2, 3)).projected_tokens.shape == (1, 6, 16)


def test_films_are_independent_and_queries_differ() -> None:
    model = build()
    tokens = torch.randn(3, 6, 12)
    queries = model(tokens, (2, 3)).queries
    torch.testing.assert_close(queries[1:2], model(tokens[1:2], (2, 3)).queries)
    assert queries[0].std(0).max() > 1e-3


def test_heads_must_divide_width() -> None:
    with pytest.raises(SettingsError, match=r"width \(16\) must be divisible by heads \(3\)"):
        DiseaseQFormer(12, width=16, layers=1, heads=3)


SIZES: dict[str, Any] = {"width": 16, "layers": 2, "heads": 2, "cross_attention_every": 2, "intermediate": 24}


def save_blip2(folder: Path, whole: bool = False, **changes: Any) -> Any:
    """A random BLIP-2 Q-Former (or a whole BLIP-2 around it) as a local folder."""
    from transformers import Blip2Config, Blip2ForConditionalGeneration, Blip2QFormerConfig, Blip2QFormerModel

    fields = {
        "hidden_size": 16,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "intermediate_size": 24,
        "cross_attention_frequency": 2,
        "encoder_hidden_size": 16,
        **changes,
    }
    torch.manual_seed(5)
    if not whole:
        model = Blip2QFormerModel(Blip2QFormerConfig(**fields))
        model.save_pretrained(folder)
        return model
    small = {"hidden_size": 22, "intermediate_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2}
    language = {"model_type": "opt", "vocab_size": 9, "hidden_size": 8, "ffn_dim": 8, "word_embed_proj_dim": 8}
    config = Blip2Config(
        vision_config={**small, "image_size": 28},
        qformer_config=fields,
        text_config={**language, "num_hidden_layers": 1, "num_attention_heads": 2},
    )
    everything = Blip2ForConditionalGeneration(config)
    everything.save_pretrained(folder)
    return everything.qformer


def test_starts_from_blip2(tmp_path: Path) -> None:
    theirs = save_blip2(tmp_path)
    ours = DiseaseQFormer(12, **SIZES, blip2=str(tmp_path))
    for name, tensor in theirs.state_dict().items():
        assert torch.equal(ours.qformer.state_dict()[name], tensor), name
    assert "blip2" not in ours.config  # rebuilt without the folder
    again = DiseaseQFormer(12, **ours.config)
    again.load_state_dict(ours.state_dict())


def test_a_whole_blip2_gives_its_qformer_and_its_token_maps_only_where_they_fit(tmp_path: Path) -> None:
    theirs = save_blip2(tmp_path, whole=True)  # reads the 22-d tokens of its own encoder
    with pytest.raises(SettingsError, match=r"encoder's tokens is 22 there, 16 here\..*new_token_maps: true"):
        DiseaseQFormer(12, **SIZES, blip2=str(tmp_path))
    ours = DiseaseQFormer(12, **SIZES, blip2=str(tmp_path), new_token_maps=True).qformer.state_dict()
    taken = [name for name, tensor in theirs.state_dict().items() if torch.equal(ours[name], tensor)]
    left = set(ours) - set(taken)
    assert left == {f"encoder.layer.0.crossattention.attention.{part}.weight" for part in ("key", "value")}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"hidden_size": 32}, "width is 32 there, 16 here"),
        ({"num_hidden_layers": 3}, "layers is 3 there, 2 here"),
        ({"intermediate_size": 64}, "intermediate is 64 there, 24 here"),
        ({"cross_attention_frequency": 1}, "cross_attention_every is 1 there, 2 here"),
        ({"num_attention_heads": 4}, "heads is 4 there, 2 here"),
        ({"hidden_act": "relu"}, "activation is relu there, gelu here"),
        ({"use_qformer_text_input": True}, "text input is True there, False here"),
    ],
)
def test_another_blip2_is_refused_by_what_differs(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    save_blip2(tmp_path, **changes)
    with pytest.raises(SettingsError, match=message):
        DiseaseQFormer(12, **SIZES, blip2=str(tmp_path))


def test_blip2_weights_missing_left_over_or_of_another_shape_are_named(tmp_path: Path) -> None:
    save_blip2(tmp_path)
    kept = load_file(tmp_path / "model.safetensors")
    name = "encoder.layer.1.output_query.dense.weight"
    for changed, message in (
        ({k: v for k, v in kept.items() if k != name}, f"{name} is missing"),
        ({**kept, "stranger": torch.zeros(2)}, "stranger is left over"),
        ({**kept, name: torch.zeros(3, 3)}, rf"{name} is \[3, 3\], not \[16, 24\]"),
    ):
        save_file(changed, tmp_path / "model.safetensors")
        with pytest.raises(SettingsError, match=message):
            DiseaseQFormer(12, **SIZES, blip2=str(tmp_path))
    (tmp_path / "model.safetensors").write_bytes(b"broken")
    with pytest.raises(SettingsError, match="cannot be read"):
        DiseaseQFormer(12, **SIZES, blip2=str(tmp_path))
    (tmp_path / "model.safetensors").unlink()
    with pytest.raises(SettingsError, match="holds no"):
        DiseaseQFormer(12, **SIZES, blip2=str(tmp_path))
    with pytest.raises(SettingsError, match="no folder with a config"):
        DiseaseQFormer(12, **SIZES, blip2="/no/such/folder")
    with pytest.raises(SettingsError, match=r"new_token_maps: true needs qformer\.blip2"):
        DiseaseQFormer(12, **SIZES, new_token_maps=True)

from __future__ import annotations

import pytest
import torch

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

"""The disease Q-Former: 14 learned disease queries read the encoder's tokens and give 14 visual tokens, Q_f.

The Q-Former is that of transformers (Li et al. 2023, "BLIP-2"), with self-attention among the queries and
cross-attention to the tokens. Query i belongs to finding i of :data:`ammrg.findings.FINDINGS`.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from ammrg.errors import SettingsError
from ammrg.findings import NUM_FINDINGS
from ammrg.networks.blip2_start import start_from_blip2


class QFormerOutput(NamedTuple):
    """The output of the Q-Former."""

    queries: Tensor
    """Q_f ``[v 14 q]``."""
    projected_tokens: Tensor
    """``[v n q]``: the tokens as cross-attention reads them, in the same space as the queries."""
    attentions: Tensor | None
    """``[v 14 n]`` in [0, 1]: cross-attention averaged over layers and heads; None where it was not requested."""


class TokenPositions(nn.Module):
    """An embedding of a token's place on the film: a trained linear map of Fourier features of its coordinates.

    Coordinates are relative, so the embedding works for every grid. Backbones without positions of their own
    (convolutions) need it.

    Args:
        width: q.
    """

    octaves: int = 5

    def __init__(self, width: int) -> None:
        super().__init__()
        self.project = nn.Linear(4 * self.octaves + 2, width)

    def forward(self, grid: tuple[int, int]) -> Tensor:
        """Embed the cells of a grid (gh, gw), row by row: ``[gh*gw q]``."""
        weight = self.project.weight
        rows, columns = ((torch.arange(side, device=weight.device, dtype=weight.dtype) + 0.5) / side for side in grid)
        y, x = torch.meshgrid(rows, columns, indexing="ij")
        return self.at(torch.stack([y, x], dim=-1).reshape(-1, 2))

    def at(self, places: Tensor) -> Tensor:
        """Embed places on the film: (y, x) ``[m 2]`` in [0, 1], y downwards -> ``[m q]``."""
        places = places * 2 - 1
        waves = torch.cat([places * math.pi * 2.0 ** (octave - 1) for octave in range(self.octaves)], dim=-1)
        return self.project(torch.cat([places, waves.sin(), waves.cos()], dim=-1))  # type: ignore[no-any-return]


class DiseaseQFormer(nn.Module):
    """A trained projection of the encoder's tokens, then BLIP-2's Q-Former with 14 learned queries.

    The projection (linear, plus position) comes before cross-attention. So projected tokens that are stored as regions
    have the same width and space as the queries and as the states of the associative memory.

    Args:
        encoder_width: e, the width of the encoder's tokens.
        width: q.
        layers: number of the Q-Former's layers.
        heads: number of attention heads; must divide q.
        cross_attention_every: every how many layers there is cross-attention (BLIP-2: 2), beginning with the first.
        intermediate: width of the feed-forward parts; None = 4 q.
        dropout: in [0, 1), of hidden states and attention weights.
        positions: add the place of each token (see :class:`TokenPositions`).
        blip2: a local folder with a BLIP-2 Q-Former of the same sizes, whose weights this one starts from. The disease
            queries and the projection are not part of it, and start at random.
        new_token_maps: with ``blip2``: do not load its maps of the tokens (see
            :func:`ammrg.networks.blip2_start.start_from_blip2`).
        query_scale: standard deviation of the disease queries at the start. The Q-Former normalises them at its input,
            so the scale decides how far a step of the optimizer turns them.

    Raises:
        SettingsError: q is not divisible by heads, or the BLIP-2 does not fit.
    """

    def __init__(
        self,
        encoder_width: int,
        width: int = 768,
        layers: int = 12,
        heads: int = 12,
        cross_attention_every: int = 2,
        intermediate: int | None = None,
        dropout: float = 0.1,
        positions: bool = True,
        blip2: str | None = None,
        new_token_maps: bool = False,
        query_scale: float = 1.0,
    ) -> None:
        super().__init__()
        from transformers import Blip2QFormerConfig, Blip2QFormerModel

        if width % heads:
            raise SettingsError(f"qformer: width ({width}) must be divisible by heads ({heads}).")
        if new_token_maps and blip2 is None:
            raise SettingsError("qformer.new_token_maps: true needs qformer.blip2; set it, or leave both out.")
        # The settings that rebuild the network; the origin of its first weights is not among them.
        self.config: dict[str, Any] = {
            "width": width,
            "layers": layers,
            "heads": heads,
            "cross_attention_every": cross_attention_every,
            "intermediate": intermediate,
            "dropout": dropout,
            "positions": positions,
        }
        self.width = width
        # No layer norm here: after it, the scale of a token would have no effect, so the product of a token and its
        # gradient would be zero (Euler) and the maps of class_activation noise. Backbones end with their own norm.
        self.project = nn.Linear(encoder_width, width)
        self.positions = TokenPositions(width) if positions else None
        self.disease_queries = nn.Parameter(torch.randn(NUM_FINDINGS, width) * query_scale)
        settings = Blip2QFormerConfig(
            hidden_size=width,
            num_hidden_layers=layers,
            num_attention_heads=heads,
            intermediate_size=intermediate or 4 * width,
            encoder_hidden_size=width,
            cross_attention_frequency=cross_attention_every,
            # BERT's 0.02 suits width 768; with it, a narrow Q-Former would attend evenly for hundreds of steps.
            initializer_range=width**-0.5,
            hidden_dropout_prob=dropout,
            attention_probs_dropout_prob=dropout,
        )
        # Plain attention: only this form returns its weights and lets a backward pass be batched over findings.
        settings._attn_implementation = "eager"
        self.qformer = Blip2QFormerModel(settings)
        if blip2 is not None:
            start_from_blip2(self.qformer, blip2, new_token_maps)

    def project_crops(self, tokens: Tensor, boxes: Tensor) -> Tensor:
        """Make region tokens from crops of films: the projected mean of each crop's tokens.

        Args:
            tokens: ``[m n e]``, of crops that were encoded like films.
            boxes: ``[m 4]``, x0 y0 x1 y1 of each crop relative to its film, from which its position is taken.

        Returns:
            ``[m q]``, in the same space as projected tokens.
        """
        projected: Tensor = self.project(tokens.mean(dim=1))
        if self.positions is not None:
            projected = projected + self.positions.at((boxes[:, [1, 0]] + boxes[:, [3, 2]]) / 2)
        return projected

    def forward(
        self, tokens: Tensor, grid: tuple[int, int] | None = None, output_attentions: bool = False
    ) -> QFormerOutput:
        """Read the encoder's tokens ``[v n e]`` on a grid (None: a square one) with the disease queries."""
        projected: Tensor = self.project(tokens)
        if self.positions is not None:
            side = math.isqrt(tokens.shape[1])
            projected = projected + self.positions(grid or (side, side))
        output = self.qformer(
            query_embeds=self.disease_queries.expand(len(tokens), -1, -1),
            encoder_hidden_states=projected,
            output_attentions=output_attentions,
        )
        attentions = None
        if output_attentions:
            attentions = torch.stack(output.cross_attentions).mean(dim=(0, 2))  # [layers v heads 14 n] -> [v 14 n]
        return QFormerOutput(output.last_hidden_state, projected, attentions)

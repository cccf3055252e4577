"""What the language model is shown of films: what stage 1 saw, the streams of visual tokens, the whole prompt."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ammrg.findings import NO_FINDING, NUM_FINDINGS
from ammrg.types import Retrieval

PROJECTIONS = ("frontal", "lateral", "unknown")


class SeenFilms(NamedTuple):
    """What stage 1 says of films: all that stage 2 reads of them."""

    logits: Tensor
    """``[v 14]``."""
    queries: Tensor
    """Q_f ``[v 14 q]``."""
    raw_tokens: Tensor
    """``[v n e]``: the encoder's."""
    grid: tuple[int, int]
    """``(gh, gw)`` with gh * gw = n."""

    @staticmethod
    def join(parts: Sequence[SeenFilms]) -> SeenFilms:
        """The films of several as one, on the device of the last."""
        device = parts[-1].logits.device
        moved = [part if part.logits.device == device else part.to(device) for part in parts]
        return SeenFilms(
            torch.cat([part.logits for part in moved]),
            torch.cat([part.queries for part in moved]),
            torch.cat([part.raw_tokens for part in moved]),
            moved[-1].grid,
        )

    def take(self, films: Tensor) -> SeenFilms:
        """Some of the films, or all in another order: int64 ``[m]``."""
        return SeenFilms(self.logits[films], self.queries[films], self.raw_tokens[films], self.grid)

    def to(self, device: torch.device) -> SeenFilms:
        """On another device, outside any graph."""
        moved = (tensor.detach().to(device) for tensor in (self.logits, self.queries, self.raw_tokens))
        logits, queries, raw_tokens = moved
        return SeenFilms(logits, queries, raw_tokens, self.grid)

    @property
    def size(self) -> int:
        """Bytes."""
        return self.logits.nbytes + self.queries.nbytes + self.raw_tokens.nbytes


class VisualPrompt(NamedTuple):
    """What the language model is shown, and why."""

    tokens: list[Tensor]
    """b tensors ``[m_i d]`` in the width of the language model."""
    instructions: list[str]
    logits: Tensor
    """``[b 14]``: of studies."""
    states: Tensor
    """Q_f ``[b 14 q]``: what asked the memories."""
    regions: Retrieval | None
    """None where the visual memory is off."""
    reports: Retrieval | None


class VisualStream(nn.Module):
    """Tokens of one kind -> the language model's width: layer norm, linear map, and a learned mark of the kind.

    Weights are of order one and the result is scaled to the size of a word's embedding, so that the language model
    reads a visual token from the first step on, whatever the size of its embeddings.
    """

    def __init__(self, width: int, out_width: int, scale: float) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.project = nn.Linear(width, out_width)
        nn.init.normal_(self.project.weight, std=width**-0.5)
        nn.init.zeros_(self.project.bias)
        self.kind = nn.Parameter(torch.randn(out_width) * 0.1)
        self.scale = scale

    def forward(self, tokens: Tensor, extra: Tensor | float = 0.0) -> Tensor:
        """``[.. n width]`` -> ``[.. n d]``; ``extra`` is added in units of a word's size."""
        return cast(Tensor, (self.project(self.norm(tokens)) + self.kind + extra) * self.scale)


def speaking_queries(seen: SeenFilms, study_of_view: Tensor, studies: int) -> Tensor:
    """Q_f ``[b 14 q]``: of each finding, that of the film which decides the study's logit."""
    sign = torch.ones(NUM_FINDINGS, device=seen.logits.device)
    sign[NO_FINDING] = -1
    views = torch.arange(len(study_of_view), device=study_of_view.device)
    rows = []
    for study in range(studies):
        own = views[study_of_view == study]
        if len(own) == 0:
            raise ValueError(f"study {study} of the batch has no film")
        speaks = own[(seen.logits[own] * sign).argmax(0)]  # [14]
        rows.append(seen.queries[speaks, torch.arange(NUM_FINDINGS, device=speaks.device)])
    return torch.stack(rows)


def pooled_grid(grid: tuple[int, int], side: int | None) -> tuple[int, int]:
    """A grid averaged to at most ``side`` cells a side; None: as it is."""
    return grid if side is None else (min(grid[0], side), min(grid[1], side))


def pooled_tokens(seen: SeenFilms, side: int | None) -> Tensor:
    """The encoder's tokens of each film, averaged over their grid to :func:`pooled_grid`, ``[v n e]``."""
    high, wide = seen.grid
    pooled = pooled_grid(seen.grid, side)
    if pooled == seen.grid:
        return seen.raw_tokens
    grid = seen.raw_tokens.transpose(1, 2).reshape(len(seen.raw_tokens), -1, high, wide)  # [v e gh gw]
    return F.adaptive_avg_pool2d(grid, pooled).flatten(2).transpose(1, 2)


def projection_numbers(projections: Sequence[str]) -> Tensor:
    """int64 ``[v]``: each film's index into :data:`PROJECTIONS`; what is not named there is unknown."""
    known = [name if name in PROJECTIONS else "unknown" for name in projections]
    return torch.tensor([PROJECTIONS.index(name) for name in known])

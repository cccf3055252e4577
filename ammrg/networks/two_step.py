"""Retrieval in two steps: a search names candidates for each state and head, the exact association is over these."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from ammrg.memory.candidates import Candidates
from ammrg.networks.association import NUMBERS_AT_ONCE, Recalled, Stored, layer_norm


def recall_among(
    probes: Tensor,
    stored: Stored,
    mask: Tensor | None,
    candidates: Candidates,
    *,
    k: int = 0,
    dropout: float = 0.0,
    numbers_at_once: int = NUMBERS_AT_ONCE,
) -> Recalled:
    """Pools the candidates by association: :func:`ammrg.networks.association.recall` without the weight of all other
    patterns. Gradients reach the probes, and the patterns where they need one; the search itself has none.

    A state's candidates are the best that its study may recall, so no result depends on the rest of the batch.

    Args:
        probes: ``[b s h p]``.
        stored: n patterns.
        mask: bool ``[b n]``, True where a study may recall a pattern; None: all may.
        candidates: where to look and how many to take.
        k: how many of the strongest associations to report, at most heads times candidates.
        dropout: share of the associations dropped after the softmax.
        numbers_at_once: most numbers of candidates held at once, unless a graph needs them.
    """
    rows, allowed = _found(probes, stored, mask, candidates)
    among = partial(_among, stored=stored, dropout=dropout, k=k)
    return Recalled(*_in_parts(among, probes, rows, allowed, stored, numbers_at_once))


def associations_among(
    probes: Tensor,
    stored: Stored,
    mask: Tensor | None,
    candidates: Candidates,
    *,
    numbers_at_once: int = NUMBERS_AT_ONCE,
) -> Tensor:
    """What :func:`recall_among` weighs the candidates with, of every pattern: ``[b s h n]``, 0 of those that are none.

    Args: see :func:`recall_among`. Holds b*s*h*n numbers. Gradients reach the probes.
    """
    rows, allowed = _found(probes, stored, mask, candidates)
    return _in_parts(partial(_spread, stored=stored), probes, rows, allowed, stored, numbers_at_once)[0]


def _found(probes: Tensor, stored: Stored, mask: Tensor | None, candidates: Candidates) -> tuple[Tensor, Tensor]:
    """Of probes ``[b s h p]`` the candidates' rows, and which of them count: int64 and bool ``[b s h m]``."""
    b, s, h, p = probes.shape
    n = len(stored.patterns)
    barred = 0 if mask is None or b == 0 else int((~mask).sum(dim=1).max())
    asked = min(n, candidates.per_state + barred)
    rows = candidates.search(probes.detach().reshape(-1, p).float(), asked).view(b, s, h, asked)
    allowed = rows >= 0
    rows = rows.clamp(min=0)
    if mask is not None:
        allowed &= mask[:, None, None].expand(b, s, h, n).gather(-1, rows)
        allowed &= allowed.cumsum(dim=-1) <= candidates.per_state
    return rows, allowed


def _in_parts(
    compute: Callable[[Tensor, Tensor, Tensor], tuple[Tensor, ...]],
    probes: Tensor,
    rows: Tensor,
    allowed: Tensor,
    stored: Stored,
    numbers_at_once: int,
) -> list[Tensor]:
    """What ``compute`` says of probes ``[c h p]`` and their candidates ``[c h m]``, c states at once: ``[b s ..]``."""
    b, s, h, p = probes.shape
    graph = torch.is_grad_enabled() and (probes.requires_grad or stored.patterns.requires_grad)
    at_once = max(1, numbers_at_once // (h * rows.shape[-1] * p))
    flat, flat_rows, flat_allowed = probes.flatten(0, 1), rows.flatten(0, 1), allowed.flatten(0, 1)  # [(b s) h ..]
    parts = []
    for start in range(0, max(1, b * s), at_once):  # an empty batch is one empty part
        chunk = slice(start, start + at_once)
        arguments = flat[chunk], flat_rows[chunk], flat_allowed[chunk]
        if graph and at_once < b * s:
            parts.append(checkpoint(compute, *arguments, use_reentrant=False))
        else:
            parts.append(compute(*arguments))
    return [torch.cat(part).view(b, s, *part[0].shape[1:]) for part in zip(*parts, strict=True)]


def _associated(probes: Tensor, rows: Tensor, allowed: Tensor, stored: Stored) -> tuple[Tensor, Tensor]:
    """Probes ``[c h p]`` and their candidates' rows ``[c h m]`` -> associations ``[c h m]``, patterns ``[c h m p]``."""
    if stored.whole is not None:
        patterns = stored.whole[rows]
    else:
        patterns = layer_norm(stored.patterns[rows].to(stored.dtype), stored.eps)
    scores = torch.einsum("chp,chmp->chm", probes, patterns)
    # a state whose candidates are all barred recalls nothing, and not NaN
    return scores.masked_fill(~allowed, torch.finfo(scores.dtype).min).softmax(dim=-1) * allowed, patterns


def _among(
    probes: Tensor, rows: Tensor, allowed: Tensor, stored: Stored, dropout: float, k: int
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """-> pooled ``[c h p]``, total ``[c h]``, weights and indices ``[c k]``."""
    associations, patterns = _associated(probes, rows, allowed, stored)
    weights, indices = _strongest(associations.detach(), rows, k)
    if dropout > 0.0:
        associations = F.dropout(associations, dropout)
    return torch.einsum("chm,chmp->chp", associations, patterns), associations.sum(dim=-1), weights, indices


def _spread(probes: Tensor, rows: Tensor, allowed: Tensor, stored: Stored) -> tuple[Tensor]:
    """-> associations with every pattern ``[c h n]``."""
    associations, _ = _associated(probes, rows, allowed, stored)
    return (associations.new_zeros(*rows.shape[:2], len(stored.patterns)).scatter_add(-1, rows, associations),)


def _strongest(associations: Tensor, rows: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """The k patterns with the highest association averaged over heads, each head adding what it found of a pattern."""
    order = rows.flatten(1).sort(dim=-1)
    found = (associations / associations.shape[1]).flatten(1).gather(1, order.indices)
    place = (order.values.diff(dim=-1, prepend=order.values[:, :1]) != 0).cumsum(dim=-1)  # equal rows, one place
    sums = torch.zeros_like(found).scatter_add(1, place, found)
    patterns = torch.zeros_like(order.values).scatter(1, place, order.values)
    weights, kept = sums.topk(min(k, sums.shape[1]), dim=-1)
    return weights, patterns.gather(1, kept)

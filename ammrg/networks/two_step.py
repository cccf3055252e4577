"""Retrieval in two steps: a search finds candidates for each state and head, then association over these is exact."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

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
    """Recall from candidates: :func:`ammrg.networks.association.recall` in which no other pattern has a weight.

    Gradients reach the probes, and the patterns where they need one; the search itself has no gradient and knows no
    bias. A state's candidates are the best patterns that its study may recall, so no result depends on the rest of the
    batch.

    Args:
        probes: ``[b s h p]``.
        stored: n patterns.
        mask: bool ``[b n]``, True where a study may recall a pattern; None: all may be recalled.
        candidates: the search, and how many candidates to take.
        k: number of strongest associations to report, at most heads times candidates.
        dropout: share of the associations dropped after the softmax.
        numbers_at_once: most numbers of candidates held at once, unless a graph needs them.
    """
    found = _found(probes, stored, mask, candidates)
    among = partial(_among, stored=stored, dropout=dropout, k=k)
    return Recalled(*_in_parts(among, probes, found, stored, numbers_at_once))


def associations_among(
    probes: Tensor,
    stored: Stored,
    mask: Tensor | None,
    candidates: Candidates,
    *,
    numbers_at_once: int = NUMBERS_AT_ONCE,
) -> Tensor:
    """Compute the associations of :func:`recall_among` with every pattern: ``[b s h n]``, 0 where it is no candidate.

    Arguments are as there. The result has b*s*h*n numbers. Gradients reach the probes.
    """
    found = _found(probes, stored, mask, candidates)
    return _in_parts(partial(_spread, stored=stored), probes, found, stored, numbers_at_once)[0]


class _Found(NamedTuple):
    """The candidates of some states."""

    rows: Tensor
    """int64 ``[.. h m]``."""
    allowed: Tensor
    """bool ``[.. h m]``: which of them count."""
    bias: Tensor
    """``[.. h m]``: what is added to their scores."""


def _found(probes: Tensor, stored: Stored, mask: Tensor | None, candidates: Candidates) -> _Found:
    """Search candidates for probes ``[b s h p]``."""
    b, s, h, p = probes.shape
    n = len(stored.patterns)
    masked = 0 if mask is None or b == 0 else int((~mask).sum(dim=1).max())
    count = min(n, candidates.per_state + masked)
    rows = candidates.search(probes.detach().reshape(-1, p).float(), count).view(b, s, h, count)
    allowed = rows >= 0
    rows = rows.clamp(min=0)
    if mask is not None:
        allowed &= mask[:, None, None].expand(b, s, h, n).gather(-1, rows)
        allowed &= allowed.cumsum(dim=-1) <= candidates.per_state
    if stored.bias is None:
        return _Found(rows, allowed, probes.new_zeros(()).expand(rows.shape))
    return _Found(rows, allowed, stored.bias.expand(b, s, h, n).gather(-1, rows))


def _in_parts(
    compute: Callable[[Tensor, _Found], tuple[Tensor, ...]],
    probes: Tensor,
    found: _Found,
    stored: Stored,
    numbers_at_once: int,
) -> list[Tensor]:
    """Apply ``compute`` to c states at a time, with probes ``[c h p]`` and candidates ``[c h m]``: ``[b s ..]``."""
    b, s, h, p = probes.shape
    graph = torch.is_grad_enabled() and (probes.requires_grad or stored.patterns.requires_grad)
    at_once = max(1, numbers_at_once // (h * found.rows.shape[-1] * p))
    flat, flat_found = probes.flatten(0, 1), [each.flatten(0, 1) for each in found]  # [(b s) h ..]
    parts = []
    for start in range(0, max(1, b * s), at_once):  # for an empty batch, one empty part
        chunk = slice(start, start + at_once)
        arguments = flat[chunk], _Found(*(each[chunk] for each in flat_found))
        if graph and at_once < b * s:
            parts.append(checkpoint(compute, *arguments, use_reentrant=False))
        else:
            parts.append(compute(*arguments))
    return [torch.cat(part).view(b, s, *part[0].shape[1:]) for part in zip(*parts, strict=True)]


def _associated(probes: Tensor, found: _Found, stored: Stored) -> tuple[Tensor, Tensor]:
    """Associate probes ``[c h p]`` with candidates ``[c h m]``: associations ``[c h m]``, patterns ``[c h m p]``."""
    rows, allowed, bias = found
    if stored.whole is not None:
        patterns = stored.whole[rows]
    else:
        patterns = layer_norm(stored.patterns[rows].to(stored.dtype), stored.eps)
    scores = torch.einsum("chp,chmp->chm", probes, patterns) + bias
    # a state whose candidates are all masked gets zeros instead of NaN
    return scores.masked_fill(~allowed, torch.finfo(scores.dtype).min).softmax(dim=-1) * allowed, patterns


def _among(
    probes: Tensor, found: _Found, stored: Stored, dropout: float, k: int
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Recall for c states: pooled ``[c h p]``, total ``[c h]``, weights and indices ``[c k]``."""
    associations, patterns = _associated(probes, found, stored)
    weights, indices = _strongest(associations.detach(), found.rows, k)
    if dropout > 0.0:
        associations = F.dropout(associations, dropout)
    return torch.einsum("chm,chmp->chp", associations, patterns), associations.sum(dim=-1), weights, indices


def _spread(probes: Tensor, found: _Found, stored: Stored) -> tuple[Tensor]:
    """Spread the associations of c states over all patterns: ``[c h n]``."""
    associations, _ = _associated(probes, found, stored)
    spread = associations.new_zeros(*associations.shape[:2], len(stored.patterns))
    return (spread.scatter_add(-1, found.rows, associations),)


def _strongest(associations: Tensor, rows: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """Find the k patterns with the highest association, averaged over heads; heads may have different candidates."""
    order = rows.flatten(1).sort(dim=-1)
    found = (associations / associations.shape[1]).flatten(1).gather(1, order.indices)
    place = (order.values.diff(dim=-1, prepend=order.values[:, :1]) != 0).cumsum(dim=-1)  # equal rows share a place
    sums = torch.zeros_like(found).scatter_add(1, place, found)
    patterns = torch.zeros_like(order.values).scatter(1, place, order.values)
    weights, kept = sums.topk(min(k, sums.shape[1]), dim=-1)
    return weights, patterns.gather(1, kept)

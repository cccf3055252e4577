"""Association of a few probes with many stored patterns that all studies share: the core of Hopfield retrieval.

A probe's association with pattern i is ``softmax_i(probe . p_i + bias_i)``; the bias is 0 unless one is given. The
probe recalls the mean of the patterns, weighted by its associations. Three routes give the same result:

- all scores at once, where gradients or the strongest associations are needed;
- torch's fused attention, where neither is needed, and no bias;
- one block of patterns after another with a running softmax (Milakov and Gimelshein 2018), whose memory does not grow
  with the number of patterns.
"""

from __future__ import annotations

import weakref
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.checkpoint import checkpoint

NUMBERS_AT_ONCE = 2**25
"""Most numbers held at once (128 MiB in float32), both of association scores and of patterns normalised in blocks."""
NUMBERS_KEPT = 2**27
"""Largest memory, in numbers, whose normalised copy is kept (512 MiB in float32); a larger one is normalised block by
block."""


class Recalled(NamedTuple):
    """What probes ``[b s h p]`` recalled."""

    pooled: Tensor
    """``[b s h p]``: mean of the normalised patterns, weighted by the associations."""
    total: Tensor
    """``[b s h]``: sum of the associations; 1 without dropout."""
    weights: Tensor
    """``[b s k]``: the strongest associations, averaged over heads, before dropout, without gradient."""
    indices: Tensor
    """int64 ``[b s k]``: the patterns that ``weights`` belong to."""


class Stored(NamedTuple):
    """Stored patterns with their affine-free layer-norm, as an association reads them."""

    patterns: Tensor
    """``[n p]``, as given."""
    whole: Tensor | None
    """``[n p]``, normalised; None where patterns are normalised one block at a time."""
    dtype: torch.dtype
    eps: float
    bias: Tensor | None = None
    """Added to the scores; of any shape that broadcasts to ``[b s h n]``. None: nothing is added."""

    def block(self, start: int, end: int) -> Tensor:
        """Return the normalised patterns of rows start to end (exclusive), ``[m p]``."""
        if self.whole is not None:
            return self.whole[start:end]
        return layer_norm(self.patterns[start:end].to(self.dtype), self.eps)

    def bias_of(self, start: int, end: int) -> Tensor | None:
        """Return the bias of rows start to end (exclusive), for ``[b s h m]``."""
        return None if self.bias is None else self.bias[..., start:end]


class PatternNorm:
    """Computes the affine-free layer-norm of a frozen pattern tensor once, and keeps it until that tensor changes.

    It notices changes by torch's version counter, which does not count a change through ``patterns.data`` or NumPy. So
    change patterns in place under ``torch.no_grad()``, or give another tensor.

    The result is never part of a state dict, a copy or a pickle. Patterns that need a gradient are normalised at each
    call; so are patterns under ``torch.compile``, whose graphs cannot use results of earlier calls.
    """

    def __init__(self) -> None:
        self._source: weakref.ref[Tensor] | None = None
        self._state: tuple[Any, ...] = ()
        self._normalised: Tensor | None = None

    def __reduce__(self) -> tuple[type[PatternNorm], tuple[()]]:
        return (PatternNorm, ())

    def __call__(self, patterns: Tensor, dtype: torch.dtype, eps: float) -> Stored:
        """Normalise patterns ``[n p]`` in ``dtype``, or return the kept result for the same tensor."""
        if patterns.requires_grad:
            return Stored(patterns, layer_norm(patterns.to(dtype), eps), dtype, eps)
        if patterns.numel() > NUMBERS_KEPT:
            return Stored(patterns, None, dtype, eps)
        # Inference tensors have no version counter, so a change in place could not be noticed.
        if torch.compiler.is_compiling() or patterns.is_inference():
            return Stored(patterns, layer_norm(patterns.to(dtype), eps), dtype, eps)
        state = (patterns._version, patterns.data_ptr(), patterns.device, patterns.shape, dtype, eps)
        known = self._source is not None and self._source() is patterns and self._state == state
        if not known or self._normalised is None:
            # A later training step could not use a tensor that was made under inference_mode.
            with torch.inference_mode(False), torch.no_grad():
                self._normalised = layer_norm(patterns.to(dtype), eps)
            self._source, self._state = weakref.ref(patterns), state
        return Stored(patterns, self._normalised, dtype, eps)


def recall(
    probes: Tensor,
    stored: Stored,
    mask: Tensor | None,
    *,
    k: int = 0,
    dropout: float = 0.0,
    numbers_at_once: int = NUMBERS_AT_ONCE,
) -> Recalled:
    """Recall from the stored patterns: pool them by their association with each probe.

    Args:
        probes: ``[b s h p]``, in the dtype of the normalised patterns.
        stored: n patterns.
        mask: bool ``[b n]``, True where a study may recall a pattern, at least one in each row; None: all may be
            recalled.
        k: number of strongest associations to report, at most n.
        dropout: share of the associations dropped after the softmax.
        numbers_at_once: see :data:`NUMBERS_AT_ONCE`; the result does not depend on it.
    """
    n, p = stored.patterns.shape
    graph = torch.is_grad_enabled() and (probes.requires_grad or stored.patterns.requires_grad)
    if stored.whole is not None and stored.bias is None and k == 0 and dropout == 0.0 and not graph:
        return _fused(probes, stored.whole, mask)
    at_once = max(1, numbers_at_once // max(1, probes.shape[:3].numel()))
    if stored.whole is None:
        at_once = min(at_once, max(1, numbers_at_once // p))
    elif n <= at_once:
        return _whole(probes, stored, mask, k, dropout)
    return _blockwise(probes, stored, mask, k, dropout, at_once)


def scores(probes: Tensor, patterns: Tensor, mask: Tensor | None, bias: Tensor | None = None) -> Tensor:
    """Score patterns ``[m p]`` for probes ``[b s h p]``: ``[b s h m]``.

    Args:
        probes: in the dtype of the patterns.
        patterns: normalised.
        mask: bool ``[b m]``; the score is -inf where it is False. None: all may be recalled.
        bias: added to the scores; of any shape that broadcasts to them.
    """
    found = (probes.flatten(0, 2) @ patterns.T).view(*probes.shape[:3], len(patterns))
    if bias is not None:
        found = found.add_(bias)
    return found if mask is None else found.masked_fill_(~mask[:, None, None], -torch.inf)


def layer_norm(x: Tensor, eps: float) -> Tensor:
    """Normalise the last dimension to mean 0 and variance 1."""
    return F.layer_norm(x, x.shape[-1:], eps=eps)


def _whole(probes: Tensor, stored: Stored, mask: Tensor | None, k: int, dropout: float) -> Recalled:
    """Recall with all associations held at once.

    Its backward pass takes two matrix products. The fused kernel's would also compute the gradient of the patterns and,
    with a mask, expand the patterns over the batch.
    """
    patterns = stored.block(0, len(stored.patterns))
    associations = scores(probes, patterns, mask, stored.bias).softmax(dim=-1)
    strongest = _strongest(associations.detach(), k)
    total = associations.new_ones(associations.shape[:3])
    if dropout > 0.0:
        associations = F.dropout(associations, dropout)
        total = associations.sum(dim=-1)
    pooled = (associations.flatten(0, 2) @ patterns).view_as(probes)
    return Recalled(pooled, total, *strongest)


def _fused(probes: Tensor, patterns: Tensor, mask: Tensor | None) -> Recalled:
    """Recall with one call of the fused kernel.

    States and heads form one query dimension. All studies share the patterns through a stride of 0.
    """
    b, s, h, p = probes.shape
    studies = 1 if mask is None else b
    shared = patterns.expand(studies, 1, *patterns.shape)
    pooled = F.scaled_dot_product_attention(
        probes.reshape(studies, 1, -1, p),
        shared,
        shared,
        attn_mask=None if mask is None else mask[:, None, None],
        scale=1.0,
    ).reshape(b, s, h, p)
    return Recalled(pooled, probes.new_ones(b, s, h), *_none(probes))


class _Part(NamedTuple):
    """The part of a running softmax that one block of patterns contributes."""

    top: Tensor
    """``[b s h]``: the maximum of its scores, without gradient."""
    mass: Tensor
    """``[b s h]``: sum of ``exp(score - top)`` before dropout."""
    kept: Tensor
    """``[b s h]``: the same sum after dropout."""
    pooled: Tensor
    """``[b s h p]``: sum of the patterns, weighted by ``exp(score - top)`` after dropout."""


def _blockwise(probes: Tensor, stored: Stored, mask: Tensor | None, k: int, dropout: float, at_once: int) -> Recalled:
    """Recall block by block with a running softmax; in training, the backward pass computes each block again."""
    blocks = [(start, min(start + at_once, len(stored.patterns))) for start in range(0, len(stored.patterns), at_once)]
    graph = torch.is_grad_enabled() and (probes.requires_grad or stored.patterns.requires_grad)
    so_far: _Part | None = None
    for start, end in blocks:
        allowed = None if mask is None else mask[:, start:end]
        arguments = (probes, stored, start, end, allowed, dropout)
        if graph:
            part = _Part(*checkpoint(_part, *arguments, use_reentrant=False, preserve_rng_state=dropout > 0.0))
        else:
            part = _part(*arguments)
        so_far = part if so_far is None else _joined(so_far, part)
    assert so_far is not None
    mass = so_far.mass
    strongest = _none(probes)
    if k > 0:
        with torch.no_grad():
            strongest = _strongest_of_blocks(probes, stored, mask, k, so_far.top + mass.log(), blocks)
    return Recalled(so_far.pooled / mass[..., None], so_far.kept / mass, *strongest)


def _part(probes: Tensor, stored: Stored, start: int, end: int, mask: Tensor | None, dropout: float) -> _Part:
    patterns = stored.block(start, end)
    odds = scores(probes, patterns, mask, stored.bias_of(start, end))
    # the clamp keeps the maximum finite where the whole block is masked: its odds are then 0 instead of NaN
    top = odds.detach().amax(dim=-1).clamp(min=torch.finfo(odds.dtype).min)
    odds = odds.sub_(top[..., None]).exp_()
    mass = kept = odds.sum(dim=-1)
    if dropout > 0.0:
        odds = F.dropout(odds, dropout)
        kept = odds.sum(dim=-1)
    return _Part(top, mass, kept, (odds.flatten(0, 2) @ patterns).view_as(probes))


def _joined(one: _Part, other: _Part) -> _Part:
    top = torch.maximum(one.top, other.top)
    left, right = (one.top - top).exp(), (other.top - top).exp()
    return _Part(
        top,
        one.mass * left + other.mass * right,
        one.kept * left + other.kept * right,
        one.pooled * left[..., None] + other.pooled * right[..., None],
    )


def _strongest(associations: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """Find the k largest associations ``[b s h n]``, averaged over heads: (weights, indices) ``[b s k]``."""
    if k == 0:
        return _none(associations)
    weights, indices = associations.mean(dim=2).topk(k, dim=-1)
    return weights, indices


def _strongest_of_blocks(
    probes: Tensor, stored: Stored, mask: Tensor | None, k: int, log_mass: Tensor, blocks: list[tuple[int, int]]
) -> tuple[Tensor, Tensor]:
    """Find the k strongest associations block by block, as :func:`_strongest` does for all patterns at once.

    Scores are computed a third time here: the mean over heads needs the softmax's total of every head, which is known
    only after the last block.

    Args:
        probes: ``[b s h p]``.
        stored: n patterns.
        mask: bool ``[b n]`` or None.
        k: number of associations.
        log_mass: ``[b s h]``, the logarithm of each softmax's total.
        blocks: (start, end) of each block.
    """
    weights, indices = _none(probes)
    for start, end in blocks:
        allowed = None if mask is None else mask[:, start:end]
        found = scores(probes, stored.block(start, end), allowed, stored.bias_of(start, end))
        found = found.sub_(log_mass[..., None]).exp_()
        here, rows = _strongest(found, min(k, end - start))
        weights, indices = torch.cat([weights, here], dim=-1), torch.cat([indices, rows + start], dim=-1)
        weights, kept = weights.topk(min(k, weights.shape[-1]), dim=-1)
        indices = indices.gather(-1, kept)
    return weights, indices


def _none(like: Tensor) -> tuple[Tensor, Tensor]:
    nothing = like.detach().new_empty(*like.shape[:2], 0)
    return nothing, nothing.long()

"""Associative retrieval: the continuous Hopfield update over shared stored patterns, none of which is ever projected.

Formulas: Ramsauer et al., "Hopfield Networks is All You Need", ICLR 2021. With normalised patterns p_i, normalised
states s and, for each head, W_q, W_k, W_v:

    q = W_q s + b_q        k_i = W_k p_i + b_k        v_i = W_v p_i + b_v
    a_i = softmax_i(beta q . k_i)                     read: sum_i a_i v_i       update: q <- sum_i a_i k_i

``beta q . W_k p_i = (beta W_k^T q) . p_i`` and ``q . b_k`` is the same for every i, so the softmax needs attention in
pattern space alone, and ``sum_i a_i v_i = W_v (sum_i a_i p_i) + (sum_i a_i) b_v`` reads from the pooled pattern. The
cost of projecting n patterns is replaced by projecting the b*s*heads states back.
"""

from __future__ import annotations

import math
import weakref
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from ammrg.types import Retrieval

INITIAL_SCORE_STD = 2.0
"""Spread of ``beta q . k_i`` over normalised random patterns at initialisation: soft enough for gradients to reach
every pattern, sharp enough not to start from the mean of the memory."""

SCORES_AT_ONCE = 2**26
"""Most association scores held at once (256 MiB in float32); larger problems are cut into chunks of states."""


class _Recalled(NamedTuple):
    """What a chunk of c states got back: pooled ``[c h p]``, total ``[c h]`` (the associations' sum, 1 without
    dropout), weights and indices ``[c k]``."""

    pooled: Tensor
    total: Tensor
    weights: Tensor
    indices: Tensor


class _NormalisedPatterns:
    """The affine-free layer-norm of a frozen pattern tensor, computed once and kept while that tensor stays as it is.

    Never part of a state dict, a copy or a pickle. A pattern tensor that needs a gradient is normalised each time.
    """

    def __init__(self) -> None:
        self._source: weakref.ref[Tensor] | None = None
        self._state: tuple[Any, ...] = ()
        self._normalised: Tensor | None = None

    def __reduce__(self) -> tuple[type[_NormalisedPatterns], tuple[()]]:
        return (_NormalisedPatterns, ())

    def __call__(self, patterns: Tensor, dtype: torch.dtype, eps: float) -> Tensor:
        # Inference tensors carry no version, so a change in place would go unseen.
        if patterns.requires_grad or patterns.is_inference():
            return _layer_norm(patterns.to(dtype), eps)
        state = (patterns._version, patterns.data_ptr(), patterns.device, patterns.shape, dtype, eps)
        known = self._source is not None and self._source() is patterns and self._state == state
        if not known or self._normalised is None:
            # A tensor made under inference_mode could not be used by a later training step.
            with torch.inference_mode(False), torch.no_grad():
                self._normalised = _layer_norm(patterns.to(dtype), eps)
            self._source, self._state = weakref.ref(patterns), state
        return self._normalised


class HopfieldRetrieval(nn.Module):
    """Recalls from n stored patterns, shared by all studies, what is associated with each state pattern.

    Args:
        state_width: d, width of the states.
        pattern_width: p, width of the stored patterns; independent of d.
        out_width: width of the retrieved tokens.
        association_width: a, width of the association (and value) space of each head.
        heads: h, number of heads.
        beta: inverse temperature > 0, one number or one for each head; larger recalls more sharply.
        learned_beta: train beta (its logarithm), one for each head.
        dropout: share in [0, 1) of associations dropped in training at the last retrieval (not in update steps),
            after the softmax.
        steps: further update steps of the state before the retrieval.
        tolerance: a state that moves at most this far (Euclidean, association space) in an update step rests from
            then on. Decided for each state and head alone: no result depends on the rest of the batch.
        scores_at_once: most association scores held at once. More are computed in chunks of states, which training
            recomputes in the backward pass; the result is the same.

    With ``steps=0`` the key bias and the shift of the keys' layer-norm fall out of the softmax and have no effect at
    all; they are parameters only where ``steps > 0``, since they then live on in the new state.

    The patterns' layer-norm has no affine part and is cached while the pattern tensor is frozen; the affine parts of
    the keys' and of the values' norm (apart, as published) belong to W_k and W_v and act on the few states: on the
    probe and on the pooled pattern.

    The association itself runs in float32 (float64 for float64 input), under autocast too: a score of 40 in bfloat16
    is off by 0.1, an association by 10%.

    Raises:
        ValueError: sizes that do not fit, at construction or at the call, with both numbers.
    """

    def __init__(
        self,
        state_width: int,
        pattern_width: int,
        out_width: int,
        association_width: int = 1024,
        heads: int = 6,
        beta: float | Sequence[float] = 4.0,
        learned_beta: bool = False,
        dropout: float = 0.1,
        steps: int = 0,
        tolerance: float = 1e-4,
        scores_at_once: int = SCORES_AT_ONCE,
    ) -> None:
        super().__init__()
        sizes = {
            "state_width": state_width,
            "pattern_width": pattern_width,
            "out_width": out_width,
            "association_width": association_width,
            "heads": heads,
            "scores_at_once": scores_at_once,
        }
        for name, size in sizes.items():
            if size < 1:
                raise ValueError(f"{name} must be at least 1, not {size}")
        betas = [float(beta)] * heads if isinstance(beta, int | float) else [float(value) for value in beta]
        if len(betas) != heads or not all(value > 0 and math.isfinite(value) for value in betas):
            raise ValueError(f"beta must be one number > 0, or one for each of the {heads} heads, not {beta}")
        if not 0.0 <= dropout < 1.0:
            raise ValueError(f"dropout must lie in [0, 1), not {dropout}")
        if steps < 0 or tolerance < 0:
            raise ValueError(f"steps ({steps}) and tolerance ({tolerance}) must not be negative")
        self.state_width, self.pattern_width, self.out_width = state_width, pattern_width, out_width
        self.association_width, self.heads = association_width, heads
        self.dropout, self.steps, self.tolerance, self.scores_at_once = dropout, steps, tolerance, scores_at_once
        self.eps = 1e-5

        h, a, p = heads, association_width, pattern_width
        self.query_scale = nn.Parameter(torch.ones(state_width))
        self.query_shift = nn.Parameter(torch.zeros(state_width))
        self.query_weight = nn.Parameter(torch.empty(h, a, state_width))
        self.query_bias = nn.Parameter(torch.zeros(h, a))
        self.key_scale = nn.Parameter(torch.ones(p))
        self.key_weight = nn.Parameter(torch.empty(h, a, p))
        self.key_shift = nn.Parameter(torch.zeros(p)) if steps else None
        self.key_bias = nn.Parameter(torch.zeros(h, a)) if steps else None
        self.value_scale = nn.Parameter(torch.ones(p))
        self.value_shift = nn.Parameter(torch.zeros(p))
        self.value_weight = nn.Parameter(torch.empty(h, a, p))
        self.value_bias = nn.Parameter(torch.zeros(h, a))
        self.out = nn.Linear(h * a, out_width)
        self.log_beta = nn.Parameter(torch.tensor(betas).log()) if learned_beta else None
        self.fixed_beta: Tensor
        # not in the state dict: a setting (or a start), nothing learned
        self.register_buffer("fixed_beta", torch.tensor(betas), persistent=False)
        self._normalised = _NormalisedPatterns()
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draws new weights: queries and keys so that scores spread by :data:`INITIAL_SCORE_STD`, values to keep unit
        variance."""
        # var(q . k) = a * (d sigma^2) * (p sigma^2) for unit-variance inputs
        beta = float(self.beta.detach().mean())
        width = math.sqrt(self.association_width * self.state_width * self.pattern_width)
        sigma = math.sqrt(INITIAL_SCORE_STD / (beta * width))
        nn.init.normal_(self.query_weight, std=sigma)
        nn.init.normal_(self.key_weight, std=sigma)
        nn.init.normal_(self.value_weight, std=1 / math.sqrt(self.pattern_width))
        nn.init.xavier_uniform_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    @property
    def beta(self) -> Tensor:
        """``[h]``: the inverse temperature of each head."""
        return self.fixed_beta if self.log_beta is None else self.log_beta.exp()

    def extra_repr(self) -> str:
        """One line for ``print(module)``."""
        return (
            f"states={self.state_width}, patterns={self.pattern_width}, out={self.out_width}, heads={self.heads}, "
            f"association={self.association_width}, dropout={self.dropout}, steps={self.steps}"
        )

    def forward(self, states: Tensor, patterns: Tensor, mask: Tensor | None = None, k: int = 5) -> Retrieval:
        """Retrieves one token for each state.

        Args:
            states: ``[b s d]``, any floating dtype.
            patterns: ``[n p]``, shared by all studies and never expanded over them.
            mask: bool ``[b n]``, True where a study may recall a pattern; None: all may.
            k: how many of the strongest associations to report (at most n); 0 reports none and is quicker.

        Returns:
            Retrieval: tokens ``[b s out_width]`` in the states' dtype (autocast's under autocast); indices
            ``[b s k]`` and weights ``[b s k]``: the k strongest associations averaged over heads, strongest first,
            before dropout, without gradient. A study whose patterns are all masked gets tokens of zeros (no output
            bias), weights of zeros and no gradient; its indices mean nothing. Where fewer than k patterns may be
            recalled the surplus weights are zero.
        """
        self._check(states, patterns, mask, k)
        b, s, _ = states.shape
        dtype = _core_dtype(states)
        anything, mask = _open_empty_rows(mask)
        with _autocast_off(states):
            normalised = self._normalised(patterns, dtype, self.eps)
            queries = self._queries(states, dtype)
            queries = self._settle(queries, normalised, mask, s, self.steps)
            recalled = self._recall(queries, normalised, mask, s, min(k, len(patterns)), last=True)
            total = recalled.total[..., None]
            pooled = recalled.pooled * self.value_scale.to(dtype) + total * self.value_shift.to(dtype)
            values = torch.einsum("chp,hap->cha", pooled, self.value_weight.to(dtype))
            values = (values + total * self.value_bias.to(dtype)).reshape(b, s, self.heads * self.association_width)
        if not torch.is_autocast_enabled(states.device.type):
            values = values.to(self.out.weight.dtype)
        tokens = self.out(values)
        if not torch.is_autocast_enabled(states.device.type):
            tokens = tokens.to(states.dtype)
        weights, indices = recalled.weights.reshape(b, s, -1), recalled.indices.reshape(b, s, -1)
        if anything is not None:
            tokens = torch.where(anything[:, None, None], tokens, 0)
            weights = torch.where(anything[:, None, None], weights, 0)
        return Retrieval(tokens, indices, weights)

    def associations(self, states: Tensor, patterns: Tensor, mask: Tensor | None = None) -> Tensor:
        """All associations ``[b s h n]`` of each head after the update steps, without dropout, with gradient.

        Sums to 1 over n (0 where everything is masked). Holds b*s*h*n numbers: for losses, tests and small plots.
        """
        self._check(states, patterns, mask, 0)
        b, s, _ = states.shape
        dtype = _core_dtype(states)
        anything, mask = _open_empty_rows(mask)
        with _autocast_off(states):
            normalised = self._normalised(patterns, dtype, self.eps)
            queries = self._settle(self._queries(states, dtype), normalised, mask, s, self.steps)
            scores = self._scores(self._probes(queries), normalised, _rows(mask, 0, b * s, s))
            result = scores.softmax(dim=-1).reshape(b, s, self.heads, -1)
        return result if anything is None else torch.where(anything[:, None, None, None], result, 0)

    def energy(self, states: Tensor, patterns: Tensor, mask: Tensor | None = None, steps: int = 0) -> Tensor:
        """Energy ``[b s h]`` of each state in the association space after ``steps`` update steps from its query.

        ``E(q) = -lse(beta, K q) + |q|^2 / 2 + log(n) / beta`` with ``lse(beta, z) = log(sum_i exp(beta z_i)) / beta``
        (Ramsauer et al. 2021, eq. 2, without its constant max |k_i|^2 / 2, which would need projected patterns); n
        counts the patterns that may be recalled. An update step never raises it. Infinite where everything is masked.
        """
        self._check(states, patterns, mask, 0)
        b, s, _ = states.shape
        dtype = _core_dtype(states)
        _, mask_open = _open_empty_rows(mask)
        with _autocast_off(states):
            normalised = self._normalised(patterns, dtype, self.eps)
            queries = self._settle(self._queries(states, dtype), normalised, mask_open, s, steps)
            beta = self.beta.to(dtype)
            scores = self._scores(self._probes(queries), normalised, _rows(mask, 0, b * s, s))
            # the probes leave out what all keys have in common; the energy, unlike the softmax, sees it
            common = self._keys(normalised.new_zeros(1, self.heads, self.pattern_width))
            scores = scores + (beta * (queries * common).sum(-1))[..., None]
            count = len(patterns) if mask is None else mask.sum(-1).repeat_interleave(s)[:, None]
            log_count = torch.as_tensor(count, dtype=dtype, device=states.device).log()
            energy = (log_count - scores.logsumexp(dim=-1)) / beta + queries.square().sum(-1) / 2
            energy = torch.where(torch.isnan(energy), torch.inf, energy)
        return energy.reshape(b, s, self.heads)

    def _check(self, states: Tensor, patterns: Tensor, mask: Tensor | None, k: int) -> None:
        if states.dim() != 3 or states.shape[-1] != self.state_width:
            raise ValueError(f"states must be [b s {self.state_width}], not {list(states.shape)}")
        if patterns.dim() != 2 or patterns.shape[-1] != self.pattern_width:
            raise ValueError(f"patterns must be [n {self.pattern_width}], not {list(patterns.shape)}")
        if len(patterns) == 0:
            raise ValueError("an associative memory without patterns recalls nothing: patterns is [0 p]")
        if k < 0:
            raise ValueError(f"k must not be negative, not {k}")
        if mask is not None and (mask.dtype != torch.bool or mask.shape != (len(states), len(patterns))):
            raise ValueError(
                f"mask must be bool [{len(states)} {len(patterns)}] (studies, patterns), "
                f"not {mask.dtype} {list(mask.shape)}"
            )

    def _queries(self, states: Tensor, dtype: torch.dtype) -> Tensor:
        """States ``[b s d]`` -> queries ``[(b s) h a]`` in the association space."""
        scale, shift = self.query_scale.to(dtype), self.query_shift.to(dtype)
        normalised = F.layer_norm(states.to(dtype), (self.state_width,), scale, shift, self.eps).flatten(0, 1)
        queries = torch.einsum("cd,had->cha", normalised, self.query_weight.to(dtype))
        return queries + self.query_bias.to(dtype)

    def _probes(self, queries: Tensor) -> Tensor:
        """Queries ``[c h a]`` -> probes ``[c h p]``: ``beta W_k^T q``, whose product with a pattern is its score up to
        what all patterns have in common."""
        dtype = queries.dtype
        probes = torch.einsum("cha,hap->chp", queries * self.beta.to(dtype)[:, None], self.key_weight.to(dtype))
        return probes * self.key_scale.to(dtype)

    def _keys(self, pooled: Tensor) -> Tensor:
        """Normalised patterns, or means of them, ``[c h p]`` -> keys ``[c h a]``."""
        dtype = pooled.dtype
        pooled = pooled * self.key_scale.to(dtype)
        if self.key_shift is not None:
            pooled = pooled + self.key_shift.to(dtype)
        keys = torch.einsum("chp,hap->cha", pooled, self.key_weight.to(dtype))
        return keys if self.key_bias is None else keys + self.key_bias.to(dtype)

    def _settle(self, queries: Tensor, patterns: Tensor, mask: Tensor | None, s: int, steps: int) -> Tensor:
        """Takes the further update steps; a state (and head) that has come to rest is left alone."""
        if steps == 0:
            return queries
        moving = torch.ones(queries.shape[:2], dtype=torch.bool, device=queries.device)
        for _ in range(steps):
            new = self._keys(self._recall(queries, patterns, mask, s, 0, last=False).pooled)
            step = (new - queries).detach().norm(dim=-1)
            queries = torch.where(moving[..., None], new, queries)
            moving = moving & (step > self.tolerance)
            if not torch.compiler.is_compiling() and not moving.any():
                break
        return queries

    def _recall(
        self, queries: Tensor, patterns: Tensor, mask: Tensor | None, s: int, k: int, *, last: bool
    ) -> _Recalled:
        """Pools the normalised patterns ``[n p]`` by association with queries ``[(b s) h a]``, in chunks of states."""
        probes = self._probes(queries)
        states, n = len(probes), len(patterns)
        dropout = self.dropout if last and self.training else 0.0
        graph = torch.is_grad_enabled() and (probes.requires_grad or patterns.requires_grad)
        if k == 0 and dropout == 0.0 and not graph:
            return self._fused(probes, patterns, mask, s)
        at_once = max(1, self.scores_at_once // (self.heads * n))
        parts = []
        for start in range(0, states, at_once):
            end = min(start + at_once, states)
            arguments = (probes[start:end], patterns, _rows(mask, start, end, s), dropout, k)
            if graph and states > at_once:  # keep one chunk's associations, not all
                part = _Recalled(*checkpoint(self._explicit, *arguments, use_reentrant=False))
            else:
                part = self._explicit(*arguments)
            parts.append(part)
        if len(parts) == 1:
            return parts[0]
        return _Recalled(*(torch.cat(piece) for piece in zip(*parts, strict=True)))

    def _scores(self, probes: Tensor, patterns: Tensor, mask: Tensor | None) -> Tensor:
        """Scores ``[c h n]`` of probes ``[c h p]``, -inf where a row of the mask ``[c n]`` is False."""
        c, h, p = probes.shape
        scores = (probes.reshape(c * h, p) @ patterns.T).view(c, h, -1)
        return scores if mask is None else scores.masked_fill_(~mask[:, None], -torch.inf)

    def _explicit(self, probes: Tensor, patterns: Tensor, mask: Tensor | None, dropout: float, k: int) -> _Recalled:
        """One pass that keeps the associations: for training (the fused kernel would also compute the gradient of the
        patterns, expanded over the batch where there is a mask) and wherever the strongest are asked for."""
        associations = self._scores(probes, patterns, mask).softmax(dim=-1)
        weights, indices = associations.detach().mean(dim=1).topk(k, dim=-1)
        if dropout > 0.0:
            associations = F.dropout(associations, dropout, training=True)
            total = associations.sum(dim=-1)
        else:
            total = associations.new_ones(associations.shape[:2])
        pooled = (associations.flatten(0, 1) @ patterns).view_as(probes)
        return _Recalled(pooled, total, weights, indices)

    def _fused(self, probes: Tensor, patterns: Tensor, mask: Tensor | None, s: int) -> _Recalled:
        """One call of the fused kernel, in memory that does not grow with states times patterns. States and heads are
        one query dimension; the patterns stand for every study by a stride of 0."""
        c, h, p = probes.shape
        studies = 1 if mask is None else c // s
        stored = patterns.expand(studies, 1, *patterns.shape)
        pooled = F.scaled_dot_product_attention(
            probes.reshape(studies, 1, -1, p),
            stored,
            stored,
            attn_mask=None if mask is None else mask[:, None, None],
            scale=1.0,
        ).reshape(c, h, p)
        none = probes.new_empty(c, 0)
        return _Recalled(pooled, probes.new_ones(c, h), none, none.long())


def _layer_norm(x: Tensor, eps: float) -> Tensor:
    return F.layer_norm(x, x.shape[-1:], eps=eps)


def _core_dtype(states: Tensor) -> torch.dtype:
    return torch.float64 if states.dtype == torch.float64 else torch.float32


def _autocast_off(states: Tensor) -> torch.autocast:
    return torch.autocast(states.device.type, enabled=False)


def _open_empty_rows(mask: Tensor | None) -> tuple[Tensor | None, Tensor | None]:
    """(rows with anything to recall ``[b]``, the mask with every other row opened): a softmax over nothing is NaN, and
    so would its gradient be, so such rows recall freely and their result is zeroed at the end."""
    if mask is None:
        return None, None
    anything = mask.any(dim=-1)
    return anything, mask | ~anything[:, None]


def _rows(mask: Tensor | None, start: int, end: int, s: int) -> Tensor | None:
    """The mask ``[c n]`` of states start..end, counted over studies with s states each."""
    if mask is None:
        return None
    return mask[torch.arange(start, end, device=mask.device) // s]

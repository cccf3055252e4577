"""Hopfield retrieval: the continuous Hopfield update over shared stored patterns, without projecting the patterns.

The formulas are those of Ramsauer et al., "Hopfield Networks is All You Need", ICLR 2021. With normalised patterns p_i,
normalised states s and, for each head, W_q, W_k, W_v:

    q = W_q s + b_q        k_i = W_k p_i + b_k        v_i = W_v p_i + b_v
    a_i = softmax_i(beta q . k_i)                     read: sum_i a_i v_i       update: q <- sum_i a_i k_i

Since ``beta q . W_k p_i = (beta W_k^T q) . p_i``, and ``q . b_k`` is the same for every i, the softmax can be computed
in the space of the patterns. Since ``sum_i a_i v_i = W_v (sum_i a_i p_i) + (sum_i a_i) b_v``, values are read from the
pooled pattern. So instead of n patterns, only the b*s*heads states are projected.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ammrg.memory.candidates import Candidates
from ammrg.networks.association import NUMBERS_AT_ONCE, PatternNorm, Recalled, Stored, layer_norm, recall, scores
from ammrg.networks.association_mass import association_mass
from ammrg.networks.two_step import associations_among, recall_among
from ammrg.types import Retrieval

INITIAL_SCORE_STD = 2.0
"""Standard deviation of the scores ``beta q . k_i`` of random patterns at initialisation: soft enough for gradients to
reach every pattern, sharp enough to retrieve more than the mean of the memory."""


class HopfieldRetrieval(nn.Module):
    """Retrieves one token for each state pattern from n stored patterns that all studies share.

    Args:
        state_width: d, width of the states.
        pattern_width: p, width of the stored patterns; independent of d.
        out_width: width of the retrieved tokens.
        association_width: a, width of each head's association (and value) space.
        heads: h, number of heads.
        beta: inverse temperature > 0, one number or one for each head; a larger one retrieves more sharply.
        learned_beta: train beta (its logarithm), one for each head.
        dropout: share in [0, 1) of associations dropped in training, after the softmax of the final retrieval (not in
            update steps).
        steps: further update steps of the state before the retrieval.
        tolerance: a state that moves at most this far (Euclidean, association space) in an update step is not updated
            any more. This is decided for each state and head by itself: no result depends on other studies in the
            batch.
        numbers_at_once: most association scores held at once; a larger memory is read in blocks of patterns, and in
            training again in the backward pass. The result is the same.

    With ``steps=0`` the key bias and the shift of the keys' layer-norm cancel in the softmax and have no effect. They
    are parameters only where ``steps > 0``, because they then act on the updated state.

    The patterns' layer-norm has no affine part, and is cached while the pattern tensor is frozen. The norms of keys and
    values have separate affine parts, as published; they are applied together with W_k and W_v to the probes and the
    pooled patterns.

    The association is computed in float32 (float64 for float64 input), also under autocast: a score of 40 in bfloat16
    has an error of 0.1, an association of 10%. On a GPU the run's ``float32_matmul_precision`` applies; ``high`` (TF32)
    rounds a score of 40 by up to 0.02.

    Raises:
        ValueError: sizes do not fit, at construction or at the call; the message gives both numbers.
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
        numbers_at_once: int = NUMBERS_AT_ONCE,
    ) -> None:
        super().__init__()
        sizes = {
            "state_width": state_width,
            "pattern_width": pattern_width,
            "out_width": out_width,
            "association_width": association_width,
            "heads": heads,
            "numbers_at_once": numbers_at_once,
        }
        for name, size in sizes.items():
            if not _is_count(size) or size < 1:
                raise ValueError(f"{name} must be a whole number of at least 1, not {size}")
        given = [beta] * heads if isinstance(beta, int | float) else list(beta)
        betas = [float(value) for value in given]
        if len(betas) != heads or any(isinstance(value, bool) or not 0 < value < math.inf for value in given):
            raise ValueError(f"beta must be one number > 0, or one for each of the {heads} heads, not {beta}")
        if not 0.0 <= dropout < 1.0:
            raise ValueError(f"dropout must lie in [0, 1), not {dropout}")
        if not _is_count(steps) or steps < 0:
            raise ValueError(f"steps must be a whole number of at least 0, not {steps}")
        if not tolerance >= 0:  # NaN is not
            raise ValueError(f"tolerance must be at least 0, not {tolerance}")
        self.state_width, self.pattern_width, self.out_width = state_width, pattern_width, out_width
        self.association_width, self.heads = association_width, heads
        self.dropout, self.steps, self.tolerance, self.numbers_at_once = dropout, steps, tolerance, numbers_at_once
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
        # not in the state dict, because it is not learned: it is a setting, or the start of log_beta
        self.register_buffer("fixed_beta", torch.tensor(betas), persistent=False)
        self._pattern_norm = PatternNorm()
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw new weights: scores have a spread of about :data:`INITIAL_SCORE_STD`, and values unit variance."""
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
        """The inverse temperature of each head, ``[h]``."""
        return self.fixed_beta if self.log_beta is None else self.log_beta.exp()

    def extra_repr(self) -> str:
        """Return the line that ``print(module)`` shows."""
        return (
            f"states={self.state_width}, patterns={self.pattern_width}, out={self.out_width}, heads={self.heads}, "
            f"association={self.association_width}, dropout={self.dropout}, steps={self.steps}"
        )

    def forward(
        self,
        states: Tensor,
        patterns: Tensor,
        mask: Tensor | None = None,
        k: int = 5,
        candidates: Candidates | None = None,
        bias: Tensor | None = None,
    ) -> Retrieval:
        """Retrieve one token for each state.

        Args:
            states: ``[b s d]``, any floating dtype.
            patterns: ``[n p]``, shared by all studies and never expanded over them.
            mask: bool ``[b n]``, True where a study may recall a pattern; None: all may be recalled.
            k: number of strongest associations to report (at most n); 0 reports none and is quicker.
            candidates: a search over the same patterns. Each state and head then associates only with the patterns that
                it finds, also in each update step. None: with every pattern.
            bias: added to the scores, also in each update step; of any shape that broadcasts to ``[b s h n]``.

        Returns:
            Tokens ``[b s out_width]`` in the states' dtype (autocast's under autocast); indices and weights ``[b s k]``
            of the k strongest associations, averaged over heads, strongest first, before dropout, without gradient.
            A study whose patterns are all masked gets tokens of zeros (no output bias), weights of zeros and no
            gradient; its indices are meaningless. Where fewer than k patterns may be recalled, the surplus weights are
            zero.
        """
        self._check(states, patterns, mask, k)
        dtype = _core_dtype(states)
        anything, mask = _open_empty_rows(mask)
        with _autocast_off(states):
            stored = self._stored(patterns, dtype, bias)
            queries = self._settle(self._queries(states, dtype), stored, mask, self.steps, candidates)
            dropout = self.dropout if self.training else 0.0
            recalled = self._recall(queries, stored, mask, candidates, k=min(k, len(patterns)), dropout=dropout)
            total = recalled.total[..., None]
            pooled = recalled.pooled * self.value_scale.to(dtype) + total * self.value_shift.to(dtype)
            values = torch.einsum("bshp,hap->bsha", pooled, self.value_weight.to(dtype))
            values = (values + total * self.value_bias.to(dtype)).flatten(2)
        autocast = torch.is_autocast_enabled(states.device.type)
        tokens = self.out(values if autocast else values.to(self.out.weight.dtype))
        if not autocast:
            tokens = tokens.to(states.dtype)
        weights = recalled.weights
        if anything is not None:
            tokens = torch.where(anything[:, None, None], tokens, 0)
            weights = torch.where(anything[:, None, None], weights, 0)
        return Retrieval(tokens, recalled.indices, weights)

    def associations(
        self,
        states: Tensor,
        patterns: Tensor,
        mask: Tensor | None = None,
        candidates: Candidates | None = None,
        bias: Tensor | None = None,
    ) -> Tensor:
        """Compute all associations of each head after the update steps, without dropout, with gradient.

        The result has b*s*h*n numbers: use it for losses, tests and small plots. Arguments are as in :meth:`forward`.

        Returns:
            ``[b s h n]``; its sum over n is 1, or 0 where every pattern is masked. With ``candidates``, associations
            with all other patterns are 0.
        """
        self._check(states, patterns, mask, 0)
        anything, mask = _open_empty_rows(mask)
        if candidates is None:
            _, found = self._settled_scores(states, patterns, mask, self.steps, bias)
            result = found.softmax(dim=-1)
        else:
            dtype, limit = _core_dtype(states), self.numbers_at_once
            with _autocast_off(states):
                stored = self._stored(patterns, dtype, bias)
                queries = self._settle(self._queries(states, dtype), stored, mask, self.steps, candidates)
                probes = self._probes(queries)
                result = associations_among(probes, stored, mask, candidates, numbers_at_once=limit)
        return result if anything is None else torch.where(anything[:, None, None, None], result, 0)

    def mass(
        self,
        states: Tensor,
        patterns: Tensor,
        wanted: Tensor,
        mask: Tensor | None = None,
        candidates: Candidates | None = None,
    ) -> Tensor:
        """Sum :meth:`associations` over the wanted patterns, bool ``[b n]``, without holding them: ``[b s h]``.

        Patterns get no gradient. Further arguments are as in :meth:`forward`.
        """
        if candidates is not None:
            return (self.associations(states, patterns, mask, candidates) * wanted[:, None, None]).sum(dim=-1)
        self._check(states, patterns, mask, 0)
        _, opened = _open_empty_rows(mask)
        wanted = wanted if mask is None else wanted & mask  # nothing in a row that was opened
        dtype = _core_dtype(states)
        with _autocast_off(states):
            stored = self._stored(patterns, dtype, None)
            queries = self._settle(self._queries(states, dtype), stored, opened, self.steps)
            every = stored.block(0, len(patterns))
            return association_mass(self._probes(queries), every, opened, wanted, self.numbers_at_once)

    def similarities(self, patterns: Tensor, rows: Tensor) -> Tensor:
        """Compare patterns ``[n p]`` of some rows (int64 ``[r]``) with all: cosines after the layer norm, ``[r n]``."""
        n, p = patterns.shape
        stored = self._pattern_norm(patterns, _core_dtype(patterns), self.eps)
        chosen = F.normalize(layer_norm(patterns[rows].to(stored.dtype), self.eps), dim=-1)
        step = max(1, self.numbers_at_once // p)
        blocks = (stored.block(start, min(start + step, n)) for start in range(0, n, step))
        return torch.cat([chosen @ F.normalize(block, dim=-1).T for block in blocks], dim=-1)

    def exchange(self, associations: Tensor, patterns: Tensor, rows: Tensor, others: Tensor) -> Tensor:
        """Compute how the tokens of a study change if some patterns had the value of another pattern.

        Keys stay as they are, and so do all associations. A token is linear in the pooled pattern, so for patterns p_i
        with associations a_i, in each head, and the other pattern r, its change is exactly

            W_out concat_h(W_v,h (value_scale * sum_i a_i,h (r - p_i)))        without biases.

        Args:
            associations: ``[s h n]``, the study's part of :meth:`associations`.
            patterns: ``[n p]``.
            rows: int64 ``[g]``, the patterns p_i, all exchanged together.
            others: int64 ``[m]``, the patterns r, one after the other.

        Returns:
            ``[m s out_width]``, in the dtype of the output's weights.
        """
        dtype = associations.dtype
        with _autocast_off(associations):
            scale, weight = self.value_scale.to(dtype), self.value_weight.to(dtype)
            taken, given = (layer_norm(patterns[each].to(dtype), self.eps) * scale for each in (rows, others))
            shares = associations[..., rows]  # [s h g]
            lost = torch.einsum("shp,hap->sha", shares @ taken, weight)
            gained = torch.einsum("mp,hap->mha", given, weight)
            values = shares.sum(dim=-1, keepdim=True) * gained[:, None] - lost  # [m s h a]
            return F.linear(values.flatten(2).to(self.out.weight.dtype), self.out.weight)

    def energy(
        self,
        states: Tensor,
        patterns: Tensor,
        mask: Tensor | None = None,
        steps: int = 0,
        bias: Tensor | None = None,
    ) -> Tensor:
        """Compute the energy of each state in the association space after ``steps`` update steps.

        ``E(q) = -lse(beta, K q) + |q|^2 / 2 + log(n) / beta`` with ``lse(beta, z) = log(sum_i exp(beta z_i)) / beta``
        (Ramsauer et al. 2021, eq. 2, without the constant max |k_i|^2 / 2, which would need projected patterns); n
        counts the patterns that may be recalled. With a bias b, ``lse(beta, z) = log(sum_i exp(beta z_i + b_i)) /
        beta``. An update step never raises the energy.

        Returns:
            ``[b s h]``; infinite where every pattern is masked.
        """
        self._check(states, patterns, mask, 0)
        anything, mask = _open_empty_rows(mask)
        queries, found = self._settled_scores(states, patterns, mask, steps, bias)
        with _autocast_off(states):
            beta = self.beta.to(queries.dtype)
            # the scores leave out the part that all keys have in common; it matters for the energy, not for the softmax
            common = self._keys(queries.new_zeros(1, 1, self.heads, self.pattern_width))
            found = found + (beta * (queries * common).sum(-1))[..., None]
            count = torch.full((len(states),), len(patterns)) if mask is None else mask.sum(-1)
            log_count = count.to(queries).log()[:, None, None]
            energy = (log_count - found.logsumexp(dim=-1)) / beta + queries.square().sum(-1) / 2
        return energy if anything is None else torch.where(anything[:, None, None], energy, torch.inf)

    def _settled_scores(
        self, states: Tensor, patterns: Tensor, mask: Tensor | None, steps: int, bias: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """Compute queries ``[b s h a]`` after ``steps`` update steps, and their scores ``[b s h n]``."""
        dtype = _core_dtype(states)
        with _autocast_off(states):
            stored = self._stored(patterns, dtype, bias)
            queries = self._settle(self._queries(states, dtype), stored, mask, steps)
            return queries, scores(self._probes(queries), stored.block(0, len(patterns)), mask, stored.bias)

    def _stored(self, patterns: Tensor, dtype: torch.dtype, bias: Tensor | None) -> Stored:
        return self._pattern_norm(patterns, dtype, self.eps)._replace(bias=None if bias is None else bias.to(dtype))

    def _check(self, states: Tensor, patterns: Tensor, mask: Tensor | None, k: int) -> None:
        if states.dim() != 3 or states.shape[-1] != self.state_width:
            raise ValueError(f"states must be [b s {self.state_width}], not {list(states.shape)}")
        if patterns.dim() != 2 or patterns.shape[-1] != self.pattern_width:
            raise ValueError(f"patterns must be [n {self.pattern_width}], not {list(patterns.shape)}")
        if len(patterns) == 0:
            raise ValueError("nothing can be recalled from a memory without patterns: patterns is [0 p]")
        if k < 0:
            raise ValueError(f"k must be at least 0, not {k}")
        if mask is not None and (mask.dtype != torch.bool or mask.shape != (len(states), len(patterns))):
            raise ValueError(
                f"mask must be bool [{len(states)} {len(patterns)}] (studies, patterns), "
                f"not {mask.dtype} {list(mask.shape)}"
            )

    def _queries(self, states: Tensor, dtype: torch.dtype) -> Tensor:
        """Map states ``[b s d]`` to queries ``[b s h a]`` in the association space."""
        scale, shift = self.query_scale.to(dtype), self.query_shift.to(dtype)
        normalised = F.layer_norm(states.to(dtype), (self.state_width,), scale, shift, self.eps)
        queries = torch.einsum("bsd,had->bsha", normalised, self.query_weight.to(dtype))
        return queries + self.query_bias.to(dtype)

    def _probes(self, queries: Tensor) -> Tensor:
        """Map queries ``[b s h a]`` to probes ``[b s h p]``: ``beta W_k^T q``.

        The product of a probe and a pattern is the pattern's score, up to a constant that all patterns share.
        """
        dtype = queries.dtype
        probes = torch.einsum("bsha,hap->bshp", queries * self.beta.to(dtype)[:, None], self.key_weight.to(dtype))
        return probes * self.key_scale.to(dtype)

    def _keys(self, pooled: Tensor) -> Tensor:
        """Map normalised patterns, or means of them, ``[b s h p]`` to keys ``[b s h a]``."""
        dtype = pooled.dtype
        pooled = pooled * self.key_scale.to(dtype)
        if self.key_shift is not None:
            pooled = pooled + self.key_shift.to(dtype)
        keys = torch.einsum("bshp,hap->bsha", pooled, self.key_weight.to(dtype))
        return keys if self.key_bias is None else keys + self.key_bias.to(dtype)

    def _recall(
        self,
        queries: Tensor,
        stored: Stored,
        mask: Tensor | None,
        candidates: Candidates | None,
        k: int = 0,
        dropout: float = 0.0,
    ) -> Recalled:
        probes, limit = self._probes(queries), self.numbers_at_once
        if candidates is None:
            return recall(probes, stored, mask, k=k, dropout=dropout, numbers_at_once=limit)
        return recall_among(probes, stored, mask, candidates, k=k, dropout=dropout, numbers_at_once=limit)

    def _settle(
        self, queries: Tensor, stored: Stored, mask: Tensor | None, steps: int, candidates: Candidates | None = None
    ) -> Tensor:
        """Take the update steps; a state of a head that has settled is not updated any more."""
        if steps == 0:
            return queries
        moving = torch.ones(queries.shape[:3], dtype=torch.bool, device=queries.device)
        for _ in range(steps):
            new = self._keys(self._recall(queries, stored, mask, candidates).pooled)
            step = (new - queries).detach().norm(dim=-1)
            queries = torch.where(moving[..., None], new, queries)
            moving = moving & (step > self.tolerance)
            if not torch.compiler.is_compiling() and not moving.any():
                break
        return queries


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _core_dtype(states: Tensor) -> torch.dtype:
    return torch.float64 if states.dtype == torch.float64 else torch.float32


def _autocast_off(states: Tensor) -> torch.autocast:
    return torch.autocast(states.device.type, enabled=False)


def _open_empty_rows(mask: Tensor | None) -> tuple[Tensor | None, Tensor | None]:
    """Find the rows of a mask ``[b n]`` that allow no pattern, and allow every pattern there.

    A softmax over nothing, and its gradient, would be NaN. So these rows recall from all patterns, and the caller sets
    their result to zero.

    Returns:
        (rows that may recall something, bool ``[b]``; the opened mask). (None, None) without a mask.
    """
    if mask is None:
        return None, None
    anything = mask.any(dim=-1)
    return anything, mask | ~anything[:, None]

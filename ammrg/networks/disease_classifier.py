"""The network of stage 1: encoder, Q-Former, and a head that reads finding i from query i."""

from __future__ import annotations

import itertools
import math
from abc import abstractmethod
from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ammrg.errors import SettingsError
from ammrg.findings import NO_FINDING, NUM_FINDINGS
from ammrg.networks.disease_qformer import DiseaseQFormer
from ammrg.networks.visual_encoder import VisualEncoder

HeadKind = Literal["per_query", "untied", "pooled"]
StudyViews = Literal["max", "mean"]


class Classification(NamedTuple):
    """All that stage 1 says about films. ``e``: width of the encoder's tokens; ``q`` as a width: the Q-Former's."""

    logits: Tensor
    """``[v 14]``."""
    queries: Tensor
    """Q_f ``[v 14 q]``."""
    tokens: Tensor
    """``[v n q]``: projected tokens, in one space with the queries."""
    raw_tokens: Tensor
    """``[v n e]``: the encoder's."""
    grid: tuple[int, int]
    """``(gh, gw)`` with gh * gw = n."""
    attention: Tensor | None = None
    """``[v 14 n]``, where asked for: mean cross-attention of each query."""

    def take(self, films: Tensor) -> Classification:
        """Some of the films: int64 ``[m]``."""
        attention = None if self.attention is None else self.attention[films]
        return Classification(
            self.logits[films], self.queries[films], self.tokens[films], self.raw_tokens[films], self.grid, attention
        )


class PerQueryHead(nn.Module):
    """Logit i = w_i . Q_f[i] + b_i: query i answers for finding i alone. Where w_i comes from is a subclass's.

    Attributes:
        query_scale: at which the disease queries are drawn. The Q-Former normalises them at its entry.
    """

    query_scale: float

    def __init__(self) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(NUM_FINDINGS))

    @abstractmethod
    def weights(self, disease_queries: Tensor) -> Tensor:
        """w, for disease queries ``[14 q]``: ``[14 q]``."""

    def start_at(self, prevalence: Tensor, learnt: Tensor | None = None) -> Tensor:
        """Begin with every film at the share of positives (Lin et al. 2017, "Focal loss", prior of the bias): a bias
        moves by the learning rate a step, and would take a thousand steps to a rare finding's.

        Args:
            prevalence: ``[14]``, among the studies to come.
            learnt: ``[14]``, among those this head was trained on; then its bias moves by the difference in log odds
                (Saerens et al. 2002, eq. 2.4), and films keep their order. None for a new head.

        Returns:
            By how much the bias ``[14]`` was moved.
        """
        before = self.bias.detach().clone()
        with torch.no_grad():
            self.bias.copy_(log_odds(prevalence) + (0 if learnt is None else before - log_odds(learnt)))
        return self.bias.detach() - before

    def forward(self, queries: Tensor, disease_queries: Tensor) -> Tensor:
        """What the queries found ``[v 14 q]``, and the queries themselves ``[14 q]`` -> ``[v 14]``."""
        return torch.einsum("viq,iq->vi", queries, self.weights(disease_queries)) + self.bias


class TiedHead(PerQueryHead):
    """w_i = M LN(q_i) / q: an answer is read with what its query asked for. Finding i then is nowhere but in query i.

    Args:
        width: q. M is q times q, shared by all findings. It and the queries are drawn at unit scale, so that behind the
            division a step of Adam moves w_i by about the learning rate, as it would move weights of their own; where
            it moved them many times as far, maps were worse.
    """

    query_scale = 1.0

    def __init__(self, width: int) -> None:
        super().__init__()
        self.reading = nn.Parameter(torch.randn(width, width))

    def weights(self, disease_queries: Tensor) -> Tensor:
        """The length of a query means as little here as in the Q-Former."""
        width = disease_queries.shape[1]
        return F.layer_norm(disease_queries, (width,)) @ self.reading / width


class UntiedHead(PerQueryHead):
    """w_i is a row of its own. It learns to read its finding from whatever query stands there, since the average of a
    film's tokens already tells most."""

    query_scale = 0.02  # BERT's

    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(NUM_FINDINGS, width) * width**-0.5)

    def weights(self, disease_queries: Tensor) -> Tensor:
        """The same for all queries."""
        return self.weight


def log_odds(share: Tensor) -> Tensor:
    """Of shares of positives ``[14]``, none of which is taken for 0 or 1."""
    share = share.clamp(0.002, 0.998)
    return (share / (1 - share)).log()


class PooledHead(nn.Module):
    """The published head: the 14 outputs are averaged, then 14 perceptrons (384, 48, 48) give two logits each.

    Cross entropy of two logits is binary cross entropy of their difference, which is what is returned.
    """

    query_scale = 0.02  # BERT's
    hidden: tuple[int, ...] = (384, 48, 48)

    def __init__(self, width: int) -> None:
        super().__init__()
        self.heads = nn.ModuleList(self._perceptron(width) for _ in range(NUM_FINDINGS))

    def _perceptron(self, width: int) -> nn.Sequential:
        layers: list[nn.Module] = []
        for inside, outside in itertools.pairwise((width, *self.hidden)):
            layers += [nn.Linear(inside, outside), nn.ReLU()]
        return nn.Sequential(*layers, nn.Linear(self.hidden[-1], 2))

    def forward(self, queries: Tensor, disease_queries: Tensor) -> Tensor:
        """``[v 14 q]`` -> ``[v 14]``; the disease queries themselves are not looked at."""
        pooled = queries.mean(dim=1)
        pairs = torch.stack([head(pooled) for head in self.heads], dim=1)  # [v 14 2]
        return pairs[..., 1] - pairs[..., 0]


HEADS: dict[HeadKind, type[TiedHead | UntiedHead | PooledHead]] = {
    "per_query": TiedHead,
    "untied": UntiedHead,
    "pooled": PooledHead,
}


class DiseaseClassifier(nn.Module):
    """Films -> logits of 14 findings, with the tokens and queries they came from.

    Args:
        encoder: arguments of :class:`VisualEncoder`.
        qformer: arguments of :class:`DiseaseQFormer` but ``encoder_width`` and ``query_scale``, which is the head's.
        head: ``per_query`` (query i predicts finding i, see :class:`TiedHead`), ``untied`` (the same, see
            :class:`UntiedHead`) or ``pooled`` (the published form, see :class:`PooledHead`).
        views: how the films of a study make one prediction, see :func:`study_logits`.

    Attributes:
        thresholds: float32 ``[14]`` probabilities above which a finding counts as predicted; 0.5 until chosen on
            validation. Part of the state dict.

    Raises:
        SettingsError: an unknown head or form of views, and what the parts raise.
    """

    thresholds: Tensor

    def __init__(
        self,
        encoder: Mapping[str, Any],
        qformer: Mapping[str, Any],
        head: HeadKind = "per_query",
        views: StudyViews = "max",
    ) -> None:
        super().__init__()
        if head not in HEADS:
            raise SettingsError(f"head: found {head!r}, must be one of {', '.join(HEADS)}.")
        self.encoder = VisualEncoder(**encoder)
        self.qformer = DiseaseQFormer(self.encoder.token_width, query_scale=HEADS[head].query_scale, **qformer)
        self.head = HEADS[head](self.qformer.width)
        self._head_kind: HeadKind = head
        self.views: StudyViews = views
        study_logits(torch.zeros(1, NUM_FINDINGS), torch.zeros(1, dtype=torch.int64), 1, views)  # refuses the unknown
        self.register_buffer("thresholds", torch.full((NUM_FINDINGS,), 0.5))

    @property
    def config(self) -> dict[str, Any]:
        """JSON-able primitives; :meth:`from_config` builds the same network from them, without a hub."""
        return {
            "encoder": self.encoder.config,
            "qformer": dict(self.qformer.config),
            "head": self._head_kind,
            "views": self.views,
        }

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> DiseaseClassifier:
        """The network that :attr:`config` describes, weights untrained."""
        return cls(**config)

    @property
    def width(self) -> int:
        """Width of queries, projected tokens, and so of states and stored visual patterns."""
        return self.qformer.width

    @property
    def finding_weights(self) -> Tensor:
        """``[14 q]``: what finding i is read with, from what query i found and from projected tokens.

        Raises:
            SettingsError: head ``pooled``, which has none.
        """
        if not isinstance(self.head, PerQueryHead):
            raise SettingsError(
                f"head {self._head_kind} reads no single query or token; this needs head per_query or untied."
            )
        return self.head.weights(self.qformer.disease_queries)

    @property
    def layers(self) -> list[nn.Module]:
        """What may be computed one at a time, from all its weights: the backbone's layers (transformers names what it
        never splits over devices) and the Q-Former's."""
        backbone = self.encoder.backbone
        whole = backbone._no_split_modules or ()
        found = [part for part in backbone.modules() if type(part).__name__ in whole]
        return [*found, *self.qformer.qformer.encoder.layer]

    def forward(self, images: Tensor, output_attentions: bool = False) -> Classification:
        """uint8 films ``[v 1 h w]`` -> everything stage 1 says about them."""
        tokens, grid = self.encoder(images)
        return self.classify(tokens, grid, output_attentions)

    def classify(self, tokens: Tensor, grid: tuple[int, int], output_attentions: bool = False) -> Classification:
        """The part after the encoder: tokens ``[v n e]`` -> Classification."""
        found = self.qformer(tokens, grid, output_attentions)
        logits = self.head(found.queries, self.qformer.disease_queries)
        return Classification(logits, found.queries, found.projected_tokens, tokens, grid, found.attentions)

    def study_logits(self, logits: Tensor, study_of_view: Tensor, studies: int) -> Tensor:
        """Logits of films ``[v 14]`` -> of their studies ``[b 14]``, the way this network was trained."""
        return study_logits(logits, study_of_view, studies, self.views)


def token_evidence(tokens: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """What the tokens say without any query: projected tokens ``[v n q]`` -> logits ``[v 14]``.

    Each token is read with :attr:`DiseaseClassifier.finding_weights` ``[14 q]``, and a film's evidence is the log of
    the mean of the exponentials over its tokens (Pinheiro and Collobert 2015): at first the bias, whatever the grid. A
    loss on it teaches the encoder small signs long before cross-attention, which starts out as an average over the
    film, has found them, and puts tokens and queries under one reading: the space in which memories are later
    compared.
    """
    scores = torch.einsum("vnq,iq->vni", tokens, weight)
    return scores.logsumexp(dim=1) - math.log(tokens.shape[1]) + bias


def study_logits(logits: Tensor, study_of_view: Tensor, studies: int, how: StudyViews = "max") -> Tensor:
    """Logits of films ``[v 14]`` -> of their studies ``[b 14]``.

    ``max``: the film that shows most speaks: the maximum over a study's films for the 13 abnormal findings, and the
    minimum for "No Finding", which only a study without any abnormal film has. ``mean``: the average.
    """
    index = study_of_view.unsqueeze(1).expand_as(logits)
    if how == "mean":
        sums = logits.new_zeros(studies, logits.shape[1]).index_add(0, study_of_view, logits)
        counts = torch.bincount(study_of_view, minlength=studies).clamp(min=1).unsqueeze(1)
        return sums / counts
    if how != "max":
        raise SettingsError(f"views of a study: found {how!r}, must be max or mean.")
    sign = torch.ones(logits.shape[1], device=logits.device, dtype=logits.dtype)
    sign[NO_FINDING] = -1
    start = logits.new_full((studies, logits.shape[1]), -torch.inf)
    return start.scatter_reduce(0, index, logits * sign, "amax") * sign

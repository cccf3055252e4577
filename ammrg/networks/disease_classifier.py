"""The network of stage 1: encoder, Q-Former, and a head that predicts finding i from query i."""

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
from ammrg.networks.backbone import whole_parts
from ammrg.networks.disease_qformer import DiseaseQFormer
from ammrg.networks.places import PlaceHead, PlaceSource, tokens_of_findings
from ammrg.networks.visual_encoder import VisualEncoder

HeadKind = Literal["per_query", "untied", "pooled"]
StudyViews = Literal["max", "mean"]


class Classification(NamedTuple):
    """The output of stage 1 for films. Widths: ``e`` of the encoder's tokens, ``q`` of the Q-Former."""

    logits: Tensor
    """``[v 14]``."""
    queries: Tensor
    """Q_f ``[v 14 q]``."""
    tokens: Tensor
    """``[v n q]``: projected tokens, in the same space as the queries."""
    raw_tokens: Tensor
    """``[v n e]``: the encoder's tokens."""
    grid: tuple[int, int]
    """``(gh, gw)`` with gh * gw = n."""
    attention: Tensor | None = None
    """``[v 14 n]``: mean cross-attention of each query; None where it was not requested."""
    places: Tensor | None = None
    """``[v 14 5]``: logits of the places of findings (:mod:`ammrg.networks.places`); None without a head of places."""

    def take(self, films: Tensor) -> Classification:
        """Return the output for some of the films (rows, int64 ``[m]``)."""
        attention, places = (None if each is None else each[films] for each in (self.attention, self.places))
        queries, tokens, raw_tokens = (each[films] for each in (self.queries, self.tokens, self.raw_tokens))
        return Classification(self.logits[films], queries, tokens, raw_tokens, self.grid, attention, places)


class PerQueryHead(nn.Module):
    """A head with logit i = w_i . Q_f[i] + b_i: query i predicts finding i only. Subclasses define w_i.

    Attributes:
        query_scale: standard deviation of the disease queries at the start. The Q-Former normalises them at its input.
    """

    query_scale: float

    def __init__(self) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(NUM_FINDINGS))

    @abstractmethod
    def weights(self, disease_queries: Tensor) -> Tensor:
        """Return the weights w ``[14 q]``, given the disease queries ``[14 q]``."""

    def start_at(self, prevalence: Tensor, learnt: Tensor | None = None) -> Tensor:
        """Set the bias so that training starts at the prevalence of each finding (Lin et al. 2017, "Focal loss").

        Training alone would move the bias by about the learning rate per step, and take a thousand steps to reach that
        of a rare finding.

        Args:
            prevalence: ``[14]``, share of positives among the studies to be trained on.
            learnt: ``[14]``, share of positives among the studies that this head was trained on before. The bias then
                moves by the difference in log odds (Saerens et al. 2002, eq. 2.4), which keeps the order of films. None
                for a new head.

        Returns:
            The change of the bias, ``[14]``.
        """
        before = self.bias.detach().clone()
        with torch.no_grad():
            self.bias.copy_(log_odds(prevalence) + (0 if learnt is None else before - log_odds(learnt)))
        return self.bias.detach() - before

    def forward(self, queries: Tensor, disease_queries: Tensor) -> Tensor:
        """Compute logits ``[v 14]`` from Q_f ``[v 14 q]`` and the disease queries ``[14 q]``."""
        return torch.einsum("viq,iq->vi", queries, self.weights(disease_queries)) + self.bias


class TiedHead(PerQueryHead):
    """A head whose weights come from the disease queries: w_i = M LN(q_i) / q, with M ``[q q]`` shared by all findings.

    So only query i can say what finding i is. M and the queries are drawn at unit scale. After the division by q, a
    step of Adam then moves w_i by about the learning rate, as it would move free weights; where it moved them much
    further, maps were worse.

    Args:
        width: q.
    """

    query_scale = 1.0

    def __init__(self, width: int) -> None:
        super().__init__()
        self.reading = nn.Parameter(torch.randn(width, width))

    def weights(self, disease_queries: Tensor) -> Tensor:
        """Return the weights; layer-norm removes the length of a query, as the Q-Former does."""
        width = disease_queries.shape[1]
        return F.layer_norm(disease_queries, (width,)) @ self.reading / width


class UntiedHead(PerQueryHead):
    """A head with free weights w_i for each finding.

    Such a head learns to predict its finding from any query in its place, because even the average of a film's tokens
    says most about it.

    Args:
        width: q.
    """

    query_scale = 0.02  # BERT's

    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(NUM_FINDINGS, width) * width**-0.5)

    def weights(self, disease_queries: Tensor) -> Tensor:
        """Return the weights, which do not depend on the queries."""
        return self.weight


def log_odds(share: Tensor) -> Tensor:
    """Compute the log odds of shares ``[14]``, which are first limited to [0.002, 0.998]."""
    share = share.clamp(0.002, 0.998)
    return (share / (1 - share)).log()


class PooledHead(nn.Module):
    """The published head: the 14 outputs are averaged, then 14 perceptrons (384, 48, 48) give two logits each.

    Cross entropy of two logits is binary cross entropy of their difference, and this difference is returned.

    Args:
        width: q.
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
        """Compute logits ``[v 14]`` from Q_f ``[v 14 q]``; the disease queries themselves are not used."""
        pooled = queries.mean(dim=1)
        pairs = torch.stack([head(pooled) for head in self.heads], dim=1)  # [v 14 2]
        return pairs[..., 1] - pairs[..., 0]


HEADS: dict[HeadKind, type[TiedHead | UntiedHead | PooledHead]] = {
    "per_query": TiedHead,
    "untied": UntiedHead,
    "pooled": PooledHead,
}


class DiseaseClassifier(nn.Module):
    """The network of stage 1: films -> logits of 14 findings, with the tokens and queries that they come from.

    Args:
        encoder: arguments of :class:`VisualEncoder`.
        qformer: arguments of :class:`DiseaseQFormer` except ``encoder_width`` and ``query_scale``.
        head: ``per_query`` (:class:`TiedHead`), ``untied`` (:class:`UntiedHead`) or ``pooled`` (as published,
            :class:`PooledHead`).
        views: how the films of a study give one prediction, see :func:`study_logits`.
        places: what the side and level of each finding are read from (:class:`ammrg.networks.places.PlaceHead`):
            ``queries``, Q_f; ``tokens``, :func:`ammrg.networks.places.tokens_of_findings`; True is ``queries``, as
            earlier versions wrote it. None: no places.

    Attributes:
        thresholds: float32 ``[14]``: probabilities above which a finding counts as predicted; 0.5 until they are chosen
            on validation. Part of the state dict.

    Raises:
        SettingsError: an unknown ``head`` or ``views``, or an error in the settings of a part.
    """

    thresholds: Tensor

    def __init__(
        self,
        encoder: Mapping[str, Any],
        qformer: Mapping[str, Any],
        head: HeadKind = "per_query",
        views: StudyViews = "max",
        places: PlaceSource | Literal[True] | None = None,
    ) -> None:
        super().__init__()
        if head not in HEADS:
            raise SettingsError(f"head: found {head!r}, must be one of {', '.join(HEADS)}.")
        self.encoder = VisualEncoder(**encoder)
        self.qformer = DiseaseQFormer(self.encoder.token_width, query_scale=HEADS[head].query_scale, **qformer)
        self.head = HEADS[head](self.qformer.width)
        self._head_kind: HeadKind = head
        self.views: StudyViews = views
        study_logits(torch.zeros(1, NUM_FINDINGS), torch.zeros(1, dtype=torch.int64), 1, views)  # refuses unknown views
        self.places_from: PlaceSource | None = "queries" if places is True else places or None
        if self.places_from == "tokens" and not isinstance(self.head, PerQueryHead):
            raise SettingsError(
                f"places_from: tokens needs the weights of a head per query, but the head is {head}; set places_from "
                "to queries, or head to per_query or untied."
            )
        self.place_head = PlaceHead(self.qformer.width) if self.places_from else None
        self.register_buffer("thresholds", torch.full((NUM_FINDINGS,), 0.5))

    @property
    def config(self) -> dict[str, Any]:
        """The settings as JSON values; :meth:`from_config` builds the same network from them, without a hub."""
        return {
            "encoder": self.encoder.config,
            "qformer": dict(self.qformer.config),
            "head": self._head_kind,
            "views": self.views,
            # not named where it is off: such networks are those of earlier versions
            **({} if self.places_from is None else {"places": True if self.places_from == "queries" else "tokens"}),
        }

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> DiseaseClassifier:
        """Build the network that :attr:`config` describes, with untrained weights."""
        return cls(**config)

    @property
    def width(self) -> int:
        """q: the width of queries and projected tokens, and so of states and stored region patterns."""
        return self.qformer.width

    @property
    def finding_weights(self) -> Tensor:
        """The weights of the head, ``[14 q]``: row i predicts finding i from Q_f[i] and from projected tokens.

        Raises:
            SettingsError: the head is ``pooled``, which has no such weights.
        """
        if not isinstance(self.head, PerQueryHead):
            raise SettingsError(
                f"head {self._head_kind} has no weights for single queries or tokens; use head per_query or untied."
            )
        return self.head.weights(self.qformer.disease_queries)

    @property
    def layers(self) -> list[nn.Module]:
        """The layers whose weights may be gathered one layer at a time: those of the backbone and of the Q-Former.

        The backbone's are the modules that transformers never splits over devices.
        """
        return [*whole_parts(self.encoder.backbone), *self.qformer.qformer.encoder.layer]

    def forward(self, images: Tensor, output_attentions: bool = False) -> Classification:
        """Classify films, uint8 ``[v 1 h w]``."""
        tokens, grid = self.encoder(images)
        return self.classify(tokens, grid, output_attentions)

    def classify(self, tokens: Tensor, grid: tuple[int, int], output_attentions: bool = False) -> Classification:
        """Classify films from the encoder's tokens ``[v n e]`` on their grid."""
        found = self.qformer(tokens, grid, output_attentions)
        logits = self.head(found.queries, self.qformer.disease_queries)
        places = self._places(found.queries, found.projected_tokens)
        return Classification(logits, found.queries, found.projected_tokens, tokens, grid, found.attentions, places)

    def _places(self, queries: Tensor, tokens: Tensor) -> Tensor | None:
        """Logits of the places of findings ``[v 14 5]`` from Q_f ``[v 14 q]`` or projected tokens ``[v n q]``."""
        if self.place_head is None:
            return None
        read = queries if self.places_from == "queries" else tokens_of_findings(tokens, self.finding_weights)
        places: Tensor = self.place_head(read)
        return places

    def study_logits(self, logits: Tensor, study_of_view: Tensor, studies: int) -> Tensor:
        """Combine logits of films ``[v 14]`` to those of studies ``[b 14]``, as in this network's training."""
        return study_logits(logits, study_of_view, studies, self.views)


def token_evidence(tokens: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Compute logits from the tokens alone, without any query.

    Each token is scored with the head's weights; a film's logit is the log of the mean of the exponentials over its
    tokens (Pinheiro and Collobert 2015), plus the bias. At the start of training it is about the bias, for any grid.

    A loss on these logits teaches the encoder small signs early. Cross-attention begins as an average over the film,
    and finds small signs much later. The loss also brings tokens and queries into one space, in which memories are
    later compared.

    Args:
        tokens: projected tokens ``[v n q]``.
        weight: :attr:`DiseaseClassifier.finding_weights`, ``[14 q]``.
        bias: of the head, ``[14]``.

    Returns:
        ``[v 14]``.
    """
    scores = torch.einsum("vnq,iq->vni", tokens, weight)
    return scores.logsumexp(dim=1) - math.log(tokens.shape[1]) + bias


def study_logits(logits: Tensor, study_of_view: Tensor, studies: int, how: StudyViews = "max") -> Tensor:
    """Combine the logits of films to those of their studies.

    Args:
        logits: of films, ``[v 14]``.
        study_of_view: int64 ``[v]``, the row of each film's study.
        studies: b, the number of studies.
        how: ``max`` takes the maximum over a study's films for the 13 abnormal findings, and the minimum for "No
            Finding", because one abnormal film makes the study abnormal. ``mean`` takes the average.

    Returns:
        ``[b 14]``.

    Raises:
        SettingsError: ``how`` is another word.
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

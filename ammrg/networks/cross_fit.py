"""Cross-fitting: in stage 2, films of training studies are read by networks that never saw their patients.

A stage 1 that has fitted its training films says of them nearly what their labels say, and a language model that learns
from that trusts what fails on new films. With k folds of the patients, k networks are trained, each without one fold,
and each reads the fold it has not seen (Chernozhukov et al. 2018, "Double/debiased machine learning"). Each has a space
of its own, so an affine map by least squares brings what it says into the space of the network that was trained on all,
which reads everything else. A map is fitted on films of the other folds, logits are made alike on validation films: a
training study has no part in how it is read.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, cast

import torch
from torch import Tensor, nn

from ammrg.findings import NUM_FINDINGS
from ammrg.folds import fold_of
from ammrg.networks.disease_classifier import Classification, DiseaseClassifier
from ammrg.networks.visual_prompt import SeenFilms


class AffineFit:
    """Ridge regression of ``g`` groups at once, ``y ~ x W + b``, from sums in float64: rows come in any number of
    parts and are not kept.

    Args:
        groups: regressions side by side.
        width: of x. out_width: of y.
    """

    def __init__(self, groups: int, width: int, out_width: int) -> None:
        self.count = 0
        self.x = torch.zeros(groups, width, dtype=torch.float64)
        self.y = torch.zeros(groups, out_width, dtype=torch.float64)
        self.xx = torch.zeros(groups, width, width, dtype=torch.float64)
        self.xy = torch.zeros(groups, width, out_width, dtype=torch.float64)

    def add(self, x: Tensor, y: Tensor) -> None:
        """Rows ``[m g width]`` and ``[m g out_width]``."""
        x, y = (rows.detach().double().transpose(0, 1) for rows in (x, y))  # [g m width]
        self.count += x.shape[1]
        for total, part in ((self.x, x.sum(1)), (self.y, y.sum(1)), (self.xx, x.mT @ x), (self.xy, x.mT @ y)):
            total += part.cpu()

    def solve(self, ridge: float) -> Tensor:
        """The maps, float32 ``[g width + 1 out_width]``: W over b.

        Args:
            ridge: penalty on W (not on b), in units of the mean variance of x.

        Raises:
            ValueError: no rows came.
        """
        if not self.count:
            raise ValueError("no rows to fit a map to")
        mean_x, mean_y = self.x / self.count, self.y / self.count
        covariance = self.xx / self.count - mean_x[:, :, None] * mean_x[:, None]
        shared = self.xy / self.count - mean_x[:, :, None] * mean_y[:, None]
        size = covariance.diagonal(dim1=1, dim2=2).mean(1).clamp(min=1e-12)
        penalty = ridge * size[:, None, None] * torch.eye(covariance.shape[1], dtype=torch.float64)
        weight = torch.linalg.solve(covariance + penalty, shared)
        bias = mean_y[:, None] - mean_x[:, None] @ weight
        return torch.cat([weight, bias], dim=1).float()


def mapped(rows: Tensor, affine: Tensor) -> Tensor:
    """Rows through the maps ``[g width + 1 out_width]`` of :meth:`AffineFit.solve`: ``[m g width]``, each group by its
    own, or ``[.. width]`` where there is one map for all."""
    weight, bias = affine[:, :-1], affine[:, -1]
    rows = rows.float()
    return (rows @ weight[0] if len(weight) == 1 else torch.einsum("mgi,gio->mgo", rows, weight)) + bias


class SpaceMaps(NamedTuple):
    """From the space of a fold's network into that of the network trained on all."""

    queries: Tensor
    """``[14 q+1 q]``: of each disease query's Q_f."""
    raw_tokens: Tensor
    """``[1 e+1 e]``: of the encoder's tokens."""
    tokens: Tensor
    """``[1 q+1 q]``: of projected tokens, and so of mined regions."""
    logits: Tensor
    """``[2 14]``: a factor and a summand of each finding's logits."""


class SpaceFit:
    """Fits :class:`SpaceMaps` to what two networks say of the same films.

    Args:
        width: q, of queries and projected tokens. token_width: e, of the encoder's tokens.
    """

    def __init__(self, width: int, token_width: int) -> None:
        self.queries = AffineFit(NUM_FINDINGS, width, width)
        self.raw_tokens = AffineFit(1, token_width, token_width)
        self.tokens = AffineFit(1, width, width)

    def add(self, own: Classification, target: Classification) -> None:
        """What the fold's network and the one trained on all say of some films."""
        self.queries.add(own.queries, target.queries)
        self.raw_tokens.add(_rows(own.raw_tokens), _rows(target.raw_tokens))
        self.tokens.add(_rows(own.tokens), _rows(target.tokens))

    def solve(self, ridge: float) -> SpaceMaps:
        """The maps, logits as they are; see :meth:`AffineFit.solve`."""
        unchanged = torch.stack([torch.ones(NUM_FINDINGS), torch.zeros(NUM_FINDINGS)])
        return SpaceMaps(self.queries.solve(ridge), self.raw_tokens.solve(ridge), self.tokens.solve(ridge), unchanged)


def same_spread(own: Tensor, target: Tensor) -> Tensor:
    """:attr:`SpaceMaps.logits` that give a fold's logits ``[m 14]`` the mean and spread of those of the network trained
    on all, whose thresholds they are compared with: of films that neither was trained on."""
    scale = target.std(0) / own.std(0).clamp(min=1e-6)
    return torch.stack([scale, target.mean(0) - scale * own.mean(0)])


class CrossFit(nn.Module):
    """Reads films of training patients, each with the network that never saw that patient; always in eval mode, without
    a graph.

    Args:
        networks: of folds 0, 1, ..., each trained without its fold.
        maps: from each network's space into that of the network trained on all.
    """

    def __init__(self, networks: Sequence[DiseaseClassifier], maps: Sequence[SpaceMaps]) -> None:
        super().__init__()
        self.networks = nn.ModuleList(networks)
        self.register_buffer("query_maps", torch.stack([fold.queries for fold in maps]))
        self.register_buffer("token_maps", torch.stack([fold.raw_tokens for fold in maps]))
        self.register_buffer("logit_maps", torch.stack([fold.logits for fold in maps]))
        self.requires_grad_(False).eval()

    query_maps: Tensor
    token_maps: Tensor
    logit_maps: Tensor

    def train(self, mode: bool = True) -> CrossFit:
        """Stays in eval mode."""
        return super().train(False)

    @torch.no_grad()
    def see(self, images: Tensor, subject_ids: Sequence[str]) -> SeenFilms:
        """uint8 films ``[v 1 h w]`` and their v patients -> what ReportNetwork.see says of films, in the space of the
        network trained on all."""
        folds = torch.tensor([fold_of(subject, len(self.networks)) for subject in subject_ids], device=images.device)
        parts, places = [], []
        for fold, network in enumerate(self.networks):
            place = (folds == fold).nonzero().flatten()
            if len(place):
                said = cast(DiseaseClassifier, network)(images[place])
                queries = mapped(said.queries, self.query_maps[fold])
                tokens = mapped(said.raw_tokens, self.token_maps[fold])
                scale, shift = self.logit_maps[fold]
                parts.append(SeenFilms(said.logits * scale + shift, queries, tokens, said.grid))
                places.append(place)
        return SeenFilms.join(parts).take(torch.cat(places).argsort())


def _rows(tokens: Tensor) -> Tensor:
    """``[v n w]`` -> ``[v*n 1 w]``."""
    return tokens.flatten(0, 1)[:, None]

"""Cross-fitting: in stage 2, networks that never saw a training study's patient read its films.

On its own training films, stage 1 predicts almost exactly their labels. A language model that learns from these
predictions trusts them too much on new films. So the patients are divided into k folds, and k networks are trained,
each without one fold; each network reads the fold that it has not seen (Chernozhukov et al. 2018, "Double/debiased
machine learning").

Each network has its own feature space. An affine map, fitted by least squares on films of the other folds, brings its
features into the space of the network that was trained on all folds and reads all other films. The logits are matched
on validation films. So a training study never influences how it is read.
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
    """Ridge regression ``y ~ x W + b`` of g groups at once.

    It keeps only sums in float64: rows may come in any number of parts and are not stored.

    Args:
        groups: g, the number of independent regressions.
        width: of x.
        out_width: of y.
    """

    def __init__(self, groups: int, width: int, out_width: int) -> None:
        self.count = 0
        self.x = torch.zeros(groups, width, dtype=torch.float64)
        self.y = torch.zeros(groups, out_width, dtype=torch.float64)
        self.xx = torch.zeros(groups, width, width, dtype=torch.float64)
        self.xy = torch.zeros(groups, width, out_width, dtype=torch.float64)

    def add(self, x: Tensor, y: Tensor) -> None:
        """Add m rows: x ``[m g width]`` and y ``[m g out_width]``."""
        x, y = (rows.detach().double().transpose(0, 1) for rows in (x, y))  # [g m width]
        self.count += x.shape[1]
        for total, part in ((self.x, x.sum(1)), (self.y, y.sum(1)), (self.xx, x.mT @ x), (self.xy, x.mT @ y)):
            total += part.cpu()

    def solve(self, ridge: float) -> Tensor:
        """Solve for the maps, float32 ``[g width+1 out_width]``: the rows of W, then b.

        Args:
            ridge: penalty on W (not on b), in units of the mean variance of x.

        Raises:
            ValueError: no rows were added.
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
    """Apply affine maps to rows.

    Args:
        rows: ``[m g width]``, each group with its own map; or ``[.. width]`` where there is one map (g = 1).
        affine: ``[g width+1 out_width]`` from :meth:`AffineFit.solve`.

    Returns:
        float32, with ``out_width`` in the last dimension.
    """
    weight, bias = affine[:, :-1], affine[:, -1]
    rows = rows.float()
    return (rows @ weight[0] if len(weight) == 1 else torch.einsum("mgi,gio->mgo", rows, weight)) + bias


class SpaceMaps(NamedTuple):
    """Maps from the space of a fold's network into the space of the network trained on all folds."""

    queries: Tensor
    """``[14 q+1 q]``: for the Q_f of each disease query."""
    raw_tokens: Tensor
    """``[1 e+1 e]``: for the encoder's tokens."""
    tokens: Tensor
    """``[1 q+1 q]``: for projected tokens, and so for mined regions."""
    logits: Tensor
    """``[2 14]``: scale and shift of each finding's logits."""


class SpaceFit:
    """Fits :class:`SpaceMaps` to the outputs of two networks for the same films.

    Args:
        width: q, of queries and projected tokens.
        token_width: e, of the encoder's tokens.
    """

    def __init__(self, width: int, token_width: int) -> None:
        self.queries = AffineFit(NUM_FINDINGS, width, width)
        self.raw_tokens = AffineFit(1, token_width, token_width)
        self.tokens = AffineFit(1, width, width)

    def add(self, own: Classification, target: Classification) -> None:
        """Add the outputs of the fold's network (own) and the network trained on all folds (target) for some films."""
        self.queries.add(own.queries, target.queries)
        self.raw_tokens.add(_rows(own.raw_tokens), _rows(target.raw_tokens))
        self.tokens.add(_rows(own.tokens), _rows(target.tokens))

    def solve(self, ridge: float) -> SpaceMaps:
        """Solve for the maps; logits are left unchanged. See :meth:`AffineFit.solve`."""
        unchanged = torch.stack([torch.ones(NUM_FINDINGS), torch.zeros(NUM_FINDINGS)])
        return SpaceMaps(self.queries.solve(ridge), self.raw_tokens.solve(ridge), self.tokens.solve(ridge), unchanged)


def same_spread(own: Tensor, target: Tensor) -> Tensor:
    """Compute :attr:`SpaceMaps.logits`, which give a fold's logits the mean and spread of the target network's.

    They are then comparable with the target network's thresholds.

    Args:
        own: ``[m 14]``, logits of the fold's network for films that neither network was trained on.
        target: ``[m 14]``, logits of the network trained on all folds for the same films.
    """
    scale = target.std(0) / own.std(0).clamp(min=1e-6)
    return torch.stack([scale, target.mean(0) - scale * own.mean(0)])


class CrossFit(nn.Module):
    """Reads each film of a training patient with the network that never saw this patient.

    It is always in eval mode and makes no graph.

    Args:
        networks: of folds 0, 1, ...; each was trained without its fold.
        maps: from each network's space into that of the network trained on all folds.
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
        """Stay in eval mode, whatever ``mode`` is."""
        return super().train(False)

    @torch.no_grad()
    def see(self, images: Tensor, subject_ids: Sequence[str]) -> SeenFilms:
        """Read films as :meth:`ammrg.networks.report_network.ReportNetwork.see` does, each with its fold's network.

        Args:
            images: uint8 ``[v 1 h w]``.
            subject_ids: the v patients.

        Returns:
            The result in the space of the network trained on all folds.
        """
        folds = torch.tensor([fold_of(subject, len(self.networks)) for subject in subject_ids], device=images.device)
        parts, places = [], []
        for fold, network in enumerate(self.networks):
            place = (folds == fold).nonzero().flatten()
            if len(place):
                found = cast(DiseaseClassifier, network)(images[place])
                queries = mapped(found.queries, self.query_maps[fold])
                tokens = mapped(found.raw_tokens, self.token_maps[fold])
                scale, shift = self.logit_maps[fold]
                parts.append(SeenFilms(found.logits * scale + shift, queries, tokens, found.grid, found.places))
                places.append(place)
        return SeenFilms.join(parts).take(torch.cat(places).argsort())


def _rows(tokens: Tensor) -> Tensor:
    """Make every token a row: ``[v n w]`` -> ``[v*n 1 w]``."""
    return tokens.flatten(0, 1)[:, None]

"""The map of each finding, on the film that decides it."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ammrg.findings import FINDINGS
from ammrg.networks.class_activation import ActivationMaps


class FindingMap(NamedTuple):
    """Where on a study's films a finding was seen."""

    film: int
    """Index, among the films that the network read, of the one that decides the finding: with the highest logit."""
    heat: NDArray[np.float32]
    """Activation map ``[gh gw]`` >= 0."""


def finding_maps(found: ActivationMaps) -> dict[str, FindingMap]:
    """Choose the map of each of the 14 findings.

    Args:
        found: the maps of the films of one study, ``[v 14 gh gw]``.
    """
    maps, seen = found
    deciding = seen.logits.argmax(dim=0).tolist()
    return {
        name: FindingMap(film, maps[film, i].detach().cpu().numpy().astype(np.float32))
        for i, (name, film) in enumerate(zip(FINDINGS, deciding, strict=True))
    }

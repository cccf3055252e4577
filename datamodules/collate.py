"""Studies -> StudyBatch: films are packed over the batch, never padded."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from ammrg.errors import DataError
from ammrg.types import Box, StudyBatch


class Example(NamedTuple):
    """One study with decoded films, before it is packed into a batch."""

    study_id: str
    subject_id: str
    films: NDArray[np.uint8]
    """``[v h w]``, 8-bit grey."""
    projections: list[str]
    """Length v."""
    labels: NDArray[np.float32]
    """``[14]``: 1, 0, -1, NaN."""
    report: str
    boxes: list[Box]
    """``Box.view`` counts films of this study."""
    indication: str = ""
    partner: Example | None = None
    """Another patient's study, if partners are wanted; all studies of a batch have one, or none has."""


def collate(examples: Sequence[Example]) -> StudyBatch:
    """Pack studies into one batch.

    Args:
        examples: b studies with v_1 .. v_b films, at least one each, all ``[h w]``.

    Returns:
        A StudyBatch with ``images [v 1 h w]``, v = v_1 + ... + v_b, whose ``partner`` is a StudyBatch of the partners.

    Raises:
        DataError: there is no study, a study has no film, or films differ in size.
    """
    if not examples:
        raise DataError("a batch of no studies cannot be packed")
    size = examples[0].films.shape[1:]
    boxes: list[Box] = []
    first = 0
    for example in examples:
        if example.films.ndim != 3 or len(example.films) == 0:
            raise DataError(
                f"study {example.study_id} has films of shape {example.films.shape}; expected [v h w], v >= 1"
            )
        if example.films.shape[1:] != size:
            raise DataError(
                f"study {example.study_id} has films of {example.films.shape[1:]} pixels, study "
                f"{examples[0].study_id} of {size}; all films of a batch must have one size"
            )
        boxes += [box._replace(view=first + box.view) for box in example.boxes]
        first += len(example.films)
    partners = [example.partner for example in examples if example.partner is not None]
    counts = torch.tensor([len(example.films) for example in examples])
    return StudyBatch(
        images=torch.from_numpy(np.concatenate([example.films for example in examples])[:, None]),
        study_of_view=torch.repeat_interleave(torch.arange(len(examples)), counts),
        labels=torch.from_numpy(np.stack([example.labels for example in examples])),
        reports=[example.report for example in examples],
        study_ids=[example.study_id for example in examples],
        subject_ids=[example.subject_id for example in examples],
        projections=[name for example in examples for name in example.projections],
        boxes=boxes,
        indications=[example.indication for example in examples],
        partner=collate(partners) if partners else None,
    )

"""The 14 CheXpert findings in the order of the paper, and the values that a label may have."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

from ammrg.errors import DataError

if TYPE_CHECKING:
    from torch import Tensor

FINDINGS: tuple[str, ...] = (
    "Enlarged Cardiomediastinum",
    "Cardiomegaly",
    "Lung Opacity",
    "Lung Lesion",
    "Edema",
    "Consolidation",
    "Pneumonia",
    "Atelectasis",
    "Pneumothorax",
    "Pleural Effusion",
    "Pleural Other",
    "Fracture",
    "Support Devices",
    "No Finding",
)
"""Order of every label vector, logit, disease query and table (Wang et al. 2026; CheXpert, Irvin et al. 2019)."""

NUM_FINDINGS = len(FINDINGS)
NO_FINDING = FINDINGS.index("No Finding")
SUPPORT_DEVICES = FINDINGS.index("Support Devices")
ABNORMAL: tuple[int, ...] = tuple(i for i in range(NUM_FINDINGS) if i != NO_FINDING)
"""Indices of the 13 abnormal findings: all but "No Finding"."""
EXCLUDED_BY_NO_FINDING: tuple[int, ...] = tuple(i for i in ABNORMAL if i != SUPPORT_DEVICES)
"""Indices of the findings that "No Finding" contradicts: the abnormal ones but "Support Devices"."""
FIVE: tuple[int, ...] = tuple(
    FINDINGS.index(name) for name in ("Cardiomegaly", "Edema", "Consolidation", "Atelectasis", "Pleural Effusion")
)
"""Indices of CheXpert's five competition findings."""

POSITIVE, NEGATIVE, UNCERTAIN, BLANK = 1.0, 0.0, -1.0, math.nan
UncertainPolicy = Literal["ignore", "ones", "zeros", "smooth"]


def check_labels(labels: Tensor, study_ids: Sequence[str] = ()) -> None:
    """Refuse labels outside {1, 0, -1, NaN}.

    Args:
        labels: ``[b 14]``.
        study_ids: the b studies, for the message; none given, the message names the row.

    Raises:
        DataError: a label has another value; the message names its study and finding.
    """
    known = labels.isnan() | (labels == POSITIVE) | (labels == 0) | (labels == UNCERTAIN)
    if not known.all():
        row, finding = (~known).nonzero()[0].tolist()
        study = study_ids[row] if study_ids else f"in row {row}"
        raise DataError(
            f"labels: {FINDINGS[finding]} of study {study} is {labels[row, finding].item():g}; a label is 1, 0, "
            "-1 (uncertain) or blank. Correct the label table and prepare the data again."
        )


def is_unlabelled(labels: Sequence[float]) -> bool:
    """Tell whether all 14 labels are NaN: the labelled section was empty, so the study teaches nothing."""
    return all(math.isnan(value) for value in labels)


def no_finding_label(labels: Sequence[float]) -> float:
    """Derive CheXpert's "No Finding" from the other 13 labels.

    Returns:
        1.0 where no finding other than Support Devices is positive or uncertain, else NaN (blank).
    """
    others = (labels[i] for i in EXCLUDED_BY_NO_FINDING)
    return BLANK if any(value in (POSITIVE, UNCERTAIN) for value in others) else POSITIVE

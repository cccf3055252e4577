"""The scores of the public packages: pycocoevalcap's BLEU, ROUGE-L and CIDEr, and scikit-learn's averages."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Sequence

import numpy as np
from pycocoevalcap.bleu.bleu import Bleu
from pycocoevalcap.cider.cider import Cider
from pycocoevalcap.rouge.rouge import Rouge
from sklearn.metrics import precision_recall_fscore_support

from ammrg.metrics import clinical


def reference_scorers(
    references: Sequence[str], generated: Sequence[str], truth: np.ndarray, said: np.ndarray
) -> dict[str, float]:
    """The scores of one corpus.

    Args:
        references: n cleaned texts.
        generated: n cleaned texts.
        truth: labels of the references ``[n 14]``.
        said: labels of the generated texts ``[n 14]``.
    """
    golds = {i: [text] for i, text in enumerate(references)}
    hypotheses = {i: [text] for i, text in enumerate(generated)}
    with contextlib.redirect_stdout(io.StringIO()):
        bleu, _ = Bleu(4).compute_score(golds, hypotheses)
    scores = {f"bleu_{k + 1}": float(value) for k, value in enumerate(bleu)}
    scores["rouge_l"] = float(Rouge().compute_score(golds, hypotheses)[0])
    scores["cider"] = float(Cider().compute_score(golds, hypotheses)[0])
    for uncertain in clinical.UNCERTAIN_AS:
        sides = [clinical.positives(table, uncertain).astype(int) for table in (truth, said)]
        for name, index in clinical.SELECTIONS.items():
            for average in clinical.AVERAGES:
                found = precision_recall_fscore_support(
                    *(side[:, list(index)] for side in sides),
                    average="samples" if average == "example" else average,
                    zero_division=0,
                )
                for part, value in zip(clinical.PARTS, found[:3], strict=True):
                    scores[f"clinical_{average}_{part}_{name}_{uncertain}"] = float(value)
    return scores

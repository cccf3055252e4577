"""The training studies of a prepared folder, their order, and their partners."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from lightning.pytorch.utilities import rank_zero_info
from numpy.typing import NDArray

from ammrg.errors import DataError
from ammrg.folds import fold_of
from ammrg.partners import partners
from datamodules.ordering import epoch_keys, repeat_factors
from datamodules.prepared import PreparedFolder


class TrainingStudies:
    """The studies of the train split that a run is trained on.

    Args:
        prepared: the prepared folder.
        labelled_only: leave out studies without any label.
        fold: (left-out fold, number of folds); None = nobody is left out.
    """

    def __init__(self, prepared: PreparedFolder, labelled_only: bool = False, fold: tuple[int, int] | None = None):
        self.prepared, self.labelled_only, self.fold = prepared, labelled_only, fold
        self.left_out: dict[str, int] = {}
        """Number of studies left out of training, by reason; filled by :meth:`rows`."""

    def in_left_out_fold(self) -> NDArray[np.bool_]:
        """Whether each study's patient is in the left-out fold: bool ``[n]`` over the train split."""
        subjects = self.prepared.index("train").subject_ids
        if self.fold is None:
            return np.zeros(len(subjects), bool)
        left_out, folds = self.fold
        return np.asarray([fold_of(subject, folds) == left_out for subject in subjects], bool)

    def rows(self) -> NDArray[np.int64]:
        """Rows of the train split to train on: int64 ``[m]``.

        Studies of the left-out fold, studies without a report and, with ``labelled_only``, studies without a label are
        left out.

        Raises:
            DataError: no study is left.
        """
        index = self.prepared.index("train")
        silent = np.asarray([not report.strip() for report in index.reports], bool)
        unlabelled = np.isnan(index.labels).all(axis=1) & self.labelled_only
        other_fold = self.in_left_out_fold()
        kept = np.flatnonzero(~(silent | unlabelled | other_fold))
        self.left_out = {"without_report": int(silent.sum()), "without_label": int(unlabelled.sum())}
        if self.fold is not None:
            self.left_out["of_left_out_fold"] = int(other_fold.sum())
        if not len(kept):
            raise DataError(
                f"{self.prepared.location}: no study of the train split is left to train on: {self.left_out}"
            )
        if len(kept) < len(silent):
            rank_zero_info(f"training on {len(kept)} of {len(silent)} studies; left out: {self.left_out}")
        return kept

    def labels(self) -> NDArray[np.float32]:
        """Labels of the training studies: ``[m 14]``, 1, 0, -1, NaN."""
        return self.prepared.index("train").labels[self.rows()]

    def patients(self) -> set[str]:
        """Subject ids of the train split without the left-out fold."""
        subjects = self.prepared.index("train").subject_ids
        return {one for one, left_out in zip(subjects, self.in_left_out_fold(), strict=True) if not left_out}

    def order(
        self, seed: int, *, repeat_threshold: float, by_length: bool, by_group: bool, together: int
    ) -> Callable[[int], NDArray[np.int64]]:
        """The order of training: a function from an epoch to its studies, ``[m 2]`` (row, copy).

        Args:
            seed: seed of the order.
            repeat_threshold: see :func:`datamodules.ordering.repeat_factors`.
            by_length: put studies with reports of similar length together.
            by_group: put studies of a row group near each other, so that each group is fetched once.
            together: number of consecutive studies that form a batch.
        """
        kept, index = self.rows(), self.prepared.index("train")
        factors = repeat_factors(index.labels[kept], repeat_threshold)
        groups = index.groups if by_group else None
        lengths = np.asarray([len(report) for report in index.reports], np.int64) if by_length else None
        return lambda epoch: epoch_keys(kept, factors, groups, together, seed, epoch, lengths)

    def partners(self, split: str, by_group: bool) -> NDArray[np.int64]:
        """For each study of a split, the row of its partner, a study of another patient: ``[n]``.

        See :mod:`ammrg.partners`. In the train split partners are training studies; a study that is left out of
        training is its own partner.

        Args:
            split: ``train``, ``val`` or ``test``.
            by_group: choose training partners within the same row group, which is already in memory.

        Raises:
            DataError: all studies are of one patient.
        """
        index = self.prepared.index(split)
        what = f"{self.prepared.location}: the studies of the {split} split"
        if split != "train":
            return partners(index.subject_ids, what=what)
        kept = self.rows()
        groups = index.groups[kept] if by_group else None
        found = np.arange(len(index.subject_ids))
        found[kept] = kept[partners([index.subject_ids[row] for row in kept], groups=groups, what=what)]
        return found

"""The few exceptions of the project. Each message says which file or field, what was found and what to do."""

from __future__ import annotations


class AMMRGError(Exception):
    """Base of every error that a user can cause and cure; the command line prints it without a traceback."""


class DataError(AMMRGError):
    """A raw data set, an annotation or a prepared shard is not as its format says."""


class ReadError(DataError):
    """One image cannot be decoded. The caller sets it aside with this reason and goes on."""


class MemoryBankError(AMMRGError):
    """A memory bank is empty, broken, of another encoder, or would leak an evaluation study."""


class CheckpointError(AMMRGError):
    """A checkpoint is of the other stage, of other settings, or incomplete."""


class SettingsError(AMMRGError):
    """Settings that contradict each other, or the kept settings of an earlier run."""


class ScoringError(AMMRGError):
    """A predictions file that cannot be scored as it stands."""


class MissingPackageError(AMMRGError, ImportError):
    """An optional package is not installed; the message holds the command that installs it."""

"""The exceptions of the project. Each message says which file or field is wrong, what was found and what to do."""

from __future__ import annotations


class AMMRGError(Exception):
    """Base of every error that a user can cause and correct; the command line prints it without a traceback."""


class DataError(AMMRGError):
    """A raw data set, an annotation or a prepared shard does not follow its format."""


class ReadError(DataError):
    """One image cannot be decoded. Callers that read many images record the reason and continue."""


class MemoryBankError(AMMRGError):
    """A memory bank is empty, damaged, made by another encoder, or would leak an evaluation study."""


class CheckpointError(AMMRGError):
    """A checkpoint belongs to the other stage or to other settings, or is incomplete."""


class SettingsError(AMMRGError):
    """Settings contradict each other or the saved settings of an earlier run."""


class ScoringError(AMMRGError):
    """A predictions file cannot be scored."""


class MissingPackageError(AMMRGError, ImportError):
    """An optional package is not installed; the message gives the command that installs it."""


class DocumentError(AMMRGError):
    """A description cannot be written as a DICOM or FHIR document."""


class ArchiveError(AMMRGError):
    """An image archive cannot be reached, or refuses a request."""

"""Silence for libraries that write a tag's value, such as a patient's name, into warnings and logs."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from ammrg.log_levels import heard_from

LIBRARIES = ("pydicom", "highdicom", "dicomweb_client", "urllib3")
SILENT = logging.CRITICAL + 1


@contextmanager
def quiet_libraries() -> Iterator[None]:
    """Run code in which the DICOM libraries neither warn nor log; their errors are still raised."""
    with heard_from(SILENT, *LIBRARIES), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield

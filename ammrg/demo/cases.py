"""The studies that the page holds, in memory alone, until others take their place."""

from __future__ import annotations

import secrets
from collections import OrderedDict
from threading import Lock
from typing import NamedTuple

from ammrg.demo.asked import Asked
from ammrg.inference.description import Description
from ammrg.inference.prepared_study import PreparedStudy
from ammrg.studies.grouping import StudyFilms

HELD = 8
"""Most studies that are held, with the bytes of their files."""


class Case(NamedTuple):
    """A study on the page, with the reports that were written of it."""

    study: StudyFilms
    """Its files, in memory."""
    prepared: PreparedStudy
    """As its files say."""
    descriptions: dict[Asked, Description]


class Cases:
    """The last :data:`HELD` studies, by keys that cannot be guessed."""

    def __init__(self) -> None:
        self._cases: OrderedDict[str, Case] = OrderedDict()
        self._lock = Lock()

    def add(self, case: Case) -> str:
        """Hold a study and return its key; the one that was not used for the longest time may have to go."""
        key = secrets.token_urlsafe(16)
        with self._lock:
            self._cases[key] = case
            while len(self._cases) > HELD:
                self._cases.popitem(last=False)
        return key

    def get(self, key: str) -> Case | None:
        """Return a study; None where it is no longer held."""
        with self._lock:
            if key in self._cases:
                self._cases.move_to_end(key)
            return self._cases.get(key)

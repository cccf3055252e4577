"""What the loop remembers: one small file for each study, and documents that wait to be sent.

    lock                 held by the process that uses the folder
    studies/KEY.json     what became of a study; KEY is a hash of its StudyInstanceUID
    outbox/KEY/*.dcm     documents that are made and not known to be stored: they name the patient

Each file appears whole or not at all, by renaming; so does each folder in the outbox.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Literal, NamedTuple

from ammrg.atomic import write_json
from ammrg.errors import SettingsError

PRIVATE = 0o700

Outcome = Literal["begun", "ready", "stored", "set aside"]


class Record(NamedTuple):
    """What became of a study."""

    outcome: Outcome
    """``begun``: being described; ``ready``: its documents are in the outbox; ``set aside``: it cannot be described."""
    films: str
    """Fingerprint of the films' UIDs and of the model."""
    instances: int | None = None
    """Number of the study's instances when its films were listed last, with our documents; None = not known."""
    attempts: int = 0
    """How often it was begun."""
    reason: str = ""
    """Why it was set aside, or some of its films were left out."""
    named: str | None = None
    """Fingerprint of the tags with which the study was listed; None = noted by version 0.1."""
    content: str | None = None
    """Fingerprint of the films as they were fetched; empty = they were not, None = noted by version 0.1."""


class Records:
    """The state folder, for one process at a time.

    Attributes:
        studies: the folder with a file for each study.
    """

    def __init__(self, folder: Path) -> None:
        """Open the folder, make it where it does not exist, and remove what an interrupted write left.

        Raises:
            SettingsError: another process uses it, or it cannot be written.
        """
        self.studies, self._outbox = folder / "studies", folder / "outbox"
        try:
            for each in (folder, self.studies, self._outbox):
                each.mkdir(parents=True, exist_ok=True, mode=PRIVATE)
            self._lock: IO[str] = (folder / "lock").open("w")
        except OSError as error:
            raise SettingsError(f"{folder}: cannot be written ({error.strerror}); name another --state") from error
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            self._lock.close()
            raise SettingsError(f"{folder}: another process uses it; stop that one, or name another --state") from None
        for left in [*self.studies.glob(".*"), *self._outbox.glob(".*")]:
            shutil.rmtree(left) if left.is_dir() else left.unlink()

    def close(self) -> None:
        """Let another process use the folder."""
        self._lock.close()

    def path(self, key: str) -> Path:
        """The file of a study."""
        return self.studies / f"{key}.json"

    def read(self, key: str) -> Record | None:
        """Return what is known of a study; None: nothing, or its file is damaged."""
        try:
            return Record(**json.loads(self.path(key).read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):
            return None

    def write(self, key: str, record: Record) -> None:
        """Remember what became of a study."""
        write_json(self.path(key), record._asdict())

    def forget(self, key: str) -> None:
        """Forget what became of a study."""
        self.path(key).unlink(missing_ok=True)

    def put(self, key: str, documents: Mapping[str, bytes]) -> None:
        """Put a study's documents into the outbox, all or none."""
        partial, final = self._outbox / f".{key}", self._outbox / key
        partial.mkdir(mode=PRIVATE)
        for name, content in documents.items():
            with (partial / name).open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
        os.replace(partial, final)

    def waiting(self) -> Iterator[tuple[str, list[Path]]]:
        """Yield key and files of each study whose documents wait in the outbox."""
        for folder in sorted(self._outbox.iterdir()):
            yield folder.name, self.files(folder.name)

    def files(self, key: str) -> list[Path]:
        """Return the files of a study in the outbox."""
        return sorted((self._outbox / key).glob("*.dcm"))

    def discard(self, key: str) -> None:
        """Remove a study's documents from the outbox, all at once."""
        hidden = self._outbox / f".{key}"
        os.replace(self._outbox / key, hidden)
        shutil.rmtree(hidden)

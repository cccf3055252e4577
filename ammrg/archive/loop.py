"""The loop over an archive's studies: find, fetch, describe, store back; each once, whenever it is stopped.

docs/archive.md goes through the points at which it may be killed.
"""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pydicom

from ammrg.archive.describing import content_fingerprint, described_documents, instance_in
from ammrg.archive.records import Record, Records
from ammrg.archive.server import Archive, Contents, Instance, ListedStudy
from ammrg.documents.identifiers import DocumentIdentifiers, derived_identifiers
from ammrg.documents.quiet import quiet_libraries
from ammrg.errors import AMMRGError, ArchiveError
from ammrg.fingerprints import bytes_fingerprint, json_fingerprint
from ammrg.operating_points import BALANCED
from ammrg.studies.grouping import MAX_FILMS
from ammrg.studies.reasons import kind_of

if TYPE_CHECKING:
    from ammrg.inference.report_generator import ReportGenerator

ATTEMPTS = 3
"""How often a study may end the program before it is set aside."""
MOST_FETCHED = 2 * MAX_FILMS
"""Most films of a study that are fetched: an archive may have each film twice, raw and processed."""


class Loop:
    """Describes the studies of an archive."""

    def __init__(
        self,
        archive: Archive,
        records: Records,
        generator: ReportGenerator,
        *,
        page: bool = False,
        setting: float = BALANCED,
        say: Callable[[str], None] = print,
    ) -> None:
        """Prepare the loop; nothing is asked.

        Args:
            archive: with the studies.
            records: what was done before.
            generator: the model; it has a fingerprint.
            page: also store the encapsulated PDF.
            setting: the operating point; another one is like another model.
            say: takes one line for each event. Studies are named by their hash.

        Raises:
            SettingsError: the model has no such operating point.
        """
        self._setting, self._fingerprint_of_model = setting, generator.fingerprint_at(setting)
        self._archive, self._records, self._generator = archive, records, generator
        self._page, self._say = page, say
        self._seen: dict[str, tuple[str, str]] = {}

    def look(self, since: str, *, settled: bool = False) -> Counter[str]:
        """Look at the archive once.

        Documents that wait in the outbox are sent first. Then each new study is described and its documents are stored.
        A study that fails never ends the look; studies that were begun before come last.

        Args:
            since: the earliest StudyDate, YYYYMMDD.
            settled: only take studies whose films were the same at the look before.

        Returns:
            How many studies were ``stored``, ``set aside``, seen ``arriving``, left ``waiting`` for the next look as
            something failed, or ``known`` before.

        Raises:
            ArchiveError: the archive cannot be asked for its studies.
        """
        flushed = {key: self._send(key, files) for key, files in list(self._records.waiting())}
        done = Counter(flushed.values())
        unsent = {key for key, state in flushed.items() if state == "waiting"}
        listed = [(study, _key(study.uid)) for study in self._archive.studies(since)]
        studies = [(study, key) for study, key in listed if key not in unsent]
        before = {key: self._records.read(key) for _, key in studies}
        for study, key in sorted(studies, key=lambda each: _attempts(before[each[1]])):
            done[self._try(study, key, before[key], settled)] += 1
        return done

    def again(self, uid: str) -> Counter[str]:
        """Take one study as if nothing were known of it, whatever its date.

        Args:
            uid: StudyInstanceUID.

        Returns:
            As of :meth:`look`.

        Raises:
            ArchiveError: the archive did not answer, or has no such study with radiographs.
        """
        study, key = self._archive.study(uid), _key(uid)
        if study is None:
            raise ArchiveError("the archive lists no study with CR or DX under the UID given with --again")
        self._records.forget(key)
        return Counter([self._try(study, key, None, settled=False)])

    def _try(self, study: ListedStudy, key: str, record: Record | None, settled: bool) -> str:
        """Bring one study as far as it goes, and say what became of it."""
        try:
            return self._take(study, key, record, settled)
        except Exception as error:  # an answer that makes no sense, or a full disk: the other studies go on
            reason = str(error) if isinstance(error, ArchiveError) else f"an unexpected {type(error).__name__}"
            self._say(f"study {key}: {reason}; it is tried again at the next look")
            return "waiting"

    def _take(self, study: ListedStudy, key: str, record: Record | None, settled: bool) -> str:
        listed_alike = record is not None and record.named in (None, study.named)
        alike = listed_alike and record is not None and record.instances == study.instances
        ended = record if record is not None and record.outcome in ("stored", "set aside") else None
        if ended and alike and study.instances is not None and ended.films.startswith(self._fingerprint_of_model):
            return "known"
        contents = self._archive.contents(study.uid)
        if not contents.films:
            return "known"
        films = self._fingerprint(contents)
        if ended and alike and ended.films == films:
            return "known"
        if settled and self._seen.get(key) != (films, study.named):
            self._seen[key] = (films, study.named)
            return "arriving"
        self._seen.pop(key, None)
        attempts = _attempts(record) if record is not None and listed_alike and record.films == films else 0
        begun = Record("begun", films, study.instances, attempts + 1, named=study.named, content="")
        if (reason := _refusal(contents, attempts)) is not None:
            return self._set_aside(key, begun, reason)
        return self._describe(key, begun, contents, ended if ended and ended.films == films else None)

    def _describe(self, key: str, begun: Record, contents: Contents, ended: Record | None) -> str:
        """Fetch and describe a study, unless that was done before.

        Args:
            key: of the study.
            begun: its record while this lasts.
            contents: its films.
            ended: its record where the same model has described films of the same UIDs, or set them aside.
        """
        self._records.write(key, begun)
        try:
            films = {film.sop: self._archive.fetch(film) for film in contents.films}
            content = {sop: content_fingerprint(film) for sop, film in films.items()}
            begun = begun._replace(content=json_fingerprint(content))
            if ended and ended.content in (None, begun.content):
                # Only what stands beside the films has changed, or tags of the list that no film has.
                self._records.write(key, ended._replace(instances=begun.instances, named=begun.named))
                return "known"
            study = contents.films[0].study
            uids = derived_identifiers(study, list(map("=".join, content.items())), self._fingerprint_of_model)
            if all(map(self._archive.holds, self._documents(study, uids))):
                self._say(
                    f"study {key}: the archive has its documents already, made of these very films; to have them "
                    "written anew, remove them there, then give the study to --again"
                )
                self._records.write(key, begun._replace(outcome="stored"))
                return "known"
            earlier = [each for each in contents.reports if each.sop != uids.report]
            with quiet_libraries():
                documents = described_documents(
                    self._generator, list(films.values()), uids, earlier, self._page, self._setting
                )
        except ArchiveError:
            self._records.write(key, ended or begun._replace(attempts=begun.attempts - 1))  # not the study's fault
            raise
        except Exception as error:  # whatever a study holds, the others are described
            return self._set_aside(key, begun, _reason(error))
        self._records.put(key, documents.files)
        self._records.write(key, begun._replace(outcome="ready", reason=documents.left_out))
        return self._send(key, self._records.files(key))

    def _documents(self, study: str, uids: DocumentIdentifiers) -> list[Instance]:
        """The documents that a study is to have."""
        made = [Instance(study, uids.report_series, uids.report), Instance(study, uids.map_series, uids.map)]
        return [*made, Instance(study, uids.page_series, uids.page)] if self._page else made

    def _send(self, key: str, files: list[Path]) -> str:
        """Store what the archive does not have yet, and remember it."""
        try:
            with quiet_libraries():
                documents = [pydicom.dcmread(file) for file in files]
        except Exception:  # pydicom raises many types of exception on damaged files
            self._records.discard(key)
            self._say(f"study {key}: its documents in the outbox are damaged; it is described again at the next look")
            return "waiting"
        sent = 0
        try:
            for document in documents:
                if not self._archive.holds(instance_in(document)):
                    self._archive.store(document)
                    sent += 1
        except ArchiveError as error:
            self._say(f"study {key}: {error}; its documents wait in the outbox")
            return "waiting"
        record = self._records.read(key)
        if record is not None:
            # With our documents counted, the next look finds the number that it expects.
            instances = None if record.instances is None else record.instances + sent
            self._records.write(key, record._replace(outcome="stored", instances=instances))
        self._records.discard(key)
        aside = (
            f"; {self._records.path(key)} says which films were left out, and why" if record and record.reason else ""
        )
        self._say(f"study {key}: described and stored{aside}")
        return "stored"

    def _set_aside(self, key: str, record: Record, reason: str) -> str:
        self._records.write(key, record._replace(outcome="set aside", reason=reason))
        # The log names the kind alone: a reason may quote what a tag says.
        kind = kind_of(reason).replace("_", " ")
        self._say(f"study {key}: set aside ({kind}); {self._records.path(key)} says why")
        return "set aside"

    def _fingerprint(self, contents: Contents) -> str:
        """Of what a description depends on: the model and the films' UIDs."""
        return f"{self._fingerprint_of_model}-{json_fingerprint([film.sop for film in contents.films])}"


def _key(uid: str) -> str:
    """The name under which a study is remembered and told."""
    return bytes_fingerprint(uid.encode())


def _attempts(record: Record | None) -> int:
    return 0 if record is None or record.outcome != "begun" else record.attempts


def _refusal(contents: Contents, attempts: int) -> str | None:
    """Why a study is not even fetched; None: it is."""
    if attempts >= ATTEMPTS:
        return f"it ended the program {attempts} times"
    if len(contents.films) > MOST_FETCHED:
        return f"{len(contents.films)} films; a study has at most {MOST_FETCHED}"
    return None


def _reason(error: Exception) -> str:
    """What kept a study from being described; for the state folder, as decoders may quote a film's tags."""
    return textwrap.shorten(str(error) if isinstance(error, AMMRGError) else f"{type(error).__name__}: {error}", 300)

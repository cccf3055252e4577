"""Many studies described one after another: each in its own folder, none of them able to end the run."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from ammrg.atomic import PRIVATE, partial_file
from ammrg.errors import ReadError
from ammrg.inference.description import Description
from ammrg.inference.description_output import REPORT, write_description, written_before
from ammrg.operating_points import BALANCED
from ammrg.studies.decoding import decode_study
from ammrg.studies.grouping import StudyFilms, refusal
from ammrg.studies.records import SetAside

if TYPE_CHECKING:
    from ammrg.inference.report_generator import ReportGenerator
    from ammrg.networks.word_stream import OnText

PREFIX = "study-"
"""Start of the name of a study's folder; the rest is its key, which names no patient."""
REPORTS = "reports.jsonl"

State = Literal["described", "kept", "set aside", "failed"]


class Outcome(NamedTuple):
    """What became of one study."""

    state: State
    """``kept``: the same model described the same films at the same operating point before; ``set aside``: none of its
    films can be read."""
    folder: Path
    report: dict[str, Any] | None = None
    """The content of report.json."""
    description: Description | None = None
    """Where it was described now."""
    set_aside: tuple[SetAside, ...] = ()
    """Films and files of the study that are left out, and why."""
    reason: str = ""
    """Why it failed."""


def study_folder(out: Path, study: StudyFilms) -> Path:
    """Return the folder of a study among many."""
    return out / f"{PREFIX}{study.identity.key}"


def describe_into(
    study: StudyFilms,
    folder: Path,
    open_model: Callable[[], ReportGenerator],
    indication: str = "",
    again: bool = False,
    setting: float = BALANCED,
    on_text: OnText | None = None,
) -> Outcome:
    """Describe a study and write its folder.

    Args:
        study: not decoded yet.
        folder: for its files.
        open_model: returns the model; it is not called where no film can be read.
        indication: why the study was made.
        again: also where the same model described the same films before.
        setting: the operating point, in [0, 1].
        on_text: see :meth:`ammrg.inference.report_generator.ReportGenerator.describe`.

    Raises:
        AMMRGError: the model cannot be opened, or has no such operating point.
    """
    if not again and (folder / REPORT).exists():
        report = written_before(folder, open_model().fingerprint_at(setting), study.fingerprint(indication))
        if report is not None:
            return Outcome("kept", folder, report, set_aside=tuple(SetAside(**each) for each in report["set_aside"]))
    try:
        decoded = decode_study(study, indication)
    except ReadError as error:
        first = study.films[0].view.path
        return Outcome("set aside", folder, set_aside=(*study.set_aside, refusal(first, error)))
    model = open_model()
    model.fingerprint_at(setting)  # raises for a setting that the model does not have
    try:
        description = model.describe_decoded(decoded, indication, setting, on_text=on_text)
        write_description(description, folder)
    except Exception as error:  # whatever one study makes fail, the others go on
        return Outcome("failed", folder, reason=str(error) or type(error).__name__)
    return Outcome("described", folder, description.as_json(), description, description.set_aside)


def write_index(out: Path) -> Path:
    """Write ``out/reports.jsonl``: one line for each study's folder there, sorted by name, with the folder's name."""
    path = out / REPORTS
    path.parent.mkdir(parents=True, exist_ok=True)
    with partial_file(path, PRIVATE) as partial, partial.open("w", encoding="utf-8") as file:
        for line in _lines(out):
            file.write(line + "\n")
    return path


def as_line(report: Mapping[str, Any], folder: Path) -> str:
    """Return a study's line: all that its report.json holds, and the name of its folder."""
    return json.dumps({"folder": folder.name, **report}, sort_keys=True)


def _lines(out: Path) -> Iterator[str]:
    for file in sorted(out.glob(f"{PREFIX}*/{REPORT}")):
        try:
            yield as_line(json.loads(file.read_text(encoding="utf-8")), file.parent)
        except (OSError, ValueError):
            continue  # not written by this program: the next run describes the study again

"""``ammrg describe``: studies -> reports, 14 findings with maps, retrieved reports and regions."""

from __future__ import annotations

import argparse
import contextlib
import functools
import json
import sys
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any

from ammrg.atomic import PRIVATE, write_atomically
from ammrg.commands.argument_types import DIAL
from ammrg.commands.exported_model import MODEL, opener
from ammrg.commands.output_folder import output_folder
from ammrg.commands.parser import CommandParser
from ammrg.errors import DocumentError, ReadError
from ammrg.extras import needs_extra
from ammrg.notice import NOTICE
from ammrg.studies.sources import NAMED

if TYPE_CHECKING:
    from rich.console import Console

    from ammrg.inference.describing import Outcome
    from ammrg.inference.description import Description
    from ammrg.inference.report_generator import ReportGenerator
    from ammrg.studies.grouping import StudyFilms
    from ammrg.studies.records import SetAside

DESCRIPTION = f"Write the reports of studies, with their reasons. {NOTICE}"
FOLDER = Path("described")
"""Folder of descriptions by default, in the working directory."""
SET_ASIDE = "set_aside.jsonl"
SHOWN = 20
"""Most files set aside that are listed on the screen."""
NONE_DESCRIBED, SOME_FAILED = 1, 3
"""Exit statuses."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the studies' arguments; the caller adds those that name the model."""
    parser.add_argument(
        "paths",
        nargs="+",
        type=Path,
        help="films of one study (DICOM, PNG, JPEG, TIFF); or folders and zip archives of any number of studies",
    )
    parser.add_argument(
        "--out",
        type=Path,
        help="for films of one study: the folder for panel.png, report.html and report.json (default: "
        "described/FIRST_FILM here, or RUN/described/FIRST_FILM for a run); for folders and archives: the folder of "
        "all studies' folders (default: described)",
    )
    parser.add_argument(
        "--lateral",
        nargs="*",
        default=[],
        metavar="NAME",
        help="the lateral films, where their files do not say it: names or paths (* and ? are wildcards), or which of "
        "the films named here (1, 2, ...)",
    )
    parser.add_argument(
        "--frontal", nargs="*", default=[], metavar="NAME", help="the frontal films, where their files say another view"
    )
    parser.add_argument("--indication", default="", help="reason for the study, for a prompt that includes it")
    parser.add_argument("--operating-point", **DIAL)
    parser.add_argument("--json", action="store_true", help="print one JSON line for each study, and nothing else")
    parser.add_argument(
        "--dicom",
        action="store_true",
        help="also write report.dcm, maps.dcm and a FHIR DiagnosticReport, for studies of DICOM films",
    )
    parser.add_argument("--page", action="store_true", help="with --dicom: also page.dcm, the page as encapsulated PDF")
    parser.add_argument(
        "--corrects", type=Path, metavar="REPORT.dcm", help="with --dicom: the earlier report that this one corrects"
    )


def check_paths(paths: Sequence[Path]) -> None:
    """Check that all paths exist, so that a mistyped one is an error before anything else is read.

    Raises:
        ReadError: names the first that does not.
    """
    for path in paths:
        if not path.exists():
            raise ReadError(f"{path}: no such file")


def describe(options: argparse.Namespace, open_model: Callable[[], ReportGenerator], folder: Path = FOLDER) -> int:
    """Find the studies, describe each, write their folders, and print what was found.

    Args:
        options: the arguments of :func:`add_arguments`.
        open_model: opens the model.
        folder: for the output without ``--out``.

    Returns:
        0; 1 where no study was described; 3 where one failed.

    Raises:
        AMMRGError: a path does not exist, ``--lateral`` or ``--frontal`` names no film, the model cannot be opened,
            the folder cannot be written or another process writes into it, DICOM documents are asked for and no study
            has DICOM films, or ``--page`` or ``--corrects`` is given without them.
    """
    from rich.console import Console
    from rich.progress import MofNCompleteColumn, Progress

    from ammrg.studies.grouping import find_studies
    from ammrg.studies.sources import is_one_by_one

    for name in ("page", "corrects"):
        if getattr(options, name) and not options.dicom:
            raise DocumentError(f"--{name}: is about the DICOM documents; add --dicom")
    messages = Console(stderr=True)
    with messages.status("reading the films' headers"):
        found = find_studies(options.paths, options.lateral, options.out or folder, options.frontal)
    from ammrg.inference.describing import describe_into, study_folder, write_index  # imports PyTorch
    from ammrg.inference.printed_words import PrintedWords

    document = _documents(options, found.studies) if options.dicom else None
    alone = is_one_by_one(options.paths) and len(found.studies) == 1 and not found.studies_set_aside
    out = options.out or (folder / _name(found.studies[0]) if alone else folder)

    @functools.cache
    def opened() -> ReportGenerator:
        # A run tells on stdout which memories it opens, but stdout is for the reports.
        with messages.status("reading the model, checking its files"), contextlib.redirect_stdout(sys.stderr):
            return open_model()

    for study in found.studies:
        if said := taken_for_one(study):
            messages.print(said, markup=False, highlight=False, soft_wrap=True)
    states: Counter[str] = Counter({"set aside": found.studies_set_aside})
    aside = dict.fromkeys(found.set_aside)  # a set in order
    columns = (*Progress.get_default_columns(), MofNCompleteColumn())
    disable = len(found.studies) < 2
    with contextlib.ExitStack() as held:
        if found.studies:
            held.enter_context(output_folder(out))
        # By default rich moves what is printed to stdout to its own console, here stderr.
        progress = held.enter_context(
            Progress(*columns, console=messages, transient=True, redirect_stdout=False, disable=disable)
        )
        for study in progress.track(found.studies, description="describing"):
            where = out if alone else study_folder(out, study)
            again = alone or (document is not None and lacks_documents(study, where))
            setting = options.operating_point
            words = PrintedWords() if alone and not options.json and sys.stdout.isatty() else None
            outcome = describe_into(
                study, where, opened, options.indication, again=again, setting=setting, on_text=words
            )
            if words is not None:
                words.end()
            states[outcome.state] += 1
            aside |= dict.fromkeys(outcome.set_aside)
            if outcome.state == "failed":
                messages.print(f"failed {where}: {outcome.reason}", markup=False, highlight=False, soft_wrap=True)
            elif outcome.report is not None:
                _print(outcome.report, outcome, as_json=options.json, alone=alone, is_printed=words is not None)
            if document is not None and outcome.description is not None:
                said = document(outcome.description, study, where)
                messages.print(said, markup=False, highlight=False, soft_wrap=True)
        if not alone and found.studies:
            write_index(out)
            lines = "".join(f"{json.dumps(each._asdict())}\n" for each in aside)
            write_atomically(out / SET_ASIDE, lines.encode(), PRIVATE)
    if not aside and not states.total():
        named = ", ".join(map(str, options.paths))
        messages.print(
            f"{named}: no films there; name films, or a folder or archive of DICOM, PNG or JPEG films",
            markup=False,
            highlight=False,
            soft_wrap=True,
        )
    return _close(messages, states, list(aside), None if alone or not found.studies else out / SET_ASIDE)


def lacks_documents(study: StudyFilms, folder: Path) -> bool:
    """Tell whether a study's folder is without the DICOM report that a study of DICOM films may have."""
    from ammrg.documents.writing import REPORT

    return all(film.view.dicom is not None for film in study.films) and not (folder / REPORT).exists()


def _documents(
    options: argparse.Namespace, studies: Sequence[StudyFilms]
) -> Callable[[Description, StudyFilms, Path], str]:
    """Return what writes the DICOM documents of a study into its folder, and says so or says why not.

    Raises:
        DocumentError: no study has DICOM films, or ``--corrects`` cannot be read, is given for several studies, or is
            of another one.
        MissingPackageError: the packages of the extra ``dicom`` are not installed.
    """
    with needs_extra("dicom"):
        from ammrg.documents.writing import check_predecessor, check_studies, read_predecessor, write_study

        check_studies(studies)
        if options.corrects is not None and len(studies) > 1:
            raise DocumentError(f"--corrects: is for one study, but there are {len(studies)}; describe it by itself")
        predecessors = [] if options.corrects is None else [read_predecessor(options.corrects)]
        for earlier in predecessors:
            for study in studies:  # before the model is loaded
                check_predecessor(earlier, study.films[0].study_uid)

    def write(description: Description, study: StudyFilms, folder: Path) -> str:
        try:
            files = write_study(description, study, folder, page=options.page, predecessors=predecessors)
        except DocumentError as error:
            if predecessors:
                raise
            return f"no DICOM documents: {error}"
        return "\n".join(map(str, files))

    return write


def main(argv: Sequence[str]) -> int:
    """``ammrg describe PATHS... --model FOLDER``.

    Returns:
        See :func:`describe`.

    Raises:
        ReadError: a path does not exist.
        CheckpointError, SettingsError, MemoryBankError: the model cannot be opened.
    """
    parser = CommandParser(prog="ammrg describe", description=DESCRIPTION)
    add_arguments(parser)
    parser.add_argument("--model", **MODEL)
    options = parser.parse_args(argv)
    return describe(options, opener(options.model))


def _name(study: StudyFilms) -> str:
    """Name the folder of a single study after its first film; DICOM files often have a patient's name, so its key."""
    from ammrg.inference.describing import PREFIX

    named = min(study.films, key=lambda film: film.order)
    return Path(named.view.path).stem if named.patient is None else f"{PREFIX}{study.identity.key}"


def taken_for_one(study: StudyFilms) -> str | None:
    """Say that the pictures of a folder are read as one study, which nothing but their folder says; None if not so."""
    names = [PurePath(film.view.path).name for film in study.films]
    if study.identity.uid is not None or len(names) < 2 or study.films[0].source.place == NAMED:
        return None
    return (
        f"{study.films[0].source.place}: its {len(names)} films are read as one study ({', '.join(names)}); if they "
        "are of several, give each study a folder of its own"
    )


def _print(
    report: Mapping[str, Any], outcome: Outcome, *, as_json: bool, alone: bool, is_printed: bool = False
) -> None:
    """Print a study: as a JSON line, or all of a single one, or of one among many its folder, report and notes.

    A single one's report may be printed already, as it was written.
    """
    from ammrg.inference.describing import as_line
    from ammrg.inference.description_output import PAGE, PANEL, REPORT, print_description

    if as_json:
        print(as_line(report, outcome.folder), flush=True)
    elif alone and outcome.description is not None:
        files = [outcome.folder / name for name in (PANEL, PAGE, REPORT)]
        print_description(outcome.description, *files, is_report_printed=is_printed)
    else:
        turned = [report["operating_point"]["sentence"]] if report.get("operating_point", {}).get("sentence") else []
        notes = (
            *turned,
            *report["warnings"],
            *(report[key]["sentence"] for key in ("trained_on", "distance_from_training")),
        )
        lines = dict.fromkeys([*notes, report["notice"]])  # a film's distance may be a warning
        print("\n  ".join([f"{outcome.folder}: {report['report']}", *lines]), flush=True)


def _close(messages: Console, states: Counter[str], aside: Sequence[SetAside], listed: Path | None) -> int:
    """Print what was set aside and how the studies ended; return the exit status."""
    for each in aside[:SHOWN]:
        messages.print(f"set aside {each.path}: {each.reason}", markup=False, highlight=False, soft_wrap=True)
    if len(aside) > SHOWN:
        messages.print(f"and {len(aside) - SHOWN} more", markup=False, highlight=False)
    done = states["described"] + states["kept"]
    earlier = f" ({states['kept']} of them before)" if states["kept"] else ""
    files = f"; {len(aside)} file{'s' if len(aside) > 1 else ''} set aside" if aside else ""
    where = f", listed with their reasons in {listed}" if aside and listed else ""
    counts = f"{done} described{earlier}, {states['set aside']} set aside, {states['failed']} failed"
    messages.print(f"studies: {counts}{files}{where}", markup=False, highlight=False, soft_wrap=True)
    if states["failed"]:
        return SOME_FAILED
    return 0 if done else NONE_DESCRIBED

"""``ammrg archive``: new chest studies of a DICOMweb archive -> reports and maps, stored back into it."""

from __future__ import annotations

import argparse
import datetime
import re
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from ammrg.commands.argument_types import DIAL, positive
from ammrg.commands.exported_model import MODEL
from ammrg.commands.parser import CommandParser
from ammrg.errors import ArchiveError, SettingsError
from ammrg.notice import NOTICE
from ammrg.secret_file import exposure

DESCRIPTION = f"Describe an archive's new chest radiographs and store report and maps back, each study once. {NOTICE}"
STATE = Path("archive_state")
STATES = ("stored", "set aside", "arriving", "waiting", "known")


def main(argv: Sequence[str]) -> int:
    """``ammrg archive --dicomweb URL --model FOLDER``.

    Returns:
        0; with ``--once`` or ``--again`` 3 where studies are left waiting.

    Raises:
        SettingsError: address, token or state folder cannot be used, or the model has no such operating point.
        ArchiveError: with ``--once`` or ``--again``, the archive did not answer, or has no such study.
        CheckpointError, MemoryBankError: the model cannot be opened.
    """
    options = _parser().parse_args(argv)
    from ammrg.archive.address import authorization, checked_address
    from ammrg.archive.records import Records
    from ammrg.archive.server import Archive

    address = checked_address(options.dicomweb, options.insecure_http)
    if options.ca is not None and not options.ca.is_file():
        raise SettingsError(f"--ca {options.ca}: no such file")
    archive = Archive(address, authorization(options.token_file), options.ca)
    if options.token_file is not None and (exposed := exposure(options.token_file)) is not None:
        _say(f"WARNING: {exposed}")
    records = Records(options.state)
    dated = f"studies dated {options.since or 'yesterday'} or later (StudyDate; --since)"
    _say(f"{'one study again' if options.again else dated}; what was done is kept in {options.state}. {NOTICE}")
    once, away = options.once or options.again is not None, ""
    try:
        archive.check()
    except ArchiveError as error:  # before the model is loaded, which takes seconds
        if once:
            raise
        away = str(error)
        _say(f"{away}; it is asked again once the model is loaded")
    from ammrg.archive.loop import Loop
    from ammrg.inference.report_generator import ReportGenerator

    generator = ReportGenerator.from_pretrained(options.model)
    loop = Loop(archive, records, generator, page=options.page, setting=options.operating_point, say=_say)
    before: tuple[int, int] | None = None
    while True:
        since = options.since or _yesterday()
        try:
            done = loop.again(options.again) if options.again else loop.look(since, settled=not once)
            if away:
                _say("the archive answers again")
                away = ""
            # The first look says that it works; later ones would fill the log with looks that find nothing new.
            unfinished = done["arriving"], done["waiting"]
            news = done["stored"] or done["set aside"] or unfinished != before
            before = unfinished
            if once or news:
                _say(", ".join(f"{done[state]} {state}" for state in STATES))
            if once:
                if not options.again and (advice := _advice(done, since)):
                    _say(advice)
                return 3 if done["waiting"] else 0
        except ArchiveError as error:
            if once:
                raise
            if str(error) != away:  # said once: an archive may be away for a night
                away = str(error)
                _say(f"{away}; it is asked again every {options.every} s")
        time.sleep(options.every)


def _advice(done: Counter[str], since: str) -> str:
    """Say what to do where a look found nothing, or nothing new; empty where there is nothing to say."""
    if not done.total():
        return f"no study of CR or DX is dated {since} or later; for older ones give --since, such as --since 20000101"
    if done["known"]:
        return (
            "known studies stay as they are; to have one described anew, remove its documents from the archive, then "
            "--again STUDY_UID"
        )
    return ""


def _parser() -> argparse.ArgumentParser:
    parser = CommandParser(prog="ammrg archive", description=DESCRIPTION)
    parser.add_argument("--dicomweb", required=True, metavar="URL", help="address of the archive's DICOMweb service")
    parser.add_argument("--model", **MODEL)
    parser.add_argument(
        "--state",
        type=Path,
        default=STATE,
        help=f"folder of what was done, and of documents to send (default: {STATE})",
    )
    parser.add_argument(
        "--since", type=_date, metavar="YYYYMMDD", help="earliest StudyDate (default: yesterday, at each look)"
    )
    often = parser.add_mutually_exclusive_group()
    often.add_argument("--once", action="store_true", help="look once; take every study as it is now")
    often.add_argument(
        "--every",
        type=positive,
        default=60,
        metavar="SECONDS",
        help="between two looks (default: 60); a study is taken when its films were the same at two looks",
    )
    often.add_argument(
        "--again",
        metavar="STUDY_UID",
        help="look once, at this study alone: of whatever date, and whatever was done with it before",
    )
    parser.add_argument("--operating-point", **DIAL)
    parser.add_argument("--page", action="store_true", help="also store the page as an encapsulated PDF")
    parser.add_argument(
        "--token-file", type=Path, help="file with the token (default: the environment variable AMMRG_ARCHIVE_TOKEN)"
    )
    parser.add_argument("--ca", type=Path, help="certificates (PEM) of the authority that signed the archive's")
    parser.add_argument(
        "--insecure-http",
        action="store_true",
        help="allow plain http to another machine: films cross the network in clear",
    )
    return parser


def _date(text: str) -> str:
    if not re.fullmatch(r"\d{8}", text):
        raise argparse.ArgumentTypeError(f"{text!r}: must be a date as YYYYMMDD")
    try:
        datetime.datetime.strptime(text, "%Y%m%d")
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r}: no such day") from None
    return text


def _yesterday() -> str:
    return f"{datetime.date.today() - datetime.timedelta(days=1):%Y%m%d}"


def _say(line: str) -> None:
    print(f"{datetime.datetime.now():%Y-%m-%d %H:%M:%S} {line}", flush=True)

"""Writes tables of the documentation from the kept results: ``python -m benchmarks.table [--check]``.

:data:`PAGES` lists them. In that of ``benchmarks/README.md``, a row is
one claim: what ours and its peer take, their ratio with the least that was aimed at, how near ours is to the floor, and
where and how it was measured. A claim whose benchmark has no kept result has a row without figures, and names the page
on which an earlier measurement stands.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from ammrg.commands.parser import CommandParser
from benchmarks import (
    _dial_table,
    _film_distance_table,
    _query_table,
    _real_film_tables,
    _seed_tables,
    _speed_tables,
    _stage1_tables,
)
from benchmarks._markdown import markdown

README = Path(__file__).parent / "README.md"
RESULTS = Path(__file__).parent / "results"
DOCS = README.parent.parent / "docs"
HEADS = ("claim", "ours", "peer", "ratio (aim)", "floor", "measured")
Result = Mapping[str, Any]


class Figures(NamedTuple):
    """What a row shows."""

    ours: str
    peer: str
    ratio: float | None
    floor: str = "-"


class Claim(NamedTuple):
    """A row."""

    benchmark: str
    claim: str
    read: Callable[[Result], Figures | None]
    """The figures of a result; None where it lacks the row."""
    aim: float | None
    page: str
    """Of the documentation, where an earlier measurement stands."""


def case(result: Result, **fields: Any) -> Mapping[str, Any] | None:
    """The first case with these fields."""
    return next((row for row in result["cases"] if all(row.get(name) == value for name, value in fields.items())), None)


def seconds(value: float) -> str:
    return f"{value:.3g} s"


def association(mode: str, rival: str) -> Callable[[Result], Figures | None]:
    """Ours beside a rival at 7,014 patterns and 16 studies."""

    def read(result: Result) -> Figures | None:
        row = case(result, n=7014, batch=16, mode=mode, dropout=0.0, exclude_self=False, k=0)
        if row is None or row["ours_s"] is None or row[f"{rival}_s"] is None:
            return None
        ours, peer = row["ours_s"], row[f"{rival}_s"]
        rate = result["machine"]["matmul_gflops"]
        return Figures(
            seconds(ours), seconds(peer), peer / ours, f"{row['ours_gflops'] / rate:.0%} of a product's FLOP/s"
        )

    return read


def generation(batch: int) -> Callable[[Result], Figures | None]:
    """Ours beside the way of commit 30aa42c."""

    def read(result: Result) -> Figures | None:
        ours, peer = case(result, batch=batch, ours=True), case(result, batch=batch, way="NF4, float32")
        if ours is None or peer is None:
            return None
        rates = [f"{row['tokens_per_s']:.1f} tokens/s" for row in (ours, peer)]
        return Figures(*rates, ours["ratio"], f"{ours['floor_share']:.0%} of it")

    return read


def mining(findings: int) -> Callable[[Result], Figures | None]:
    """Ours beside the published procedure, in float32."""

    def read(result: Result) -> Figures | None:
        row = case(result, findings_per_film=findings, precision="fp32")
        return None if row is None else Figures(seconds(row["ours_s"]), seconds(row["peer_s"]), row["ratio"])

    return read


def two_step(result: Result) -> Figures | None:
    """Two steps that visit 16 lists beside the exact retrieval, for near probes."""
    row = case(result, probes="near", visited=16, candidates=64)
    return None if row is None else Figures(seconds(row["ours_s"]), seconds(row["peer_s"]), row["ratio"])


def scoring(result: Result) -> Figures:
    """All scores and intervals beside the reference scorers, called for each resample."""
    row = result["cases"][0]
    ours = row["ours"]["cpu_s"]
    return Figures(seconds(ours), seconds(row["peer_s"]), row["peer_s"] / ours, f"{row['times_floor']:.1f} times it")


def stage2(result: Result) -> Figures | None:
    """A training step beside the published one, in the published association space."""
    ours, peer = (case(result, table="published association space", row=row) for row in ("ours", "published"))
    if ours is None or peer is None:
        return None
    rates = [f"{row['studies_per_s']:.3g} studies/s" for row in (ours, peer)]
    return Figures(*rates, ours["studies_per_s"] / peer["studies_per_s"])


def first_run(result: Result) -> Figures | None:
    """``make stage2`` beside that of another commit."""
    ours, *others = result["cases"]
    if not others:
        return None
    here, there = ours["seconds"]["whole"], others[0]["seconds"]["whole"]
    return Figures(f"{here:.0f} s", f"{there:.0f} s", there / here, f"{ours['floor_s']:.0f} s")


def answers(result: Result) -> Figures:
    """The service: in batches beside one at a time."""
    alone, together = result["cases"]
    rates = [f"{part['per_second']:.3g} answers/s" for part in (together, alone)]
    return Figures(*rates, together["per_second"] / alone["per_second"])


def first_word(result: Result) -> Figures | None:
    """A film on the command line, beside another build; the floor imports PyTorch and nothing else."""
    rows = [case(result, name=name) for name in ("ours", "other", "import torch")]
    if None in rows:
        return None
    ours, other, floor = (row["cpu_s"] for row in rows if row is not None)
    return Figures(seconds(ours), seconds(other), other / ours, seconds(floor))


def films(target: str) -> Callable[[Result], Figures | None]:
    """A target of the benchmark of data, which holds only its ratio."""

    def read(result: Result) -> Figures | None:
        found = next((row["value"] for claim, row in result["targets"].items() if claim.startswith(target)), None)
        return None if found is None else Figures("-", "-", found)

    return read


CLAIMS = (
    Claim("generation", "write at batch 1 (peer: NF4 packed in float32)", generation(1), 2.5, "stage2"),
    Claim("generation", "write at batch 8 (likewise)", generation(8), 2.5, "stage2"),
    Claim("generation", "write at batch 32 (likewise)", generation(32), 2.0, "stage2"),
    Claim("hopfield", "association, forward (peer: hflayers)", association("forward", "peer"), 40, "memory_study"),
    Claim("hopfield", "association, training (peer: hflayers)", association("training", "peer"), 15, "memory_study"),
    Claim(
        "hopfield",
        "association, training (peer: patterns projected once)",
        association("training", "shared"),
        3,
        "memory_study",
    ),
    Claim("two_step", "association in two steps (peer: exact)", two_step, None, "memory_study"),
    Claim("mining", "mine a film with 1 finding (peer: published procedure)", mining(1), 6, "stage1_measured"),
    Claim("mining", "mine a film with 2 findings (likewise)", mining(2), 12, "stage1_measured"),
    Claim("stage2", "stage-2 step (peer: published step)", stage2, 6, "stage2"),
    Claim("scoring", "score with intervals (peer: reference scorers)", scoring, None, "evaluation"),
    Claim("data", "prepare a film (peer: PIL)", films("preparing"), 3, "data"),
    Claim("data", "load a film (peer: R2GenGPT's way)", films("films a second"), 8, "data"),
    Claim("serve", "answer in batches (peer: one at a time)", answers, 3, "service"),
    Claim("first_word", "describe: first word (peer: `experiments describe` of 30aa42c)", first_word, 3.3, "describe"),
    Claim("first_run", "`make stage2`, whole (peer: commit 30aa42c)", first_run, 1, "reproduce"),
)


def row_of(claim: Claim, folder: Path = RESULTS) -> tuple[str, ...]:
    """The cells of a claim."""
    file = folder / f"{claim.benchmark}.json"
    found = result = None
    if file.exists():
        result = json.loads(file.read_text(encoding="utf-8"))
        found = claim.read(result)
    if result is None or found is None:
        command = f"`python -m benchmarks.{claim.benchmark}`"
        return (claim.claim, "-", "-", "-", "-", f"no kept result; {command}, [{claim.page}](../docs/{claim.page}.md)")
    digits = 2 if (found.ratio or 0) < 2 else 1
    ratio = "-" if found.ratio is None else f"{found.ratio:.{digits}f}" + (f" ({claim.aim:g})" if claim.aim else "")
    how = result["run"]
    where = f"{how['date']}, {how['cpus']} CPUs ({how['processor']})"
    if how["load_before"] > 0.5:
        where += f", beside other work (load {how['load_before']:.0f})"
    file_link = f"[{claim.benchmark}.json](results/{claim.benchmark}.json)"
    return (claim.claim, found.ours, found.peer, ratio, found.floor, f"{where}; `{how['command']}`, {file_link}")


def table(folder: Path = RESULTS) -> str:
    """The whole table in Markdown."""
    return markdown(HEADS, (row_of(claim, folder) for claim in CLAIMS))


def ways_of_writing(folder: Path = RESULTS) -> str:
    """Every way of :mod:`benchmarks.generation`: tokens/s by batch, how many times the peer's, and the words alike."""
    file = folder / "generation.json"
    rows = json.loads(file.read_text(encoding="utf-8"))["cases"] if file.exists() else []
    batches = list(dict.fromkeys(row["batch"] for row in rows))
    ways: dict[str, list[Any]] = {}
    for row in rows:
        ways.setdefault(row["way"] + (" (ours)" if row["ours"] else ""), []).append(row)
    lines = []
    for way, found in ways.items():
        same = found[0]["same_next_tokens"]
        cells = (f"{row['tokens_per_s']:.1f} ({row['ratio']:.1f})" for row in found)
        lines.append([way, *cells, "-" if same is None else f"{same:.1%}"])
    return markdown(["way", *(f"batch {batch}" for batch in batches), "next tokens as NF4's"], lines)


PAGES: Mapping[Path, Mapping[str, Callable[[Path], str]]] = {
    README: {"table": table},
    DOCS.parent / "README.md": {
        "drawn films": _seed_tables.reports_in_short,
        "real films": _real_film_tables.reports_in_short,
    },
    DOCS / "real_films.md": {
        "reports": _real_film_tables.reports,
        "differences": _real_film_tables.differences,
        "rewards": _real_film_tables.rewards,
        "seeds": _real_film_tables.seeds,
        "dial": _real_film_tables.dial,
    },
    DOCS / "describe.md": {"dial": _dial_table.phantom, "first word": _speed_tables.first_word},
    DOCS / "service.md": {"answers": _speed_tables.served},
    DOCS / "film_distance.md": {"table": _film_distance_table.film_distance},
    DOCS / "memory_study.md": {"association": _speed_tables.association, "two steps": _speed_tables.two_step},
    DOCS / "stage1_measured.md": {"queries": _query_table.queries, "mining": _speed_tables.mining},
    DOCS / "stage2.md": {"steps": _speed_tables.steps, "table": ways_of_writing},
    DOCS / "transfer.md": {"eyes": _stage1_tables.references, "chain": _stage1_tables.chain},
    DOCS / "results.md": {
        "reports": _seed_tables.reports,
        "recalled": _seed_tables.recalled,
        "said": _seed_tables.said,
        "template": _seed_tables.minus("baselines/stage1_template"),
        "exchanged": _seed_tables.minus("guards/memory_shuffled"),
        "influenced": _seed_tables.influenced,
        "without": _seed_tables.minus("a network without memories", _seed_tables.BEFORE),
    },
}
"""Page -> name of each of its tables, and what it shows of the folder of results."""


def with_table(text: str, name: str, new: str) -> str:
    """A page with another table, between ``<!-- NAME: begin -->`` and ``<!-- NAME: end -->``.

    Raises:
        SystemExit: the page lacks these marks.
    """
    begin, end = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
    pattern = re.compile(f"({re.escape(begin)}).*({re.escape(end)})", re.DOTALL)
    if not pattern.search(text):
        raise SystemExit(f"the page has no {begin} ... {end}; put both around the table")
    return pattern.sub(lambda found: f"{found[1]}\n\n{new}\n\n{found[2]}", text)


def main(argv: Sequence[str] | None = None) -> int:
    """Write the pages, or compare them."""
    parser = CommandParser(prog="python -m benchmarks.table", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--check", action="store_true", help="change nothing; status 1 if a page is another one")
    arguments = parser.parse_args(argv)
    others = 0
    for page, tables in PAGES.items():
        old = new = page.read_text(encoding="utf-8")
        for name, shown in tables.items():
            new = with_table(new, name, shown(RESULTS))
        others += old != new
        if not arguments.check:
            page.write_text(new, encoding="utf-8")
    return int(arguments.check and others > 0)


if __name__ == "__main__":
    raise SystemExit(main())

"""report.html of one described study: a page that opens from disk and needs no network.

It shows what panel.png shows. Like it, the page has the study's key and its films, and no path, name or tag of them.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from ammrg.atomic import PRIVATE, write_atomically
from ammrg.imaging.embedded import film_uri, hundredths
from ammrg.inference.memory_note import MemoryNote
from ammrg.pages.page_file import render
from ammrg.text.shown_places import shown_place
from ammrg.thresholds import figures, is_predicted

if TYPE_CHECKING:
    from ammrg.inference.description import Description

PARTS = Path(__file__).parent


def write_case_html(description: Description, path: Path) -> Path:
    """Write the page atomically, for its owner alone, and return its path."""
    page = render(PARTS / "case.html", [PARTS / "case.css"], [PARTS / "case.js"], case_data(description))
    write_atomically(path, page.encode(), PRIVATE)
    return path


def case_data(description: Description) -> dict[str, Any]:
    """The data of the page, as JSON values."""
    page = description.page
    return {
        "title": f"Chest films: {page.title}",
        "notice": description.notice,
        "report": description.report,
        "warnings": description.warnings,
        "notes": [note for note in page.notes if note not in description.warnings],
        "findings": [
            {
                "name": name,
                "probability": value,
                "threshold": description.thresholds[name],
                "figures": figures(value, description.thresholds[name])._asdict(),
                "present": bool(is_predicted(value, description.thresholds[name])),
                "place": shown_place(description.places.get(name, ())),
            }
            for name, value in description.findings.items()
        ],
        "films": [
            {
                "image": film_uri(film.pixels),
                "number": film.number,
                "projection": film.name,
                "sides": list(film.sides or ()),
                "aspect": film.aspect,
            }
            for film in page.films
        ],
        "maps": [
            {"finding": name, "film": page.map_films.get(name, 0), "grid": hundredths(grid), "shift": page.cell_shift}
            for name, grid in page.maps.items()
        ],
        "memory": _memory(description.memory),
    }


def _memory(note: MemoryNote) -> dict[str, Any]:
    return {
        "sentence": note.sentence,
        "reasons": [case.line() for case in note.reasons],
        "similar": [case.line() for case in note.similar],
    }

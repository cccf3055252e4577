"""One HTML file from markup, styles, scripts and data. It needs no network.

Texts are JSON inside the page, and scripts show them as text, never as markup. A content security policy allows only
the page's own style and script, by their hashes.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

SHARED = Path(__file__).parent
LOOK = (SHARED / "look.css", SHARED / "film_viewer.css", SHARED / "finding_bars.css")
"""The styles of all pages."""
FRAME = SHARED / "frame.html"
"""What stands around the body of all pages: the content security policy, styles, data and scripts."""
ELEMENTS = (SHARED / "elements.js", SHARED / "film_viewer.js", SHARED / "finding_bars.js")
"""The scripts that all pages start with."""


def render(body: Path, styles: Sequence[Path], scripts: Sequence[Path], data: Mapping[str, Any]) -> str:
    """Put a page's body into :data:`FRAME`, and fill its placeholders, names in doubled braces.

    Args:
        body: markup.
        styles: the page's own, after :data:`LOOK`.
        scripts: the page's own, after :data:`ELEMENTS`. All are one script, so they share their names.
        data: JSON values; ``title`` is also the window's.
    """
    parts = {"style": _joined((*LOOK, *styles)), "script": _joined((*ELEMENTS, *scripts))}
    hashes = {f"{name}_hash": _policy_hash(text) for name, text in parts.items()}
    # JSON has "<" only inside strings. With "<" escaped, no text can end the data element or start another.
    escaped = json.dumps(data, ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c")
    title = str(data["title"]).replace("&", "&amp;").replace("<", "&lt;")
    page = FRAME.read_text(encoding="utf-8").replace("{{body}}", body.read_text(encoding="utf-8"))
    # Each placeholder is filled once, and users' texts last: placeholders inside them stay as they are.
    for name, text in {**parts, **hashes, "data": escaped, "title": title}.items():
        page = page.replace("{{" + name + "}}", text, 1)
    return page


def _joined(paths: Sequence[Path]) -> str:
    return "".join(path.read_text(encoding="utf-8") for path in paths)


def _policy_hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()

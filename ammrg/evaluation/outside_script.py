"""Script that scores texts with radeval: PAIRS.json -> SCORES.json. Another environment's python runs it.

That environment has radeval but not this project.

Usage: ``python -P outside_script.py PAIRS.json SCORES.json NAME ...``
"""

from __future__ import annotations

import importlib.metadata
import json
import sys
from typing import Any

HUB = ("huggingface_hub", "httpx", "httpx2", "httpcore", "httpcore2", "requests", "urllib3", "socket")
"""Packages whose errors mean that weights could not be fetched."""


def main(pairs: str, scores: str, *names: str) -> int:
    """Read {references, hypotheses}; write {version, per_study: {metric: [n numbers]}} or {error, kind}.

    Returns:
        0 on success, 1 after an error.
    """
    with open(pairs, encoding="utf-8") as file:
        texts = json.load(file)
    try:
        answer = scored(texts, names)
    except Exception as error:  # the caller reports whatever another package raises
        answer = failure(error)
    with open(scores, "w", encoding="utf-8") as file:
        json.dump(answer, file)
    return int("error" in answer)


def scored(texts: dict[str, list[str]], names: tuple[str, ...]) -> dict[str, Any]:
    """The version of radeval, and its scores of the texts."""
    import radeval  # type: ignore[import-not-found]  # in the other environment

    # In 2.2.1 the metrics around RadGraph import the package by its former name.
    sys.modules.setdefault("RadEval", radeval)
    found = radeval.RadEval(metrics=list(names), per_sample=True)(refs=texts["references"], hyps=texts["hypotheses"])
    per_study = {key: [float(value) for value in values] for key, values in found.items()}
    return {"version": importlib.metadata.version("radeval"), "per_study": per_study}


def failure(error: BaseException) -> dict[str, str]:
    """The message of a failure, and its kind.

    The kind is ``weights`` if they could not be fetched, ``package`` if a module is missing, else ``other``.
    """
    chain: list[BaseException] = []
    seen: BaseException | None = error
    while seen is not None and seen not in chain:
        chain.append(seen)
        seen = seen.__cause__ or seen.__context__
    if any(type(each).__module__.partition(".")[0] in HUB for each in chain):
        # The deepest exception is the cause; the others only pass it on.
        return {"error": first_line(chain[-1]), "kind": "weights"}
    return {"error": first_line(error), "kind": "package" if isinstance(error, ImportError) else "other"}


def first_line(error: BaseException) -> str:
    """The first line of an exception's message, or its type."""
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))

"""Run by the python of another environment, which holds radeval and nothing of this project: PAIRS.json -> SCORES.json.

``python -P outside_script.py PAIRS.json SCORES.json NAME ...``
"""

from __future__ import annotations

import importlib.metadata
import json
import sys
from typing import Any

HUB = ("huggingface_hub", "httpx", "httpx2", "httpcore", "httpcore2", "requests", "urllib3", "socket")
"""Packages whose errors say that weights could not be fetched."""


def main(pairs: str, scores: str, *names: str) -> int:
    """Read {references, hypotheses}, write {version, per_study: {metric: [n numbers]}} or {error, kind}; 0 or 1."""
    with open(pairs, encoding="utf-8") as file:
        texts = json.load(file)
    try:
        answer = asked(texts, names)
    except Exception as error:  # whatever another package raises is told by the one who called
        answer = told(error)
    with open(scores, "w", encoding="utf-8") as file:
        json.dump(answer, file)
    return int("error" in answer)


def asked(texts: dict[str, list[str]], names: tuple[str, ...]) -> dict[str, Any]:
    """What radeval says of the texts."""
    import radeval  # type: ignore[import-not-found]  # of the other environment

    # The metrics around RadGraph in 2.2.1 import the package by the name it had before.
    sys.modules.setdefault("RadEval", radeval)
    found = radeval.RadEval(metrics=list(names), per_sample=True)(refs=texts["references"], hyps=texts["hypotheses"])
    per_study = {key: [float(value) for value in values] for key, values in found.items()}
    return {"version": importlib.metadata.version("radeval"), "per_study": per_study}


def told(error: BaseException) -> dict[str, str]:
    """The last words of a failure, and its kind: ``weights`` where the hub did not give them, ``package`` where a
    module is missing, else ``other``."""
    chain: list[BaseException] = []
    seen: BaseException | None = error
    while seen is not None and seen not in chain:
        chain.append(seen)
        seen = seen.__cause__ or seen.__context__
    if any(type(each).__module__.partition(".")[0] in HUB for each in chain):
        # The deepest says what happened, those above what it meant for them.
        return {"error": first_line(chain[-1]), "kind": "weights"}
    return {"error": first_line(error), "kind": "package" if isinstance(error, ImportError) else "other"}


def first_line(error: BaseException) -> str:
    """What an exception says, on one line."""
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))

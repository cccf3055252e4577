"""RadGraph F1, RadCliQ-v1 and GREEN through the package radeval, in an environment of its own.

Its torchvision, medspacy and stanza conflict with the versions pinned here, and its weights come from a hub (GREEN's
language model has 7 billion parameters). So radeval has its own environment, and its python runs as a process.
"""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ammrg.errors import ScoringError

SCRIPT = Path(__file__).with_name("outside_script.py")
INSTALL = (
    "Install it in an environment of its own: python3.11 -m venv radeval; radeval/bin/pip install radeval==2.2.1; then "
    "give --radeval-python radeval/bin/python"
)
CURES = {
    "package": INSTALL,
    "weights": "Its weights are not here, and could not be fetched from the Hugging Face hub: run it once on a machine "
    "that can reach the hub, and bring the caches (~/.cache/huggingface, radgraph and chexbert) here",
    "other": "With --radeval name metrics that radeval has, and check that they can read these texts",
}
"""What to do about each kind of failure that the script reports."""


def per_study(
    python: Path, names: Sequence[str], references: Sequence[str], hypotheses: Sequence[str]
) -> dict[str, NDArray[np.float64]]:
    """Scores by radeval for each pair: metric -> float64 ``[n]``.

    Args:
        python: the python of the environment that has radeval.
        names: radeval's names of metrics (``radgraph``, ``radcliq``, ``radgraph_radcliq``, ``green``).
        references: n whole texts.
        hypotheses: n whole texts.

    Raises:
        ScoringError: if there is no such python, it has no radeval, the weights cannot be fetched, radeval fails
            otherwise, or its answer does not fit the studies.
    """
    if not python.is_file():
        raise ScoringError(f"--radeval-python {python}: no such file. {INSTALL}.")
    # GREEN writes into the folder it runs in.
    with tempfile.TemporaryDirectory() as folder:
        pairs, scores = Path(folder) / "pairs.json", Path(folder) / "scores.json"
        pairs.write_text(json.dumps({"references": list(references), "hypotheses": list(hypotheses)}))
        environment = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
        command = [str(python.absolute()), "-P", str(SCRIPT), str(pairs), str(scores), *names]
        done = subprocess.run(command, cwd=folder, env=environment, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL)
        if not scores.is_file():
            last = done.stderr.decode(errors="replace").strip().splitlines()[-1:] or ["it gave no message"]
            answer: dict[str, Any] = {"error": last[0], "kind": "package"}
        else:
            answer = json.loads(scores.read_text(encoding="utf-8"))
    if "error" in answer:
        reason = answer["error"].rstrip(".")
        raise ScoringError(f"radeval ({', '.join(names)}) failed in {python}: {reason}. {CURES[answer['kind']]}.")
    table = {key: np.asarray(values, dtype=np.float64) for key, values in answer["per_study"].items()}
    for key, values in table.items():
        if values.shape != (len(references),) or not np.isfinite(values).all():
            raise ScoringError(
                f"radeval: {key} must have one finite number for each of {len(references)} studies, got an array of "
                f"shape {values.shape}."
            )
    return {f"radeval_{key}": values for key, values in table.items()}

"""Run by the python of another environment, which holds radeval and nothing of this project: PAIRS.json -> SCORES.json.

``python -P outside_script.py PAIRS.json SCORES.json NAME ...``
"""

import importlib.metadata
import json
import sys


def main(pairs: str, scores: str, *names: str) -> None:
    """Read {references, hypotheses}, write {version, per_study: {metric: [n numbers]}}."""
    from radeval import RadEval

    with open(pairs, encoding="utf-8") as file:
        texts = json.load(file)
    found = RadEval(metrics=list(names), per_sample=True)(refs=texts["references"], hyps=texts["hypotheses"])
    per_study = {key: [float(value) for value in values] for key, values in found.items()}
    with open(scores, "w", encoding="utf-8") as file:
        json.dump({"version": importlib.metadata.version("radeval"), "per_study": per_study}, file)


if __name__ == "__main__":
    main(*sys.argv[1:])

"""METEOR 1.5 through pycocoevalcap's jar, as sufficient statistics, so that it has intervals too.

Java aligns the words of each pair once and returns its counts. The corpus value under any weighting of the studies is
METEOR's formula on the weighted sums (Denkowski and Lavie 2014, English, ranking task), from one matrix product.
"""

from __future__ import annotations

import gzip
import shutil
import subprocess
import tempfile
import zlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ammrg.errors import ScoringError
from ammrg.metrics.ngrams import check_pairs
from ammrg.metrics.paraphrases import usable
from ammrg.metrics.quotient import quotient

Floats = NDArray[np.float64]

_ALPHA, _BETA, _GAMMA, _DELTA = 0.85, 0.2, 0.6, 0.75
_MATCHERS = np.array([1.0, 0.6, 0.8, 0.6])
"""Weights of exact, stem, synonym and paraphrase matches."""
_NUMBERS = 23
_MACHINE = ("-Xmx2G", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC")
"""Java compiles only once and lightly: for some thousand short texts, compiling well takes longer than it saves."""


class MeteorStatistics(NamedTuple):
    """Each study's contribution to METEOR, n studies."""

    counts: Floats
    """``[n 23]``, in the jar's order: words of the hypothesis and of the reference; function words of both; for each
    matcher, the content words matched on each side, then the function words; chunks; words matched on each side."""


class MeteorScorer:
    """One Java process for any number of corpora. Use it as a context manager.

    Args:
        texts: every text to be scored. Java reads only the paraphrases that occur in them, or, if a text is not ASCII,
            all paraphrases, which takes six seconds more.
    """

    def __init__(self, texts: Iterable[str]) -> None:
        self.texts = set(texts)

    @staticmethod
    def available() -> bool:
        """Whether there is a ``java`` command."""
        return shutil.which("java") is not None

    def __enter__(self) -> MeteorScorer:
        """Start Java.

        Raises:
            ScoringError: if there is no ``java`` command.
        """
        if not self.available():
            raise ScoringError("METEOR needs a java command (any version from 1.8); install one or leave METEOR out.")
        from pycocoevalcap.meteor import meteor as shipped

        folder = Path(shipped.__file__).parent
        command = ["java", *_MACHINE, "-jar", shipped.METEOR_JAR, "-", "-", "-stdio", "-l", "en", "-norm"]
        self._folder = tempfile.TemporaryDirectory()
        if all(map(str.isascii, self.texts)):
            table = zlib.decompress((folder / "data/paraphrase-en.gz").read_bytes(), wbits=zlib.MAX_WBITS | 16)
            path = Path(self._folder.name) / "paraphrases.gz"
            path.write_bytes(gzip.compress(usable(table, self.texts), compresslevel=1))
            command += ["-a", str(path)]
        self._java: Any = subprocess.Popen(
            command,
            cwd=folder,
            encoding="utf-8",
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        return self

    def __exit__(self, *_: object) -> None:
        """End Java."""
        self._java.kill()
        self._java.communicate()
        self._folder.cleanup()

    def statistics(self, references: Sequence[str], hypotheses: Sequence[str]) -> MeteorStatistics:
        """Per-study counts of paired texts.

        Raises:
            ScoringError: if the lengths differ, there are no pairs, a reference is empty, a text is not one of
                ``texts``, or the jar's answer is not METEOR 1.5's.
        """
        check_pairs(references, hypotheses)
        if unknown := {*references, *hypotheses} - self.texts:
            raise ScoringError(f"METEOR was not told of the text {min(unknown)[:80]!r} when it was started.")
        rows = []
        for reference, hypothesis in zip(references, hypotheses, strict=True):
            said = hypothesis.replace("|||", "").replace("  ", " ")  # as pycocoevalcap does
            self._java.stdin.write(f"SCORE ||| {reference} ||| {said}\n")
            self._java.stdin.flush()
            answer = self._java.stdout.readline().strip()
            row = [float(number) for number in answer.split()]
            if len(row) != _NUMBERS:
                raise ScoringError(f"METEOR: the jar answered {answer[:80]!r}; is java able to run it?")
            rows.append(row)
        return MeteorStatistics(np.array(rows))


def weighted_scores(statistics: MeteorStatistics, weights: Floats) -> dict[str, Floats]:
    """Corpus METEOR under study weights ``[r n]``: ``meteor`` -> ``[r]`` in [0, 1]."""
    sums = weights @ statistics.counts
    words, functions = sums[:, 0:2], sums[:, 2:4]  # [r 2]: of the hypothesis and of the reference
    by_matcher = sums[:, 4:20].reshape(-1, 4, 2, 2)  # matcher, content or function, side
    matched = np.einsum("m,rmks->rks", _MATCHERS, by_matcher)
    hits = _DELTA * matched[:, 0] + (1 - _DELTA) * matched[:, 1]
    possible = _DELTA * (words - functions) + (1 - _DELTA) * functions
    precision, recall = quotient(hits, possible).T
    mean = quotient(precision * recall, (1 - _ALPHA) * recall + _ALPHA * precision)
    counts = statistics.counts
    whole = (counts[:, 21:23] == counts[:, 0:2]).all(axis=1) & (counts[:, 20] == 1)
    chunks = weights @ np.where(whole, 0.0, counts[:, 20])  # as in the jar: a report that is its reference adds none
    fragmentation = quotient(chunks, sums[:, 21:23].mean(axis=1))
    return {"meteor": mean * (1 - _GAMMA * fragmentation**_BETA)}

"""The part of the paraphrase table against trying every record."""

from __future__ import annotations

import gzip
import itertools
import random
from pathlib import Path

import pytest
from pycocoevalcap.meteor import meteor as shipped

from ammrg.metrics.paraphrases import LONGEST, phrases, usable

WORDS = ("a", "b", "b1", "ba", "c", "0")


def phrase(draw: random.Random) -> str:
    return " ".join(draw.choices(WORDS, k=draw.choice((1, 1, 2, 2, 3, 4))))


@pytest.mark.parametrize("seed", range(20))
def test_is_what_trying_every_record_leaves(seed: int) -> None:
    draw = random.Random(seed)
    records = sorted({(phrase(draw), phrase(draw)) for _ in range(draw.choice((1, 30, 600)))}, key=lambda pair: pair[0])
    table = "".join(f"{draw.random():.17f}\n{first}\n{second}\n" for first, second in records)
    texts = [phrase(draw) + " " + phrase(draw) for _ in range(draw.choice((0, 1, 4)))]
    kept = [
        f"1\n{first}\n{second}\n"
        for first, second in records
        if all(any(f" {each} " in f" {text} " for text in texts) for each in (first, second))
    ]
    assert usable(table.encode(), texts).decode() == "".join(kept)


def test_marks_do_not_part_words_and_case_does_not_matter() -> None:
    found = phrases(["No X-ray; Patient's T11."])
    assert {b"no x", b"x ray patient s t11", b"s", b"t11"} < found
    assert b"" not in found
    assert max(len(each.split()) for each in phrases(["word " * 20])) == LONGEST


@pytest.mark.slow
def test_the_shipped_table_has_the_form_that_is_relied_on() -> None:
    table = Path(shipped.__file__).parent / "data/paraphrase-en.gz"
    lines = gzip.decompress(table.read_bytes()).split(b"\n")
    assert lines.pop() == b""
    assert len(lines) % 3 == 0
    probabilities, first, second = (lines[i::3] for i in range(3))
    assert all(b"." in line for line in probabilities)
    assert not any(b"." in line for column in (first, second) for line in column)
    assert all(one <= other for one, other in itertools.pairwise(first))
    words = set(b" ".join({*first, *second}).split(b" "))
    assert all(word.isalnum() and word == word.lower() for word in words if word.isascii() and b"?" not in word)
    assert b"?" not in words
    assert max(line.count(b" ") for column in (first, second) for line in column) == LONGEST - 1

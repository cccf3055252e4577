"""A text word by word: as it is written greedily or sampled, and whole after a beam search."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch

from ammrg.networks.language_model import LanguageModel
from ammrg.networks.word_stream import WordStream
from tests.networks.tiny_language_models import films


def test_a_word_is_passed_on_when_the_next_one_begins() -> None:
    pieces = {1: "No", 2: " eff", 3: "usion", 4: ".", 5: " Clear", 6: ""}
    seen: list[str] = []
    stream = WordStream(lambda ids: "".join(pieces[each] for each in ids), seen.append)
    stream.put(torch.zeros(1, 0, dtype=torch.long))  # the prompt, made of embeddings
    for token in range(1, 7):
        stream.put(torch.tensor([token]))
    stream.end()
    assert seen == ["No", "No effusion."]


@pytest.mark.parametrize("how", [{}, {"do_sample": True}, {"repetition_penalty": 2.0}, {"min_new_tokens": 12}])
def test_the_words_passed_on_grow_into_the_text_that_is_written_without_them(
    llm_folder: Path, how: dict[str, Any]
) -> None:
    model = LanguageModel(str(llm_folder), quantization="none", device="cpu")
    torch.manual_seed(2)
    visual, seen = films(7), list[str]()
    (written,) = model.generate(visual, "A.", max_new_tokens=90, on_text=seen.append, **how)
    assert model.generate(visual, "A.", max_new_tokens=90, **how) == [written]
    assert seen[-1] == written
    assert len(seen) > 1
    assert all(later.startswith(earlier) for earlier, later in pairwise(seen))


def test_a_beam_search_passes_on_its_text_once_and_several_studies_are_refused(llm_folder: Path) -> None:
    model = LanguageModel(str(llm_folder), quantization="none", device="cpu")
    torch.manual_seed(2)
    seen: list[str] = []
    (written,) = model.generate(films(7), "A.", max_new_tokens=20, num_beams=2, on_text=seen.append)
    assert seen == [written]
    with pytest.raises(ValueError, match="one study, but there are 2"):
        model.generate(films(7, 3), "A.", max_new_tokens=20, on_text=seen.append)

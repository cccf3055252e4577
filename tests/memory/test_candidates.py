from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

from ammrg.errors import SettingsError
from ammrg.memory import candidates
from ammrg.memory.candidates import ExactSearch, FaissSearch

needs_faiss = pytest.mark.skipif(importlib.util.find_spec("faiss") is None, reason="faiss is not installed")


def clustered(n: int = 4000, p: int = 24) -> tuple[torch.Tensor, torch.Tensor]:
    """Patterns around 40 centres, and noisy copies of some as probes."""
    generator = torch.Generator().manual_seed(0)
    centres = 3 * torch.randn(40, p, generator=generator)
    patterns = centres[torch.arange(n) % 40] + torch.randn(n, p, generator=generator)
    probes = F.layer_norm(patterns[::80], (p,))
    return patterns, probes + 0.3 * torch.randn(probes.shape, generator=generator)


def test_exact_search_is_the_plain_definition_in_any_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    patterns, probes = clustered(500)
    expected = (probes @ F.layer_norm(patterns, (24,)).T).topk(7, dim=1).indices
    assert torch.equal(ExactSearch(patterns)(probes, 7), expected)
    monkeypatch.setattr(candidates, "ROWS_AT_ONCE", 64)
    assert torch.equal(ExactSearch(patterns)(probes, 7), expected)
    few = ExactSearch(patterns[:3])(probes, 5)
    assert few.shape == (len(probes), 5)
    assert bool((few[:, 3:] == -1).all())


def test_without_faiss_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "faiss", None)
    with pytest.raises(SettingsError, match=r"pip install '\.\[scale\]' \(faiss-cpu\)"):
        FaissSearch(torch.randn(10, 4))


@needs_faiss
def test_a_small_memory_is_searched_exactly() -> None:
    patterns, probes = clustered(500)
    assert torch.equal(FaissSearch(patterns)(probes, 9), ExactSearch(patterns)(probes, 9))


@needs_faiss
def test_lists_find_nearly_all_and_more_of_them_more() -> None:
    patterns, probes = torch.randn(4000, 24), torch.randn(50, 24)  # no clusters: the hard case
    exact = ExactSearch(patterns)(probes, 10)

    def recall(visited: int) -> float:
        found = FaissSearch(patterns, lists=40, visited=visited)(probes, 10)
        return float((found[:, :, None] == exact[:, None]).any(1).float().mean())

    assert recall(1) < recall(10) < recall(40)
    assert recall(40) > 0.9  # all lists: what is missing goes to 8 bits a number
    assert recall(10_000) == recall(40)


@needs_faiss
def test_an_index_is_written_once_and_read_from_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    patterns, probes = clustered()
    first = FaissSearch(patterns, lists=20, visited=20, folder=tmp_path)
    (written,) = tmp_path.iterdir()
    with monkeypatch.context() as patch:
        patch.setattr(FaissSearch, "_build", lambda *_: pytest.fail("built twice"))
        again = FaissSearch(patterns.clone(), lists=20, visited=20, folder=tmp_path)
    assert torch.equal(first(probes, 5), again(probes, 5))
    assert torch.equal(first(probes, 5), FaissSearch(patterns, lists=20, visited=20)(probes, 5))
    changed = patterns.clone()
    changed[0] += 1
    FaissSearch(changed, lists=20, folder=tmp_path)
    FaissSearch(patterns, lists=21, folder=tmp_path)
    assert len(list(tmp_path.iterdir())) == 3
    assert written.suffix == ".faiss"


@needs_faiss
def test_bad_settings_are_refused_with_the_number() -> None:
    with pytest.raises(SettingsError, match=r"visited \(0\)"):
        FaissSearch(torch.randn(10, 4), visited=0)
    with pytest.raises(SettingsError, match=r"lists \(0\)"):
        FaissSearch(torch.randn(10, 4), lists=0)

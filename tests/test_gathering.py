"""Predictions of several processes, each study once."""

from __future__ import annotations

from pathlib import Path

import torch.distributed as distributed
import torch.multiprocessing as multiprocessing

from ammrg.gathering import gather_once


def test_one_process_keeps_the_first_of_a_doubled_study_and_orders_by_id() -> None:
    assert list(gather_once([("b", 1), ("a", 2), ("b", 3)]).items()) == [("a", 2), ("b", 1)]
    assert gather_once([]) == {}


def _rank(rank: int, store: str, out: str) -> None:
    distributed.init_process_group("gloo", init_method=f"file://{store}", rank=rank, world_size=2)
    own = [[("a", "first"), ("c", "first")], [("b", "second"), ("c", "second")]][rank]
    Path(f"{out}{rank}").write_text(repr(gather_once(own)))
    distributed.destroy_process_group()


def test_two_processes_see_the_same_whole(tmp_path: Path) -> None:
    multiprocessing.spawn(_rank, args=(str(tmp_path / "store"), str(tmp_path / "out")), nprocs=2)
    first, second = ((tmp_path / f"out{rank}").read_text() for rank in (0, 1))
    assert first == second == "{'a': 'first', 'b': 'second', 'c': 'first'}"

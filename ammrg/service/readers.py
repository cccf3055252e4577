"""The threads that read films beside the thread of the model."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import torch


def reader_threads(count: int) -> ThreadPoolExecutor:
    """Return threads that read films, each on one processor.

    PyTorch gives every thread that computes a pool of its own, as wide as the machine. Once the pools together are
    wider than that, GNU OpenMP no longer lets their threads wait awake: each small operation of the model then wakes
    threads that sleep, and takes about twice as long. So only the thread of the model has a pool.

    Args:
        count: of threads.
    """
    return ThreadPoolExecutor(count, "reader", initializer=torch.set_num_threads, initargs=(1,))

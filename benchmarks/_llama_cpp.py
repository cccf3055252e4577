"""Writes with llama.cpp: ``python benchmarks/_llama_cpp.py SPEC``, by an interpreter that has the package xllamacpp.

SPEC is JSON: ``gguf`` (a file), ``prompt`` (token ids), ``batches``, ``tokens`` (of each text), ``rounds``, ``threads``
and ``cpu`` (CPU seconds rather than wall seconds). The texts of a batch are written by as many slots at once. The last
line of its output is JSON: batch -> median seconds. It imports nothing of the checkout.
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import xllamacpp


def server_of(spec: dict[str, Any], batch: int) -> Any:
    """One with a slot for each text."""
    params = xllamacpp.CommonParams()
    params.model.path = spec["gguf"]
    params.n_parallel = batch
    params.n_ctx = batch * (len(spec["prompt"]) + spec["tokens"] + 8)
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = spec["threads"]
    return xllamacpp.Server(params)


def main() -> None:
    spec = json.loads(sys.argv[1])
    clock = time.process_time if spec["cpu"] else time.perf_counter
    found = {}
    for batch in spec["batches"]:
        server = server_of(spec, batch)

        def write(number: int, server: Any = server) -> int:
            # each its own first token, so that no slot takes over another's prompt
            prompt = [number + 100, *spec["prompt"][1:]]
            request = {"prompt": prompt, "n_predict": spec["tokens"], "temperature": 0.0, "ignore_eos": True}
            answer = server.handle_completions(request | {"cache_prompt": False, "return_tokens": True})
            return int(answer["usage"]["completion_tokens"])

        taken = []
        with ThreadPoolExecutor(batch) as pool:
            for _ in range(spec["rounds"] + 1):
                start = clock()
                written = list(pool.map(write, range(batch)))
                taken.append(clock() - start)
                assert written == [spec["tokens"]] * batch, written
        found[batch] = statistics.median(taken[1:])  # the first is a warm-up
        del server
    print(json.dumps(found))


if __name__ == "__main__":
    main()

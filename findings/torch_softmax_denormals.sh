#!/usr/bin/env bash
# torch 2.13.0 on a CPU: softmax leaves denormal numbers where scores spread widely (cosines at a low temperature,
# Hopfield memories, contrastive losses over thousands of keys), and every matrix product that reads such weights becomes
# many times slower, without a warning. The results are right. torch.set_flush_denormal(True), called before the first
# operation, restores the speed; it is off by default.
#
# Seen (one thread; 896 queries, 1,000 keys, 128 values, scores of spread 30; AVX512 machine):
#   torch 2.13.0+cpu: denormal 0.21; product 0.0608 s, of flushed weights 0.0016 s (37 times), with set_flush_denormal 0.0014 s
# Exits with 1 where the product of such weights is less than 4 times as slow as that of the same weights flushed to zero.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place"
"$place/bin/pip" install --quiet --disable-pip-version-check torch==2.13.0 numpy==2.4.6
"$place/bin/python" - <<'PYTHON'
import sys
import time

import torch

torch.set_num_threads(1)
torch.manual_seed(0)
weights = (30 * torch.randn(896, 1000)).softmax(dim=-1)
values = torch.randn(1000, 128)
tiny = torch.finfo(torch.float32).tiny
denormal = (weights > 0) & (weights < tiny)
flushed = weights.masked_fill(denormal, 0)


def seconds(matrix):
    """The shortest of nine products."""
    found = []
    for _ in range(9):
        start = time.perf_counter()
        matrix @ values
        found.append(time.perf_counter() - start)
    return min(found)


assert torch.allclose(weights @ values, flushed @ values, atol=1e-30)
slow, quick = seconds(weights), seconds(flushed)
torch.set_flush_denormal(True)
share, ratio = float(denormal.double().mean()), slow / quick
print(
    f"torch {torch.__version__}: denormal {share:.2f}; product {slow:.4f} s, of flushed weights {quick:.4f} s "
    f"({ratio:.0f} times), with set_flush_denormal {seconds(weights):.4f} s"
)
sys.exit(not (share > 0.05 and ratio > 4))
PYTHON

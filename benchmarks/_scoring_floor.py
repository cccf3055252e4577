"""What no scoring can do without: numpy, the file's JSON, and one pass over the words of all texts."""

from __future__ import annotations

import json
import sys
from collections import Counter
from pathlib import Path

import numpy as np


def main() -> int:
    rows = [json.loads(line) for line in Path(sys.argv[1]).read_text(encoding="utf-8").splitlines()]
    words = [Counter(row[field].lower().split()).total() for row in rows for field in ("reference", "generated")]
    print(f"{np.mean(words):.0f} words a text")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

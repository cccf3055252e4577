#!/usr/bin/env bash
# Pillow 12.3.0 and 13.0.0: rotate() and transform() of a 16-bit grey picture ("I;16", what a 16-bit PNG of a chest film
# opens as) return noise below level 256 with BILINEAR or BICUBIC, without an error. NEAREST, and resize() with any
# filter, are right. An augmentation that turns a film by a few degrees before windowing loses the film.
#
# Seen on a flat picture of level 30000, at its middle:
#   pillow 12.3.0 NEAREST 30000  BILINEAR below 256  BICUBIC below 256
#   pillow 13.0.0 NEAREST 30000  BILINEAR below 256  BICUBIC below 256
# Exits with 1 where this is no longer so.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
status=0
for version in 12.3.0 13.0.0; do
  python3 -m venv "$place/$version"
  "$place/$version/bin/pip" install --quiet --disable-pip-version-check "pillow==$version" "numpy==2.4.6"
  "$place/$version/bin/python" - <<'PYTHON' || status=1
import sys

import numpy
import PIL
from PIL import Image

film = Image.fromarray(numpy.full((64, 64), 30000, numpy.uint16))
assert film.mode == "I;16", film.mode
middle = {
    filter.name: (int(numpy.asarray(film.rotate(5, filter))[32, 32]), int(numpy.asarray(film.resize((32, 32), filter))[16, 16]))
    for filter in (Image.Resampling.NEAREST, Image.Resampling.BILINEAR, Image.Resampling.BICUBIC)
}
print(f"pillow {PIL.__version__}:", *(f"{name} turned {turned}, resized {resized};" for name, (turned, resized) in middle.items()))
as_stated = (
    middle["NEAREST"] == (30000, 30000)
    and all(middle[name][0] < 256 and middle[name][1] == 30000 for name in ("BILINEAR", "BICUBIC"))
)
sys.exit(not as_stated)
PYTHON
done
exit $status

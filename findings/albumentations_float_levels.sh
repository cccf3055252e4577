#!/usr/bin/env bash
# albumentations 2.0.8: MedianBlur, CLAHE and Equalize take films as float32 and give float32 back, but compute in 8 bits in
# between. A film of 12 bits, scaled to [0, 1], keeps at most 256 of its 4,096 levels: no error, no warning, the same dtype.
# RandomToneCurve does the same by its table of 256 entries. A model that is trained so and reads whole films later has seen
# other films. Right: augment in 8 bits from the start, or leave these four out.
#
# Seen, for a ramp of 4,096 levels:
#   albumentations 2.0.8: MedianBlur 256, CLAHE 240, Equalize 256, RandomToneCurve 246 levels, GaussianBlur 4096; warnings 0
# Exits with 1 where this is no longer so.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place"
"$place/bin/pip" install --quiet --disable-pip-version-check albumentations==2.0.8 albucore==0.0.24 numpy==2.4.6 \
  opencv-python-headless==5.0.0.93
NO_ALBUMENTATIONS_UPDATE=1 "$place/bin/python" - <<'PYTHON'
import sys
import warnings

import albumentations
import numpy

film = numpy.linspace(0, 1, 4096, dtype=numpy.float32).reshape(64, 64)
levels = {}
with warnings.catch_warnings(record=True) as told:
    warnings.simplefilter("always")
    for name in ("MedianBlur", "CLAHE", "Equalize", "RandomToneCurve", "GaussianBlur"):
        changed = albumentations.Compose([getattr(albumentations, name)(p=1)], seed=0)(image=film)["image"]
        assert changed.dtype == numpy.float32
        levels[name] = len(numpy.unique(changed))
*coarse, fine = (f"{name} {count}" for name, count in levels.items())
print(f"albumentations {albumentations.__version__}: {', '.join(coarse)} levels, {fine}; warnings {len(told)}")
fine = levels.pop("GaussianBlur")
sys.exit(not (fine > 3000 and max(levels.values()) <= 256 and not told))
PYTHON

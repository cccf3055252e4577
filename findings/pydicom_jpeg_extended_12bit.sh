#!/usr/bin/env bash
# pydicom 3.0.2: JPEG Extended (1.2.840.10008.1.2.4.51) is said to be decodable as soon as Pillow or GDCM is installed,
# but both refuse every film of 12 bits, which is what that syntax exists for. Asking `is_available` is not enough, and
# installing GDCM does not help; pylibjpeg with pylibjpeg-libjpeg does.
#
# Seen with the 12-bit film JPGExtended.dcm that pydicom's wheel ships:
#   pillow 12.3.0                available ('pillow',)                     refused
#   + python-gdcm 3.2.6          available ('gdcm', 'pillow')              refused
#   + pylibjpeg-libjpeg 2.5.0    available ('gdcm', 'pylibjpeg', 'pillow') read, levels 0 to 264
# Exits with 1 where this is no longer so.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place"
install() { "$place/bin/pip" install --quiet --disable-pip-version-check "$@"; }
cat > "$place/read.py" <<'PYTHON'
import sys
from pathlib import Path

import pydicom
from pydicom.pixels import get_decoder
from pydicom.uid import JPEGExtended12Bit

decoder = get_decoder(JPEGExtended12Bit)
film = pydicom.dcmread(Path(pydicom.__file__).parent / "data/test_files/JPGExtended.dcm")
try:
    found = f"read, levels {film.pixel_array.min()} to {film.pixel_array.max()}"
except RuntimeError as error:
    found = "refused"
    print("  ", str(error).replace("\n", " "))
print(f"pydicom {pydicom.__version__}, {film.BitsStored} bits: available {sorted(decoder.available_plugins)}, {found}")
sys.exit(not (decoder.is_available and found == sys.argv[1]))
PYTHON
status=0
install pydicom==3.0.2 numpy==2.4.6 pillow==12.3.0
"$place/bin/python" "$place/read.py" refused || status=1
install python-gdcm==3.2.6
"$place/bin/python" "$place/read.py" refused || status=1
install pylibjpeg==2.1.0 pylibjpeg-libjpeg==2.5.0
"$place/bin/python" "$place/read.py" "read, levels 0 to 264" || status=1
exit $status

#!/usr/bin/env bash
# fhir.resources 8.3.0 (models of FHIR in pydantic): the precision of a value is lost on the way through. In FHIR 1.10 is not
# 1.1: the digits say how precisely something was measured, and software shall keep them (R4, data types, decimal). A resource
# that is read and written again, as a gateway does, has other values in it: no error, no warning. With
# json.loads(..., parse_float=Decimal) the object has all digits, but writing it loses them. (For whole numbers this is known as
# issue 203 of nazrulworld/fhir.resources.)
#
# Seen:
#   fhir.resources 8.3.0: 1.10 -> 1.1, 1.00 -> 1.0, 0.1234567890123456789 -> 0.12345678901234568; in the object, read as
#   Decimal: 1.10, 1.00, 0.1234567890123456789; warnings 0
# Exits with 1 where this is no longer so.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place"
"$place/bin/pip" install --quiet --disable-pip-version-check fhir.resources==8.3.0 pydantic==2.14.4
"$place/bin/python" - <<'PYTHON'
import json
import re
import sys
import warnings
from decimal import Decimal
from importlib.metadata import version

from fhir.resources.R4B.observation import Observation

given = ("1.10", "1.00", "0.1234567890123456789")
text = '{"resourceType":"Observation","status":"final","code":{"text":"size"},"valueQuantity":{"value":%s,"unit":"mm"}}'
written, held = [], []
with warnings.catch_warnings(record=True) as told:
    warnings.simplefilter("always")
    for value in given:
        read = Observation.model_validate_json(text % value)
        exact = Observation.model_validate(json.loads(text % value, parse_float=Decimal))
        outputs = {re.search(r'"value": ?([0-9.]+)', each.model_dump_json()).group(1) for each in (read, exact)}
        written.append("/".join(sorted(outputs)))
        held.append(str(exact.valueQuantity.value))
changes = ", ".join(f"{before} -> {after}" for before, after in zip(given, written))
print(f"fhir.resources {version('fhir.resources')}: {changes}; in the object, read as")
print(f"Decimal: {', '.join(held)}; warnings {len(told)}")
sys.exit(not (written == ["1.1", "1.0", "0.12345678901234568"] and held == list(given) and not told))
PYTHON

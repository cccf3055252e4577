"""Lookup tables of DICOM (PS3.3 C.11.1.1, C.11.2.1.1), in all the ways files write them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ammrg.imaging.attributes import named, numbers, value_of, with_tag


@dataclass(frozen=True)
class LookupTable:
    """Values that replace values.

    Attributes:
        first: the value that the first entry replaces; below it the first entry holds, beyond the table the last.
        told: how many entries the descriptor promises.
        entries: int64 ``[n]``; fewer than ``told`` where the data end before.
        bits: of an entry, by the descriptor.
        sequence: where the table stands, for messages.
    """

    first: int
    told: int
    entries: NDArray[np.int64]
    bits: int
    sequence: str

    @property
    def top(self) -> int:
        """The entry that is shown white: ``2**bits - 1`` of the descriptor, unless the entries say otherwise.

        Some devices promise 16 bits for entries that end at 4095, and their films would be near black. The entries
        decide where they need more bits than the descriptor has, and where the greatest is close to the end of a
        smaller range: the last sixteenth of one that lacks two bits or more, the very end of one that lacks one. A
        table that ends elsewhere, or of which a part is missing, stays as it is told.
        """
        greatest = int(self.entries.max())
        needed = max(8, greatest.bit_length())
        near = 2**needed - 1 if needed == self.bits - 1 else 2**needed * 15 // 16
        smaller = needed < self.bits and greatest >= near and len(self.entries) == self.told
        return int(2 ** (needed if smaller or needed > self.bits else self.bits) - 1)

    def look_up(self, values: NDArray[np.float64], used: NDArray[np.bool_]) -> NDArray[np.float64]:
        """Entries for values ``[n]``.

        Args:
            values: rounded to integers.
            used: bool ``[n]``, those the film has: they must not need entries that are missing.

        Raises:
            ValueError: the table is shorter than its descriptor says, and the film needs what is missing.
        """
        places = np.clip(np.rint(values) - self.first, 0, self.told - 1).astype(np.int64)
        if used.any() and places[used].max() >= len(self.entries):
            raise ValueError(
                f"{with_tag(self.sequence)} holds {len(self.entries)} of the {self.told} entries that its "
                "LUTDescriptor tells, and the film needs more"
            )
        return np.asarray(self.entries[np.minimum(places, len(self.entries) - 1)], dtype=np.float64)


def read_table(
    item: Any, sequence: str, *, lowest: float, highest: float, little_endian: bool = True
) -> LookupTable | None:
    """The table of one item; None where it has no data, and so says nothing.

    Args:
        item: of a ModalityLUTSequence or VOILUTSequence.
        sequence: which, for messages.
        lowest, highest: that a value put into the table may have. They settle the sign of the descriptor's second
            number, which files write as US where SS is due, and the other way round.
        little_endian: byte order of the file, for data of the representation OW.

    Raises:
        ValueError: no descriptor, one that makes no sense, or data that do not fit it.
    """
    words = words_of(item, little_endian)
    if not words:
        return None
    descriptor = [int(value) & 0xFFFF for value in numbers(item, "LUTDescriptor") if value is not None]
    if len(descriptor) != 3 or not 1 <= descriptor[2] <= 16:
        raise ValueError(
            f"{named(item, 'LUTDescriptor')} in {with_tag(sequence)}, expected three numbers, the last of 1 to 16 bits"
        )
    told, first, bits = descriptor[0] or 65_536, descriptor[1], descriptor[2]
    if first >= 32_768 and (lowest < 0 or first > highest):
        first -= 65_536
    packed = told <= len(words) <= told + 1 and len(words) < 2 * told
    if packed and bits > 8:
        raise ValueError(
            f"LUTData in {with_tag(sequence)} has {len(words)} bytes for {told} entries of {bits} bits, two bytes each"
        )
    entries = np.frombuffer(words, np.uint8) if packed else np.frombuffer(words[: len(words) // 2 * 2], "<u2")
    return LookupTable(first, told, entries[:told].astype(np.int64), bits, sequence)


def words_of(item: Any, little_endian: bool) -> bytes:
    """LUTData, little endian: numbers (US, SS) or bytes (OW); empty where there are none.

    Numbers that hold two entries of 8 bits each come out as the bytes they are, the low one first.
    """
    found = value_of(item, "LUTData")
    if found is None or isinstance(found, str):
        return b""
    if isinstance(found, bytes):
        words = np.frombuffer(found[: len(found) // 2 * 2], "<u2" if little_endian else ">u2")
    else:
        words = np.asarray([int(value or 0) & 0xFFFF for value in numbers(item, "LUTData")], "<u2")
    return words.astype("<u2").tobytes()

"""Lookup tables of DICOM (PS3.3 C.11.1.1, C.11.2.1.1), in all the variants that files contain."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ammrg.imaging.attributes import named, numbers, value_of, with_tag


@dataclass(frozen=True)
class LookupTable:
    """A table that replaces each value by an entry.

    Attributes:
        first: the value that the first entry replaces. Smaller values get the first entry too; values beyond the end
            of the table get the last.
        described: the number of entries according to the descriptor.
        entries: int64 ``[n]``; fewer than ``described`` where the file's data end early.
        bits: of an entry, according to the descriptor.
        sequence: keyword of the sequence that holds the table, for messages.
    """

    first: int
    described: int
    entries: NDArray[np.int64]
    bits: int
    sequence: str

    @property
    def top(self) -> int:
        """The entry that is shown as white: usually ``2**bits - 1``.

        Some devices write 16 bits for entries that end at 4095; their films would be almost black. So the number of
        bits is taken from the largest entry instead

        - where it needs more bits than the descriptor has;
        - where it is close to the end of a smaller range and no entry is missing. For a range with two or more bits
          less, close is the last sixteenth; for one bit less, it is the very end.
        """
        greatest = int(self.entries.max())
        needed = max(8, greatest.bit_length())
        near = 2**needed - 1 if needed == self.bits - 1 else 2**needed * 15 // 16
        smaller = needed < self.bits and greatest >= near and len(self.entries) == self.described
        return int(2 ** (needed if smaller or needed > self.bits else self.bits) - 1)

    def look_up(self, values: NDArray[np.float64], used: NDArray[np.bool_]) -> NDArray[np.float64]:
        """Replace values by their entries.

        Args:
            values: float64 ``[n]``; they are rounded to integers.
            used: bool ``[n]``, True for values that occur in the film: their entries must not be missing.

        Returns:
            float64 ``[n]``.

        Raises:
            ValueError: the table is shorter than its descriptor says, and the film needs the missing entries.
        """
        places = np.clip(np.rint(values) - self.first, 0, self.described - 1).astype(np.int64)
        if used.any() and places[used].max() >= len(self.entries):
            raise ValueError(
                f"{with_tag(self.sequence)} holds {len(self.entries)} of the {self.described} entries that its "
                "LUTDescriptor gives, and the film needs the missing ones"
            )
        return np.asarray(self.entries[np.minimum(places, len(self.entries) - 1)], dtype=np.float64)


def read_table(
    item: Any, sequence: str, *, lowest: float, highest: float, little_endian: bool = True
) -> LookupTable | None:
    """Read the table of one item; None where it has no data.

    Args:
        item: of a ModalityLUTSequence or VOILUTSequence.
        sequence: keyword of that sequence, for messages.
        lowest: the smallest value that may be looked up.
        highest: the largest value that may be looked up. Both ends decide the sign of the descriptor's second number,
            because files write US where it should be SS, and the other way round.
        little_endian: byte order of the file, for data of the representation OW.

    Raises:
        ValueError: the descriptor is missing or invalid, or the data do not fit it.
    """
    words = words_of(item, little_endian)
    if not words:
        return None
    descriptor = [int(value) & 0xFFFF for value in numbers(item, "LUTDescriptor") if value is not None]
    if len(descriptor) != 3 or not 1 <= descriptor[2] <= 16:
        raise ValueError(
            f"{named(item, 'LUTDescriptor')} in {with_tag(sequence)}, expected three numbers, the last of 1 to 16 bits"
        )
    described, first, bits = descriptor[0] or 65_536, descriptor[1], descriptor[2]
    if first >= 32_768 and (lowest < 0 or first > highest):
        first -= 65_536
    packed = described <= len(words) <= described + 1 and len(words) < 2 * described
    if packed and bits > 8:
        raise ValueError(
            f"LUTData in {with_tag(sequence)} has {len(words)} bytes for {described} entries of {bits} bits, which "
            "take two bytes each"
        )
    entries = np.frombuffer(words, np.uint8) if packed else np.frombuffer(words[: len(words) // 2 * 2], "<u2")
    return LookupTable(first, described, entries[:described].astype(np.int64), bits, sequence)


def words_of(item: Any, little_endian: bool) -> bytes:
    """Read LUTData, numbers (US, SS) or bytes (OW), as little-endian bytes; empty where there are none.

    A number that packs two 8-bit entries becomes two bytes, the low one first.
    """
    found = value_of(item, "LUTData")
    if found is None or isinstance(found, str):
        return b""
    if isinstance(found, bytes):
        words = np.frombuffer(found[: len(found) // 2 * 2], "<u2" if little_endian else ">u2")
    else:
        words = np.asarray([int(value or 0) & 0xFFFF for value in numbers(item, "LUTData")], "<u2")
    return words.astype("<u2").tobytes()

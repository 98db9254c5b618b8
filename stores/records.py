"""The stored row: what one user's list looks like in bytes, at most 1,024 of them with its key.

All numbers are little-endian. A row is a header and a body:

    header  format u8 · generation u32 · ingest watermark u32 (epoch seconds) · CRC32 u32 over all the rest
    body    maturity limit u8 · region 6 bytes · segment u16 · vector 132 · anchors 5 × u24 · count u8
            then for all items: item_no u24 each, score u8 each, source (3 bits) and anchor (5 bits) u8 each

The body holds nothing that changes from hour to hour by itself, so equal bodies are equal lists.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

import numpy as np
from numpy.typing import NDArray

from conf.errors import DataError
from conf.vocabulary import NO_ANCHOR, Source

FORMAT = 1
DIM = 128
VECTOR_BYTES = 4 + DIM
MAX_ITEMS = 150
MAX_ANCHORS = 5
MAX_REGION_BYTES = 6
MAX_ITEM_NO = 0xFFFFFE
MAX_MATURITY = 4
UNKNOWN_SEGMENT = 0xFFFF

LOGIT_SHIFT, LOGIT_STEPS = 8.0, 16.0
_NO_ITEM = 0xFFFFFF
_HEADER = struct.Struct("<BIII")
HEADER_BYTES = _HEADER.size
_BODY = struct.Struct(f"<B{MAX_REGION_BYTES}sH{VECTOR_BYTES}s{3 * MAX_ANCHORS}sB")
_SCALE = struct.Struct("<f")
_BYTES_PER_ITEM = 5
_LOGITS: NDArray[np.float32] = np.arange(256, dtype=np.float32) / np.float32(LOGIT_STEPS) - np.float32(LOGIT_SHIFT)
_PROBABILITIES: NDArray[np.float32] = (1 / (1 + np.exp(-_LOGITS))).astype(np.float32)


class CorruptRecord(DataError):
    """The bytes are not a row that `encode_row` wrote."""


def score_byte(logit: NDArray[Any]) -> NDArray[np.uint8]:
    """Log-odds to a grid of 1/16 from -8 to 7.9375; what lies outside is clipped."""
    steps = np.rint((np.asarray(logit, dtype=np.float64) + LOGIT_SHIFT) * LOGIT_STEPS)
    return np.clip(steps, 0, 255).astype(np.uint8)


def logit_of(byte: NDArray[np.uint8]) -> NDArray[np.float32]:
    """The log-odds that a score byte stands for."""
    return _LOGITS[byte]


def list_logits(score: NDArray[np.uint8]) -> NDArray[np.float32]:
    """(n,) log-odds of a list, best first, strictly falling.

    A byte is a step of the grid, and where scores are close many items share one; their order in the list is known all
    the same. They are spread evenly over their step, so that what is added to log-odds weighs against the order.
    """
    count = np.bincount(score, minlength=256)
    upto = len(score) - np.cumsum(count) + count  # places of the list up to the last one with each byte
    below = (upto - 0.5)[score] - np.arange(len(score))
    logits: NDArray[np.float32] = (_LOGITS[score] + (below / count[score] - 0.5) / LOGIT_STEPS).astype(np.float32)
    return logits


def probability(byte: NDArray[np.uint8]) -> NDArray[np.float32]:
    """The probability that a score byte stands for."""
    return _PROBABILITIES[byte]


def pack_vector(vector: NDArray[np.float32]) -> bytes:
    """A vector of at most 128 numbers as a float32 scale and one int8 each, padded with zeros to 132 bytes.

    Raises:
        DataError: it has more than 128 numbers, or one that is not finite.
    """
    flat = np.asarray(vector, dtype=np.float32).reshape(-1)
    if flat.size > DIM:
        raise DataError(f"a stored vector has at most {DIM} numbers, got {flat.size}: lower tower.dim")
    if not np.isfinite(flat).all():
        raise DataError("a user's vector holds a number that is not finite")
    scale = np.float32(np.abs(flat).max(initial=0) / np.float32(127))
    packed = np.zeros(DIM, dtype=np.int8)
    if scale > 0:
        packed[: flat.size] = np.clip(np.rint(flat / scale), -127, 127).astype(np.int8)
    return _SCALE.pack(scale) + packed.tobytes()


def unpack_vector(packed: bytes) -> NDArray[np.float32]:
    """The (128,) float32 vector that `pack_vector` wrote, to within half a step of its scale.

    Raises:
        CorruptRecord: it is not 132 bytes, or its scale is not a finite number ≥ 0.
    """
    if len(packed) != VECTOR_BYTES:
        raise CorruptRecord(f"a stored vector is {VECTOR_BYTES} bytes, got {len(packed)}")
    scale = _scale(packed)
    return np.frombuffer(packed, dtype=np.int8, offset=4).astype(np.float32) * np.float32(scale)


@dataclass(frozen=True, eq=False)
class ListBody:
    """A user's list and what filters need to know of the user. Compare two by `encode_body`.

    anchor means, for SIMILAR, an index into `anchors`; for GENRE, the genre's number in the artefact; else 31.
    """

    maturity_limit: int
    region: str | None
    segment: int
    """Index into the artefact's segments; 65535: unknown."""
    vector: bytes
    """From `pack_vector`."""
    anchors: tuple[int, ...]
    """item_no of the last watches, at most five."""
    item_no: NDArray[np.int32]
    """(n,) best first, n ≤ 150."""
    score: NDArray[np.uint8]
    source: NDArray[np.uint8]
    anchor: NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class StoredList:
    """A list as a store held it."""

    generation: int
    watermark: int
    """Epoch seconds: every event appended before this had been ingested when the list was made."""
    body: ListBody


def encode_body(body: ListBody) -> bytes:
    """The bytes of a list, the same for the same list.

    Raises:
        DataError: a value does not fit its place; the text says which.
    """
    count = len(body.item_no)
    _check_body(body, count)
    region = (body.region or "").encode()
    anchors = np.full(MAX_ANCHORS, _NO_ITEM, dtype="<u4")
    anchors[: len(body.anchors)] = body.anchors
    head = _BODY.pack(body.maturity_limit, region, body.segment, body.vector, _to_u24(anchors), count)
    why = np.asarray(body.source, dtype=np.uint8) << 5 | np.asarray(body.anchor, dtype=np.uint8)
    score = np.asarray(body.score, dtype=np.uint8)
    return head + _to_u24(np.asarray(body.item_no)) + score.tobytes() + why.tobytes()


def body_hash(body: bytes) -> str:
    """16 hexadecimal digits of BLAKE2b."""
    return blake2b(body, digest_size=8).hexdigest()


def encode_row(body: bytes, generation: int, watermark: int) -> bytes:
    """The row that a store keeps: `body` from `encode_body`, under a header with a checksum.

    Raises:
        DataError: generation or watermark do not fit 32 bits.
    """
    for name, value in (("generation", generation), ("watermark", watermark)):
        if not 0 <= value <= 0xFFFFFFFF:
            raise DataError(f"{name} {value} does not fit 32 bits")
    checksum = zlib.crc32(body, zlib.crc32(_HEADER.pack(FORMAT, generation, watermark, 0)))
    return _HEADER.pack(FORMAT, generation, watermark, checksum) + body


def row_generation(blob: bytes) -> int:
    """The generation of a row whose checksum holds, without decoding its list.

    Raises:
        CorruptRecord: the bytes are not a whole row of this format.
    """
    return _header(blob)[0]


def decode_row(blob: bytes) -> StoredList:
    """Read what `encode_row` wrote.

    Raises:
        CorruptRecord: for any other bytes; nothing else is ever raised.
    """
    generation, watermark = _header(blob)
    return StoredList(generation, watermark, _decode_body(blob[_HEADER.size :]))


def _header(blob: bytes) -> tuple[int, int]:
    if len(blob) < _HEADER.size:
        raise CorruptRecord(f"a row has at least {_HEADER.size} bytes, got {len(blob)}")
    form, generation, watermark, checksum = _HEADER.unpack_from(blob)
    if form != FORMAT:
        raise CorruptRecord(f"row format {form}, this version reads {FORMAT}")
    bare = _HEADER.pack(form, generation, watermark, 0)
    if zlib.crc32(memoryview(blob)[_HEADER.size :], zlib.crc32(bare)) != checksum:
        raise CorruptRecord("the row's checksum does not match")
    return generation, watermark


def _decode_body(body: bytes) -> ListBody:
    if len(body) < _BODY.size:
        raise CorruptRecord(f"a row's body has at least {_BODY.size} bytes, got {len(body)}")
    maturity, region, segment, vector, anchors, count = _BODY.unpack_from(body)
    if maturity > MAX_MATURITY or count > MAX_ITEMS or len(body) != _BODY.size + _BYTES_PER_ITEM * count:
        raise CorruptRecord(f"a row's body of {len(body)} bytes claims {count} items, maturity limit {maturity}")
    try:
        name = region.rstrip(b"\0").decode()
    except UnicodeDecodeError:
        raise CorruptRecord("the row's region is not UTF-8") from None
    _scale(vector)
    start = _BODY.size
    why = np.frombuffer(body, dtype=np.uint8, offset=start + 4 * count, count=count)
    source: NDArray[np.uint8] = np.right_shift(why, np.uint8(5))
    if count and source.max() > Source.POPULAR:
        raise CorruptRecord(f"the row names an unknown source, {source.max()}")
    return ListBody(
        maturity_limit=maturity,
        region=name or None,
        segment=segment,
        vector=vector,
        anchors=tuple(number for number in _from_u24(anchors, 0, MAX_ANCHORS).tolist() if number != _NO_ITEM),
        item_no=_from_u24(body, start, count),
        score=np.frombuffer(body, dtype=np.uint8, offset=start + 3 * count, count=count),
        source=source,
        anchor=np.bitwise_and(why, np.uint8(NO_ANCHOR)),
    )


def _scale(packed: bytes) -> float:
    (scale,) = _SCALE.unpack_from(packed)
    if not 0 <= scale < float("inf"):
        raise CorruptRecord(f"a stored vector has the scale {scale}")
    return float(scale)


def _check_body(body: ListBody, count: int) -> None:
    region = (body.region or "").encode()
    if count > MAX_ITEMS or len(body.anchors) > MAX_ANCHORS:
        raise DataError(f"a list has {count} items and {len(body.anchors)} anchors; {MAX_ITEMS} and {MAX_ANCHORS} fit")
    if {len(body.score), len(body.source), len(body.anchor)} != {count}:
        raise DataError("a list's arrays differ in length")
    if body.region == "" or len(region) > MAX_REGION_BYTES or b"\0" in region:
        raise DataError(f"the region {body.region!r} is not 1 to {MAX_REGION_BYTES} bytes of text")
    if not (0 <= body.maturity_limit <= MAX_MATURITY and 0 <= body.segment <= UNKNOWN_SEGMENT):
        raise DataError(f"maturity limit {body.maturity_limit} or segment {body.segment} is out of range")
    if len(body.vector) != VECTOR_BYTES:
        raise DataError(f"the vector is {len(body.vector)} bytes, not {VECTOR_BYTES}: use pack_vector")
    numbers = np.concatenate([np.asarray(body.item_no, dtype=np.int64), np.asarray(body.anchors, dtype=np.int64)])
    if numbers.size and not (numbers.min() >= 0 and numbers.max() <= MAX_ITEM_NO):
        raise DataError(f"an item_no in a list is not within 0 to {MAX_ITEM_NO}")
    if count and (np.max(body.source) > Source.POPULAR or np.max(body.anchor) > NO_ANCHOR):
        raise DataError("a source or anchor in a list is out of range")


def _to_u24(numbers: NDArray[Any]) -> bytes:
    return np.ascontiguousarray(numbers, dtype="<u4").view(np.uint8).reshape(-1, 4)[:, :3].tobytes()


def _from_u24(data: bytes, offset: int, count: int) -> NDArray[np.int32]:
    wide = np.zeros((count, 4), dtype=np.uint8)
    wide[:, :3] = np.frombuffer(data, dtype=np.uint8, offset=offset, count=3 * count).reshape(count, 3)
    return wide.view("<i4").reshape(count)

"""Many short texts in two arrays, so that the processes of a machine share one copy on disk."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import overload

import numpy as np
from numpy.typing import NDArray


class Texts(Sequence[bytes]):
    """Text i is data[offsets[i]:offsets[i + 1]]. Made from files; each text is copied out when asked for."""

    def __init__(self, data: NDArray[np.uint8], offsets: NDArray[np.int64]) -> None:
        if offsets.ndim != 1 or not len(offsets) or offsets[0] != 0 or offsets[-1] != len(data):
            raise IndexError("offsets do not cover the data")
        if (np.diff(offsets) < 0).any():
            raise IndexError("offsets are not ascending")
        # Memory views give Python's own numbers and bytes; indexing an array costs several times as much.
        self._data = data.data
        self._offsets = offsets.data

    @staticmethod
    def pack(texts: Iterable[str | bytes]) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
        """The two arrays for some texts."""
        encoded = [text.encode() if isinstance(text, str) else text for text in texts]
        data = np.frombuffer(b"".join(encoded), dtype=np.uint8)
        return data, np.cumsum([0, *map(len, encoded)], dtype=np.int64)

    @overload
    def __getitem__(self, index: int) -> bytes: ...
    @overload
    def __getitem__(self, index: slice) -> list[bytes]: ...
    def __getitem__(self, index: int | slice) -> bytes | list[bytes]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        if index < 0:
            raise IndexError(index)
        return self._data[self._offsets[index] : self._offsets[index + 1]].tobytes()

    def take(self, indices: Sequence[int]) -> list[bytes]:
        """Several texts at once, in half the time."""
        data, offsets = self._data, self._offsets
        if min(indices, default=0) < 0:
            raise IndexError(min(indices))
        return [data[offsets[index] : offsets[index + 1]].tobytes() for index in indices]

    def __len__(self) -> int:
        return len(self._offsets) - 1

    def strings(self, empty: str | None = "") -> Strings:
        """The same texts as str; `empty` stands for those without a character."""
        return Strings(self, empty)


class Strings(Sequence[str]):
    """The texts decoded one by one."""

    def __init__(self, texts: Texts, empty: str | None) -> None:
        self._texts = texts
        self._empty = empty

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> list[str]: ...
    def __getitem__(self, index: int | slice) -> str | list[str]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        return self._texts[index].decode() or self._empty  # type: ignore[return-value]  # None only where asked for

    def __len__(self) -> int:
        return len(self._texts)

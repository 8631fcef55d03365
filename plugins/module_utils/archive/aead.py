# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Encryption: Tink's streaming AEAD, key type AES256_GCM_HKDF_1MB.

Layout (developers.google.com/tink/streaming-aead/aes_gcm_hkdf_streaming): a header of 40 bytes (the byte 40,
a salt of 32 bytes, a nonce prefix of 7 bytes), then segments of 1 MiB of ciphertext, the first one shorter by
the header, the last one of any length. A segment is AES-256-GCM without associated data and with the nonce
prefix, segment number (4 bytes, big-endian), 1 on the last segment and 0 before. The key of an archive is
HKDF-SHA256 (RFC 5869) of the key file's 32 bytes, the salt, and ``ASSOCIATED_DATA`` as info.
"""

from __future__ import annotations

import os
from concurrent.futures import Executor
from typing import Optional, Union

from ..errors import ArchiveError, KeyFileError
from .keys import Key, KeyRing
from .streams import Readable, Writable, read_fully
from .workers import OrderedQueue, ReadAhead

try:
    from cryptography.exceptions import InvalidTag
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.kdf.hkdf import HKDF
except ImportError as error:
    CRYPTOGRAPHY_IMPORT_ERROR: Optional[ImportError] = error
else:
    CRYPTOGRAPHY_IMPORT_ERROR = None

ASSOCIATED_DATA = b"feedforward-maintenance archive v1"
SEGMENT_BYTES = 1 << 20
SALT_BYTES = 32
PREFIX_BYTES = 7
HEADER_BYTES = 1 + SALT_BYTES + PREFIX_BYTES
TAG_BYTES = 16


class WrongKeyError(KeyFileError):
    """No key that was given opens the archive's first segment: another key made it, or its beginning is damaged."""


def require_cryptography(subject: str) -> None:
    """Raises KeyFileError when the Python package ``cryptography`` cannot be imported."""
    if CRYPTOGRAPHY_IMPORT_ERROR is not None:
        raise KeyFileError(subject, f"encryption needs the Python package cryptography ({CRYPTOGRAPHY_IMPORT_ERROR})",
                           "Install python3-cryptography (Debian), or cryptography from PyPI")


def damaged(subject: str, cause: str) -> ArchiveError:
    """The error for an archive that is not what was written."""
    return ArchiveError(subject, cause, "Do not use it: take another archive, and look at the disk that holds this one")


class _SegmentCipher:
    """The key of one archive, derived from a key and the archive's header."""

    def __init__(self, key: Key, header: bytes) -> None:
        salt, self._prefix = header[1:1 + SALT_BYTES], header[1 + SALT_BYTES:]
        self._key = HKDF(algorithm=SHA256(), length=32, salt=salt, info=ASSOCIATED_DATA).derive(key.material)

    def _nonce(self, index: int, last: bool) -> bytes:
        return self._prefix + index.to_bytes(4, "big") + (b"\x01" if last else b"\x00")

    def encrypt(self, index: int, last: bool, pieces: list[memoryview]) -> bytes:
        plain = b"".join(pieces)
        # An AESGCM object of its own for each segment: nothing promises that one may serve several threads.
        return AESGCM(self._key).encrypt(self._nonce(index, last), plain, None)

    def decrypt(self, index: int, last: bool, sealed: bytes) -> Optional[bytes]:
        """The plain bytes, or None when they are not what was encrypted as this segment."""
        try:
            return AESGCM(self._key).decrypt(self._nonce(index, last), sealed, None)
        except InvalidTag:
            return None


class EncryptingWriter:
    """Encrypts what is written to it into ``raw``, which stays open.

    ``close`` writes the last segment; without it the stream is no archive. Segments are encrypted on
    ``workers`` threads of its own, or on ``executor``. Raises KeyFileError without ``cryptography``.
    """

    def __init__(self, raw: Writable, key: Key, *, workers: Optional[int] = None,
                 executor: Optional[Executor] = None) -> None:
        require_cryptography("encryption")
        header = bytes([HEADER_BYTES]) + os.urandom(SALT_BYTES + PREFIX_BYTES)
        raw.write(header)
        self._cipher = _SegmentCipher(key, header)
        self._queue = OrderedQueue(raw.write, workers=workers, executor=executor)
        self._pieces: list[memoryview] = []
        self._size = 0
        self._capacity = SEGMENT_BYTES - HEADER_BYTES - TAG_BYTES
        self._index = 0

    def write(self, data: bytes) -> int:
        """Takes all of ``data`` and returns its length."""
        view = memoryview(data if isinstance(data, bytes) else bytes(data))
        while view:
            # A full segment is only sent off when more follows: the last one carries another nonce.
            if self._size == self._capacity:
                self._send(last=False)
            piece = view[:self._capacity - self._size]
            self._pieces.append(piece)
            self._size += len(piece)
            view = view[len(piece):]
        return len(data)

    def close(self) -> None:
        """Writes the last segment (empty only when nothing was ever written)."""
        self._send(last=True)
        self._queue.finish()

    def _send(self, last: bool) -> None:
        self._queue.submit(self._cipher.encrypt, self._index, last, self._pieces)
        self._pieces, self._size = [], 0
        self._index += 1
        self._capacity = SEGMENT_BYTES - TAG_BYTES


class DecryptingReader:
    """Decrypts what ``EncryptingWriter`` or Tink wrote; every byte it returns is authentic and in its place.

    ``keys`` is a key or a ring whose keys are tried in order; ``key`` is the one that fitted. Segments are read ahead
    and decrypted on ``executor`` (None: one after the other, here). Raises WrongKeyError when no key fits, and
    ArchiveError for a stream that is empty, foreign, truncated, reordered, lengthened or changed.
    """

    def __init__(self, raw: Readable, keys: Union[Key, KeyRing], *, subject: str = "encrypted stream",
                 executor: Optional[Executor] = None, workers: Optional[int] = None) -> None:
        require_cryptography(subject)
        self._raw = raw
        self._subject = subject
        header = read_fully(raw, HEADER_BYTES)
        if not header:
            raise damaged(subject, "the file is empty")
        if header[0] != HEADER_BYTES:
            raise ArchiveError(subject, "this is not an encrypted archive of this collection",
                               "Correct the name of the archive")
        sealed = read_fully(raw, SEGMENT_BYTES - HEADER_BYTES)
        if len(header) < HEADER_BYTES or len(sealed) < TAG_BYTES:
            raise damaged(subject, "it is truncated: it ends within its first bytes")
        self._ahead = read_fully(raw, SEGMENT_BYTES) if len(sealed) == SEGMENT_BYTES - HEADER_BYTES else b""
        self._index = 0
        self.key, self._cipher, self._plain = self._fitting_key(_candidates(keys), header, sealed)
        self._position = 0
        self._segments = ReadAhead(self._next_sealed, self._decrypt, executor=executor, workers=workers)

    def read(self, size: int = -1) -> bytes:
        """At most ``size`` bytes (all that remain when negative), none at the end."""
        if size < 0:
            pieces = []
            piece = self.read(SEGMENT_BYTES)
            while piece:
                pieces.append(piece)
                piece = self.read(SEGMENT_BYTES)
            return b"".join(pieces)
        if self._position == len(self._plain):
            self._plain, self._position = self._segments.next() or b"", 0
        result = self._plain[self._position:self._position + size]
        self._position += len(result)
        return result

    def close(self) -> None:
        """Frees the segments; nothing can be read any more."""
        self._segments.close()

    def _fitting_key(self, keys: tuple[Key, ...], header: bytes, sealed: bytes) -> tuple[Key, _SegmentCipher, bytes]:
        last = not self._ahead
        for key in keys:
            cipher = _SegmentCipher(key, header)
            plain = cipher.decrypt(0, last, sealed)
            if plain is not None:
                return key, cipher, plain
            if cipher.decrypt(0, not last, sealed) is not None:
                raise self._misplaced_end(0, last)
        names = ", ".join(key.id for key in keys)
        raise WrongKeyError(self._subject, f"no key of the key ring ({names}) opens it: it was encrypted with another "
                            "key, or its beginning is damaged",
                            "Name the key file that made it, or take another archive")

    def _next_sealed(self) -> Optional[tuple[int, bool, bytes]]:
        """Number, whether it is the last, and ciphertext of the next segment."""
        sealed = self._ahead
        if not sealed:
            return None
        full = len(sealed) == SEGMENT_BYTES
        self._ahead = read_fully(self._raw, SEGMENT_BYTES) if full else b""
        self._index += 1
        return self._index, not self._ahead, sealed

    def _decrypt(self, segment: tuple[int, bool, bytes]) -> bytes:
        index, last, sealed = segment
        plain = self._cipher.decrypt(index, last, sealed) if len(sealed) >= TAG_BYTES else None
        if plain is None and self._cipher.decrypt(index, not last, sealed) is not None:
            raise self._misplaced_end(index, last)
        if not plain:
            raise damaged(self._subject, f"segment {index} (from byte {index * SEGMENT_BYTES}) is damaged, "
                          "truncated or out of place")
        return plain

    def _misplaced_end(self, index: int, last: bool) -> ArchiveError:
        if last:
            return damaged(self._subject, f"it is truncated: it ends with segment {index}, which is not the last")
        return damaged(self._subject, f"bytes follow its end, which is segment {index}")


def _candidates(keys: Union[Key, KeyRing]) -> tuple[Key, ...]:
    return (keys,) if isinstance(keys, Key) else keys.ordered()

"""Files with colours of 16 bits, which Pillow cannot write."""

from __future__ import annotations

import struct
import zlib

import numpy as np


def wide_png(values: np.ndarray) -> bytes:
    """A PNG of 16 bits a sample, (H, W, C), with every kind of filter."""
    kind, before, rows = {2: 4, 3: 2, 4: 6}[values.shape[2]], 2 * values.shape[2], b""
    lines = values.astype(">u2").view(np.uint8).reshape(len(values), -1).astype(int)
    for number, line in enumerate(lines):
        left = np.concatenate([np.zeros(before, int), line[:-before]])
        above = lines[number - 1] if number else np.zeros_like(line)
        filtered = line - (0, left, above)[number % 3]
        rows += bytes([number % 3]) + (filtered % 256).astype(np.uint8).tobytes()
    height, width = values.shape[:2]
    chunks = [(b"IHDR", struct.pack(">IIBBBBB", width, height, 16, kind, 0, 0, 0)), (b"IDAT", zlib.compress(rows)),
              (b"IEND", b"")]  # fmt: skip
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    )


def wide_tiff(values: np.ndarray, order: str = "<", *, planes: bool = False, bits: int = 16) -> bytes:
    """An uncompressed TIFF of one strip, (H, W, C), 16 bits a sample; with `planes` a strip for each channel. With 8
    bits and five channels the last two are extra samples."""
    height, width, depth = values.shape
    data = (values.transpose(2, 0, 1) if planes else values).astype(f"{order}u{bits // 8}").tobytes()
    strips, start = (depth if planes else 1), 8 + 2 + (10 + (bits == 8)) * 12 + 4
    extra = struct.pack(f"{order}{depth}H", *[bits] * depth)
    offsets = [start + 64 + number * len(data) // strips for number in range(strips)]
    lists = extra + struct.pack(f"{order}{2 * strips}I", *offsets, *[len(data) // strips] * strips)
    at, lengths = start + len(extra), start + len(extra) + 4 * strips
    tags = [(256, 4, 1, width), (257, 4, 1, height), (258, 3, depth, start), (259, 3, 1, 1), (262, 3, 1, 2),
            (273, 4, strips, at if strips > 1 else offsets[0]), (277, 3, 1, depth), (278, 4, 1, height),
            (279, 4, strips, lengths if strips > 1 else len(data)), (284, 3, 1, 1 + planes)]  # fmt: skip
    tags += [(338, 3, 2, 0)] if bits == 8 else []
    content = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(f"{order}IH", 8, len(tags))
    for tag, kind, count, value in tags:
        short = kind == 3 and count == 1
        content += struct.pack(
            f"{order}HHI{'HH' if short else 'I'}", tag, kind, count, *((value, 0) if short else (value,))
        )
    return (content + bytes(4) + lists).ljust(start + 64, b"\0") + data

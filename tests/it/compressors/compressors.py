"""Files that other programs make, and what they make of ours.

  compressors.py write TEXT DIR   compresses the file TEXT in many ways, each as DIR/<way>/part-0.<extension>
  compressors.py check TEXT DIR   decompresses DIR/part-0.* and compares each with TEXT
"""

import bz2
import gzip
import io
import struct
import sys
import zlib
from pathlib import Path

import lz4.frame
import zstandard


def gzip_named(text):
    out = io.BytesIO()
    with gzip.GzipFile("a name.csv", "wb", 9, out, mtime=1) as file:
        file.write(text)
    return out.getvalue()


def gzip_with_every_field(text):
    """Extra field, name, comment and a checksum of the header, as RFC 1952 has them."""
    header = b"\x1f\x8b\x08\x1e\0\0\0\0\0\xff" + struct.pack("<H", 3) + b"xyz" + b"name\0" + b"comment\0"
    header += struct.pack("<H", zlib.crc32(header) & 0xFFFF)
    raw = zlib.compressobj(6, zlib.DEFLATED, -15)
    body = raw.compress(text) + raw.flush()
    return header + body + struct.pack("<II", zlib.crc32(text), len(text) & 0xFFFFFFFF)


def zlib_window(text, bits):
    encoder = zlib.compressobj(6, zlib.DEFLATED, bits)
    return encoder.compress(text) + encoder.flush()


def zlib_flushed(text):
    encoder = zlib.compressobj(6)
    half = len(text) // 2
    return encoder.compress(text[:half]) + encoder.flush(zlib.Z_FULL_FLUSH) + encoder.compress(text[half:]) + encoder.flush()


def zstd(text, **options):
    return zstandard.ZstdCompressor(**options).compress(text)


def zstd_long(text):
    parameters = zstandard.ZstdCompressionParameters.from_level(3, window_log=27, enable_ldm=True, write_checksum=True)
    encoder = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
    return encoder.compress(text) + encoder.flush()


def skippable(payload):
    return struct.pack("<II", 0x184D2A53, len(payload)) + payload


def crc32c_masked(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    crc ^= 0xFFFFFFFF
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def snappy_chunk(kind, body):
    return bytes([kind]) + struct.pack("<I", len(body))[:3] + body


def snappy_raw(text):
    """Raw snappy with literals only: the length as a varint, then literals of up to 60 bytes."""
    length, out = len(text), bytearray()
    while length >= 128:
        out.append(length & 127 | 128)
        length >>= 7
    out.append(length)
    for start in range(0, len(text), 60):
        piece = text[start : start + 60]
        out.append(len(piece) - 1 << 2)
        out += piece
    return bytes(out)


def snappy(text):
    """The framing format by its document: plain chunks, compressed chunks, padding, and the identifier twice."""
    identifier = snappy_chunk(0xFF, b"sNaPpY")
    out = identifier
    for number, start in enumerate(range(0, len(text), 1000)):
        piece = text[start : start + 1000]
        checksum = struct.pack("<I", crc32c_masked(piece))
        out += snappy_chunk(1, checksum + piece) if number % 2 else snappy_chunk(0, checksum + snappy_raw(piece))
        if number == 3:
            out += snappy_chunk(0xFE, bytes(17)) + identifier
    return out


def ways(text):
    half = len(text) // 2
    halves = text[:half], text[half:]
    yield "gzip", "gz", gzip.compress(text)
    yield "gzip-level-0", "gz", gzip.compress(text, 0)
    yield "gzip-named", "gz", gzip_named(text)
    yield "gzip-fields", "gz", gzip_with_every_field(text)
    yield "gzip-members", "gz", b"".join(gzip.compress(part) for part in (b"", *halves, b""))
    yield "zlib", "deflate", zlib.compress(text)
    yield "zlib-stored", "deflate", zlib.compress(text, 0)
    yield "zlib-best", "deflate", zlib.compress(text, 9)
    yield "zlib-small-window", "deflate", zlib_window(text, 9)
    yield "zlib-flushed", "deflate", zlib_flushed(text)
    yield "zlib-streams", "deflate", b"".join(map(zlib.compress, halves))
    yield "bzip2", "bz2", bz2.compress(text)
    yield "bzip2-small-blocks", "bz2", bz2.compress(text, 1)
    yield "bzip2-streams", "bz2", b"".join(bz2.compress(part) for part in (*halves, b""))
    yield "zstd", "zst", zstd(text, write_checksum=True)
    yield "zstd-bare", "zst", zstd(text, level=1, write_checksum=False, write_content_size=False)
    yield "zstd-best", "zst", zstd(text, level=19)
    yield "zstd-long", "zst", zstd_long(text)
    yield "zstd-frames", "zst", b"".join((skippable(b"note"), zstd(halves[0]), skippable(b""), zstd(halves[1])))
    for name, options in {
        "lz4": {"content_checksum": True},
        "lz4-linked": {"block_linked": True, "block_size": lz4.frame.BLOCKSIZE_MAX64KB},
        "lz4-independent": {"block_linked": False, "block_size": lz4.frame.BLOCKSIZE_MAX4MB},
        "lz4-checked": {"block_linked": True, "block_checksum": True, "content_checksum": True, "compression_level": 9},
    }.items():
        yield name, "lz4", lz4.frame.compress(text, **options)
    # Frames of different block sizes, as well as frames without text.
    small = lz4.frame.compress(halves[0], block_size=lz4.frame.BLOCKSIZE_MAX4MB)
    large = lz4.frame.compress(halves[1], block_size=lz4.frame.BLOCKSIZE_MAX64KB, content_checksum=True)
    yield "lz4-frames", "lz4", skippable(b"note" * 40_000) + small + skippable(b"") + large + lz4.frame.compress(b"")
    yield "snappy", "snz", snappy(text)


def write(text, directory):
    for way, extension, data in ways(text):
        (directory / way).mkdir()
        (directory / way / f"part-0.{extension}").write_bytes(data)


READERS = {
    ".gz": gzip.decompress,
    ".deflate": zlib.decompress,
    ".bz2": bz2.decompress,
    ".zst": lambda data: zstandard.ZstdDecompressor().decompressobj().decompress(data),
    ".lz4": lz4.frame.decompress,
}


def check(text, directory):
    for path in sorted(directory.iterdir()):
        reader = READERS.get(path.suffix)
        if reader:
            assert reader(path.read_bytes()) == text, f"{path.name} is read as another text"
            print(path.name)


if __name__ == "__main__":
    command, text, directory = sys.argv[1:]
    {"write": write, "check": check}[command](Path(text).read_bytes(), Path(directory))

"""Kinds of damage to the bytes and the packets of a file."""

import random
from collections.abc import Callable
from pathlib import Path

import av

__all__ = ["mutate"]

ABSURD = (
    b"\xff\xff\xff\xff",
    b"\x7f\xff\xff\xff",
    b"\xff\xff\xff\x7f",
    bytes(4),
    b"\x80\0\0\0",
    b"\0\0\0\x01",
)
HEAD_BYTES = 4096


def bits(data: bytearray, chance: random.Random) -> bytes:
    """Turn some bits."""
    for _ in range(chance.choice((1, 2, 8, 64))):
        data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
    return bytes(data)


def cut(data: bytearray, chance: random.Random) -> bytes:
    """Cut the end off, or the beginning."""
    at = chance.randrange(len(data))
    return bytes(data[:at] if chance.random() < 0.8 else data[at:])


def hole(data: bytearray, chance: random.Random) -> bytes:
    """Leave a piece out, or fill it with zeros."""
    begin = chance.randrange(len(data))
    end = min(len(data), begin + chance.choice((1, 16, 512, 4096)))
    return bytes(data[:begin] + (b"" if chance.random() < 0.5 else bytes(end - begin)) + data[end:])


def swap(data: bytearray, chance: random.Random) -> bytes:
    """Exchange two pieces."""
    size = max(1, min(chance.choice((16, 188, 1024)), len(data) // 3))
    first = chance.randrange(len(data) - 2 * size + 1)
    second = chance.randrange(first + size, len(data) - size + 1)
    one, two = data[first : first + size], data[second : second + size]
    data[first : first + size], data[second : second + size] = two, one
    return bytes(data)


def header(data: bytearray, chance: random.Random) -> bytes:
    """Put absurd numbers into the beginning."""
    for _ in range(chance.choice((1, 1, 4))):
        at = chance.randrange(min(HEAD_BYTES, len(data)))
        data[at : at + 4] = chance.choice(ABSURD)
    return bytes(data)


def end(data: bytearray, chance: random.Random) -> bytes:
    """Put absurd numbers into the end, where some containers have their index."""
    for _ in range(chance.choice((1, 1, 4))):
        at = max(0, len(data) - 1 - chance.randrange(min(HEAD_BYTES, len(data))))
        data[at : at + 4] = chance.choice(ABSURD)
    return bytes(data)


def grown(data: bytearray, chance: random.Random) -> bytes:
    """Append the file to itself, or what means nothing."""
    return bytes(data) + (
        bytes(data) if chance.random() < 0.5 else chance.randbytes(chance.choice((1, 5000)))
    )


def packets(source: Path, target: Path, chance: random.Random) -> bool:
    """Copy a video with packets in another order, doubled, left out, or at other times; False for a photo."""
    with av.open(str(source)) as file:
        if file.format.name.endswith("_pipe") or not file.streams.video:
            return False
        found = [packet for packet in file.demux() if packet.dts is not None]
        how = chance.choice(("swapped", "doubled", "left out", "times"))
        for _ in range(chance.choice((1, 3))):
            first, second = (chance.randrange(len(found)) for _ in range(2))
            if how == "swapped":
                found[first], found[second] = found[second], found[first]
            elif how == "doubled":
                found.insert(second, found[first])
            elif how == "left out" and len(found) > 2:
                del found[first]
            elif how == "times":
                found[first].pts = found[first].dts = chance.choice((0, 1 << 31, -(1 << 20), 1 << 40))
        try:
            with av.open(str(target), "w") as copy:
                streams = {each.index: copy.add_stream_from_template(each) for each in file.streams}
                for packet in found:
                    packet.stream = streams[packet.stream.index]
                    copy.mux_one(packet)
        except (av.FFmpegError, ValueError):
            return target.exists() and target.stat().st_size > 0  # it stays as far as it came
    return True


DAMAGES: tuple[Callable[[bytearray, random.Random], bytes], ...] = (bits, cut, hole, swap, header, end, grown)
PACKETS = packets.__name__


def mutate(source: Path, target: Path, chance: random.Random) -> str:
    """Write a mutated copy, and return the name of the damage."""
    damage = chance.choice((*DAMAGES, None))
    if damage is None:
        try:
            if packets(source, target, chance):
                return PACKETS
        except Exception:  # noqa: S110 - what PyAV itself cannot copy is broken in another way
            pass
        damage = bits
    target.write_bytes(damage(bytearray(source.read_bytes()), chance))
    return damage.__name__

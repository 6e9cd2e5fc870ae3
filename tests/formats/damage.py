"""Damage to a file of keypoints: other bytes, a missing end, values that make no sense."""

import re

NUMBER = re.compile(rb"-?\d+(\.\d+)?|null")
ODD_VALUES = (
    b"Infinity",
    b"-Infinity",
    b"NaN",
    b"nan",
    b"inf",
    b"1e39",
    b"1e999",
    b"-1",
    b"0.5",
    b"1e300",
    b"1" + b"0" * 30,
    b"1" + b"0" * 400,
    b"null",
    b"",
    b"true",
    b'"text"',
    b"[]",
    b"{}",
    b"[null]",
    b"[" * 100_000,
    b"9223372036854775807",
    b"9223372036854775808",
)
ODD_BYTES = b'[{"0159,\n\x00\xff'


def flipped(data, rng):
    """The data with one to five bytes changed."""
    changed = bytearray(data)
    for _ in range(rng.choice((1, 2, 5))):
        changed[rng.randrange(len(changed))] = rng.choice((rng.randrange(256), rng.choice(ODD_BYTES)))
    return bytes(changed)


def cut(data, rng):
    """The data without its end."""
    return data[: rng.randrange(len(data))]


def swapped(data, rng):
    """A text with one value replaced."""
    places = list(NUMBER.finditer(data))
    if not places:
        return flipped(data, rng)
    place = rng.choice(places[: rng.choice((20, len(places)))])  # often one of the first, which matter most
    return data[: place.start()] + rng.choice(ODD_VALUES) + data[place.end() :]


def moved(data, rng):
    """The data with one line moved or repeated."""
    lines = data.splitlines(keepends=True)
    line = rng.choice(lines)
    if rng.random() < 0.5:
        lines.remove(line)
    lines.insert(rng.randrange(len(lines) + 1), line)
    return b"".join(lines)


def damaged(data, rng):
    """The data damaged in some way."""
    return rng.choice((flipped, flipped, cut, swapped, swapped, swapped, moved))(data, rng)

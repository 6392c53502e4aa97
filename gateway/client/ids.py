"""
Generate ids and default names from the kernel's random numbers; the seeded `random` of a training script is not used.
"""

from __future__ import annotations

import os
from time import time_ns

ADJECTIVES = (
    "amber", "bold", "brave", "bright", "brisk", "calm", "clear", "clever", "cool", "crisp", "deep", "eager", "early",
    "fair", "fast", "fine", "firm", "fresh", "gentle", "glad", "golden", "grand", "green", "happy", "keen", "kind",
    "late", "light", "lively", "lucky", "mellow", "merry", "mild", "neat", "noble", "plain", "proud", "quick", "quiet",
    "rapid", "ripe", "sharp", "silent", "smooth", "steady", "still", "sunny", "swift", "tidy", "vivid", "warm", "wise",
)  # fmt: skip
NOUNS = (
    "acorn", "anchor", "arrow", "aspen", "badger", "beacon", "birch", "brook", "canyon", "cedar", "cliff", "cloud",
    "comet", "coral", "crane", "delta", "dune", "eagle", "ember", "falcon", "fern", "finch", "fjord", "forest", "fox",
    "glacier", "grove", "harbor", "hawk", "heron", "island", "lake", "lark", "maple", "meadow", "moon", "oak", "otter",
    "owl", "pine", "prairie", "quartz", "raven", "reef", "ridge", "river", "robin", "sparrow", "spruce", "stone",
    "summit", "tide", "valley", "willow", "wren",
)  # fmt: skip


def uuid7() -> str:
    """Return a new UUID of version 7 (RFC 9562, section 5.7), which sorts by its creation time in ms."""
    stamp = (time_ns() // 1_000_000 % 2**48).to_bytes(6, "big")
    noise = bytearray(os.urandom(10))
    noise[0] = noise[0] & 0x0F | 0x70  # version 7
    noise[2] = noise[2] & 0x3F | 0x80  # the variant of RFC 9562
    text = (stamp + bytes(noise)).hex()
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def time_of(one: str) -> int | None:
    """Return the time in a UUID of version 7, in µs since 1970; None for any other id."""
    if len(one) != 36 or one[14] != "7" or (one[8], one[13], one[18], one[23]) != ("-", "-", "-", "-"):
        return None
    try:
        return int(one[:8] + one[9:13], 16) * 1_000
    except ValueError:
        return None


def run_name() -> str:
    """Return a random name that is easy to pronounce: adjective-noun-NNNN."""
    noise = os.urandom(8)
    adjective = ADJECTIVES[int.from_bytes(noise[:3], "big") % len(ADJECTIVES)]
    noun = NOUNS[int.from_bytes(noise[3:6], "big") % len(NOUNS)]
    return f"{adjective}-{noun}-{int.from_bytes(noise[6:], 'big') % 10_000:04d}"

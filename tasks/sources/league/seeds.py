"""Named random streams: each part of each season draws from its own, so changing one leaves others be."""

from __future__ import annotations

import zlib

import numpy as np


def stream(seed: int, *names: str) -> np.random.Generator:
    """A PCG64 generator for (seed, names); equal arguments give equal draws on every platform."""
    keys = [zlib.crc32(name.encode()) for name in names]
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, *keys])))

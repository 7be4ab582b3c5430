"""Random numbers of a generated book: pure functions of (seed, purpose, name), one row per account.

Row i does not depend on how many rows are drawn, so a larger book contains the people of a smaller one. Raw Philox
output is used because numpy guarantees its bits, which it does not for its distributions.
"""

from __future__ import annotations

import hashlib

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri


def uniforms(seed: int, purpose: str, name: str, rows: int, columns: int) -> NDArray[np.float64]:
    """[rows, columns] uniforms strictly inside (0, 1) with 53 random bits."""
    digest = hashlib.sha256(f"{seed}\n{purpose}\n{name}".encode()).digest()
    key = np.frombuffer(digest[:16], dtype="<u8")
    raw = np.random.Philox(key=key).random_raw(rows * columns)
    return ((raw >> np.uint64(11)).astype(np.float64).reshape(rows, columns) + 0.5) * 2.0**-53


def normals(uniform: NDArray[np.float64]) -> NDArray[np.float64]:
    """Standard normals by inversion."""
    return ndtri(uniform)

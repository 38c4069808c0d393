"""Colours of lines are told apart with any colour vision, by day and by night."""

from __future__ import annotations

import re
from importlib import resources
from itertools import combinations

import numpy as np
import pytest
from numpy.typing import NDArray

Array = NDArray[np.float64]

SEEN = {
    "protanopia": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "deuteranopia": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
    "tritanopia": [
        [1.255528, -0.076749, -0.178779],
        [-0.078411, 0.930809, 0.147602],
        [0.004733, 0.691367, 0.303900],
    ],
    "all colours": [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]],
}
"""Linear sRGB as it is seen, severity 1.

Source: Machado et al., "A physiologically-based model for simulation of color vision deficiency" (2009).
"""
TO_LMS = np.array(
    [
        [0.4122214708, 0.5363325363, 0.0514459929],
        [0.2119034982, 0.6806995451, 0.1073969566],
        [0.0883024619, 0.2817188376, 0.6299787005],
    ]
)
TO_LAB = np.array(
    [
        [0.2104542553, 0.7936177850, -0.0040720468],
        [1.9779984951, -2.4285922050, 0.4505937099],
        [0.0259040371, 0.7827717662, -0.8086757660],
    ]
)
"""Source: Ottosson, "A perceptual color space for image processing" (2020)."""


def linear(colour: str) -> Array:
    parts = np.array([int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)])
    return np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)


def oklab(rgb: Array) -> Array:
    found: Array = TO_LAB @ np.cbrt(TO_LMS @ np.clip(rgb, 0, 1))
    return found


@pytest.mark.parametrize("theme", [0, 1], ids=["light", "dark"])
@pytest.mark.parametrize(
    ("vision", "least"), [(name, 0.07 if name == "tritanopia" else 0.1) for name in SEEN]
)
def test_colours_of_lines_are_told_apart(theme: int, vision: str, least: float) -> None:
    css = (resources.files("mtctl.report") / "assets" / "theme.css").read_text(encoding="utf-8")
    colours = [found[theme] for found in re.findall(r"--line-\d: light-dark\((#\w{6}), (#\w{6})\)", css)]
    assert len(colours) == 9
    seen = [oklab(np.array(SEEN[vision]) @ linear(colour)) for colour in colours]
    assert min(float(np.linalg.norm(one - other)) for one, other in combinations(seen, 2)) > least

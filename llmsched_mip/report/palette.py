"""Colours of all pictures: the colour-blind-safe set of Okabe and Ito, and one scale of blues for lengths.

M. Okabe and K. Ito, Color Universal Design (2008).  The light and the dark scale run from short to long outputs,
both away from their background.
"""

from __future__ import annotations

BLUE, VERMILION, GREEN, PURPLE, ORANGE, SKY, YELLOW = (
    "#0072b2",
    "#d55e00",
    "#009e73",
    "#cc79a7",
    "#e69f00",
    "#56b4e9",
    "#f0e442",
)
GREY = "#8c8c8c"
SERIES = (BLUE, VERMILION, GREEN, PURPLE, ORANGE, SKY, GREY)

SHADES_LIGHT = ("#d0e1f0", "#aecce5", "#8ab4d8", "#649aca", "#4080b6", "#256a9f")
SHADES_DARK = ("#1f3b51", "#25506f", "#2c658e", "#357cae", "#4493cb", "#5eabe0")

LIGHT = {
    "page": "#ffffff",
    "panel": "#f6f6f4",
    "ink": "#1a1a1a",
    "quiet": "#5c5c5c",
    "rule": "#d9d9d6",
    "grid": "#e8e8e5",
    "accent": BLUE,
    "prefill": VERMILION,
    "stall": "rgba(213, 94, 0, 0.30)",
    "curve": BLUE,
    "curve-fill": "rgba(0, 114, 178, 0.16)",
    "held": GREEN,
    "held-fill": "rgba(0, 158, 115, 0.16)",
}
DARK = {
    "page": "#14171a",
    "panel": "#1d2125",
    "ink": "#ececea",
    "quiet": "#a5a9ac",
    "rule": "#3a4046",
    "grid": "#2a2f34",
    "accent": SKY,
    "prefill": "#f08a3c",
    "stall": "rgba(240, 138, 60, 0.30)",
    "curve": SKY,
    "curve-fill": "rgba(86, 180, 233, 0.20)",
    "held": "#2fc79a",
    "held-fill": "rgba(47, 199, 154, 0.18)",
}


def _variables(colors: dict[str, str], shades: tuple[str, ...]) -> str:
    pairs = [*colors.items(), *((f"shade-{k}", shade) for k, shade in enumerate(shades))]
    return " ".join(f"--{name}: {value};" for name, value in pairs)


def page_css() -> str:
    """Custom properties of both themes: the system's choice, unless the page's switch says otherwise."""
    light, dark = _variables(LIGHT, SHADES_LIGHT), _variables(DARK, SHADES_DARK)
    return (
        f":root {{ color-scheme: light; {light} }}\n"
        f"@media (prefers-color-scheme: dark) {{ :root {{ color-scheme: dark; {dark} }} }}\n"
        f":root[data-theme='light'] {{ color-scheme: light; {light} }}\n"
        f":root[data-theme='dark'] {{ color-scheme: dark; {dark} }}\n"
        f"@media print {{ :root, :root[data-theme] {{ color-scheme: light; {light} }} }}\n"
    )


def svg_css() -> str:
    """Custom properties of a picture on its own: the system's choice of theme."""
    light, dark = _variables(LIGHT, SHADES_LIGHT), _variables(DARK, SHADES_DARK)
    return f"svg {{ {light} }}\n@media (prefers-color-scheme: dark) {{ svg {{ {dark} }} }}\n"

"""The colors of pages and figures, light and dark. Knows nothing about either.

A figure is drawn once, in the light colors; in a page each of these is replaced by the CSS
variable of its name, so that the figure follows the reader's light or dark mode. For that to
work no two names may share a light color. Text on `paper` reaches a contrast of 4.5 in both
modes, and the series differ in lightness as well as in hue (after Okabe and Ito, "Color
universal design", 2008), so that they can be told apart with any color vision.
"""

LIGHT = {
    "paper": "#fbfaf7",
    "ink": "#1c2024",
    "muted": "#5a626b",
    "faint": "#d8d5cd",
    "wash": "#f0ede6",
    "link": "#0b5a94",
    "more": "#0a66a3",  # cells of a matrix, by opacity
    "less": "#b84a06",
    "series1": "#0067a6",
    "series2": "#c24c00",
    "series3": "#00795a",
    "series4": "#9c3f78",
    "series5": "#8a6500",
    "series6": "#4c5663",
}

DARK = {
    "paper": "#15181b",
    "ink": "#eae7e1",
    "muted": "#a5adb5",
    "faint": "#363c42",
    "wash": "#20252a",
    "link": "#7cc0f2",
    "more": "#4f9fe4",
    "less": "#dd7a38",
    "series1": "#5fb4f0",
    "series2": "#ff9257",
    "series3": "#35cb9f",
    "series4": "#e596c8",
    "series5": "#e3b645",
    "series6": "#bcc4cd",
}

SERIES = tuple(name for name in LIGHT if name.startswith("series"))
MARKERS = "osD^vP"


def series(number: int) -> tuple[str, str]:
    """Return the (light color, marker) of the series with this number, from 0; they repeat after six."""
    place = number % len(SERIES)
    return LIGHT[SERIES[place]], MARKERS[place]


def css_variables() -> dict[str, str]:
    """Return the declarations of the CSS variables by mode, "light" and "dark"."""
    modes = {"light": LIGHT, "dark": DARK}
    return {mode: " ".join(f"--{n}: {c};" for n, c in colors.items()) for mode, colors in modes.items()}

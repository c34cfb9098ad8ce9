"""What objects show at the end of a notebook's cell: tables, curves and faces in plain HTML.

Knows nothing about what stands in them. All text is escaped. Colors are the notebook's own, so that
light and dark ones can be read, and nothing but numpy, Pillow and a template's escaping is needed.
"""

import base64
import io
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import quote

import numpy as np
from markupsafe import Markup

WIDTH, HEIGHT = 300, 150  # pixels of a chart
LEFT, RIGHT, TOP, BOTTOM = 38, 10, 24, 22
VAL = "#3d8fd1"  # a contrast of 3 and more on white and on black
WORDS = Markup(' style="text-align:left"')
NUMBERS = Markup(' style="text-align:right;white-space:nowrap"')
CAPTION = Markup(' style="text-align:left;font-weight:600;white-space:nowrap"')


def html(*parts: str) -> str:
    """Return parts as the HTML of one output; what is no Markup becomes an escaped paragraph."""
    told = (part if isinstance(part, Markup) else Markup("<p>{}</p>").format(part) for part in parts if part)
    return str(Markup('<div style="max-width:60em">{}</div>').format(Markup().join(told)))


def table(caption: str, head: Sequence[str], rows: Sequence[Sequence[str]]) -> Markup:
    """Return a table whose rows start with their own heading; without a head its cells are words.

    Under a head cells are numbers and stand right; what is Markup stands left.
    """
    top = Markup("<thead>{}</thead>").format(_row(head, "th", right=True)) if any(head) else ""
    body = Markup().join(_row(row, "td", right=bool(head)) for row in rows)
    return Markup("<table><caption{}>{}</caption>{}<tbody>{}</tbody></table>").format(
        CAPTION, caption, top, body
    )


def _row(row: Sequence[str], tag: str, *, right: bool) -> Markup:
    cells = [Markup("<th{}>{}</th>").format(WORDS, row[0])]
    for text in row[1:]:
        look = NUMBERS if right and not isinstance(text, Markup) else WORDS
        cells.append(Markup(f"<{tag}{{}}>{{}}</{tag}>").format(look, text))
    return Markup("<tr>{}</tr>").format(Markup().join(cells))


def words(text: str) -> Markup:
    """Return text that stands left under a head, as pictures do."""
    return Markup("{}").format(text)


def link(path: Path) -> Markup:
    """Return a file's place, as a link where a notebook can follow it: below its own folder."""
    if path.is_absolute():
        return Markup("<code>{}</code>").format(path)
    return Markup('<a href="{}" target="_blank">{}</a>').format(quote(str(path)), path)


def faces(pictures: np.ndarray, words: str) -> Markup:
    """Return pictures uint8 (N, S, S) in a row, as one picture that `words` describe."""
    from PIL import Image

    data = io.BytesIO()
    Image.fromarray(np.concatenate(list(pictures), axis=1)).save(data, format="png", optimize=True)
    address = "data:image/png;base64," + base64.b64encode(data.getvalue()).decode()
    side = pictures.shape[1]
    return Markup(
        '<img src="{}" alt="{}" width="{}" height="{}" style="display:block;max-width:none">'
    ).format(address, words, side * len(pictures), side)


def curves(rows: Sequence[dict[str, float]], kept: int | None = None) -> Markup:
    """Return loss and accuracy over epochs side by side; `rows` are a run's metrics, `kept` an epoch."""
    charts = [_chart(rows, name, kept) for name in ("loss", "accuracy")] if rows else []
    return Markup('<div style="display:flex;flex-wrap:wrap;gap:8px">{}</div>').format(Markup().join(charts))


def _chart(rows: Sequence[dict[str, float]], name: str, kept: int | None) -> Markup:
    share = name == "accuracy"
    values = {split: [row[f"{split}_{name}"] for row in rows] for split in ("train", "val")}
    top = 1.0 if share else 1.05 * max(map(max, values.values())) or 1.0
    x = np.linspace(LEFT, WIDTH - RIGHT, len(rows)) if len(rows) > 1 else np.array([(LEFT + WIDTH) / 2])
    y = {split: _heights(line, top) for split, line in values.items()}
    parts = [_tick(top * part, top, share) for part in (0, 0.5, 1)]
    parts += [_line(x, y["train"], 'stroke="currentColor" stroke-opacity=".65" stroke-dasharray="5 3"')]
    parts += [_line(x, y["val"], f'stroke="{VAL}"')]
    if kept:
        dot = Markup('<circle cx="{:.1f}" cy="{:.1f}" r="4" fill="{}"/>')
        parts.append(dot.format(x[kept - 1], y["val"][kept - 1], VAL))
    parts += [_text(x[0], HEIGHT - 5, f"{rows[0]['epoch']:.0f}", "middle")] if len(rows) > 1 else []
    parts += [
        _text(x[-1], HEIGHT - 5, f"epoch {rows[-1]['epoch']:.0f}", "end" if len(rows) > 1 else "middle")
    ]
    parts += [_text(LEFT, 13, f"{name}: val (blue) and train (dashed)", "start")]
    last = f"{name} over epochs; last on train {values['train'][-1]:.3f}, on val {values['val'][-1]:.3f}"
    return Markup(
        '<svg viewBox="0 0 {} {}" width="{}" height="{}" role="img" aria-label="{}" '
        'style="font:11px sans-serif;fill:currentColor">{}</svg>'
    ).format(WIDTH, HEIGHT, WIDTH, HEIGHT, last, Markup().join(parts))


def _heights(line: Sequence[float], top: float) -> np.ndarray:
    """Return pixel rows; what is no number stays none, what is above the top is cut."""
    return HEIGHT - BOTTOM - np.clip(np.array(line) / top, 0, 1) * (HEIGHT - TOP - BOTTOM)


def _line(x: np.ndarray, y: np.ndarray, look: str) -> Markup:
    points = " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(x, y, strict=True) if np.isfinite(b))
    line = Markup('<polyline points="{}" fill="none" stroke-width="1.8" {}/>')
    return line.format(points, Markup(look))


def _tick(value: float, top: float, share: bool) -> Markup:
    (y,) = _heights([value], top)
    rule = Markup('<path d="M{} {:.1f}H{}" stroke="currentColor" stroke-opacity=".2"/>')
    text = f"{100 * value:.0f}%" if share else f"{value:.1f}"
    return rule.format(LEFT, y, WIDTH - RIGHT) + _text(LEFT - 5, y + 4, text, "end")


def _text(x: float, y: float, text: str, anchor: str) -> Markup:
    return Markup('<text x="{:.1f}" y="{:.1f}" text-anchor="{}">{}</text>').format(x, y, anchor, text)

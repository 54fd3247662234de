# SPDX-License-Identifier: Apache-2.0
"""An SVG of bars: how each client compares with raw, longer is better."""

from xml.sax.saxutils import escape

BAR, GAP, LEFT, WIDE, MOST = 12, 14, 260, 560, 2.0
COLOURS = ("#4878a8", "#9a9a9a", "#c7873d", "#5a9e6f", "#a85c5c", "#7d6bab", "#4aa3a3", "#b0a03c")


def goodness(figure, row):
    """1.0 is raw, more is better, whatever the unit is."""
    if figure["better"] == "higher":
        return row["ratio"], row["ratio_q1"], row["ratio_q3"]
    return tuple(1 / row[key] if row[key] > 0 else MOST for key in ("ratio", "ratio_q3", "ratio_q1"))


def x_of(value):
    return LEFT + min(value, MOST) / MOST * WIDE


def text(x, y, words, extra=""):
    return f'<text x="{x:.0f}" y="{y:.0f}" {extra}>{escape(words)}</text>'


def bar(y, colour, name, of):
    value, low, high = of
    return [f'<rect x="{LEFT}" y="{y}" width="{x_of(value) - LEFT:.1f}" height="{BAR - 2}" fill="{colour}"/>',
            f'<path d="M{x_of(low):.1f} {y + BAR / 2 - 1}H{x_of(high):.1f}" stroke="#000"/>',
            text(max(x_of(value), x_of(high)) + 4, y + BAR - 3, f"{value:.2f} {name}")]


def svg(document):
    seen, shown = set(), []
    for figure in document["figures"]:  # the first unit of a case is what it is about
        if (figure["group"], figure["case"]) not in seen:
            seen.add((figure["group"], figure["case"]))
            shown.append(figure)
    names = []
    y, body = 40, []
    for figure in shown:
        rows = {n: r for n, r in figure["clients"].items() if n != figure["raw"] and "ratio" in r}
        names += [n for n in rows if n not in names]
        raw = figure["clients"][figure["raw"]]
        body.append(text(LEFT - 8, y + BAR - 3, f"{figure['group']}: {figure['case']}", 'text-anchor="end"'))
        body.append(text(LEFT - 8, y + 2 * BAR - 3, f"{figure['raw']}: {raw['median']:.3g} {figure['unit']}",
                         'text-anchor="end" fill="#666"'))
        for name, row in rows.items():
            body += bar(y, COLOURS[names.index(name) % len(COLOURS)], name, goodness(figure, row))
            y += BAR
        y += GAP + BAR * (len(rows) < 2)  # its name and what raw did take two lines
    one = x_of(1)
    machine = document["machine"]
    return "\n".join([
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{LEFT + WIDE + 160}" height="{y + 10}" '
        'font-family="sans-serif" font-size="10">',
        '<rect width="100%" height="100%" fill="#fff"/>',
        text(8, 16, f"as fast as the raw client of the same run: 1.00; {machine['cpu']}, {machine['cpus']} CPUs, "
             f"{document['rounds']} rounds", 'font-size="12"'),
        *body, f'<path d="M{one} 26V{y}" stroke="#c00" stroke-dasharray="4 3"/>', "</svg>"]) + "\n"

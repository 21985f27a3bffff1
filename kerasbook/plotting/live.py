"""The loss while a model trains, for a notebook: SVG written by hand, in about a millisecond.

Matplotlib takes fifty times as long for a picture; drawn twice a second that would be felt.
"""

import math

from kerasbook.plotting.page import BLUE

from matplotlib.ticker import LogLocator, MaxNLocator

WIDTH, HEIGHT = 520, 210  # of the whole picture
LEFT, RIGHT, TOP, BOTTOM = 62, 508, 10, 170  # of the part that holds the curves


def draw_loss(training: list, validation: list, epochs: int) -> str:
    """Returns an SVG with the loss by epoch: training solid, validation dashed.

    training, validation: points (epochs done, loss); those that are not finite are left out. In
        the middle of an epoch the training loss is the mean over the epoch so far.
    A loss over more than one decade gets a log scale.
    """
    training, validation = _finite(training), _finite(validation)
    losses = [loss for _, loss in training + validation]
    if not losses:
        return ""
    low, high = min(losses), max(losses)
    logarithmic = low > 0 and high > 10 * low
    scale = math.log10 if logarithmic else float
    if not logarithmic:  # a little air, and a height for a flat line
        margin = 0.05 * (high - low) or 0.05 * abs(high) or 0.05
        low, high = low - margin, high + margin
    ticks = (LogLocator() if logarithmic else MaxNLocator(4)).tick_values(low, high)
    bottom, top = scale(low), scale(high)

    def x(epoch):
        return LEFT + (RIGHT - LEFT) * epoch / epochs

    def y(loss):
        return BOTTOM - (BOTTOM - TOP) * (scale(loss) - bottom) / (top - bottom)

    parts = [
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" '
        'xmlns="http://www.w3.org/2000/svg" font-family="sans-serif" font-size="12" '
        'fill="currentColor" role="img" aria-label="the loss by epoch">'
    ]
    for tick in ticks:
        if low <= tick <= high:
            parts.append(
                f'<path d="M{LEFT} {y(tick):.1f}H{RIGHT}" stroke="#8884"/>'
                f'<text x="{LEFT - 6}" y="{y(tick) + 4:.1f}" text-anchor="end">{tick:.3g}</text>'
            )
    for tick in MaxNLocator(8, integer=True).tick_values(0, epochs):
        if 0 <= tick <= epochs:
            parts.append(
                f'<text x="{x(tick):.1f}" y="{BOTTOM + 16}" text-anchor="middle">{tick:.0f}</text>'
            )
    middle = (TOP + BOTTOM) / 2
    words = "loss, log scale" if logarithmic else "loss"
    parts += [
        f'<text x="14" y="{middle}" text-anchor="middle" '
        f'transform="rotate(-90 14 {middle})">{words}</text>',
        f'<text x="{RIGHT}" y="{BOTTOM + 34}" text-anchor="end">epochs</text>',
        f'<path d="M{LEFT} {TOP}V{BOTTOM}H{RIGHT}" fill="none" stroke="#888"/>',
    ]
    curves = {"training": (training, "")}
    if validation:
        curves["validation"] = (validation, ' stroke-dasharray="6 4"')
    for number, (name, (points, dashes)) in enumerate(curves.items()):
        line = " ".join(f"{x(epoch):.1f},{y(loss):.1f}" for epoch, loss in points)
        style = f'fill="none" stroke="{BLUE}" stroke-width="2"{dashes}'
        at = LEFT + 110 * number
        parts += [
            f'<polyline points="{line}" {style}/>',
            f'<path d="M{at} {BOTTOM + 30}h26" {style}/>',
            f'<text x="{at + 32}" y="{BOTTOM + 34}">{name}</text>',
        ]
    few = validation if epochs <= 30 else []  # more dots would run together
    dots = [f'<circle cx="{x(epoch):.1f}" cy="{y(loss):.1f}" r="3"/>' for epoch, loss in few]
    return "".join([*parts, f'<g fill="{BLUE}">', *dots, "</g></svg>"])


def _finite(points: list) -> list:
    return [(epoch, loss) for epoch, loss in points if math.isfinite(loss)]

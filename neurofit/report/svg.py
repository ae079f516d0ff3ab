"""Pictures as SVG text: scales with ticks, and shapes. Colours and fonts are classes of the page's style sheet."""

from __future__ import annotations

import html
import math
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

MINUS = "\u2212"
_LARGEST = sys.float_info.max
_STEPS = (1.0, 2.0, 2.5, 5.0, 10.0)


class Svg(str):
    """Text of a picture, which a template inserts unescaped. Only the functions of this module make it."""

    def __html__(self) -> str:
        return str(self)


@dataclass(frozen=True)
class Scale:
    """A straight map from numbers to pixels; if it is logarithmic, from powers of ten, which `low` and `high` are."""

    low: float
    high: float
    start: float  # pixels
    end: float
    logarithmic: bool = False

    @classmethod
    def over(
        cls,
        values: Iterable[float],
        start: float,
        end: float,
        *,
        margin: float = 0.04,
        logarithmic: bool = False,
    ) -> Scale:
        """A scale from the lowest to the highest of the finite values, with a margin on both sides."""
        known = [float(value) for value in values if math.isfinite(value)]
        if logarithmic:
            known = [math.log10(value) for value in known if value > 0]
        low, high = (min(known), max(known)) if known else (0.0, 1.0)
        if not high - low > max(1e-9 * max(abs(low), abs(high)), 1e-300):
            half = max(abs(low) * 0.1, 1e-290) if low else 1.0
            low, high = max(low - half, -_LARGEST), min(high + half, _LARGEST)
        edge = margin * (high - low)
        if math.isfinite(low - edge) and math.isfinite(high + edge):
            low, high = low - edge, high + edge
        return cls(low, high, start, end, logarithmic)

    def __call__(self, value: float) -> float:
        unit = math.log10(value) if self.logarithmic else value
        share = (unit / 2 - self.low / 2) / (self.high / 2 - self.low / 2)  # their difference may be infinite
        return self.start + share * (self.end - self.start)

    def ticks(self, most: int = 6, *, whole: bool = False) -> list[float]:
        """Round numbers on the scale, ascending; integers if they must be whole."""
        if self.logarithmic:
            powers = range(math.ceil(max(self.low, -300)), math.floor(min(self.high, 300)) + 1)
            if len(powers) > 1:
                return [10.0**power for power in powers[:: -(-len(powers) // most)]]
            middle = (self.low + self.high) / 2
            return [10.0**middle] if abs(middle) < 300 else []
        step = _step(self.low, self.high, most)
        step = max(1.0, step if step != 2.5 else 5.0) if whole else step
        first, last = math.ceil(self.low / step), math.floor(self.high / step)
        return [float(f"{place * step:.12g}") for place in range(first, last + 1)]


def _step(low: float, high: float, most: int) -> float:
    smallest = high / most - low / most
    power = 10.0 ** math.floor(math.log10(smallest))
    return next((one * power for one in _STEPS if one * power >= smallest * (1 - 1e-9)), smallest)


def number(value: float) -> str:
    """A number for a reader: four digits, with a minus sign."""
    return f"{value:.4g}".replace("-", MINUS) if value else "0"


def tag(name: str, content: str = "", **attributes: object) -> str:
    """An element. Attributes are escaped, `class_` is `class`, and floats are pixels with one decimal."""
    words = [
        f' {key.rstrip("_").replace("_", "-")}="{html.escape(_attribute(value))}"'
        for key, value in attributes.items()
        if value is not None
    ]
    inside = f">{content}</{name}>" if content else "/>"
    return f"<{name}{''.join(words)}{inside}"


def _attribute(value: object) -> str:
    return pixel(value) if isinstance(value, float) else str(value)


def pixel(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")


def text(x: float, y: float, content: str, **attributes: object) -> str:
    return tag("text", html.escape(content), x=float(x), y=float(y), **attributes)


def title(content: str) -> str:
    """What a pointer on the surrounding element shows."""
    return tag("title", html.escape(content) or " ")


def line(x1: float, y1: float, x2: float, y2: float, class_: str) -> str:
    return tag("path", d=f"M{pixel(x1)} {pixel(y1)}L{pixel(x2)} {pixel(y2)}", class_=class_)


def polyline(points: Iterable[tuple[float, float]]) -> str:
    """The path of a line; a point that is not finite interrupts it."""
    words, pen = [], "M"
    for x, y in points:
        if math.isfinite(x) and math.isfinite(y):
            words.append(f"{pen}{pixel(x)} {pixel(y)}")
            pen = "L"
        else:
            pen = "M"
    return "".join(words)


def dots(points: Iterable[tuple[float, float]]) -> str:
    """The path of dots: lines without length, which a round pen draws."""
    return "".join(f"M{pixel(x)} {pixel(y)}h0" for x, y in points if math.isfinite(x) and math.isfinite(y))


def svg(width: float, height: float, parts: Sequence[str], label: str, class_: str = "picture") -> Svg:
    """A whole picture; `label` describes it to those who do not see it."""
    box = f"0 0 {pixel(width)} {pixel(height)}"
    inside = "".join(parts) or " "
    return Svg(
        tag("svg", inside, viewBox=box, class_=class_, role="img", aria_label=label, width=float(width))
    )


def x_axis(scale: Scale, y: float, top: float, label: str, most: int = 6, *, whole: bool = False) -> str:
    """Ticks and their numbers below a frame from `top` to `y`, and the name of the axis."""
    parts = [line(scale.start, y, scale.end, y, "axis")]
    for tick in scale.ticks(most, whole=whole):
        x = scale(tick)
        parts += [line(x, y, x, top, "grid"), text(x, y + 18, number(tick), class_="tick middle")]
    parts.append(text((scale.start + scale.end) / 2, y + 38, label, class_="label middle"))
    return "".join(parts)


def y_axis(scale: Scale, x: float, right: float, label: str, most: int = 6) -> str:
    """Ticks and their numbers left of a frame from `x` to `right`, and the name of the axis above it."""
    parts = []
    for tick in scale.ticks(most):
        y = scale(tick)
        parts += [line(x, y, right, y, "grid"), text(x - 8, y + 4, number(tick), class_="tick end")]
    parts.append(text(x - 8, scale.end - 12, label, class_="label"))
    return "".join(parts)

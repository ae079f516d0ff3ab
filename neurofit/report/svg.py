"""Pictures as SVG text: scales with ticks, and shapes. Colours and fonts are classes of the page's style sheet."""

from __future__ import annotations

import html
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

MINUS = "\u2212"
_STEPS = (1.0, 2.0, 2.5, 5.0, 10.0)


class Svg(str):
    """Text of a picture, which a template inserts unescaped. Only the functions of this module make it."""

    def __html__(self) -> str:
        return str(self)


@dataclass(frozen=True)
class Scale:
    """A straight map from numbers to pixels, or from their logarithms."""

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
        known = [value for value in values if math.isfinite(value) and (value > 0 or not logarithmic)]
        low, high = (min(known), max(known)) if known else (0.0, 1.0)
        if logarithmic:
            low, high = math.log10(low), math.log10(high)
        if not math.isfinite(high - low) or not high - low > 1e-12 * max(abs(low), abs(high)):
            low, high = _around(low, high)
        edge = margin * (high - low)
        low, high = low - edge, high + edge
        return cls(10**low, 10**high, start, end, True) if logarithmic else cls(low, high, start, end)

    def __call__(self, value: float) -> float:
        low, high = self.low, self.high
        if self.logarithmic:
            low, high, value = math.log10(low), math.log10(high), math.log10(value)
        return self.start + (value - low) / (high - low) * (self.end - self.start)

    def ticks(self, most: int = 6) -> list[float]:
        """Round numbers on the scale, ascending."""
        if self.logarithmic:
            first, last = math.ceil(math.log10(self.low)), math.floor(math.log10(self.high))
            if last > first:
                every = -(-(last - first + 1) // most)
                return [10.0**power for power in range(first, last + 1, every)]
        step = _step(self.low, self.high, most)
        first, last = math.ceil(self.low / step), math.floor(self.high / step)
        return [float(f"{place * step:.12g}") for place in range(first, last + 1)]


def _around(low: float, high: float) -> tuple[float, float]:
    """Limits around equal numbers, or numbers whose difference is no finite float."""
    if not math.isfinite(high - low):
        return low / 2, high / 2
    half = max(abs(low) * 0.1, 1e-6)
    return low - half, high + half


def _step(low: float, high: float, most: int) -> float:
    smallest = (high - low) / most
    power = 10.0 ** math.floor(math.log10(smallest))
    return next(one * power for one in _STEPS if one * power >= smallest * (1 - 1e-9))


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


def x_axis(scale: Scale, y: float, top: float, label: str, most: int = 6) -> str:
    """Ticks and their numbers below a frame from `top` to `y`, and the name of the axis."""
    parts = [line(scale.start, y, scale.end, y, "axis")]
    for tick in scale.ticks(most):
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

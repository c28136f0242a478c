"""Just enough SVG for the report's charts: a plot with axes, whose colours are classes of the page's style sheet."""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from html import escape

Point = tuple[float, float]


@dataclass(frozen=True)
class Axis:
    """A range of values laid over a range of pixels; `log` for values over several decades (all above 0)."""

    low: float
    high: float
    start: float
    end: float
    log: bool = False

    def at(self, value: float) -> float:
        """The pixel of a value; values outside of the range sit on its edge."""
        low, high, value = (
            (math.log(self.low), math.log(self.high), math.log(max(value, self.low)))
            if self.log
            else (self.low, self.high, value)
        )
        share = 0.5 if high <= low else min(1.0, max(0.0, (value - low) / (high - low)))
        return self.start + share * (self.end - self.start)

    def ticks(self, about: int = 5) -> list[float]:
        """Round values within the range: steps of 1, 2 or 5 times a power of ten, on a logarithmic axis too."""
        if self.log:
            exponents = range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)) + 1)
            decades = math.log10(self.high / self.low)
            factors = (1, 2, 5) if decades < 1.5 else (1, 3) if decades < 3 else (1,)
            round_values = [factor * 10.0**exponent for exponent in exponents for factor in factors]
            return [value for value in round_values if self.low <= value <= self.high]
        step = nice_step((self.high - self.low) / max(1, about))
        first, last = math.ceil(self.low / step - 1e-9), math.floor(self.high / step + 1e-9)
        return [index * step for index in range(first, last + 1)]


def nice_step(rough: float) -> float:
    """The next of 1, 2, 5, 10 … times a power of ten that is not under `rough`."""
    if rough <= 0 or not math.isfinite(rough):
        return 1.0
    power = 10.0 ** math.floor(math.log10(rough))
    return next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough * (1 - 1e-9))


@dataclass
class Plot:
    """A drawing under construction. `label` is what a screen reader says; "" for one that words beside it replace."""

    width: int
    height: int
    label: str
    parts: list[str] = field(default_factory=list)

    def text(self, x: float, y: float, text: str, css: str = "", anchor: str = "start") -> None:
        """A line of text whose baseline starts, ends or is centred at the point."""
        self.parts.append(f'<text x="{x:.1f}" y="{y:.1f}" class="{css}" text-anchor="{anchor}">{escape(text)}</text>')

    def line(self, start: Point, end: Point, css: str) -> None:
        """A straight line."""
        self.parts.append(
            f'<line x1="{start[0]:.1f}" y1="{start[1]:.1f}" x2="{end[0]:.1f}" y2="{end[1]:.1f}" class="{css}"/>'
        )

    def path(self, points: Iterable[Point], css: str) -> None:
        """A line through all points."""
        drawn = "L".join(f"{x:.1f} {y:.1f}" for x, y in points)
        if drawn:
            self.parts.append(f'<path d="M{drawn}" class="{css}"/>')

    def dots(self, points: Iterable[Point], css: str) -> None:
        """Many dots as one element: each is a line of no length with round ends."""
        drawn = "".join(f"M{x:.1f} {y:.1f}h0" for x, y in points)
        if drawn:
            self.parts.append(f'<path d="{drawn}" class="dots {css}"/>')

    def circle(self, centre: Point, radius: float, css: str, title: str) -> None:
        """A dot that tells more under the pointer."""
        at = f'cx="{centre[0]:.1f}" cy="{centre[1]:.1f}" r="{radius:g}" class="{css}"'
        self.parts.append(f"<circle {at}>{_title(title)}</circle>")

    def polygon(self, corners: Sequence[Point], css: str, title: str = "") -> None:
        """A filled shape."""
        drawn = "L".join(f"{x:.1f} {y:.1f}" for x, y in corners)
        self.parts.append(f'<path d="M{drawn}Z" class="{css}">{_title(title)}</path>')

    def diamond(self, centre: Point, radius: float, css: str, title: str = "") -> None:
        """A square on its corner."""
        x, y = centre
        self.polygon([(x, y - radius), (x + radius, y), (x, y + radius), (x - radius, y)], css, title)

    def bar(self, x: float, y: float, width: float, height: float, css: str) -> None:
        """A filled rectangle."""
        self.parts.append(
            f'<rect x="{x:.1f}" y="{y:.1f}" width="{max(0.0, width):.1f}" height="{height:.1f}" rx="2" class="{css}"/>'
        )

    def grid(self, x: Axis, y: Axis, x_text: Callable[[float], str], y_text: Callable[[float], str]) -> None:
        """Grid lines with their labels, left and below."""
        for value in y.ticks(5):
            at = y.at(value)
            self.line((x.start, at), (x.end, at), "grid")
            self.text(x.start - 6, at + 4, y_text(value), "tick", "end")
        for value in x.ticks(6):
            at = x.at(value)
            self.line((at, y.start), (at, y.start + 4), "grid")
            self.text(at, y.start + 17, x_text(value), "tick", "middle")

    def legend(self, x: float, y: float, entries: Sequence[tuple[str, str]]) -> None:
        """Labels in a row, each behind a swatch of its class."""
        for css, text in entries:
            self.line((x, y - 4), (x + 14, y - 4), f"swatch {css}")
            self.text(x + 19, y, text, "tick")
            x += 34 + 6.4 * len(text)

    def render(self) -> str:
        """The finished element."""
        said = f'role="img" aria-label="{escape(self.label)}"' if self.label else 'aria-hidden="true"'
        return (
            f'<svg viewBox="0 0 {self.width} {self.height}" {said} '
            f'style="max-width:{self.width}px">{"".join(self.parts)}</svg>'
        )


def _title(text: str) -> str:
    return f"<title>{escape(text)}</title>" if text else ""

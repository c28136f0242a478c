"""A page taken apart: what it shows, what it would load, what it would run."""

import re
from dataclasses import dataclass, field
from html.parser import HTMLParser
from xml.etree import ElementTree

VOID = {"meta", "br", "img", "link", "input", "hr"}


@dataclass
class Page:
    """The text a reader sees, every start tag with its attributes, and the text of each element of a name."""

    text: str
    tags: list[tuple[str, dict[str, str | None]]] = field(default_factory=list)
    of: dict[str, list[str]] = field(default_factory=dict)


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.page = Page("")
        self.open: list[tuple[str, list[str]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.page.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append((tag, []))

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.page.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        name, texts = self.open.pop()
        assert name == tag, f"</{tag}> closes <{name}>"
        self.page.of.setdefault(name, []).append(" ".join("".join(texts).split()))

    def handle_data(self, data: str) -> None:
        for _, texts in self.open:
            texts.append(data)
        if not any(name == "style" for name, _ in self.open):
            self.page.text += f" {data}"


def read_page(html: str) -> Page:
    """Parse a page; fails when an element is not closed."""
    reader = _Reader()
    reader.feed(html)
    reader.close()
    assert reader.open == []
    reader.page.text = " ".join(reader.page.text.split())
    return reader.page


def whole(svg: str) -> str:
    """A drawing, parsed; fails on text that is no XML and on coordinates that are no numbers."""
    for element in ElementTree.fromstring(svg).iter():
        for name in ("x", "y", "x1", "x2", "y1", "y2", "cx", "cy", "width", "height"):
            float(element.get(name, "0"))
        assert re.fullmatch(r"[MLZ h0-9. -]*", element.get("d", ""))
    return svg

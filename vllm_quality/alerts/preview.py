"""A card as a page: the elements that we use, drawn about as Teams draws them, light, dark and on a phone.

Only for looking at a card before anybody gets it. Colours and sizes are those of Teams' host configuration, by eye.
"""

import re
from collections.abc import Mapping
from html import escape
from typing import Any

_ESCAPED = re.compile(r"\\([\\`*_\[\]<>~|#().+-])|\*\*(.+?)\*\*|<at>(.*?)</at>|\[((?:\\.|[^\]\\])+)\]\(([^()\s]+)\)")
_STYLE = """
body { margin: 0; padding: 16px; background: #8a8886; font: 14px/20px "Segoe UI", "Noto Sans", "Noto Sans KR", sans-serif;
  display: flex; gap: 16px; align-items: flex-start; }
.card { width: 640px; box-sizing: border-box; padding: 16px; border-radius: 6px; background: var(--card); color: var(--text);
  overflow: hidden; }
.card.phone { width: 340px; }
.light { --card: #fff; --text: #242424; --subtle: #616161; --line: #e0e0e0; --Good: #107c10; --Attention: #c4314b;
  --Warning: #835c00; --Accent: #5b5fc7; --good: #e7f2da; --attention: #fcf4f6; --warning: #fbf6d9; --emphasis: #f5f5f5; }
.dark { --card: #292929; --text: #fff; --subtle: #adadad; --line: #4d4d4d; --Good: #92c353; --Attention: #f9526b;
  --Warning: #f8d22a; --Accent: #9299f7; --good: #0d2e0d; --attention: #3b1219; --warning: #3a2f00; --emphasis: #1f1f1f; }
.bleed { margin: -16px -16px 0; padding: 16px; }
.good { background: var(--good); } .attention { background: var(--attention); }
.warning { background: var(--warning); } .emphasis { background: var(--emphasis); }
.element { overflow-wrap: anywhere; }
.element + .element { margin-top: 8px; } .element.None { margin-top: 0; } .element.Small { margin-top: 4px; }
.element.Medium { margin-top: 16px; } .separator { border-top: 1px solid var(--line); padding-top: 12px; }
.size-Small { font-size: 12px; line-height: 16px; } .size-Large { font-size: 20px; line-height: 28px; }
.Bolder { font-weight: 600; } .subtle { color: var(--subtle); }
.Good { color: var(--Good); } .Attention { color: var(--Attention); } .Warning { color: var(--Warning); }
.Good.subtle, .Attention.subtle, .Warning.subtle { opacity: .8; }
table { width: 100%; border-collapse: collapse; table-layout: fixed; }
td { vertical-align: top; padding: 4px 8px 4px 0; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: 4px 12px; margin: 0; }
dt { font-weight: 600; } dd { margin: 0; overflow-wrap: anywhere; }
.at { color: var(--Accent); text-decoration: none; } .actions { display: flex; flex-wrap: wrap; gap: 8px; margin-top: 16px; }
.actions a { color: var(--text); border: 1px solid var(--line); border-radius: 4px; padding: 5px 12px; text-decoration: none;
  font-weight: 600; }
"""


def render_page(posted: Mapping[str, Any]) -> str:
    """The message's card three times in one HTML page, which needs nothing else. What a card says is escaped."""
    card = posted["attachments"][0]["content"]
    drawn = _children(card["body"]) + _actions(card.get("actions", ()))
    views = "".join(f'<div class="card {view}">{drawn}</div>' for view in ("light", "dark", "light phone"))
    title = escape(card["fallbackText"])
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        f"<style>{_STYLE}</style></head><body>{views}</body></html>\n"
    )


def _children(elements: Any) -> str:
    return "".join(_element(element) for element in elements)


def _element(element: Mapping[str, Any]) -> str:
    kinds = {"TextBlock": _text, "Container": _container, "FactSet": _facts, "Table": _table}
    classes = ["element", element.get("spacing", ""), "separator" if element.get("separator") else ""]
    return f'<div class="{" ".join(filter(None, classes))}">{kinds[element["type"]](element)}</div>'


def _text(element: Mapping[str, Any]) -> str:
    classes = [element.get("color", ""), element.get("weight", ""), "subtle" if element.get("isSubtle") else ""]
    if "size" in element:
        classes.append(f"size-{element['size']}")
    return f'<div class="{" ".join(filter(None, classes))}">{_markdown(element["text"])}</div>'


def _container(element: Mapping[str, Any]) -> str:
    bleed = " bleed" if element.get("bleed") else ""
    return f'<div class="{element.get("style", "")}{bleed}">{_children(element["items"])}</div>'


def _facts(element: Mapping[str, Any]) -> str:
    pairs = (f"<dt>{escape(fact['title'])}</dt><dd>{_markdown(fact['value'])}</dd>" for fact in element["facts"])
    return f"<dl>{''.join(pairs)}</dl>"


def _table(element: Mapping[str, Any]) -> str:
    widths = [column["width"] for column in element["columns"]]
    columns = "".join(f'<col style="width:{100 * width / sum(widths):.1f}%">' for width in widths)
    rows = "".join(
        "<tr>" + "".join(f"<td>{_children(cell['items'])}</td>" for cell in row["cells"]) + "</tr>"
        for row in element["rows"]
    )
    return f"<table><colgroup>{columns}</colgroup>{rows}</table>"


def _actions(actions: Any) -> str:
    links = "".join(f'<a href="{escape(action["url"])}">{escape(action["title"])}</a>' for action in actions)
    return f'<div class="actions">{links}</div>' if links else ""


def _markdown(text: str) -> str:
    """Bold, mentions, links and escapes, which is all that our cards use of Markdown."""
    parts, at = [], 0
    for match in _ESCAPED.finditer(text):
        parts.append(escape(text[at : match.start()]))
        if match[1] is not None:
            parts.append(escape(match[1]))
        elif match[2] is not None:
            parts.append(f"<b>{_markdown(match[2])}</b>")
        elif match[4] is not None:
            parts.append(f'<a class="at" href="{escape(match[5])}">{_markdown(match[4])}</a>')
        else:
            parts.append(f'<span class="at">@{escape(match[3])}</span>')
        at = match.end()
    return "".join([*parts, escape(text[at:])])

"""Wikitext -> plain text and the links in it.

Markup: https://www.mediawiki.org/wiki/Help:Formatting and Help:Links. What templates would show is not known here: they
are left out, as are tables, files, references and formulas.
"""

from __future__ import annotations

import html
import re
from dataclasses import dataclass

_DROPPED = "ref|math|gallery|timeline|source|syntaxhighlight|pre|score|imagemap|hiero|table|code"
_REMOVED = [
    re.compile(r"<!--.*?-->", re.DOTALL),
    re.compile(r"<ref\b[^<>]*/>", re.IGNORECASE),
    re.compile(rf"<({_DROPPED})\b[^<>]*(?<!/)>.*?</\1\s*>", re.IGNORECASE | re.DOTALL),
]
_TAG = re.compile(r"</?[a-zA-Z][^<>]*>")
# The innermost template or table: it holds no other.
_TEMPLATE = re.compile(r"\{\{(?:(?!\{\{|\}\}).)*\}\}", re.DOTALL)
_TABLE = re.compile(r"^[ :]*\{\|(?:(?!\{\||\|\}).)*\|\}", re.DOTALL | re.MULTILINE)
_EXTERNAL = re.compile(r"\[(?:https?|ftp)?:?//[^\s\]]+ *([^\]]*)\]")
_PLAIN = [
    (re.compile(r"'{2,}"), ""),
    (re.compile(r"^=+ *(.*?) *=+ *$", re.MULTILINE), r"\1"),
    (re.compile(r"^[*#:;]+ *", re.MULTILINE), ""),
    (re.compile(r"^-{4,}", re.MULTILINE), ""),
    (re.compile(r"__[A-Z]+__"), ""),
    (re.compile(r"\([\s;,]*\)"), ""),  # what stood in them was a template
    (re.compile(r"[ \t\xa0]+"), " "),
    (re.compile(r" (?=[,.;:!?)])|(?<=\() | ?\n ?(?=\n)|^ | $", re.MULTILINE), ""),
    (re.compile(r"\n{3,}"), "\n\n"),
]
_BRACKETS = re.compile(r"\[\[|\]\]")
_TRAIL = re.compile(r"[a-z]+")
_NOT_SHOWN = frozenset({"file", "image", "media", "category"})
_NAMESPACES = re.compile(
    "wikipedia|wp|template|help|portal|draft|book|special|user|talk|mediawiki|module|project|wikt|wiktionary|s|"
    "wikisource|q|wikiquote|commons|n|wikinews|b|wikibooks|v|wikiversity|meta|m|species|d",
    re.IGNORECASE,
)
_LANGUAGE = re.compile(r"[a-z]{2,3}(-[a-z]+)*|simple")

# First character, end, title
Link = tuple[int, int, str]


@dataclass(frozen=True)
class PlainText:
    """A text and the links in it, by their characters."""

    text: str
    links: list[Link]


def read_wikitext(source: str) -> PlainText:
    """The text that a reader sees, and its links to other articles."""
    return _read_links(_without_markup(source))


def article_title(target: str) -> str:
    """A title as the wiki has it, for the target of a link: "ada_Lovelace#Life" -> "Ada Lovelace"."""
    title = " ".join(target.partition("#")[0].replace("_", " ").split())
    return title[:1].upper() + title[1:]


def _without_markup(text: str) -> str:
    """Wikitext with links and nothing else."""
    for pattern in _REMOVED:
        text = pattern.sub("", text)
    for pattern in (_TEMPLATE, _TABLE):
        before = None
        while before != text:
            before, text = text, pattern.sub("", text)
    text = html.unescape(_TAG.sub(" ", _EXTERNAL.sub(r"\1", text)))
    for pattern, replacement in _PLAIN:
        text = pattern.sub(replacement, text)
    return text.strip()


def _read_links(text: str) -> PlainText:
    parts: list[str] = []
    links: list[Link] = []
    length = done = 0

    def add(part: str, title: str = "") -> None:
        nonlocal length
        if title and part.strip():
            links.append((length, length + len(part), title))
        parts.append(part)
        length += len(part)

    while (start := text.find("[[", done)) >= 0:
        end = _matching(text, start)
        add(text[done:start])
        if end < 0:
            done = start + 2
            continue
        shown, title = _link(text[start + 2 : end - 2])
        trail = _TRAIL.match(text, end) if title else None
        done = trail.end() if trail else end
        add(shown + text[end:done], title)
    add(text[done:])
    return PlainText("".join(parts), links)


def _matching(text: str, start: int) -> int:
    """Where the brackets that begin at `start` end; -1 if they do not."""
    depth = 0
    for found in _BRACKETS.finditer(text, start):
        depth += 1 if found.group() == "[[" else -1
        if not depth:
            return found.end()
    return -1


def _link(inside: str) -> tuple[str, str]:
    """What a link shows, and the article that it links to: "" for none."""
    target, pipe, label = inside.partition("|")
    target = target.strip()
    as_text = target.startswith(":")
    target = target.removeprefix(":")
    label = label.replace("[[", "").replace("]]", "").strip()
    if pipe and not label:  # "[[Mercury (planet)|]]"
        label = re.sub(r" *\([^()]*\)$|,.*$", "", target)
    prefix, colon, _ = target.partition(":")
    prefix = prefix.strip()
    if colon and prefix.lower() in _NOT_SHOWN:
        return (label or target, "") if as_text else ("", "")
    if colon and (_NAMESPACES.fullmatch(prefix) or _LANGUAGE.fullmatch(prefix)):
        hidden = _LANGUAGE.fullmatch(prefix) and not pipe and not as_text
        return ("" if hidden else label or target), ""
    return label or target.lstrip("#"), article_title(target)

"""Wikitext -> plain text and the links in it.

Markup: https://www.mediawiki.org/wiki/Help:Formatting and Help:Links. What templates would show is not known here: they
are left out, as are tables, files, references and formulas.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterable
from dataclasses import dataclass

# Every pattern takes time that grows with the length of the text, whatever the text: none has two repetitions side by
# side that can share characters, or looks from each of many beginnings for an end that is not there. What has a
# beginning and an end is matched by `_pairs` and `_without_elements` instead.
_DROPPED = "ref|math|gallery|timeline|source|syntaxhighlight|pre|score|imagemap|hiero|table|code"
_EMPTY_REF = re.compile(r"<ref\b[^<>]*/>", re.IGNORECASE)
_ELEMENT = re.compile(rf"<({_DROPPED})\b[^<>]*(?<!/)>", re.IGNORECASE)
_ELEMENT_END = re.compile(rf"</({_DROPPED})\s*>", re.IGNORECASE)
_TAG = re.compile(r"</?[a-zA-Z][^<>]*>")
_TEMPLATE = re.compile(r"(\{\{)|\}\}")
_TABLE = re.compile(r"(^[ :]*\{\|)|\|\}", re.MULTILINE)
_EXTERNAL = re.compile(r"\[(?:https?|ftp)?:?//[^\s\]]+ *([^\]]*)\]")
# Python refuses to read a number of more than 4,300 digits.
_LONG_NUMBER = re.compile(r"&#[0-9]{20,};?")
_QUOTES = re.compile(r"'{2,}")
_PLAIN = [
    (re.compile(r"^[*#:;]+ *", re.MULTILINE), ""),
    (re.compile(r"^-{4,}", re.MULTILINE), ""),
    (re.compile(r"__[A-Z]+__"), ""),
    (re.compile(r"\([\s;,]*\)"), ""),  # what stood in them was a template
    (re.compile(r"[ \t\xa0]+"), " "),
    (re.compile(r" (?=[,.;:!?)])|(?<=\() | ?\n ?(?=\n)|^ | $", re.MULTILINE), ""),
    (re.compile(r"\n{3,}"), "\n\n"),
]
_LINK = re.compile(r"(\[\[)|\]\]")
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
    text = _EMPTY_REF.sub("", _without_comments(text))
    text = _without_elements(text)
    for pattern in (_TEMPLATE, _TABLE):
        text = _without(text, _pairs(pattern, text).items())
    # Of what starts as an external link, each ends with the next bracket; behind the last bracket there is none.
    last = text.rfind("]") + 1
    text = _EXTERNAL.sub(r"\1", text[:last]) + text[last:]
    text = html.unescape(_LONG_NUMBER.sub("\ufffd", _TAG.sub(" ", text)))
    text = "\n".join(map(_without_heading_marks, _QUOTES.sub("", text).split("\n")))
    for plain, replacement in _PLAIN:
        text = plain.sub(replacement, text)
    return text.strip()


def _without_comments(text: str) -> str:
    parts: list[str] = []
    done = 0
    while (start := text.find("<!--", done)) >= 0 and (end := text.find("-->", start + 4)) >= 0:
        parts.append(text[done:start])
        done = end + 3
    return "".join(parts) + text[done:]


def _without_elements(text: str) -> str:
    """The text without references, formulas and so on; each ends with the next end of its name."""
    ends: dict[str, list[re.Match[str]]] = {}
    for found in _ELEMENT_END.finditer(text):
        ends.setdefault(found[1].lower(), []).append(found)
    for found_ends in ends.values():
        found_ends.reverse()  # the next one is the last
    ranges: list[tuple[int, int]] = []
    done = 0
    for found in _ELEMENT.finditer(text):
        left = ends.get(found[1].lower(), [])
        while left and left[-1].start() < found.end():
            left.pop()
        if found.start() >= done and left:
            done = left[-1].end()
            ranges.append((found.start(), done))
    return _without(text, ranges)


def _pairs(pattern: re.Pattern[str], text: str) -> dict[int, int]:
    """Position of each beginning that has an end -> the position of that end. Pairs are nested, as brackets are.

    pattern: matches beginnings and ends; group 1 is there for a beginning.
    """
    pairs: dict[int, int] = {}
    opened: list[int] = []
    for found in pattern.finditer(text):
        if found[1]:
            opened.append(found.start())
        elif opened:
            pairs[opened.pop()] = found.end()
    return pairs


def _without(text: str, ranges: Iterable[tuple[int, int]]) -> str:
    """The text without these ranges of characters, which may be nested."""
    parts: list[str] = []
    done = 0
    for start, end in sorted(ranges):
        if end > done:
            parts.append(text[done:start])
            done = end
    return "".join(parts) + text[done:]


def _without_heading_marks(line: str) -> str:
    """`"== Life == "` -> `"Life"`; other lines as they are."""
    inside = line.rstrip(" ")
    if len(inside) < 2 or not inside[0] == inside[-1] == "=":
        return line
    return inside.strip("=").strip(" ")


def _read_links(text: str) -> PlainText:
    parts: list[str] = []
    links: list[Link] = []
    length = done = 0
    ends = _pairs(_LINK, text)

    def add(part: str, title: str = "") -> None:
        nonlocal length
        if title and part.strip():
            links.append((length, length + len(part), title))
        parts.append(part)
        length += len(part)

    while (start := text.find("[[", done)) >= 0:
        add(text[done:start])
        if start not in ends:
            done = start + 2
            continue
        end = ends[start]
        shown, title = _link(text[start + 2 : end - 2])
        trail = _TRAIL.match(text, end) if title else None
        done = trail.end() if trail else end
        add(shown + text[end:done], title)
    add(text[done:])
    return PlainText("".join(parts), links)


def _link(inside: str) -> tuple[str, str]:
    """Text that a link shows, and the article that it links to: "" for none."""
    target, pipe, label = inside.partition("|")
    target = target.strip()
    as_text = target.startswith(":")
    target = target.removeprefix(":")
    label = label.replace("[[", "").replace("]]", "").strip()
    if pipe and not label:  # "[[Mercury (planet)|]]"
        label = _without_disambiguation(target)
    prefix, colon, _ = target.partition(":")
    prefix = prefix.strip()
    if colon and prefix.lower() in _NOT_SHOWN:
        return (label or target, "") if as_text else ("", "")
    if colon and (_NAMESPACES.fullmatch(prefix) or _LANGUAGE.fullmatch(prefix)):
        hidden = _LANGUAGE.fullmatch(prefix) and not pipe and not as_text
        return ("" if hidden else label or target), ""
    return label or target.lstrip("#"), article_title(target)


def _without_disambiguation(title: str) -> str:
    """`"Mercury (planet)"` -> `"Mercury"`, `"London, Ontario"` -> `"London"`"""
    opening = title.rfind("(")
    if title.endswith(")") and opening >= 0 and title.rfind(")", 0, -1) < opening:
        title = title[:opening].rstrip(" ")
    return title.partition(",")[0]

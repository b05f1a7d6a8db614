"""English expressions of dates: calendar dates, numeric and historical ones, and those relative to today."""

from __future__ import annotations

import re
from collections.abc import Iterator

_MONTHS = "January|February|March|April|May|June|July|August|September|October|November|December"
_SHORT_MONTHS = r"(?:Jan|Feb|Mar|Apr|Jun|Jul|Aug|Sept|Sep|Oct|Nov|Dec)\b\.?"
_MONTH = rf"(?:(?:{_MONTHS})\b|{_SHORT_MONTHS})"
_WEEKDAY = r"(?:Mon|Tues|Wednes|Thurs|Fri|Satur|Sun)day\b"
_DAY = r"(?:0?[1-9]|[12][0-9]|3[01])(?:st|nd|rd|th)?(?![\d%]|[.,:]\d)"
_YEAR = r"(?:1[0-9]{3}|20[0-9]{2})(?![\d%]|[.,]\d)"
_ERA = r"(?:B\.\s?C\.(?:\s?E\.)?|BCE?\b|C\.\s?E\.|CE\b|A\.\s?D\.|AD\b)"
_ONES = "one|two|three|four|five|six|seven|eight|nine"
_NUMBER = (
    rf"(?:\d{{1,3}}|(?:(?:an?|{_ONES}|ten)\s)?(?:hundred|thousand)|{_ONES}|ten|eleven|twelve|"
    rf"(?:thir|four|fif|six|seven|eigh|nine)teen|(?:twen|thir|for|fif|six|seven|eigh|nine)ty(?:-(?:{_ONES}))?)"
)
_ORDINAL = (
    r"(?:\d{1,2}(?:st|nd|rd|th)|first|second|third|fourth|fifth|sixth|seventh|eighth|ninth|tenth|eleventh|twelfth|"
    r"(?:thir|four|fif|six|seven|eigh|nine)teenth|twentieth|twenty-first)"
)
_PART = r"(?:(?:early|mid|late|later)(?:\s|-))"
_SEASON = r"(?:spring|summer|autumn|fall|winter)\b"
_PERIOD = r"(?:days?|weeks?|weekends?|months?|years?|decades?|centur(?:y|ies))\b"
# What is no part of a longer number, of a word or of a path.
_START, _END = r"(?<![\w$€£¥#/.-])", r"(?![\w/]|[.-]\d)"


def _after(words: str) -> str:
    """Match after one of some words and a blank: a look-behind has to be of fixed length."""
    return "(?:" + "|".join(rf"(?<=\b(?i:{word})\s)" for word in words.split()) + ")"


_IN_TIME = _after("in since until till by during from of after before between and to early late mid circa")
_DETERMINED = _after("the a an his her its their our this that every each")

# Words behind a number that make it an amount, whatever stands before it.
_UNIT = (
    r"(?:%|°|per\s?cent|(?:US\s)?dollars?|euros?|pounds?|yen|cents?|francs?|rubles?|rupees?|marks|pesos?|k?m|cm|mm|km/h|"
    r"kilomet(?:er|re)s?|met(?:er|re)s?|miles?|feet|foot|ft|inch(?:es)?|yards?|kg|kilograms?|kilos?|grams?|tons?|tonnes?|"
    r"lit(?:er|re)s?|gallons?|acres?|hectares?|square|cubic|degrees?|volts?|watts?|[kmg]?w|[mg]hz|[kmgt]b|mph|rpm|hp|"
    r"hundred|thousand|million|billion|trillion|times|calories|years?|yrs?|months?|weeks?|days?|hours?|minutes?|seconds?)\b"
)
_STREET = r"(?:[A-Z][\w.]*\s){1,3}(?:Street|St\b|Avenue|Ave\b|Road|Rd\b|Boulevard|Blvd|Drive|Lane|Way|Square)\b"
_COUNTED = r"(?:people|[a-z]*(?:men|children)|[a-z]{3,}(?<!s)(?<!thu)s)\b"
_NO_AMOUNT = rf"(?!\s?-?\s?(?i:{_UNIT})|\s{_STREET}|\s\d|-year|-\d(?!\d{{1,3}}\b))"
_NO_COUNT_BEFORE = "".join(
    rf"(?<!\b(?i:{word})\s)"
    for word in ("over", "nearly", "almost", "than", "least", "approximately", "roughly", "most", "some", "No.", "page")
)
_BARE = rf"(?<![\w$€£¥#/.,:])(?<!\d\s)(?<!(?<!\d\d\d)\d-)(?<![A-Za-z]-){_NO_COUNT_BEFORE}"

# Those that begin with a look-behind look first at the next character, which is much cheaper.
_PATTERNS = tuple(
    re.compile(pattern)
    for pattern in (
        # 2021-05-12, 2021/05/12, 12/05/2021, 12.5.2021, 5/12/21
        rf"{_START}{_YEAR}([-/.])(?:0?[1-9]|1[0-2])\1(?:0?[1-9]|[12]\d|3[01])(?:T\d\d:\d\d(?::\d\d)?Z?)?{_END}",
        rf"{_START}(?:0?[1-9]|[12]\d|3[01])([-/.])(?:0?[1-9]|1[0-2])\1(?:1\d|20)\d\d{_END}",
        rf"{_START}(?:0?[1-9]|1[0-2])([-/.])(?:0?[1-9]|[12]\d|3[01])\1(?:1\d|20)\d\d{_END}",
        rf"{_START}(?:(?:0?[1-9]|[12]\d|3[01])/(?:0?[1-9]|1[0-2])|(?:0?[1-9]|1[0-2])/(?:0?[1-9]|[12]\d|3[01]))/\d\d{_END}",
        # Monday, June 5, 1833; the 5th of June; 15 March 44 BC; June 1833; June of 1833
        rf"{_START}(?i:(?:{_WEEKDAY},?\s)?{_MONTH}\s{_DAY}(?:\s?,?\s{_YEAR})?){_END}",
        rf"{_START}(?i:(?:{_WEEKDAY},?\s)?(?:the\s)?{_DAY}\s(?:of\s)?{_MONTH}(?:\s?,?\s(?:\d{{1,4}}\s?{_ERA}|{_YEAR}))?){_END}",
        rf"{_START}(?i:{_PART}?{_MONTH}(?:\s?,)?\s(?:of\s)?{_YEAR}){_NO_AMOUNT}{_END}",
        # 44 BC, AD 79
        rf"{_START}\d{{1,4}}\s?{_ERA}",
        rf"{_START}(?:A\.\s?D\.|AD)\s\d{{1,4}}{_END}",
        # the early 1990s, the '60s, the late 12th century BC, the summer of 1969
        rf"{_START}(?i:(?:the\s)?{_PART}?)(?:1\d|20)\d0['’]?s\b",
        rf"(?<!\w)(?i:the\s{_PART}?)['’]?\d0s\b(?!\s?°)",
        rf"{_START}(?i:(?:the\s)?{_PART}?{_ORDINAL}\scentury)(?:\s{_ERA}|\b)",
        rf"{_START}(?i:(?:the\s)?{_PART}?{_SEASON}\s(?:of\s)?{_YEAR}){_END}",
        # last Tuesday, next year, three days ago, yesterday
        rf"{_START}(?i:last|next|this|past)\s(?:(?i:{_WEEKDAY}|{_SEASON}|week(?:end)?\b|month\b|year\b|decade\b|century\b)|"
        rf"(?:{_MONTHS})\b)",
        rf"{_START}(?i:(?:(?:more|less)\sthan\s)?(?:{_NUMBER}|an?|(?:a\s)?few|several|many|some)\s{_PERIOD}\sago\b)",
        rf"{_START}(?i:(?:the\sday\s(?:before\s|after\s))?(?:yesterday|tomorrow)|today)\b(?![’'])",
        rf"{_START}{_WEEKDAY}",
        # A month alone: those that are names or words, too, only after "in" and the like
        rf"{_START}(?:January|February|July|September|October|November|December)\b",
        rf"(?=[MAJ]){_IN_TIME}(?:March|April|May|June|August)\b(?!\s[A-Z])",
        # 1914–1918, which spaCy's tokenizer leaves in one token
        rf"(?=[12]){_BARE}{_YEAR}–{_YEAR}{_NO_AMOUNT}(?!\w)",
        # 1833: in time, or determined, or not counting what follows
        rf"(?=[12])(?<!\bof\s){_IN_TIME}{_YEAR}{_NO_AMOUNT}(?!\w)",
        rf"(?=[12]){_DETERMINED}{_YEAR}{_NO_AMOUNT}(?!\w)",
        rf"(?=[12]){_BARE}{_YEAR}{_NO_AMOUNT}(?!\w|\s{_COUNTED})",
    )
)


def find_dates(text: str) -> Iterator[tuple[int, int]]:
    """The characters [start, end) of the dates in a text, in text order; of those that overlap the longest."""
    found = sorted({match.span() for pattern in _PATTERNS for match in pattern.finditer(text)}, key=_longest_first)
    taken: list[tuple[int, int]] = []
    for start, end in found:
        if all(end <= other_start or start >= other_end for other_start, other_end in taken):
            taken.append((start, end))
    yield from sorted(taken)


def _longest_first(place: tuple[int, int]) -> tuple[int, int]:
    return place[0] - place[1], place[0]

"""Text that a reader of an article sees, and the targets of its links."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spacy_luke.converters.wikitext import article_title, read_wikitext


def shown(source: str) -> tuple[str, list[tuple[str, str]]]:
    plain = read_wikitext(source)
    return plain.text, [(plain.text[a:b], title) for a, b, title in plain.links]


@pytest.mark.parametrize(
    ("source", "text", "links"),
    [
        ("'''Ada''' met ''[[Charles Babbage|Babbage]]''.", "Ada met Babbage.", [("Babbage", "Charles Babbage")]),
        ("in [[london]]", "in london", [("london", "London")]),
        ("two [[dog]]s and [[cat|kitten]]s1", "two dogs and kittens1", [("dogs", "Dog"), ("kittens", "Cat")]),
        ("[[ada_Lovelace#Life|her life]]", "her life", [("her life", "Ada Lovelace")]),
        ("[[#Life|below]] or [[#Life]]", "below or Life", []),
        (
            "[[Mercury (planet)|]] [[London, Ontario|]]",
            "Mercury London",
            [("Mercury", "Mercury (planet)"), ("London", "London, Ontario")],
        ),
        ("[[Star Trek: Picard]]", "Star Trek: Picard", [("Star Trek: Picard", "Star Trek: Picard")]),
        ("a[[File:X.jpg|thumb|of [[Rome]] and [[Pisa]]]]b", "ab", []),
        ("a[[Category:People]]b [[:Category:People]]", "ab Category:People", []),
        ("[[wikt:engine|engine]]s [[de:Ada]] [[:de:Ada]] [[de:Ada|Ada]]", "engines  de:Ada Ada", []),
        ("a{{cite|x={{y}}|[[Rome]]}}b", "ab", []),
        ("a<ref>{{x}} [[Rome]]</ref>b<ref name=x/>c<ref name='y'>[[z]]</ref>d<!-- [[e]] -->", "abcd", []),
        ("x\n{| class=a\n| [[Rome]]\n{|\n|y\n|}\n|}\nz", "x\nz", []),
        ("see [http://x.org the page], [http://x.org]", "see the page,", []),
        ("== Life ==\n* one\n# two\n----\n__NOTOC__", "Life\none\ntwo", []),
        ("Ada ({{lang|x}}; ) was&nbsp;born &ndash; 1815<br/>in Rome", "Ada was born – 1815 in Rome", []),
        ("a [[Rome b [[Pisa]] c", "a Rome b Pisa c", [("Pisa", "Pisa")]),
        ("a [[Rome]", "a Rome]", []),
        ("[[ ]] [[|x]] [[]]", " x ", []),
        ("<math>x[[y]]</math><nowiki>z</nowiki>", "z", []),
    ],
)
def test_markup_is_read(source, text, links):
    assert shown(source) == (text, links)


@pytest.mark.parametrize(
    ("target", "title"), [("ada lovelace", "Ada lovelace"), (" ada__b #c", "Ada b"), ("", ""), ("élodie", "Élodie")]
)
def test_titles_are_those_of_the_wiki(target, title):
    assert article_title(target) == title


@given(
    st.lists(st.sampled_from([*"[]{}|'=*<>! \na:#", "[[", "]]", "{{", "}}", "{|", "|}", "ref", "</ref>", "File"])).map(
        "".join
    )
)
def test_any_markup_gives_links_inside_the_text(source):
    plain = read_wikitext(source)
    assert all(0 <= a < b <= len(plain.text) and plain.text[a:b].strip() and t for a, b, t in plain.links)


SIZE = 100_000
MARKUP = [
    *"()[]{}<>|=*#:;'\"_-~!&/\\.,@%$^+`? \n\tax",
    *(
        "[[",
        "]]",
        "{{",
        "}}",
        "{|",
        "|}",
        "\n{|",
        "<!--",
        "-->",
        "<ref>",
        "</ref>",
        "<ref ",
        "<math>",
        "[//x ",
        "[http://",
    ),
    *("\n=", "= ", "== ", "&#", "&#9", "__A", "[[a|", "[[a,", "[[a (", "[[File:", "(;", "\n:", "<a ", "''"),
]
AROUND = [("", ""), ("=", "x"), ("[[", "]]"), ("[[a", "\nx|]]"), ("", "}}"), ("", ">")]


@pytest.mark.parametrize("markup", MARKUP)
def test_markup_without_end_takes_no_more_time_than_its_length(markup):
    """Were the time to grow with the cube of the length, these would never end."""
    for start, end in AROUND:
        plain = read_wikitext(start + markup * (SIZE // len(markup)) + end)
        assert len(plain.text) <= SIZE + len(start + end)


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("{{" * 50_000 + "x" + "}}" * 50_000, ""),
        ("\n{|" * 50_000 + "x" + "|}" * 50_000, ""),
        ("[[" * 50_000 + "x" + "]]" * 50_000, "[[" * 49_999 + "x" + "]]" * 49_999),
        ("<ref>" * 50_000 + "x" + "</ref>" * 50_000, " " * 49_999),
        ("<!--" * 50_000 + "-->x", "x"),
        ("=" + " " * 100_000 + "x", "= x"),
        ("=" * 50_000 + "x" + "=" * 50_000, "x"),
        ("[//a" * 50_000 + "]", ""),
        ("&#" + "9" * 5000 + ";", "\ufffd"),
    ],
)
def test_markup_without_bound_is_read_as_any(source, text):
    assert read_wikitext(source).text.split() == text.split()


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("== Life ==", "Life"),
        ("==Life=x== ", "Life=x"),
        ("=", "="),
        ("== a", "== a"),
        ("a ==", "a =="),
        ("===", ""),
        ("[[A (b)|]]", "A"),
        ("[[A (b), c|]]", "A (b)"),
        ("[[A (b, c)|]]", "A"),
        ("[[A, b (c)|]]", "A"),
        ("{{a}} b {{c {{d}}", "b {{c"),
        ("a}} b", "a}} b"),
        ("x {| y |} z", "x {| y |} z"),
        ("<ref>a</ref>b<REF x=1>c</Ref >d<ref>e", "bd e"),
        ("a<!--b-->c<!--d", "ac<!--d"),
    ],
)
def test_edges_of_markup(source, text):
    assert read_wikitext(source).text == text

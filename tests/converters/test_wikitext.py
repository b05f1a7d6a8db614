"""What a reader of an article sees, and where its links lead."""

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

"""`luke_dates`: what is a date in a sentence, and what is not."""

from __future__ import annotations

from pathlib import Path

import pytest
import spacy
from spacy.language import Language
from spacy.tokens import Doc, Span

from spacy_luke.errors import LukeError
from spacy_luke.pipeline.dates.patterns import find_dates


@pytest.fixture(scope="module")
def nlp() -> Language:
    made = spacy.blank("en")
    made.add_pipe("luke_dates")
    return made


def dates(nlp: Language, text: str) -> list[str]:
    return [ent.text for ent in nlp(text).ents]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        # calendar
        ("She was born on November 7, 1867, in Warsaw.", ["November 7, 1867"]),
        ("He died on 5 June 1833.", ["5 June 1833"]),
        ("On the 5th of June they left.", ["the 5th of June"]),
        ("It opened on Monday, June 5, 1833.", ["Monday, June 5, 1833"]),
        ("It was founded in May 2004 and closed on Dec. 3.", ["May 2004", "Dec. 3"]),
        ("They met in March.", ["March"]),
        ("The talks of December failed.", ["December"]),
        ("It was Monday, 5 June 1833.", ["Monday, 5 June 1833"]),
        ("On JUNE 5, 1833 and 5 JUNE 1834.", ["JUNE 5, 1833", "5 JUNE 1834"]),
        ("In JUNE 1833, June, 1834, and early June 1836.", ["JUNE 1833", "June, 1834", "early June 1836"]),
        ("The June of 1835 was hot.", ["June of 1835"]),
        ("In June 1500 tons were sold.", ["June"]),
        # numeric
        ("Signed on 12/05/2021 in Bonn.", ["12/05/2021"]),
        ("Signed on 2021-05-12 in Bonn.", ["2021-05-12"]),
        ("Signed on 12.5.2021 in Bonn.", ["12.5.2021"]),
        ("Due 31/12/21.", ["31/12/21"]),
        ("Signed on 31.12.2021 in Bonn.", ["31.12.2021"]),
        ("Signed on 12/31/2021 in Bonn.", ["12/31/2021"]),
        ("Sent 2021-05-12T10:30:00Z or 2021-05-12T10:30 by mail.", ["2021-05-12T10:30:00Z", "2021-05-12T10:30"]),
        # years
        ("Grace Hopper was born in 1906.", ["1906"]),
        ("Ada Lovelace (1815-1852) wrote it.", ["1815", "1852"]),
        ("The war of 1914–1918 ended.", ["1914–1918"]),
        ("In 1999 scientists found it.", ["1999"]),
        ("The 2008 elections were close.", ["2008"]),
        ("Founded 1871, it grew.", ["1871"]),
        ("1871 was hard, and 1872 has ended. 1873 was. 1874 thus began.", ["1871", "1872", "1873", "1874"]),
        ("It closed 1999 across Europe.", ["1999"]),
        # historical
        ("Caesar was killed in 44 BC.", ["44 BC"]),
        ("Vesuvius erupted in AD 79.", ["AD 79"]),
        ("Rome fell in 476 A.D. to Odoacer.", ["476 A.D."]),
        ("It was popular in the 1990s.", ["the 1990s"]),
        ("It was built in the late 12th century.", ["the late 12th century"]),
        ("It is of the fifth century BC.", ["the fifth century BC"]),
        ("They landed in the summer of 1969.", ["the summer of 1969"]),
        ("It stood in 476 B.C.E. and in 47 B.C. burnt.", ["476 B.C.E.", "47 B.C."]),
        ("He died on 15 March 44 BC.", ["15 March 44 BC"]),
        ("He died on 14 October 1066 AD.", ["14 October 1066 AD"]),
        ("The Early 1990s and 1980s music.", ["The Early 1990s", "1980s"]),
        ("The Early 60s and the '70s.", ["The Early 60s", "the '70s"]),
        ("The Late 12th Century and 13th century art.", ["The Late 12th Century", "13th century"]),
        ("Summer 1969 was hot.", ["Summer 1969"]),
        # relative
        ("They met last Tuesday.", ["last Tuesday"]),
        ("It began three days ago, not yesterday.", ["three days ago", "yesterday"]),
        ("He left a few years ago.", ["a few years ago"]),
        ("She will come next year.", ["next year"]),
        ("The bank closed on Friday.", ["Friday"]),
        ("They met Last weekend, last tuesday, last week.", ["Last weekend", "last tuesday", "last week"]),
        ("Three days ago; more than three days ago.", ["Three days ago", "more than three days ago"]),
        ("He left few days ago.", ["few days ago"]),
        ("He left a hundred years ago, or five hundred years ago.", ["a hundred years ago", "five hundred years ago"]),
        ("It was hundred years ago.", ["hundred years ago"]),
        ("He left fifteen weeks ago, or sixty-one days ago.", ["fifteen weeks ago", "sixty-one days ago"]),
        ("He left forty years ago.", ["forty years ago"]),
        ("Yesterday, or the day before yesterday.", ["Yesterday", "the day before yesterday"]),
        # a date beside what only ends as one does
        ("It was midsummer 1969.", ["1969"]),
        ("After the repast Friday came.", ["Friday"]),
    ],
)
def test_dates_are_found(nlp: Language, text: str, found: list[str]) -> None:
    assert dates(nlp, text) == found


@pytest.mark.parametrize(
    "text",
    [
        "He paid 2000 dollars.",
        "He paid $2000 for it.",
        "It cost 1,999 euros, or 1999 euros.",
        "About 1500 people came.",
        "Over 2000 were killed.",
        "The survey of 1709 schoolchildren ended.",
        "In 2000 metres there is a bridge.",
        "The share rose by 12.5% and then by 1990.5 points.",
        "They won 3-2, and then 12-05.",
        "She is 45 years old; the tree is a 1500-year-old oak.",
        "Call 555-1999 or 020 7946 1999.",
        "Call +44 2079 461999.",
        "The White House is at 1600 Pennsylvania Avenue.",
        "Version 1.2.3 is at 10.0.0.12.",
        "Two thirds (12/05) of them left.",
        "He may march on in august company.",
        "It ran 24/7 on port 20211.",
        "Number 45/13/2021 is none.",
        "He paid 2000 US dollars, or 2000 Dollars.",
        "It is 1500 inch or 1501 inches.",
        "Highs are in the 60s °F.",
        "The thirty-first century is far.",
        "Black-Friday deals are pre-December.",
        "The death of June Carter.",
        "April said no.",
        "It lies between 1500–1800 metres, for $1914–1918.",
        "",
    ],
)
def test_amounts_and_other_numbers_are_no_dates(nlp: Language, text: str) -> None:
    assert dates(nlp, text) == []


@pytest.mark.parametrize(
    "text",
    [
        "The MD-1999 flew.",
        "The files a/2021-05-12, b/31.12.2021, c/31/12/21 and d/12.31.2021.",
        "Version 31.12.2021.7 and 12.31.2021.7 and 31/12/21/7.",
        "See June 5/6, or x-June 5, or /5 June, or 5 June/6, or 0.5 June.",
        "On June 5% rose, and on June 5:30.",
        "The talks of x44 BC, of NOMAD 79 and of AD 79.5.",
        "Model x1990s is good.",
        "They bathe 60s.",
        "Today's news, from USAtoday.",
        "In the 1999th time, in 1999x, 1999th.",
        "He had gone days ago.",
        "The summer of 1969.5 was.",
    ],
)
def test_parts_of_words_and_of_longer_numbers_are_no_dates_however_tokens_are_cut(text: str) -> None:
    assert list(find_dates(text)) == []


def test_entities_that_are_there_stay(nlp: Language) -> None:
    doc = nlp.make_doc("May 5 met Bo in 1999.")
    doc.set_ents([Span(doc, 0, 1, "PER", kb_id="Q1")])
    found = nlp.get_pipe("luke_dates")(doc)
    assert [(ent.text, ent.label_, ent.kb_id_) for ent in found.ents] == [("May", "PER", "Q1"), ("1999", "DATE", "")]


def test_a_blocked_token_stays_blocked_and_is_in_no_date(nlp: Language) -> None:
    doc = nlp.make_doc("On May 5 and in 1999.")
    doc.set_ents([], blocked=[doc[2:3]])
    found = nlp.get_pipe("luke_dates")(doc)
    assert [ent.text for ent in found.ents] == ["1999"]
    assert [(token.text, token.ent_iob_) for token in found if token.ent_iob_ == "B"] == [("5", "B"), ("1999", "B")]
    assert found[2].ent_type_ == ""


def test_a_date_within_a_token_is_left_out(nlp: Language) -> None:
    doc = Doc(nlp.vocab, words=["in", "1999;Bo", "in", "1998"])
    assert [ent.text for ent in nlp.get_pipe("luke_dates")(doc).ents] == ["1998"]


def test_a_doc_without_dates_is_annotated(nlp: Language) -> None:
    assert nlp("No date.").has_annotation("ENT_IOB")


def test_the_label_is_a_setting_that_is_saved(tmp_path: Path) -> None:
    nlp = spacy.blank("en")
    nlp.add_pipe("luke_dates", config={"label": "TIME"})
    nlp.to_disk(tmp_path)
    loaded = spacy.load(tmp_path)
    assert [ent.label_ for ent in loaded("In 1999.").ents] == ["TIME"]
    assert loaded.pipe_labels["luke_dates"] == ["TIME"]


def test_an_empty_label_is_an_error() -> None:
    with pytest.raises(LukeError, match=r"L047.*label"):
        spacy.blank("en").add_pipe("luke_dates", config={"label": ""})

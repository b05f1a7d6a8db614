"""Whatever the text, spans and labels are: well-formed markup that shows all of it once."""

from __future__ import annotations

from hypothesis import example, given, settings
from hypothesis import strategies as st
from spacy.tokens import Doc, Span
from spacy.vocab import Vocab

from spacy_luke import displacy
from spacy_luke.displacy.text import clean, one_line

from .markup import box_rects, classes, label_rects, parse, svgs, text, words

VOCAB = Vocab()
ugly = st.text(min_size=1, max_size=8) | st.sampled_from(
    [
        "\n",
        "\t\t",
        "<b>",
        "&amp;",
        '"',
        "\u202e",
        "\x00",
        "\U0001f469\u200d\U0001f52c",
        "שלום",
        "東京",
        "\u0301",
        "x" * 200,
    ]
)
labels = ugly | st.just("born_in")


@st.composite
def docs(draw) -> Doc:
    tokens = draw(st.lists(ugly, min_size=1, max_size=25))
    starts = [i == 0 or draw(st.integers(0, 5)) == 0 for i in range(len(tokens))]
    doc = Doc(VOCAB, tokens, [draw(st.booleans()) for _ in tokens], sent_starts=starts)

    def span(label: str = "") -> Span:
        start = draw(st.integers(0, len(tokens) - 1))
        return Span(doc, start, draw(st.integers(start + 1, len(tokens))), label)

    pairs = [(span(draw(labels)), span(), draw(labels), draw(st.floats(0, 1))) for _ in range(draw(st.integers(0, 8)))]
    doc._.relations = pairs
    for _ in range(draw(st.integers(0, 5))):
        typed = span()
        typed._.entity_types = draw(st.lists(labels, max_size=3))
    doc._.answers = [(draw(ugly), draw(st.sampled_from([None, span()]))) for _ in range(draw(st.integers(0, 3)))]
    return doc


@settings(max_examples=60)
@given(docs(), st.sampled_from([0, 120, 800]), st.sampled_from(["ltr", "rtl"]), st.integers(0, 2))
@example(Doc(VOCAB, [" "]), 800, "ltr", 1)
def test_relations(doc, width, direction, distance):
    options = {"width": width, "direction": direction, "join_sentences": distance}
    if not doc._.relations:
        doc._.relations = []
    markup = displacy.render(doc, options=options)
    shown = classes(markup, "luke-label")
    listed = list(parse(markup).iter("tr"))
    assert len(shown) + len(listed) == len(doc._.relations)
    drawn = "".join(word for svg in svgs(markup) for word, _ in words(svg))
    assert drawn == "".join(one_line(token.text).strip() for token in doc)
    for svg in svgs(markup):
        right = float(svg.get("width")) + 0.1
        rooms = [room for _, room in words(svg)]
        for things in (rooms, label_rects(svg)):
            assert all(thing.left >= -0.1 and thing.right <= right for thing in things)
            # A character without width of its own has no room to overlap with
            wide = [thing for thing in things if thing.right > thing.left]
            assert not [1 for i, one in enumerate(wide) for other in wide[:i] if one.overlaps(other)]
        assert not [1 for label in label_rects(svg) for box in box_rects(svg) if label.overlaps(box)]


@settings(max_examples=60)
@given(docs(), st.sampled_from([0, 120, 800]), st.sampled_from(["ltr", "rtl"]), labels, ugly)
def test_overview(doc, width, direction, label, kb_id):
    doc.ents = [Span(doc, 0, 1, label, kb_id=kb_id)] if doc[0].text.strip() else []
    template = "https://example.org/{}"
    options = {"width": width, "direction": direction, "kb_url_template": template}
    markup = displacy.render(doc, style="overview", options=options)
    root = parse(markup)
    assert len(svgs(markup)) == 1
    (svg,) = svgs(markup)
    assert "".join(word for word, _ in words(svg)) == "".join(one_line(token.text).strip() for token in doc)
    assert len(classes(markup, "luke-label")) == len(doc._.relations)
    right = float(svg.get("width")) + 0.1
    for things in ([room for _, room in words(svg)], label_rects(svg)):
        assert all(thing.left >= -0.1 and thing.right <= right for thing in things)
        wide = [thing for thing in things if thing.right > thing.left]
        assert not [1 for i, one in enumerate(wide) for other in wide[:i] if one.overlaps(other)]
    assert not [1 for label in label_rects(svg) for box in box_rects(svg) if label.overlaps(box)]
    links = {e.get("href") for e in root.iter() if e.get("href") is not None}
    assert all(link.startswith("https://example.org/") and link.isascii() for link in links)
    assert len(list(root.iter("dt"))) == len(displacy.parse_answers(doc)["questions"])


@settings(max_examples=60)
@given(docs())
def test_types(doc):
    if not any(key[1] == "luke_entity_types" for key in doc.user_data):
        doc[0:1]._.entity_types = []
    markup = displacy.render(doc, style="types")
    parsed = displacy.parse_types(doc)
    expected = sum(max(1, len(span["types"])) for span in parsed["spans"])
    assert len(classes(markup, "luke-label")) == expected


@settings(max_examples=60)
@given(docs())
def test_answers(doc):
    markup = displacy.render(doc, style="answers")
    questions = displacy.parse_answers(doc)["questions"]
    contexts = classes(markup, "entities")
    # A parser of XML reads every line end as \n
    plain = clean(doc.text).replace("\r\n", "\n").replace("\r", "\n")
    answered = [q for q in questions if q["answers"] and q["answers"][0]["start"] is not None]
    assert len(contexts) == max(1, len(answered))
    if not answered:
        assert contexts == [plain]
    assert all(context in plain for context in contexts)
    assert len(list(parse(markup).iter("tr"))) == sum(len(q["answers"]) for q in questions)
    assert text(parse(markup)).count("no answer") >= sum(a["start"] is None for q in questions for a in q["answers"])

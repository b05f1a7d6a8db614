"""Strategies for text as users have it."""

from __future__ import annotations

from hypothesis import strategies as st

from tests.util import SPECIAL_STRINGS, TEXTS

_PARTS = [
    *(word for text in TEXTS for word in text.split()),
    *SPECIAL_STRINGS,
    " ",
    "  ",
    "\t",
    "\n",
    "\r\n",
    "\n\n",
    "\xa0",
    "\u3000",
    "\u200b",
    "\u200d",
    "\x00",
    "\x1c",
    "\x85",
    "\u2028",
    "\ufeff",
    "\u0301",
    "e\u0301",
    "\u0327\u0323",
    "\ufb01",
    "\u2167",
    "\xad",
    "\u202e",
    "\u2581",
    "\u0120",
    "\U0001f468\U0001f3fd\u200d\U0001f680",
    "\U0001f1e9\U0001f1ea",
    "\u05e9\u05dc\u05d5\u05dd",
    "\u0628\u0650\u0633\u0652\u0645\u0650",
    "\U00020000",
    "\u0130I\u0131",
    "\u1e9e\xdf",
    "'s",
    "n't",
    "''",
    "...",
    "1,000.5",
    "x" * 30,
]
parts = st.one_of(st.sampled_from(_PARTS), st.text(st.characters(exclude_categories=["Cs"]), max_size=4))
texts = st.lists(parts, max_size=12).map("".join)
words = st.lists(st.tuples(parts, st.booleans()), max_size=12)
plain = texts.filter(lambda text: not any(special in text for special in SPECIAL_STRINGS))


@st.composite
def texts_with_spans(draw, texts=texts):
    """A text and spans (start, end) in it, of at least one character."""
    text = draw(texts.filter(bool))
    spans = []
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(text) - 1))
        spans.append((start, draw(st.integers(start + 1, len(text)))))
    return text, spans

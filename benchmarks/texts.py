"""The sentences that the parts work on, and what is asked about them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from spacy.language import Language
from spacy.tokens import Doc, Span
from spacy.util import filter_spans

from .options import Options

# Runs of words with a capital letter: where mentions would be, whatever a model says.
_MENTION = re.compile(r"[A-Z][\w.&'-]*(?: [A-Z][\w.&'-]*)*")
EQUAL_WORDS = 40


def all_sentences(options: Options) -> list[str]:
    """Every line of the text that is not empty."""
    return [line.strip() for line in options.text.read_text(encoding="utf8").splitlines() if line.strip()]


def sentences(options: Options) -> list[str]:
    """The sentences to work on, of natural lengths and in their order."""
    return all_sentences(options)[: options.sentences]


def passages(options: Options, length: int = 5) -> list[str]:
    """All of the text, so many sentences together."""
    lines = all_sentences(options)
    return [" ".join(lines[start : start + length]) for start in range(0, len(lines), length)]


def equal_sentences(texts: Iterable[str], vocab: Mapping[str, int]) -> list[str]:
    """The words of some texts again, in lines of equally many, leaving out those that are more than one piece."""
    lines: list[list[str]] = [[]]
    for word in " ".join(texts).split():
        if len(lines[-1]) == EQUAL_WORDS:
            lines.append([])
        piece = f"Ġ{word}" if lines[-1] else word
        if word.isascii() and word.isalpha() and word != "cannot" and piece in vocab:
            lines[-1].append(word)
    return [" ".join(line) for line in lines if len(line) == EQUAL_WORDS or len(lines) == 1]


def with_mentions(nlp: Language, texts: Iterable[str], *, most: int | None = None, label: str = "PER") -> list[Doc]:
    """A Doc of one sentence for each text, with runs of capitalised words as entities, at most so many."""
    docs = []
    for text in texts:
        doc = one_sentence(nlp.make_doc(text))
        found = (
            doc.char_span(*match.span(), label=label, alignment_mode="expand") for match in _MENTION.finditer(text)
        )
        doc.set_ents(filter_spans([span for span in found if span is not None])[:most])
        docs.append(doc)
    return docs


def one_sentence(doc: Doc) -> Doc:
    """The same Doc, with its first token as the only start of a sentence."""
    for token in doc:
        token.is_sent_start = token.i == 0
    return doc


def characters(spans: Iterable[Span]) -> list[tuple[int, int]]:
    """Character ranges of spans, as LukeTokenizer takes them."""
    return [(span.start_char, span.end_char) for span in spans]

"""Corpora in assets/ and corpus/ -> DocBins in corpus/documents for the last round of en_luke_mini, which reads
documents, and learns what is *not* so: pairs of entities that are not related, and questions that a paragraph does not
answer.

    python -m scripts.prepare_documents assets corpus

needs what prepare_mini.py, prepare_tasks.py and prepare_joint.py have written, and the pipeline that the round goes on
from (--model), whose luke_ner and luke_dates find the entities of the second copy of Re-DocRED. Writes
corpus/documents/train and corpus/documents/dev with

entities     joint/entities without tweets, and persons, organisations and places of GUM's documents.
             dev/entities/re3d.spacy is of a corpus that is not trained on
tweets       those of joint/entities
relations    Re-DocRED, 400 documents to train and 100 to measure, with Wikidata's properties as KnowledgeNet's labels
             and some more (PROPERTIES). The mentions are in doc.spans["mentions"], the entities are for luke_ner
found        the training documents again, with the mentions that the pipeline finds
annotated    sentences of several corpora whose relations were annotated for this model, many of them without any (see
             annotated_relations)
facts        KnowledgeNet's sentences. In plain_facts their mentions have no labels, as entities of other origin
types        joint/types, and GUM's named mentions
questions    paragraphs of SQuAD, of the new Wikipedia part of SQuADShifts and of TyDi, and some of QAMR's sentences, at
             most three questions each. Four of ten questions are asked of a paragraph that does not answer them: three
             of four of these of the same article, one of another. In dev they are half. SQuAD's own unanswerable
             questions, which are changed in one word, are left out
snippets     the same questions asked of one to three sentences: those with the answer, others of the same paragraph, of
             the same article or of another, as often each; and "Who", "Where" and "When" twice as often of any in
             which the pipeline finds a person, a place or a date
similar      each of the questions asked of the sentences of another article that share the most words with it
renamed      questions about a name that stands beside the answer, with another name in its place: no answer any more.
             Those of dev are for thresholds
"""

from __future__ import annotations

import argparse
import heapq
import itertools
import math
import random
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import spacy
from spacy.lang.en.stop_words import STOP_WORDS
from spacy.language import Language
from spacy.tokens import Doc, Span, SpanGroup
from spacy.util import filter_spans
from spacy.vocab import Vocab

from spacy_luke.annotations import (
    Answer,
    Relation,
    get_answers,
    get_relations,
    set_answers,
    set_entity_labels,
    set_entity_types,
    set_questions,
    set_relations,
)
from spacy_luke.converters import read_docbin, read_squad, write_docbin
from spacy_luke.converters.records import read_records
from spacy_luke.converters.texts import TextTokenizer
from spacy_luke.default_model import bundled_pipeline

from .annotated_relations import annotated
from .prepare_joint import MISC, for_other_components, types_of_titles
from .prepare_mini import LABELS as FLAT
from .prepare_tasks import MENTIONS

SEED = 0
DATE = "DATE"
# Wikidata's property -> our label, and whether its subject is the tail.
PROPERTIES: Mapping[str, tuple[str, bool]] = {
    "P569": ("DATE_OF_BIRTH", False),
    "P570": ("DATE_OF_DEATH", False),
    "P19": ("PLACE_OF_BIRTH", False),
    "P20": ("PLACE_OF_DEATH", False),
    "P551": ("PLACE_OF_RESIDENCE", False),
    "P27": ("NATIONALITY", False),
    "P26": ("SPOUSE", False),
    "P40": ("CHILD_OF", True),
    "P22": ("CHILD_OF", False),
    "P25": ("CHILD_OF", False),
    "P69": ("EDUCATED_AT", False),
    "P108": ("EMPLOYEE_OR_MEMBER_OF", False),
    "P463": ("EMPLOYEE_OR_MEMBER_OF", False),
    "P54": ("EMPLOYEE_OR_MEMBER_OF", False),
    "P112": ("FOUNDED_BY", False),
    "P571": ("DATE_FOUNDED", False),
    "P159": ("HEADQUARTERS", False),
    "P169": ("CEO", False),
    "P102": ("POLITICAL_AFFILIATION", False),
    "P749": ("SUBSIDIARY_OF", False),
    "P355": ("SUBSIDIARY_OF", True),
    "P131": ("LOCATED_IN", False),
    "P150": ("LOCATED_IN", True),
    "P17": ("LOCATED_IN", False),
    "P50": ("AUTHOR", False),
    "P175": ("PERFORMER", False),
    "P57": ("DIRECTOR", False),
    "P361": ("PART_OF", False),
    "P527": ("PART_OF", True),
}
# Labels that yield to a more special one of the same pair, of which luke_relations learns the first.
GENERAL = {label: rank for rank, label in enumerate(("NATIONALITY", "EMPLOYEE_OR_MEMBER_OF", "PART_OF", "LOCATED_IN"))}
# Entity types of Re-DocRED -> labels that the pipeline finds; numbers are left out.
DOCRED_LABELS = {"PER": "PER", "ORG": "ORG", "LOC": "LOC", "MISC": MISC, "TIME": DATE}
# Relation of KnowledgeNet -> the labels of its head and its tail.
ROLES: Mapping[str, tuple[str, str]] = {
    **dict.fromkeys(("DATE_OF_BIRTH", "DATE_OF_DEATH"), ("PER", DATE)),
    **dict.fromkeys(("PLACE_OF_BIRTH", "PLACE_OF_RESIDENCE", "NATIONALITY"), ("PER", "LOC")),
    **dict.fromkeys(("SPOUSE", "CHILD_OF"), ("PER", "PER")),
    **dict.fromkeys(("EDUCATED_AT", "EMPLOYEE_OR_MEMBER_OF", "POLITICAL_AFFILIATION"), ("PER", "ORG")),
    **dict.fromkeys(("FOUNDED_BY", "CEO"), ("ORG", "PER")),
    "DATE_FOUNDED": ("ORG", DATE),
    "HEADQUARTERS": ("ORG", "LOC"),
    "SUBSIDIARY_OF": ("ORG", "ORG"),
}
RE3D_LABELS = {"Person": "PER", "Organisation": "ORG", "Location": "LOC"}
GUM_LABELS = {"person": "PER", "organization": "ORG", "place": "LOC"}
# GUM's types -> those of Open Entity.
GUM_TYPES: Mapping[str, Sequence[str]] = {
    "person": ("person",),
    "organization": ("organization", "group"),
    "place": ("location", "place"),
    "event": ("event",),
    "time": ("time",),
    "object": ("object",),
    "substance": ("object",),
}

TWEETS = ("broad_twitter", "wnut17")
# First word of a question -> label of what it asks for.
KINDS = {"who": "PER", "whom": "PER", "whose": "PER", "where": "LOC", "when": DATE}

QUESTIONS_PER_DOC = 3
WRONG = 0.4
WRONG_IN_DEV = 0.5
SAME_ARTICLE = 0.75
QAMR_QUESTIONS = 1500
DEV_ARTICLES = 6
DEV_TYDI = 300
DEV_SNIPPETS = 150
# So many of the sentences with the most words of a question are tried.
SIMILAR = 20


def labelled(doc: Doc, key: str, spans: Iterable[Span]) -> None:
    doc.spans[key] = SpanGroup(doc, name=key, spans=list(spans))


def documents(docs: Iterable[Doc]) -> list[Doc]:
    """Re-DocRED with our labels. Relations are kept within a sentence, where pairs are looked for."""
    made = []
    for doc in docs:
        mentions = [
            Span(doc, ent.start, ent.end, label=DOCRED_LABELS[ent.label_], span_id=ent.id)
            for ent in doc.ents
            if ent.label_ in DOCRED_LABELS
        ]
        place = {(span.start, span.end): span for span in mentions}
        sentence = {token.i: number for number, sent in enumerate(doc.sents) for token in sent}
        found = {}
        for relation in get_relations(doc):
            head, tail = (place.get((span.start, span.end)) for span in (relation.head, relation.tail))
            if relation.label not in PROPERTIES or head is None or tail is None:
                continue
            label, swapped = PROPERTIES[relation.label]
            head, tail = (tail, head) if swapped else (head, tail)
            if sentence[head.start] == sentence[tail.start]:
                found[head.start, tail.start, label] = Relation(head, tail, label)
        set_relations(doc, sorted(found.values(), key=lambda relation: GENERAL.get(relation.label, -1)))
        labelled(doc, MENTIONS, mentions)
        doc.set_ents([span for span in mentions if span.label_ != DATE])
        set_entity_labels(doc, (*FLAT, MISC))
        made.append(doc)
    return made


def with_found_mentions(docs: Iterable[Doc], nlp: Language) -> list[Doc]:
    """The documents with the entities that a pipeline finds as mentions; relations of others are lost."""
    made = []
    gold = list(docs)
    with nlp.select_pipes(enable=["luke_encoder", "luke_ner", "luke_dates"]):
        for doc, found in zip(gold, nlp.pipe([bare_sentences(doc) for doc in gold]), strict=True):
            copy = doc.copy()
            spans = {(e.start, e.end): Span(copy, e.start, e.end, label=e.label) for e in found.ents}
            kept = []
            for relation in get_relations(doc):
                head, tail = (spans.get((span.start, span.end)) for span in (relation.head, relation.tail))
                if head is not None and tail is not None:
                    kept.append(Relation(head, tail, relation.label))
            set_relations(copy, kept)
            labelled(copy, MENTIONS, spans.values())
            copy.set_ents([], default="missing")
            set_entity_labels(copy, ())
            made.append(copy)
    return made


def bare_sentences(doc: Doc) -> Doc:
    starts = [bool(token.is_sent_start) for token in doc]
    return Doc(doc.vocab, [t.text for t in doc], [bool(t.whitespace_) for t in doc], sent_starts=starts)


def facts(docs: Iterable[Doc]) -> list[Doc]:
    """KnowledgeNet with the labels of its mentions that follow from their roles."""
    made = []
    for doc in docs:
        label: dict[tuple[int, int], str] = {}
        for relation in get_relations(doc):
            for span, role in zip((relation.head, relation.tail), ROLES[relation.label], strict=True):
                label.setdefault((span.start, span.end), role)
        for_other_components(doc)
        labelled(doc, MENTIONS, [Span(doc, start, end, label=role) for (start, end), role in sorted(label.items())])
        made.append(doc)
    return made


def without_labels(doc: Doc) -> Doc:
    copy = doc.copy()
    labelled(copy, MENTIONS, [Span(copy, span.start, span.end) for span in copy.spans[MENTIONS]])
    return copy


def gum(path: Path, vocab: Vocab, titles: Mapping[str, Sequence[str]]) -> tuple[list[Doc], list[Doc]]:
    """GUM's documents for luke_ner, and for luke_entity_typer."""
    for_ner, for_types = [], []
    for record in read_records(path):
        values = record.values
        text, tokens = values["text"], values["tokens"]
        edges = [*(start for start, _ in tokens[1:]), len(text)]
        doc = Doc(
            vocab,
            [text[start:end] for start, end in tokens],
            [text[end:begin] != "" for (_, end), begin in zip(tokens, edges, strict=True)],
        )
        starts = set(values["sent_starts"])
        for token in doc:
            token.is_sent_start = token.i in starts
        named = [item for item in values["entities"] if item["named"]]
        spans = []
        for item in named:
            span = doc.char_span(item["start"], item["end"], label=item["type"])
            if span is not None and item["type"] in GUM_TYPES:
                spans.append((span, item["link"]))
        other = doc.copy()
        ents = [Span(doc, s.start, s.end, label=GUM_LABELS[s.label_]) for s, _ in spans if s.label_ in GUM_LABELS]
        doc.set_ents(filter_spans(ents))
        set_entity_labels(doc, FLAT)
        for_ner.append(doc)
        mentions = filter_spans([Span(other, s.start, s.end, label=s.label) for s, _ in spans])
        link_of = {(s.start, s.end): link for s, link in spans}
        labelled(other, MENTIONS, mentions)
        for span in mentions:
            known = titles.get((link_of[span.start, span.end] or "").replace("_", " "), ())
            set_entity_types(span, sorted({*GUM_TYPES[span.label_], *known}))
        for_types.append(for_other_components(other))
    return for_ner, for_types


def re3d(folder: Path, vocab: Vocab) -> list[Doc]:
    """Documents of news and of the defence register, which nothing is trained on."""
    tokenizer = TextTokenizer(vocab)
    made = []
    for path in sorted(folder.glob("*/documents.json")):
        spans: dict[str, list[tuple[int, int, str]]] = defaultdict(list)
        for record in read_records(path.with_name("entities.json")):
            item = record.values
            if item["type"] in RE3D_LABELS:
                spans[item["documentId"]].append((item["begin"], item["end"], RE3D_LABELS[item["type"]]))
        for record in read_records(path):
            doc = tokenizer(record.values["text"])
            found = [doc.char_span(start, end, label=label) for start, end, label in spans[record.values["_id"]]]
            doc.set_ents(filter_spans([span for span in found if span is not None]))
            set_entity_labels(doc, FLAT)
            made.append(doc)
    return made


@dataclass(frozen=True)
class Asked:
    """A question, and the answers of the paragraph that it was written for: texts, and tokens of that paragraph."""

    question: str
    article: str
    paragraph: int
    answers: tuple[Answer, ...]


class Paragraphs:
    """Paragraphs with questions, of which a share is asked of another paragraph."""

    def __init__(self, docs: Sequence[Doc], corpus: str, seed: int = SEED):
        self.docs = docs
        self.random = random.Random(seed)
        self.lower = [doc.text.lower() for doc in docs]
        self.articles: dict[str, list[int]] = defaultdict(list)
        self.asked: list[Asked] = []
        for number, doc in enumerate(docs):
            article = f"{corpus} {doc.user_data.get('title', number)}"
            self.articles[article].append(number)
            answers = defaultdict(list)
            for answer in get_answers(doc):
                if answer.span is not None:
                    answers[answer.question].append(answer)
            self.asked += [Asked(question, article, number, tuple(given)) for question, given in answers.items()]

    def mixed(self, wrong: float, most: int | None = None) -> list[Doc]:
        """Docs with at most `QUESTIONS_PER_DOC` questions. wrong: share of the questions whose paragraph is another."""
        asked = list(self.asked)
        self.random.shuffle(asked)
        by_paragraph: dict[int, list[tuple[str, tuple[Answer, ...]]]] = defaultdict(list)
        for item in asked[:most]:
            by_paragraph[item.paragraph].append((item.question, item.answers))
        self.random.shuffle(asked)
        for item in asked[: round(len(asked[:most]) * wrong / (1 - wrong))]:
            other = self._other(item)
            if other is not None:
                by_paragraph[other].append((item.question, ()))
        made = []
        for number, questions in by_paragraph.items():
            unique = list({question: (question, answers) for question, answers in questions}.values())
            self.random.shuffle(unique)
            parts = range(0, len(unique), QUESTIONS_PER_DOC)
            made += [self.asking(self.docs[number], unique[i : i + QUESTIONS_PER_DOC]) for i in parts]
        return made

    def _other(self, item: Asked) -> int | None:
        """A paragraph that has none of the answers' texts; None if none was found."""
        texts = [answer.text.lower() for answer in item.answers]
        same = self.articles[item.article]
        for _ in range(10):
            hard = len(same) > 1 and self.random.random() < SAME_ARTICLE
            number = self.random.choice(same) if hard else self.random.randrange(len(self.docs))
            if number != item.paragraph and not any(text in self.lower[number] for text in texts):
                return number
        return None

    @staticmethod
    def asking(source: Doc, questions: Sequence[tuple[str, tuple[Answer, ...]]]) -> Doc:
        doc = source.copy()
        set_questions(doc, [question for question, _ in questions])
        answers = []
        for question, given in questions:
            for answer in given:
                assert answer.span is not None  # unanswerable questions were left out
                answers.append(replace(answer, span=doc[answer.span.start : answer.span.end]))
            if not given:
                answers.append(Answer(question, None, ""))
        set_answers(doc, answers)
        doc.set_ents([], default="missing")
        set_entity_labels(doc, ())
        return doc


def snippets(paragraphs: Paragraphs, found: Sequence[Doc], seed: int = SEED) -> list[Doc]:
    """One to three sentences for each question, with an answer or without the text of any; see the top.

    found: the paragraphs with the sentences and entities of a pipeline.
    """
    order = random.Random(seed)
    sentences = [list(doc.sents) for doc in found]
    with_kind: dict[str, list[tuple[int, int]]] = defaultdict(list)
    for number, sents in enumerate(sentences):
        for middle, sent in enumerate(sents):
            for label in {ent.label_ for ent in sent.ents}:
                with_kind[label].append((number, middle))
    made = []
    for item in paragraphs.asked:
        spans = [answer.span for answer in item.answers if answer.span is not None]
        kind = KINDS.get(item.question.split(" ", 1)[0].lower(), "")
        origins = ("answer", "paragraph", "article", "other", *("kind",) * (2 if with_kind[kind] else 0))
        origin = order.choice(origins)
        if origin == "kind":
            number, middle = order.choice(with_kind[kind])
        else:
            number = {
                "article": order.choice(paragraphs.articles[item.article]),
                "other": order.randrange(len(sentences)),
            }.get(origin, item.paragraph)
            middle = order.randrange(len(sentences[number]))
        if origin == "answer":
            middle = sentence_at(sentences[number], order.choice(spans).start)
        begin, end = around(sentences[number], middle, order)
        snippet = found[number][begin:end].as_doc()
        inside = [span for span in spans if begin <= span.start and span.end <= end]
        if origin == "answer" and inside:
            moved = [snippet[span.start - begin : span.end - begin] for span in inside]
            made.append(Paragraphs.asking(snippet, [(item.question, tuple(Answer(item.question, s) for s in moved))]))
        elif origin != "answer" and has_none(snippet, item):
            made.append(Paragraphs.asking(snippet, [(item.question, ())]))
    return made


def sentence_at(sentences: Sequence[Span], start: int) -> int:
    return next(number for number, sent in enumerate(sentences) if start < sent.end)


def around(sentences: Sequence[Span], middle: int, order: random.Random) -> tuple[int, int]:
    """Tokens of a sentence, and by chance of the one before and the one after."""
    first, last = max(middle - order.randrange(2), 0), min(middle + order.randrange(2), len(sentences) - 1)
    return sentences[first].start, sentences[last].end


def has_none(snippet: Doc, item: Asked) -> bool:
    """Whether none of the answers' texts is there."""
    text = snippet.text.lower()
    return bool(text.strip()) and not any(answer.text.lower() in text for answer in item.answers)


def similar(paragraphs: Paragraphs, found: Sequence[Doc], seed: int = SEED) -> list[Doc]:
    """Each question, asked of sentences of another article that share the most words with it, rare ones before all."""
    order = random.Random(seed)
    article_of = {number: name for name, numbers in paragraphs.articles.items() for number in numbers}
    sentences = [list(doc.sents) for doc in found]
    places = [(number, middle) for number, sents in enumerate(sentences) for middle in range(len(sents))]
    having: dict[str, list[int]] = defaultdict(list)
    for place, (number, middle) in enumerate(places):
        for word in words_of(sentences[number][middle].text):
            having[word].append(place)
    made = []
    for item in paragraphs.asked:
        weight: dict[int, float] = defaultdict(float)
        for word in sorted(words_of(item.question)):
            for place in having.get(word, ()):
                weight[place] += math.log(len(places) / len(having[word]))
        for place in heapq.nlargest(SIMILAR, weight, key=weight.__getitem__):
            number, middle = places[place]
            begin, end = around(sentences[number], middle, order)
            snippet = found[number][begin:end].as_doc()
            if article_of[number] != item.article and has_none(snippet, item):
                made.append(Paragraphs.asking(snippet, [(item.question, ())]))
                break
    return made


def words_of(text: str) -> set[str]:
    return set(re.findall(r"\w+", text.lower())) - STOP_WORDS


def renamed(paragraphs: Paragraphs, found: Sequence[Doc], asked: Sequence[Doc], seed: int = SEED) -> list[Doc]:
    """Questions about a name that stands beside their answer, with another name of its kind in its place.

    asked: the questions with the entities of a pipeline.
    """
    order = random.Random(seed)
    names: dict[str, list[str]] = defaultdict(list)
    for question in asked:
        for ent in question.ents:
            names[ent.label_].append(ent.text)
    made = []
    for item, question in zip(paragraphs.asked, asked, strict=True):
        sents = list(found[item.paragraph].sents)
        span = order.choice([answer.span for answer in item.answers if answer.span is not None])
        begin, end = around(sents, sentence_at(sents, span.start), order)
        snippet = found[item.paragraph][begin:end].as_doc()
        there = [ent for ent in question.ents if ent.label_ in FLAT and ent.text in snippet.text]
        if not there:
            continue
        ent = order.choice(there)
        name = order.choice(names[ent.label_])
        if not words_of(name) & words_of(found[item.paragraph].text):
            text = question.text[: ent.start_char] + name + question.text[ent.end_char :]
            made.append(Paragraphs.asking(snippet, [(text, ())]))
    return made


def squad_file(path: Path, vocab: Vocab) -> list[Doc]:
    docs, report = read_squad(path, vocab=vocab)
    print(f"{report}\n")
    return docs


def questions(assets: Path, corpus: Path, nlp: Language) -> Iterator[tuple[str, list[Doc]]]:
    """Parts with their Docs."""
    folder, vocab = assets / "qa", nlp.vocab
    shifts = squad_file(folder / "squadshifts_new_wiki" / "new_wiki_v1.0.json", vocab)
    titles = sorted({doc.user_data["title"] for doc in shifts})
    held = set(random.Random(SEED).sample(titles, DEV_ARTICLES))
    tydi = squad_file(folder / "tydiqa_en" / "english_tydiqa_train.json", vocab)
    parts = {
        "train": {
            "squad": squad_file(folder / "squad2_half" / "train.json", vocab),
            "new_wiki": [doc for doc in shifts if doc.user_data["title"] not in held],
            "tydi": tydi[DEV_TYDI:],
        },
        "dev": {
            "squad": squad_file(folder / "squad2_half" / "dev.json", vocab),
            "new_wiki": [doc for doc in shifts if doc.user_data["title"] in held],
            "tydi": tydi[:DEV_TYDI],
        },
    }
    for part, sources in parts.items():
        short, near, changed = [], [], []
        for name, docs in sources.items():
            paragraphs = Paragraphs(docs, name)
            with nlp.select_pipes(enable=["sentencizer", "luke_encoder", "luke_ner", "luke_dates"]):
                found = list(nlp.pipe(doc.copy() for doc in docs))
                asked = list(nlp.pipe(item.question for item in paragraphs.asked))
            short.append(snippets(paragraphs, found))
            near.append(similar(paragraphs, found))
            changed.append(renamed(paragraphs, found, asked))
        if part == "train":
            yield "train/snippets", list(itertools.chain(*short))
            yield "train/similar", list(itertools.chain(*near))
            yield "train/renamed", list(itertools.chain(*changed))
        else:
            yield "dev/renamed", list(itertools.chain(*changed))
            chosen = [doc for docs in short for doc in docs[:DEV_SNIPPETS]]
            random.Random(SEED).shuffle(chosen)
            yield "dev/questions/snippets", chosen
    train = [doc for name, docs in parts["train"].items() for doc in Paragraphs(docs, name).mixed(WRONG)]
    qamr = [doc for doc in read_docbin(corpus / "joint" / "train" / "questions.spacy", vocab) if len(doc) < 60]
    train += Paragraphs(qamr, "qamr").mixed(WRONG, most=QAMR_QUESTIONS)
    random.Random(SEED).shuffle(train)
    yield "train/questions", train
    for name, docs in parts["dev"].items():
        yield f"dev/questions/{name}", Paragraphs(docs, name).mixed(WRONG_IN_DEV)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("assets", type=Path, help="folder with ner/, relations/, qa/ and linking/ (see project.yml)")
    parser.add_argument(
        "corpus", type=Path, help="folder with what the other scripts have written, and to write documents/"
    )
    parser.add_argument("--model", help="pipeline that finds entities; default: the bundled model")
    args = parser.parse_args()

    nlp: Any = spacy.load(args.model or bundled_pipeline())
    vocab, corpus = nlp.vocab, args.corpus
    titles = types_of_titles(args.assets / "linking" / "wikipedia_schools" / "train.jsonl.gz")
    parts: dict[str, list[Doc]] = {}
    for part in ("train", "dev"):
        parts[f"{part}/relations"] = documents(read_docbin(corpus / "redocred" / f"{part}.spacy", vocab))
        parts[f"{part}/facts"] = facts(read_docbin(corpus / "knowledgenet" / f"{part}.spacy", vocab))
        named, typed = gum(args.assets / "ner" / "gum" / f"{part}.jsonl", vocab, titles)
        parts[f"{part}/types"] = [*read_docbin(corpus / "joint" / part / "types.spacy", vocab), *typed]
        if part == "train":
            joint = read_docbin(corpus / "joint" / "train" / "entities.spacy", vocab)
            parts["train/tweets"] = [doc for doc in joint if doc.user_data["corpus"] in TWEETS]
            parts["train/entities"] = [*(doc for doc in joint if doc.user_data["corpus"] not in TWEETS), *named]
            parts["train/plain_facts"] = [without_labels(doc) for doc in parts["train/facts"]]
        else:
            parts["dev/entities/gum"] = named
    parts["dev/entities/re3d"] = re3d(args.assets / "relations" / "re3d", vocab)
    parts["train/annotated"], parts["dev/annotated"] = annotated(args.assets, nlp)
    parts["train/found"] = with_found_mentions(parts["train/relations"], nlp)
    parts.update(questions(args.assets, corpus, nlp))
    for name, docs in parts.items():
        write_docbin(docs, corpus / "documents" / f"{name}.spacy")
        print(f"{name}: {len(docs)} Docs, {sum(map(len, docs))} tokens")


if __name__ == "__main__":
    main()

"""Labels with at most one tail for a head: a person is born once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable
from typing import Literal

from spacy.tokens import Doc, Span

from ...annotations import Relation, get_link, get_relations
from ...errors import LukeError
from .labels import RelationLabels

# Heads that the training data must have for a label before it counts as one with a single tail. None of n heads with
# two tails means, with 95 % confidence, that at most 3 / n have them ("rule of three", Hanley and Lippman-Hand 1983).
MIN_HEADS = 50
# Share of these heads that may have several tails all the same: annotation has errors. In the dev data of Re-DocRED, it
# is 1.6 % for the date of birth, 1.1 % for the date of foundation, and 9 % for spouses.
MAX_SEVERAL = 0.02
SingleTail = Literal["learned"] | frozenset[str] | None
# A name of an entity: ("span", start, end), ("link", kb_id_) or ("id", ent_id_); ("text", …) for tails only.
_Key = tuple[object, ...]


def checked_single_tail(value: object) -> SingleTail:
    """The setting `single_tail` of `luke_relations`; L047 for another value."""
    if value is None:
        return None
    if value == "learned":
        return "learned"
    if isinstance(value, str | dict) or not isinstance(value, Collection) or not all(isinstance(v, str) for v in value):
        reason = 'it is a list of labels, "learned" or null'
        raise LukeError("L047", setting="single_tail", value=value, reason=reason)
    return frozenset(value)


def with_single_tails(
    relations: Iterable[Relation], labels: Collection[str], symmetric: Collection[str]
) -> list[Relation]:
    """Leave out relations with one of `labels` whose head has another, more probable tail; the order stays.

    symmetric: labels without direction; neither end may then have another partner.

    Two mentions are one entity if they have the same tokens or the Doc says so: with the same `kb_id_` or `ent_id_`.
    Tails that read the same are one, too: the year of birth may stand in the text twice.
    """
    relations = list(relations)
    tail_of: dict[tuple[str, _Key], Span] = {}
    dropped: set[int] = set()
    for i in sorted(range(len(relations)), key=lambda i: -relations[i].score):
        relation = relations[i]
        if relation.label not in labels:
            continue
        ends = [(relation.head, relation.tail)]
        if relation.label in symmetric:
            ends.append((relation.tail, relation.head))
        keys = [((relation.label, key), tail) for head, tail in ends for key in _keys(head)]
        if all(_is_same_tail(tail_of.get(key, tail), tail) for key, tail in keys):
            for key, tail in keys:
                tail_of.setdefault(key, tail)
        else:
            dropped.add(i)
    return [relation for i, relation in enumerate(relations) if i not in dropped]


def learned_single_tails(references: Iterable[Doc], scheme: RelationLabels) -> list[str]:
    """The labels that have at least `MIN_HEADS` heads in some Docs, of which at most `MAX_SEVERAL` have several tails;
    sorted."""
    heads: Counter[str] = Counter()
    several: Counter[str] = Counter()
    for reference in references:
        tail_of: dict[tuple[str, _Key], Span] = {}
        wrong: set[tuple[str, _Key]] = set()
        for gold in get_relations(reference):
            if scheme.means_unrelated(gold.label):
                continue
            relation = scheme.relation(gold.head, gold.tail, gold.label, gold.score)
            ends = [(relation.head, relation.tail)]
            if relation.label in scheme.symmetric:
                ends.append((relation.tail, relation.head))
            for head, tail in ends:
                keys = [(relation.label, key) for key in _keys(head)]
                known = next((tail_of[key] for key in keys if key in tail_of), None)
                heads[relation.label] += known is None
                if known is not None and not _is_same_tail(known, tail):
                    several[relation.label] += wrong.isdisjoint(keys)
                    wrong.update(keys)
                for key in keys:
                    tail_of.setdefault(key, tail)
    enough = (label for label, count in heads.items() if count >= MIN_HEADS)
    return sorted(label for label in enough if several[label] <= MAX_SEVERAL * heads[label])


def _keys(span: Span) -> set[_Key]:
    """What an entity is known by: two spans are one entity if they share one of these."""
    keys: set[_Key] = {("span", span.start, span.end)}
    if link := get_link(span):
        keys.add(("link", link))
    if span.ent_id_:
        keys.add(("id", span.ent_id_))
    return keys


def _is_same_tail(a: Span, b: Span) -> bool:
    return a.text == b.text or not _keys(a).isdisjoint(_keys(b))

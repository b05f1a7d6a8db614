"""Leave in the knowledge base of a pipeline's luke_entity_linker only the names that are titles of their own: the
articles that it was counted in are too few to tell what other names mean.

    python -m scripts.certain_links training/en_luke_mini/tuned training/en_luke_mini/linked

A name stays if an entity has it as its title, if all other entities together are less likely than one in ten, and if no
other title begins with it and goes on with a bracket or a comma ("Phoenix (spacecraft)"). With one candidate a link
takes no pass of the encoder, and has the score 1. Entities that luke_ner calls organisations get no link: with the name
of a place they are its team or its government.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import spacy
from spacy.kb import InMemoryLookupKB
from spacy.vocab import Vocab

from spacy_luke.cli.saving import save_pipeline

MOST_OTHERS = 0.1
NOT_LINKED = ["DATE", "ORG"]


def certain_names(kb: InMemoryLookupKB) -> dict[str, str]:
    """Name -> entity."""
    titles = list(kb.get_entity_strings())
    open_names = {title.lower().split(mark)[0] for title in titles for mark in (" (", ", ") if mark in title}
    found = {}
    for name in kb.get_alias_strings():
        candidates = kb.get_alias_candidates(name)
        own = [one for one in candidates if one.entity_.lower() == name.lower()]
        others = sum(one.prior_prob for one in candidates if one not in own)
        if own and others <= MOST_OTHERS and name.lower() not in open_names:
            found[name] = own[0].entity_
    return found


def certain_kb(kb: InMemoryLookupKB, vocab: Vocab) -> InMemoryLookupKB:
    names = certain_names(kb)
    kept = InMemoryLookupKB(vocab, entity_vector_length=kb.entity_vector_length)
    for entity in dict.fromkeys(names.values()):
        kept.add_entity(entity=entity, freq=1, entity_vector=[0.0] * kb.entity_vector_length)
    for name, entity in names.items():
        kept.add_alias(alias=name, entities=[entity], probabilities=[1.0])
    return kept


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="folder of the pipeline")
    parser.add_argument("output", type=Path, help="folder to save the pipeline to")
    args = parser.parse_args()
    nlp = spacy.load(args.model, config={"components": {"luke_entity_linker": {"labels_discard": NOT_LINKED}}})
    linker: Any = nlp.get_pipe("luke_entity_linker")
    before = linker.kb.get_size_aliases()
    linker.set_kb(lambda vocab: certain_kb(linker.kb, vocab))
    save_pipeline(nlp, args.output)
    print(f"{linker.kb.get_size_aliases()} of {before} names, {linker.kb.get_size_entities()} entities")


if __name__ == "__main__":
    main()

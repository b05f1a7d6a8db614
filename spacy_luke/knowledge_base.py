"""Alias tables: which entities a mention may be, as spaCy knowledge bases, counted in linked text."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import srsly
from spacy.kb import Candidate, InMemoryLookupKB, KnowledgeBase
from spacy.tokens import Doc, Span
from spacy.vocab import Vocab

from .annotations import NIL
from .checksums import check_files
from .errors import LukeError
from .user_functions import naming_key_errors

# Finds what a mention may be.
CandidateGenerator: TypeAlias = Callable[[KnowledgeBase, Span], Iterable[Candidate]]
KnowledgeBaseLoader: TypeAlias = Callable[[Vocab], KnowledgeBase]


def alias_of(span: Span) -> str:
    """The text of a mention with single spaces: how aliases are written."""
    return " ".join(span.text.split())


class AliasTable:
    """Counts of aliases and the entities that they mean in linked text (Docs whose entities have a `kb_id_`).

    counts: alias -> entity -> count.
    """

    def __init__(self) -> None:
        self.counts: dict[str, Counter[str]] = {}

    def add(self, doc: Doc) -> int:
        """Count the linked entities of a Doc; RETURNS: how many there are."""
        linked = 0
        for ent in doc.ents:
            if ent.kb_id_ and ent.kb_id_ != NIL and (alias := alias_of(ent)):
                self.counts.setdefault(alias, Counter())[ent.kb_id_] += 1
                linked += 1
        return linked

    @property
    def entities(self) -> Counter[str]:
        """Number of links to each entity."""
        totals: Counter[str] = Counter()
        for counts in self.counts.values():
            totals.update(counts)
        return totals

    def to_kb(
        self,
        vocab: Vocab,
        *,
        min_count: int = 1,
        min_entity_count: int = 1,
        max_candidates: int = 30,
        lowercase: bool = True,
        vectors: Mapping[str, Sequence[float]] | None = None,
    ) -> InMemoryLookupKB:
        """A spaCy knowledge base whose priors are p(entity | alias), over all links of the alias.

        min_count: least links of an alias to an entity. min_entity_count: least links to an entity at all.
        max_candidates: of an alias, the most frequent.
        lowercase: also an entry for each alias in lower case, unless that was seen itself.
        vectors: of the entities, all of one length, for spaCy's `entity_linker`; default: one zero each.
        """
        totals = self.entities
        width = 1 if vectors is None else len(next(iter(vectors.values())))
        kb = InMemoryLookupKB(vocab, entity_vector_length=width)
        aliases = self._with_lowercase() if lowercase else self.counts
        chosen = {}
        for alias, counts in aliases.items():
            kept = [
                (entity, count / counts.total())
                for entity, count in counts.most_common()
                if count >= min_count and totals[entity] >= min_entity_count
            ][:max_candidates]
            if kept:
                chosen[alias] = kept
        entities = sorted({entity for kept in chosen.values() for entity, _ in kept})
        none = [0.0] * width
        kb.set_entities(
            entities,
            [totals[entity] for entity in entities],
            [none if vectors is None else vectors[entity] for entity in entities],
        )
        for alias, kept in chosen.items():
            kb.add_alias(alias, [entity for entity, _ in kept], [prior for _, prior in kept])
        return kb

    def _with_lowercase(self) -> dict[str, Counter[str]]:
        lowered: dict[str, Counter[str]] = {}
        for alias, counts in self.counts.items():
            if alias.lower() not in self.counts:
                lowered.setdefault(alias.lower(), Counter()).update(counts)
        return {**self.counts, **lowered}


@dataclass(frozen=True)
class AliasLookup:
    """Finds what a knowledge base has for the text of a mention; see `build_candidates`."""

    lowercase: bool

    def __call__(self, kb: KnowledgeBase, mention: Span) -> list[Candidate]:
        found = list(kb.get_candidates(mention))
        look_up = getattr(kb, "get_alias_candidates", None)
        if found or look_up is None:
            return found
        alias = alias_of(mention)
        return list(look_up(alias)) or (list(look_up(alias.lower())) if self.lowercase else [])


def build_candidates(lowercase: bool = True) -> CandidateGenerator:
    """Build the lookup of mentions in a knowledge base by their text, as `spacy-luke.candidates.v1`.

    lowercase: look up a mention that is not there in lower case.
    """
    return AliasLookup(lowercase)


def load_kb(loader: Any, vocab: Vocab, name: str) -> KnowledgeBase:
    """The knowledge base that a component is given.

    loader: a function from a Vocab to one, as spaCy's `spacy.KBFromFile.v1` makes, or the folder of a saved
        `InMemoryLookupKB`. name: of the component.

    L086 if there is none, L087 if it is empty.
    """
    if isinstance(loader, str | Path):
        if not (Path(loader) / "contents").is_file():
            raise LukeError("L086", name=name, value=str(loader), reason="it is no folder of a saved one")
        check_files(Path(loader), ["contents", "strings.json"])
        kb: Any = InMemoryLookupKB(vocab, entity_vector_length=1)
        try:
            kb.from_disk(Path(loader))
        except Exception as e:  # damaged bytes make spaCy raise whatever they spell
            raise LukeError("L086", name=name, value=str(loader), reason=f"it cannot be read ({e!r})") from e
    else:
        with naming_key_errors(name, "kb_loader", loader):
            kb = loader(vocab) if callable(loader) else loader
    if not isinstance(kb, KnowledgeBase):
        raise LukeError("L086", name=name, value=kb, reason="it is no spaCy KnowledgeBase")
    if hasattr(kb, "is_empty") and kb.is_empty():
        raise LukeError("L087", name=name)
    return kb


def entities_of(kb: KnowledgeBase) -> list[str] | None:
    """The entities of a knowledge base, sorted; None if it does not tell."""
    strings = getattr(kb, "get_entity_strings", None)
    return sorted(strings()) if strings is not None else None


class StoredKnowledgeBase:
    """A knowledge base, or none, of a component that is saved, copied and pickled, which spaCy's are not.

    generate_empty_kb: as for spaCy's `entity_linker`; what is read is read into a new one.
    """

    def __init__(self, vocab: Vocab, generate_empty_kb: Callable[[Vocab, int], KnowledgeBase]):
        self.kb: Any = None
        self._vocab = vocab
        self._generate_empty_kb = generate_empty_kb

    def to_bytes(self) -> bytes:
        """The knowledge base with its strings, which its own `to_bytes` leaves to the Vocab."""
        tell = (getattr(self.kb, name, list) for name in ("get_entity_strings", "get_alias_strings"))
        strings = sorted({string for strings in tell for string in strings()})
        data = {"kb": self.kb.to_bytes(), "strings": strings, "width": self.kb.entity_vector_length}
        return srsly.msgpack_dumps(data)

    def read(self, file: Path) -> KnowledgeBase:
        """The knowledge base whose `to_bytes` is in a file; L022 if the file has something else."""
        try:
            return self._from_bytes(file.read_bytes())
        except Exception as e:  # damaged bytes make msgpack and the knowledge base raise whatever they spell
            raise LukeError("L022", file=file, reason=e) from e

    def _from_bytes(self, data: bytes) -> KnowledgeBase:
        saved = srsly.msgpack_loads(data)
        # The strings of a text leave with the memory zone that it came in, even if somebody else has added them since.
        vocab: Any = self._vocab
        vocab = Vocab() if vocab.in_memory_zone else vocab
        for string in saved["strings"]:
            vocab.strings.add(string)
        kb = self._generate_empty_kb(vocab, saved["width"])
        kb.from_bytes(saved["kb"])
        return kb

    def __getstate__(self) -> tuple[Vocab, Callable[[Vocab, int], KnowledgeBase], bytes | None]:
        # The functions that make knowledge bases are not pickled either; their classes make them, too.
        kind = InMemoryLookupKB if self.kb is None else type(self.kb)
        return self._vocab, kind, None if self.kb is None else self.to_bytes()

    def __setstate__(self, state: tuple[Vocab, Callable[[Vocab, int], KnowledgeBase], bytes | None]) -> None:
        self._vocab, self._generate_empty_kb, data = state
        self.kb = None if data is None else self._from_bytes(data)

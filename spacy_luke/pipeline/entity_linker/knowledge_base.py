"""A component with a knowledge base: where it comes from, what it says of a mention, how it is saved."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

from spacy.kb import InMemoryLookupKB, KnowledgeBase
from spacy.tokens import Span
from spacy.vocab import Vocab

from ...checks import require_at_least, require_one_of
from ...checksums import check_files
from ...default_model import bundled_component
from ...errors import LukeError, warn
from ...files import parse_json
from ...knowledge_base import (
    AliasLookup,
    CandidateGenerator,
    KeptKnowledgeBase,
    KnowledgeBaseLoader,
    entities_of,
    load_kb,
)
from ..base.component import TaskComponent
from ..base.stored_head import CFG
from .candidates import AnyEntity, CandidateFinder, Candidates, entity_id

KB = "kb"  # file of a saved component
_TREATMENT = {"prior": "they keep their prior probability", "drop": "they are left out"}


class KnowledgeBasePipe(TaskComponent):
    """A component whose candidates come from a spaCy `KnowledgeBase`, or, without one, are all of its vocabulary."""

    def __init__(
        self,
        vocab: Vocab,
        *args: Any,
        get_candidates: CandidateGenerator,
        generate_empty_kb: Callable[[Vocab, int], KnowledgeBase],
        max_candidates: int,
        unknown_candidates: str,
        prior_weight: float,
        n_best: int,
        **settings: Any,
    ):
        super().__init__(vocab, *args, **settings)
        require_at_least(1, max_candidates=max_candidates, n_best=n_best)
        require_one_of(tuple(_TREATMENT), unknown_candidates=unknown_candidates)
        if isinstance(prior_weight, bool) or not prior_weight >= 0:
            raise LukeError("L047", setting="prior_weight", value=prior_weight, reason="it must be 0 or more")
        self.get_candidates = get_candidates
        self.max_candidates = max_candidates
        self.unknown_candidates = unknown_candidates
        self.prior_weight = prior_weight
        self.n_best = n_best
        self.kb_titles = {}
        self._kept = KeptKnowledgeBase(vocab, generate_empty_kb)

    @property
    def kb(self) -> KnowledgeBase | None:
        """The knowledge base in use."""
        return self._kept.kb

    @property
    def kb_titles(self) -> Mapping[str, str]:
        """kb_id -> title of the entity vocabulary, where they differ."""
        return self._kb_titles

    @kb_titles.setter
    def kb_titles(self, titles: Mapping[str, str]) -> None:
        self._kb_titles = dict(titles)
        self._ids_of_titles = {title: kb_id for kb_id, title in titles.items()}

    def set_kb(
        self, kb_loader: KnowledgeBaseLoader | str | Path | None, titles: Mapping[str, str] | None = None
    ) -> None:
        """Take candidates from another knowledge base.

        kb_loader: as for spaCy's `entity_linker`, a function from a Vocab to a knowledge base; or the folder of a saved
            `InMemoryLookupKB`; None = none, every entity of the vocabulary is a candidate.
        titles: kb_id -> title in the entity vocabulary, where they differ.

        L086 if there is none, L087 if it is empty; W042 if it has no alias, and W023 tells how many of its entities the
        model cannot score.
        """
        self._kept.kb = load_kb(kb_loader, self.vocab, self.name) if kb_loader is not None else None
        self._warn_without_aliases()
        self.kb_titles = titles or {}
        if self.has_weights:
            self._warn_unknown()

    def entity_id(self, kb_id: str) -> int:
        """The id of an entity of the knowledge base in the entity vocabulary; -1 if it is not there."""
        return entity_id(self._require_weights().entity_vocab, self.kb_titles, kb_id)

    def _finder(self) -> Callable[[Span], Candidates]:
        """Finds the candidates of a mention."""
        if self.kb is None:
            every = self._every_entity()
            return lambda mention: every
        return CandidateFinder(
            self.name,
            self.kb,
            self.get_candidates,
            self._require_weights().entity_vocab,
            self.kb_titles,
            self.max_candidates,
            self.unknown_candidates == "prior",
            self.prior_weight,
        )

    def _every_entity(self) -> AnyEntity:
        description: Any = self._require_weights()
        rows = description.config.entity_vocab_size
        return AnyEntity(description.entity_vocab, rows, self._ids_of_titles, self.n_best)

    def _warn_without_aliases(self) -> None:
        kb: Any = self.kb
        by_alias = isinstance(self.get_candidates, AliasLookup) and isinstance(kb, InMemoryLookupKB)
        if by_alias and type(kb).get_candidates is InMemoryLookupKB.get_candidates and not kb.get_size_aliases():
            warn("W042", name=self.name, entities=kb.get_size_entities(), stacklevel=4)

    def _warn_unknown(self) -> None:
        entities = entities_of(self.kb) if self.kb is not None else None
        unknown = [kb_id for kb_id in entities or () if self.entity_id(kb_id) < 0]
        if entities and unknown:
            counts = {"missing": len(unknown), "total": len(entities)}
            treatment, examples = _TREATMENT[self.unknown_candidates], ", ".join(unknown[:5])
            warn("W023", name=self.name, treatment=treatment, examples=examples, **counts, stacklevel=5)

    def _load_bundled(self, *, to_train: bool = False) -> bool:
        """With its knowledge base, if the component has none."""
        folder = bundled_component(self.factory)
        if folder is None or not super()._load_bundled(to_train=to_train):
            return False
        if self.kb is None:
            self._kept.kb, self.kb_titles = self._saved_kb(folder)
        return True

    # Saving

    def from_disk(self, path: str | Path, *, exclude: Iterable[str] = ()) -> KnowledgeBasePipe:
        """Load what `to_disk` saved, or leave the component as it was.

        exclude: as for every component, and "kb", the knowledge base with its titles.
        """
        exclude = set(exclude)
        kb, titles = (self.kb, self.kb_titles) if KB in exclude else self._saved_kb(Path(path), exclude)
        super().from_disk(path, exclude=exclude)
        self._kept.kb, self.kb_titles = kb, titles
        return self

    def _saved_kb(self, path: Path, exclude: Collection[str] = ()) -> tuple[KnowledgeBase | None, Mapping[str, str]]:
        """The knowledge base that `to_disk` saved, and the titles of its entities."""
        cfg = self._read_cfg(path, exclude)
        titles = cfg.get("titles", {})
        if not isinstance(titles, dict) or not all(isinstance(title, str) for title in titles.values()):
            raise LukeError("L022", file=path / CFG, reason=f"titles = {titles!r:.200}")
        if not ((path / KB).is_file() if CFG in exclude else cfg.get(KB)):
            return None, titles
        if not (path / KB).is_file():
            raise LukeError("L021", path=path, file=KB)
        check_files(path, [KB])
        return self._kept.read(path / KB), titles

    def _cfg(self, exclude: Collection[str]) -> dict[str, Any]:
        saved = self.kb is not None and KB not in exclude
        return {**super()._cfg(exclude), KB: saved, "titles": dict(self.kb_titles) if saved else {}}

    def _more_files(self, exclude: Collection[str]) -> dict[str, bytes]:
        files = super()._more_files(exclude)
        return files if self.kb is None or KB in exclude else {**files, KB: self._kept.to_bytes()}


def read_kb_titles(path: str | Path) -> dict[str, str]:
    """A JSON dictionary from ids of a knowledge base to titles; L089 if there is none, L022 if it is damaged."""
    try:
        titles = parse_json(Path(path).read_bytes(), path)
    except OSError:
        titles = None
    if not isinstance(titles, dict) or not all(isinstance(title, str) for title in titles.values()):
        raise LukeError("L089", value=str(path))
    return titles

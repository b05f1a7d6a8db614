"""Knowledge base of `luke_entity_linker`, and the messages about it and the titles that the model knows."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from spacy.kb import InMemoryLookupKB, KnowledgeBase

from ...checkpoints.checkpoint import Checkpoint, Description
from ...checksums import check_files
from ...errors import LukeError, warn
from ...files import parse_json
from ...knowledge_base import AliasLookup, CandidateGenerator, StoredKnowledgeBase, entities_of
from ..base.stored_head import CFG

KB = "kb"  # file of a saved component
_TREATMENT = {"prior": "they keep their prior probability", "drop": "they are left out"}
UNKNOWN_CANDIDATES = tuple(_TREATMENT)
# What L085 advises.
_SETTING = "Set entity_vocab = 'full', or a file of titles, in [components.{place}]"
_IF_IT_HAS = " and load a checkpoint with titles; lite models have none"
_NO_TITLES = (
    "The checkpoint has no others, as lite models: take the one with entities (studio-ousia/luke-base, not "
    "luke-base-lite), or give [initialize.components.{name}] entities, a file of titles, and train. For other "
    "components and for FillMask it will do"
)


def warn_without_aliases(name: str, kb: KnowledgeBase | None, get_candidates: CandidateGenerator) -> None:
    """W042 if component `name` looks mentions up in a knowledge base that has no alias."""
    found: Any = kb
    by_alias = isinstance(get_candidates, AliasLookup) and isinstance(found, InMemoryLookupKB)
    if by_alias and type(found).get_candidates is InMemoryLookupKB.get_candidates and not found.get_size_aliases():
        warn("W042", name=name, entities=found.get_size_entities(), stacklevel=4)


def warn_unknown(name: str, kb: KnowledgeBase | None, find: Callable[[str], int], unknown_candidates: str) -> None:
    """W023 tells how many entities of a knowledge base the model of component `name` cannot score.

    find: id of an entity of the knowledge base in the entity vocabulary, -1 if it is not there.
    """
    entities = entities_of(kb) if kb is not None else None
    unknown = [kb_id for kb_id in entities or () if find(kb_id) < 0]
    if entities and unknown:
        counts = {"missing": len(unknown), "total": len(entities)}
        treatment, examples = _TREATMENT[unknown_candidates], ", ".join(unknown[:5])
        warn("W023", name=name, treatment=treatment, examples=examples, **counts, stacklevel=5)


def no_titles(name: str, source: Description, provider: str | None) -> LukeError:
    """L085 for component `name`: there is no title that it could predict.

    source: of the encoder. provider: name of the component whose encoder it is; None for an encoder of its own, from
        the checkpoint `source`. Settings help only if the checkpoint has titles, as far as that is known.
    """
    if provider is not None:
        remedy = _SETTING.format(place=f"{provider}.model") + _IF_IT_HAS
        return LukeError("L085", name=name, path=provider, remedy=remedy)
    assert isinstance(source, Checkpoint)
    if source.entity_vocab.title_of:
        remedy = _SETTING.format(place=f"{name}.model.encoder")
    else:
        remedy = _NO_TITLES.format(name=name)
    return LukeError("L085", name=name, path=source.path, remedy=remedy)


def read_saved_kb(
    kept: StoredKnowledgeBase, path: Path, cfg: Mapping[str, Any], *, without_cfg: bool = False
) -> tuple[KnowledgeBase | None, Mapping[str, str]]:
    """The knowledge base of a saved component, None if it has none, and the titles of its entities.

    kept: makes the new one. cfg: what the component's `cfg` says. without_cfg: that was not read, and whether there is
        a knowledge base is decided by its file.

    L021 or L022 for a file that is missing or damaged.
    """
    titles = cfg.get("titles", {})
    if not isinstance(titles, dict) or not all(isinstance(title, str) for title in titles.values()):
        raise LukeError("L022", file=path / CFG, reason=f"titles = {titles!r:.200}")
    if not ((path / KB).is_file() if without_cfg else cfg.get(KB)):
        return None, titles
    if not (path / KB).is_file():
        raise LukeError("L021", path=path, file=KB)
    check_files(path, [KB])
    return kept.read(path / KB), titles


def read_kb_titles(path: str | Path) -> dict[str, str]:
    """A JSON dictionary from ids of a knowledge base to titles; L089 if there is none, L022 if it is damaged."""
    try:
        titles = parse_json(Path(path).read_bytes(), path)
    except OSError:
        titles = None
    if not isinstance(titles, dict) or not all(isinstance(title, str) for title in titles.values()):
        raise LukeError("L089", value=str(path))
    return titles

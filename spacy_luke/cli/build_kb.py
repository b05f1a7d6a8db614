"""`luke build-kb`: linked text -> a spaCy knowledge base with the priors of its links."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer
from typer import Argument, Option

from ..errors import LukeError
from . import luke_cli
from .errors import one_line_errors
from .progress import Quiet, shown_progress


@luke_cli.command("build-kb", short_help="Make a knowledge base from linked text.")
def build_kb_cli(
    source: Annotated[
        Path, Argument(metavar="IN", help="A .spacy file whose entities have a kb_id_, or a folder of such files.")
    ],
    target: Annotated[Path, Argument(metavar="OUT", help="Folder for the knowledge base.")],
    min_count: Annotated[int, Option(min=1, help="Minimum number of links of an alias to an entity.")] = 1,
    min_entity_count: Annotated[int, Option(min=1, help="Minimum number of links to an entity.")] = 1,
    max_candidates: Annotated[int, Option(min=1, help="Entities kept for an alias: the most frequent.")] = 30,
    lowercase: Annotated[
        bool,
        Option(
            "--lowercase/--no-lowercase",
            help="Also aliases in lower case, which are looked up for mentions that are not there as they are written.",
        ),
    ] = True,
    entities: Annotated[
        Path | None,
        Option(
            metavar="FILE",
            help="Also write the entities to this JSON file, most frequent first: titles for an entity vocabulary.",
        ),
    ] = None,
    quiet: Quiet = False,
) -> None:
    """Count what the aliases in linked text mean, and save it as a spaCy InMemoryLookupKB.

    The prior of an entity is p(entity | alias), over all links of the alias, also those that are left out.

    Example: python -m spacy luke build-kb corpus/train.spacy corpus/kb --entities corpus/entities.json
    """
    with one_line_errors(), shown_progress(quiet):
        from spacy.vocab import Vocab

        from ..converters import read_docbin
        from ..files import write_file
        from ..knowledge_base import AliasTable
        from ..progress import track
        from .saving import save_kb

        files = [source] if source.is_file() else sorted(source.rglob("*.spacy"))
        if not files:
            raise LukeError("L061", path=source)
        table = AliasTable()
        docs = links = 0
        for file in track(files, "Reading", "files"):
            for doc in track(read_docbin(file, Vocab()), file.name, "Docs"):
                docs += 1
                links += table.add(doc)
        if not links:
            raise LukeError("L088", path=source, reason=f"no entity of its {docs} Docs has a kb_id_")
        kb = table.to_kb(
            Vocab(),
            min_count=min_count,
            min_entity_count=min_entity_count,
            max_candidates=max_candidates,
            lowercase=lowercase,
        )
        if kb.is_empty():
            reason = f"none of its {links} links is as frequent as --min-count and --min-entity-count want"
            raise LukeError("L088", path=source, reason=reason)
        save_kb(kb, target)
        if entities is not None:
            kept = [title for title, _ in table.entities.most_common() if kb.contains_entity(title)]
            write_file(entities, json.dumps(kept, ensure_ascii=False, indent=0) + "\n")
    aliases, right = len(table.counts), sum(counts.most_common(1)[0][1] for counts in table.counts.values())
    typer.echo(
        f"{docs} Docs, {links} linked entities: {aliases} aliases of {len(table.entities)} entities. The most frequent "
        f"entity of its alias is right for {right / links:.1%} of them."
    )
    typer.echo(f"Saved {kb.get_size_aliases()} aliases of {kb.get_size_entities()} entities to {target}.")

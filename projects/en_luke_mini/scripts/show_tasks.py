"""Relations, entity types and answers that trained pipelines find in a text, as one HTML page.

    python -m scripts.show_tasks ../../examples/demo_text.txt page.html --relations training/knowledgenet/model-last
        --types training/typing/model-last --qa training/qa/model-last --question "Who founded Apple?"

The entities are those of the bundled model. Each pipeline is optional.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import spacy
from spacy.language import Language
from spacy.tokens import Doc, SpanGroup

from spacy_luke import displacy
from spacy_luke.annotations import set_entity_types, set_relations
from spacy_luke.default_model import bundled_pipeline
from spacy_luke.files import write_file

MENTIONS = "mentions"  # the key of doc.spans that the typing model of the project reads


def annotate(doc: Doc, nlp: Language) -> Doc:
    """Run the last component of a pipeline on a Doc that has sentences and entities."""
    return nlp.get_pipe(nlp.pipe_names[-1])(doc)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("text", type=Path, help="a text file")
    parser.add_argument("page", type=Path, help="the HTML file to write")
    parser.add_argument("--relations", help="a pipeline with luke_relations")
    parser.add_argument("--types", help="a pipeline with luke_entity_typer")
    parser.add_argument("--qa", help="a pipeline with luke_qa")
    parser.add_argument("--question", action="append", default=[], help="may be repeated")
    parser.add_argument("--min-score", type=float, default=0.5, help="least probability of what is shown")
    args = parser.parse_args()

    doc = spacy.load(bundled_pipeline())(args.text.read_text(encoding="utf8").strip())
    set_relations(doc, None)  # those of the bundled model
    for ent in doc.ents:
        set_entity_types(ent, None)
    if args.relations:
        annotate(doc, spacy.load(args.relations))
    if args.types:
        doc.spans[MENTIONS] = SpanGroup(doc, name=MENTIONS, spans=list(doc.ents))
        annotate(doc, spacy.load(args.types))
    if args.qa:
        doc._.questions = args.question
        annotate(doc, spacy.load(args.qa))
    options = {"title": args.text.name, "min_score": args.min_score, "colors": displacy.QUIET_COLORS}
    write_file(args.page, displacy.render(doc, style="overview", page=True, jupyter=False, options=options))


if __name__ == "__main__":
    main()

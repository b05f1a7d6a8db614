"""The card of the small model: its sources, its licence, and its scores beside those of spaCy's own ner."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from prepare_mini import CROSSNER, LABELS, WNUT17

from spacy_luke.model_card import percent, table

LICENSE = "CC BY-SA 4.0"
LICENSE_URL = "https://creativecommons.org/licenses/by-sa/4.0/"
BASE_MODEL = "sentence-transformers/all-MiniLM-L6-v2"


@dataclass(frozen=True)
class Source:
    """One corpus or checkpoint that the model is made from.

    dev_set: its name in the metrics; hub_id: its id on the Hugging Face Hub.
    """

    name: str
    license: str
    url: str
    author: str
    dev_set: str = ""
    hub_id: str = ""
    types: str = "PER, ORG, LOC as they are"


def _mapped(types: Mapping[str, str]) -> str:
    """`{"person": "PER"}` -> `person → PER`, types of the corpus that become the same one together."""
    parts = []
    for label in LABELS:
        names = [f"`{old}`" for old, new in types.items() if new == label]
        parts.append(f"{', '.join(names)} → {label}")
    return "; ".join(parts) + "; others left out"


SOURCES = (
    Source(
        "WNUT 2017, Emerging and Rare entities",
        "CC BY 4.0",
        "https://github.com/leondz/emerging_entities_17",
        "Derczynski, Nichols, van Erp, Limsopatham (2017)",
        "wnut17",
        "leondz/wnut_17",
        _mapped(WNUT17),
    ),
    Source(
        "CrossNER",
        "MIT",
        "https://github.com/zliucr/CrossNER",
        "Liu, Xu, Yu, Dai, Ji, Cahyawijaya, Madotto, Fung (2021)",
        "crossner",
        "DFKI-SLT/cross_ner",
        _mapped(CROSSNER),
    ),
    Source(
        "Broad Twitter Corpus",
        "CC BY 4.0",
        "https://github.com/GateNLP/broad_twitter_corpus",
        "Derczynski, Bontcheva, Roberts (2016)",
        "broad_twitter",
        "GateNLP/broad_twitter_corpus",
    ),
    Source(
        "Universal NER, English Web Treebank (dev part)",
        "CC BY-SA 4.0",
        "https://github.com/UniversalNER/UNER_English-EWT",
        "Mayhew et al. (2024)",
        "uner_ewt",
        "universalner/universal_ner",
    ),
    Source(
        "WikiANN, English",
        "ODC-BY",
        "https://github.com/Babelscape/wikineural",
        "Pan et al. (2017), split of Rahimi, Li, Cohn (2019), files of Tedeschi et al. (2021)",
        "wikiann",
        "unimelb-nlp/wikiann",
    ),
)
ENCODER = Source(
    "all-MiniLM-L6-v2 (the encoder)",
    "Apache-2.0",
    f"https://huggingface.co/{BASE_MODEL}",
    "sentence-transformers; MiniLM by Wang et al. (2020)",
)


def scores_table(metrics: Mapping[str, Any], baseline: Mapping[str, Any]) -> str:
    names = {source.dev_set: source.name for source in SOURCES}
    rows = [
        [
            names[name],
            f"{ours['docs']:,}",
            f"{ours['entities']:,}",
            *(percent(ours[key]) for key in ("ents_p", "ents_r", "ents_f")),
            percent(baseline["sets"][name]["ents_f"]),
        ]
        for name, ours in metrics["sets"].items()
    ]
    total = [percent(metrics["all"][key]) for key in ("ents_p", "ents_r", "ents_f")]
    rows.append(["all together", "", "", *total, percent(baseline["all"]["ents_f"])])
    means = [percent(scores["all"]["mean_ents_f"]) for scores in (metrics, baseline)]
    rows.append(["mean of the sets", "", "", "", "", *means])
    return table(("dev set", "Docs", "entities", "P", "R", "F1", "F1 of spaCy's `ner`"), rows, right=6)


def types_table(metrics: Mapping[str, Any], baseline: Mapping[str, Any]) -> str:
    ours, theirs = (scores["all"]["ents_per_type"] for scores in (metrics, baseline))
    rows = [
        [label, *(percent(ours.get(label, {}).get(key)) for key in "prf"), percent(theirs.get(label, {}).get("f"))]
        for label in LABELS
    ]
    return table(("type, all sets", "P", "R", "F1", "F1 of spaCy's `ner`"), rows, right=4)


def model_card(metrics: Mapping[str, Any], baseline: Mapping[str, Any]) -> str:
    """README.md of the model, in the format of the Hugging Face Hub."""
    used = [source for source in SOURCES if source.dev_set in metrics["sets"]]
    return CARD.format(
        base_model=BASE_MODEL,
        datasets="\n".join(f"- {source.hub_id}" for source in used),
        scores=scores_table(metrics, baseline),
        types=types_table(metrics, baseline),
        sources=table(
            ("data", "licence", "authors", "types"),
            [
                [f"[{source.name}]({source.url})", source.license, source.author, source.types]
                for source in (*used, ENCODER)
            ],
        ).replace(f"{ENCODER.author} | {ENCODER.types}", f"{ENCODER.author} | "),
        license=LICENSE,
        license_url=LICENSE_URL,
    )


CARD = """---
language:
- en
license: cc-by-sa-4.0
library_name: spacy
pipeline_tag: token-classification
tags:
- spacy
- token-classification
- named-entity-recognition
- luke
base_model: {base_model}
datasets:
{datasets}
metrics:
- precision
- recall
- f1
---

# en_luke_mini

A small English pipeline for named entity recognition: `sentencizer` and `luke_ner`, which finds persons (PER),
organisations (ORG) and locations (LOC). It comes with spacy-luke, is what a bare `nlp.add_pipe("luke_ner")` runs,
and is meant for trying the package and as a start for training.

```python
import spacy

nlp = spacy.load("en_luke_mini")
doc = nlp("Grace Hopper worked for Remington Rand in Philadelphia.")
print([(ent.text, ent.label_, ent._.score) for ent in doc.ents])
```

`luke_ner/` is a Hugging Face checkpoint (`LukeForEntitySpanClassification`). Its weights are stored in float16 and
used in float32.

## Scores

Exact match of boundaries and type, in percent, on the dev part of each corpus. Tokens and sentence boundaries are
those of the corpus. The last column is spaCy's own `ner` with its default CPU configuration
(`configs/spacy_ner_baseline.cfg`: no pretrained vectors, no transformer), trained on the same files and measured by
the same script, `scripts/evaluate_ner.py`.

{scores}

{types}

The checkpoint was chosen on a sample of the same dev sets, so these figures are somewhat optimistic.

## Training

The encoder is [{base_model}](https://huggingface.co/{base_model})
(6 layers, width 384, WordPiece), made a LUKE one: its entity-aware queries start as copies of its queries, its entity
embeddings from the embedding of the mask. It was never pretrained on entities. As its tokenizer lower-cases all text,
every piece carries the case of its word as a type embedding.

`python -m spacy project run mini` makes it from the assets in `project.yml`: 1,600 steps of `configs/mini.cfg` in
batches of 32 Docs, from one seed. Of the checkpoints, one every 400 steps, the best on the sample of the dev sets is
kept.

## Data and licence

{sources}

The model is under [{license}]({license_url}).
Of the licences above, that of Universal NER asks for the same licence for what is adapted from it. Whether trained
weights are an adaptation is not settled; here they are taken to be one. The other licences allow that and ask to name
their authors, as this table does. The licence is that of the model alone: the code of spacy-luke is under the MIT
licence.

## Limits

- English only. Letters are lower-cased and accents removed before the encoder sees them.
- Three types. The other types of WNUT 2017 and CrossNER were left out, so that products, works, events, dates and
  numbers are not found.
- Each sentence is read by itself, without the sentences around it.
- Mentions of more than 16 pieces are no candidates.
- Entities do not overlap: it was trained on flat ones.
- WikiANN is labelled by machine from the links of Wikipedia; the model learns its errors and gaps as well.
- The data are tweets and other posts, web text and Wikipedia. How well the model does on other kinds of text, on
  names from other languages, or for different groups of people was not measured. Do not decide about people by its
  output alone.
"""

"""Sources of en_luke_mini, for its meta.json: corpora and the encoder with their licences and authors."""

from __future__ import annotations

from typing import Any

LICENSE = "CC BY-SA 4.0"


def _source(name: str, license: str, url: str, author: str, use: str, **more: str) -> dict[str, str]:
    return {"name": name, "url": url, "license": license, "author": author, "use": use, **more}


SOURCES: list[dict[str, Any]] = [
    _source(
        "all-MiniLM-L6-v2",
        "Apache-2.0",
        "https://huggingface.co/sentence-transformers/all-MiniLM-L6-v2",
        "sentence-transformers; MiniLM by Wang et al. (2020)",
        "the encoder to start with",
        base_model="sentence-transformers/all-MiniLM-L6-v2",
    ),
    _source(
        "English Wikipedia, a shortened dump of 106 articles",
        "CC BY-SA 4.0",
        "https://github.com/piskvorky/gensim",
        "authors of Wikipedia; test data of gensim",
        "pretraining, names of the knowledge base",
    ),
    _source(
        "2007 Wikipedia Selection for schools",
        "GFDL; the same articles of Wikipedia are under CC BY-SA, too, since 2009",
        "https://github.com/angelpras/epfl_ADA_project",
        "authors of Wikipedia; SOS Children",
        "pretraining, types by categories, names of the knowledge base",
    ),
    _source(
        "WNUT 2017, Emerging and Rare entities",
        "CC BY 4.0",
        "https://github.com/leondz/emerging_entities_17",
        "Derczynski, Nichols, van Erp, Limsopatham (2017)",
        "entities: person → PER; corporation, group → ORG; location → LOC; creative-work, product → MISC",
        hub_id="leondz/wnut_17",
    ),
    _source(
        "CrossNER",
        "MIT",
        "https://github.com/zliucr/CrossNER",
        "Liu, Xu, Yu, Dai, Ji, Cahyawijaya, Madotto, Fung (2021)",
        "entities: its types of persons, organisations, places, works, events and products → PER, ORG, LOC, MISC; "
        "types: its 39, and the nine of Open Entity that follow from them",
        hub_id="DFKI-SLT/cross_ner",
    ),
    _source(
        "Broad Twitter Corpus",
        "CC BY 4.0",
        "https://github.com/GateNLP/broad_twitter_corpus",
        "Derczynski, Bontcheva, Roberts (2016)",
        "entities: PER, ORG, LOC",
        hub_id="GateNLP/broad_twitter_corpus",
    ),
    _source(
        "Universal NER, English Web Treebank (dev part)",
        "CC BY-SA 4.0",
        "https://github.com/UniversalNER/UNER_English-EWT",
        "Mayhew et al. (2024)",
        "entities: PER, ORG, LOC",
        hub_id="universalner/universal_ner",
    ),
    _source(
        "WikiANN, English",
        "ODC-BY",
        "https://github.com/Babelscape/wikineural",
        "Pan et al. (2017), split of Rahimi, Li, Cohn (2019), files of Tedeschi et al. (2021)",
        "entities: PER, ORG, LOC",
        hub_id="unimelb-nlp/wikiann",
    ),
    _source(
        "KnowledgeNet, folds 1 and 2",
        "CC BY-SA 4.0",
        "https://github.com/diffbot/knowledge-net",
        "Mesquita, Cannaviccio, Schmidek, Mirza, Barbosa (2019)",
        "relations",
    ),
    _source(
        "Re-DocRED, 400 documents of its dev part",
        "MIT",
        "https://github.com/tonytan48/Re-DocRED",
        "Tan, Xu, Bing, Ng, Aljunied (2022); DocRED by Yao et al. (2019)",
        "entities: PER, ORG, LOC, MISC; relations, of all pairs of a sentence",
        hub_id="tonytan48/Re-DocRED",
    ),
    _source(
        "GUM, 84 documents of six genres",
        "CC BY and CC BY-SA (texts), CC BY 4.0 (annotation)",
        "https://github.com/amir-zeldes/gum",
        "Zeldes (2017)",
        "entities: PER, ORG, LOC; types of named mentions",
    ),
    _source(
        "QAMR",
        "MIT (questions), CC BY and CC BY-SA (texts)",
        "https://github.com/uwnlp/qamr",
        "Michael, Stanovsky, He, Dagan, Zettlemoyer (2018)",
        "questions",
    ),
    _source(
        "SQuAD 2.0, 13 articles of its dev part",
        "CC BY-SA 4.0",
        "https://rajpurkar.github.io/SQuAD-explorer/",
        "Rajpurkar, Jia, Liang (2018)",
        "questions, also asked of paragraphs that do not answer them",
        hub_id="rajpurkar/squad_v2",
    ),
    _source(
        "SQuADShifts, new Wikipedia, 42 articles",
        "CC BY 4.0 (questions), CC BY-SA (texts)",
        "https://github.com/modestyachts/squadshifts-website",
        "Miller, Krauth, Recht, Schmidt (2020)",
        "questions, also asked of paragraphs that do not answer them",
    ),
    _source(
        "TyDi QA, English, its train part",
        "Apache-2.0 (questions), CC BY-SA 3.0 (passages)",
        "https://github.com/google-research-datasets/tydiqa",
        "Clark, Choi, Collins, Garrette, Kwiatkowski, Nikolaev, Palomaki (2020)",
        "questions, also asked of passages that do not answer them",
    ),
    _source(
        "QANom, its train part",
        "MIT (questions), CC BY 2.5 and CC BY-SA (texts of Wikinews and Wikipedia)",
        "https://github.com/kleinay/QANom",
        "Klein, Mamou, Pyatkin, Stepanov, He, Roth, Zettlemoyer, Dagan (2020)",
        "some of its sentences, with relations that a large language model annotated for this one, as on paragraphs "
        "of SQuAD, SQuADShifts, TyDi QA, GUM and the Selection for schools",
    ),
]

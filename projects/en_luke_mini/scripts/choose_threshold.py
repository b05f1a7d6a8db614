"""Choose `no_answer_threshold` of a luke_qa pipeline on a .spacy file with answerable and unanswerable questions.

    python -m scripts.choose_threshold training/qa/model-last corpus/squad/train.spacy --limit 100

Prints EM and F1 for each threshold, the best one last. Not to be chosen on the data that the scores are reported for.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import spacy

from spacy_luke.training.corpus import build_gold_mentions_corpus


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="folder or name of a pipeline whose last component is luke_qa")
    parser.add_argument("data", type=Path, help="a .spacy file")
    parser.add_argument("--limit", type=int, default=0, help="Docs to read; 0 = all")
    args = parser.parse_args()

    nlp = spacy.load(args.model)
    pipe = nlp.get_pipe(nlp.pipe_names[-1])
    examples = list(build_gold_mentions_corpus(args.data, questions=True, limit=args.limit)(nlp))
    docs = [example.predicted for example in examples]
    scores = pipe.predict(docs)
    found = []
    for threshold in [step / 2 for step in range(-10, 31)]:
        pipe.no_answer_threshold = threshold
        pipe.set_annotations(docs, scores)
        result = pipe.score(examples)
        found.append((result["qa_f1"], result["qa_em"], threshold))
        print(f"{threshold:6.1f}  EM {100 * result['qa_em']:.1f}  F1 {100 * result['qa_f1']:.1f}")
    print(f"best: {max(found)[2]}")


if __name__ == "__main__":
    main()

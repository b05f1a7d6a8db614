"""`luke_qa` on passages of several windows, beside `LukeForQuestionAnswering` on the same windows: logits of start and
end.

transformers' windows are made by its tokenizer, a window at a time, as transformers/data/processors/squad.py does.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..compare import Other, Outcome, Sides, compare
from ..models import random_luke
from ..options import Options
from ..rows import Row
from ..sides import Given, Transformers, logits_differ, ours
from ..texts import all_sentences, with_mentions

HEAD = "LukeForQuestionAnswering"
SENTENCES, QUESTIONS = 40, 3  # of a passage
LONGEST, STRIDE = 512, 128


def measure(options: Options) -> list[Row]:
    """A row for transformers in arrival order, and one for sorted windows."""
    texts = all_sentences(options)
    checkpoint = random_luke(options.folder / "luke", options.size, texts, head=HEAD)
    count = max(1, options.sentences // 24)
    passages = [" ".join(texts[i * SENTENCES : (i + 1) * SENTENCES]) for i in range(count)]

    def make(precise: bool) -> Sides:
        nlp = ours(checkpoint, options, precise)
        pipe: Any = nlp.get_pipe("luke_qa")
        docs = with_mentions(nlp, filter(None, passages))
        asked: list[tuple[str, str]] = []
        for doc in docs:
            named = dict.fromkeys(ent.text for ent in doc.ents)
            doc._.questions = [f"What is said of {name}?" for name in named][:QUESTIONS]
            asked += [(question, doc.text) for question in doc._.questions]
        reference = Transformers(checkpoint, HEAD, options, precise)

        def other(by_length: bool) -> Outcome:
            windows = _windows(asked, reference.tokenizer)
            order = sorted(range(len(windows)), key=lambda i: len(windows[i]["input_ids"])) if by_length else None
            return reference.logits(windows, order, reference.pad)

        def run() -> Outcome:
            return Outcome([logits for _, doc_logits in pipe.logits(docs) for logits in doc_logits])

        what = f"windows of {len(asked)} questions"
        others = [
            Other(f"{what}, transformers in arrival order", lambda: other(False), 2.0),
            Other(f"{what}, transformers sorted by length", lambda: other(True)),
        ]
        return Sides(run, others, len(_windows(asked, reference.tokenizer)), "windows/s")

    return compare("qa", make, logits_differ, options)


def _windows(asked: Sequence[tuple[str, str]], tokenizer: Any) -> list[Given]:
    """The windows of each question, as long as the model allows, `STRIDE` pieces apart. A text is tokenised once."""
    pieces = {text: tokenizer.convert_tokens_to_ids(tokenizer.tokenize(text)) for pair in set(asked) for text in pair}
    windows: list[Given] = []
    for question, passage in asked:
        ids, rest = pieces[question], pieces[passage]
        room = LONGEST - tokenizer.num_special_tokens_to_add(pair=True) - len(ids)
        while rest:
            made = tokenizer.prepare_for_model(
                ids,
                rest,
                truncation="only_second",
                max_length=LONGEST,
                stride=room - STRIDE,
                return_overflowing_tokens=True,
            )
            rest = made.get("overflowing_tokens", [])
            windows.append({name: made[name] for name in ("input_ids", "attention_mask")})
    return windows

"""Words that a tokenizer was given (`add_tokens`): read from its files, and found in a text before the model sees
it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import tokenizers
from tokenizers import Tokenizer, models
from tokenizers.normalizers import Normalizer

from ..errors import LukeError

# Pieces that mark entities in the text.
MARKERS = ("<ent>", "<ent2>")


@dataclass(frozen=True)
class AddedToken:
    """A piece that is found in a text as it is written.

    special: it has a role of its own, such as that of the mask; in a text it is plain text.
    single_word: only found as a whole word.
    lstrip, rstrip: takes the white space before or after it away.
    normalized: found in the text as the tokenizer normalises it.
    """

    id: int
    content: str
    special: bool = False
    single_word: bool = False
    lstrip: bool = False
    rstrip: bool = False
    normalized: bool = True


# Half-open range of characters, and the token that is there or the text that the model sees.
Part = tuple[int, int, AddedToken | str]


def read_added_tokens(listed: Any, by_id: Any, special: Collection[str]) -> dict[str, AddedToken]:
    """The added tokens that a tokenizer's files have with their flags, by content; L022 if they cannot be read.

    listed: `added_tokens` of tokenizer.json. by_id: `added_tokens_decoder` of tokenizer_config.json.
    special: those that are special, whatever their flags.
    """
    found: dict[str, AddedToken] = {}
    for file, tokens in (("tokenizer.json", listed), ("tokenizer_config.json", by_id)):
        if isinstance(tokens, dict) and tokens is by_id:
            tokens = [_with_id(identifier, data) for identifier, data in tokens.items()]
        if not isinstance(tokens, list | None):
            raise LukeError("L022", file=file, reason="its added tokens are no list and no dictionary by their ids")
        for data in tokens or ():
            token = _token(file, data, special)
            found[token.content] = token
    return found


def read_added_ids(ids: Mapping[str, Any], special: Collection[str]) -> dict[str, AddedToken]:
    """The same for added_tokens.json, which tells the id of each token and no flags."""
    found = [_token("added_tokens.json", {"content": content, "id": i}, special) for content, i in ids.items()]
    return {token.content: token for token in found}


def _with_id(identifier: str, data: Any) -> Any:
    return {**data, "id": int(identifier)} if isinstance(data, dict) and identifier.isdecimal() else None


def _token(file: str, data: Any, special: Collection[str]) -> AddedToken:
    data = data if isinstance(data, dict) else {}
    content, identifier = data.get("content"), data.get("id")
    wrong = not isinstance(content, str)
    if wrong or isinstance(identifier, bool) or not isinstance(identifier, int) or identifier < 0:
        raise LukeError("L022", file=file, reason=f"it has an added token {content!r} with the id {identifier!r}")
    is_special = bool(data.get("special")) or content in special
    flags = {name: bool(data.get(name)) for name in ("single_word", "lstrip", "rstrip")}
    return AddedToken(identifier, content, is_special, **flags, normalized=bool(data.get("normalized", not is_special)))


def special_tokens(settings: Mapping[str, Any]) -> set[str]:
    """The tokens that tokenizer_config.json and special_tokens_map.json name: by their roles, or as further ones."""
    named = set(MARKERS)
    for key, value in settings.items():
        if key.endswith(("_token", "special_tokens")) or key.startswith("entity_token"):
            values = value if isinstance(value, list) else [value]
            contents = [one.get("content") if isinstance(one, dict) else one for one in values]
            named.update(content for content in contents if isinstance(content, str))
    return named


class AddedTokenFinder:
    """Cuts a text at the added tokens in it: the first from the left, the longest of those that start there.

    tokens: those that are looked for.
    normalizer: of the tokenizer, for tokens that are `normalized`.
    slow: with the rules of transformers' tokenizers in Python, instead of those of the `tokenizers` library: a single
        word is one between spaces or ends of the text, and all tokens are looked for in the text as it is.
    """

    def __init__(self, tokens: Iterable[AddedToken], normalizer: Normalizer | None = None, *, slow: bool = False):
        self._slow = slow
        # What lies between added tokens is one unknown word.
        self._finder = Tokenizer(models.WordLevel({"": 0}, unk_token=""))
        self._normalizer = None if slow else normalizer
        if self._normalizer is not None:
            self._finder.normalizer = self._normalizer
        # A token that normalises to nothing is found nowhere; the library would fail on every text.
        by_content = {token.content: token for token in tokens if self._normal(token)}
        self._finder.add_tokens([_plain(token.content) if slow else _flagged(token) for token in by_content.values()])
        self._tokens = {self._finder.token_to_id(content): token for content, token in by_content.items()}
        self._by_content = by_content

    def __call__(self, text: str) -> list[Part]:
        """The parts of a text in order; one, the text itself, if nothing is found."""
        encoding = self._finder.encode(text, add_special_tokens=False)
        parts: list[Part] = []
        place = 0
        for identifier, (start, end) in zip(encoding.ids, encoding.offsets, strict=True):
            if not identifier or start == end:
                continue
            token = self._tokens[identifier]
            if token.normalized and self._normalizer is not None:
                start, end = self._range(text, start, end, token)
            if place < start:
                parts.append((place, start, text[place:start]))
            elif start < place:
                # White space that the token before takes away, and that is a token as well: the library finds both.
                before, _, taker = parts[-1]
                parts[-1] = (before, max(before, start), taker)
            parts.append((start, end, token))
            place = end
        if place < len(text):
            parts.append((place, len(text), text[place:]))
        return self._as_slow(text, parts) if self._slow and len(parts) > 1 else parts

    def _normal(self, token: AddedToken) -> str:
        """Text that is searched for."""
        return self._normalizer.normalize_str(token.content) if self._normalizer and token.normalized else token.content

    def _range(self, text: str, start: int, end: int, token: AddedToken) -> tuple[int, int]:
        """The range of a token with the white space that it takes away, and nothing else.

        start, end: as the library gives them. They are too low where SentencePiece's normaliser has dropped characters
        at the start of what it was given. And a normaliser may put a space beside a character, as BERT's does with
        Chinese ones: it has the character's range.
        """
        assert self._normalizer is not None
        normal, content = self._normalizer.normalize_str, self._normal(token).strip()
        takes_space = token.lstrip or token.rstrip
        if not takes_space and normal(text[start:end]).strip() == content:
            return start, end
        ends = (i for i in range(start + 1, len(text) + 1) if normal(text[start:i]).strip().endswith(content))
        last = next(ends, end)
        first = next((i for i in range(last - 1, start, -1) if normal(text[i:last]).strip() == content), start)
        while takes_space and last < end and not normal(text[last]).strip():
            last += 1
        while takes_space and start < first and not normal(text[first - 1]).strip():
            first -= 1
        return first, last

    def _as_slow(self, text: str, parts: Sequence[Part]) -> list[Part]:
        """Apply the flags as transformers does in Python (tokenization_utils.py, `PreTrainedTokenizer.tokenize`).

        A token that is no single word goes to the text before it, or else to the text after it; the model sees both as
        one text. The white space that it takes away is gone even so.
        """
        made = [_Part(start, end, text[start:end]) for start, end, _ in parts]
        for index, part in enumerate(made):
            token = self._by_content.get(part.content)
            if token is None:
                continue
            before = made[index - 1] if index else _Part(part.start, part.start, "")
            after = made[index + 1] if index + 1 < len(made) else _Part(part.end, part.end, "")
            left, right = before.content, after.content
            if token.rstrip:
                after.content = right.lstrip()
                part.end = after.start = after.start + len(right) - len(after.content)
            if token.lstrip:
                before.content = left.rstrip()
                part.start = before.end = before.end - len(left) + len(before.content)
            if token.single_word and left and left[-1] != " ":
                before.content, before.end = before.content + token.content, part.end
                part.content, part.start = "", part.end
            elif token.single_word and right and right[0] != " ":
                after.content, after.start = token.content + after.content, part.start
                part.content, part.end = "", part.start
        return [
            (part.start, part.end, self._by_content.get(part.content) or part.content) for part in made if part.content
        ]


def _plain(content: str) -> tokenizers.AddedToken:
    return tokenizers.AddedToken(content, normalized=False)


def _flagged(token: AddedToken) -> tokenizers.AddedToken:
    flags = {name: getattr(token, name) for name in ("single_word", "lstrip", "rstrip", "normalized")}
    return tokenizers.AddedToken(token.content, **flags)


@dataclass
class _Part:
    start: int
    end: int
    content: str


def named_alike(token: AddedToken, names: Iterable[str]) -> list[AddedToken]:
    """The same token under several names."""
    return [replace(token, content=name) for name in names]

"""Attention weights as lines between two columns."""

from __future__ import annotations

import copy
import json
import re
from typing import Any

import numpy as np
import pytest
import spacy
from spacy.tokens import Doc, Span
from transformers import LongformerModel, LukeModel

from spacy_luke import LukeError, displacy
from spacy_luke.pipeline.encoder.states import DocStates
from tests.util import longformer_config, luke_config, randomise, write_longformer, write_luke

from .markup import SVG, Rect, classes, svgs, text

WORDS = ["Élodie", "O'Neil", "moved", "to", "São", "Paulo", "."]
ROW = {"text": "a", "token": 0}


@pytest.fixture(scope="module")
def encoders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("encoders")
    write_luke(folder / "luke", randomise(LukeModel(luke_config())))
    write_longformer(folder / "longformer", randomise(LongformerModel(longformer_config())))
    made = {}
    for kind, name in (("luke", "LukeEncoder"), ("longformer", "LongformerEncoder")):
        config = {"model": {"@architectures": f"spacy-luke.{name}.v1"}}
        made[kind] = spacy.blank("en").add_pipe("luke_encoder", config=config).load_checkpoint(folder / kind)
    return made


def make_doc(*, copies: int = 1) -> Doc:
    doc = Doc(spacy.blank("en").vocab, words=WORDS * copies)
    doc.set_ents([Span(doc, 0, 2, "PERSON"), Span(doc, 4, 6, "GPE")])
    doc.user_data["title"] = "Moved"
    return doc


@pytest.fixture
def states(encoders) -> DocStates:
    [found] = encoders["luke"].states([make_doc()], attentions=True)
    return found


def shown(states: Any, **options: Any) -> str:
    return displacy.render(states, style="attention", options=options)


def lines(markup: str) -> list[list[tuple[int, float]]]:
    """Lines of each row on the left: the row that it goes to, and its strength."""
    [svg] = svgs(markup)
    rows = [group for group in svg.findall(f"{SVG}g") if group.get("class") == "luke-from"]
    return [
        [
            (int(path.get("class").removeprefix("luke-on-")), float(path.get("stroke-opacity")))
            for path in row.iter(f"{SVG}path")
        ]
        for row in rows
    ]


def drawn(weights: list[list[float]], entities: int = 0, **options: Any) -> str:
    pieces = [{"text": f"p{i}", "token": i} for i in range(len(weights) - entities)]
    spans = [{"text": f"e{i}", "label": "X"} for i in range(entities)]
    parsed = {"pieces": pieces, "entities": spans, "weights": weights}
    return displacy.render(parsed, style="attention", manual=True, options=options)


# What is parsed


def test_parsed_states_are_the_weights_with_the_names_of_their_rows(states):
    parsed, [window] = displacy.parse_attention(states), states.windows
    assert [piece["text"] for piece in parsed["pieces"]] == list(window.pieces)
    assert [piece["token"] for piece in parsed["pieces"]] == [i if i >= 0 else None for i in window.tokens.tolist()]
    assert parsed["entities"] == [{"text": "Élodie O'Neil", "label": "PERSON"}, {"text": "São Paulo", "label": "GPE"}]
    assert (parsed["layer"], parsed["head"], parsed["window"], parsed["title"]) == (2, None, 0, "Moved")
    np.testing.assert_array_equal(np.float32(parsed["weights"]), window.attentions[1].mean(axis=0))


@pytest.mark.parametrize(("layer", "head"), [(1, 0), (2, 3)])
def test_a_layer_and_a_head_are_chosen_by_number(states, layer, head):
    parsed = displacy.parse_attention(states, {"layer": layer, "head": head})
    np.testing.assert_array_equal(np.float32(parsed["weights"]), states.windows[0].attentions[layer - 1][head])
    assert f"Layer {layer}, head {head}" in shown(states, layer=layer, head=head)


def test_of_layers_that_were_chosen_the_number_stays(encoders):
    [some] = encoders["luke"].states([make_doc()], layers=[0, 2], attentions=True)
    assert displacy.parse_attention(some)["layer"] == 2
    with pytest.raises(LukeError, match=r"L047.*options\[.layer.\] = 1 .*give one of 2"):
        displacy.parse_attention(some, {"layer": 1})


def test_a_part_of_the_tokens(states):
    parsed = displacy.parse_attention(states, {"tokens": (4, 6)})
    assert {piece["token"] for piece in parsed["pieces"]} == {None, 4, 5}
    assert parsed["entities"] == [{"text": "São Paulo", "label": "GPE"}]
    [window] = states.windows
    pieces = len(window.pieces)
    rows = [0, *np.flatnonzero(np.isin(window.tokens, [4, 5])), pieces - 1, pieces + 1]
    expected = window.attentions[1].mean(axis=0)[np.ix_(rows, rows)]
    np.testing.assert_array_equal(np.float32(parsed["weights"]), expected)


def test_without_the_special_pieces(states):
    every, some = displacy.parse_attention(states), displacy.parse_attention(states, {"special": False})
    assert some["pieces"] == every["pieces"][1:-1]
    assert len(some["weights"]) == len(every["weights"]) - 2
    assert some["weights"][0] == [*every["weights"][1][1 : len(every["pieces"]) - 1], *every["weights"][1][-2:]]


def test_a_window_of_a_long_doc(encoders):
    [long] = encoders["luke"].states([make_doc(copies=30)], attentions=True)
    assert len(long.windows) > 2
    for number, window in enumerate(long.windows):
        parsed = displacy.parse_attention(long, {"window": number})
        assert [piece["text"] for piece in parsed["pieces"]] == list(window.pieces)
    last = int(long.windows[-1].tokens.max())
    assert displacy.parse_attention(long)["window"] == 0
    assert displacy.parse_attention(long, {"tokens": (last - 2, last + 1)})["window"] == len(long.windows) - 1
    assert "window 1" in shown(long, window=1)


def test_a_longformer_has_lines_within_its_window(encoders):
    [found] = encoders["longformer"].states([make_doc()], attentions=True)
    parsed = displacy.parse_attention(found, {"layer": 1})
    weights = np.array(parsed["weights"])
    distance = np.abs(np.arange(len(weights))[:, None] - np.arange(len(weights)))
    assert (weights[distance > 2] == 0).all()
    np.testing.assert_allclose(weights.sum(1), 1, atol=1e-5)


def test_a_doc_without_pieces(encoders):
    [empty] = encoders["luke"].states([Doc(spacy.blank("en").vocab)], attentions=True)
    assert svgs(shown(empty)) == []
    assert "luke-attention" in shown(empty)


# What is drawn


def test_each_weight_is_a_line_and_a_stronger_one_for_more():
    found = lines(drawn([[0.5, 0.25, 0.25], [0.0, 1.0, 0.0], [0.9, 0.005, 0.095]]))
    assert [[to for to, _ in row] for row in found] == [[0, 1, 2], [1], [0, 2]]
    assert found[1][0][1] == 1
    assert found[0][0][1] > found[0][1][1] == found[0][2][1] > found[2][1][1] > 0.1


def test_what_is_not_drawn_is_counted():
    weights = [[0.5, 0.5], [0.995, 0.005]]
    assert classes(drawn(weights), "luke-fine-print") == ["1 of 4 not shown: score below 0.01"]
    assert classes(drawn(weights, min_score=0.6), "luke-fine-print") == ["3 of 4 not shown: score below 0.6"]
    assert classes(drawn(weights, fine_print=False), "luke-fine-print") == []
    assert classes(drawn([[0.5, 0.5], [1.0, 0.0]]), "luke-fine-print") == []


def test_numbers_show_under_the_pointer_alone():
    weights = [[0.5, 0.5], [0.25, 0.75]]
    [svg] = svgs(drawn(weights))
    groups = [group for group in svg.iter(f"{SVG}g") if group.get("class") == "luke-numbers"]
    assert [text(group) for group in groups] == ["0.500.50", "0.250.75"]
    assert {group.get("visibility") for group in groups} == {"hidden"}
    assert "luke-from:hover .luke-numbers" in drawn(weights)
    assert 'luke-numbers"' not in drawn(weights, scores=False)


def test_both_sides_have_all_rows_in_their_order(states):
    [svg] = svgs(shown(states))
    rows = [e for e in svg.iter(f"{SVG}text") if e.get("class") == "luke-row"]
    names = [text(row).strip("\u2068\u2069") for row in rows]
    half = len(names) // 2
    assert names[:half] == names[half:]
    assert names[0] == "<s>"
    assert names[half - 2 :][:2] == ["Élodie O'Neil", "São Paulo"]
    for side in (rows[:half], rows[half:]):
        assert [row.get("y") for row in side] == sorted((row.get("y") for row in side), key=float)
        assert len({row.get("x") for row in side}) == 1


def test_rows_do_not_overlap_and_lie_in_the_picture(states):
    [svg] = svgs(shown(states))
    width, height = float(svg.get("width")), float(svg.get("height"))
    rects = []
    for row in svg.iter(f"{SVG}text"):
        if row.get("class") != "luke-row":
            continue
        x, y, length = (float(row.get(name)) for name in ("x", "y", "textLength"))
        left = x - length if row.get("text-anchor") == "end" else x
        rects.append(Rect(left, y - 12, left + length, y + 3))
    for i, rect in enumerate(rects):
        assert rect.left >= 0
        assert rect.top >= 0
        assert rect.right <= width
        assert rect.bottom <= height
        assert not any(rect.overlaps(other) for other in rects[i + 1 :])


def test_a_token_of_several_pieces_has_a_bar_on_both_sides(states):
    [svg] = svgs(shown(states))
    tokens = [t for t in states.windows[0].tokens.tolist() if t >= 0]
    several = {t for t in tokens if tokens.count(t) > 1}
    assert several
    assert len([e for e in svg.iter(f"{SVG}line") if e.get("class") == "luke-token"]) == 2 * len(several)


def test_entities_have_the_colour_of_their_label():
    markup = drawn([[1.0, 0.0], [0.5, 0.5]], entities=1, colors={"X": "#123456"})
    assert markup.count('fill="#123456"') == 2


def test_white_space_can_be_seen():
    parsed = {"pieces": [{"text": " ", "token": None}, {"text": "\n\t", "token": 0}], "entities": []}
    markup = displacy.render({**parsed, "weights": [[1, 0], [0, 1]]}, style="attention", manual=True)
    assert "␣" in markup
    assert "⏎⇥" in markup


def test_text_of_a_piece_is_escaped():
    ugly = "<script>alert('&')</script>\x00"
    parsed = {"pieces": [{"text": ugly, "token": 0}], "entities": [{"text": ugly, "label": ugly}]}
    markup = displacy.render({**parsed, "weights": [[1, 0], [0, 1]], "layer": ugly}, style="attention", manual=True)
    assert "<script" not in markup
    assert len(svgs(markup)) == 1  # well-formed


def test_long_names_are_cut_and_whole_under_the_pointer():
    name = "University of California, Berkeley, and elsewhere"
    parsed = {"pieces": [], "entities": [{"text": name, "label": "ORG"}], "weights": [[1.0]]}
    [svg] = svgs(displacy.render(parsed, style="attention", manual=True))
    assert {text(e).strip("\u2068\u2069") for e in svg.iter(f"{SVG}text") if e.get("class") == "luke-row"} == {
        name[:27] + "…"
    }
    assert {title.text for title in svg.iter(f"{SVG}title")} == {f"{name} (ORG)"}


# As with the other styles


def test_manual_mode_draws_the_same(states):
    parsed = displacy.parse_attention(states)
    written = json.loads(json.dumps(parsed))
    before = copy.deepcopy(written)
    assert displacy.render(written, style="attention", manual=True) == shown(states)
    assert written == before


@pytest.mark.parametrize("minify", [False, True])
def test_a_page_loads_nothing_and_names_its_encoding(states, minify):
    page = displacy.render([states, states], style="attention", page=True, minify=minify)
    assert '<meta charset="utf-8">' in page
    assert page.count("<figure") == 2
    assert page.count("Moved</h2>") == 2
    assert not re.search(r"<script|<link|<img|<iframe|@import|url\(|\ssrc=", page)
    assert {address for address in re.findall(r"https?://[^\"'\s]+", page)} <= {"http://www.w3.org/2000/svg"}


# What cannot be shown


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"layer": 0}, r"layer.*= 0 .*give one of 1, 2"),
        ({"layer": -1}, r"layer.*give one of 1, 2"),
        ({"head": 4}, r"head.*= 4 .*give one of 0, 1, 2, 3"),
        ({"head": True}, r"head.*= True"),
        ({"window": 1}, r"window.*give one of 0"),
        ({"tokens": (3, 3)}, r"tokens.*\(3, 3\).*7 tokens"),
        ({"tokens": (0, 8)}, r"tokens.*7 tokens"),
        ({"tokens": 2}, r"tokens.*7 tokens"),
    ],
    ids=str,
)
def test_options_that_do_not_fit(states, options, message):
    with pytest.raises(LukeError, match=rf"L047.*{message}"):
        shown(states, **options)


def test_states_without_attention_weights(encoders):
    [found] = encoders["luke"].states([make_doc()])
    with pytest.raises(LukeError, match=r"L077.*attentions=True"):
        shown(found)


def test_a_doc_is_no_states(states):
    with pytest.raises(LukeError, match=r"L077.*luke_encoder.states"):
        shown(make_doc())
    with pytest.raises(LukeError, match=r"L077.*DocStates"):
        displacy.render(states, style="ent")


@pytest.mark.parametrize(
    ("parsed", "message"),
    [
        ({"pieces": [ROW], "entities": []}, "'weights' is not a list"),
        ({"pieces": [ROW], "entities": [], "weights": [[1.0], [1.0]]}, "2 lists of 1 numbers, but there are 1"),
        ({"pieces": [ROW], "entities": [], "weights": [[1.0, 0.0]]}, "1 lists of 2 numbers, but there are 1"),
        ({"pieces": [ROW], "entities": [], "weights": [["1"]]}, "'1', which is no finite number"),
        ({"pieces": [ROW], "entities": [], "weights": [[float("nan")]]}, "nan, which is no finite number"),
        ({"pieces": [{}], "entities": [], "weights": [[1]]}, "'text' is not a string"),
        ({"pieces": [ROW], "weights": [[1]]}, "'entities' is not a list"),
        ({"pieces": [], "entities": [{"text": "a"}], "weights": [[1]]}, "'label' is not a string"),
    ],
    ids=str,
)
def test_dicts_with_mistakes(parsed, message):
    with pytest.raises(LukeError, match=f"L077.*{message}"):
        displacy.render(parsed, style="attention", manual=True)

"""INCEpTION: a UIMA CAS of each document, as JSON or XMI, through dkpro-cassis.

Formats: "UIMA CAS JSON" and "UIMA CAS XMI" of https://inception-project.github.io/releases/, appendix Formats. A span
layer is a type of annotation with a string feature, a relation layer one with the features `Governor`, where its arrow
starts, and `Dependent`, where it points to. Projects start with these:

    custom.Span                                             label
    custom.Relation                                         label
    de.tudarmstadt.ukp.dkpro.core.api.ner.type.NamedEntity  value, identifier
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from types import UnionType
from typing import Any

from spacy.tokens import Doc
from spacy.vocab import Vocab

from ..errors import LukeError
from ..files import write_file
from .annotated_text import AnnotatedText, TextMention, TextRelation, read_annotations, write_annotations
from .files import read_chunks
from .records import KINDS
from .report import ConversionReport
from .texts import TextTokenizer
from .tools import NOT_ANNOTATED, FileNames

DKPRO = "de.tudarmstadt.ukp.dkpro.core.api."
SENTENCE, TOKEN = f"{DKPRO}segmentation.type.Sentence", f"{DKPRO}segmentation.type.Token"
NAMED_ENTITY = f"{DKPRO}ner.type.NamedEntity"
DOCUMENT = f"{DKPRO}metadata.type.DocumentMetaData"
ANNOTATION, STRING, DOUBLE = "uima.tcas.Annotation", "uima.cas.String", "uima.cas.Double"
SPAN_LAYER, RELATION_LAYER = "custom.Span", "custom.Relation"
HEAD, TAIL = "Governor", "Dependent"
IDENTIFIER = "identifier"
LABELS = ("value", "label")
# Features that are read, or that every annotation has.
OWN = ("sofa", "begin", "end", HEAD, TAIL, IDENTIFIER)
# What DKPro Core and INCEpTION keep in a CAS beside what people annotate.
INTERNAL = ("uima.", DKPRO, "de.tudarmstadt.ukp.clarin.", "de.tudarmstadt.ukp.inception.")
TYPE_SYSTEM = "TypeSystem.xml"
NOT_XML = re.compile("[^\t\n\r -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def read_inception(
    path: str | Path,
    *,
    layers: Sequence[str] | None = None,
    features: Mapping[str, str] | None = None,
    relations: bool | None = None,
    spans_key: str | None = None,
    vocab: Vocab | None = None,
) -> tuple[list[Doc], ConversionReport]:
    """INCEpTION (UIMA CAS JSON or XMI): spans and relations of layers; needs spacy-luke[inception].

    A Doc is a document, with the sentences of the file. Entities are the annotations of span layers, relations those of
    relation layers, from `Governor` to `Dependent`; the label of both is the feature `value` or `label`, or else the
    only string feature of the layer. `ent.kb_id_` is the feature `identifier`, scores are those of `value_score` or
    `label_score`. `doc.user_data["id"]` is the name of the document.

    An XMI file needs its TypeSystem.xml beside it.

    layers: Names of the layers to read, with or without what is before their last dot; None = NamedEntity and all
        that belong to the project.
    features: Layer -> feature with the label, where it is another.
    relations: Whether the document was annotated with relations, so that without them it has none; None = if the file
        knows a relation layer.
    spans_key: Key of `doc.spans`, where spans may overlap; None = `doc.ents`.
    vocab: Vocabulary of the Docs, by default a new one.
    """
    path = Path(path)
    report = ConversionReport(files=[f"{path}: INCEpTION"])
    cas = load_cas(path)
    if not isinstance(cas.sofa_string, str):
        raise LukeError("L060", path=path, line=1, reason="its CAS has no text")
    known = {layer.name: layer for layer in cas.typesystem.get_types()}
    chosen = choose_layers(path, known, layers)
    used = {item.type.name for item in cas.select_all_annotations()}
    labels = {name: find_label(path, known[name], features or {}) for name in chosen if layers or name in used}
    content = AnnotatedText(cas.sofa_string, name=document_name(cas, path))
    related = [name for name in chosen if is_relation(known[name])]
    read_layers(path, cas, content, labels, set(related), report)
    if not content.relations and not (bool(related) if relations is None else relations):
        content.relations = None
    doc = TextTokenizer(vocab)(content.text)
    write_annotations(doc, content, report, path.name, spans_key=spans_key)
    report.count([doc])
    return [doc], report


def import_cassis() -> Any:
    """The package dkpro-cassis; L176 without it."""
    try:
        import cassis
    except ImportError as error:
        raise LukeError("L176", what="a UIMA CAS", package="dkpro-cassis", reason=error, extra="inception") from error
    return cassis


def load_cas(path: Path) -> Any:
    """The CAS of a file. L060 for what is none."""
    text = decode(path, b"".join(read_chunks(path)))
    if not text.lstrip().startswith("<"):
        return parse_cas(text, path)
    types = path.with_name(TYPE_SYSTEM)
    if not types.is_file():
        raise LukeError(
            "L060", path=path, line=1, reason=f"there is no {TYPE_SYSTEM} beside it, which an XMI file needs"
        )
    return parse_cas(text, path, decode(types, b"".join(read_chunks(types))), types)


def parse_cas(text: str, path: str | Path, types: str | None = None, types_path: str | Path = TYPE_SYSTEM) -> Any:
    """A CAS in JSON, or in XMI with its type system. L060 for what is none, and for XML with a document type, which
    could expand without end.

    path, types_path: where they are from, for messages.
    """
    cassis = import_cassis()
    sources = {} if types is None else {path: text, types_path: types}
    for source, content in sources.items():
        if "<!DOCTYPE" in content:
            raise LukeError(
                "L060", path=source, line=1, reason="it has a document type (<!DOCTYPE), and a CAS has none"
            )
    reading = path if types is None else types_path
    try:
        with warnings.catch_warnings():  # of offsets outside the text, or in the middle of a character
            warnings.simplefilter("error", UserWarning)
            if types is None:
                return cassis.load_cas_from_json(text)
            typesystem = cassis.load_typesystem(types)
            reading = path
            return cassis.load_cas_from_xmi(text, typesystem=typesystem)
    except Exception as error:  # whatever cassis and lxml make of other bytes
        reason = f"it is no UIMA CAS ({type(error).__name__}: {' '.join(str(error).split())})"
        raise LukeError("L060", path=reading, line=1, reason=reason) from error


def decode(path: Path, data: bytes) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise LukeError("L060", path=path, line=line, reason=f"not UTF-8 ({error.reason})") from None


def document_name(cas: Any, path: Path) -> str:
    """The title of the document, else its id or the name of the file without its suffix."""
    if cas.typesystem.contains_type(DOCUMENT):
        for item in cas.select(DOCUMENT):
            for name in ("documentTitle", "documentId"):
                if isinstance(value := getattr(item, name, None), str) and value:
                    return value
    return path.stem


def is_relation(layer: Any) -> bool:
    return {HEAD, TAIL} <= {feature.name for feature in layer.all_features}


def string_features(layer: Any) -> list[str]:
    return [f.name for f in layer.all_features if f.rangeType.name == STRING and f.name != IDENTIFIER]


def choose_layers(path: str | Path, known: Mapping[str, Any], layers: Sequence[str] | None) -> list[str]:
    """The full names of the layers to read; L178 for one that the file does not know."""
    spans = [name for name, layer in known.items() if "begin" in {feature.name for feature in layer.all_features}]
    if layers is None:
        own = [name for name in spans if not name.startswith(INTERNAL) or name == NAMED_ENTITY]
        return [name for name in own if string_features(known[name])]
    chosen = []
    for wanted in layers:
        found = [name for name in spans if wanted in (name, name.rpartition(".")[2])]
        if len(found) != 1:
            raise LukeError("L178", path=path, what="layer", name=wanted, known=", ".join(found or spans))
        chosen += found
    return chosen


def find_label(path: str | Path, layer: Any, features: Mapping[str, str]) -> str:
    """The feature of a layer that is its label; L177 if that is not clear, L178 for one that it has not."""
    known = string_features(layer)
    short = layer.name.rpartition(".")[2]
    if (wanted := features.get(layer.name, features.get(short))) is not None:
        if wanted not in known:
            raise LukeError("L178", path=path, what=f"feature of {layer.name}", name=wanted, known=", ".join(known))
        return wanted
    usual = [name for name in LABELS if name in known]
    if not usual and len(known) != 1:
        raise LukeError(
            "L177",
            path=path,
            place=layer.name,
            what="which feature is the label",
            found=", ".join(known) or "no string",
            option=f"features (--features {short}=FEATURE), or leave the layer out with layers (--layers)",
        )
    return usual[0] if usual else known[0]


def read_layers(
    path: Path,
    cas: Any,
    content: AnnotatedText,
    labels: Mapping[str, str],
    related: set[str],
    report: ConversionReport,
) -> None:
    """Read all annotations of a CAS into the content. labels: the feature of each layer that is read."""
    content.relations = []
    sentences: list[int] = []
    others = {
        name: [
            f.name for f in cas.typesystem.get_type(name).all_features if f.name not in (*OWN, label, f"{label}_score")
        ]
        for name, label in labels.items()
    }
    for item in cas.select_all_annotations():
        name = item.type.name
        short = name.rpartition(".")[2]
        if name == SENTENCE:
            sentences.append(value_of(path, item, "begin", int))
        elif name not in labels:
            if not name.startswith("uima.") and name not in (TOKEN, DOCUMENT):
                report.not_carried[f"layer {short}"] += 1
            continue
        elif name in related:
            score = score_of(path, item, labels[name], report)
            if label := value_of(path, item, labels[name], str):
                head, tail = getattr(item, HEAD), getattr(item, TAIL)
                content.relations.append(TextRelation(id_of(head), id_of(tail), label, score))
            else:
                report.nameless_relations.add(f"{path.name} {short}")
        else:
            read_span(path, item, labels[name], content, report)
        for other in others.get(name, ()):
            if getattr(item, other) is not None:
                report.not_carried[f"feature {short}.{other}"] += 1
    for item in cas.select_all_fs():
        if not hasattr(item, "begin") and not item.type.name.startswith("uima."):
            report.not_carried[f"layer {item.type.name.rpartition('.')[2]}"] += 1  # of the document
    content.sentences = sorted(sentences) or None


def value_of(path: Path, item: Any, name: str, kind: type | UnionType) -> Any:
    """The value of a feature, None if it has none; L064 for one of another type, which cassis does not look at."""
    value = getattr(item, name, None)
    if value is not None and (not isinstance(value, kind) or isinstance(value, bool)):
        wanted = KINDS.get(kind, "a number")
        raise LukeError("L064", path=path, place=item.type.name, reason=f"its {name!r}, {value!r}, is not {wanted}")
    return value


def id_of(item: Any) -> str:
    """How mentions of a CAS that is in memory are told apart."""
    return "" if item is None else str(id(item))


def read_span(path: Path, item: Any, feature: str, content: AnnotatedText, report: ConversionReport) -> None:
    start, end = (value_of(path, item, name, int) for name in ("begin", "end"))
    if start is None or end is None or not 0 <= start <= end <= len(content.text):
        reason = f"it is not in a text of {len(content.text)} characters"
        raise LukeError("L064", path=path, place=f"{item.type.name} {start}-{end}", reason=reason)
    label = value_of(path, item, feature, str)
    if not label:
        report.not_carried["spans without label"] += 1
        return
    kb_id = value_of(path, item, IDENTIFIER, str) or ""
    score = score_of(path, item, feature, report)
    content.mentions.append(TextMention(id_of(item), start, end, label, kb_id, score))


def score_of(path: Path, item: Any, feature: str, report: ConversionReport) -> float | None:
    score = value_of(path, item, f"{feature}_score", float | int)
    if score is None:
        return None
    if not 0 <= score <= 1:
        report.not_carried["scores that are no probabilities"] += 1
        return None
    return float(score)


def write_inception(
    docs: Iterable[Doc],
    path: str | Path,
    *,
    xmi: bool = False,
    layer: str = SPAN_LAYER,
    relation_layer: str = RELATION_LAYER,
    feature: str = "label",
    spans_key: str | None = None,
) -> ConversionReport:
    """INCEpTION (a folder of UIMA CAS JSON or XMI): spans, relations, links and sentences; needs spacy-luke[inception].

    The files of a Doc are named after `doc.user_data["id"]`, else numbered. Links are the feature `identifier`, scores
    the feature `label_score`; INCEpTION keeps of both what the layer of the project has.

    xmi: Write XMI, with TypeSystem.xml in the folder, instead of JSON.
    layer, relation_layer: Full names of the layers. The first ones are those of INCEpTION's basic projects; for the
        layer of named entities, give its name, and "value" as the feature.
    feature: Feature of both layers with the label.
    spans_key: Key of `doc.spans`, whose spans are written; None = `doc.ents`.
    """
    path = Path(path)
    report = ConversionReport(files=[f"{path}: INCEpTION"])
    layers = (layer, relation_layer, feature)
    types = {related: make_types(layers, relations=related) for related in (False, True)}
    names = FileNames()
    files: dict[str, str] = {}  # written when all Docs are known to have a form
    unannotated = 0
    for number, doc in enumerate(docs, start=1):
        place = f"Doc {number}"
        content = read_annotations(doc, report, place, spans_key=spans_key, holds=frozenset({"links", "scores"}))
        name = names.add(content.name, number)
        # A CAS that does not know the layer of relations is one that is not annotated with them.
        unannotated += content.relations is None
        cas = make_cas(doc, content, types[content.relations is not None], layers, name)
        if xmi:
            check_xml(content, place)
            files[f"{name}.xmi"] = cas.to_xmi()
        else:
            files[f"{name}.json"] = cas.to_json()
    if xmi:
        related = report.documents > unannotated
        files[TYPE_SYSTEM] = types[related].to_xml()
        if related and unannotated:
            report.not_carried[NOT_ANNOTATED] += unannotated
    for file, text in files.items():
        write_file(path / file, text)
    return report


def check_xml(content: AnnotatedText, place: str) -> None:
    """L179 for a character that XML cannot have."""
    labels = [item.label for item in [*content.mentions, *(content.relations or ())]]
    for text in (content.text, content.name, *labels, *(mention.kb_id for mention in content.mentions)):
        if found := NOT_XML.search(text):
            raise LukeError("L179", place=place, reason=f"XML has no form for U+{ord(found[0]):04X}; write JSON")


def make_types(layers: tuple[str, str, str], *, relations: bool) -> Any:
    """A type system with the layers of spans and relations, and with tokens and sentences as INCEpTION has them."""
    layer, relation_layer, feature = layers
    types = import_cassis().TypeSystem()
    for name in (SENTENCE, TOKEN):
        types.create_type(name, ANNOTATION)
    document = types.create_type(DOCUMENT, "uima.tcas.DocumentAnnotation")
    for name in ("documentTitle", "documentId"):
        types.create_feature(document, name, STRING)
    for name in (layer, relation_layer) if relations else (layer,):
        made = types.create_type(name, ANNOTATION)
        types.create_feature(made, feature, STRING)
        types.create_feature(made, f"{feature}_score", DOUBLE)
        for extra, kind in (
            ((HEAD, ANNOTATION), (TAIL, ANNOTATION)) if name == relation_layer else ((IDENTIFIER, STRING),)
        ):
            types.create_feature(made, extra, kind)
    return types


def make_cas(doc: Doc, content: AnnotatedText, types: Any, layers: tuple[str, str, str], name: str) -> Any:
    layer, relation_layer, feature = layers
    cas = import_cassis().Cas(typesystem=types)
    cas.sofa_string, cas.sofa_mime = content.text, "text/plain"
    document = types.get_type(DOCUMENT)
    end = len(content.text)
    cas.add(document(begin=0, end=end, documentTitle=content.name or name, documentId=content.name or name))
    sentence, token_type = types.get_type(SENTENCE), types.get_type(TOKEN)
    if doc.has_annotation("SENT_START"):  # INCEpTION splits texts without sentences itself
        starts = [0, *(token.idx for token in doc if token.i and token.is_sent_start)]
        cas.add_all(sentence(begin=start, end=stop) for start, stop in pairwise([*starts, end]))
    cas.add_all(token_type(begin=t.idx, end=t.idx + len(t)) for t in doc if not t.is_space)
    span_type = types.get_type(layer)
    spans: dict[str, Any] = {}
    for mention in content.mentions:
        values = {feature: mention.label, f"{feature}_score": mention.score, IDENTIFIER: mention.kb_id or None}
        spans[mention.id] = span_type(begin=mention.start, end=mention.end, **values)
    cas.add_all(spans.values())
    for relation in content.relations or ():
        head, tail = spans[relation.head], spans[relation.tail]
        values = {feature: relation.label, f"{feature}_score": relation.score, HEAD: head, TAIL: tail}
        cas.add(types.get_type(relation_layer)(begin=tail.begin, end=tail.end, **values))
    return cas

"""The label that means "nothing here"."""

from __future__ import annotations

from ...errors import LukeError

# Names that checkpoints and corpora use.
NO_ENTITY = ("NIL", "[NIL]", "O", "NONE", "None", "no_entity")
NO_RELATION = ("no_relation", "NA", "Other", "other", "NoRelation", "None", "NONE", "P0", "norelation")
# config.json without names of labels: the paper's code puts the negative label first.
_FIRST = "LABEL_0"


def find_negative(name: str, labels: tuple[str, ...], setting: str | None, known: tuple[str, ...]) -> str | None:
    """The negative label among `labels`: the one set, else one of the usual names; None if there is none.

    name: of the component, for L044: the label that is set is not among `labels`.
    """
    if setting is not None:
        if labels and setting not in labels:
            raise LukeError("L044", label=setting, name=name, labels=", ".join(labels))
        return setting
    return next((label for label in (*known, _FIRST) if label in labels), None)

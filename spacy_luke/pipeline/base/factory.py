"""Registration of components with spaCy: a factory has the settings of the constructor, which alone spells them out."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any, TypeVar, get_type_hints

from spacy.language import Language
from thinc.api import Config, Model

from .component import TaskComponent

# The encoder of a new component. `default_config` says what is otherwise.
DEFAULT_ENCODER = {"@architectures": "spacy-luke.LukeEncoder.v1", "entity_vocab": "special", "precision": "float32"}
ComponentT = TypeVar("ComponentT", bound=TaskComponent)


def component_factory(
    component: type[ComponentT],
    default_config: str,
    *,
    assigns: Sequence[str],
    score_weights: dict[str, float | None],
    requires: Sequence[str] = (),
) -> Callable[..., ComponentT]:
    """Register a component under its `factory` name. RETURNS: the factory, a function of `nlp`, `name` and settings.

    default_config: of the settings, as a config file with a block that has the name of the factory; the encoder of the
        model is `DEFAULT_ENCODER` but for what is said of it there.
    assigns, requires: attributes, for `nlp.analyze_pipes`. score_weights: default weights of the scores.
    """
    factory = component.factory
    config = Config().from_str(default_config)[factory]
    config["model"]["encoder"] = {**DEFAULT_ENCODER, **config["model"].get("encoder", {})}

    def make(nlp: Language, name: str, model: Model, **settings: Any) -> ComponentT:
        return component(nlp.vocab, model, name, **settings)

    # spaCy checks a config against the signature: what is `Any` there, the component checks itself, with an error code.
    hints = get_type_hints(component.__init__)
    constructor, plain = inspect.signature(component.__init__).parameters.values(), inspect.signature(make).parameters
    settings = [setting for setting in constructor if setting.kind is setting.KEYWORD_ONLY]
    parameters = [plain["nlp"], plain["name"], plain["model"], *settings]
    make.__signature__ = inspect.Signature(parameters, return_annotation=component)  # type: ignore[attr-defined]
    make.__annotations__ = {"nlp": Language, **hints, "return": component}
    make.__name__ = make.__qualname__ = f"make_{factory}"
    make.__module__ = component.__module__
    make.__doc__ = f"Make a `{factory}` component; see `{component.__name__}` for the settings."
    return Language.factory(
        factory,
        default_config=config,
        assigns=assigns,
        requires=list(requires),
        default_score_weights=score_weights,
        func=make,
    )

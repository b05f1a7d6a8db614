"""What pages take from the package itself, so that it is told once: settings, scores, functions, commands, errors.

In a page stands a fenced block whose language is one of `SOURCES` in braces:

    ```{settings} luke_ner
    make docs writes this part, from the code
    ```

The line in it is for those who read the page as it is, on GitHub. `expand` puts Markdown in the place of the block.
conf.py does so before Sphinx reads the page, and tests do so to check anchors.
"""

from __future__ import annotations

import ast
import configparser
import dataclasses
import importlib
import inspect
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
_BLOCK = re.compile(r"^```\{(\w+)\}[ ]*(.*)\n(?:make docs .*\n)?```$", re.MULTILINE)
_CODE = re.compile(r"(?<![\[*\w])([LW]\d{3})\b(?![\]*])")
# Code, and labels.
_NOT_PROSE = re.compile(r"(^ *```.*?^ *```$|`[^`\n]+`|^\(\w+\)=$)", re.MULTILINE | re.DOTALL)
# Settings that every component has, and what pages say of them.
_EVERYWHERE = {
    "model": "the architecture, with the block of its encoder.",
    "scorer": "the function that gives the [scores](#scores) below; `null` = none.",
}
_NOT_SETTINGS = {"self", "nlp", "name", "vocab", "get_examples"}


def expand(text: str) -> str:
    """The page with the content of its generated blocks, and links from codes of errors; other blocks stay."""
    text = _BLOCK.sub(lambda m: SOURCES[m[1]](*m[2].split()) if m[1] in SOURCES else m[0], text)
    prose = _NOT_PROSE.split(text)
    return "".join(part if i % 2 else _CODE.sub(_link_to_code, part) for i, part in enumerate(prose))


def _link_to_code(match: re.Match[str]) -> str:
    return f"[{match[1]}](errors.md#{match[1].lower()})"


# Names


def entry_points() -> dict[str, dict[str, str]]:
    """Registry -> registered name -> "module:function", from setup.cfg."""
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg", encoding="utf8")
    groups = {}
    for group, lines in config["options.entry_points"].items():
        pairs = (line.split(" = ") for line in lines.strip().splitlines())
        groups[group.removeprefix("spacy_")] = {name: target for name, target in pairs}
    return groups


def registered() -> dict[str, Any]:
    """Registered name -> its function, of all registries but the command line."""
    return {
        name: _load(target)
        for group, names in entry_points().items()
        for name, target in names.items()
        if group != "cli"
    }


def anchor(title: str) -> str:
    """The anchor of a heading, as GitHub makes it."""
    text = re.sub(r"[^\w\- ]", "", title.strip().lower())
    return text.replace(" ", "-")


def _load(target: str) -> Any:
    module, _, name = target.partition(":")
    return getattr(importlib.import_module(module), name)


def _find(path: str) -> Any:
    """The object of a dotted path."""
    parts = path.split(".")
    for length in range(len(parts), 0, -1):
        try:
            found: Any = importlib.import_module(".".join(parts[:length]))
        except ModuleNotFoundError:
            continue
        for name in parts[length:]:
            found = getattr(found, name)
        return found
    raise LookupError(path)


# Docstrings


@dataclasses.dataclass
class Description:
    """A docstring in parts: its paragraphs before and after the settings, and the settings."""

    before: str
    settings: dict[str, str]
    after: str


def describe(target: Any, names: list[str]) -> Description:
    """Read the docstring of a function or class. names: those of its settings."""
    before: list[str] = []
    after: list[str] = []
    settings: dict[str, str] = {}
    choice = "|".join(map(re.escape, names)) or "(?!)"
    start = re.compile(rf"((?:{choice})(?:, (?:{choice}))*): (.*)", re.DOTALL)
    inline = re.compile(rf"(?<=\.) (?=(?:{choice}): )")
    current: str | None = None
    for line in (inspect.getdoc(target) or "").splitlines():
        for i, part in enumerate(inline.split(line) if line and not line.startswith(" ") else [line]):
            found = start.fullmatch(part)
            if found:
                current = found[1]
                settings[current] = found[2]
            elif current and line.startswith(" ") and not i:
                settings[current] += "\n" + line
            elif not line and current:
                after.append("")
            else:
                current = None
                (after if settings else before).append(part)
    texts = {name: _markdown(inspect.cleandoc(text)) for name, text in settings.items()}
    return Description(_markdown("\n".join(before).strip()), texts, _markdown("\n".join(after).strip()))


def _markdown(text: str) -> str:
    """Docstrings are Markdown; names of builders become registered ones, those of other code are left out."""
    builders = {target.partition(":")[2]: name for names in entry_points().values() for name, target in names.items()}
    text = re.sub(r"`(build_\w+)`", lambda m: f"`{builders.get(m[1], m[1])}`", text)
    # But for what is indented, which is code.
    text = re.sub(r"^(?! {4}).*", lambda line: re.sub(r"<(?=\w)(?![^`]*`)", r"\<", line[0]), text, flags=re.MULTILINE)
    return re.sub(r",? \(see `(?!spacy-luke)[\w.]+`\)|; see `(?!spacy-luke)[\w.]+`", "", text)


def _value(value: Any) -> str:
    """A value as a config writes it."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return f'"{value}"'
    return str(value)


def _registered_name(value: Any) -> str | None:
    if not isinstance(value, Mapping):
        return None
    return next((str(name) for key, name in value.items() if str(key).startswith("@")), None)


def _link(name: str) -> str:
    known = any(name in names for names in entry_points().values())
    return f"[`{name}`](registered.md#{anchor(name)})" if known else f"`{name}`"


def _default(value: Any) -> str:
    name = _registered_name(value)
    if name is None:
        return f"`{_value(value)}`"
    inner = {key: part for key, part in value.items() if not str(key).startswith("@")}
    on = _registered_name(inner.pop("encoder", None))
    settings = ", ".join(f"`{key} = {_value(part)}`" for key, part in inner.items() if not isinstance(part, Mapping))
    return _link(name) + (f" on {_link(on)}" if on else "") + (f" with {settings}" if settings else "")


def _definitions(texts: Mapping[str, str], defaults: Mapping[str, Any]) -> str:
    lines = []
    for names, text in texts.items():
        terms = []
        for name in names.split(", "):
            terms.append(f"`{name}`" + (f" = {_default(defaults[name])}" if name in defaults else ""))
        indented = text.replace("\n", "\n  ")
        lines.append(f"{', '.join(terms)}\n: {indented}\n")
    return "\n".join(lines)


# Sources


def settings_of(target: Any, defaults: Mapping[str, Any], names: list[str]) -> Description:
    """The settings of a class with those that it takes over from its base classes, in the order of `names`.

    LookupError if one is not described.
    """
    classes = inspect.getmro(target) if inspect.isclass(target) else (target,)
    found = [describe(cls, names) for cls in classes if (cls.__module__ or "").startswith("spacy_luke")]
    told = {group: text for part in reversed(found) for group, text in part.settings.items()}
    known = {name for group in told for name in group.split(", ")}
    told |= {name: text for name, text in _EVERYWHERE.items() if name in names and name not in known}
    missing = [name for name in names if not any(name in group.split(", ") for group in told)]
    if missing:
        raise LookupError(f"{target.__qualname__} does not describe {', '.join(missing)}")
    order = {name: i for i, name in enumerate(names)}
    ordered = dict(sorted(told.items(), key=lambda pair: order[pair[0].split(", ")[0]]))
    after = re.sub(r"The other settings are those of `\w+`\.", "", found[0].after).strip()
    return Description(found[0].before, ordered, after)


def component(factory: str) -> tuple[Any, dict[str, Any], Any]:
    """Class, default settings and spaCy's metadata of a factory."""
    import spacy

    make = registered()[factory]
    meta = spacy.blank("en").get_factory_meta(factory)
    module = inspect.getmodule(make)
    written = re.search(r"see `(\w+)`", inspect.getdoc(make) or "")
    assert written is not None, factory
    return getattr(module, written[1]), dict(meta.default_config), meta


def settings(target: str) -> str:
    """The settings of a factory, of a registered function, or of the class or function of a dotted path."""
    factories = entry_points()["factories"]
    if target in factories:
        cls, defaults, _ = component(target)
        make = registered()[target]
        names = [name for name in inspect.signature(make).parameters if name not in _NOT_SETTINGS]
    else:
        cls = registered()[target] if target in registered() else _find(target)
        parameters = inspect.signature(cls).parameters
        names = [name for name in parameters if name not in _NOT_SETTINGS]
        defaults = {n: p.default for n, p in parameters.items() if p.default is not p.empty}
        defaults = {n: value for n, value in defaults.items() if type(value).__name__ != "_HAS_DEFAULT_FACTORY_CLASS"}
        names = [n for n in names if not dataclasses.is_dataclass(cls) or n in _told(cls, names)]
    found = settings_of(cls, defaults, names)
    text = _definitions(found.settings, defaults)
    return f"{text}\n{found.after}\n" if found.after else text


def _told(cls: Any, names: list[str]) -> set[str]:
    return {name for group in describe(cls, names).settings for name in group.split(", ")}


def scores(factory: str) -> str:
    """What the default scorer of a factory gives."""
    _, defaults, _ = component(factory)
    name = _registered_name(defaults["scorer"])
    assert name is not None
    build = registered()[name]
    names = [n for n in inspect.signature(build).parameters if n not in _NOT_SETTINGS]
    found = describe(build, names)
    parts = [f"{found.before}\n", found.after]
    if found.settings:
        values = {n: p.default for n, p in inspect.signature(build).parameters.items()}
        parts.append("\nSettings of the scorer:\n\n" + _definitions(found.settings, values))
    return "\n".join(parts)


def writes(factory: str) -> str:
    """What a factory needs and writes, as spaCy's `nlp.analyze_pipes` knows it."""
    meta = component(factory)[2]
    needs = ", ".join(f"`{name}`" for name in meta.requires) or "nothing that `analyze_pipes` knows of"
    return f"Needs {needs}; writes {', '.join(f'`{name}`' for name in meta.assigns)}.\n"


def function(path: str) -> str:
    """Signature and docstring of a function or class."""
    target = _find(path)
    call = target.__init__ if inspect.isclass(target) and "__init__" in vars(target) else target
    parameters = {name: p for name, p in inspect.signature(call).parameters.items() if name != "self"}
    found = describe(target, list(parameters))
    shown = ", ".join(
        name if p.default is p.empty else f"{name}={_argument(p.default)}" for name, p in parameters.items()
    )
    head = f"**`{path}({shown})`**\n\n{found.before}\n"
    return "\n".join([head, _definitions(found.settings, {}), found.after, ""])


def _argument(value: Any) -> str:
    """A default as Python writes it."""
    if callable(value) or " object at " in repr(value):
        return "…"
    return "{}" if isinstance(value, Mapping) and not value else repr(value)


def functions(registry: str) -> str:
    """All registered functions of a registry with their settings, a heading for each."""
    parts = []
    for name, target in entry_points()[registry].items():
        build = _load(target)
        parameters = inspect.signature(build).parameters
        found = describe(build, list(parameters))
        values = {n: p.default for n, p in parameters.items() if p.default is not p.empty}
        before = found.before.replace(f", as `{name}`", "")
        parts += [f"### `{name}`\n", before + "\n", _definitions(found.settings, values), found.after + "\n"]
    return "\n".join(parts)


def scorers() -> str:
    """The default scorers of the factories, which are told on the pages of these, a heading for each."""
    parts = []
    for factory in entry_points()["factories"]:
        name = _registered_name(component(factory)[1].get("scorer"))
        if name:
            parts.append(f"### `{name}`\n\nThe [scores](./{factory}.md#scores) of `{factory}`.\n")
    return "\n".join(parts)


def commands(*names: str) -> str:
    """The options of `spacy luke` commands, a heading for each. names: which; default: all."""
    import typer

    from spacy_luke.cli import luke_cli

    group: Any = typer.main.get_command(luke_cli)
    parts = []
    for name, command in sorted(group.commands.items()):
        if names and name not in names:
            continue
        arguments = [p for p in command.params if p.param_type_name == "argument"]
        options = [p for p in command.params if p.param_type_name == "option" and not getattr(p, "hidden", False)]
        usage = " ".join(["python -m spacy luke", name, *(_shown(a) for a in arguments)])
        text = _markdown(_plain(command.help or ""))
        parts += [f"## `luke {name}`\n", f"```text\n{usage} [OPTIONS]\n```\n", f"{text}\n"]
        parts += [f"`{_shown(a)}`\n: {_plain(a.help or '')}\n" for a in arguments]
        for option in options:
            default = _option_default(option)
            flags = ", ".join(f"`{flag}`" for flag in [*option.opts, *option.secondary_opts])
            parts.append(f"{flags}{default}\n: {_markdown(_plain(option.help or ''))}\n")
        epilog = (command.epilog or "").replace("\b", "").strip()
        if epilog:
            parts.append(f"```text\n{epilog}\n```\n")
    return "\n".join(parts)


def _shown(argument: Any) -> str:
    """An argument as the usage line shows it."""
    name = argument.metavar or argument.name.upper()
    several = f"{name}..." if argument.nargs != 1 else name
    return several if argument.required else f"[{several}]"


def _plain(text: str, *, strip: bool = True) -> str:
    """A message or a help as Markdown: what looks like markup is text."""
    text = re.sub(r"(?<!\n)\n(?!\n)", " ", text.replace("\b", "").replace("\f", ""))
    text = re.sub(r"([*<>\[\]|_`])", r"\\\1", text)
    return text.strip() if strip else text


def _option_default(option: Any) -> str:
    default = None if callable(option.default) else option.default
    if default in (None, "", (), []) or isinstance(default, bool):
        return ""
    return f" = `{getattr(default, 'value', default)}`"


def errors() -> str:
    """Every error and every warning with its message, under the headings of errors.py."""
    source = (ROOT / "spacy_luke" / "errors.py").read_text(encoding="utf8")
    parts = []
    for title, section in (("Errors", "ERRORS"), ("Warnings", "WARNINGS")):
        parts.append(f"## {title}\n")
        for group, messages in _messages(source, section):
            if group:
                parts.append(f"### {title}: {group}\n")
            for code, message in messages:
                parts_of = re.split(r"\{(\w+)[^}]*\}", message)
                shown = "".join(f"*{part}*" if i % 2 else _plain(part, strip=False) for i, part in enumerate(parts_of))
                parts.append(f"({code.lower()})=\n**{code}**\n: {shown}\n")
    return "\n".join(parts)


def _messages(source: str, name: str) -> Iterator[tuple[str, list[tuple[str, str]]]]:
    """The groups of a dict of messages: the comment above each, and codes with messages."""
    tree = ast.parse(source)
    [table] = [
        node.value
        for node in tree.body
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.target.id == name
    ]
    assert isinstance(table, ast.Dict)
    lines = source.splitlines()
    group, found = "", list[tuple[str, str]]()
    for key, value in zip(table.keys, table.values, strict=True):
        assert key is not None
        comment = lines[key.lineno - 2].strip()
        if comment.startswith("#"):
            if found:
                yield group, found
            group, found = comment.lstrip("# "), []
        found.append((ast.literal_eval(key), ast.literal_eval(value)))
    yield group, found


SOURCES: dict[str, Callable[..., str]] = {
    "settings": settings,
    "scores": scores,
    "writes": writes,
    "function": function,
    "functions": functions,
    "scorers": scorers,
    "commands": commands,
    "errors": errors,
}

"""What is wrong with the value of a variable, in words for the person who wrote it.

The types are the argument specs'. forms.py adds what no spec can say, so that text which a template writes into the
configuration of a program is one value there and nothing else.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from ansible.module_utils.parsing.convert_bool import BOOLEANS
from ansible_collections.slipway.flask.plugins.plugin_utils.forms import (
    ANYTHING,
    FORMS,
    NAMES,
    NULL,
    ONE_EACH,
    SECRET,
    SEVERAL_LINES,
)

Option = Mapping[str, Any]

_LINE = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_LINES = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_WANTED = {
    "str": "text",
    "path": "a path",
    "int": "a whole number",
    "bool": "true or false",
    "list": "a list",
    "dict": "a dictionary (lines of NAME: value)",
}
_LONGEST = 80  # characters of a value in a message


def kind(value: object) -> str:
    """Return what a value is to somebody who writes YAML."""
    if value is None:
        return "empty (null)"
    if isinstance(value, bool):
        return "true" if value else "false"
    return "a list" if isinstance(value, list) else "a dictionary" if isinstance(value, dict) else "text or a number"


def fits(value: object, option: Option) -> bool:
    """Whether a value is of the type of an option, or one of its choices."""
    if choices := option.get("choices"):
        # To YAML, off without quotes is false.
        return str(value) in map(str, choices) or (value is False and "off" in choices)
    match option["type"]:
        case "list":
            return isinstance(value, list)
        case "dict":
            return isinstance(value, dict)
        case "bool":
            return isinstance(value, int | str) and str(value).strip().lower() in map(str, BOOLEANS)
        case "int":
            return isinstance(value, int) and not isinstance(value, bool)
    return value is not None and not isinstance(value, bool | list | dict)


def complaints(name: str, value: object, option: Option) -> list[str]:
    """Return a sentence for each thing that is wrong with a variable. option: its argument spec."""
    if value is None:
        return [f"{name}: it is empty (null). Give it a value, or take the line out."]
    return [f"{name}: {sentence}" for sentence in _wrong(name, "", value, option)]


def _is_secret(name: str) -> bool:
    """Whether a variable, or an option of one, is in a secret, or has one in it: as text, edge_paths may have those of its users."""
    return any(f"{name}.".startswith(f"{one}.") or one.startswith(f"{name}.") for one in SECRET)


def _shown(name: str, place: str, value: object) -> str:
    """Return how a sentence about a value begins."""
    is_text = not isinstance(value, bool | list | dict) and value is not None
    what = json.dumps(str(value)[:_LONGEST], ensure_ascii=False) if is_text and not _is_secret(name) else ""
    return f"{place}: {what}" if place and what else place or what or "it"


def _wrong(name: str, place: str, value: object, option: Option) -> Iterator[str]:
    """Yield what is wrong with a value, or with those in it. name: of the variable, and of an option of it (app_timers.name)."""
    variable = name.partition(".")[0]
    here = _shown(name, place, value)
    if not fits(value, option):
        yield _misfit(name, here, value, option)
    elif isinstance(value, list):
        inner = {"type": option.get("elements", "str"), "options": option.get("options")}
        for number, entry in enumerate(value, 1):
            yield from _wrong(name, f"{place + ', ' if place else ''}entry {number}", entry, inner)
    elif isinstance(value, dict) and option.get("options"):
        yield from _wrong_options(name, place, value, option["options"])
    elif isinstance(value, dict):
        yield from _wrong_entries(name, place, value)
    elif isinstance(value, str):
        if (_LINES if variable in SEVERAL_LINES else _LINE).search(value):
            yield f"{here} has a line break or another control character. Write it on one line."
        elif (form := FORMS.get(name)) and not re.fullmatch(form.pattern, value):
            yield f"{here} is not {form.meant}."


def _type_in_words(option: Option) -> str:
    """Return what the type of an option is to somebody who writes YAML."""
    needed = [name for name, inner in (option.get("options") or {}).items() if inner.get("required")]
    if option.get("elements") == "dict" and needed:
        return f"a list of entries, such as - {{{', '.join(f'{name}: …' for name in needed)}}}"
    return _WANTED[option["type"]]


def _misfit(name: str, here: str, value: object, option: Option) -> str:
    """Return the sentence for a value of another type than the option's."""
    if choices := option.get("choices"):
        return f"{here} is not one of {', '.join(map(str, choices))}."
    wanted = _type_in_words(option)
    if value is None:
        return f"{here} is empty (null). Give it a value, or take the line out."
    if isinstance(value, bool | list | dict):
        quotes = " If you wrote no or off, put it into quotes." if isinstance(value, bool) and wanted == "text" else ""
        return f"{here} is {kind(value)}, and has to be {wanted}.{quotes}"
    if option["type"] == "int" and re.fullmatch("-?[0-9]+", str(value)):
        alone = here == json.dumps(str(value))  # not an entry: -e sets the whole variable
        as_json = f"""; with -e as JSON: -e '{{"{name}": {value}}}'.""" if alone else "."
        return f"{here} is text. Write the number without quotes{as_json}"
    entry = value if option.get("elements") == "int" else json.dumps(str(value), ensure_ascii=False)
    return f"{here} is not {wanted}." + (
        f" Write it as [{entry}]." if wanted == "a list" and not _is_secret(name) else ""
    )


def _wrong_options(name: str, place: str, value: Mapping[str, Any], options: Mapping[str, Option]) -> Iterator[str]:
    """Yield what is wrong with a dictionary whose names the spec lists."""
    before = f"{place}: " if place else ""
    for key, entry in value.items():
        if key not in options:
            yield f"{before}{json.dumps(str(key), ensure_ascii=False)} is not known. Use {', '.join(sorted(options))}."
        elif entry is not None or options[key].get("required"):
            yield from _wrong(f"{name}.{key}", f"{before}{key}", entry, options[key])
    for key, option in options.items():
        if option.get("required") and key not in value:
            yield f"{before}{key} is missing."


def _wrong_entries(name: str, place: str, value: Mapping[str, Any]) -> Iterator[str]:
    """Yield what is wrong with a dictionary of any names."""
    variable = name.partition(".")[0]
    for key, entry in value.items():
        shown = str(key).partition(":")[0] if _is_secret(name) else str(key)  # {NAME:value} is a name alone
        where = f"{place}: {shown}" if place else shown
        if _LINE.search(str(key)) or (variable in NAMES and not re.fullmatch(NAMES[variable].pattern, str(key))):
            meant = NAMES[variable].meant if variable in NAMES else "a name"
            yield f"{json.dumps(shown, ensure_ascii=False)} is not {meant}."
        elif shown != str(key) and entry is None:
            yield f"{where} has no value, as no space follows the colon. Write NAME: value."
        elif variable in ANYTHING or (entry is None and variable in NULL) or isinstance(entry, bool):
            continue
        elif isinstance(entry, list) and variable not in ONE_EACH:
            yield from _wrong(name, where, entry, {"type": "list"})
        else:
            yield from _wrong(name, where, entry, {"type": "str"})

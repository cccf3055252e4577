"""Error messages of jsonargparse, shortened to one sentence."""

from __future__ import annotations

import re

TYPES = {"int": "a whole number", "float": "a number", "str": "a text", "bool": "true or false", "list": "a list"}
TYPES |= {"NoneType": "null", "dict": "a mapping", "Iterable": "a list"}


def sentence(message: str) -> str:
    """Turn the message, which lists all that jsonargparse tried, into one sentence about the wrong setting."""
    keys: list[str] = []
    wanted: list[str] = []
    for line in message.splitlines():
        line = line.strip().removeprefix("- ")
        if key := re.match(r'Parser key "([^"]+)":', line):
            if wanted:
                break
            keys.append(key[1])
        elif missing := re.match(r"the following arguments are required: (.*)", line):
            names = [".".join([*keys, name.rpartition(".")[2]]) for name in missing[1].split(", ")]
            return f"not given: {', '.join(f'--{name}' for name in names)}; each needs a value, here or in a file (-c)"
        elif unknown := re.match(r"Option '(.*)' is not accepted", line):
            return f"{'.'.join([*keys, unknown[1]])}: no such setting"
        elif place := re.match(r"Expected a dot import path string: (.*)|(No module named .*)", line):
            if keys and not keys[-1].startswith(("model", "data", "trainer")):
                wanted.append("a mapping")
            else:
                named = place[1] or f"there: {place[2]}"
                return f"{'.'.join(keys)}: no class {named}; name one with its module (package.module.Class)"
        elif given := re.match(r"Unable to load config '(.*)'", line):
            return _wrong_value(keys, given[1], ["a mapping"])
        elif expected := re.match(r"Expected an? (.*?)(?:\. Got value: (.*))?$", line):
            if not expected[1].startswith("path but"):
                wanted.append(_type_in_words(expected[1]))
            if expected[2] is not None:
                return _wrong_value(keys, expected[2], wanted)
        elif (given := re.match(r"Given value: (.*)", line)) and wanted:
            return _wrong_value(keys, given[1], wanted)
    return " ".join(message.split())


def _wrong_value(keys: list[str], value: str, wanted: list[str]) -> str:
    first, one_of, more = " or ".join(dict.fromkeys(wanted)).partition("one of ")
    choices = first + one_of + more.replace(" or one of ", ", ")
    return f"{'.'.join(keys)}: found {value}, must be {choices}"


def _type_in_words(name: str) -> str:
    if choices := re.fullmatch(r"(?:typing\.)?Literal\[(.*)\]", name):
        return f"one of {choices[1]}".replace("'", "")
    plain = name.removeprefix("<class '").removesuffix("'>").rpartition(".")[2]
    return TYPES.get(plain, f"a {plain}")

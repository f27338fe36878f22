"""The table of actions as the API's pages have it, which are generated from the program's own."""

import dataclasses
import pathlib
import re
import urllib.parse

PAGES = pathlib.Path(__file__).resolve().parents[3] / "docs/api"


@dataclasses.dataclass(frozen=True)
class Action:
    """What the page of an action says."""

    name: str
    aliases: tuple
    mutating: bool
    # Name of each parameter with its other spellings.
    parameters: dict
    required: frozenset
    # Top-level fields that no answer lacks.
    fields: frozenset
    # The example's parameters as the page shows them.
    example: dict

    def spellings(self):
        """Every name that a parameter may be sent under."""
        return {name for name, aliases in self.parameters.items() for name in (name, *aliases)}


def actions():
    """Every action by name."""
    index = (PAGES / "README.md").read_text()
    names = re.findall(r"^\| \[(\w+)\]\(\1\.md\) \|", index, re.MULTILINE)
    return {name: action(name) for name in names}


def action(name):
    """One action."""
    page = (PAGES / f"{name}.md").read_text()
    sections = dict(re.findall(r"^## ([^\n]+)\n(.*?)(?=^## |\Z)", page, re.MULTILINE | re.DOTALL))
    parameters, required = {}, set()
    for parameter, _, is_required, text in rows(sections["Parameters"]):
        parameters[parameter] = spellings(text)
        if is_required == "yes":
            required.add(parameter)
    fields = [(field, text) for field, _, text in rows(sections["Answer"])]
    url = re.search(r"^https?://\S+", sections["Example"], re.MULTILINE).group()
    example = dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(url).query, keep_blank_values=True))
    assert example.pop("Action") == name
    return Action(
        name=name,
        aliases=spellings(page.split("\n## ")[0]),
        mutating="- Effect: changes state" in page,
        parameters=parameters,
        required=frozenset(required),
        fields=frozenset(field for field, text in fields if "." not in field and "Left out" not in text),
        example=example,
    )


def spellings(text):
    """The names in `Also accepted as …`."""
    found = re.search(r"Also accepted as:? ((?:`\w+`(?:, )?)+)", text)
    return tuple(re.findall(r"`(\w+)`", found.group(1))) if found else ()


def rows(section):
    """The cells of the rows of a section's table, without their backquotes."""
    lines = [line for line in section.splitlines() if line.startswith("| `")]
    return [[cell.strip().strip("`") for cell in line.strip("| ").split(" | ")] for line in lines]

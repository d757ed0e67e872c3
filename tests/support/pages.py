"""The pages of docs/ and the README as tests see them: their sentences, their commands, and the blocks that say they run."""

import importlib.util
import re
import shlex
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import ModuleType

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
LONGEST_SENTENCE = 25
MARK = re.compile(r"<!-- run: (?P<where>[a-z]+) -->\s*\n```(?P<kind>console|python)\n(?P<body>.*?)\n```", re.DOTALL)


@dataclass(frozen=True, kw_only=True)
class Block:
    """Commands or Python of a page that say they run; `where` names the folder they want to find."""

    page: str
    where: str
    kind: str
    body: str

    @property
    def script(self) -> str:
        """What is to be run: of a console block the lines after the prompt, of others all."""
        if self.kind == "python":
            return self.body
        lines = self.body.replace("\\\n", " ").splitlines()
        return "\n".join(line.removeprefix("$ ") for line in lines if line.startswith("$ "))


@cache
def tool(name: str) -> ModuleType:
    """A script of tools/ as a module."""
    spec = importlib.util.spec_from_file_location(name, ROOT / "tools" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


def pages() -> dict[str, str]:
    """The README and every page of the site, by path from the root."""
    files = [ROOT / "README.md", *(DOCS / name for _, name in tool("docs_pages").nav_pages())]
    return {file.relative_to(ROOT).as_posix(): file.read_text(encoding="utf-8") for file in files}


def blocks() -> list[Block]:
    """All blocks that say they run, in the order of the pages."""
    found = []
    for page, text in pages().items():
        matches = MARK.finditer(text)
        found += [Block(page=page, where=m["where"], kind=m["kind"], body=m["body"]) for m in matches]
    return found


def commands_in(text: str) -> Iterator[list[str]]:
    """Command lines of huracan in a page, as argument lists without the name."""
    for line in text.replace("\\\n", " ").splitlines():
        for found in re.findall(r"(?:^\$ |`)huracan ([a-z][^`#|&>;]*)", line.strip()):
            yield shlex.split(found)


def sentences(text: str) -> Iterator[str]:
    """Sentences of a page's prose, without code, tables and headings."""
    bare = re.sub(r"```.*?```|<!--.*?-->", "", text, flags=re.DOTALL)
    for part in re.split(r"\n\s*\n|\n(?=\s*(?:[-*]|\d+\.) )", bare):
        if part.lstrip().startswith(("|", "#", "!")):
            continue
        plain = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", re.sub(r"`[^`]*`", "code", part))
        yield from re.split(r"(?<=[.!?:])[\"')*]*\s+", " ".join(plain.split()))


def words(sentence: str) -> int:
    """How many words a sentence has; numbers with their signs count as one."""
    return len(re.findall(r"[\w'%&/.,+-]*\w[\w'%&/.,+-]*", sentence))

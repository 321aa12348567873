"""A Sphinx extension for the reference: pages made of docstrings, and links between them and the chapters.

On a page the line `% reference: plm_lessons.layers` becomes a section for that package and one for each of its modules,
with links to the chapter sections that use them; Sphinx's autodoc fills in the docstrings. Conversely, a name of the
package links to its entry wherever it occurs in a chapter's code or between backticks.

The docstrings are plain text with single backticks, which reStructuredText would misread. This module corrects that:
tables of letters and indented examples keep their lines, and text between backticks is code, and a link if it names
something in the package.
"""

from __future__ import annotations

import ast
import dataclasses
import importlib
import pkgutil
import re
from collections.abc import Iterator
from functools import cache
from html import escape
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import nbformat
from docutils import nodes
from docutils.parsers.rst import roles
from IPython.core.inputtransformer2 import TransformerManager
from myst_parser.mdit_to_docutils.base import default_slugify
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx
from sphinx.domains.python import PyObject
from sphinx.environment import BuildEnvironment
from sphinx.util.nodes import make_refnode

PACKAGE = "plm_lessons"
MARK = re.compile(r"^% reference: ([\w.]+)$", flags=re.MULTILINE)
HEADING = re.compile(r"^#{2,3} (.+)$", flags=re.MULTILINE)
# "B  batch" and "inputs   Thank you <X>": two blanks or more set a column off.
COLUMNS = re.compile(r"^\s*\S.*?\S?  +\S")
# A name in highlighted code; but not after a dot (an attribute) or before an equals sign (an argument).
NAME = re.compile(r'(?<!<span class="o">\.</span>)<span class="n">(\w+)</span>(?!<span class="o">=</span>)')
# Names, punctuation and spaces look like the text around them, so their elements, nearly half of a page, are removed.
PLAIN = re.compile(r'<span class="(?:n|p|w)">([^<]*)</span>')
# Sections whose first words napoleon takes for a type if a colon follows them; our docstrings name no types.
UNTYPED = ("Returns:", "Yields:")


# Which chapter uses what


class Use(NamedTuple):
    """A name of the package, given by the path of its definition, and the notebook section that first uses it."""

    path: str
    section: str


@cache
def definition(path: str) -> str:
    """Return the path under which a name is documented: in the module that defines it."""
    module, _, name = path.rpartition(".")
    target: Any = getattr(importlib.import_module(module), name, None)
    return f"{target.__module__}.{target.__qualname__}" if hasattr(target, "__qualname__") else path


def imported(tree: ast.AST) -> Iterator[tuple[str, str]]:
    """Yield the names that a cell imports from the package, each with the path of its definition."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == PACKAGE:
            for alias in node.names:
                yield alias.asname or alias.name, definition(f"{node.module}.{alias.name}")


@cache
def code_cells(notebook: Path) -> tuple[tuple[str, ast.AST], ...]:
    """Return the code cells of a notebook, each with the last heading before it."""
    cells, heading = [], ""
    for cell in nbformat.read(notebook, as_version=4).cells:
        if cell.cell_type == "markdown":
            heading = (HEADING.findall(cell.source) or [heading])[-1]
        else:  # IPython turns lines that begin with % or ! into calls
            cells.append((heading, ast.parse(TransformerManager().transform_cell(cell.source))))
    return tuple(cells)


@cache
def names_of(notebook: Path) -> dict[str, str]:
    """Return every name that a notebook imports from the package, with the path of its definition."""
    return {name: path for _, tree in code_cells(notebook) for name, path in imported(tree)}


@cache
def uses(notebook: Path) -> tuple[Use, ...]:
    """Return the names of the package that a notebook uses, in the order of first use."""
    names = names_of(notebook)
    first: dict[str, str] = {}
    for heading, tree in code_cells(notebook):
        for node in ast.walk(tree):
            if isinstance(node, ast.Name) and node.id in names and heading:
                first.setdefault(names[node.id], heading)
    return tuple(Use(path, section) for path, section in first.items())


# Pages


def expand_marks(app: Sphinx, docname: str, source: list[str]) -> None:
    """Replace each mark in the source of a page with its sections."""
    if MARK.search(source[0]):
        notebooks = sorted(path for path in Path(app.srcdir, "book").glob("*.ipynb"))
        source[0] = MARK.sub(lambda mark: "\n\n".join(sections(mark[1], notebooks)), source[0])


def sections(package: str, notebooks: list[Path]) -> Iterator[str]:
    """Yield the section of a package and those of its modules (but not of packages inside it), in MyST Markdown."""
    yield f"```{{eval-rst}}\n.. automodule:: {package}\n```"
    for module in pkgutil.iter_modules(importlib.import_module(package).__path__):
        if not module.ispkg and not module.name.startswith("_"):
            path = f"{package}.{module.name}"
            yield f"## {module.name}\n\n```{{eval-rst}}\n.. automodule:: {path}\n   :members:\n```"
            if links := list(places(path, notebooks)):
                yield f"*{module.name}* in the chapters: {', '.join(links)}."


def places(module: str, notebooks: list[Path]) -> Iterator[str]:
    """Yield links to the sections of the notebooks in which a name of the module is first used."""
    for notebook in notebooks:
        found = [use.section for use in uses(notebook) if module in (use.path, use.path.rpartition(".")[0])]
        for section in dict.fromkeys(found):
            yield f"[{section}](../{notebook.name}#{default_slugify(section)})"


# Docstrings


def name_factories(
    app: Sphinx, what: str, name: str, obj: Any, options: Any, signature: str | None, returned: str | None
) -> tuple[str | None, str | None]:
    """Replace "<factory>", which Python shows for a field with a default factory, with a call of that factory."""
    if signature and dataclasses.is_dataclass(obj):
        for field in dataclasses.fields(obj):
            made_by = getattr(field.default_factory, "__name__", "...")
            if field.init and field.default_factory is not dataclasses.MISSING:
                call = f"{made_by}()" if made_by.isidentifier() else "..."
                signature = signature.replace("<factory>", call, 1)
    return signature, returned


def tidy_docstring(app: Sphinx, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    """Correct what reStructuredText and napoleon would misread in a docstring, before napoleon reads it."""
    if lines and lines[0].startswith("Alias for field number"):
        lines.clear()  # Python's own text, for a field without a docstring
    if what in ("attribute", "data", "property") and lines:
        lines[0] = f": {lines[0]}"
    for number, line in enumerate(lines[:-1]):
        if line.strip() in UNTYPED:
            following = lines[number + 1]
            indent = len(following) - len(following.lstrip())
            lines[number + 1] = f"{' ' * indent}: {following.lstrip()}"
    # "`export`s": reStructuredText needs a mark that the role ends here.
    lines[:] = re.sub(r"(`+[^`]+`+)(?=(\w?))", lambda m: m[1] + ("\\ " if m[2] else ""), "\n".join(lines)).split("\n")
    if what == "module":
        lines[:] = keep_columns(lines)


def keep_columns(lines: list[str]) -> list[str]:
    """Return the lines, with paragraphs set in columns changed to a form that keeps their lines separate."""
    kept: list[str] = []
    paragraph: list[str] = []
    for line in [*lines, ""]:
        if line.strip():
            paragraph.append(line)
            continue
        if paragraph and all(part.startswith("|") for part in paragraph):
            kept += list_table(paragraph)
        elif sum(bool(COLUMNS.match(part)) for part in paragraph) <= len(paragraph) / 2:
            kept += paragraph
        elif paragraph[0].startswith(" "):
            kept += [".. code-block:: text", "", *paragraph]
        else:
            kept += [f"| {part}" for part in paragraph]
        kept.append(line)
        paragraph = []
    return kept


def list_table(lines: list[str]) -> list[str]:
    """Convert a Markdown table to reStructuredText."""
    table = [".. list-table::", "   :header-rows: 1", ""]
    for line in lines:
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if not all(re.fullmatch(":?-+:?", cell) for cell in cells):
            table += [f"   {' ' if number else '*'} - {cell}" for number, cell in enumerate(cells)]
    return table


# Links


def backticks(role: str, raw: str, text: str, line: int, inliner: Any, options: Any = None, content: Any = None) -> Any:
    """Turn text between backticks into code; it may become a link once all entries are known."""
    context = inliner.document.settings.env.ref_context
    scope = [context[key] for key in ("py:module", "py:class") if context.get(key)]
    code = nodes.literal(raw, text.replace("\\", ""))
    return [pending_xref("", code, reftype="backticks", refdomain="", reftarget=text, scope=scope)], []


class Entries:
    """The entries of the reference, to which names link."""

    def __init__(self, env: BuildEnvironment) -> None:
        self.objects = env.domaindata["py"]["objects"]
        self.by_ending: dict[str, list[str]] = {}
        for path, entry in self.objects.items():
            if entry.objtype in ("module", "class", "exception", "function", "data"):
                self.by_ending.setdefault(path.rpartition(".")[2], []).append(path)

    def find(self, name: str, scope: tuple[str, ...] = ()) -> str | None:
        """Return the path that a name means inside a module and class; None if it is unknown or ambiguous.

        A method is found from inside its class, or if the name of its class precedes it.
        """
        name = name.removesuffix("()")
        inside = [".".join([*scope[:depth], name]) for depth in range(len(scope), -1, -1)]
        for path in inside:
            if path in self.objects:
                return path
        first, dot, rest = name.partition(".")
        matching = [path for path in self.by_ending.get(first, []) if f"{path}{dot}{rest}" in self.objects]
        return f"{matching[0]}{dot}{rest}" if len(matching) == 1 else None


@cache
def entries(env: BuildEnvironment) -> Entries:
    """Return the entries, which are found once for a build, after all pages have been read."""
    return Entries(env)


def resolve(app: Sphinx, env: BuildEnvironment, node: pending_xref, contents: nodes.Node) -> nodes.Node | None:
    """Return what replaces a reference that Sphinx cannot resolve; None makes the reference an error."""
    target = node["reftarget"]
    if node["reftype"] == "backticks":
        return link(app, node["refdoc"], entries(env).find(target, tuple(node["scope"])), contents) or contents
    if node["refdomain"] != "py":
        return None
    if target.split(".")[0] != PACKAGE:
        return contents  # a type of Python, PyTorch, ...: they are documented elsewhere
    module, _, name = target.rpartition(".")
    return contents if isinstance(getattr(importlib.import_module(module), name, None), TypeVar) else None


def link(app: Sphinx, docname: str, path: str | None, contents: nodes.Node) -> nodes.Node | None:
    """Return a link from a page to the entry at `path`, or None if `path` is None."""
    if path is None:
        return None
    entry = app.env.domaindata["py"]["objects"][path]
    return make_refnode(app.builder, docname, entry.docname, entry.node_id, contents, path)


def link_names(app: Sphinx, doctree: nodes.document, docname: str) -> None:
    """Turn names of the package in the text and the code of a page into links."""
    if app.builder.format != "html":
        return
    known = entries(app.env)
    for literal in list(doctree.findall(nodes.literal)):
        name = literal.astext()
        # A lower-case word is more often an ordinary word than a name.
        if not isinstance(literal.parent, nodes.reference) and re.search("[A-Z_]", name):
            new = link(app, docname, known.find(name), literal.deepcopy())
            if new is not None:
                literal.replace_self(new)
    notebook = Path(app.env.doc2path(docname))
    if notebook.suffix == ".ipynb":
        names = names_of(notebook)
        for block in list(doctree.findall(nodes.literal_block)):
            if block.get("language") in ("ipython3", "python"):
                block.replace_self(linked_code(app, docname, block, names))


def linked_code(app: Sphinx, docname: str, block: nodes.literal_block, names: dict[str, str]) -> nodes.raw:
    """Return a code block as HTML, with links from the given names to their entries, and no elements for plain code."""
    language = block["language"]
    html = app.builder.highlighter.highlight_block(block.astext(), language, location=block)  # type: ignore[attr-defined]

    def linked(match: re.Match[str]) -> str:
        path = names.get(match[1], "")
        entry = app.env.domaindata["py"]["objects"].get(path)
        if entry is None:
            return match[0]
        address = f"{app.builder.get_relative_uri(docname, entry.docname)}#{entry.node_id}"
        return f'<a href="{escape(address)}" title="{escape(path)}">{match[0]}</a>'

    html = PLAIN.sub(r"\1", NAME.sub(linked, html))
    return nodes.raw("", f'<div class="highlight-{language} notranslate">{html}</div>', format="html")


def forget_unread_modules(app: Sphinx) -> tuple[()]:
    """Keep in viewcode's list only modules whose source it shows; it would also link to others, such as builtins."""
    modules = getattr(app.env, "_viewcode_modules", {})
    for name in [name for name, entry in modules.items() if not entry]:
        del modules[name]
    return ()


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the role and the build steps of this extension."""
    for field in PyObject.doc_field_types:
        if field.name == "variable":
            field.label = "Attributes"
    roles.register_local_role("backticks", backticks)
    app.connect("source-read", expand_marks)
    app.connect("autodoc-process-signature", name_factories)
    app.connect("autodoc-process-docstring", tidy_docstring, priority=400)  # napoleon has 500
    app.connect("missing-reference", resolve)
    app.connect("doctree-resolved", link_names)
    app.connect("html-collect-pages", forget_unread_modules, priority=400)  # viewcode has 500
    return {"parallel_read_safe": True, "parallel_write_safe": True}

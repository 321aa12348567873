"""What all widgets share: checked traits, and a display that is interactive with or without a kernel.

A widget is a pair of files, `NAME.py` and `NAME.js`. The script is an ES module in the form of anywidget's front ends,
without imports: `export default { render }`, with a function `render({ model, el })`, which the page calls by name, and
its mathematics as pure exported functions. Long mathematics has its own file, `NAME.maths.js`. `common.js`, the parts
that the widget names and the mathematics are put before the script, and `common.css`, with `NAME.css` if there is one,
goes with it, so that every widget is one text that needs nothing else.

When displayed, a widget offers three forms, of which the front end takes the richest that it knows:

1. the two-way widget view of anywidget, where a kernel is running (JupyterLab, Colab, VS Code);
2. `text/html`: a self-contained block. It holds a picture drawn in Python, a sentence, the state as JSON, and the
   same module as an inline `<script type="module">`, which finds the block on its page and brings it to life. Inline
   modules may keep their `export`s, so the text is not rewritten; nothing is fetched, evaluated or made into a blob, so
   a page whose Content-Security-Policy allows inline scripts, or the hash of this one, need allow nothing else;
3. `text/plain`: a call that would recreate the widget, with what differs from its defaults; long tables of numbers
   and texts are only counted in it.

Forms 2 and 3 depend on the traits alone (no ids, no addresses), so that nbval can compare them strictly.
"""

from __future__ import annotations

import functools
import inspect
import json
from collections.abc import Iterable
from importlib import resources
from typing import Any, ClassVar

import anywidget
import traitlets

from plm_lessons.checks import check_text, is_real, is_whole, told

# When a reader comes to a page from Sphinx's search, Sphinx marks the search terms in every text, even in style sheets
# and data, which then no longer work. It leaves elements of this class alone.
UNMARKED = "nohighlight"


class WidgetValueError(traitlets.TraitError, ValueError):
    """A value that a widget cannot show. The message names the trait, the value and what is allowed."""


class Checked(traitlets.TraitType):
    """A synchronised trait that says what it allows; subclasses return the clean value or raise `self.refuse(...)`.

    Its default is in the signature of the widget, whose `__init__` gives every trait a value.
    """

    allowed: str = ""

    def __init__(self, allowed: str) -> None:
        super().__init__()
        self.allowed = allowed
        self.tag(sync=True)

    def refuse(self, obj: Any, value: Any) -> WidgetValueError:
        return WidgetValueError(f"{type(obj).__name__}.{self.name} must be {self.allowed}, got {told(value, 300)}")

    @staticmethod
    def need_whole_characters(where: str, text: str) -> None:
        """Refuse a text with half a character in it, which no page can hold; `where` is its trait and place."""
        try:
            check_text(where, text)
        except ValueError as error:
            raise WidgetValueError(str(error)) from None


class Number(Checked):
    """A finite real number from `low` to `high`."""

    def __init__(self, low: float, high: float) -> None:
        super().__init__(f"a number from {low:g} to {high:g}")
        self.low, self.high = low, high

    def validate(self, obj: Any, value: Any) -> float:
        # Compared before it becomes a float, for which it may be too large. This also refuses NaN.
        if not is_real(value) or not self.low <= value <= self.high:
            raise self.refuse(obj, value)
        return float(value) + 0.0  # -0.0 becomes 0.0


class Whole(Checked):
    """A whole number from `least` to `most`; an even one if `even`."""

    def __init__(self, most: int, least: int = 0, even: bool = False) -> None:
        super().__init__(f"{'an even' if even else 'a whole'} number from {least} to {most}")
        self.least, self.most, self.step = least, most, 2 if even else 1

    def validate(self, obj: Any, value: Any) -> int:
        if not is_whole(value) or not self.least <= value <= self.most or value % self.step:
            raise self.refuse(obj, value)
        return int(value)


class Numbers(Checked):
    """From `least` to `most` finite real numbers, each from `low` to `high`. Kept as a tuple."""

    def __init__(self, low: float, high: float, least: int, most: int) -> None:
        super().__init__(f"a list of {least} to {most} numbers, each from {low:g} to {high:g}")
        self.low, self.high, self.least, self.most = low, high, least, most

    def validate(self, obj: Any, value: Any) -> tuple[float, ...]:
        if not isinstance(value, (list, tuple)) or not self.least <= len(value) <= self.most:
            raise self.refuse(obj, value)
        if not all(is_real(item) and self.low <= item <= self.high for item in value):
            raise self.refuse(obj, value)
        return tuple(float(item) + 0.0 for item in value)


class OneOf(Checked):
    """One of several names."""

    def __init__(self, options: Iterable[str]) -> None:
        self.options = tuple(options)
        super().__init__("one of " + ", ".join(map(repr, self.options)))

    def validate(self, obj: Any, value: Any) -> str:
        if not isinstance(value, str) or value not in self.options:
            raise self.refuse(obj, value)
        return value


class SomeOf(Checked):
    """Any of several names, each at most once. Kept as a tuple in the order of `options`."""

    def __init__(self, options: Iterable[str]) -> None:
        self.options = tuple(options)
        super().__init__("a list of names, each at most once, from " + ", ".join(map(repr, self.options)))

    def validate(self, obj: Any, value: Any) -> tuple[str, ...]:
        if not isinstance(value, (list, tuple)) or not all(isinstance(name, str) for name in value):
            raise self.refuse(obj, value)
        if len(set(value)) != len(value) or not set(value) <= set(self.options):
            raise self.refuse(obj, value)
        return tuple(name for name in self.options if name in value)


def rounded(value: Any) -> Any:
    """The value with every float in it, even in nested tuples and dictionaries, rounded to 9 decimals."""
    if isinstance(value, tuple):
        return tuple(map(rounded, value))
    if isinstance(value, dict):
        return {name: rounded(part) for name, part in value.items()}
    return round(value, 9) if isinstance(value, float) else value


@functools.cache
def source(file_name: str) -> str:
    """The text of a file in the folder of this one."""
    return resources.files("plm_lessons.widgets").joinpath(file_name).read_text(encoding="utf-8")


def is_file(file_name: str) -> bool:
    """Whether the folder of this file has a file of this name."""
    return resources.files("plm_lessons.widgets").joinpath(file_name).is_file()


def lean(script: str) -> str:
    """A script without its comments (which have lines of their own) and without indentation."""
    lines = (line.strip() for line in script.splitlines())
    return "\n".join(line for line in lines if line and not line.startswith(("//", "/**"))) + "\n"


def inert(text: str, ending: str) -> str:
    """Return `text` for use inside a raw-text element, or raise ValueError if it would end that element early."""
    if f"</{ending}" in text.lower() or "<!--" in text:
        raise ValueError(f"text for a <{ending}> element must hold neither '</{ending}' nor '<!--'")
    return text


class LessonWidget(anywidget.AnyWidget):
    """A widget of the book. A subclass states `name`, `fields` and its traits, and draws `picture()`.

    Attributes:
        name: the name of the script `NAME.js`.
        fields: names of the traits that make up the state, in the order of the `repr`.
        parts: names of scripts, besides the common one, that the widget needs before its own.
    """

    name: ClassVar[str]
    fields: ClassVar[tuple[str, ...]]
    parts: ClassVar[tuple[str, ...]] = ()

    @property
    def _esm(self) -> str:
        names = ("common", *self.parts, f"{self.name}.maths", self.name)
        return "\n".join(lean(source(f"{name}.js")) for name in names if is_file(f"{name}.js"))

    @property
    def _css(self) -> str:
        return "".join(source(f"{name}.css") for name in ("common", self.name) if is_file(f"{name}.css"))

    def state(self) -> dict[str, Any]:
        """The traits as plain values, numbers rounded to 9 decimals so that every machine writes the same text."""
        return {field: rounded(getattr(self, field)) for field in self.fields}

    def page_state(self) -> dict[str, Any]:
        """The state as a page gets it: that of `state`, but as the traits serialise it for the page."""
        return {field: rounded(value) for field, value in self.get_state(list(self.fields)).items()}

    def computed(self) -> dict[str, Any]:
        """What a page without a kernel gets besides the state, so that it need not compute it at the start."""
        return {}

    def picture(self) -> str:
        """HTML for readers without JavaScript: a drawing, the values and a sentence. Text in it must be escaped."""
        raise NotImplementedError

    def html(self) -> str:
        """The self-contained block: any HTML page that contains it shows a live widget."""
        # Without "<" no state can end the element; ASCII only, so that the page's encoding does not matter.
        state = json.dumps(self.page_state() | self.computed(), sort_keys=True).replace("<", "\\u003c")
        module = inert(f"{self._esm}\nmount({json.dumps(self.name)}, render);\n", "script")
        return (
            f'<div class="plm-block" data-plm-widget="{self.name}">\n'
            f'<style class="{UNMARKED}">\n{inert(self._css, "style")}</style>\n'
            f'<script class="{UNMARKED}" type="application/json">{state}</script>\n'
            f'<div class="plm-view">\n{self.picture()}\n</div>\n'
            f'<script class="{UNMARKED}" type="module">\n{module}</script>\n'
            "</div>"
        )

    def summary(self, field: str) -> str | None:
        """What the `repr` says in place of a value that is too long to read; None for other values."""
        return None

    def __repr__(self) -> str:
        arguments = inspect.signature(type(self)).parameters

        def differs(field: str) -> bool:
            default = self.traits()[field].validate(self, arguments[field].default)
            return bool(getattr(self, field) != default)

        parts = ((field, value) for field, value in self.state().items() if differs(field))
        named = ", ".join(f"{field}={self.summary(field) or repr(value)}" for field, value in parts)
        return f"{type(self).__name__}({named})"

    def _repr_mimebundle_(self, **kwargs: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        # ipywidgets 7 has no such method: it shows the view by itself, and a stored notebook then holds nothing more.
        parent = getattr(super(), "_repr_mimebundle_", None)
        data, metadata = (parent(**kwargs) if parent else None) or ({}, {})
        return {**data, "text/plain": repr(self), "text/html": self.html()}, metadata

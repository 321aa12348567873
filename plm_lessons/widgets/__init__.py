"""Interactive pictures that live in a notebook, in the built book and in any HTML page."""

from __future__ import annotations

from plm_lessons.widgets.gelu import GeluWidget

__all__ = ["GeluWidget"]

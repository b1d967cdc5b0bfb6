"""What people's folders look like, one layout a file."""

from tasks.dataset.layouts.layout import NON_EVENTS, BadRow, Layout, LayoutError, Row, is_non_event
from tasks.dataset.layouts.recognise import open_layout

__all__ = ["NON_EVENTS", "BadRow", "Layout", "LayoutError", "Row", "is_non_event", "open_layout"]

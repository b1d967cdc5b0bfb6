"""Layouts of labelled datasets: how folders and tables name recordings and their labels. One module per layout."""

from tasks.dataset.layouts.labelled_csv import METADATA_FOLDERS
from tasks.dataset.layouts.layout import (
    NON_EVENTS,
    DoubtfulDataset,
    Layout,
    LayoutError,
    Row,
    UnusableRow,
    is_non_event,
)
from tasks.dataset.layouts.recognise import open_layout
from tasks.dataset.layouts.table import TABLE_SUFFIXES

__all__ = [
    "METADATA_FOLDERS",
    "NON_EVENTS",
    "TABLE_SUFFIXES",
    "DoubtfulDataset",
    "Layout",
    "LayoutError",
    "Row",
    "UnusableRow",
    "is_non_event",
    "open_layout",
]  # fmt: skip

"""Tables that a user brings: what is read, and the sentence for each fault."""

from __future__ import annotations

import re

import pytest

from tasks.detections.class_tables import SpeciesNames, TableError, names_from_file, thresholds_from_file

LABELS = ["Wren", "Grey heron"]


@pytest.mark.parametrize("column", ["class", "Label", " LABEL "])
def test_thresholds_are_read_by_label_or_class(tmp_path, column):
    path = tmp_path / "t.csv"
    path.write_bytes(f"\ufeff{column},note,Threshold\r\n Grey  heron ,x,0.25\r\n\r\nWren,,1\r\n".encode())
    assert thresholds_from_file(path, LABELS) == {"Grey heron": 0.25, "Wren": 1.0}


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("label,threshold\nOwl,0.5\n", "t.csv, line 2: the model has no class 'Owl'"),
        ("label,threshold\nWren,0.5\n\nWren,0.6\n", "t.csv, line 4: a second threshold of 'Wren'; keep one"),
        ("label,threshold\nWren,1.5\n", "t.csv, line 2: the threshold is '1.5'; it must be a number from 0 to 1"),
        ("label,threshold\nWren,nan\n", "t.csv, line 2: the threshold is 'nan'; it must be a number from 0 to 1"),
        ("label,threshold\nWren,\n", "t.csv, line 2: the threshold is ''; it must be a number from 0 to 1"),
        ("label,threshold\n,0.5\n", "t.csv, line 2: empty label"),
        ("label,threshold\nWren\n", "t.csv, line 2: 1 cells where the header has 2"),
        ("label,score\nWren,1\n", "t.csv, line 1: no column threshold among label, score"),
        ("name,score\nWren,1\n", "t.csv, line 1: no column label or threshold among name, score"),
        ("label,threshold,threshold\n", "t.csv, line 1: two columns 'threshold'; keep one"),
        ("", "t.csv, line 1: no column label or threshold among "),
        ('label,threshold\n"Wren,0.5\n', "t.csv, line 2: unexpected end of data"),
    ],
)
def test_a_fault_of_the_thresholds_is_one_sentence_with_the_line(tmp_path, text, sentence):
    path = tmp_path / "t.csv"
    path.write_text(text)
    with pytest.raises(TableError, match=re.escape(sentence)):
        thresholds_from_file(path, LABELS)


def test_text_that_is_not_utf8_is_refused(tmp_path):
    path = tmp_path / "t.csv"
    path.write_bytes(b"label,threshold\nCaf\xe9,0.5\n")
    with pytest.raises(TableError, match="is not UTF-8 text"):
        thresholds_from_file(path, LABELS)


def test_names_are_read_from_columns_in_any_case_and_order(tmp_path):
    path = tmp_path / "n.csv"
    path.write_text("Code,LABEL,Scientific_Name\nwinwre4,Wren,Troglodytes troglodytes\n,Grey heron,\n")
    assert names_from_file(path) == {
        "Wren": SpeciesNames("Troglodytes troglodytes", "", "winwre4"),
        "Grey heron": SpeciesNames(),
    }


def test_a_label_named_twice_is_refused_with_its_line(tmp_path):
    path = tmp_path / "n.csv"
    path.write_text("label,code\nWren,a\nWren,b\n")
    with pytest.raises(TableError, match=r"n\.csv, line 3: a second row of 'Wren'; keep one"):
        names_from_file(path)

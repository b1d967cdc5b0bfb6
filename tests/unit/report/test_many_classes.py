"""A report of more classes than a figure can show: the most confused ones as a matrix, all of them as a table."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from xml.etree import ElementTree as ET

import numpy as np
import pytest

from tasks.report.html.page import page
from tasks.report.scoring.classification import Evaluation, most_confused, pooled_confusion
from tests.unit.report.examples import LABELS, evaluation_of, jobs_of, report_of

MANY = tuple(f"species {number:03d}" for number in range(250))


@pytest.fixture(scope="module")
def text() -> str:
    return page(report_of(jobs_of("cnn", MANY), MANY))


@pytest.fixture(scope="module")
def tree(text: str) -> ET.Element:
    return ET.fromstring(text.replace("<!DOCTYPE html>", ""))


def test_the_matrix_holds_the_most_confused_classes(tree: ET.Element) -> None:
    [matrix] = [svg for svg in tree.iter("svg") if "matrix" in str(svg.get("class"))]
    names = {str(each.text) for each in matrix.iter("text") if str(each.text).startswith("species")}
    # examples 90 to 119 are predicted as the next class, so these 31 classes are confused
    assert names == {f"species {number:03d}" for number in range(90, 121)}
    assert "The matrix shows the 31 most confused of 250 classes." in " ".join(" ".join(tree.itertext()).split())


def test_all_classes_are_in_two_tables_with_a_search(tree: ET.Element) -> None:
    tables = [box for box in tree.iter("div") if box.get("class") == "lookup"]
    assert len(tables) == 2
    for box in tables:
        rows = [row for body in box.iter("tbody") for row in body.iter("tr")]
        assert ["".join(row[0].itertext()) for row in rows] == list(MANY)
        assert [each.get("type") for each in box.iter("input")] == ["search"]


def test_the_policy_allows_the_pages_own_script_and_no_other(text: str) -> None:
    [script] = re.findall(r"<script>(.*?)</script>", text, flags=re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}';" in text
    assert not re.search("[<&]", script), "the page is well-formed XML too"


def test_a_label_that_is_a_script_stays_a_label() -> None:
    labels = ("<script>alert(1)</script>", *MANY[1:])
    assert page(report_of(jobs_of("cnn", labels), labels)).count("<script>") == 1


def test_classes_without_confusions_are_said_to_have_none() -> None:
    text = page(report_of(jobs_of("cnn", MANY, right=1.0), MANY))
    assert "No class was confused with another." in text


def test_the_most_confused_classes_are_those_of_the_largest_cells() -> None:
    confusion = np.diag([9, 9, 9, 9, 9, 9])
    confusion[4, 1], confusion[0, 5], confusion[1, 2] = 7, 3, 5
    assert most_confused(confusion, 2) == [1, 4]
    assert most_confused(confusion, 3) == [1, 2, 4]
    assert most_confused(confusion, 4) == [1, 2, 4]
    assert most_confused(confusion, 40) == [0, 1, 2, 4, 5]


@pytest.mark.parametrize("labels", [LABELS, MANY])
def test_an_evaluation_survives_json(labels: tuple[str, ...]) -> None:
    evaluation = evaluation_of(labels)
    fields = json.loads(json.dumps(evaluation.as_dict()))
    assert Evaluation.from_dict(fields) == evaluation
    assert ("confusion" in fields["by_chunk"]) is (labels == LABELS)
    assert pooled_confusion([evaluation]).sum() == 120


def test_the_json_of_many_classes_grows_with_the_confusions_and_not_with_the_square_of_the_classes() -> None:
    n_classes = [len(json.dumps(evaluation_of(MANY[:n]).as_dict()["by_chunk"])) for n in (210, 250)]
    assert n_classes[1] - n_classes[0] < 40 * 120


def test_an_evaluation_of_many_classes_of_an_earlier_version_is_read() -> None:
    evaluation = evaluation_of(MANY)
    fields = json.loads(json.dumps(evaluation.as_dict()))
    for name, scores in (("by_chunk", evaluation.by_chunk), ("by_recording", evaluation.by_recording)):
        del fields[name]["cells"]
        fields[name]["confusion"] = scores.confusion
    assert Evaluation.from_dict(fields) == evaluation

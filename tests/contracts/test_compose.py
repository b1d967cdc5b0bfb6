"""docker-compose.yml, its settings, its example of an .env and its pages say the same, and the files are well made."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from orchestrator.cli.main import app as command_line
from settings import Settings

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "docker-compose.yml").read_text()
COMPOSE: dict[str, Any] = yaml.safe_load(TEXT)
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = {name: facts for name, facts in SERVICES.items() if "dawn-chorus-" in facts["image"]}
WORKERS = ("cpu-worker", "gpu-worker", "train-cpu-worker")
PAGE = (ROOT / "docs" / "howto" / "cluster.md").read_text()


def checked(*command: str | Path) -> None:
    done = subprocess.run(
        [Path(sys.executable).with_name(str(command[0])), *command[1:]],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_compose_file_keeps_to_its_schema() -> None:
    checked("check-jsonschema", "--builtin-schema", "vendor.compose-spec", "docker-compose.yml")


def test_hadolint_finds_nothing_in_the_dockerfile() -> None:
    checked("hadolint", "Dockerfile")


def test_the_services_are_those_of_the_page() -> None:
    listed = set(re.findall(r"^\| `([a-z-]+)` \|", PAGE, re.MULTILINE))
    assert listed == set(SERVICES)


@pytest.mark.parametrize("name", OURS)
def test_every_setting_reaches_every_process_of_ours_and_no_other_does(name: str) -> None:
    given = {key for key in OURS[name]["environment"] if key.startswith("CHORUS_")}
    assert given == {f"CHORUS_{setting.upper()}" for setting in Settings.model_fields}


OWN_DEFAULTS = {"CHORUS_WAIT_S": "600", "CHORUS_CONCURRENCY": "1"}
"""Containers start at the same time, and their number is what is scaled."""


def test_a_default_in_compose_is_the_settings_own() -> None:
    for variable, default in re.findall(r"\$\{(CHORUS_\w+):-([^}]*)\}", TEXT):
        field = Settings.model_fields.get(variable.removeprefix("CHORUS_").lower())
        if variable in OWN_DEFAULTS:
            assert default == OWN_DEFAULTS[variable]
        elif field is not None and isinstance(field.default, int | float):
            assert float(default) == field.default, variable


def test_every_variable_of_compose_stands_in_the_example_with_its_default_and_no_other_does() -> None:
    texts = TEXT + (ROOT / "deploy" / "tls.yml").read_text()
    used = dict(re.findall(r"\$\{([A-Z_]+):-([^}]*)\}", texts))
    example = dict(re.findall(r"^#?([A-Z_]+)=(.*)$", (ROOT / ".env.example").read_text(), re.MULTILINE))
    passed_on = {name for facts in OURS.values() for name, value in facts["environment"].items() if value is None}
    assert set(example) == set(used) | passed_on
    given = {name for name in used if f"\n#{name}=" not in (ROOT / ".env.example").read_text()}
    assert {name: example[name] for name in given} == {name: used[name] for name in given}


@pytest.mark.parametrize("name", OURS)
def test_a_process_of_ours_may_do_nothing_but_its_work(name: str) -> None:
    facts = OURS[name]
    assert facts["read_only"] is True
    assert facts["init"] is True
    assert facts["cap_drop"] == ["ALL"]
    assert facts["security_opt"] == ["no-new-privileges:true"]
    assert not facts["user"].endswith(":-0:0}")
    assert facts["mem_limit"]
    assert "depends_on" not in facts, "a machine that joins must not start the others' services"


def test_no_service_keeps_what_an_engine_allows_by_default() -> None:
    assert [facts["cap_drop"] for facts in SERVICES.values()] == [["ALL"]] * len(SERVICES)
    added = {name: facts["cap_add"] for name, facts in SERVICES.items() if "cap_add" in facts}
    assert added == {"postgres": ["CHOWN", "DAC_OVERRIDE", "FOWNER", "SETGID", "SETUID"]}


@pytest.mark.parametrize("name", [*WORKERS, "dispatcher", "flower", "redis", "postgres"])
def test_health_is_looked_at(name: str) -> None:
    assert "test" in SERVICES[name]["healthcheck"]


@pytest.mark.parametrize("name", WORKERS)
def test_a_worker_has_time_to_finish_what_it_does_before_it_is_killed(name: str) -> None:
    grace_s = int(re.fullmatch(r"(\d+)s", SERVICES[name]["stop_grace_period"])[1])  # type: ignore[index]
    assert grace_s > Settings.model_fields["shutdown_s"].default + 15


def test_what_is_published_is_published_on_this_machine_alone() -> None:
    ports = {name: facts["ports"] for name, facts in SERVICES.items() if "ports" in facts}
    assert set(ports) == {"flower", "prometheus", "grafana"}
    assert all(port.startswith("127.0.0.1:") for listed in ports.values() for port in listed)


def test_no_password_stands_in_the_file_nor_reaches_a_process_but_as_a_file() -> None:
    for name, facts in SERVICES.items():
        secret = {key: value for key, value in facts.get("environment", {}).items() if "PASSWORD" in key}
        assert all(str(value) in ("", f"/run/secrets/{Path(str(value)).name}") for value in secret.values()), name
    assert set(COMPOSE["secrets"]) == set(re.findall(r"(\w+_password)", (ROOT / "deploy" / "make-secrets").read_text()))


def test_flower_is_given_nothing_of_database_and_store() -> None:
    flower = SERVICES["flower"]
    kept = {name: value for name, value in flower["environment"].items() if "DATABASE" in name or "STORE" in name}
    assert set(kept.values()) == {""}
    assert not any(name.startswith("AWS_") for name in flower["environment"])
    assert flower["secrets"] == ["redis_password", "flower_password"]
    assert flower["volumes"] == ["flower:/state"]


def test_whoever_the_containers_run_as_may_write_to_a_new_volume() -> None:
    made = re.search(r"install -d (.*) /store /state", (ROOT / "Dockerfile").read_text())
    assert made is not None
    assert "-m 1777" in made[1]


def test_secrets_are_made_once_and_nobody_else_may_enter_their_folder(tmp_path: Path) -> None:
    folder = tmp_path / "secrets"
    for _ in range(2):
        subprocess.run([ROOT / "deploy" / "make-secrets", folder], check=True, capture_output=True)
        made = {path.name: path.read_text() for path in folder.iterdir()}
    subprocess.run([ROOT / "deploy" / "make-secrets", folder], check=True, capture_output=True)
    assert {path.name: path.read_text() for path in folder.iterdir()} == made
    assert set(made) == set(COMPOSE["secrets"])
    assert all(re.fullmatch("[0-9a-f]{48}", secret) for secret in made.values())
    assert len(set(made.values())) == len(made)
    assert folder.stat().st_mode & 0o077 == 0


def test_what_compose_runs_the_command_line_knows() -> None:
    import typer  # noqa: PLC0415

    known = typer.main.get_command(command_line).commands  # type: ignore[attr-defined]
    for name, facts in OURS.items():
        first = facts["command"][0]
        assert first in known or first == "--help", name


def test_images_are_built_from_targets_that_the_dockerfile_has() -> None:
    targets = set(re.findall(r"^FROM .* AS (\S+)$", (ROOT / "Dockerfile").read_text(), re.MULTILINE))
    assert {facts["build"]["target"] for facts in OURS.values()} <= targets

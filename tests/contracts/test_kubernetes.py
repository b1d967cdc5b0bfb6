"""The manifests keep to Kubernetes' schemas and say the same as compose."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from settings import Settings

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "deploy" / "kubernetes"
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
VERSION = "1.37"
OTHERS = {"Kustomization", "ScaledObject", "ScaledJob"}


def manifests() -> list[dict[str, Any]]:
    return [one for path in sorted(FOLDER.glob("*.yaml")) for one in yaml.safe_load_all(path.read_text())]


def named(one: dict[str, Any]) -> str:
    return f"{one['kind']} {one.get('metadata', {}).get('name', '')}"


def pods() -> dict[str, dict[str, Any]]:
    """Templates of pods, by app."""
    found = {}
    for one in manifests():
        spec = one.get("spec", {})
        template = spec.get("template") or spec.get("jobTargetRef", {}).get("template")
        if template:
            found[template["metadata"]["labels"]["app"]] = template
    return found


OURS = {name: pod for name, pod in pods().items() if pod["metadata"]["labels"].get("part") == "ours"}


@pytest.mark.parametrize("one", [one for one in manifests() if one["kind"] not in OTHERS], ids=named)
def test_a_manifest_keeps_to_the_schema_to_the_letter(one: dict[str, Any]) -> None:
    kubernetes_validate.validate(one, VERSION, strict=True)


def test_the_schema_check_finds_a_word_written_wrongly() -> None:
    (one,) = [one for one in manifests() if named(one) == "Deployment cpu-worker"]
    one["spec"]["template"]["spec"]["containers"][0]["readOnlyRoot"] = True
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(one, VERSION, strict=True)


def test_a_scaled_jobs_job_keeps_to_the_schema_too() -> None:
    (one,) = [one for one in manifests() if one["kind"] == "ScaledJob"]
    job = {"apiVersion": "batch/v1", "kind": "Job", "metadata": one["metadata"], "spec": one["spec"]["jobTargetRef"]}
    kubernetes_validate.validate(job, VERSION, strict=True)


def test_everything_is_applied() -> None:
    (applied,) = [one for one in manifests() if one["kind"] == "Kustomization"]
    assert set(applied["resources"]) == {path.name for path in FOLDER.glob("*.yaml")} - {"kustomization.yaml"}


def test_every_setting_reaches_every_process_of_ours() -> None:
    (settings,) = [one["data"] for one in manifests() if one["kind"] == "ConfigMap"]
    assert set(settings) == {f"CHORUS_{name.upper()}" for name in Settings.model_fields}
    assert all(isinstance(value, str) for value in settings.values())
    assert all(
        pod["spec"]["containers"][0]["envFrom"][0] == {"configMapRef": {"name": "settings"}} for pod in OURS.values()
    )


def test_who_reads_recordings_or_the_store_is_given_the_keys_of_s3_where_there_are_any_and_nobody_else_is() -> None:
    further = {name: pod["spec"]["containers"][0]["envFrom"][1:] for name, pod in OURS.items()}
    keys = [{"secretRef": {"name": "s3", "optional": True}}]
    assert further == {
        "dispatcher": keys, "cpu-worker": keys, "gpu-worker": keys, "migrate": [], "flower": [],
    }  # fmt: skip
    page = (ROOT / "docs" / "howto" / "kubernetes.md").read_text()
    assert "kubectl create secret generic s3 " in page


def test_flower_is_given_nothing_of_the_database_and_may_not_reach_it() -> None:
    (container,) = OURS["flower"]["spec"]["containers"]
    given = {one["name"]: one["value"] for one in container["env"]}
    assert given["CHORUS_DATABASE_URL"] == given["CHORUS_DATABASE_PASSWORD_FILE"] == given["CHORUS_STORE_URL"] == ""
    assert "postgres_password" not in str(OURS["flower"])
    (policy,) = [one["spec"] for one in manifests() if named(one) == "NetworkPolicy postgres"]
    (who,) = policy["ingress"][0]["from"]
    assert {"key": "app", "operator": "NotIn", "values": ["flower"]} in who["podSelector"]["matchExpressions"]


def test_passwords_are_given_one_by_one_and_no_key_of_an_authority_with_them() -> None:
    page = (ROOT / "docs" / "howto" / "kubernetes.md").read_text()
    wanted = {
        item["key"] for pod in pods().values() for volume in pod["spec"].get("volumes", [])
        for item in volume.get("secret", {}).get("items", [])
    }  # fmt: skip
    assert set(re.findall(r"--from-file=secrets/(\w+)", page)) == wanted
    assert not re.search(r"--from-file=secrets\s", page)


@pytest.mark.parametrize("name", OURS)
def test_a_pod_runs_what_compose_runs_and_may_do_no_more(name: str) -> None:
    (container,) = OURS[name]["spec"]["containers"]
    assert container["args"] == COMPOSE[name]["command"]
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}
    }  # fmt: skip
    assert OURS[name]["spec"]["securityContext"]["runAsNonRoot"] is True
    assert OURS[name]["spec"]["automountServiceAccountToken"] is False
    assert "memory" in container["resources"]["limits"]


@pytest.mark.parametrize("name", ["cpu-worker", "gpu-worker", "dispatcher"])
def test_health_is_asked_as_compose_asks(name: str) -> None:
    asked = OURS[name]["spec"]["containers"][0]["livenessProbe"]["exec"]["command"]
    assert ["CMD", *asked] == COMPOSE[name]["healthcheck"]["test"]


@pytest.mark.parametrize("name", ["cpu-worker", "gpu-worker"])
def test_a_worker_has_time_to_finish(name: str) -> None:
    given = {one["name"]: one["value"] for one in OURS[name]["spec"]["containers"][0].get("env", [])}
    shutdown_s = float(given.get("CHORUS_SHUTDOWN_S", Settings.model_fields["shutdown_s"].default))
    assert OURS[name]["spec"]["terminationGracePeriodSeconds"] > shutdown_s + 15


def test_cpu_workers_are_scaled_by_what_waits_for_them_and_nothing_else_sets_their_number() -> None:
    (scaled,) = [one["spec"] for one in manifests() if one["kind"] == "ScaledObject"]
    (deployment,) = [one for one in manifests() if named(one) == f"Deployment {scaled['scaleTargetRef']['name']}"]
    assert "replicas" not in deployment["spec"]
    (trigger,) = scaled["triggers"]
    assert trigger["type"] == "prometheus"
    a_pod = trigger["metadata"]["threshold"]
    assert trigger["metadata"]["query"].split(" + ") == [
        'max(chorus_queue_messages{queue="cpu"})',
        f'{a_pod} * sum(max by (kind) (chorus_open{{kind=~"pack|render",state="running"}}))',
    ]
    most = Settings.model_fields["window_messages"].default / int(trigger["metadata"]["threshold"])
    assert 0 < scaled["minReplicaCount"] < scaled["maxReplicaCount"] <= most


def test_trainings_are_jobs_that_end_by_themselves_and_are_never_ended() -> None:
    (scaled,) = [one["spec"] for one in manifests() if one["kind"] == "ScaledJob"]
    assert scaled["triggers"][0]["metadata"]["query"] == 'max(chorus_queue_messages{queue="gpu"})'
    assert scaled["rollout"] == {"strategy": "gradual"}
    template = scaled["jobTargetRef"]["template"]
    given = {one["name"]: one["value"] for one in template["spec"]["containers"][0]["env"]}
    assert float(given["CHORUS_IDLE_EXIT_S"]) > 0
    assert template["metadata"]["annotations"]["cluster-autoscaler.kubernetes.io/safe-to-evict"] == "false"


def test_secrets_are_those_that_are_made() -> None:
    made = (ROOT / "deploy" / "make-secrets").read_text()
    for name, pod in pods().items():
        for volume in pod["spec"].get("volumes", []):
            for item in volume.get("secret", {}).get("items", []):
                assert item["key"] == item["path"], name
                assert item["key"] in made, name

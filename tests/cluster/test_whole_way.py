"""A dataset through the stack: submitted by the command line, done by containers, seen in a browser.

Slow: images are built, a dozen containers start, and a network is trained.
"""

from __future__ import annotations

import hashlib
import re
import time
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page

from tests.cluster.containers import Stack, podman

N_RECORDINGS, BROKEN = 101, "Junco_hyemalis/broken.mp3"


@pytest.fixture(scope="module")
def run(stack: Stack) -> int:
    """birds10 and one broken file, from recordings to the report."""
    number = stack.submit("/data/birds10", "--models", "mlp", "--epochs", "3")
    stack.await_done(number)
    return number


def test_every_recording_is_done_but_the_broken_one_and_every_container_did_some_of_the_work(stack, run):
    assert stack.counts(run) == {"done": N_RECORDINGS - 1, "quarantined": 1}
    hosts = {row[0].partition("@")[2] for row in stack.sql(f"SELECT DISTINCT worker FROM item WHERE run_id = {run}")}
    assert hosts == {_host(name) for name in stack.containers("cpu-worker")}
    trained = stack.sql(f"SELECT DISTINCT worker FROM job WHERE run_id = {run} AND kind IN ('train', 'evaluate')")
    assert {row[0].partition("@")[2] for row in trained} == {_host(stack.only("train-cpu-worker"))}


def test_ledger_and_store_agree_row_for_row(stack, run):
    rows = stack.sql("SELECT key, size_bytes, sha256 FROM artifact")
    assert len(rows) == N_RECORDINGS - 1
    assert {key: digest for key, _, digest in rows} == stack.files("strips")
    assert all((stack.store / key).stat().st_size == int(size) for key, size, _ in rows)
    packed = stack.sql(
        "SELECT jsonb_array_elements_text(result::jsonb -> 'shards') FROM job "
        f"WHERE run_id = {run} AND kind = 'pack' AND state = 'done'"
    )
    assert sorted(row[0] for row in packed) == [key for key in stack.files("shards") if key.endswith(".parquet")]
    ((model, digest),) = stack.sql(
        f"SELECT result ->> 'key', result ->> 'sha256' FROM job WHERE run_id = {run} AND kind = 'train'"
    )
    assert hashlib.sha256((stack.store / model).read_bytes()).hexdigest() == digest


@pytest.mark.parametrize("service", ["dispatcher", "cpu-worker", "train-cpu-worker", "flower"])
def test_containers_of_ours_may_do_nothing_but_their_work(stack, service):
    facts = "{{.HostConfig.ReadonlyRootfs}} {{.EffectiveCaps}} {{.Config.User}} {{.HostConfig.Init}}"
    for name in stack.containers(service):
        assert podman("inspect", name, "--format", facts) == "true [] 10001:10001 true"
        assert int(podman("inspect", name, "--format", "{{.HostConfig.Memory}}")) > 0
        podman("healthcheck", "run", name)


def test_nothing_but_flower_listens_outside_and_flower_only_on_this_machine(stack):
    for service in ("redis", "postgres", "dispatcher", "cpu-worker", "train-cpu-worker"):
        assert [podman("port", name) for name in stack.containers(service)] == [""] * len(stack.containers(service))
    assert podman("port", stack.only("flower")) == f"5555/tcp -> 127.0.0.1:{stack.flower_port}"


def test_the_cpu_image_holds_no_tensorflow_and_no_pip(images):
    listed = podman("run", "--rm", "--entrypoint", "ls", images[0], "/opt/venv/lib/python3.11/site-packages").split()
    assert not {"tensorflow", "keras", "pip"} & set(listed)


def test_prometheus_is_told_what_the_ledger_holds_and_who_serves_the_queues(stack, run):
    told = "import urllib.request as u; print(u.urlopen('http://dispatcher:9464/metrics', timeout=10).read().decode())"
    expected = {
        f'chorus_items{{state="done"}} {float(N_RECORDINGS - 1)}',
        'chorus_items{state="quarantined"} 1.0',
        'chorus_consumers{queue="cpu"} 3.0',
        'chorus_consumers{queue="gpu"} 1.0',
    }
    give_up = time.monotonic() + 120
    while missing := expected - set(figures := podman("exec", stack.only("flower"), "python", "-c", told).splitlines()):
        assert time.monotonic() < give_up, (missing, "\n".join(figures))  # measured every few seconds
        time.sleep(2)


# --- in a browser -------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def signed_in(browser: Browser, stack: Stack) -> BrowserContext:
    """A browser that knows Flower's password."""
    credentials: Any = {"username": "chorus", "password": stack.password("flower"), "send": "always"}
    return browser.new_context(
        http_credentials=credentials,
        base_url=f"http://127.0.0.1:{stack.flower_port}",
        viewport={"width": 1600, "height": 1100},
    )


def test_flower_refuses_whoever_has_no_password(stack, browser, kept):
    tab = browser.new_page()
    for page in ("/", "/tasks", "/workers", "/broker", "/api/tasks", "/api/workers"):
        assert tab.request.get(f"http://127.0.0.1:{stack.flower_port}{page}").status == 401, page
    tab.close()


def test_flower_shows_who_serves_which_queue(stack, run, signed_in, kept):
    queues = _api(signed_in, "/api/workers?refresh=1")
    served = {name: [queue["name"] for queue in facts["active_queues"]] for name, facts in queues.items()}
    by_role = {role: [name for name in served if name.startswith(f"{role}-")] for role in ("cpu", "gpu")}
    assert {name.partition("@")[2] for name in by_role["cpu"]} == {_host(n) for n in stack.containers("cpu-worker")}
    assert {name.partition("@")[2] for name in by_role["gpu"]} == {_host(stack.only("train-cpu-worker"))}
    assert all(served[name] == ["cpu"] for name in by_role["cpu"])
    assert served[by_role["gpu"][0]] == ["gpu"]
    tab = _shown(signed_in, "/workers", kept / "flower-workers.png", by_role["gpu"][0])
    for name in served:
        assert name in tab.content()
    tab.close()
    tab = _shown(signed_in, f"/worker/{by_role['gpu'][0]}", kept / "flower-worker.png", by_role["gpu"][0])
    tab.get_by_text("Queues", exact=True).click()
    tab.wait_for_timeout(1000)  # it fades in
    tab.screenshot(path=kept / "flower-queues.png")
    tab.close()


def test_flower_shows_tasks_that_a_person_can_read_and_their_items_add_up_to_the_ledgers(stack, run, signed_in, kept):
    tasks = [task for task in _api(signed_in, "/api/tasks?limit=10000").values() if f"run {run}" in task["args"]]
    n_items = sum(_n_items(task["args"]) for task in tasks if task["name"] == "preprocess")
    assert n_items == N_RECORDINGS == sum(stack.counts(run).values())
    assert {task["name"] for task in tasks} == {"preprocess", "pack", "train", "evaluate", "render"}
    assert any("Zonotrichia_leucophrys/" in task["args"] for task in tasks)
    ((training,),) = stack.sql(f"SELECT id FROM job WHERE run_id = {run} AND kind = 'train'")
    trained = [task["args"] for task in tasks if task["name"] == "train"]
    assert trained == [f"run {run}, job {training}: mlp, seed 0"]
    tab = _shown(signed_in, "/tasks", kept / "flower-tasks.png", "Zonotrichia_leucophrys/")
    tab.close()


def test_flower_shows_a_failure_with_its_recording_and_its_reason(stack, run, signed_in, kept):
    (failed,) = _api(signed_in, "/api/tasks?state=FAILURE").items()
    assert BROKEN in failed[1]["exception"]
    assert "unsupported format" in failed[1]["exception"]
    tab = _shown(signed_in, "/tasks?state=FAILURE", kept / "flower-failed.png", BROKEN)
    tab.close()
    tab = _shown(signed_in, f"/task/{failed[0]}", kept / "flower-failed-task.png", "unsupported format")
    tab.close()


def test_flower_only_reads_and_shows_no_password(stack, signed_in, kept):
    name = next(iter(_api(signed_in, "/api/workers?refresh=1")))
    for order in (f"/api/worker/shutdown/{name}", f"/api/worker/pool/grow/{name}", "/api/task/async-apply/preprocess"):
        answer = signed_in.request.post(order, data="{}")
        assert answer.status == 403, (order, answer.status, answer.text())
    for page in (
        "/workers",
        f"/worker/{name}",
        "/tasks",
        "/broker",
        "/api/workers?refresh=1",
        "/api/tasks",
        "/metrics",
    ):
        text = signed_in.request.get(page).text()
        for secret in ("redis", "postgres", "flower"):
            assert stack.password(secret) not in text, (page, secret)
    _shown(signed_in, "/broker", kept / "flower-broker.png", "redis://:**@redis").close()


def test_flower_still_knows_the_tasks_after_a_restart(stack, run, signed_in):
    before = len(_api(signed_in, "/api/tasks?limit=10000"))
    podman("restart", "--time", "10", stack.only("flower"))
    stack.await_watched(1)
    assert len(_api(signed_in, "/api/tasks?limit=10000")) >= before > 0


def test_the_report_opens_from_disk_with_the_network_off(stack, run, browser, kept):
    ((key,),) = stack.sql(f"SELECT result ->> 'key' FROM job WHERE run_id = {run} AND kind = 'render'")
    context = browser.new_context(offline=True, viewport={"width": 1280, "height": 1600})
    tab = context.new_page()
    complaints: list[str] = []
    tab.on("console", lambda message: complaints.append(message.text))
    tab.goto((stack.store / key).as_uri(), wait_until="load")
    assert f"run {run}" in tab.title()
    assert "broken.mp3" in tab.content()
    assert complaints == []
    tab.screenshot(path=kept / "report.png", full_page=True)
    context.close()


def _host(container: str) -> str:
    return podman("inspect", container, "--format", "{{.Config.Hostname}}")


def _n_items(args: str) -> int:
    more = re.search(r" and (\d+) more$", args)
    return 1 + int(more[1]) if more else 1


def _api(context: BrowserContext, path: str) -> dict[str, Any]:
    answer = context.request.get(path)
    assert answer.ok, (path, answer.status)
    found: dict[str, Any] = answer.json()
    return found


def _shown(context: BrowserContext, path: str, picture: Path, awaited: str) -> Page:
    """The page in a tab, once it shows the text awaited; with a picture of it."""
    tab = context.new_page()
    tab.goto(path, wait_until="load")
    tab.get_by_text(awaited).first.wait_for(timeout=15_000)
    tab.screenshot(path=picture, full_page=True)
    return tab

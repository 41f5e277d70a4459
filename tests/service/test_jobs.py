import concurrent.futures
import json
import re

import httpx
import pytest

from service.jobs import STATUSES
from tests.service.running import SPEC, FakeWorker, submit, until


@pytest.fixture
def client(server):
    with server.client() as found:
        # Leave nothing in the queue for the next test.
        yield found
        for job in found.get("/v1/jobs", params={"status": ["queued", "running"], "limit": 200}).json()["items"]:
            found.post(f"/v1/jobs/{job['id']}/cancel")


def is_problem(answer: httpx.Response, status: int) -> dict:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    body = answer.json()
    assert body["status"] == status
    assert body["title"]
    assert body["detail"]
    return body


def test_a_submitted_job_has_the_contracts_shape_and_a_location(client):
    answer = client.post("/v1/jobs", json=SPEC)
    assert answer.status_code == 202
    job = answer.json()
    assert answer.headers["location"] == f"/v1/jobs/{job['id']}"
    keys = "id name status priority owner created_at started_at ended_at progress spec error links"
    assert set(job) == set(keys.split())
    assert set(job["progress"]) == {"trials_done", "trials_total", "trials_reused", "seconds", "eta_seconds"}
    assert re.fullmatch("[0-9a-f]{16}", job["id"])
    assert (job["status"], job["name"], job["progress"]["trials_total"]) == ("queued", "small", 16)
    assert job["spec"]["training"]["steps"] == 1500
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", job["created_at"])
    assert client.get(answer.headers["location"]).json() == job


def test_a_job_runs_through_its_states(client):
    job = submit(client)
    worker = FakeWorker(client)
    assert worker.run() == job["id"]
    done = client.get(f"/v1/jobs/{job['id']}").json()
    assert done["status"] == "succeeded"
    assert done["progress"]["trials_done"] == 16
    assert done["created_at"] <= done["started_at"] <= done["ended_at"]
    is_problem(client.post(f"/v1/jobs/{job['id']}/cancel"), 409)
    is_problem(client.post(f"/v1/jobs/{job['id']}/resume"), 409)


def test_higher_priority_then_older_is_leased_first(client):
    first, second = submit(client), submit(client)
    urgent = client.post("/v1/jobs", json=SPEC, params={"priority": 5}).json()
    assert client.patch(f"/v1/jobs/{second['id']}", json={"priority": 9}).json()["priority"] == 9
    worker = FakeWorker(client)
    taken = [worker.take()["job_id"] for _ in range(3)]
    assert taken == [second["id"], urgent["id"], first["id"]]
    assert worker.take() is None


def test_cancel_ends_a_queued_job_at_once_and_a_running_one_by_its_worker(client):
    queued = submit(client)
    answer = client.post(f"/v1/jobs/{queued['id']}/cancel")
    assert (answer.status_code, answer.json()["status"]) == (202, "cancelled")
    assert client.post(f"/v1/jobs/{queued['id']}/cancel").status_code == 202

    running = submit(client)
    worker = FakeWorker(client)
    worker.take()
    assert worker.say("heartbeat", {}).json()["cancel"] is False
    assert client.post(f"/v1/jobs/{running['id']}/cancel").status_code == 202
    assert worker.say("heartbeat", {}).json()["cancel"] is True
    is_problem(client.post(f"/v1/jobs/{running['id']}/resume"), 409)
    assert worker.say("finish", {"status": "cancelled"}).status_code == 204
    assert client.get(f"/v1/jobs/{running['id']}").json()["status"] == "cancelled"

    resumed = client.post(f"/v1/jobs/{running['id']}/resume")
    assert (resumed.status_code, resumed.json()["status"], resumed.json()["ended_at"]) == (202, "queued", None)
    assert worker.take()["job_id"] == running["id"]
    assert worker.lease["fence"] == 2


def test_a_failed_job_says_why_and_can_be_resumed(client):
    job = submit(client)
    worker = FakeWorker(client)
    worker.take()
    worker.say("finish", {"status": "failed", "error": "The Ray cluster is lost.\x00"})
    failed = client.get(f"/v1/jobs/{job['id']}").json()
    assert (failed["status"], failed["error"]) == ("failed", "The Ray cluster is lost.")
    assert client.post(f"/v1/jobs/{job['id']}/resume").json()["error"] is None


def test_delete_removes_an_ended_job_and_its_files(client, server):
    job = submit(client)
    is_problem(client.delete(f"/v1/jobs/{job['id']}"), 409)
    FakeWorker(client).run()
    folder = server.service.storage().job(job["id"])
    assert folder.exists("trials.parquet")
    assert client.delete(f"/v1/jobs/{job['id']}").status_code == 204
    assert not folder.exists("trials.parquet")
    is_problem(client.get(f"/v1/jobs/{job['id']}"), 404)
    is_problem(client.delete(f"/v1/jobs/{job['id']}"), 404)
    assert job["id"] not in [item["id"] for item in client.get("/v1/jobs").json()["items"]]


def test_a_lease_that_runs_out_goes_to_another_worker_and_the_first_is_refused(client):
    job = submit(client)
    slow, fast = FakeWorker(client, "slow"), FakeWorker(client, "fast")
    slow.take()
    until(lambda: client.get(f"/v1/jobs/{job['id']}").json()["status"] == "queued", 20)
    assert fast.take()["job_id"] == job["id"]
    assert fast.lease["fence"] > slow.lease["fence"]
    for act, body in (("heartbeat", {}), ("finish", {"status": "succeeded"}), ("release", {})):
        assert is_problem(slow.say(act, body), 409)["type"] == "urn:saephase:lease-lost"
    assert client.get(f"/v1/jobs/{job['id']}").json()["status"] == "running"
    assert fast.say("finish", {"status": "succeeded"}).status_code == 204


def test_finishing_twice_is_as_good_as_once_and_releasing_queues_again(client):
    job = submit(client)
    worker = FakeWorker(client)
    worker.take()
    assert worker.say("release", {}).status_code == 204
    is_problem(worker.say("release", {}), 409)
    assert worker.take()["job_id"] == job["id"]
    for _ in range(2):
        assert worker.say("finish", {"status": "succeeded"}).status_code == 204
    is_problem(worker.say("finish", {"status": "failed"}), 409)
    is_problem(worker.say("heartbeat", {}), 409)


def test_a_lease_offers_the_folders_of_jobs_with_the_same_trials(client):
    spec = {**SPEC, "name": "reuse", "training": {"steps": 77}}
    first = submit(client, spec)
    FakeWorker(client).run()
    wider = {**spec, "grid": {**spec["grid"], "hidden_dim": [8, 16, 32]}}
    other = {**spec, "training": {"steps": 78}}
    worker = FakeWorker(client)
    submit(client, wider)
    assert worker.take()["reuse"] == [worker.lease["folder"].replace(worker.lease["job_id"], first["id"])]
    submit(client, other)
    assert worker.take()["reuse"] == []


def test_one_job_per_key_from_50_clients_at_once(client, server):
    def post(_):
        with server.client() as mine:
            return mine.post("/v1/jobs", json={**SPEC, "name": "once"}, headers={"Idempotency-Key": "key-50"})

    with concurrent.futures.ThreadPoolExecutor(50) as pool:
        answers = list(pool.map(post, range(50)))
    assert sorted({answer.status_code for answer in answers}) == [200, 202]
    assert [answer.status_code for answer in answers].count(202) == 1
    assert len({answer.content for answer in answers}) == 1
    assert len(client.get("/v1/jobs", params={"name": "once"}).json()["items"]) == 1
    problem = is_problem(client.post("/v1/jobs", json=SPEC, headers={"Idempotency-Key": "key-50"}), 422)
    assert answers[0].json()["id"] in problem["detail"]
    FakeWorker(client).run()
    again = post(None)
    assert (again.status_code, again.content) == (200, answers[0].content)
    assert client.patch(f"/v1/jobs/{answers[0].json()['id']}", json={"priority": -5}).status_code == 200
    assert post(None).content == answers[0].content
    # Defaults that are written out, and another order of keys, make the same spec.
    same = json.loads(json.dumps({**SPEC, "name": "once", "training": {"steps": 1500}}, sort_keys=True))
    assert client.post("/v1/jobs", json=same, headers={"Idempotency-Key": "key-50"}).status_code == 200


def test_lists_come_in_pages_newest_first_and_filtered(client):
    made = [submit(client, {**SPEC, "name": f"page-{i % 2}"})["id"] for i in range(7)]
    client.post(f"/v1/jobs/{made[0]}/cancel")
    seen, cursor = [], None
    while True:
        params = {"limit": 2, **({"cursor": cursor} if cursor else {})}
        page = client.get("/v1/jobs", params=params).json()
        seen += [job["id"] for job in page["items"]]
        cursor = page["next_cursor"]
        if cursor is None or len(seen) >= 7:
            break
    assert seen[:7] == made[::-1]
    named = client.get("/v1/jobs", params={"name": "page-0", "status": "queued"}).json()["items"]
    assert [job["id"] for job in named] == [made[6], made[4], made[2]]
    assert client.get("/v1/jobs", params={"name": "page"}).json() == {"items": [], "next_cursor": None}
    for params in ({"limit": 0}, {"limit": 10**6}, {"status": "done"}, {"cursor": "x"}, {"name": "\x00"}):
        is_problem(client.get("/v1/jobs", params=params), 422)


def test_a_search_finds_part_of_a_name_an_owner_or_an_id_in_any_case(client):
    names = ["Sought 100 %", "sought_two", "soughtXtwo", "other"]
    made = {name: submit(client, {**SPEC, "name": name})["id"] for name in names}

    def found(text):
        items = client.get("/v1/jobs", params={"search": text, "limit": 200}).json()["items"]
        return [job["name"] for job in items if job["id"] in made.values()]

    assert found("SOUGHT") == names[2::-1]
    assert found("ght 100 %") == names[:1]
    # What would be a pattern is text.
    assert found("sought_") == ["sought_two"]
    assert found("%") == names[:1]
    assert found(made["other"][2:14]) == ["other"]
    assert found("LOCAL") == names[::-1]
    assert client.get("/v1/jobs", params={"search": "sought", "status": "failed"}).json()["items"] == []
    is_problem(client.get("/v1/jobs", params={"search": ""}), 422)


def test_a_page_of_huge_specs_stays_small(client):
    matrix = [[float(i == j) + 0.1 for j in range(300)] for i in range(300)]
    data = {"n_features": 300, "n_inputs": 300, "superposition": {"kind": "explicit", "matrix": matrix}}
    for _ in range(8):
        submit(client, {"name": "huge", "data": data, "grid": SPEC["grid"]})
    seen, cursor = 0, None
    while True:
        answer = client.get("/v1/jobs", params={"name": "huge", **({"cursor": cursor} if cursor else {})})
        assert len(answer.content) < 6 * 2**20
        seen += len(answer.json()["items"])
        cursor = answer.json()["next_cursor"]
        if cursor is None:
            break
    assert seen == 8


BAD_SPECS = {
    "unknown key": (b'{"data": {"n_features": 4, "n_inputs": 2}, "gird": {}}', "gird"),
    "missing": (b'{"data": {"n_features": 4}}', "data.n_inputs"),
    "not a mapping": (b"[1]", ""),
    "not json": (b"name: yaml", ""),
    "twice": (b'{"name": "a", "name": "b"}', ""),
    "nan": (json.dumps({**SPEC, "data": {"n_features": 8, "n_inputs": 4, "noise": float("nan")}}).encode(), ""),
    "huge integer": (json.dumps({**SPEC, "data": {"n_features": 10**4000, "n_inputs": 4}}).encode(), None),
    "digits beyond": (b'{"data": {"n_features": ' + b"9" * 5000 + b"}}", ""),
    "deep": (b"[" * 100_000, ""),
    "surrogate": (b'{"name": "\\ud800"}', None),
    "nul": (json.dumps({**SPEC, "name": "a\x00b"}).encode(), "name"),
    "not utf-8": (b'{"name": "\xff"}', ""),
    "empty": (b"", ""),
    "path": (
        json.dumps(
            {
                **SPEC,
                "data": {"n_features": 8, "n_inputs": 4, "superposition": {"kind": "explicit", "path": "/etc/passwd"}},
            }
        ).encode(),
        None,
    ),
}


@pytest.mark.parametrize("name", BAD_SPECS)
def test_a_bad_spec_is_a_422_that_names_its_keys(client, name):
    body, key = BAD_SPECS[name]
    for path in ("/v1/jobs", "/v1/plans"):
        answer = client.post(path, content=body, headers={"Content-Type": "application/json"})
        problem = is_problem(answer, 422)
        assert problem["errors"]
        assert key is None or key in [error["key"] for error in problem["errors"]]
        assert "root:" not in answer.text


def test_a_plan_is_the_commands_plan(client):
    from phase_diagrams.cost import plan_cost
    from phase_diagrams.spec import parse_spec

    plan = client.post("/v1/plans", json=SPEC, params={"cores": 3}).json()
    expected = plan_cost(parse_spec(SPEC), 3)
    assert {name: plan[name] for name in ("trials", "packs", "steps", "seconds")} == {
        name: getattr(expected, name) for name in ("trials", "packs", "steps", "seconds")
    }
    assert plan["cores"] == 3


def test_everything_else_is_a_problem_too(client):
    is_problem(client.get("/nothing"), 404)
    is_problem(client.get("/v1/jobs/0123456789abcdef"), 404)
    for job_id in ("x", "0123456789ABCDEF", "..", "%2e%2e", "0123456789abcde%00"):
        is_problem(client.get(f"/v1/jobs/{job_id}"), 404) if job_id != ".." else None
    for path, allowed in (("/v1/jobs", "GET, POST"), ("/", "GET, HEAD"), ("/page/index.html", "GET, HEAD")):
        answer = client.put(path)
        is_problem(answer, 405)
        assert answer.headers["allow"] == allowed
    # The first method is none that the parser knows; the second is known, and no route's.
    is_problem(client.request("NONSENSE", "/v1/jobs"), 400)
    is_problem(client.request("PURGE", "/v1/jobs"), 405)
    for path in ("/", "/docs", "/healthz", "/readyz"):
        assert client.head(path).status_code == 200
    is_problem(client.post("/v1/jobs", content=b"{}"), 415)
    is_problem(client.post("/v1/jobs", data={"a": "b"}), 415)
    is_problem(client.post("/v1/jobs", json=SPEC, headers={"Idempotency-Key": ""}), 422)
    is_problem(client.post("/v1/leases", json={"worker": "w", "more": 1}), 422)
    is_problem(client.post("/v1/leases/nothing/heartbeat", json={}), 404)
    is_problem(client.post(f"/v1/leases/{'0' * 32}/heartbeat", json={}), 409)
    for number in (b"NaN", b"1e999"):
        body = b'{"events": [{"type": "message", "data": {"x": [' + number + b"]}}]}"
        headers = {"Content-Type": "application/json"}
        is_problem(client.post(f"/v1/leases/{'0' * 32}/heartbeat", content=body, headers=headers), 422)
    is_problem(client.patch("/v1/jobs/0123456789abcdef", json={"priority": "high"}), 422)


def test_the_statuses_are_the_contracts():
    assert STATUSES == ("queued", "running", "succeeded", "failed", "cancelled")

import time

import httpx
import pytest

from service.access import OpenToAll, check_binding
from service.settings import Settings, environment_settings, local_settings
from service.tokens import create_token, list_tokens, revoke_token
from tests.service.conftest import make_settings
from tests.service.running import SPEC, FakeWorker, running, submit, until
from tests.service.test_jobs import is_problem


@pytest.fixture(scope="module")
def guarded(database_url, tmp_path_factory):
    """A service with tokens, and a secret of each role."""
    settings = make_settings(
        database_url, tmp_path_factory.mktemp("storage"), worker_token="the-worker", admin_token="the-admin"
    )
    with running(settings) as server:
        database = server.service.database
        roles = {"ada": "submit", "bob": "submit", "eve": "read"}
        secrets = {owner: create_token(database, owner, role, time.time())[1] for owner, role in roles.items()}
        yield server, secrets


def test_without_or_with_an_unknown_token_nothing_is_told(guarded):
    server, _ = guarded
    calls = [
        ("GET", "/v1/jobs"),
        ("POST", "/v1/jobs"),
        ("POST", "/v1/plans"),
        ("GET", f"/v1/jobs/{'0' * 16}"),
        ("DELETE", f"/v1/jobs/{'0' * 16}"),
        ("GET", f"/v1/jobs/{'0' * 16}/events"),
        ("GET", f"/v1/jobs/{'0' * 16}/artifacts/spec.json"),
        ("GET", f"/v1/jobs/{'0' * 16}/diagram"),
        ("POST", "/v1/leases"),
        ("GET", "/metrics"),
    ]
    for token in (None, "wrong", "sae_" + "x" * 43, ""):
        with server.client(token) as client:
            for method, path in calls:
                answer = client.request(method, path)
                is_problem(answer, 401)
                assert answer.headers["www-authenticate"].startswith("Bearer")
    with server.client() as client:
        for path in ("/healthz", "/readyz", "/v1/spec-schema", "/openapi.json", "/docs", "/"):
            assert client.get(path).status_code == 200, path


def test_a_user_sees_own_jobs_and_an_admin_all(guarded):
    server, secrets = guarded
    with server.client(secrets["ada"]) as ada, server.client(secrets["bob"]) as bob, server.client("the-admin") as root:
        job = submit(ada)
        assert job["owner"] == "ada"
        url = f"/v1/jobs/{job['id']}"
        assert root.get(url).json() == ada.get(url).json()
        assert job["id"] in [item["id"] for item in root.get("/v1/jobs").json()["items"]]
        assert bob.get("/v1/jobs").json()["items"] == []
        for answer in (
            bob.get(url),
            bob.post(url + "/cancel"),
            bob.post(url + "/resume"),
            bob.delete(url),
            bob.patch(url, json={"priority": 1}),
            bob.get(url + "/events"),
            bob.get(url + "/conditions"),
            bob.get(url + "/diagram"),
            bob.get(url + "/artifacts"),
            bob.get(url + "/artifacts.zip"),
            bob.get(url + "/artifacts/spec.json"),
        ):
            is_problem(answer, 404)
        # The same Idempotency-Key of another owner is another key.
        keyed = {"Idempotency-Key": "shared"}
        assert submit(ada, **keyed)["id"] != submit(bob, **keyed)["id"]
        for client in (ada, bob):
            for item in client.get("/v1/jobs").json()["items"]:
                assert client.post(f"/v1/jobs/{item['id']}/cancel").status_code == 202


def test_roles_grant_what_they_say(guarded):
    server, secrets = guarded
    with server.client(secrets["eve"]) as reader:
        assert reader.get("/v1/jobs").status_code == 200
        assert reader.post("/v1/plans", json=SPEC).status_code == 200
        is_problem(reader.post("/v1/jobs", json=SPEC), 403)
        is_problem(reader.post("/v1/leases", json={"worker": "w"}), 403)
    with server.client(secrets["ada"]) as user:
        is_problem(user.post("/v1/leases", json={"worker": "w"}), 403)
        job = submit(user)
    with server.client("the-worker") as worker:
        is_problem(worker.get("/v1/jobs"), 403)
        is_problem(worker.post("/v1/jobs", json=SPEC), 403)
        assert FakeWorker(worker).run() == job["id"]


def test_a_token_works_at_once_and_is_revoked_within_seconds(guarded):
    server, _ = guarded
    database = server.service.database
    token, secret = create_token(database, "new", "read", time.time(), "laptop")
    with server.client(secret) as client:
        assert client.get("/v1/jobs").status_code == 200
        assert revoke_token(database, token.id, time.time())
        assert not revoke_token(database, token.id, time.time())
        until(lambda: client.get("/v1/jobs").status_code == 401, 10)
    found = next(known for known in list_tokens(database) if known.id == token.id)
    assert (found.owner, found.role, found.label, found.revoked_at is None) == ("new", "read", "laptop", False)


def test_the_first_token_is_its_owners_from_the_first_request(tmp_path):
    with running(make_settings(f"sqlite:///{tmp_path / 'jobs.sqlite3'}", tmp_path)) as server:
        _, secret = create_token(server.service.database, "ada", "submit", time.time())
        with server.client(secret) as client:
            assert submit(client)["owner"] == "ada"


def test_secrets_are_not_stored(guarded):
    server, secrets = guarded
    import sqlalchemy as sa

    from service.records import tokens

    with server.service.database.reading() as connection:
        kept = str(connection.execute(sa.select(tokens)).all())
    assert all(secret not in kept and secret.removeprefix("sae_") not in kept for secret in secrets.values())


@pytest.mark.parametrize(("owner", "role"), [("", "read"), ("a\nb", "read"), ("a" * 201, "read"), ("a", "root")])
def test_a_token_needs_an_owner_and_a_role(guarded, owner, role):
    with pytest.raises(ValueError, match=r"must be|allowed"):
        create_token(guarded[0].service.database, owner, role, 0.0)


def test_only_this_machine_is_let_in_without_tokens(local):
    with local.client() as client:
        assert client.get("/v1/jobs").status_code == 200
        for headers in (
            {"Host": "evil.example"},  # a name that was made to lead here (DNS rebinding)
            {"Host": "evil.example:8000"},
            {"Origin": "https://evil.example"},
            {"Origin": "null"},
            {"Sec-Fetch-Site": "cross-site"},
            {"X-Forwarded-For": "203.0.113.9"},  # a proxy on this machine lets others in
            {"Forwarded": "for=203.0.113.9"},
            {"Via": "1.1 Caddy"},
        ):
            is_problem(client.get("/v1/jobs", headers=headers), 403)
            is_problem(client.post(f"/v1/jobs/{'0' * 16}/cancel", headers=headers), 403)
        own = local.url.removeprefix("http://")
        assert client.get("/v1/jobs", headers={"Origin": f"http://{own}"}).status_code == 200
        port = own.rpartition(":")[2]
        assert client.get("/v1/jobs", headers={"Host": f"localhost:{port}"}).status_code == 200


def test_an_open_address_needs_a_token():
    here = Settings("sqlite:///x", "y")
    for host in ("127.0.0.1", "127.3.2.1", "localhost", "::1"):
        check_binding(Settings("sqlite:///x", "y", host=host), False)
    for host in ("0.0.0.0", "::", "192.168.1.5", "example.com"):
        with pytest.raises(OpenToAll, match="token"):
            check_binding(Settings("sqlite:///x", "y", host=host), False)
        with pytest.raises(OpenToAll, match="token"):
            check_binding(Settings("sqlite:///x", "y", host=host, worker_token="w"), False)
        check_binding(Settings("sqlite:///x", "y", host=host), True)
        check_binding(Settings("sqlite:///x", "y", host=host, admin_token="a"), False)
    assert here.loopback


def test_a_service_on_an_open_address_lets_nobody_in_without_tokens(tmp_path):
    # Bound to loopback by the test; the settings say otherwise, as where the database came up after the service.
    settings = make_settings(f"sqlite:///{tmp_path / 'jobs.sqlite3'}", tmp_path, host="0.0.0.0", worker_token="w")
    with running(settings) as server:
        with server.client() as client:
            is_problem(client.get("/v1/jobs"), 403)
        with server.client("w") as worker:
            is_problem(worker.get("/v1/jobs"), 403)


def test_all_tokens_revoked_is_closed_not_open(tmp_path):
    with running(make_settings(f"sqlite:///{tmp_path / 'jobs.sqlite3'}", tmp_path)) as server:
        token, _ = create_token(server.service.database, "a", "admin", time.time())
        revoke_token(server.service.database, token.id, time.time())
        until(lambda: httpx.get(server.url + "/v1/jobs").status_code == 401, 10)


def test_limits_are_told(tmp_path):
    limits = {"max_trials": 20, "max_steps": 50_000, "max_queued": 3, "max_body_bytes": 2000, "max_streams": 0}
    settings = make_settings(f"sqlite:///{tmp_path / 'jobs.sqlite3'}", tmp_path, **limits)
    with running(settings) as server, server.client() as client:
        wide = {**SPEC, "grid": {**SPEC["grid"], "hidden_dim": [8, 16, 32]}}
        assert "24" in is_problem(client.post("/v1/jobs", json=wide), 422)["detail"]
        assert "20" in is_problem(client.post("/v1/plans", json=wide), 422)["errors"][0]["message"]
        long = {**SPEC, "training": {"steps": 4000}}
        assert is_problem(client.post("/v1/jobs", json=long), 422)["errors"][0]["key"] == "training.steps"
        is_problem(client.post("/v1/jobs", json={**SPEC, "name": "x" * 3000}), 413)
        is_problem(client.post("/nothing", content=b"x" * 3000), 413)

        def chunks():
            for _ in range(30):
                yield b" " * 100

        json_type = {"Content-Type": "application/json"}
        is_problem(client.post("/v1/jobs", content=chunks(), headers=json_type), 413)
        made = [submit(client) for _ in range(3)]
        answer = client.post("/v1/jobs", json=SPEC)
        is_problem(answer, 429)
        assert int(answer.headers["retry-after"]) > 0
        is_problem(client.get(f"/v1/jobs/{made[0]['id']}/events"), 503)
        assert FakeWorker(client).take() is not None
        submit(client)


def test_a_job_past_its_wall_time_is_failed_and_its_worker_refused(tmp_path):
    settings = make_settings(f"sqlite:///{tmp_path / 'jobs.sqlite3'}", tmp_path, max_wall_seconds=0.5)
    with running(settings) as server, server.client() as client:
        job = submit(client)
        worker = FakeWorker(client)
        worker.take()
        until(lambda: worker.say("heartbeat", {}).status_code == 409, 10)
        failed = client.get(f"/v1/jobs/{job['id']}").json()
        assert failed["status"] == "failed"
        assert "0.5 seconds" in failed["error"]
        assert client.post(f"/v1/jobs/{job['id']}/resume").status_code == 202
        assert worker.take() is not None
        assert worker.say("heartbeat", {}).status_code == 200


def test_settings_come_from_the_environment_and_name_what_is_wrong(tmp_path):
    found = environment_settings(
        {"SAEPHASE_PORT": "9", "SAEPHASE_MAX_WALL_SECONDS": "1.5", "SAEPHASE_ADMIN_TOKEN": "s", "SAEPHASE_HOST": ""}
    )
    assert found == {"port": 9, "max_wall_seconds": 1.5, "admin_token": "s"}
    settings = local_settings(tmp_path, **found)
    assert settings.database == f"sqlite:///{tmp_path}/saephase.sqlite3"
    for name, value in (
        ("PORT", "x"),
        ("PORT", "65536"),
        ("LEASE_SECONDS", "-1"),
        ("LEASE_SECONDS", "0"),
        ("POLL_SECONDS", "0"),
        ("MAX_TRIALS", "nan"),
    ):
        with pytest.raises(ValueError, match=f"SAEPHASE_{name}={value}: must be"):
            environment_settings({f"SAEPHASE_{name}": value})

"""docs/operations.md against the program: its settings, commands, metrics, calls and containers."""

import re
import shlex
from pathlib import Path

import pytest
import yaml

from saephase.command import command_parser
from service.app import create_app
from service.settings import Settings, local_settings
from service.tokens import ROLES
from tests.compose import ROOT, VARIABLE
from tests.settings_table import settings_table
from workers.lease_worker import MAX_DEATHS
from workers.seat import STEADY_SECONDS

PAGE = (ROOT / "docs" / "operations.md").read_text()
COMPOSE = (ROOT / "docker-compose.yml").read_text()


def fences(kind: str) -> list[str]:
    return re.findall(rf"^```{kind}\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)


def commands(program: str) -> list[list[str]]:
    """The arguments of every call of a program in the page's shell blocks."""
    found = []
    for line in "\n".join(fences("sh")).replace("\\\n", " ").splitlines():
        words = shlex.split(line, comments=True)
        if program in words:
            found.append(words[len(words) - words[::-1].index(program) :])
    return found


def test_the_settings_are_those_of_the_program() -> None:
    assert settings_table() in PAGE, f"write this table into the page:\n{settings_table()}"


def test_every_command_can_be_parsed() -> None:
    told = commands("saephase")
    assert {arguments[0] for arguments in told} == {"serve", "worker", "token"}
    for arguments in told:
        assert command_parser().parse_args(arguments).command == arguments[0]


def test_the_containers_are_those_of_the_compose_file() -> None:
    services = set(yaml.safe_load(COMPOSE)["services"])
    (loop,) = re.findall(r"^for name in (.+); do$", PAGE, re.MULTILINE)
    required = {name for name, kind, _ in VARIABLE.findall(COMPOSE) if kind == "?"}
    assert set(loop.split()) == required
    for arguments in commands("docker"):
        if "exec" in arguments:
            assert arguments[arguments.index("exec") + 1] in services
    scaled = re.findall(r"--scale ([\w-]+)=\d", PAGE)
    assert scaled
    assert set(scaled) <= services


def test_the_metrics_and_their_alerts_are_told_by_a_service(tmp_path: Path) -> None:
    scrape = create_app(local_settings(tmp_path)).state.service.metrics.registry
    told = {name for family in scrape._collector_to_names.values() for name in family}
    told |= {"saephase_jobs", "saephase_queue_age_seconds"}  # read from the database when scraped
    named = set(re.findall(r"\bsaephase_[a-z_]+", PAGE))
    assert named == {name for name in named if name in told}, named - told
    (rules,) = fences("yaml")
    alerts = [rule["expr"] for group in yaml.safe_load(rules)["groups"] for rule in group["rules"]]
    assert len(alerts) == 5
    assert {"saephase_queue_age_seconds", "saephase_lease_losses_total"} <= named


def test_the_calls_and_roles_are_there(tmp_path: Path) -> None:
    paths = create_app(local_settings(tmp_path)).openapi()["paths"]
    for call in ("/healthz", "/readyz", "/metrics"):
        assert f"| `{call}` |" in PAGE
        assert call in paths
    for role in ROLES:
        assert f"| `{role}` |" in PAGE


def test_the_proxies_take_the_bodies_and_pauses_that_the_service_takes() -> None:
    defaults = Settings("", "")
    (nginx,), (caddy,) = fences("nginx"), fences("caddy")
    assert int(re.findall(r"client_max_body_size (\d+)m;", nginx)[0]) * 2**20 == defaults.max_body_bytes
    assert int(re.findall(r"max_size (\d+)MiB", caddy)[0]) * 2**20 == defaults.max_body_bytes
    assert int(re.findall(r"proxy_read_timeout (\d+)s;", nginx)[0]) > 2 * defaults.comment_seconds
    assert "proxy_buffering off;" in nginx
    assert "flush_interval -1" in caddy


@pytest.mark.parametrize(
    "told",
    [
        f"up to {MAX_DEATHS} times without progress",
        f"after {MAX_DEATHS} deaths without",
        f"have been the same for {STEADY_SECONDS:g} s",
    ],
)
def test_the_numbers_are_those_of_the_program(told: str) -> None:
    assert told in PAGE

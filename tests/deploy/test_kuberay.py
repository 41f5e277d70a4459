"""deploy/kuberay against the schemas of Kubernetes and KubeRay, and against the program that it runs.

Nothing here runs on Kubernetes: what a schema does not say (pulling images, volumes, the operator) is not tested.
"""

import copy
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
import pytest
import yaml

from saephase.command import command_parser
from service.settings import PREFIX, environment_settings
from tests.compose import ROOT, read_compose

BASE, SHARED = ROOT / "deploy" / "kuberay", ROOT / "deploy" / "kuberay-shared-volume"
VERSIONS = ("1.30", kubernetes_validate.latest_version())
SECRETS = {line.split("=")[0] for line in (ROOT / ".env.example").read_text().splitlines() if re.match(r"\w+=$", line)}
COMPOSE: dict[str, dict[str, Any]] = read_compose(dict.fromkeys(SECRETS, "secret"))["services"]

# What we use of ray.io/v1, from KubeRay's Go types (ray-operator/apis/ray/v1/raycluster_types.go). The CRD is 1 MB
# of pod templates, which Kubernetes' own schema checks here.
TEMPLATE: dict[str, Any] = {"type": "object"}
START: dict[str, Any] = {"type": "object", "additionalProperties": {"type": "string"}}
COUNT: dict[str, Any] = {"type": "integer", "minimum": 0, "maximum": 2**31 - 1}
GROUP: dict[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "required": ["groupName", "minReplicas", "maxReplicas", "rayStartParams", "template"],
    "properties": {
        "groupName": {"type": "string"},
        "replicas": COUNT,
        "minReplicas": COUNT,
        "maxReplicas": COUNT,
        "rayStartParams": START,
        "template": TEMPLATE,
    },
}
RAY_CLUSTER: dict[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "required": ["apiVersion", "kind", "metadata", "spec"],
    "properties": {
        "apiVersion": {"const": "ray.io/v1"},
        "kind": {"const": "RayCluster"},
        "metadata": {"type": "object"},
        "spec": {
            "type": "object",
            "additionalProperties": False,
            "required": ["headGroupSpec"],
            "properties": {
                "headGroupSpec": {
                    "type": "object",
                    "additionalProperties": False,
                    "required": ["rayStartParams", "template"],
                    "properties": {"rayStartParams": START, "template": TEMPLATE},
                },
                "workerGroupSpecs": {"type": "array", "items": GROUP},
            },
        },
    },
}


@cache
def documents(folder: Path) -> list[dict[str, Any]]:
    """What a folder's kustomization names, patched as kustomize would."""
    found: list[dict[str, Any]] = []
    chosen = yaml.safe_load((folder / "kustomization.yaml").read_text())
    for name in chosen["resources"]:
        place = folder / name
        found += documents(place.resolve()) if place.is_dir() else list(yaml.safe_load_all(place.read_text()))
    found = copy.deepcopy(found)
    for patch in chosen.get("patches", []):
        wanted = patch["target"]
        targets = [
            one
            for one in found
            if one["kind"] == wanted["kind"] and wanted.get("name") in (None, one["metadata"]["name"])
        ]
        assert targets, patch
        for target in targets:
            for change in yaml.safe_load((folder / patch["path"]).read_text()):
                apply(target, change)
    return found


def apply(document: Any, change: dict[str, Any]) -> None:
    """`add` and `replace` of a JSON patch (RFC 6902)."""
    *way, last = change["path"].strip("/").split("/")
    for step in way:
        document = document[int(step) if isinstance(document, list) else step]
    if isinstance(document, list):
        assert (change["op"], last) == ("add", "-")
        document.append(change["value"])
    else:
        assert change["op"] == "add" or last in document
        document[last] = change["value"]


def templates(folder: Path = BASE) -> dict[str, dict[str, Any]]:
    """The pod templates by name."""
    found = {}
    for one in documents(folder):
        spec = one.get("spec", {})
        if one["kind"] in ("Deployment", "StatefulSet"):
            found[one["metadata"]["name"]] = spec["template"]
        elif one["kind"] == "RayCluster":
            found["head"] = spec["headGroupSpec"]["template"]
            found |= {group["groupName"]: group["template"] for group in spec["workerGroupSpecs"]}
    return found


def containers(folder: Path = BASE) -> dict[str, dict[str, Any]]:
    found = {}
    for name, template in templates(folder).items():
        [found[name]] = template["spec"]["containers"]
    return found


def variables(container: dict[str, Any]) -> set[str]:
    shared = [reference["configMapRef"]["name"] for reference in container.get("envFrom", [])]
    [settings] = [one for one in documents(BASE) if one["kind"] == "ConfigMap"]
    assert set(shared) <= {settings["metadata"]["name"]}
    return {entry["name"] for entry in container["env"]} | (set(settings["data"]) if shared else set())


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("folder", [BASE, SHARED], ids=lambda folder: folder.name)
def test_manifests_are_valid(folder: Path, version: str) -> None:
    kinds = []
    for one in documents(folder):
        kinds.append(one["kind"])
        if one["kind"] == "RayCluster":
            jsonschema.validate(one, RAY_CLUSTER)
        else:
            kubernetes_validate.validate(one, version, strict=True)
    for name, template in templates(folder).items():
        pod = {"apiVersion": "v1", "kind": "PodTemplate", "metadata": {"name": name}, "template": template}
        kubernetes_validate.validate(pod, version, strict=True)
    assert {"Deployment", "Service", "StatefulSet", "NetworkPolicy", "ConfigMap", "RayCluster"} <= set(kinds)
    assert ("PersistentVolumeClaim" in kinds) == (folder == SHARED)


@pytest.mark.parametrize(
    "wrong",
    [{"workerGroupSpec": []}, {"headGroupSpec": {"rayStartParams": {"num-cpus": 0}, "template": {}}}],
    ids=["an unknown key", "a number for a string"],
)
def test_the_trimmed_schema_refuses_what_the_operator_would(wrong: dict[str, Any]) -> None:
    [cluster] = [copy.deepcopy(one) for one in documents(BASE) if one["kind"] == "RayCluster"]
    cluster["spec"] |= wrong
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(cluster, RAY_CLUSTER)


def test_no_file_is_left_out_and_none_uses_anchors() -> None:
    for folder in (BASE, SHARED):
        chosen = yaml.safe_load((folder / "kustomization.yaml").read_text())
        named = {*chosen["resources"], *(patch["path"] for patch in chosen.get("patches", []))}
        files = {path.name for path in folder.iterdir()} - {"kustomization.yaml"}
        assert files == {name for name in named if name.endswith(".yaml")}
        # Not every tool that reads manifests follows them.
        assert not [path for path in folder.iterdir() if re.search(r"(: |- )[&*]\w|<<:", path.read_text())]


def test_commands_are_those_of_the_program() -> None:
    names = {one["metadata"]["name"] for one in documents(BASE) if one["kind"] == "Service"}
    for name in ("saephase-api", "saephase-worker"):
        options = command_parser().parse_args(containers()[name]["args"])
        assert containers()[name]["args"] == [
            word.replace("api:8000", "saephase-api:8000").replace("ray-head:6379", "saephase-head-svc:6379")
            for word in COMPOSE[name.removeprefix("saephase-")]["command"]
        ]
    assert re.fullmatch(r"http://([\w-]+):8000", options.url)[1] in names  # type: ignore[index]


def test_ray_start_knows_every_parameter_and_the_head_has_the_name_that_others_call() -> None:
    from ray.scripts.scripts import start

    [cluster] = [one for one in documents(BASE) if one["kind"] == "RayCluster"]
    known = {option.removeprefix("--") for parameter in start.params for option in parameter.opts}
    groups = [cluster["spec"]["headGroupSpec"], *cluster["spec"]["workerGroupSpecs"]]
    for group in groups:
        assert set(group["rayStartParams"]) <= known
    # The operator makes the service <cluster>-head-svc.
    place = f"{cluster['metadata']['name']}-head-svc:{groups[0]['rayStartParams']['port']}"
    assert containers()["saephase-worker"]["args"][-1] == place
    for name in ("cpu", "gpu"):
        assert containers()[name]["readinessProbe"]["exec"]["command"][-1] == place
        assert containers()[name]["livenessProbe"]["exec"]["command"][-1] == place


@pytest.mark.parametrize(
    ("pod", "service"),
    [
        ("saephase-api", "api"),
        ("saephase-worker", "worker"),
        ("head", "ray-head"),
        ("cpu", "ray-worker"),
        ("gpu", "ray-worker-gpu"),
    ],
)
def test_each_pod_is_told_what_its_container_is_told(pod: str, service: str) -> None:
    told = variables(containers()[pod])
    assert set(COMPOSE[service]["environment"]) <= told
    known = {name for name in told if name.startswith(PREFIX)} - {"SAEPHASE_TOKEN"}
    assert set(environment_settings(dict.fromkeys(known, "x"))) == {name.removeprefix(PREFIX).lower() for name in known}
    assert containers()[pod]["image"] == COMPOSE[service]["image"]


def test_secrets_are_those_of_the_example_and_never_written_out() -> None:
    used = set()
    for container in containers().values():
        seen: set[str] = set()
        for entry in container["env"]:
            for name in re.findall(r"\$\((\w+)\)", entry.get("value", "")):
                assert name in seen, "Kubernetes fills in only what stands above"
            seen.add(entry["name"])
            if "valueFrom" in entry:
                assert entry["valueFrom"]["secretKeyRef"]["name"] == "saephase"
                used.add(entry["valueFrom"]["secretKeyRef"]["key"])
            else:
                assert not re.search("PASSWORD|SECRET|TOKEN|KEY", entry["name"])
    assert used == SECRETS


def test_probes_ask_what_the_service_answers(tmp_path: Path) -> None:
    from service.app import create_app
    from service.settings import local_settings

    paths = create_app(local_settings(tmp_path)).openapi()["paths"]
    api = containers()["saephase-api"]
    asked = {probe: api[probe]["httpGet"] for probe in ("startupProbe", "livenessProbe", "readinessProbe")}
    assert {probe: get["path"] for probe, get in asked.items()} == {
        "startupProbe": "/healthz",
        "livenessProbe": "/healthz",
        "readinessProbe": "/readyz",
    }
    assert all(get["path"] in paths and get["port"] == api["ports"][0]["name"] for get in asked.values())
    assert str(api["ports"][0]["containerPort"]) in api["args"]


def labelled() -> Iterator[tuple[str, dict[str, str]]]:
    for name, template in templates().items():
        yield name, template["metadata"]["labels"]


def test_every_pod_is_locked_in_and_none_runs_as_root() -> None:
    for name, labels in labelled():
        assert labels["app.kubernetes.io/part-of"] == "saephase"
        pod = templates()[name]["spec"]
        assert pod["securityContext"]["runAsNonRoot"]
        assert pod["enableServiceLinks"] is False  # a service's variables could be taken for settings
        assert containers()[name]["securityContext"]["capabilities"] == {"drop": ["ALL"]}
        mounted = {mount["name"] for mount in containers()[name].get("volumeMounts", [])}
        claimed = {"data"} if name == "saephase-postgres" else set()
        assert mounted == {volume["name"] for volume in pod.get("volumes", [])} | claimed
    inside, outside = [one["spec"] for one in documents(BASE) if one["kind"] == "NetworkPolicy"]
    assert inside["ingress"] == [{"from": [{"podSelector": inside["podSelector"]}]}]
    [opened] = [name for name, labels in labelled() if outside["podSelector"]["matchLabels"].items() <= labels.items()]
    assert opened == "saephase-api"


def test_services_find_their_pods() -> None:
    for one in documents(BASE):
        if one["kind"] == "Service":
            assert any(one["spec"]["selector"].items() <= labels.items() for _, labels in labelled())


def test_a_shared_volume_is_where_the_storage_lies_in_every_pod_that_needs_it() -> None:
    [settings] = [one for one in documents(SHARED) if one["kind"] == "ConfigMap"]
    for name, container in containers(SHARED).items():
        places = [mount["mountPath"] for mount in container["volumeMounts"]]
        assert (settings["data"]["SAEPHASE_STORAGE"] in places) == (name != "saephase-postgres")
        assert len(places) == len(set(places))

"""The manifests of deploy/kubernetes: valid for Kubernetes, and in step with the code."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from deploy.local.settings import REPOSITORY
from deploy.settings_table import SERVICES
from shared.settings import load
from tests.operations.queries import metrics_in, panel_queries

FOLDER = REPOSITORY / "deploy" / "kubernetes"
FILES = sorted([*FOLDER.glob("*.yaml"), FOLDER / "11-secrets.yaml.example"])
KUBERNETES = "1.34"
OTHERS = ("keda.sh", "monitoring.coreos.com")
VALUES = {"amqp_url": "amqp://a:b@c/parley", "mongo_url": "mongodb://a:b@c"}

Json = dict[str, Any]


def _documents(*files: Path) -> list[Json]:
    return [document for file in files or FILES for document in yaml.safe_load_all(file.read_text())]


def _of(kind: str) -> dict[str, Json]:
    return {each["metadata"]["name"]: each for each in _documents() if each["kind"] == kind}


def _pods() -> dict[str, Json]:
    """The pod template of each deployment and job."""
    return {name: each["spec"]["template"] for kind in ("Deployment", "Job") for name, each in _of(kind).items()}


def _container(name: str) -> Json:
    found: Json = _pods()[name]["spec"]["containers"][0]
    return found


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_the_manifest_is_valid(file: Path) -> None:
    validator = pytest.importorskip("kubernetes_validate", reason="kubernetes-validate is not installed")
    for document in _documents(file):
        if not document["apiVersion"].startswith(OTHERS):
            validator.validate(document, KUBERNETES, strict=True)


def test_every_object_is_in_the_namespace() -> None:
    assert {each["metadata"].get("namespace") for each in _documents() if each["kind"] != "Namespace"} == {"parley"}


@pytest.mark.parametrize("name", _pods())
def test_a_pod_can_do_nothing_but_its_work(name: str) -> None:
    pod, container = _pods()[name]["spec"], _container(name)
    assert pod["automountServiceAccountToken"] is False
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container["securityContext"] == {
        "readOnlyRootFilesystem": True,
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
    }
    assert {"cpu", "memory"} <= set(container["resources"]["requests"])
    assert "memory" in container["resources"]["limits"]


@pytest.mark.parametrize("name", _of("Deployment"))
def test_a_service_is_probed_spread_and_not_taken_down_at_once(name: str) -> None:
    container, pod = _container(name), _pods()[name]["spec"]
    assert container["livenessProbe"]["httpGet"]["path"] == "/livez"
    assert container["readinessProbe"]["httpGet"]["path"] == "/readyz"
    labels = _pods()[name]["metadata"]["labels"]
    own = _of("PodDisruptionBudget")[name]["spec"]["selector"]["matchLabels"]
    assert own.items() <= labels.items()
    assert pod["topologySpreadConstraints"][0]["labelSelector"]["matchLabels"] == own
    grace_s = next(iter(SERVICES.values())).model_fields["shutdown_grace_s"].default
    assert pod["terminationGracePeriodSeconds"] > grace_s


@pytest.mark.parametrize("name", _of("Deployment"))
def test_a_service_starts_with_these_settings_and_every_one_of_them_exists(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    container = _container(name)
    given: dict[str, str] = {each["name"]: each["value"] for each in container["env"]}
    for source in container["envFrom"]:
        given |= _of("ConfigMap")[source["configMapRef"]["name"]]["data"]
    secret = next(each["secret"] for each in _pods()[name]["spec"]["volumes"] if "secret" in each)["secretName"]
    secrets = _of("Secret")[secret]["stringData"]
    kind = SERVICES[secret]
    assert {each.lower() for each in given} - {"secrets_dir"} <= set(kind.model_fields)
    assert set(secrets) <= set(kind.model_fields)
    for key in secrets:
        (tmp_path / key).write_text(VALUES.get(key, "s" * 40))
    for key, value in given.items():
        monkeypatch.setenv(key, value)
    monkeypatch.setenv("SECRETS_DIR", str(tmp_path))
    assert load(kind) is not None


def test_each_scaler_has_its_deployment_and_goes_by_metrics_that_are_exported() -> None:
    exported = {metric for _, query in panel_queries() for metric in metrics_in(query)}
    for scaler in _of("ScaledObject").values():
        assert scaler["spec"]["scaleTargetRef"]["name"] in _of("Deployment")
        queries = [
            trigger["metadata"]["query"] for trigger in scaler["spec"]["triggers"] if "query" in trigger["metadata"]
        ]
        assert all(metrics_in(query) <= exported for query in queries)


def test_each_policy_and_service_selects_pods_that_exist() -> None:
    names = {pod["metadata"]["labels"]["app.kubernetes.io/name"] for pod in _pods().values()}
    for each in [*_of("Service").values()]:
        assert each["spec"]["selector"]["app.kubernetes.io/name"] in names
    for policy in _of("NetworkPolicy").values():
        labels = policy["spec"]["podSelector"].get("matchLabels", {})
        assert labels.get("app.kubernetes.io/name", next(iter(names))) in names
    assert _of("NetworkPolicy")["nothing-by-default"]["spec"] == {
        "podSelector": {},
        "policyTypes": ["Ingress", "Egress"],
    }


def test_no_secret_has_a_value() -> None:
    assert {value for secret in _of("Secret").values() for value in secret["stringData"].values()} == {""}

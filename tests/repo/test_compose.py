"""docker-compose.yml and what it mounts, checked with the tools of those who read them."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
SCHEMA = Path(__file__).parent / "data" / "compose_spec.json"

ONE_OFF = {"airflow-init"}
SECRET_NAME = re.compile(r"PASSWORD$|SECRET|_KEY$|TOKEN|AUTH$", re.IGNORECASE)
REQUIRED_VARIABLE = re.compile(r"\$\{([A-Z_]+):\?[^}]+\}")


def load(text: str) -> Any:
    return yaml.safe_load(text)


COMPOSE = load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]


def long_running() -> list[str]:
    return sorted(set(SERVICES) - ONE_OFF)


def bind_mounts() -> Iterator[Path]:
    for service in SERVICES.values():
        for volume in service.get("volumes", []):
            source = volume.split(":")[0]
            if source.startswith("."):
                yield ROOT / source


def secrets() -> Iterator[tuple[str, str]]:
    for name, service in SERVICES.items():
        for variable, value in service.get("environment", {}).items():
            if SECRET_NAME.search(variable):
                yield f"{name}: {variable}", str(value)
            elif "://" in str(value) and "@" in str(value):
                password = str(value).split("://", 1)[1].rsplit("@", 1)[0].split(":", 1)[1]
                yield f"{name}: password in {variable}", password


def test_it_follows_the_compose_specification() -> None:
    schema = json.loads(SCHEMA.read_text(encoding="utf-8"))
    jsonschema.Draft7Validator(schema).validate(COMPOSE)


def test_the_schema_would_notice_a_mistake() -> None:
    schema = json.loads(SCHEMA.read_text(encoding="utf-8"))
    broken = {**COMPOSE, "services": {"one": {"image": "x:1", "helthcheck": {}}}}
    with pytest.raises(jsonschema.ValidationError, match="helthcheck"):
        jsonschema.Draft7Validator(schema).validate(broken)


def test_every_part_is_there() -> None:
    assert set(SERVICES) == {
        "airflow-init", "api-server", "dag-processor", "grafana", "postgres", "prometheus",
        "redis", "sandbox", "scheduler", "triggerer", "worker",
    }  # fmt: skip


@pytest.mark.parametrize("name", long_running())
def test_what_keeps_running_has_a_health_check(name: str) -> None:
    check = SERVICES[name]["healthcheck"]
    assert check["test"][0] in {"CMD", "CMD-SHELL"}
    assert {"interval", "timeout", "retries"} <= set(check)


@pytest.mark.parametrize("name", sorted(SERVICES))
def test_dependencies_wait_for_health(name: str) -> None:
    needs = SERVICES[name].get("depends_on", {})
    for other, need in needs.items():
        expected = "service_completed_successfully" if other in ONE_OFF else "service_healthy"
        assert need["condition"] == expected
        assert other in SERVICES


@pytest.mark.parametrize("name", sorted(SERVICES))
def test_images_are_pinned(name: str) -> None:
    image, _, tag = SERVICES[name]["image"].rpartition(":")
    assert image
    if "build" not in SERVICES[name]:
        assert re.fullmatch(r"v?\d+\.\d+(\.\d+)?", tag), tag


@pytest.mark.parametrize("name", sorted(SERVICES))
def test_ports_are_published_on_loopback_only(name: str) -> None:
    for port in SERVICES[name].get("ports", []):
        assert re.fullmatch(r"127\.0\.0\.1:\d+:\d+", port)


def test_no_secret_stands_in_the_file() -> None:
    found = dict(secrets())
    assert len(found) > 10
    for where, value in found.items():
        assert REQUIRED_VARIABLE.fullmatch(value), f"{where} is {value}"


def test_make_env_writes_each_secret_anew(tmp_path: Path) -> None:
    tools = tmp_path / "tools"
    tools.mkdir()
    shutil.copy(ROOT / "tools" / "make_env.sh", tools)
    written = []
    for _ in range(2):
        subprocess.run([tools / "make_env.sh"], check=True, capture_output=True)
        file = tmp_path / ".env"
        assert file.stat().st_mode & 0o077 == 0
        written.append(dict(line.split("=", 1) for line in file.read_text().splitlines()))
        subprocess.run([tools / "make_env.sh"], check=True, capture_output=True)
        assert written[-1]["POSTGRES_PASSWORD"] in file.read_text(), "an existing file stays"
        file.unlink()
    first, second = written
    needed = set(REQUIRED_VARIABLE.findall((ROOT / "docker-compose.yml").read_text()))
    assert set(first) == needed
    assert all(len(value) >= 16 for value in first.values())
    assert all(first[name] != second[name] for name in needed)
    # They become parts of URLs without being quoted.
    in_urls = first["POSTGRES_PASSWORD"] + first["LEDGER_PASSWORD"] + first["REDIS_PASSWORD"]
    assert not re.search(r"[^A-Za-z0-9_-]", in_urls)


def test_mounted_files_exist() -> None:
    mounts = set(bind_mounts())
    assert len(mounts) >= 5
    assert [mount for mount in mounts if not mount.exists()] == []


def test_named_volumes_are_declared() -> None:
    used = {
        volume.split(":")[0]
        for service in SERVICES.values()
        for volume in service.get("volumes", [])
        if not volume.startswith(".")
    }
    assert used == set(COMPOSE["volumes"])


def test_the_image_copies_only_what_docker_may_see() -> None:
    ignore = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    allowed = {line[1:] for line in ignore if line.startswith("!")}
    dockerfile = (DEPLOY / "Dockerfile").read_text(encoding="utf-8")
    copied = {
        word
        for line in re.findall(r"^COPY (.+)$", dockerfile, re.MULTILINE)
        for word in line.split()[:-1]
        if not word.startswith("--")
    }
    assert copied == allowed
    assert [name for name in copied if not (ROOT / name).exists()] == []


def test_the_image_has_the_airflow_of_its_lock() -> None:
    lock = (DEPLOY / "requirements.lock").read_text(encoding="utf-8")
    locked = re.search(r"^apache-airflow==(\S+)", lock, re.MULTILINE)
    image = re.search(
        r"^FROM apache/airflow:([\d.]+)-python", (DEPLOY / "Dockerfile").read_text(), re.M
    )
    assert locked
    assert image
    assert image[1] == locked[1]


def test_promtool_accepts_the_prometheus_configuration(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("secret")
    text = (DEPLOY / "prometheus.yml").read_text(encoding="utf-8")
    mounted = "/tmp/planner_metrics_token"
    assert mounted in text
    (tmp_path / "prometheus.yml").write_text(text.replace(mounted, str(token)))
    shutil.copytree(DEPLOY / "alerts", tmp_path / "alerts")
    done = subprocess.run(
        ["promtool", "check", "config", tmp_path / "prometheus.yml"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "rules found" in done.stdout


def test_prometheus_shows_the_token_that_airflow_wants() -> None:
    prometheus = SERVICES["prometheus"]
    token = SERVICES["api-server"]["environment"]["AIRFLOW__PLANNER__METRICS_TOKEN"]
    assert prometheus["environment"]["PLANNER_METRICS_TOKEN"] == token
    written = re.search(r'printf %s "\$\$PLANNER_METRICS_TOKEN" > (\S+);', prometheus["command"][0])
    assert written
    config = load((DEPLOY / "prometheus.yml").read_text(encoding="utf-8"))
    job = next(job for job in config["scrape_configs"] if job["job_name"] == "planner")
    assert job["authorization"]["credentials_file"] == written[1]
    assert job["metrics_path"] == "/planner/metrics"


def test_prometheus_scrapes_services_that_exist() -> None:
    config = load((DEPLOY / "prometheus.yml").read_text(encoding="utf-8"))
    hosts = {
        target.split(":")[0]
        for job in config["scrape_configs"]
        for static in job["static_configs"]
        for target in static["targets"]
    }
    assert hosts - {"localhost"} <= set(SERVICES)


def dashboards() -> list[Path]:
    return sorted((DEPLOY / "grafana" / "dashboards").glob("*.json"))


def expressions(path: Path) -> list[str]:
    board = json.loads(path.read_text(encoding="utf-8"))
    return [target["expr"] for panel in board["panels"] for target in panel["targets"]]


@pytest.mark.parametrize("path", dashboards(), ids=lambda path: path.name)
def test_dashboards_use_a_data_source_that_is_provisioned(path: Path) -> None:
    folder = DEPLOY / "grafana" / "provisioning" / "datasources"
    known = {
        source["uid"]
        for file in folder.glob("*.yml")
        for source in load(file.read_text(encoding="utf-8"))["datasources"]
    }
    board = json.loads(path.read_text(encoding="utf-8"))
    used = [panel["datasource"]["uid"] for panel in board["panels"]]
    used += [
        target["datasource"]["uid"] for panel in board["panels"] for target in panel["targets"]
    ]
    assert used
    assert set(used) <= known
    assert board["uid"]
    assert len({panel["id"] for panel in board["panels"]}) == len(board["panels"])


@pytest.mark.parametrize("path", dashboards(), ids=lambda path: path.name)
def test_prometheus_can_parse_every_panel(path: Path, tmp_path: Path) -> None:
    found = expressions(path)
    assert found
    rules = [
        {"record": f"panel:{number}", "expr": expr.replace("$service", ".*")}
        for number, expr in enumerate(found)
    ]
    file = tmp_path / "rules.yml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "panels", "rules": rules}]}))
    done = subprocess.run(
        ["promtool", "check", "rules", file], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_dashboard_folder_is_where_grafana_looks() -> None:
    provider = load(
        (DEPLOY / "grafana" / "provisioning" / "dashboards" / "planner.yml").read_text()
    )["providers"][0]
    targets = [volume.split(":")[1] for volume in SERVICES["grafana"]["volumes"]]
    assert provider["options"]["path"] in targets


def test_the_ledger_has_the_database_and_the_user_that_are_made() -> None:
    made = (DEPLOY / "postgres" / "10-ledger.sql").read_text(encoding="utf-8")
    role = re.search(r"^CREATE ROLE (\w+) LOGIN PASSWORD :'(\w+)';$", made, re.M)
    database = re.search(r"^CREATE DATABASE (\w+) OWNER (\w+);$", made, re.M)
    assert role
    assert database
    assert database[2] == role[1]
    variable = re.search(rf"^\\getenv {role[2]} (\w+)$", made, re.M)
    assert variable
    password = SERVICES["postgres"]["environment"][variable[1]]
    url = SERVICES["scheduler"]["environment"]["AIRFLOW__PLANNER__SQL_ALCHEMY_CONN"]
    assert url == f"postgresql+psycopg://{role[1]}:{password}@postgres/{database[1]}"


def test_a_worker_may_end_what_runs() -> None:
    assert SERVICES["worker"]["stop_grace_period"].endswith("m")
    # dumb-init would tell all processes of the worker at once, the tasks among them.
    assert SERVICES["worker"]["environment"]["DUMB_INIT_SETSID"] == "0"


def test_messages_link_to_where_airflow_is_published() -> None:
    (port,) = SERVICES["api-server"]["ports"]
    base = SERVICES["worker"]["environment"]["AIRFLOW__API__BASE_URL"]
    assert base == f"http://localhost:{port.split(':')[1]}"

"""What is deployed is well formed, and names nothing that does not exist."""

import re
import shlex
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest
import typer
import yaml

import huracan
from huracan.cli.main import app
from huracan.settings import OTHER_VARIABLES, PREFIX, SECRETS, load_settings

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
OURS = ("systemd", "kubernetes", "docker", "ray")
FILES = sorted(file for name in OURS for file in (DEPLOY / name).rglob("*") if file.is_file())
TEXTS = {file.relative_to(ROOT).as_posix(): file.read_text() for file in [*FILES, ROOT / "docs" / "deploy.md"]}
UNITS = sorted((DEPLOY / "systemd").glob("*.service")) + sorted((DEPLOY / "systemd").glob("*.timer"))
BINARY = "/opt/huracan/.venv/bin/huracan"


def tool(name):
    """A linter beside this interpreter, or on the path; the test is skipped where there is none."""
    found = shutil.which(name, path=str(Path(sys.executable).parent)) or shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not installed")
    return found


def ran(*command):
    return subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False, timeout=120)


@pytest.mark.parametrize("name", TEXTS)
def test_every_variable_of_ours_exists(name):
    for variable in set(re.findall(r"\bHURACAN_[A-Z0-9_]*[A-Z0-9]\b", TEXTS[name])):
        if variable not in OTHER_VARIABLES:
            section, _, key = variable.removeprefix(PREFIX).lower().partition("__")
            fields = load_settings(None, (), {}).model_dump()
            assert key in fields[section], f"{name}: {variable} is no setting"
    for variable in set(re.findall(r"\bDROPBOX_[A-Z_]+[A-Z]\b", TEXTS[name])):
        assert variable in SECRETS, f"{name}: {variable}"


def commands_in(text):
    """Command lines of huracan in a text, as argument lists without the name."""
    for line in text.replace(BINARY, "huracan").replace("\\\n", " ").splitlines():
        for found in re.findall(
            r"(?:^|`|ExecStart=|ExecStartPre=|head, )huracan ((?!-engine)[a-z][^`#]*)", line.strip()
        ):
            yield shlex.split(found.rstrip(".,;"))
    for found in re.findall(r"huracan-engine:[0-9.]+ ([a-z][a-z -]*)", text):
        yield shlex.split(found)
    for found in re.findall(r"args: \[(.*)\]", text):
        yield [part.strip().strip('"') for part in found.split(",")]


def check_command(words, where):
    command = typer.main.get_command(app)
    while words and hasattr(command, "commands"):
        assert words[0] in command.commands, f"{where}: there is no command {words[0]!r}"
        command, words = command.commands[words[0]], words[1:]
    options = {name: option for option in command.params for name in option.opts if name.startswith("--")}
    for word in words:
        if word.startswith("--"):
            assert word.partition("=")[0] in options, f"{where}: {command.name} has no option {word}"


@pytest.mark.parametrize("name", TEXTS)
def test_every_command_and_option_exists(name):
    for words in commands_in(TEXTS[name]):
        check_command(words, name)


def test_the_search_for_commands_finds_them():
    found = [tuple(words[:2]) for text in TEXTS.values() for words in commands_in(text)]
    assert {("doctor",), ("keys", "init"), ("dashboard",), ("run", "--json"), ("run", "--backend")} <= set(found)
    with pytest.raises(AssertionError, match="no option"):
        check_command(["run", "--nonsense"], "here")
    with pytest.raises(AssertionError, match="no command"):
        check_command(["nonsense"], "here")


def test_settings_given_in_deployments_are_accepted():
    given = dict(
        line.split("=", 1)
        for line in TEXTS["deploy/systemd/huracan.env.example"].splitlines()
        if line and not line.startswith("#")
    )
    manifests = list(yaml.safe_load_all(TEXTS["deploy/kubernetes/night.yaml"]))
    config = next(item for item in manifests if item["kind"] == "ConfigMap")
    for values in (given, config["data"]):
        assert load_settings(None, (), values).training.history_days == 1095


def test_images_carry_this_version_and_no_host_or_secret_is_named():
    for name, text in TEXTS.items():
        for version in re.findall(r"huracan-engine:([0-9][0-9.]*[0-9])", text):
            assert version == huracan.__version__, name
        assert not re.search(r"(?i)\b(pypi\.org|docker\.io|ghcr\.io|quay\.io|index-url)", text), name
        assert "BEGIN" not in text, name
    secret = yaml.safe_load(TEXTS["deploy/kubernetes/secret.example.yaml"])
    assert set(secret["stringData"].values()) == {""}


def test_examples_of_secret_files_are_not_executable():
    assert [file.name for file in FILES if file.stat().st_mode & stat.S_IXUSR] == []


def test_units_pass_systemd(tmp_path):
    verify = tool("systemd-analyze")
    for unit in UNITS:
        (tmp_path / unit.name).write_text(
            unit.read_text().replace(BINARY, str(Path(sys.executable).with_name("huracan")))
        )
    done = ran(verify, "verify", "--man=no", *(tmp_path / unit.name for unit in UNITS))
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_exit_statuses_that_need_a_person_are_not_tried_again():
    unit = TEXTS["deploy/systemd/huracan-night.service"]
    assert "RestartPreventExitStatus=2 3 6" in unit
    job = next(item for item in yaml.safe_load_all(TEXTS["deploy/kubernetes/night.yaml"]) if item["kind"] == "CronJob")
    rules = job["spec"]["jobTemplate"]["spec"]["podFailurePolicy"]["rules"]
    assert rules[0]["onExitCodes"]["values"] == [2, 3, 6]
    container = job["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"][0]
    assert rules[0]["onExitCodes"]["containerName"] == container["name"]
    assert job["spec"]["concurrencyPolicy"] == "Forbid"


def test_manifests_fit_the_schemas_of_kubernetes():
    validate = pytest.importorskip("kubernetes_validate", reason="kubernetes-validate is not installed")
    for file in sorted((DEPLOY / "kubernetes").glob("*.yaml")):
        for manifest in yaml.safe_load_all(file.read_text()):
            validate.validate(manifest, "1.37", strict=True)


def test_yaml_is_tidy():
    done = ran(
        tool("yamllint"), "--strict", "-c", ROOT / ".yamllint", *(DEPLOY / name for name in ("kubernetes", "ray"))
    )
    assert (done.returncode, done.stdout) == (0, "")


def test_the_dockerfile_passes_hadolint_and_copies_only_what_is_there():
    done = ran(tool("hadolint"), DEPLOY / "docker" / "Dockerfile")
    assert (done.returncode, done.stdout) == (0, "")
    for line in TEXTS["deploy/docker/Dockerfile"].splitlines():
        if line.startswith("COPY ") and "--from" not in line:
            assert all((ROOT / name).exists() for name in line.split()[1:-1]), line
        if line.startswith("ARG LOCK="):
            assert (ROOT / line.partition("=")[2]).is_file()
    kept = [
        line[1:].partition("*")[0].rstrip("/")
        for line in TEXTS["deploy/docker/Dockerfile.dockerignore"].splitlines()
        if line.startswith("!")
    ]
    assert all((ROOT / name).exists() for name in kept)


def test_the_image_runs_as_nobody_special_and_the_manifest_knows_it():
    text = TEXTS["deploy/docker/Dockerfile"]
    assert "USER 10001:10001" in text
    assert text.index("USER 10001") > text.index("apt-get")
    job = next(item for item in yaml.safe_load_all(TEXTS["deploy/kubernetes/night.yaml"]) if item["kind"] == "CronJob")
    pod = job["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    assert pod["securityContext"]["runAsUser"] == 10001
    assert pod["containers"][0]["securityContext"]["readOnlyRootFilesystem"] is True
    mounts = {mount["mountPath"] for mount in pod["containers"][0]["volumeMounts"]}
    folders = re.findall(r"(?:HURACAN_[A-Z_]+|XDG_CACHE_HOME)=(/\S+)", text)
    assert len(folders) == 5
    assert all(any(folder.startswith(f"{mount}/") for mount in mounts) for folder in folders)


@pytest.mark.slow
def test_the_cluster_file_passes_rays_own_schema_and_asks_for_tokens():
    util = pytest.importorskip("ray.autoscaler._private.util", reason="ray is not installed")
    config = yaml.safe_load(TEXTS["deploy/ray/cluster.yaml"])
    for name in ("head_start_ray_commands", "worker_start_ray_commands"):
        starts = [command for command in config[name] if "ray start" in command]
        assert starts
        assert all("RAY_AUTH_MODE=token" in command for command in starts)
        assert all("RAY_AUTH_TOKEN_PATH=" in command for command in starts)
    util.validate_config(util.prepare_config(config))


def test_the_textfile_lies_where_the_unit_may_write_and_node_exporter_may_read():
    """The example of the environment, the unit, the folder's own file and the scrape file name one place."""
    example, unit = TEXTS["deploy/systemd/huracan.env.example"], TEXTS["deploy/systemd/huracan-night.service"]
    file = re.search(r"^HURACAN_METRICS__TEXTFILE=(\S+)$", example, re.MULTILINE)[1]
    folder = str(Path(file).parent)
    assert f"ReadWritePaths=-{folder}" in unit.splitlines()
    made = re.search(r"^d (\S+) (\d+) (\S+) (\S+) -$", TEXTS["deploy/systemd/huracan.tmpfiles.conf"], re.MULTILINE)
    user = re.search(r"^User=(\S+)$", unit, re.MULTILINE)[1]
    assert made.groups() == (folder, "0755", user, user)
    assert not folder.startswith("/var/lib/huracan/")  # closed to others by the unit's StateDirectoryMode
    scraped = (DEPLOY / "prometheus" / "prometheus.yml").read_text()
    assert f"metrics.textfile={file}, node_exporter --collector.textfile.directory={folder}" in scraped


def test_what_the_night_needs_to_be_made_is_made_by_the_documented_commands():
    text = TEXTS["docs/deploy.md"]
    assert "deploy/systemd/huracan.tmpfiles.conf /etc/tmpfiles.d/huracan.conf && systemd-tmpfiles --create" in text


def test_the_folder_of_the_metrics_is_made_as_its_file_says(tmp_path):
    make = tool("systemd-tmpfiles")
    text = TEXTS["deploy/systemd/huracan.tmpfiles.conf"].replace("huracan huracan", "- -")
    (tmp_path / "huracan.conf").write_text(text)
    done = ran(make, "--create", f"--root={tmp_path}", tmp_path / "huracan.conf")
    assert done.returncode == 0, done.stderr
    assert stat.S_IMODE((tmp_path / "var/lib/huracan-metrics").stat().st_mode) == 0o755

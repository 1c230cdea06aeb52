"""The jobs in docs/guides/many_hosts.md have valid syntax and use only flags that exist."""

import re
import subprocess

import pytest
import yaml  # type: ignore[import-untyped]
from absl import flags

from seer_tf.cli import pretrain  # noqa: F401 - defines the flags
from tests.places import DOCS

_PAGE = (DOCS / "guides" / "many_hosts.md").read_text()


def block(language: str) -> str:
    """Returns the text of the page's only block in a language."""
    (text,) = re.findall(rf"^```{language}\n(.*?)^```$", _PAGE, flags=re.MULTILINE | re.DOTALL)
    return text


def test_the_slurm_job_is_a_bash_script() -> None:
    script = block("bash")
    checked = subprocess.run(["bash", "-n"], input=script, capture_output=True, text=True)
    assert (checked.returncode, checked.stderr) == (0, "")
    options = dict(re.findall(r"^#SBATCH --([a-z-]+)(?:=(.*))?$", script, flags=re.MULTILINE))
    assert script.startswith("#!/bin/bash\n#SBATCH ")
    assert (options["ntasks-per-node"], options["gpus-per-node"]) == ("1", "8")


def test_the_kubernetes_job_gives_each_pod_its_number_and_address() -> None:
    service, job = yaml.safe_load_all(block("yaml"))
    assert (service["apiVersion"], service["kind"], service["spec"]["clusterIP"]) == ("v1", "Service", "None")
    assert (job["apiVersion"], job["kind"]) == ("batch/v1", "Job")
    spec, pod = job["spec"], job["spec"]["template"]["spec"]
    assert spec["completionMode"] == "Indexed"
    assert spec["completions"] == spec["parallelism"]
    assert service["spec"]["selector"] == {"job-name": job["metadata"]["name"]}
    assert pod["subdomain"] == service["metadata"]["name"]
    assert pod["restartPolicy"] == "Never"  # podFailurePolicy needs this value
    assert spec["podFailurePolicy"]["rules"][0]["onExitCodes"] == {"operator": "In", "values": [2]}
    (container,) = pod["containers"]
    command, *arguments = container["args"]
    assert command == "pretrain"
    given = dict(argument.removeprefix("--").split("=", 1) for argument in arguments)
    name, domain = job["metadata"]["name"], service["metadata"]["name"]
    assert given["workers"].split(",") == [f"{name}-{index}.{domain}:2222" for index in range(spec["completions"])]
    assert given["worker_index"] == "$(JOB_COMPLETION_INDEX)"
    assert {mount["name"] for mount in container["volumeMounts"]} == {volume["name"] for volume in pod["volumes"]}


def test_the_jobs_run_the_image_that_the_page_builds_with_enough_shared_memory() -> None:
    (registry, image) = re.findall(r"docker build --file=Dockerfile\.gpu --tag=(\w+)/(\S+) \.$", _PAGE, re.MULTILINE)[0]
    assert f"docker push {registry}/{image}\n" in _PAGE
    assert f"--container-image={registry}#{image} " in block("bash")  # Pyxis writes # after the registry
    _, job = yaml.safe_load_all(block("yaml"))
    pod = job["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert container["image"] == f"{registry}/{image}"
    (name,) = (mount["name"] for mount in container["volumeMounts"] if mount["mountPath"] == "/dev/shm")
    (volume,) = (volume for volume in pod["volumes"] if volume["name"] == name)
    assert volume["emptyDir"]["medium"] == "Memory"


@pytest.mark.parametrize("language", ["bash", "yaml"])
def test_the_flags_of_the_jobs_exist(language: str) -> None:
    ours = "\n".join(line for line in block(language).splitlines() if not line.startswith("#SBATCH"))
    names = set(re.findall(r"--([a-z_]+)=", ours))
    assert {"recipe", "data", "run_dir", "num_devices"} <= names
    assert names <= set(flags.FLAGS)

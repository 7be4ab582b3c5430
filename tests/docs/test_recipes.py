"""The cluster recipes of docs/scaling.md, as far as they can be tried without such a cluster: what would be submitted is sound."""

from __future__ import annotations

import ast
import re
import shlex
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

PAGE = (Path(__file__).parents[2] / "docs" / "scaling.md").read_text(encoding="utf-8")
NEEDED = ("OMP_NUM_THREADS", "XLA_FLAGS", "JAX_COMPILATION_CACHE_DIR")  # by every worker, before Python starts


def recipe(cluster: str) -> dict[str, Any]:
    """The keyword arguments of the page's call of `cluster`."""
    source = next(block for block in re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL) if f"{cluster}(" in block)
    names: dict[str, Any] = {}
    for line in ast.parse(source).body:
        if isinstance(line, ast.Assign) and isinstance(line.value, ast.Dict):
            names[line.targets[0].id] = ast.literal_eval(line.value)
        if isinstance(line, ast.Assign) and isinstance(line.value, ast.Call):
            return {k.arg: names[k.value.id] if isinstance(k.value, ast.Name) else ast.literal_eval(k.value)
                    for k in line.value.keywords}  # fmt: skip
    raise AssertionError(f"no call of {cluster}")


def test_every_worker_gets_its_variables_and_one_thread():
    slurm, kubernetes = recipe("SLURMCluster"), recipe("KubeCluster")
    exported = " ".join(slurm["job_script_prologue"])
    assert all(f"{name}=" in exported for name in NEEDED) and set(kubernetes["env"]) == set(NEEDED)
    assert slurm["cores"] == slurm["processes"] and kubernetes["worker_command"][-2:] == ["--nthreads", "1"]


def test_the_slurm_job_script():
    jobs = pytest.importorskip("dask_jobqueue")
    wanted = {k: v for k, v in recipe("SLURMCluster").items() if k != "interface"}  # this machine has no such network
    cluster = jobs.SLURMCluster(**wanted)
    try:
        script = cluster.job_script()
    finally:
        cluster.close()
    assert subprocess.run(["bash", "-n"], input=script, text=True, check=False).returncode == 0
    start = shlex.split(script.strip().splitlines()[-1])
    assert start[0] == wanted["python"] and start[start.index("--nthreads") + 1] == "1"
    assert start[start.index("--nworkers") + 1] == "16" and "#SBATCH --cpus-per-task=16" in script


def test_the_kubernetes_manifest():
    operator, schema = pytest.importorskip("dask_kubernetes.operator"), pytest.importorskip("jsonschema")
    wanted = recipe("KubeCluster")
    made = operator.make_cluster_spec(**wanted)
    chart = Path(operator.__file__).parent / "deployment/helm/dask-kubernetes-operator"  # what a cluster's API checks against
    definition = yaml.safe_load((chart / "crds/daskcluster.yaml").read_text())
    (version,) = definition["spec"]["versions"]
    schema.validate(made, version["schema"]["openAPIV3Schema"])
    (worker,) = made["spec"]["worker"]["spec"]["containers"]
    assert made["spec"]["worker"]["replicas"] == 50 and {e["name"] for e in worker["env"]} == set(NEEDED)

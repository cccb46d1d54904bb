"""A class on a Dask cluster of real processes: the results of one machine, whatever happens."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from autograder.engine.host import pool
from autograder.errors import AutograderError, EngineError, ExitCode
from autograder.grading.cluster import dispatch
from autograder.grading.cluster.dispatch import connected
from autograder.grading.cluster.terms import Sealed
from benchmarks.kills import Batch, gradebook, left_over
from tests.grading.small_kit import GRADER, small_kit
from tests.support import ROOT

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not pool.can_fork(), reason="looks at processes as Linux shows them"),
]

CLASS = "right wrong hostile slow right slow right slow"
KEY = secrets.token_hex(16)
PRELOAD = """
from pathlib import Path
from autograder.grading import kinds
from autograder.grading.cluster import worker
from autograder.grading.results import present_versions
kinds.graders_of = lambda _: Path({graders!r})
worker.present_versions = lambda: {{**present_versions(), **{changes!r}}}
"""
TIMES = {"graded_at", "usage", "seconds", "student_seconds"}


def without_times(record: Any) -> Any:
    """A record but for its times and costs."""
    if isinstance(record, dict):
        return {key: without_times(value) for key, value in record.items() if key not in TIMES}
    if isinstance(record, list):
        return [without_times(value) for value in record]
    return record


def records(results: Path) -> dict[str, str]:
    """Every record by its file's name, to the byte but for times."""
    return {
        path.name: json.dumps(without_times(json.loads(path.read_bytes())))
        for path in sorted((results / "reports").glob("*.json"))
    }


@dataclass
class Processes:
    """A scheduler and workers, started as `dask scheduler` and `dask worker`."""

    root: Path
    port: int
    started: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    @property
    def address(self) -> str:
        return f"tcp://127.0.0.1:{self.port}"

    def start(self, name: str, *arguments: str) -> None:
        log = (self.root / f"{name}.log").open("wb")
        command = [sys.executable, "-m", "distributed.cli.dask_" + name.partition("-")[0]]
        temporary = self.root / "workers-tmp"
        temporary.mkdir(exist_ok=True)
        temporary.chmod(0o755)
        with log:
            self.started[name] = subprocess.Popen(
                [*command, *arguments],
                env={**os.environ, "PYTHONPATH": str(ROOT), "TMPDIR": str(temporary)},
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def worker(self, name: str, graders: Path, **changes: str) -> None:
        """A worker with its graders, and versions that it claims to have."""
        preload = self.root / f"{name}.py"
        preload.write_text(PRELOAD.format(graders=str(graders), changes=changes))
        options = ["--no-nanny", "--no-dashboard", "--nthreads", "1", "--preload", str(preload)]
        local = str(self.root / f"{name}-local")
        self.start(f"worker-{name}", self.address, *options, "--local-directory", local)

    def stop(self) -> None:
        for process in self.started.values():
            process.kill()
            process.wait()


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


@pytest.fixture(scope="module")
def batch(tmp_path_factory: pytest.TempPathFactory) -> Batch:
    root = tmp_path_factory.mktemp("cluster")
    root.chmod(0o755)
    return small_kit(root, CLASS, AUTOGRADER_SECRET=KEY)


def into(batch: Batch, name: str, *more: str) -> Batch:
    results = batch.results.parent / name
    return replace(batch, command=[*batch.command, "-o", str(results), *more], results=results)


@pytest.fixture(scope="module")
def local(batch: Batch) -> Path:
    """The results of one machine."""
    run = into(batch, "local")
    run.finish()
    return run.results


@pytest.fixture(scope="module")
def cluster(batch: Batch) -> Iterator[Processes]:
    root = batch.results.parent
    processes = Processes(root, free_port())
    graders = root / "graders"
    others = root / "other-graders"
    others.mkdir()
    (others / "test_add.py").write_text(GRADER.replace("1, 9", "1, 10"))
    host = ("--host", "127.0.0.1", "--port", str(processes.port), "--no-dashboard")
    processes.start("scheduler", *host)
    processes.worker("a", graders)
    processes.worker("b", graders)
    processes.worker("c", others)
    processes.worker("d", graders, torch="1.0")
    yield processes
    processes.stop()


def memory(pid: int) -> Iterator[bytes]:
    """What a process has in its memory, mapping by mapping."""
    with Path(f"/proc/{pid}/mem").open("rb", buffering=0) as file:
        for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
            span, rights, *_ = line.split()
            start, end = (int(part, 16) for part in span.split("-"))
            if rights.startswith("rw"):
                with contextlib.suppress(OSError, ValueError):
                    file.seek(start)
                    yield file.read(end - start)


def test_the_results_are_those_of_one_machine(
    batch: Batch, local: Path, cluster: Processes
) -> None:
    wait_for_workers(cluster, 4)
    run = into(batch, "remote", "--scheduler", cluster.address)
    said = run.finish()
    assert records(run.results) == records(local)
    assert gradebook(run.results) == gradebook(local)
    assert left_over(run) == []
    # two of the four workers may not grade, each for one reason
    refused = [line for line in said.splitlines() if "is refused" in line]
    assert len(refused) == 2, said
    assert any("its torch is 1.0, here it is" in line for line in refused)
    assert any("graders or limits are others than here (s1.add)" in line for line in refused)
    # the key is nowhere but where it has to be
    scheduler = cluster.started["scheduler"]
    assert not any(KEY.encode() in part for part in memory(scheduler.pid))
    for log in batch.results.parent.glob("*.log"):
        assert KEY not in log.read_text()
    # no judge stays at work, and nothing of it in the temporary folder
    assert [path.name for path in (cluster.root / "workers-tmp").glob("autograder-*")] == []


def wait_for_workers(cluster: Processes, count: int) -> None:
    with connected(cluster.address) as there:
        assert there is not None
        there.client.wait_for_workers(count, timeout=240)


def wait_for_records(results: Path, count: int) -> None:
    deadline = time.monotonic() + 240
    while len(list((results / "reports").glob("*.json"))) < count:
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_what_a_dead_worker_had_is_graded_elsewhere(
    batch: Batch, local: Path, cluster: Processes
) -> None:
    run = into(batch, "survived", "--scheduler", cluster.address)
    process = run.start()
    wait_for_records(run.results, 1)
    cluster.started["worker-b"].kill()
    said = process.communicate(timeout=240)[0].decode()
    assert process.returncode == 0, said
    assert " is gone" in said
    assert records(run.results) == records(local)


def test_a_cluster_that_goes_away_is_a_line_and_the_rest_follows(
    batch: Batch, local: Path, cluster: Processes
) -> None:
    run = into(batch, "abandoned")
    process = run.start("--scheduler", cluster.address)
    wait_for_records(run.results, 1)
    cluster.started["scheduler"].kill()
    said = process.communicate(timeout=240)[0].decode()
    kept = len(records(run.results))
    assert process.returncode == ExitCode.ENGINE, said
    assert "went away; what is graded is kept, continue with --resume" in " ".join(said.split())
    assert "Traceback" not in said
    assert f"Kept {kept} of 8" in run.finish("--resume")
    assert records(run.results) == records(local)


def test_no_logger_of_the_clusters_library_is_heard() -> None:
    """Some have a level and a handler of their own, below the one of their family."""
    program = (
        "import logging, distributed\n"
        "from autograder.grading.cluster import dispatch\n"
        "try:\n"
        "    with dispatch.connected('tcp://127.0.0.1:1'):\n"
        "        pass\n"
        "except Exception as error:\n"
        "    print(error)\n"
        "names = [n for n in logging.root.manager.loggerDict if n.startswith('distributed')]\n"
        "assert 'distributed.client' in names\n"
        "for name in (*names, 'distributed.new.one'):\n"
        "    logging.getLogger(name).critical('heard')\n"
    )
    ended = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=120, check=True
    )
    assert ended.stdout.startswith("there is no Dask scheduler"), ended.stdout
    assert ended.stderr == ""


def test_a_local_cluster_whose_workers_are_killed_and_come_back(
    batch: Batch, local: Path, tmp_path: Path
) -> None:
    """Dask's nanny starts a worker again, at another address or the same one."""
    program = LOCAL_CLUSTER.format(
        preload=PRELOAD.format(graders=str(batch.results.parent / "graders"), changes={})
    )
    run = into(batch, "nannied")
    main = tmp_path / "main.py"
    main.write_text(program)
    with subprocess.Popen(
        [sys.executable, str(main)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        cwd=tmp_path,
    ) as process:
        assert process.stdout is not None
        address, pid = process.stdout.readline().decode().split()
        grading = run.start("--scheduler", address)
        wait_for_records(run.results, 1)
        os.kill(int(pid), signal.SIGKILL)
        said = grading.communicate(timeout=240)[0].decode()
        assert process.stdin is not None
        process.stdin.close()
    assert grading.returncode == 0, said
    assert " is gone" in said
    assert records(run.results) == records(local)


LOCAL_CLUSTER = """
import sys
import dask
from distributed import Client, LocalCluster

if __name__ == "__main__":
    dask.config.set({{"distributed.worker.preload": [{preload!r}]}})
    with LocalCluster(n_workers=1, threads_per_worker=2, dashboard_address=None) as cluster:
        with Client(cluster) as client:
            import os
            (pid,) = client.run(os.getpid).values()
        print(cluster.scheduler_address, pid, flush=True)
        sys.stdin.read()
"""


# ---- without a cluster ---------------------------------------------------------------------------


def test_no_scheduler_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dispatch, "CONNECT_SECONDS", 0.5)
    address = f"tcp://127.0.0.1:{free_port()}"
    with (
        pytest.raises(EngineError, match=f"no Dask scheduler at {address} .*nothing was graded"),
        connected(address),
    ):
        pass


def test_without_dask_the_line_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(AutograderError, match="cluster"), connected("tcp://127.0.0.1:1"):
        pass


def test_what_dask_could_log_says_nothing() -> None:
    assert KEY not in repr((Sealed(KEY), [Sealed({"key": KEY})]))

"""The sandbox on real processes: what a confined worker cannot do, and what it still can."""

import contextlib
import functools
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import autograder
from autograder.engine import sandbox
from autograder.engine.sandbox import (
    confinement,
    kernel,
    landlock,
    paths,
    privileges,
    probing,
    seccomp,
)
from autograder.errors import EngineError

ROOT = Path(autograder.__file__).resolve().parents[1]
NOBODY = 65534

HAS_LANDLOCK = not landlock.available()
HAS_SECCOMP = not seccomp.available()
needs_both = pytest.mark.skipif(
    not (HAS_LANDLOCK and HAS_SECCOMP), reason="this kernel has no Landlock or no seccomp"
)

# A zygote in miniature: prepares, forks, confines the child and lets it run the cases one by one.
HARNESS = """
import json, os, signal, sys, time
from pathlib import Path
options = json.loads(sys.stdin.readline())
sys.path.insert(0, options["root"])
from autograder.engine import sandbox
for name in options["preload"]:
    __import__(name)
prepared = sandbox.prepare(
    map(Path, options["read"]), map(Path, options["hidden"]), options["without"]
)
user = sandbox.worker_user(os.getpid() % 100_000) if options["own_user"] else None
reader, writer = os.pipe()
secret = os.open(options["root"], os.O_RDONLY)
pid = os.fork()
if pid == 0:
    begin = time.perf_counter(), time.process_time()
    isolation = sandbox.confine(
        prepared, Path(options["scratch"]), sandbox.WorkerLimits(**options["limits"]),
        keep=(writer,), user=user,
    )
    spent = time.perf_counter() - begin[0], time.process_time() - begin[1]
    results = {}
    names = {"options": options, "zygote": os.getppid(), "secret": secret}
    for name, source in options["cases"].items():
        try:
            exec(source, dict(names, result=(out := [])))
            results[name] = out[0] if out else "done"
        except BaseException as error:
            results[name] = type(error).__name__
    answer = json.dumps([isolation.level, isolation.mechanisms, isolation.missing, spent, results])
    with os.fdopen(writer, "w") as channel:
        channel.write(answer)
    os._exit(0)
os.close(writer)
with os.fdopen(reader) as channel:
    answer = channel.read()
status = os.waitpid(pid, 0)[1]
print(json.dumps({"status": status, "answer": json.loads(answer) if answer else None}))
"""


class Ran:
    """What came out of one confined worker."""

    def __init__(self, printed: str) -> None:
        report = json.loads(printed.splitlines()[-1])
        status = report["status"]
        self.signal = os.WTERMSIG(status) if os.WIFSIGNALED(status) else None
        answer = report["answer"] or [None, [], [], None, {}]
        self.level, self.mechanisms, self.missing, self.spent, self.results = answer


@functools.cache
def interpreter(identity: str) -> str:
    """A Python for `identity` that can read itself and this project; skips by name if none."""
    if identity == "root" or os.geteuid() != 0:
        return sys.executable
    if paths.closed_to_others([ROOT / "autograder"]) is not None:
        pytest.skip(f"an ordinary user cannot read {ROOT}")
    if paths.closed_to_others(paths.interpreter()) is None:
        return sys.executable
    other = "/usr/bin/python3"
    check = [other, "-c", "import sys; sys.exit(sys.version_info < (3, 11))"]
    if not Path(other).exists() or subprocess.run(check, check=False).returncode:
        pytest.skip("an ordinary user cannot read this interpreter, and there is no other one")
    return other


@contextlib.contextmanager
def scratch_folder(identity: str) -> Iterator[Path]:
    # pytest's own temporary folders are closed to other users.
    with tempfile.TemporaryDirectory(dir="/tmp") as base:
        Path(base).chmod(0o711)
        folder = Path(base, "scratch")
        folder.mkdir(mode=0o700)
        if identity == "ordinary" and os.geteuid() == 0:
            os.chown(folder, NOBODY, NOBODY)
        yield folder


def start(identity: str, scratch: Path, **options: Any) -> subprocess.Popen[str]:
    settings = {
        "root": str(ROOT),
        "scratch": str(scratch),
        "read": [],
        "hidden": [],
        "without": [],
        "preload": [],
        "cases": {},
        "limits": {"cpu_seconds": 60},
        "own_user": identity == "root",
    } | options
    change: dict[str, Any] = {}
    if identity == "ordinary" and os.geteuid() == 0:
        change = {"user": NOBODY, "group": NOBODY, "extra_groups": []}
    process = subprocess.Popen(
        [interpreter(identity), "-I", "-B", "-c", HARNESS],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd="/",
        env={"SECRET_TOKEN": "hunter2", "OMP_NUM_THREADS": "2"},
        **change,
    )
    assert process.stdin is not None
    process.stdin.write(json.dumps(settings) + "\n")
    process.stdin.flush()
    return process


def run(identity: str, **options: Any) -> Ran:
    """Run `cases` (name to source) in a confined worker of `identity`."""
    with scratch_folder(identity) as scratch, start(identity, scratch, **options) as process:
        printed, errors = process.communicate(timeout=240)
        assert process.returncode == 0, errors
        return Ran(printed)


IDENTITIES = [
    pytest.param(
        "root", marks=pytest.mark.skipif(os.geteuid() != 0, reason="the tests do not run as root")
    ),
    "ordinary",
]
each_identity = pytest.mark.parametrize("identity", IDENTITIES)

# Source that must fail, and the exception's name. Several lines run as written.
DENIED = {
    "read a system file": ("open('/etc/passwd')", "PermissionError"),
    "read a hidden grader": (
        "open(options['root'] + '/autograder/records/report.py')",
        "PermissionError",
    ),
    "list the project": ("import os; os.listdir(options['root'])", "PermissionError"),
    "list the root folder": ("import os; os.listdir('/')", "PermissionError"),
    "list the scratch folder's parent": ("import os; os.listdir('..')", "PermissionError"),
    "read the zygote's memory": ("open(f'/proc/{zygote}/mem', 'rb')", "PermissionError"),
    "read the zygote's environment": ("open(f'/proc/{zygote}/environ')", "PermissionError"),
    "read the zygote's arguments": ("open(f'/proc/{zygote}/cmdline')", "PermissionError"),
    "list the zygote's descriptors": (
        "import os; os.listdir(f'/proc/{zygote}/fd')",
        "PermissionError",
    ),
    "follow a descriptor of the zygote": (
        "import os; os.readlink(f'/proc/{zygote}/fd/0')",
        "PermissionError",
    ),
    "list the processes": ("import os; os.listdir('/proc')", "PermissionError"),
    "read its first environment": ("open('/proc/self/environ')", "PermissionError"),
    "read the socket table": ("open('/proc/self/net/tcp')", "PermissionError"),
    "use an inherited descriptor": ("import os; os.fstat(secret)", "OSError"),
    "write beside the scratch folder": ("open('../other', 'w')", "PermissionError"),
    "write to /tmp": ("open('/tmp/left-behind', 'w')", "PermissionError"),
    "write to /tmp without a name": (
        "import os; os.open('/tmp', os.O_TMPFILE | os.O_RDWR)",
        "PermissionError",
    ),
    "write to shared memory": ("open('/dev/shm/left-behind', 'w')", "PermissionError"),
    "make a folder outside": ("import os; os.mkdir('../other')", "PermissionError"),
    "remove the scratch folder": ("import os; os.rmdir(options['scratch'])", "PermissionError"),
    "rename out of the scratch folder": (
        "import os; open('a', 'w').close(); os.rename('a', '../a')",
        "PermissionError",
    ),
    "link a library into the scratch folder": (
        "import os; os.link(os.__file__, 'os.py')",
        "PermissionError|OSError",
    ),
    "make a symbolic link": ("import os; os.symlink('/etc', 'etc')", "PermissionError"),
    "make a named pipe": ("import os; os.mkfifo('pipe')", "PermissionError"),
    "make a device": ("import os; os.mknod('d', 0o20666, os.makedev(1, 3))", "PermissionError"),
    "empty a file outside": ("import os; os.truncate('/etc/hostname', 0)", "PermissionError"),
    "empty a readable file": (
        "import os; os.open(os.__file__, os.O_RDONLY | os.O_TRUNC)",
        "PermissionError",
    ),
    "open a TCP socket": ("import socket; socket.socket()", "PermissionError"),
    "open a UDP socket": (
        "import socket; socket.socket(socket.AF_INET, socket.SOCK_DGRAM)",
        "PermissionError",
    ),
    "open a Unix socket": ("import socket; socket.socket(socket.AF_UNIX)", "PermissionError"),
    "open a netlink socket": ("import socket; socket.socket(16, 3)", "PermissionError"),
    "make a datagram pair": (
        "import socket; socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)",
        "PermissionError",
    ),
    "resolve a name": ("import socket; socket.getaddrinfo('example.com', 80)", "gaierror"),
    "fork": ("import os; os.fork()", "PermissionError"),
    "start a program": ("import subprocess; subprocess.run(['true'])", "PermissionError"),
    "replace itself": ("import os; os.execv('/bin/true', ['true'])", "PermissionError"),
    "start a process of multiprocessing": (
        "import multiprocessing as m; m.Process(target=print).start()",
        "PermissionError",
    ),
    "signal the zygote": ("import os; os.kill(zygote, 0)", "PermissionError"),
    "signal everybody": ("import os; os.kill(-1, 0)", "PermissionError"),
    "signal the process group": ("import os; os.killpg(0, 0)", "PermissionError"),
    "leave the process group": ("import os; os.setpgid(0, 0)", "PermissionError"),
    "have signals sent to another": (
        "import fcntl, os; fcntl.fcntl(1, 8, zygote)",
        "PermissionError",
    ),
    "change another's limits": (
        "import resource; resource.prlimit(zygote, resource.RLIMIT_CPU)",
        "PermissionError",
    ),
    "raise its own limit": (
        "import resource as r; r.setrlimit(r.RLIMIT_CPU, (r.RLIM_INFINITY,) * 2)",
        "ValueError|PermissionError",
    ),
    "become root": ("import os; os.setuid(0)", "PermissionError"),
    "change its priority": ("import os; os.setpriority(0, 0, 5)", "PermissionError"),
    "keep memory in a file without a name": (
        "import os; os.memfd_create('hoard')",
        "PermissionError",
    ),
    "share anonymous memory": ("import mmap; mmap.mmap(-1, 4096)", "PermissionError"),
    "change the root": ("import os; os.chroot('.')", "PermissionError"),
    "own a file": ("import os; open('b', 'w').close(); os.chown('b', 0, 0)", "PermissionError"),
    "set an attribute": ("import os; os.setxattr('.', 'user.a', b'')", "OSError"),
    "look for readable memory of others": (
        "import ctypes; c = ctypes.CDLL(None, use_errno=True)\n"
        "if c.prctl(4, 1, 0, 0, 0): raise PermissionError",  # PR_SET_DUMPABLE
        "PermissionError",
    ),
    "outlive its parent": (
        "import ctypes; c = ctypes.CDLL(None, use_errno=True)\n"
        "if c.prctl(1, 0, 0, 0, 0): raise PermissionError",  # PR_SET_PDEATHSIG
        "PermissionError",
    ),
    "pass keys to a terminal": (
        "import fcntl; fcntl.ioctl(1, 0x5412, b'x')",  # TIOCSTI
        "OSError",
    ),
}

# Source that must work.
ALLOWED = {
    "import a module for the first time": "import colorsys",
    "load a shared library": "import ctypes; ctypes.CDLL('libm.so.6')",
    "write and read in the scratch folder": (
        "open('x', 'w').write('abc'); assert open('x').read() == 'abc'"
    ),
    "empty and remove a file": (
        "import os; open('y', 'w').write('abc'); os.truncate('y', 1)\n"
        "assert os.path.getsize('y') == 1; os.remove('y')"
    ),
    "move between folders of the scratch folder": (
        "import os; os.makedirs('p/q'); open('z', 'w').close(); os.replace('z', 'p/q/z')"
    ),
    "temporary files": (
        "import tempfile, os\n"
        "with tempfile.TemporaryFile() as f: f.write(b'1')\n"
        "with tempfile.NamedTemporaryFile() as f: assert f.name.startswith(options['scratch'])\n"
        "with tempfile.TemporaryDirectory() as d: open(os.path.join(d, 'f'), 'w').close()"
    ),
    "copies with modes and times": (
        "import shutil, pathlib; open('c', 'w').write('c'); shutil.copy('c', 'c1')\n"
        "shutil.copy2('c', 'c2'); pathlib.Path('c2').touch(); shutil.make_archive('a', 'zip', '.')"
    ),
    "threads": (
        "import concurrent.futures as f\n"
        "with f.ThreadPoolExecutor(4) as e: assert list(e.map(abs, [-1, -2])) == [1, 2]"
    ),
    "asyncio": (
        "import asyncio\n"
        "async def f():\n"
        "    await asyncio.sleep(0.001)\n"
        "    return await asyncio.to_thread(abs, -1)\n"
        "assert asyncio.run(f()) == 1"
    ),
    "own signals": (
        "import os, signal, time\n"
        "got = []; signal.signal(signal.SIGALRM, lambda *_: got.append(1))\n"
        "signal.setitimer(signal.ITIMER_REAL, 0.001)\n"
        "while not got: time.sleep(0.001)\n"
        "os.kill(os.getpid(), signal.SIGALRM); signal.raise_signal(signal.SIGALRM)"
    ),
    "random numbers and clocks": "import os, random, time; os.urandom(8); time.sleep(0.001)",
    "its own memory map": "assert 'python' in open('/proc/self/maps').read()",
    "facts about the machine": (
        "import os, resource; assert os.cpu_count() and os.sched_getaffinity(0)\n"
        "assert resource.getrusage(0).ru_maxrss and resource.getrlimit(resource.RLIMIT_CPU)"
    ),
    "the null device": "open('/dev/null', 'w').write('x'); assert not open('/dev/null').read()",
    "a database file": (
        "try: import sqlite3\n"
        "except ImportError: pass\n"
        "else: sqlite3.connect('d.db').execute('create table t (a)').connection.commit()"
    ),
    "its name": "import getpass, pathlib; getpass.getuser(); pathlib.Path.home()",
    "no standard input": "import sys, os; assert os.read(0, 1) == b''",
    "no secrets in the environment": (
        "import os; assert 'SECRET_TOKEN' not in os.environ\n"
        "assert os.environ['HOME'] == os.environ['TMPDIR'] == os.getcwd() == options['scratch']"
    ),
    "pin itself to a core": "import os; os.sched_setaffinity(0, os.sched_getaffinity(0))",
}

MODES = """
import os
before = os.stat(os.__file__)
os.chmod(os.__file__, 0)
os.utime(os.__file__, (0, 0))
after = os.stat(os.__file__)
assert (before.st_mode, before.st_mtime) == (after.st_mode, after.st_mtime)
"""


@functools.cache
def worker(identity: str) -> Ran:
    cases = {name: source for name, (source, _) in DENIED.items()} | ALLOWED
    cases["modes and times stay"] = MODES
    return run(identity, cases=cases)


@needs_both
@each_identity
class TestStrict:
    def test_everything_is_in_force(self, identity: str, record_property: Any) -> None:
        ran = worker(identity)
        record_property("confine_wall_ms", round(1000 * ran.spent[0], 2))
        record_property("confine_cpu_ms", round(1000 * ran.spent[1], 2))
        assert (ran.level, ran.missing, ran.signal) == ("strict", [], None)
        assert any("Landlock" in text for text in ran.mechanisms)
        assert any("seccomp" in text for text in ran.mechanisms)

    @pytest.mark.parametrize("name", DENIED)
    def test_denied(self, identity: str, name: str) -> None:
        assert worker(identity).results[name] in DENIED[name][1].split("|")

    @pytest.mark.parametrize("name", ALLOWED)
    def test_allowed(self, identity: str, name: str) -> None:
        assert worker(identity).results[name] == "done"

    def test_modes_and_times_of_files_outside_stay(self, identity: str) -> None:
        assert worker(identity).results["modes and times stay"] == "done"


# Raw calls that only an attack makes: name in the table, arguments.
KILLED = ["ptrace", "process_vm_readv", "pidfd_getfd", "bpf", "keyctl", "unshare", "mount"]


@needs_both
@pytest.mark.parametrize("name", KILLED)
def test_calls_that_reach_into_others_kill(name: str) -> None:
    number = kernel.numbers(kernel.machine() or "")[name]
    source = f"import ctypes; ctypes.CDLL(None).syscall({number}, 0, 0, 0, 0, 0)"
    assert run("ordinary", cases={"call": source}).signal == signal.SIGSYS


@needs_both
def test_io_uring_is_refused() -> None:
    source = (
        "import ctypes; c = ctypes.CDLL(None, use_errno=True)\n"
        "room = ctypes.create_string_buffer(256)\n"
        "c.syscall(425, 1, room); result.append(ctypes.get_errno())"
    )
    assert run("ordinary", cases={"call": source}).results["call"] == 1  # EPERM


@needs_both
@pytest.mark.skipif(kernel.machine() != "x86_64", reason="x86-64 has other calling conventions")
class TestOtherConventions:
    def test_x32_kills(self) -> None:
        source = "import ctypes; ctypes.CDLL(None).syscall(0x40000000 | 39)"
        assert run("ordinary", cases={"call": source}).signal == signal.SIGSYS

    def test_32_bit_kills(self) -> None:
        source = """
import ctypes, mmap
code = bytes.fromhex("b814000000 cd80 c3")  # mov eax, 20; int 0x80; ret
page = mmap.mmap(-1, 4096, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS, 7)
page.write(code)
ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(page)))()
"""
        # A kernel without the 32-bit convention raises a segmentation fault instead.
        assert run("ordinary", cases={"call": source}).signal in (signal.SIGSYS, signal.SIGSEGV)


@needs_both
@each_identity
class TestLimits:
    def test_a_loop_is_ended_by_the_soft_limit(self, identity: str) -> None:
        ran = run(identity, cases={"loop": "while True: pass"}, limits={"cpu_seconds": 1})
        assert ran.signal == signal.SIGXCPU

    def test_ignoring_the_signal_gains_one_second(self, identity: str) -> None:
        source = "import signal; signal.signal(signal.SIGXCPU, signal.SIG_IGN)\nwhile True: pass"
        ran = run(identity, cases={"loop": source}, limits={"cpu_seconds": 1})
        assert ran.signal == signal.SIGKILL

    def test_memory_files_and_descriptors(self, identity: str) -> None:
        mebibyte = 1024**2
        limits = {
            "cpu_seconds": 30,
            "memory_bytes": 256 * mebibyte,
            "file_bytes": mebibyte,
            "open_files": 32,
        }
        cases = {
            "memory within": f"bytearray({64 * mebibyte})",
            "memory beyond": f"bytearray({512 * mebibyte})",
            "file within": f"open('a', 'wb').write(bytes({mebibyte}))",
            "file beyond": f"with open('b', 'wb') as b: b.write(bytes({mebibyte} + 1))",
            "descriptors": "kept = [open('/dev/null') for _ in range(40)]",
        }
        assert run(identity, cases=cases, limits=limits).results == {
            "memory within": "done",
            "memory beyond": "MemoryError",
            "file within": "done",
            "file beyond": "OSError",
            "descriptors": "OSError",
        }

    def test_it_is_ended_first_where_memory_runs_out(self, identity: str) -> None:
        """Before the judge, without which nothing is reported. (Landlock would hide the file.)"""
        case = "result.append(int(open('/proc/self/oom_score_adj').read()))"
        ran = run(identity, cases={"score": case}, without=["landlock"])
        assert ran.results["score"] == 1000

    def test_threads_end_at_a_limit(self, identity: str) -> None:
        source = """
import threading
stop = threading.Event(); threads = []
try:
    for _ in range(600):
        threads.append(threading.Thread(target=stop.wait)); threads[-1].start()
except RuntimeError:
    threads.pop()
stop.set()
for thread in threads: thread.join()
result.append(len(threads))
"""
        mebibyte = 1024**2
        limits = {"cpu_seconds": 30, "memory_bytes": 1024 * mebibyte, "threads": 100}
        count = run(identity, cases={"threads": source}, limits=limits).results["threads"]
        # A user of its own makes the count exact; else the stacks meet the memory limit.
        assert 16 <= count < (100 if identity == "root" else 600)


@needs_both
@each_identity
def test_a_worker_dies_with_its_zygote(identity: str) -> None:
    source = "print('ready', flush=True); import time; time.sleep(600)"
    with scratch_folder(identity) as scratch:
        process = start(identity, scratch, cases={"wait": source})
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.kill()
        # The worker holds the output open too: its end shows that nobody does any more.
        assert process.communicate(timeout=60)[0] == ""


@needs_both
def test_the_judge_can_watch_but_others_cannot_look() -> None:
    """Sizes stay readable for the judge, memory does not, for a process of the same user."""
    source = "import os, time; print(os.getpid(), flush=True); time.sleep(600)"
    look = """
import sys
assert "VmRSS" in open(f"/proc/{sys.argv[1]}/status").read()
assert open(f"/proc/{sys.argv[1]}/statm").read()
for name in ("mem", "environ", "maps"):
    try: open(f"/proc/{sys.argv[1]}/{name}", "rb")
    except PermissionError: pass
    else: sys.exit(name)
"""
    change = {"user": NOBODY, "group": NOBODY} if os.geteuid() == 0 else {}
    with scratch_folder("ordinary") as scratch:
        process = start("ordinary", scratch, cases={"wait": source})
        assert process.stdout is not None
        pid = process.stdout.readline().strip()
        watcher = [interpreter("ordinary"), "-I", "-c", look, pid]
        seen = subprocess.run(watcher, capture_output=True, text=True, check=False, **change)
        process.kill()
        process.communicate(timeout=60)
    assert seen.returncode == 0, seen.stderr


READ = {"read": "open('/etc/passwd')"}
CALL = {
    "socket": "import socket; socket.socket()",
    "fork": "import os; os.fork() or os._exit(0)",
}


class TestHonesty:
    """Each mechanism switched off: the level falls, the reason is named, the door is open."""

    @needs_both
    @each_identity
    def test_without_landlock(self, identity: str) -> None:
        ran = run(identity, without=["landlock"], cases=READ | CALL)
        assert ran.level == "partial"
        assert "Landlock: switched off" in ran.missing
        assert ran.results == {
            "read": "done",
            "socket": "PermissionError",
            "fork": "PermissionError",
        }

    @needs_both
    @each_identity
    def test_without_seccomp(self, identity: str) -> None:
        connect = {
            "connect": "import socket; socket.create_connection(('192.0.2.1', 9), timeout=5)",
            "signal": "import os; os.kill(zygote, 0)",
        }
        ran = run(identity, without=["seccomp"], cases=READ | CALL | connect)
        assert ran.level == "partial"
        assert "seccomp: switched off" in ran.missing
        assert ran.results["read"] == "PermissionError"
        assert ran.results["fork"] == "done"
        assert ran.results["connect"] in ("OSError", "PermissionError")
        if landlock.abi() >= 6 or identity == "root":
            assert ran.results["signal"] == "PermissionError"

    @needs_both
    def test_without_seccomp_and_network(self) -> None:
        ran = run("ordinary", without=["seccomp", "network"], cases=CALL)
        assert {"seccomp: switched off", "no network: switched off"} <= set(ran.missing)
        assert ran.results["socket"] == "done"

    @needs_both
    @pytest.mark.parametrize("identity", IDENTITIES[:1])
    def test_root_that_stays_root(self, identity: str) -> None:
        for options in ({"without": ["user"]}, {"own_user": False}):
            cases = {"rights": "import os; os.listdir('/root')", "id": "import os; os.setuid(1)"}
            ran = run(identity, cases=cases, **options)
            assert ran.level == "partial"
            assert "root without capabilities" in ran.missing[0]
            assert set(ran.results.values()) == {"PermissionError"}

    @each_identity
    def test_nothing_but_limits(self, identity: str) -> None:
        without = ["landlock", "seccomp", "user", "network"]
        ran = run(identity, without=without, cases=READ)
        assert ran.level == "process"
        assert ran.results == {"read": "done"}
        assert len(ran.missing) == (4 if identity == "root" else 3)

    @needs_both
    def test_without_limits(self) -> None:
        ran = run("ordinary", without=["limits"], cases=READ)
        assert ran.level == "partial"
        assert ran.missing[0].startswith("limits on CPU time")

    def test_an_unknown_mechanism_is_an_error(self) -> None:
        with pytest.raises(EngineError, match="unknown sandbox mechanism: magic"):
            sandbox.prepare(disabled=["magic"])

    def test_a_missing_path_is_an_error(self, tmp_path: Path) -> None:
        with pytest.raises(EngineError, match=r"to read .*nowhere, which is not there"):
            sandbox.prepare(read=[tmp_path / "nowhere"])


@needs_both
@each_identity
class TestReadablePaths:
    @pytest.fixture
    def course(self) -> Iterator[Path]:
        with tempfile.TemporaryDirectory(dir="/tmp") as name:
            course = Path(name)
            course.chmod(0o755)
            for file in ("kit/readable.py", "kit/withheld.py", "kit/__pycache__/withheld.pyc"):
                (course / file).parent.mkdir(parents=True, exist_ok=True)
                (course / file).write_text("value = 1\n", encoding="utf-8")
            (course / "other.txt").write_text("", encoding="utf-8")
            yield course

    def test_hidden_files_are_cut_out(self, identity: str, course: Path) -> None:
        kit = course / "kit"
        (kit / "way_round").symlink_to("withheld.py")
        cases = {
            "open": f"open({str(kit / 'readable.py')!r})",
            "import": f"import sys; sys.path.append({str(kit)!r}); import readable",
            "withheld": f"open({str(kit / 'withheld.py')!r})",
            "compiled": f"open({str(kit / '__pycache__/withheld.pyc')!r})",
            "import withheld": "import withheld",
            "link": f"open({str(kit / 'way_round')!r})",
            "beside": f"open({str(course / 'other.txt')!r})",
        }
        ran = run(identity, read=[str(kit)], hidden=[str(kit / "withheld.py")], cases=cases)
        assert ran.level == "strict"
        assert ran.results == dict.fromkeys(cases, "PermissionError") | {
            "open": "done",
            "import": "done",
        }


class TestRights:
    """Which rights a worker gets, where root grades on a machine with a closed interpreter."""

    USER = sandbox.User(1234, 1234)

    @pytest.fixture
    def as_root(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(confinement, "is_root", lambda: True)

    def prepared(self, **changes: Any) -> sandbox.Prepared:
        settings: dict[str, Any] = {
            "pid": os.getpid(),
            "capabilities": (1 << 41) - 1,
            "abi": 7,
            "grants": (),
            "own": (),
            "program": None,
            "threads": None,
            "closed": None,
            "missing": {},
        }
        return sandbox.Prepared(**settings | changes)

    @pytest.mark.usefixtures("as_root")
    @pytest.mark.parametrize(
        ("changes", "user", "kept", "text"),
        [
            ({}, USER, 0, "no capabilities"),
            ({"closed": Path("/root")}, USER, 1 << 2, "/root is closed to other users"),
            ({"closed": Path("/root"), "missing": {"landlock": "x"}}, None, 0, "/root is closed"),
            ({"closed": Path("/root"), "capabilities": 0xC1}, None, 0, "/root is closed"),
            ({"capabilities": 0}, None, 0, "may not change the user"),
            ({"missing": {"user": "switched off"}}, None, 0, "switched off"),
        ],
    )
    def test_choice(
        self, changes: dict[str, Any], user: sandbox.User | None, kept: int, text: str
    ) -> None:
        rights = confinement._choose_rights(self.prepared(**changes), self.USER)
        assert (rights.user, rights.kept) == (user, kept)
        assert text in rights.fact.text + rights.fact.reason
        assert bool(rights.fact.reason) == (user is None)

    def test_an_ordinary_user_keeps_its_own(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(confinement, "is_root", lambda: False)
        rights = confinement._choose_rights(self.prepared(), self.USER)
        assert (rights.user, rights.fact.reason) == (None, "")

    def test_slots_give_distinct_users(self) -> None:
        users = [sandbox.worker_user(slot) for slot in range(500)]
        assert len(set(users)) == 500
        assert all(user.uid == user.gid > 1000 for user in users)

    def test_slots_fit_a_container_with_few_ids(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(privileges, "_mapped_ids", lambda: [(0, 65536)])
        users = [sandbox.worker_user(slot) for slot in range(500)]
        assert len(set(users)) == 500
        assert all(user.uid < 65534 for user in users)
        monkeypatch.setattr(privileges, "_mapped_ids", lambda: [(0, 1), (5000, 100)])
        assert {sandbox.worker_user(slot).uid for slot in range(100)} == set(range(5000, 5100))


class TestErrors:
    def test_more_than_one_thread(self, tmp_path: Path) -> None:
        if not Path("/proc/self/task").exists():
            pytest.skip("only Linux counts threads here")
        stop = threading.Event()
        other = threading.Thread(target=stop.wait)
        other.start()
        try:
            with pytest.raises(EngineError, match="threads; the kernel would confine only one"):
                sandbox.confine(sandbox.prepare(), tmp_path, sandbox.WorkerLimits(1))
        finally:
            stop.set()
            other.join()

    @needs_both
    def test_a_scratch_folder_that_is_not_there(self) -> None:
        with scratch_folder("ordinary") as scratch:
            process = start("ordinary", scratch / "nowhere")
            _, errors = process.communicate(timeout=60)
        assert "EngineError: the process could not be confined" in errors
        assert "nowhere" in errors


@pytest.mark.skipif(not HAS_LANDLOCK, reason="this kernel has no Landlock")
def test_preparing_opens_descriptors_that_can_be_closed() -> None:
    prepared = sandbox.prepare()
    assert prepared.grants
    for grant in prepared.grants:
        assert not os.get_inheritable(grant.descriptor)
    prepared.close()
    for grant in prepared.grants:
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fstat(grant.descriptor)


def test_probe_names_every_mechanism() -> None:
    found = sandbox.probe()
    assert [one.name for one in found] == list(sandbox.MECHANISMS)
    assert all(one.detail and one.protects for one in found)
    states = {one.name: one.available for one in found}
    assert states["landlock"] == HAS_LANDLOCK
    assert states["seccomp"] == HAS_SECCOMP
    if os.geteuid() != 0:
        assert states["user"]


def test_probe_says_where_root_cannot_change_the_user(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probing, "is_root", lambda: True)
    monkeypatch.setattr(paths, "closed_to_others", lambda _: Path("/root"))
    monkeypatch.setattr(privileges, "capabilities", lambda: 0)
    user = next(one for one in sandbox.probe() if one.name == "user")
    assert (user.available, user.detail.split(";")[0]) == (False, "/root is closed to other users")


def test_probe_gives_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernel, "machine", lambda: None)
    found = {one.name: one for one in sandbox.probe()}
    assert not found["landlock"].available
    assert "Linux on x86-64 or aarch64" in found["landlock"].detail
    assert not found["seccomp"].available
    prepared = sandbox.prepare()
    assert (prepared.grants, prepared.program) == ((), None)
    assert {"landlock", "seccomp"} <= set(prepared.missing)


LIBRARIES = {
    "autograd on two threads": (
        "import torch; torch.set_num_threads(2)\n"
        "x = torch.ones(600, 600, requires_grad=True); (x @ x).sum().backward()\n"
        "assert x.grad.sum().item() == 600.0 ** 2 * 1200"
    ),
    "training": (
        "import torch; from torch import nn\n"
        "from torch.utils.data import DataLoader, TensorDataset\n"
        "net = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(),\n"
        "                    nn.Linear(144, 10)); step = torch.optim.Adam(net.parameters())\n"
        "data = TensorDataset(torch.randn(32, 1, 8, 8), torch.randint(10, (32,)))\n"
        "for images, targets in DataLoader(data, batch_size=8, shuffle=True):\n"
        "    step.zero_grad(); nn.functional.cross_entropy(net(images), targets).backward()\n"
        "    step.step()"
    ),
    "saving": "import torch; torch.save(torch.ones(2), 't'); assert torch.load('t').sum() == 2",
    "a traced module": (
        "import torch; torch.jit.trace(torch.nn.Linear(2, 2), torch.ones(1, 2))(torch.ones(1, 2))"
    ),
    "a mapped array": (
        "import numpy; numpy.memmap('m', dtype='f4', mode='w+', shape=(9,))[:] = 1\n"
        "assert numpy.fromfile('m', dtype='f4').sum() == 9"
    ),
    "digits and clusters": (
        "from sklearn.cluster import KMeans; from sklearn.datasets import load_digits\n"
        "KMeans(2, n_init=1).fit(load_digits().data[:50])"
    ),
    "a figure": (
        "import matplotlib.pyplot as plt, os; plt.plot([1, 2]); plt.title('x'); "
        "plt.savefig('f.png')\n"
        "assert os.path.getsize('f.png') > 1000"
    ),
    "an ONNX session": (
        "import numpy, onnx, onnxruntime as ort; from onnx import helper, TensorProto as T\n"
        "graph = helper.make_graph([helper.make_node('Relu', ['x'], ['y'])], 'g',\n"
        "    [helper.make_tensor_value_info('x', T.FLOAT, [2])],\n"
        "    [helper.make_tensor_value_info('y', T.FLOAT, [2])])\n"
        "model = helper.make_model(graph, ir_version=8,\n"
        "                          opset_imports=[helper.make_opsetid('', 17)])\n"
        "onnx.save(model, 'r.onnx')\n"
        "session = ort.InferenceSession('r.onnx', providers=['CPUExecutionProvider'])\n"
        "answer = session.run(None, {'x': numpy.array([-1, 1], 'float32')})[0]\n"
        "assert answer.tolist() == [0, 1]"
    ),
}
LIBRARIES_DENIED = {
    "a loader with worker processes": (
        "import torch; from torch.utils.data import DataLoader, TensorDataset\n"
        "next(iter(DataLoader(TensorDataset(torch.ones(2)), num_workers=1)))"
    ),
    "a tensor in shared memory": "import torch; torch.ones(2).share_memory_()",
}
GIBIBYTE = 1024**3


@pytest.mark.slow
@needs_both
def test_libraries_work_inside() -> None:
    ran = run(
        "root" if os.geteuid() == 0 else "ordinary",
        preload=["torch"],
        cases=LIBRARIES | LIBRARIES_DENIED,
        limits={"cpu_seconds": 200, "memory_bytes": 2 * GIBIBYTE},
    )
    assert (ran.level, ran.signal) == ("strict", None)
    denied = {name: ran.results.pop(name) for name in LIBRARIES_DENIED}
    assert ran.results == dict.fromkeys(LIBRARIES, "done")
    assert set(denied.values()) <= {"PermissionError", "RuntimeError"}


SLEEPERS = {
    "a thread that sleeps on a shared word": """
import ctypes, threading, time
libc, word = ctypes.CDLL(None), ctypes.c_uint32(0)
def sleep():
    while not word.value:
        libc.syscall(FUTEX, ctypes.byref(word), WAIT, 0, TIMEOUT, None, 0xFFFFFFFF)
threads = [threading.Thread(target=sleep) for _ in range(3)]
for thread in threads: thread.start()
time.sleep(0.2)
word.value = 1
libc.syscall(FUTEX, ctypes.byref(word), 1, 3, None)
for thread in threads:
    thread.join(20)
    assert not thread.is_alive()
""",
    "many threads that end": """
import threading
for _ in range(30):
    threads = [threading.Thread(target=sum, args=([1, 2],)) for _ in range(6)]
    for thread in threads: thread.start()
    for thread in threads: thread.join(20)
    assert not any(thread.is_alive() for thread in threads)
""",
}


@needs_both
@each_identity
def test_a_thread_that_is_woken_wakes(identity: str) -> None:
    """The C++ library sleeps on shared words, where a static variable or a future is not ready."""
    number = {"x86_64": 202, "aarch64": 98}[kernel.machine() or "x86_64"]
    sleeping, ending = SLEEPERS
    cases = {ending: SLEEPERS[ending]}
    # FUTEX_WAIT as the C++ library's static variables, and with a limit as its futures
    for wait, timeout in ((0, "None"), (9, "ctypes.byref((ctypes.c_long * 2)(1 << 40, 0))")):
        source = SLEEPERS[sleeping].replace("WAIT", str(wait)).replace("TIMEOUT", timeout)
        cases[f"{sleeping}, {wait}"] = source.replace("FUTEX", str(number))
    assert run(identity, cases=cases).results == dict.fromkeys(cases, "done")


HIDDEN = """
import os, sys
sys.path.insert(0, sys.argv[1])
from autograder.engine import sandbox
from autograder.engine.sandbox import kernel
def dumpable(): return kernel.prctl(3)
assert dumpable() == 1
with sandbox.hidden_memory():
    assert dumpable() == 0
    with sandbox.hidden_memory():
        assert dumpable() == 0
    assert dumpable() == 0
    assert os.listdir("/proc/self/fd") and open("/proc/self/maps").read()
    import subprocess
    assert subprocess.run(["true"]).returncode == 0
assert dumpable() == 1
sandbox.hide_memory()
with sandbox.hidden_memory():
    pass
assert dumpable() == 0
"""


@needs_both
@each_identity
def test_memory_is_hidden_for_a_while(identity: str) -> None:
    change: dict[str, Any] = {}
    if identity == "ordinary" and os.geteuid() == 0:
        change = {"user": NOBODY, "group": NOBODY, "extra_groups": []}
    done = subprocess.run(
        [interpreter(identity), "-I", "-B", "-c", HIDDEN, str(ROOT)],
        capture_output=True,
        text=True,
        check=False,
        **change,
    )
    assert done.returncode == 0, done.stderr

"""The filter's bytes, run by an interpreter of classic BPF written for this test alone."""

import errno
import functools
import re
import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autograder.engine.sandbox import confinement, kernel, landlock, seccomp
from autograder.engine.sandbox.syscalls import AARCH64, LAST_KNOWN, X86_64

MACHINES = {"x86_64": X86_64, "aarch64": AARCH64}
PID = 4711
WORD = 2**32

machines = st.sampled_from(sorted(MACHINES))
words = st.integers(0, WORD - 1)


@functools.cache
def instructions(code: bytes) -> tuple[tuple[int, int, int, int], ...]:
    """(operation, jump if true, jump if false, operand) of each."""
    return tuple(struct.iter_unpack("<HBBI", code))


def simulate(code: bytes, number: int, architecture: int, arguments: tuple[int, ...] = ()) -> int:
    """Verdict of the program `code` on one system call."""
    full = (*arguments, *(0,) * (6 - len(arguments)))
    data = struct.pack("<IIQ6Q", number, architecture, 0, *(value % 2**64 for value in full))
    listed = instructions(code)
    at = accumulator = 0
    for _ in range(len(listed)):
        operation, jump_true, jump_false, operand = listed[at]
        at += 1
        if operation == 0x20:
            (accumulator,) = struct.unpack_from("<I", data, operand)
        elif operation == 0x54:
            accumulator &= operand
        elif operation == 0x15:
            at += jump_true if accumulator == operand else jump_false
        elif operation == 0x35:
            at += jump_true if accumulator >= operand else jump_false
        elif operation == 0x05:
            at += operand
        elif operation == 0x06:
            return int(operand)
        else:
            raise AssertionError(f"operation {operation:#x} is not one that the assembler uses")
    raise AssertionError("the program does not end")


@functools.cache
def assembled(machine: str, may_truncate: bool = True) -> bytes:
    return seccomp.assemble(machine, may_truncate).for_process(PID)


def verdict(machine: str, name: str, *arguments: int, may_truncate: bool = True) -> int:
    code = assembled(machine, may_truncate)
    architecture = seccomp.AUDIT_ARCH[machine]
    return simulate(code, MACHINES[machine][name], architecture, arguments)


BY_ARGUMENT = """
    open openat mmap pipe2 clone socketpair sendto fcntl ioctl prctl prlimit64 sched_setaffinity
    kill tgkill madvise futex preadv2 pwritev2 clock_gettime clock_getres clock_nanosleep getpgid
    getsid getpriority sched_getaffinity sched_getparam sched_getscheduler
""".split()  # noqa: SIM905


@pytest.mark.parametrize("machine", MACHINES)
def test_every_call_without_arguments_gets_what_its_list_says(machine: str) -> None:
    code = assembled(machine)
    names = {number: name for name, number in MACHINES[machine].items()}
    for number in range(LAST_KNOWN + 100):
        name = names.get(number, "")
        if name in BY_ARGUMENT:
            continue
        expected = seccomp.ABSENT if number > LAST_KNOWN else seccomp.DENY
        for text, listed in (
            (seccomp.ALLOWED + " truncate", seccomp.ALLOW),
            (seccomp.IGNORED, seccomp.IGNORE),
            (seccomp.KILLED, seccomp.KILL),
            (seccomp.ABSENT_CALLS, seccomp.ABSENT),
            (seccomp.WITHOUT_ATTRIBUTES, seccomp.fail(errno.ENOTSUP)),
        ):
            if name in text.split():
                expected = listed
        assert simulate(code, number, seccomp.AUDIT_ARCH[machine]) == expected, (number, name)


@pytest.mark.parametrize("machine", MACHINES)
def test_the_kernel_takes_at_most_4096_instructions(machine: str) -> None:
    assert len(seccomp.assemble(machine).code) <= 8 * 4096


def test_what_must_never_be_allowed_is_in_no_list() -> None:
    never = """
        fork vfork execve execveat socket connect bind listen accept accept4 sendmmsg setns unshare
        ptrace sendmsg io_uring_setup io_uring_enter io_uring_register memfd_create memfd_secret
        shmget shmat msgget semget mq_open pidfd_open pidfd_send_signal tkill rt_sigqueueinfo
        rt_tgsigqueueinfo setrlimit setuid setgid setresuid setsid setpgid chroot mknod mknodat
        mlock mlockall perf_event_open process_madvise setpriority sched_setscheduler ioprio_set
        personality timer_create inotify_init1 fanotify_init bpf quotactl lookup_dcookie vmsplice
        name_to_handle_at cachestat mincore futex_wake futex_requeue signalfd timerfd_create
        inotify_add_watch fanotify_mark sched_setattr swapon settimeofday clock_settime adjtimex
        process_mrelease remap_file_pages shmdt semop msgsnd msgrcv mq_notify acct
        splice tee fallocate sync syncfs chown fchown fchownat lchown setsockopt
    """
    assert not set(never.split()) & set(seccomp.ALLOWED.split())
    assert not set(never.split()) & set(seccomp.rules()) - set(seccomp.KILLED.split())
    assert not set(BY_ARGUMENT) & set(seccomp.ALLOWED.split())


@given(machines, words, words)
def test_a_foreign_architecture_is_killed(machine: str, architecture: int, number: int) -> None:
    code = assembled(machine)
    if architecture != seccomp.AUDIT_ARCH[machine]:
        assert simulate(code, number, architecture) == seccomp.KILL


@given(st.integers(0x40000000, WORD - 1))
def test_x32_numbers_are_killed(number: int) -> None:
    code = assembled("x86_64")
    assert simulate(code, number, seccomp.AUDIT_ARCH["x86_64"]) == seccomp.KILL


THREAD = {"glibc": 0x3D0F00, "musl": 0x7D0F00}


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize("library", THREAD)
def test_clone_makes_threads(machine: str, library: str) -> None:
    assert verdict(machine, "clone", THREAD[library]) == seccomp.ALLOW


@given(machines, words)
def test_clone_makes_nothing_else(machine: str, flags: int) -> None:
    # VM, FS, FILES, SIGHAND, THREAD are all there, and nothing but thread bookkeeping besides.
    must = 0x100 | 0x200 | 0x400 | 0x800 | 0x10000
    may = must | 0x40000 | 0x80000 | 0x100000 | 0x200000 | 0x400000
    is_thread = flags & must == must and flags | may == may
    assert (verdict(machine, "clone", flags) == seccomp.ALLOW) == is_thread


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize(
    "flags",
    [
        17,
        0x4111,
        0x3D0F00 | 0x10000000,
        0x3D0F00 | 0x20000,
        0x3D0F00 & ~0x10000,  # a process that shares everything, without CLONE_THREAD
        0x7D0F00 & ~0x10000,
        0x00F00,
    ],
)
def test_clone_of_processes_and_namespaces_is_denied(machine: str, flags: int) -> None:
    assert verdict(machine, "clone", flags) == seccomp.DENY


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize(
    "name",
    ["ptrace", "process_vm_readv", "process_vm_writev", "pidfd_getfd", "bpf", "setns", "unshare"],
)
def test_reaching_into_other_processes_is_no_mistake(machine: str, name: str) -> None:
    """Killed, where EPERM would let a submission go on and try something else."""
    assert verdict(machine, name) == seccomp.KILL


@given(machines, st.sampled_from(["kill", "tgkill"]), st.one_of(st.just(PID), words), words)
def test_signals_go_to_oneself_only(machine: str, name: str, pid: int, second: int) -> None:
    assert (verdict(machine, name, pid, second) == seccomp.ALLOW) == (pid == PID)


@given(machines, words, words)
def test_files_are_not_emptied_by_reading(machine: str, flags: int, mode: int) -> None:
    writes = flags & 3 in (1, 2)
    expected = seccomp.ALLOW if writes or not flags & 0o1000 else seccomp.DENY
    assert verdict(machine, "openat", 3, 0, flags, mode) == expected


@given(machines, words, words)
def test_only_unix_stream_pairs(machine: str, domain: int, kind: int) -> None:
    expected = seccomp.ALLOW if domain == 1 and kind & 15 == 1 else seccomp.DENY
    assert verdict(machine, "socketpair", domain, kind) == expected


def test_usual_socket_pairs_pass() -> None:
    for kind in (1, 1 | 0o2000000, 1 | 0o2004000):
        assert verdict("x86_64", "socketpair", 1, kind) == seccomp.ALLOW


@given(machines, st.one_of(st.just(0), st.integers(1, 2**64 - 1)))
def test_nothing_is_sent_to_an_address(machine: str, pointer: int) -> None:
    expected = seccomp.DENY if pointer else seccomp.ALLOW
    assert verdict(machine, "sendto", 3, 1, 2, 0, pointer) == expected


@given(machines, words)
def test_memory_is_not_shared_without_a_file(machine: str, flags: int) -> None:
    hoards = flags & 0x01 and flags & 0x20
    assert verdict(machine, "mmap", 0, 1, 3, flags) == (seccomp.DENY if hoards else seccomp.ALLOW)


ONE_OF = {
    "prctl": (0, [3, 15, 16, 21, 23, 39, 51, 64, 0x53564D41], seccomp.DENY),
    "prlimit64": (0, [0], seccomp.DENY),
    "sched_setaffinity": (0, [0], seccomp.IGNORE),
    "ioctl": (
        1,
        [0x5401, 0x802C542A, 0x5413, 0x541B, 0x5421, 0x5450, 0x5451],
        seccomp.fail(errno.ENOTTY),
    ),
}


@given(machines, st.sampled_from(sorted(ONE_OF)), st.data())
def test_lists_of_commands(machine: str, name: str, data: st.DataObject) -> None:
    argument, values, otherwise = ONE_OF[name]
    value = data.draw(st.one_of(st.sampled_from(values), st.integers(0, 2**12), words))
    arguments = (9,) * argument + (value,)
    expected = seccomp.ALLOW if value in values else otherwise
    assert verdict(machine, name, *arguments) == expected


FCNTL = {0, 1, 2, 3, 4, 1030, 1032}  # DUPFD, flags, DUPFD_CLOEXEC, GETPIPE_SZ
FCNTL_LOCKS = {6, 7, 37, 38}


@pytest.mark.parametrize("machine", MACHINES)
def test_no_command_marks_or_observes_a_file(machine: str) -> None:
    """Each number that a kernel could know; locks are granted without being there."""
    for command in range(2100):
        expected = seccomp.DENY
        if command in FCNTL:
            expected = seccomp.ALLOW
        elif command in FCNTL_LOCKS:
            expected = seccomp.IGNORE
        assert verdict(machine, "fcntl", 3, command) == expected, command


# normal, random, sequential, dontneed, free, (no)fork, (no)hugepage, (no)dump, guards
ADVICE = {0, 1, 2, 4, 8, 10, 11, 14, 15, 16, 17, 102, 103}


@pytest.mark.parametrize("machine", MACHINES)
def test_advice_reaches_no_page_cache(machine: str) -> None:
    for advice in range(300):
        expected = seccomp.fail(errno.EINVAL)
        if advice in ADVICE:
            expected = seccomp.ALLOW
        elif advice == 3:  # WILLNEED
            expected = seccomp.IGNORE
        assert verdict(machine, "madvise", 0, 4096, advice) == expected, advice


@given(machines, st.sampled_from(["preadv2", "pwritev2"]), words)
def test_reading_with_a_flag_is_not_supported(machine: str, name: str, flags: int) -> None:
    expected = seccomp.fail(errno.EOPNOTSUPP) if flags else seccomp.ALLOW
    assert verdict(machine, name, 3, 0, 1, 0, 0, flags) == expected


@given(machines, st.sampled_from([0, 1, 1 << 32, 0x7F0000001000]))
def test_nobody_is_woken_through_a_shared_word(machine: str, timeout: int) -> None:
    """Private operations are a process's own. On shared words only the end of a thread is awaited;
    other waits and every wake return at once with success, so that no sleeper misses its wake."""
    for operation in range(0x200):
        command = operation & 0x7F
        if operation & 0x80 or (command == 9 and not timeout):
            expected = seccomp.ALLOW
        else:
            expected = seccomp.IGNORE if command in (0, 1, 9) else seccomp.DENY
        assert verdict(machine, "futex", 0, operation, 0, timeout) == expected, operation


@given(machines, st.sampled_from(["clock_gettime", "clock_getres", "clock_nanosleep"]), words)
def test_clocks_of_other_processes_cannot_be_read(machine: str, name: str, clock: int) -> None:
    own = clock < 12 or clock in ((~0 << 3 | 2) % WORD, (~0 << 3 | 6) % WORD)
    expected = seccomp.ALLOW if own else seccomp.fail(errno.EINVAL)
    assert verdict(machine, name, clock) == expected


@pytest.mark.parametrize("machine", MACHINES)
def test_own_clocks_pass(machine: str) -> None:
    for clock in (*range(12), (~0 << 3 | 2) % WORD, (~0 << 3 | 6) % WORD):
        assert verdict(machine, "clock_gettime", clock) == seccomp.ALLOW


@given(machines, st.sampled_from(["getpgid", "getsid"]), st.sampled_from([0, PID]) | words)
def test_others_are_not_looked_up(machine: str, name: str, pid: int) -> None:
    expected = seccomp.ALLOW if pid in (0, PID) else seccomp.DENY
    assert verdict(machine, name, pid) == expected
    assert verdict(machine, "getpriority", 0, pid) == expected
    expected = seccomp.ALLOW if pid in (0, PID) else seccomp.ABSENT
    for schedule in ("sched_getaffinity", "sched_getparam", "sched_getscheduler"):
        assert verdict(machine, schedule, pid) == expected


@given(machines, words)
def test_pipes_carry_no_notifications(machine: str, flags: int) -> None:
    plain = flags & ~(0o2000000 | 0o4000) == 0
    assert (verdict(machine, "pipe2", 0, flags) == seccomp.ALLOW) == plain


def test_truncate_needs_landlock_to_judge() -> None:
    assert verdict("x86_64", "truncate") == seccomp.ALLOW
    assert verdict("x86_64", "truncate", may_truncate=False) == seccomp.DENY


@pytest.mark.parametrize(("abi", "decides"), [(1, False), (2, False), (3, True), (4, True)])
def test_truncate_is_a_right_of_landlock_from_abi_3(
    monkeypatch: pytest.MonkeyPatch, abi: int, decides: bool
) -> None:
    """The filter lets `truncate` pass exactly where Landlock decides on it."""
    monkeypatch.setattr(kernel, "machine", lambda: "x86_64")
    assert bool(landlock.handled(abi).files & landlock.TRUNCATE) == decides
    code = confinement._assemble(abi).for_process(PID)
    expected = seccomp.ALLOW if decides else seccomp.DENY
    number = X86_64["truncate"]
    assert simulate(code, number, seccomp.AUDIT_ARCH["x86_64"]) == expected


def test_the_process_id_is_the_only_difference() -> None:
    program = seccomp.assemble("x86_64")
    first, second = program.for_process(1), program.for_process(2)
    differing = {at for at in range(len(first)) if first[at] != second[at]}
    assert differing == set(program.pid_offsets)
    assert len(program.pid_offsets) == 8


HEADERS = {
    "x86_64": ("x86_64-linux-gnu/asm/unistd_64.h", "asm/unistd_64.h"),
    "aarch64": ("asm-generic/unistd.h",),
}


@pytest.mark.parametrize("machine", MACHINES)
def test_numbers_against_the_kernel_headers(machine: str) -> None:
    found = [path for name in HEADERS[machine] if (path := Path("/usr/include", name)).exists()]
    if not found:
        pytest.skip("the kernel headers are not installed")
    text = found[0].read_text(encoding="utf-8")
    pairs = re.findall(r"^#define __NR(?:3264)?_(\w+)\s+(\d+)$", text, flags=re.MULTILINE)
    official = {name: int(number) for name, number in pairs}
    if machine == "aarch64":  # the header names both widths of these
        official |= {"newfstatat": official["fstatat"]}
    for name, number in MACHINES[machine].items():
        assert official.get(name, number) == number, name
    assert len(set(MACHINES[machine]) & set(official)) > 0.95 * len(MACHINES[machine])


@pytest.mark.parametrize("machine", MACHINES)
def test_every_name_of_the_policy_is_known_to_a_machine(machine: str) -> None:
    assert set(seccomp.rules()) <= set(X86_64) | set(AARCH64)
    assert len(set(MACHINES[machine].values())) == len(MACHINES[machine])


def test_unknown_machines_have_no_filter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernel, "machine", lambda: None)
    assert "x86-64 or aarch64" in seccomp.available()


def test_a_kernel_that_refuses_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(name: str, *_: int) -> int:
        raise OSError(errno.ENOSYS, f"{name}: Function not implemented")

    monkeypatch.setattr(kernel, "machine", lambda: "x86_64")
    monkeypatch.setattr(kernel, "call", refuse)
    assert "not implemented" in seccomp.available()

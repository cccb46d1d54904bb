"""A seccomp filter: which system calls a worker may make, as an allow-list.

The program is assembled once (see `bpf`); the only thing that a fork adds is its own process id,
patched into the finished bytes.

What a call that is not allowed gets, and why:

* **EPERM** for what student code may try in good faith (a subprocess, a download): it becomes a
  `PermissionError` that can be read and handled.
* **ENOSYS** for numbers that did not exist when this table was made, and for `clone3` and
  `openat2`, whose flags lie in memory that a filter cannot read: libraries then fall back to the
  older call.
* **kill** for what no library calls by accident: reaching into other processes, mounts, kernel
  modules, keyrings, and any other machine's calling convention. The signal SIGSYS tells the judge.
* **success without effect** for modes and times of files: Landlock does not cover them, so they
  would reach outside the scratch folder, yet `shutil.copy` in good faith should not fail. The same
  holds for pinning a thread to a core, a hint, where the filter cannot know whose thread it is.

Two workers of one submission must not talk, so nothing that both could open may keep a mark or show
one. Locks on files succeed without effect (only one process can open what is in the scratch folder,
and a filter cannot know which file a descriptor means), and so does advice on the page cache; to
ask for locks, for what is cached, for clocks of other processes or for free space is refused.
docs/security.md lists every channel.
"""

from __future__ import annotations

import errno
import struct
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from autograder.engine.sandbox import bpf, kernel
from autograder.engine.sandbox.syscalls import LAST_KNOWN

ALLOW = bpf.ALLOW
KILL = 0x80000000
_FAIL = 0x00050000


def fail(number: int) -> int:
    """Verdict that makes the call return the error `number`; 0 is success without effect."""
    return _FAIL | number


IGNORE = fail(0)
DENY = fail(errno.EPERM)
ABSENT = fail(errno.ENOSYS)

AUDIT_ARCH = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
X32_BIT = 0x40000000

ALLOWED = """
    read write readv writev pread64 pwrite64 preadv pwritev lseek close close_range
    dup dup2 dup3 poll ppoll select pselect6 epoll_create epoll_create1 epoll_ctl epoll_wait
    epoll_pwait epoll_pwait2 eventfd eventfd2 pipe copy_file_range sendfile
    recvfrom recvmsg shutdown getsockname getpeername getsockopt
    creat stat fstat lstat newfstatat statx access faccessat faccessat2 readlink readlinkat
    getdents getdents64 getcwd chdir fchdir mkdir mkdirat rmdir unlink unlinkat rename renameat
    renameat2 link linkat symlink symlinkat ftruncate fsync fdatasync umask
    munmap mprotect mremap brk msync membarrier get_mempolicy
    futex_waitv set_robust_list rseq set_tid_address gettid exit exit_group arch_prctl
    sched_yield sched_get_priority_max sched_get_priority_min getcpu
    nanosleep gettimeofday time times getitimer
    setitimer alarm pause
    rt_sigaction rt_sigprocmask rt_sigreturn rt_sigsuspend rt_sigpending rt_sigtimedwait
    sigaltstack restart_syscall
    getpid getppid getpgrp getuid geteuid getgid getegid getresuid getresgid
    getgroups getrusage getrlimit sysinfo uname getrandom capget wait4 waitid
"""

IGNORED = """
    chmod fchmod fchmodat fchmodat2 utime utimes futimesat utimensat flock fadvise64 readahead
"""

WITHOUT_ATTRIBUTES = """
    getxattr lgetxattr fgetxattr listxattr llistxattr flistxattr setxattr lsetxattr fsetxattr
    removexattr lremovexattr fremovexattr
"""

KILLED = """
    ptrace process_vm_readv process_vm_writev pidfd_getfd kcmp bpf userfaultfd
    add_key request_key keyctl unshare setns mount umount2 pivot_root move_mount fsopen fsconfig
    fsmount fspick open_tree mount_setattr open_by_handle_at init_module finit_module
    delete_module kexec_load kexec_file_load
"""

ABSENT_CALLS = "clone3 openat2 statfs fstatfs"

# clone: exactly a thread, whatever the C library adds (glibc 0x3d0f00, musl 0x7d0f00).
_THREAD_FLAGS = 0x10F00  # CLONE_VM | FS | FILES | SIGHAND | THREAD
_THREAD_OPTIONS = 0x7D0F00  # + SYSVSEM | SETTLS | PARENT_SETTID | CHILD_CLEARTID | DETACHED
_O_ACCMODE, _O_TRUNC = 0o3, 0o1000
_MAP_SHARED_ANONYMOUS = 0x21
_AF_UNIX, _SOCK_STREAM, _SOCK_TYPE = 1, 1, 0xF
_PIPE_FLAGS = 0o2004000  # O_CLOEXEC | O_NONBLOCK
_FCNTL = [0, 1, 2, 3, 4, 1030, 1032]  # no owners, leases, notices, seals, hints, pipe sizes
_LOCKS = [6, 7, 37, 38]  # F_SETLK and F_SETLKW, of the process and of an open file
_HINTS = [3]  # MADV_WILLNEED
# Advice on this process's own pages: nothing that reads in, writes out, merges or poisons.
_ADVICE = [0, 1, 2, 4, 8, 10, 11, 14, 15, 16, 17, 102, 103]
_FUTEX_OPERATION, _FUTEX_PRIVATE = 0x7F, 0x80
_FUTEX_WAIT, _FUTEX_WAKE, _FUTEX_WAIT_BITSET = 0, 1, 9
# The machine's clocks and those of this process and thread; other numbers name other processes.
_CLOCKS = [*range(12), 0xFFFFFFFA, 0xFFFFFFFE]
_IOCTL = [0x5401, 0x802C542A, 0x5413, 0x541B, 0x5421, 0x5450, 0x5451]  # TCGETS(2) .. FIOCLEX
_PRCTL = [3, 15, 16, 21, 23, 39, 51, 64, 0x53564D41]  # names, reads, vector lengths


def _one_of(argument: int, values: Sequence[int], otherwise: int = DENY) -> bpf.Block:
    """Allow if the low half of `argument` is one of `values` (for `int` arguments)."""
    tests = tuple(bpf.equal(value, len(values) - index, 0) for index, value in enumerate(values))
    return (bpf.low(argument), *tests, *bpf.verdict(otherwise), *bpf.verdict(ALLOW))


def _commands(
    argument: int, allowed: Sequence[int], ignored: Sequence[int], otherwise: int
) -> bpf.Block:
    """Allow `allowed`, let `ignored` succeed without effect (for `int` arguments)."""
    tests = tuple(bpf.equal(value, len(ignored) - i, 0) for i, value in enumerate(ignored))
    ignore = (bpf.low(argument), *tests, bpf.skip(1), *bpf.verdict(IGNORE))
    return (*ignore, *_one_of(argument, allowed, otherwise))


def _masked(argument: int, mask: int, value: int, then: int, otherwise: int) -> bpf.Block:
    """`then` if `argument & mask == value`, judged on the low half."""
    test = (bpf.low(argument), bpf.keep_bits(mask), bpf.equal(value, 0, 1))
    return (*test, *bpf.verdict(then), *bpf.verdict(otherwise))


def _own_pid(argument: int) -> bpf.Block:
    test = (bpf.low(argument), bpf.equal(0, 0, 1, is_pid=True))
    return (*test, *bpf.verdict(ALLOW), *bpf.verdict(DENY))


def _own_or_none(argument: int, otherwise: int = DENY) -> bpf.Block:
    """Allow the process's own id and 0, which means the same."""
    test = (bpf.low(argument), bpf.equal(0, 1, 0), bpf.equal(0, 0, 1, is_pid=True))
    return (*test, *bpf.verdict(ALLOW), *bpf.verdict(otherwise))


def _futex() -> bpf.Block:
    """Anything on private words; nobody is woken through a shared one, which may lie in a file.

    The C++ library guards its static variables and its futures with shared words although one
    process uses them. Were its waits kept and its wakes refused, threads would sleep for ever; so
    both return at once with 0, which its loops take for a spurious wake (futex(2)) and look again.
    Only a wait without an end is kept: that is how the C library awaits the end of a thread, where
    the kernel itself wakes.
    """
    return (
        bpf.low(1),
        bpf.keep_bits(_FUTEX_PRIVATE),
        bpf.equal(_FUTEX_PRIVATE, 0, 1),
        *bpf.verdict(ALLOW),
        bpf.low(1),
        bpf.keep_bits(_FUTEX_OPERATION),
        bpf.equal(_FUTEX_WAIT, 3, 0),
        bpf.equal(_FUTEX_WAKE, 2, 0),
        bpf.equal(_FUTEX_WAIT_BITSET, 2, 0),
        *bpf.verdict(DENY),
        *bpf.verdict(IGNORE),
        bpf.low(3),
        bpf.equal(0, 0, 3),
        bpf.high(3),
        bpf.equal(0, 0, 1),
        *bpf.verdict(ALLOW),
        *bpf.verdict(IGNORE),
    )


def _null_pointer(argument: int) -> bpf.Block:
    tests = (bpf.low(argument), bpf.equal(0, 0, 3), bpf.high(argument), bpf.equal(0, 0, 1))
    return (*tests, *bpf.verdict(ALLOW), *bpf.verdict(DENY))


def _open(flags: int) -> bpf.Block:
    """Refuse to empty a file that is opened for reading (0), or for control calls only (3)."""
    return (
        bpf.low(flags),
        bpf.keep_bits(_O_ACCMODE | _O_TRUNC),
        bpf.equal(_O_TRUNC, 2, 0),
        bpf.equal(_O_ACCMODE | _O_TRUNC, 1, 0),
        *bpf.verdict(ALLOW),
        *bpf.verdict(DENY),
    )


def _thread() -> bpf.Block:
    return (
        bpf.low(0),
        bpf.keep_bits(~_THREAD_OPTIONS),
        bpf.equal(0, 0, 4),
        bpf.low(0),
        bpf.keep_bits(_THREAD_FLAGS),
        bpf.equal(_THREAD_FLAGS, 0, 1),
        *bpf.verdict(ALLOW),
        *bpf.verdict(DENY),
    )


def _stream_pair() -> bpf.Block:
    """`socketpair` of Unix stream sockets: connected for good, so they reach nobody else.

    A datagram pair could be re-addressed to a service of the machine.
    """
    return (
        bpf.low(0),
        bpf.equal(_AF_UNIX, 0, 4),
        bpf.low(1),
        bpf.keep_bits(_SOCK_TYPE),
        bpf.equal(_SOCK_STREAM, 0, 1),
        *bpf.verdict(ALLOW),
        *bpf.verdict(DENY),
    )


def rules(may_truncate: bool = True) -> dict[str, bpf.Block]:
    """What each named call gets; a call that is not named gets EPERM.

    `may_truncate` says that Landlock (ABI 3) decides on `truncate`; without, the call is denied.
    Before ABI 3 a file opened only for reading could be emptied too, so that is always denied.
    """
    verdicts = {
        ALLOW: ALLOWED + (" truncate" if may_truncate else ""),
        IGNORE: IGNORED,
        KILL: KILLED,
        ABSENT: ABSENT_CALLS,
        fail(errno.ENOTSUP): WITHOUT_ATTRIBUTES,
    }
    plain = {
        name: bpf.verdict(verdict) for verdict, names in verdicts.items() for name in names.split()
    }
    return plain | {
        "open": _open(1),
        "openat": _open(2),
        # Shared anonymous pages can be kept out of the resident set that the judge watches.
        "mmap": _masked(3, _MAP_SHARED_ANONYMOUS, _MAP_SHARED_ANONYMOUS, DENY, ALLOW),
        "pipe2": _masked(1, ~_PIPE_FLAGS, 0, ALLOW, DENY),
        "clone": _thread(),
        "socketpair": _stream_pair(),
        "sendto": _null_pointer(4),
        "fcntl": _commands(1, _FCNTL, _LOCKS, DENY),
        "madvise": _commands(2, _ADVICE, _HINTS, fail(errno.EINVAL)),
        "futex": _futex(),
        # A flag such as RWF_NOWAIT tells what is in the page cache.
        "preadv2": _masked(5, 0xFFFFFFFF, 0, ALLOW, fail(errno.EOPNOTSUPP)),
        "pwritev2": _masked(5, 0xFFFFFFFF, 0, ALLOW, fail(errno.EOPNOTSUPP)),
        "clock_gettime": _one_of(0, _CLOCKS, fail(errno.EINVAL)),
        "clock_getres": _one_of(0, _CLOCKS, fail(errno.EINVAL)),
        "clock_nanosleep": _one_of(0, _CLOCKS, fail(errno.EINVAL)),
        "getpgid": _own_or_none(0),
        "getsid": _own_or_none(0),
        "getpriority": _own_or_none(1),
        # The C library asks these of each thread, and does without where they are not there.
        "sched_getaffinity": _own_or_none(0, ABSENT),
        "sched_getparam": _own_or_none(0, ABSENT),
        "sched_getscheduler": _own_or_none(0, ABSENT),
        "ioctl": _one_of(1, _IOCTL, fail(errno.ENOTTY)),
        "prctl": _one_of(0, _PRCTL),
        "prlimit64": _one_of(0, [0]),
        "sched_setaffinity": _one_of(0, [0], IGNORE),
        "kill": _own_pid(0),
        "tgkill": _own_pid(0),
    }


@dataclass(frozen=True)
class Program:
    """Assembled filter; `pid_offsets` are the byte positions that take the process id."""

    code: bytes
    pid_offsets: tuple[int, ...]

    def for_process(self, pid: int) -> bytes:
        """The filter of the process `pid`."""
        code = bytearray(self.code)
        for offset in self.pid_offsets:
            struct.pack_into("=I", code, offset, pid)
        return bytes(code)


def _ranges(blocks: Mapping[int, bpf.Block]) -> list[tuple[int, bpf.Block]]:
    """(first number, block) of every run of equal blocks, from number 0 to beyond the last."""
    runs: list[tuple[int, bpf.Block]] = []
    for number in range(LAST_KNOWN + 1):
        block = blocks.get(number, bpf.verdict(DENY))
        if not runs or runs[-1][1] != block:
            runs.append((number, block))
    return [*runs, (LAST_KNOWN + 1, bpf.verdict(ABSENT))]


def _tree(runs: Sequence[tuple[int, bpf.Block]]) -> bpf.Block:
    """Binary search over the call number, which is in the accumulator."""
    if len(runs) == 1:
        return runs[0][1]
    middle = len(runs) // 2
    below, above = _tree(runs[:middle]), _tree(runs[middle:])
    # A conditional jump reaches 255 instructions, an unconditional one any distance.
    return (bpf.at_least(runs[middle][0], 0, 1), bpf.skip(len(below)), *below, *above)


def _pack(instructions: Iterable[bpf.Instruction]) -> Program:
    listed = list(instructions)
    offsets = (bpf.BYTES * i + 4 for i, one in enumerate(listed) if one.is_pid)
    return Program(bpf.pack(listed), tuple(offsets))


def assemble(machine: str, may_truncate: bool = True) -> Program:
    """Filter for `machine` ("x86_64" or "aarch64")."""
    numbers = kernel.numbers(machine)
    named = rules(may_truncate)
    blocks = {numbers[name]: block for name, block in named.items() if name in numbers}
    other_numbering = (
        (bpf.at_least(X32_BIT, 0, 1), *bpf.verdict(KILL)) if machine == "x86_64" else ()
    )
    return _pack(
        (
            bpf.load(bpf.MACHINE),
            bpf.equal(AUDIT_ARCH[machine], 1, 0),
            *bpf.verdict(KILL),
            bpf.load(bpf.NUMBER),
            *other_numbering,
            *_tree(_ranges(blocks)),
        )
    )


def available() -> str:
    """Empty if the kernel takes filters, else the reason why not."""
    if kernel.machine() is None:
        return "no filter for this machine; Linux on x86-64 or aarch64 has one"
    try:
        # SECCOMP_GET_ACTION_AVAIL
        kernel.call("seccomp", 2, 0, struct.pack("=I", KILL))
    except OSError as error:
        return f"the kernel takes no filter ({error.strerror})"
    return ""


def install(program: Program, pid: int) -> None:
    """Put the filter on this process, which has one thread and no_new_privs; raises OSError."""
    bpf.install(program.for_process(pid))

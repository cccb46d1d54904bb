"""What a grader sees as the student: a module whose functions run in a worker.

    student.magnitude_mask(weight, sparsity=0.5)      a call; the value comes back
    model = student.put(network)                      a live object over there, passed on as `model`
    student.fit(model, train, val, 3); student.state(model)

Whatever goes wrong over there is raised here as a StudentFailure.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

from torch import Tensor, nn
from torch.utils.data import DataLoader, RandomSampler, TensorDataset

from autograder.engine.channel.frames import Frame, FrameError, FrameLimits
from autograder.engine.channel.values import (
    FUNCTION_NAMES,
    Decoder,
    Encoder,
    Node,
)
from autograder.engine.judge.clock import Clock
from autograder.engine.judge.diagnosis import Transcript
from autograder.engine.judge.processes import Cause, Deadline, WorkerFailure, WorkerProcess
from autograder.engine.judge.rules import rule_of
from autograder.graders.toolkit.failures import (
    Died,
    LeftChanged,
    OutOfMemory,
    Refused,
    StudentError,
    StudentFailure,
    TimedOut,
)
from autograder.graders.toolkit.objects import CallbackError, Handle, Optimizer, Ref
from autograder.records import Outcome

MAX_CALLBACKS = 100_000  # in one call
MAX_RECEIVED = 512 << 20  # bytes of all frames of one call
MAX_TEXT = 2000


_FAILURES: dict[Cause, tuple[type[StudentFailure], str]] = {
    Cause.TIMED_OUT: (TimedOut, "your code did not finish within {}"),
    Cause.CPU_TIME: (TimedOut, "your code used up its processor time, {} s"),
    Cause.MEMORY: (OutOfMemory, "your code needed more than {} MB of memory"),
    Cause.SCRATCH: (Refused, "your code wrote more than {} MB of files"),
    Cause.LOOKUPS: (
        Refused,
        "your code looked up more than {} names of files: decode from the message alone",
    ),
    Cause.SYSTEM_CALL: (Refused, "your code used a system call that is not allowed"),
    Cause.PROTOCOL: (Refused, "your code broke the grader's channel: {}"),
    Cause.EXITED: (Died, "your code ended the process that ran it"),
    Cause.CRASHED: (Died, "the process that ran your code crashed ({})"),
}


@contextmanager
def as_student_failures(clock: Clock) -> Iterator[None]:
    """Say what happened to a worker in the words that a student reads; `clock` names the limit."""
    try:
        yield
    except WorkerFailure as failure:
        kind, text = _FAILURES[failure.cause]
        timed_out = failure.cause is Cause.TIMED_OUT
        raise kind(text.format(clock.limit if timed_out else failure.detail)) from None


class WorkerSource(Protocol):
    """Where the workers of one exercise come from."""

    def main_worker(self) -> WorkerProcess:
        """The worker that the exercise's tests share."""

    def new_worker(self) -> WorkerProcess:
        """A fresh worker with the student's code."""

    def decoding_worker(self) -> WorkerProcess:
        """A fresh worker with the student's code that can learn little but what it is given."""

    def clean_worker(self) -> WorkerProcess:
        """A fresh worker without the student's code."""

    def retire(self) -> None:
        """Kill every worker of the exercise."""


class Student:
    """The student's module in one worker; created anew for every test, the worker is not."""

    def __init__(
        self,
        workers: WorkerSource,
        clock: Clock,
        transcript: Transcript,
        start: Callable[[], WorkerProcess] | None = None,
    ) -> None:
        self._transcript = transcript
        self._workers = workers
        self._start = start if start is not None else workers.main_worker
        self._clock = clock
        self._given = len(transcript.results)  # by others, before
        self._worker: WorkerProcess | None = None
        self._refs = 0
        self._advanced = False  # the global generators
        self._callbacks: dict[int, Callable[..., Any]] = {}  # what the worker may call now

    def __getattr__(self, name: str) -> Callable[..., Any]:
        if name.startswith("_"):
            raise AttributeError(name)

        def call(*args: Any, **kwargs: Any) -> Any:
            self._transcript.calls(name, args, kwargs)
            return self._request({"op": "call", "name": name}, args, kwargs)

        call.__name__ = name
        return call

    # ---- objects -----------------------------------------------------------------------------

    def put(self, value: object) -> Ref:
        """Make a live copy of `value` in the worker; the same Ref is the same object."""
        self._refs += 1
        ref = Ref(f"r{self._refs}-{id(self):x}")
        self._request({"op": "put", "ref": ref.name}, value=value)
        return ref

    def fetch(self, ref: Ref) -> Any:
        """Read the present value of what was put."""
        return self._request({"op": "fetch", "ref": ref.name})

    def state(self, ref: Ref) -> dict[str, Tensor]:
        """The present `state_dict` of a module that was put."""
        state = self._request({"op": "state", "ref": ref.name})
        if not isinstance(state, dict):
            raise Refused("your code broke the grader's channel: a state is not a dict")
        return state

    def modes(self, ref: Ref) -> dict[str, bool]:
        """Name of each submodule -> whether it is in training mode."""
        modes: dict[str, bool] = self._request({"op": "modes", "ref": ref.name})
        return modes

    def hook_count(self, ref: Ref) -> int:
        """Number of hooks in the module tree, global forward hooks included."""
        count: int = self._request({"op": "hooks", "ref": ref.name})
        return count

    def rng_fingerprint(self) -> str:
        """A digest of the global generators of torch, NumPy and random.

        The first one of a check draws from them before, see `worker.global_state`.
        """
        digest: str = self._request({"op": "generators", "advance": not self._advanced})
        self._advanced = True
        return digest

    def get(self, handle: Handle, name: str) -> Any:
        """Read a public attribute."""
        return self._request({"op": "get", "handle": handle.name, "name": _public(name)})

    def call(self, handle: Handle | Ref, *args: Any, **kwargs: Any) -> Any:
        """Call a callable object, for example a returned model."""
        return self._request({"op": "call", "handle": handle.name}, args, kwargs)

    def invoke(self, handle: Handle | Ref, method: str, *args: Any, **kwargs: Any) -> Any:
        """Call a public method."""
        header = {"op": "call", "handle": handle.name, "name": _public(method)}
        return self._request(header, args, kwargs)

    def vjp(
        self, name: str, args: Sequence[Any], cotangent: Tensor, wrt: Sequence[int] = (0,)
    ) -> tuple[Any, tuple[Tensor, ...]]:
        """Call a function and backpropagate `cotangent`: (output, gradients of args[wrt])."""
        header = {"op": "vjp", "name": name, "wrt": list(wrt)}
        result = self._request(header, tuple(args), {}, cotangent=cotangent)
        if not (isinstance(result, tuple) and len(result) == 2):
            raise Refused("your code broke the grader's channel: no gradients came back")
        return result[0], result[1]

    def backward(self, model: Ref | str, args: Sequence[Any], cotangent: Tensor) -> None:
        """Run a module that was put, or the function of this name, and backpropagate `cotangent`.

        Gradients are added to the `.grad` of all parameters that took part.
        """
        target = {"name": model} if isinstance(model, str) else {"handle": model.name}
        header = {"op": "backward", **target}
        self._request(header, tuple(args), {}, cotangent=cotangent)

    def fresh(self) -> Student:
        """The same code in a new worker, which knows nothing of what happened in this one."""
        return Student(self._workers, self._clock, self._transcript, self._workers.new_worker)

    def successor(self) -> Student:
        """The same code in a new worker, the only one: all others of the exercise are dead now.

        What it knows of them is what it is given. This `student` would start anew if it were used
        again.
        """
        self._workers.retire()
        start = self._workers.decoding_worker
        return Student(self._workers, self._clock, self._transcript, start)

    def finish(self) -> int:
        """Kill this student's worker; the bytes that it read from the disk, 0 if none is known."""
        return self._worker.close().read_bytes if self._worker is not None else 0

    def forget(self) -> None:
        """What was given since this student was made explains nothing: another one is asked.

        Whether there is another one depends on what the disk had read before, so the attempt of a
        known mistake would not have the same calls.
        """
        self._transcript.forget(self._given)

    def clean(self) -> Student:
        """A worker without the student's code: where a network that came back is run.

        Never run one in the judge: it may take any time and memory.
        """
        return Student(self._workers, self._clock, self._transcript, self._workers.clean_worker)

    def file(self, name: str, *args: Any, **kwargs: Any) -> Any:
        """Call a function that returns a file as bytes.

        What a mistake is known by is what is measured of the file, not how it is written: two
        exporters give one network different names.
        """
        value = getattr(self, name)(*args, **kwargs)
        if isinstance(value, bytes):
            self._transcript.is_file()
        return value

    def run(self, function: str, *args: Any) -> Any:
        """Run `module:function` of a library, or of the kit if it was imported before the fork.

        In a `clean` worker its value is trusted as far as `engine.confined` says.
        """
        return self._request({"op": "run", "function": function}, positional=list(args))

    # ---- requests ----------------------------------------------------------------------------

    def _request(
        self,
        header: dict[str, Any],
        args: tuple[Any, ...] | None = None,
        kwargs: dict[str, Any] | None = None,
        positional: list[Any] | None = None,
        **values: Any,
    ) -> Any:
        self._transcript.go_on()
        self._clock.requests += 1
        if self._worker is None or self._worker.ended is not None:
            started = time.monotonic()
            self._worker = self._start()
            self._clock.extend(time.monotonic() - started)
        worker = self._worker
        encoder = JudgeEncoder(self._callbacks)
        before = set(self._callbacks)
        if args is not None:
            header["args"] = encoder.encode([list(args), dict(kwargs or {})])
        if positional is not None:
            header["args"] = encoder.encode(positional)
        for name, value in values.items():
            header[name] = encoder.encode(value)
        number = secrets.randbits(48)
        with as_student_failures(self._clock):
            deadline = self._clock.deadline(worker)
        started = time.monotonic()
        try:
            with as_student_failures(self._clock):
                worker.send({**header, "id": number}, encoder.buffers, deadline)
                return self._answer(worker, number, deadline)
        except StudentFailure as failure:
            self._transcript.fail(failure)
            if not isinstance(failure, StudentError):
                worker.close()  # nothing that it says from now on can be trusted to fit
            raise
        finally:
            self._clock.waited += time.monotonic() - started
            if args is not None:  # what a call was given, it may use until it ends
                self._callbacks = {n: f for n, f in self._callbacks.items() if n in before}

    def _answer(self, worker: WorkerProcess, number: int, deadline: Deadline) -> Any:
        received = 0
        for _ in range(MAX_CALLBACKS):
            frame = worker.receive(deadline)
            received += frame.size
            if received > MAX_RECEIVED:  # a grader may keep what its callbacks are given
                raise Refused("your code sent the grader's functions too much")
            header = frame.header
            try:
                if header.get("id") != number:
                    raise FrameError("a reply with an unknown request id")
                if header.get("op") == "value":
                    value = _decoder(frame).decode(header.get("value"))
                    self._transcript.add(value, frame.size)
                    return value
                if header.get("op") == "error":
                    raise student_error(header)
                if header.get("op") != "callback":
                    raise FrameError("an unknown message")
                arguments = _decoder(frame).decode(header.get("args"))
                self._transcript.add(arguments, frame.size)
                reply, buffers = _run_callback(header, arguments, self._callbacks)
            except FrameError as error:
                raise Refused(f"your code broke the grader's channel: {error}") from None
            worker.send({**reply, "id": number}, buffers, deadline)
        raise Refused("your code called the grader's function too often")


class JudgeEncoder(Encoder):
    """Sends references, callbacks and the other forms that only the judge may send."""

    trusted = True

    def __init__(self, callbacks: dict[int, Callable[..., Any]]) -> None:
        super().__init__(FrameLimits().body_bytes)
        self.callbacks = callbacks

    def encode(self, value: object, depth: int = 0) -> Node:
        """Return the node of `value`; the judge's own classes come before plain dataclasses."""
        if isinstance(value, Ref | Handle | Optimizer):
            return self.opaque(value, depth)
        return super().encode(value, depth)

    def opaque(self, value: object, depth: int) -> Node:
        """Return the node of a reference, optimiser, loader, stock function or callback."""
        if isinstance(value, Ref | Handle):
            return {"$": "ref", "v": value.name}
        if isinstance(value, Optimizer):
            return {
                "$": "optimizer",
                "v": self.encode([value.name, value.model, value.options], depth),
            }
        if isinstance(value, DataLoader):
            return {"$": "loader", "v": self.encode(_loader_parts(value), depth)}
        if callable(value) and value in FUNCTION_NAMES:
            return {"$": "function", "v": FUNCTION_NAMES[value]}
        if callable(value) and not isinstance(value, nn.Module | type):
            number = secrets.randbits(48)
            self.callbacks[number] = value
            return {"$": "callback", "v": number}
        raise TypeError(f"a {type(value).__name__} cannot be sent to a worker")


def _loader_parts(loader: DataLoader[Any]) -> list[Any]:
    """Tensors, batch size, seed (None: in order) and drop_last of a loader of tensors."""
    if not isinstance(loader.dataset, TensorDataset):
        raise TypeError("only a DataLoader over a TensorDataset can be sent to a worker")
    seed = None
    if isinstance(loader.sampler, RandomSampler):
        seed = loader.generator.initial_seed() if loader.generator is not None else 0
    return [list(loader.dataset.tensors), loader.batch_size, seed, loader.drop_last]


def _run_callback(
    header: Mapping[str, Any], arguments: Any, callbacks: dict[int, Callable[..., Any]]
) -> tuple[dict[str, Any], Sequence[memoryview]]:
    """Run one function of the judge; its exceptions cross as a plain text."""
    index = header.get("callback")
    if type(index) is not int or index not in callbacks:
        raise FrameError("a call of a function that it may not call now")
    if not (
        isinstance(arguments, list)
        and len(arguments) == 2
        and isinstance(arguments[0], list)
        and isinstance(arguments[1], dict)
        and all(isinstance(name, str) for name in arguments[1])
    ):
        raise FrameError("a call with arguments of an unknown form")
    encoder = Encoder(FrameLimits().body_bytes)
    try:
        value = encoder.encode(callbacks[index](*arguments[0], **arguments[1]))
    except Exception as error:
        text = str(error) if isinstance(error, CallbackError) else "the grader's function failed"
        return {"op": "error", "text": text}, []
    return {"op": "value", "value": value}, encoder.buffers


def _decoder(frame: Frame) -> Decoder:
    return Decoder(frame.buffers, {"handle": _handle})


def _handle(decoder: Decoder, node: dict[str, Any]) -> Handle:
    return Handle(decoder.text(node, "v")[:40], decoder.text(node, "type")[:100])


def student_error(header: dict[str, Any]) -> StudentFailure:
    """The failure that an error frame reports; every field is the student's word."""
    fields = {name: header.get(name) for name in ("kind", "text", "where", "traceback")}
    if not all(isinstance(value, str) for value in fields.values()):
        return Refused("your code broke the grader's channel: an error of an unknown form")
    kind, text, where, trace = (str(value)[: 4 * MAX_TEXT] for value in fields.values())
    value_error = header.get("value_error") is True
    if kind == "MissingName":
        return StudentFailure(text[:MAX_TEXT])
    if kind == "LeftChanged":
        return LeftChanged(kind, text[:MAX_TEXT])
    rule = rule_of(kind, text, trace)
    error = StudentError(kind[:100], (rule or text)[:MAX_TEXT], where[:200], value_error, trace)
    if rule:
        return error
    if kind == "MemoryError":
        error.outcome = Outcome.OUT_OF_MEMORY
    elif kind == "PermissionError" or (kind == "ImportError" and "while this session is" in text):
        error.outcome = Outcome.REFUSED
    return error


def _public(name: str) -> str:
    if name.startswith("_"):
        raise AttributeError(f"{name} is not public")
    return name

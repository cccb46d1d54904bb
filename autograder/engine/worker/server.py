"""The worker: holds one student's modules and does what the judge asks, value by value.

It knows no grader, no expected value and no points. Everything it reports may be a lie, since
student code shares its process; the judge counts only on what it can check.
"""

from __future__ import annotations

import importlib
import os
import shutil
import signal
import socket
import sys
import threading
import traceback
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from operator import attrgetter
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from autograder.engine.channel import frames
from autograder.engine.channel.frames import Frame, FrameError, FrameLimits
from autograder.engine.channel.values import FUNCTIONS, Decoder, Encoder, Node, Special, Unsendable
from autograder.engine.worker import global_state, loader
from autograder.records import Isolation

VALUE_ERROR = ValueError  # bound before student code could rename it
TRACEBACK_LINES = 40


class MissingName(Exception):
    """The student's module has no such function; the text is a sentence."""


class JudgeError(Exception):
    """A callback of the judge failed; the text is all that crosses."""


class Callback:
    """A function of the judge: calling it sends the arguments and waits for the value."""

    def __init__(self, worker: WorkerServer, number: int) -> None:
        self._worker = worker
        self._number = number

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run the function in the judge."""
        return self._worker.call_judge(self._number, args, kwargs)

    def __deepcopy__(self, memo: dict[int, Any]) -> Callback:
        """A copied network calls the same function."""
        return self


@dataclass(frozen=True)
class Instance:
    """What calling a class gave: an object to be called, even if its class is a dataclass."""

    value: object


class WorkerEncoder(Encoder):
    """Sends a handle of what has no form of its own; the object stays here."""

    def __init__(self, handle: Callable[[object], Node], max_bytes: int) -> None:
        super().__init__(max_bytes)
        self._handle = handle

    def encode(self, value: object, depth: int = 0) -> Node:
        """Return the node of `value`, of an instance a handle."""
        if type(value) is Instance:
            return self._handle(value.value)
        return super().encode(value, depth)

    def opaque(self, value: object, depth: int) -> Node:
        """Return a handle."""
        del depth
        return self._handle(value)


def _empty(home: Path) -> None:
    """Go there, and remove everything in it."""
    os.chdir(home)
    for path in home.iterdir():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


def _sources(decoder: Decoder, header: dict[str, Any]) -> dict[str, str]:
    return {name: decoder.take(node).decode() for name, node in header["sources"]}


class WorkerServer:
    """Serves one connection until the judge says "exit" or goes away."""

    def __init__(self, sock: socket.socket, limits: FrameLimits) -> None:
        self._sock = sock
        self._limits = limits
        self._objects: dict[str, Any] = {}
        self._module: Any = None
        self._current = 0
        self._turn = threading.Lock()
        self._home = Path.cwd()
        self._put_back_generators = global_state.random_state()
        self._operations: dict[str, Callable[[Decoder, dict[str, Any]], Any]] = {
            "libraries": self._libraries,
            "load": self._load,
            "run": self._run,
            "call": self._call,
            "get": self._get,
            "put": self._put,
            "fetch": self._fetch,
            "state": self._state,
            "modes": self._modes,
            "hooks": self._hooks,
            "generators": self._generators,
            "vjp": self._vjp,
            "backward": self._backward,
        }

    def serve(self, isolation: Isolation) -> None:
        """Say hello with the isolation in force, then answer requests in order."""
        self._send({"op": "hello", "isolation": asdict(isolation)}, [])
        while True:
            try:
                frame = frames.receive(self._sock, self._limits)
            except frames.Closed:
                return
            if frame.header["op"] == "exit":
                return
            self._answer(frame)

    def call_judge(self, number: int, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Run a function of the judge and return its value; threads take turns."""
        encoder = self._encoder()
        arguments = encoder.encode([list(args), kwargs])
        header = {"op": "callback", "id": self._current, "callback": number, "args": arguments}
        with self._turn:
            self._send(header, encoder.buffers)
            frame = frames.receive(self._sock, self._limits)
        if frame.header["op"] == "error":
            raise JudgeError(frame.header["text"])
        return self._decoder(frame).decode(frame.header["value"])

    # ---- operations ----------------------------------------------------------------------------

    def _answer(self, frame: Frame) -> None:
        header = frame.header
        self._current = header["id"]
        try:
            result = self._operations[header["op"]](self._decoder(frame), header)
            encoder = self._encoder()
            value = encoder.encode(result)
        except Unsendable as error:
            self._fail(header, "Unsendable", str(error), "", False, "")
        except BaseException as error:  # whatever student code raises, SystemExit included
            self._fail(header, *_facts(error))
        else:
            try:
                self._send({"op": "value", "id": header["id"], "value": value}, encoder.buffers)
            except FrameError as error:
                self._fail(header, "Unsendable", str(error), "", False, "")

    def _libraries(self, decoder: Decoder, header: dict[str, Any]) -> None:
        loader.import_libraries(_sources(decoder, header))

    def _load(self, decoder: Decoder, header: dict[str, Any]) -> None:
        """Import the modules; objects, draws and files of others that were loaded are gone."""
        if self._module is not None:
            self._objects.clear()
            self._put_back_generators()
            _empty(self._home)
        loader.install(_sources(decoder, header), header["withhold"])
        self._module = importlib.import_module(header["module"])

    def _run(self, decoder: Decoder, header: dict[str, Any]) -> Any:
        """Run a function of the kit's: what `engine.confined` asks for."""
        module, _, name = header["function"].partition(":")
        function = attrgetter(name)(importlib.import_module(module))
        return function(*decoder.decode(header["args"]))

    def _call(self, decoder: Decoder, header: dict[str, Any]) -> Any:
        args, kwargs = decoder.decode(header["args"])
        target = self._target(header)
        with global_state.kept():
            result = target(*args, **kwargs)
        return Instance(result) if isinstance(target, type) else result

    def _target(self, header: dict[str, Any]) -> Any:
        if "handle" not in header:
            try:
                return getattr(self._module, header["name"])
            except AttributeError:
                text = f"{self._module.__name__}.py has no function {header['name']}"
                raise MissingName(text) from None
        target = self._objects[header["handle"]]
        return getattr(target, header["name"]) if header.get("name") else target

    def _get(self, _decoder: Decoder, header: dict[str, Any]) -> Any:
        return getattr(self._objects[header["handle"]], header["name"])

    def _put(self, decoder: Decoder, header: dict[str, Any]) -> None:
        self._objects[header["ref"]] = decoder.decode(header["value"])

    def _fetch(self, _decoder: Decoder, header: dict[str, Any]) -> Any:
        return self._objects[header["ref"]]

    def _state(self, _decoder: Decoder, header: dict[str, Any]) -> dict[str, Tensor]:
        return dict(self._objects[header["ref"]].state_dict())

    def _modes(self, _decoder: Decoder, header: dict[str, Any]) -> dict[str, bool]:
        return {n: bool(m.training) for n, m in self._objects[header["ref"]].named_modules()}

    def _hooks(self, _decoder: Decoder, header: dict[str, Any]) -> int:
        tables = [
            value
            for module in self._objects[header["ref"]].modules()
            for name, value in vars(module).items()
            if name.endswith("_hooks") and isinstance(value, dict)
        ]
        return sum(len(table) for table in tables) + len(_global_forward_hooks())

    def _generators(self, _decoder: Decoder, header: dict[str, Any]) -> str:
        return global_state.generators(bool(header["advance"]))

    def _vjp(self, decoder: Decoder, header: dict[str, Any]) -> tuple[Any, tuple[Tensor, ...]]:
        args, kwargs = decoder.decode(header["args"])
        cotangent = decoder.decode(header["cotangent"])
        inputs = [args[index].detach().requires_grad_() for index in header["wrt"]]
        for index, leaf in zip(header["wrt"], inputs, strict=True):
            args[index] = leaf
        with global_state.kept():
            output = self._target(header)(*args, **kwargs)
        gradients = torch.autograd.grad(output, inputs, cotangent, allow_unused=True)
        zeros = [torch.zeros_like(leaf) for leaf in inputs]
        return output, tuple(
            g if g is not None else z for g, z in zip(gradients, zeros, strict=True)
        )

    def _backward(self, decoder: Decoder, header: dict[str, Any]) -> None:
        args, kwargs = decoder.decode(header["args"])
        with global_state.kept():
            output = self._target(header)(*args, **kwargs)
        output.backward(decoder.decode(header["cotangent"]))

    # ---- values ------------------------------------------------------------------------------

    def _encoder(self) -> Encoder:
        return WorkerEncoder(self._handle, self._limits.body_bytes)

    def _decoder(self, frame: Frame) -> Decoder:
        special: dict[str, Special] = {
            "ref": lambda _, node: self._objects[node["v"]],
            "callback": lambda _, node: Callback(self, node["v"]),
            "function": lambda _, node: FUNCTIONS[node["v"]],
            "loader": _build_loader,
            "optimizer": _build_optimizer,
        }
        return Decoder(frame.buffers, special, trusting=True)

    def _handle(self, value: object) -> Node:
        """Keep a live object here and send its number and class name."""
        known = [number for number, kept in self._objects.items() if kept is value]
        number = known[0] if known else f"h{len(self._objects)}"
        self._objects[number] = value
        return {"$": "handle", "v": number, "type": type(value).__name__[:100]}

    def _send(self, header: dict[str, Any], buffers: Sequence[memoryview]) -> None:
        frames.send(self._sock, Frame(header, buffers), self._limits)

    def _fail(
        self,
        header: dict[str, Any],
        kind: str,
        text: str,
        where: str,
        value_error: bool,
        trace: str,
    ) -> None:
        fields = {"kind": kind, "text": text, "where": where, "value_error": value_error}
        self._send({"op": "error", "id": header["id"], **fields, "traceback": trace}, [])


def _build_loader(decoder: Decoder, node: dict[str, Any]) -> Any:
    tensors, batch_size, seed, drop_last = decoder.decode(node["v"])
    dataset = torch.utils.data.TensorDataset(*tensors)
    generator = None if seed is None else torch.Generator().manual_seed(seed)
    return torch.utils.data.DataLoader(
        dataset, batch_size, shuffle=seed is not None, generator=generator, drop_last=drop_last
    )


def _build_optimizer(decoder: Decoder, node: dict[str, Any]) -> Any:
    name, model, options = decoder.decode(node["v"])
    return getattr(torch.optim, name)(model.parameters(), **options)


def _global_forward_hooks() -> dict[int, Any]:
    return nn.modules.module._global_forward_hooks


def _facts(error: BaseException) -> tuple[str, str, str, bool, str]:
    """Class name, text, `file.py:line` in the student's code, whether it is a ValueError, trace."""
    try:
        text = str(error)[:2000]
    except BaseException:  # an exception whose __str__ raises
        text = ""
    places = [
        f"{frame.filename}:{frame.lineno}"
        for frame in traceback.extract_tb(error.__traceback__)
        if "/" not in frame.filename and frame.filename.endswith(".py")
    ]
    if isinstance(error, SyntaxError) and error.lineno and "/" not in (error.filename or "/"):
        places, text = [f"{error.filename}:{error.lineno}"], error.msg
    trace = "".join(traceback.format_exception(error)[-TRACEBACK_LINES:])[-8000:]
    kind = type(error).__name__[:100]
    return kind, text, places[-1] if places else "", isinstance(error, VALUE_ERROR), trace


def run(sock: socket.socket, limits: FrameLimits, isolation: Isolation) -> None:
    """Serve `sock` and end the process without running anything that student code left behind."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    status = 0
    try:
        WorkerServer(sock, limits).serve(isolation)
    except BaseException:
        traceback.print_exc(file=sys.stderr)
        status = 1
    finally:
        os._exit(status)

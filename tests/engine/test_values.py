"""Values across the channel: equal on the other side, refused where they are out of form."""

import dataclasses
import json
import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn.utils import prune

import shared.models
import shared.probes
from autograder.engine.channel.frames import FrameError
from autograder.engine.channel.values import _DECODERS, DTYPES, Decoder, Encoder, Unsendable
from shared.records import History, LayerCost
from shared.registry import REGISTRY

MAX_BYTES = 1 << 26


def crossed(value: object, trusting: bool = False) -> Any:
    """The value after a journey through JSON and raw bytes."""
    encoder = Encoder(MAX_BYTES)
    node = json.loads(json.dumps(encoder.encode(value), allow_nan=False))
    buffers = [bytearray(buffer) for buffer in encoder.buffers]
    return Decoder(buffers, trusting=trusting).decode(node)


scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**900), 2**900),
    st.floats(allow_nan=False),
    st.text(st.characters(exclude_categories=["Cs"])),
    st.binary(),
)
values = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.lists(inner, max_size=4).map(tuple),
        st.dictionaries(
            st.one_of(st.text(max_size=4), st.integers(-(2**59), 2**59)), inner, max_size=4
        ),
    ),
    max_leaves=20,
)


@given(values)
def test_plain_values_arrive_equal_and_of_the_same_type(value: object) -> None:
    arrived = crossed(value)
    if not isinstance(value, str) and "\ud800" not in repr(value):
        assert arrived == value
    assert type(arrived) is type(value)


def test_numbers_that_json_does_not_have() -> None:
    assert math.isnan(crossed(math.nan))
    assert crossed([math.inf, -math.inf]) == [math.inf, -math.inf]
    assert math.copysign(1, crossed(-0.0)) == -1


@pytest.mark.parametrize("dtype", DTYPES.values(), ids=str)
@pytest.mark.parametrize("shape", [(), (0,), (3,), (2, 0, 4), (2, 3, 4)])
def test_tensors_keep_dtype_shape_and_bits(dtype: torch.dtype, shape: tuple[int, ...]) -> None:
    tensor = (torch.randn(shape) * 3).to(dtype)
    arrived = crossed(tensor)
    assert arrived.dtype == dtype
    assert arrived.shape == shape
    assert torch.equal(arrived, tensor)
    assert type(arrived) is torch.Tensor


def test_views_subclasses_and_graphs_arrive_as_plain_tensors() -> None:
    class Liar(torch.Tensor):
        def __eq__(self, other: object) -> bool:  # type: ignore[override]
            return True

    base = torch.arange(12.0).reshape(3, 4)
    liar = torch.zeros(3).as_subclass(Liar)  # type: ignore[no-untyped-call]
    grown = torch.ones(2, requires_grad=True) * 2
    assert torch.equal(crossed(base.T), base.T)
    assert crossed(torch.zeros(1).expand(5)).stride() == (1,)
    assert type(crossed(liar)) is torch.Tensor
    assert crossed(grown).grad_fn is None
    assert not crossed(grown).requires_grad
    assert crossed(torch.ones(2, requires_grad=True)).requires_grad


@pytest.mark.parametrize(
    "tensor", [torch.ones(1).expand(1), torch.as_strided(torch.ones(3), (0,), (0,))]
)
def test_a_stride_that_says_nothing_does_no_harm(tensor: torch.Tensor) -> None:
    assert torch.equal(crossed(tensor), tensor)


@pytest.mark.parametrize("dtype", ["f4", "f8", "i8", "u1", "?", "c8", ">f4", "i2"])
def test_arrays_keep_kind_shape_and_values(dtype: str) -> None:
    array = np.arange(6).astype(dtype).reshape(2, 3)
    arrived = crossed(array)
    assert arrived.dtype == array.dtype.newbyteorder("<")
    assert np.array_equal(arrived, array)


def test_numpy_scalars_become_python_numbers() -> None:
    assert (type(crossed(np.float32(0.5))), type(crossed(np.int64(3)))) == (float, int)


def test_records_arrive_as_records_and_other_dataclasses_as_tuples() -> None:
    @dataclasses.dataclass
    class Own:
        name: str
        number: int

    row = LayerCost("conv", "Conv2d", 3, 4, (1, 2))
    assert crossed([row]) == [row]
    assert crossed(History([1.0], [2.0], [0.5])) == History([1.0], [2.0], [0.5])
    assert crossed(Own("a", 1)) == ("a", 1)


def test_trees_of_layers_arrive_equal() -> None:
    net = nn.Sequential(
        nn.Conv2d(4, 8, (3, 1), stride=2, padding=(1, 0), groups=2, bias=False),
        nn.BatchNorm2d(8),
        nn.ReLU(inplace=True),
        nn.ModuleDict({"a": nn.LayerNorm([3, 2]), "b": nn.ModuleList([nn.Embedding(5, 2)])}),
        nn.MultiheadAttention(8, 2, batch_first=True),
        nn.Dropout(0.3),
    )
    net[0].weight.requires_grad_(False)
    net[1].eval()
    net.half()
    arrived = crossed(net)
    assert repr(arrived) == repr(net)
    assert arrived.state_dict().keys() == net.state_dict().keys()
    assert all(torch.equal(a, net.state_dict()[n]) for n, a in arrived.state_dict().items())
    assert [m.training for m in arrived.modules()] == [m.training for m in net.modules()]
    assert not arrived[0].weight.requires_grad
    assert arrived[1].weight.dtype is torch.float16


def test_shared_parameters_and_modules_stay_shared() -> None:
    layer = nn.Linear(3, 3)
    net = nn.Sequential(layer, nn.Linear(3, 3), layer)
    net[1].weight = layer.weight
    arrived = crossed(net)
    assert arrived[0] is arrived[2]
    assert arrived[1].weight is arrived[0].weight
    assert sum(p.numel() for p in arrived.parameters()) == 9 + 3 + 3


@pytest.mark.parametrize("name", ["LeNet300", "LeNet5", "DigitsCNN", "Tied", "Reused", "Buffered"])
def test_registered_models_arrive_equal(name: str) -> None:
    model = REGISTRY[name]()
    arrived = crossed(model, trusting=True)
    assert type(arrived) is type(model)
    state = arrived.state_dict()
    assert all(torch.equal(value, state[key]) for key, value in model.state_dict().items())


def test_a_changed_child_of_a_registered_model_crosses() -> None:
    model = shared.models.LeNet5()
    name, _ = next((n, m) for n, m in model.named_children() if isinstance(m, nn.Linear))
    setattr(model, name, nn.Identity())
    assert isinstance(getattr(crossed(model, trusting=True), name), nn.Identity)


@pytest.mark.parametrize(
    "value",
    [
        object(),
        2**2000,
        torch.zeros(3, device="meta"),
        torch.zeros(3).to_sparse(),
        np.array(["text"]),
        torch.zeros(MAX_BYTES // 4 + 1).expand(2, -1),
        {"deep": [[[[[]]]]]} | {"x": lambda: 0},
    ],
    ids=["object", "long", "meta", "sparse", "text", "large", "function"],
)
def test_what_has_no_form_is_unsendable(value: object) -> None:
    with pytest.raises(Unsendable):
        Encoder(MAX_BYTES).encode(value)


def test_a_reparametrised_layer_is_opaque() -> None:
    layer = prune.l1_unstructured(nn.Linear(3, 3), "weight", 0.5)  # type: ignore[no-untyped-call]
    with pytest.raises(Unsendable):
        Encoder(MAX_BYTES).encode(nn.Sequential(layer))


def test_deep_and_cyclic_values_are_unsendable() -> None:
    cyclic: list[Any] = []
    cyclic.append(cyclic)
    with pytest.raises(Unsendable):
        Encoder(MAX_BYTES).encode(cyclic)


CONV = Encoder(MAX_BYTES).encode(nn.Conv2d(1, 1, 1))


@pytest.mark.parametrize(
    "node",
    [
        {"$": "tensor", "dtype": "float32", "shape": [2], "b": 0},
        {"$": "tensor", "dtype": "float32", "shape": [-1], "b": 0},
        {"$": "tensor", "dtype": "float32", "shape": [10**30, 0], "b": 1},
        {"$": "tensor", "dtype": ["float32"], "shape": [], "b": 0},
        {"$": "tensor", "dtype": "float128", "shape": [1], "b": 0},
        {"$": "tensor", "dtype": "float32", "shape": [1] * 40, "b": 0},
        {"$": "tensor", "dtype": "float32", "shape": [True], "b": 0},
        {"$": "array", "dtype": "|O", "shape": [1], "b": 0},
        {"$": "array", "dtype": "<M8", "shape": [1], "b": 0},
        {"$": "bytes", "b": 7},
        {"$": "bytes", "b": -1},
        {"$": "bytes", "b": True},
        {"$": "bytes"},
        [{"$": "bytes", "b": 0}, {"$": "bytes", "b": 0}],
        {"$": "float", "v": "1e5"},
        {"$": "float", "v": []},
        {"$": "dict", "v": [[1]]},
        {"$": "dict", "v": [[[], 1]]},
        {"$": "dict", "v": {}},
        {"$": "record", "name": "LayerCost", "v": [1]},
        {"$": "record", "name": "Nothing", "v": []},
        {"$": "record", "name": ["LayerCost"], "v": []},
        {"$": "dtype", "v": "int3"},
        {"$": "same", "id": 0},
        {"$": "callback", "v": 0},
        {"$": "ref", "v": "r1"},
        {"$": "module"},
        {"$": "module", "id": 0, "kind": "Transformer", "args": {"$": "dict", "v": []}},
        {**CONV, "args": {"$": "dict", "v": [["in_channels", 1 << 60]]}},
        {**CONV, "args": {"$": "dict", "v": [["nothing", 1]]}},
        {**CONV, "parameters": []},
        {**CONV, "parameters": [["weight", 1, True, None]]},
        {**CONV, "buffers": [["a.b", None]]},
        {"$": []},
        {"no": "kind"},
    ],
    ids=lambda node: json.dumps(node)[:60],
)
def test_nodes_out_of_form_are_refused(node: Any) -> None:
    with pytest.raises(FrameError):
        Decoder([bytearray(4), bytearray(0)]).decode(node)


def test_a_record_with_anything_inside_is_only_data() -> None:
    node = {"$": "record", "name": "LayerCost", "v": [None, [], {"$": "bytes", "b": 0}, 1, "x"]}
    assert Decoder([bytearray(b"abc")]).decode(node).params == b"abc"


@pytest.mark.parametrize("sizes", [[10**9, 10**9], [1] * 400_000])
def test_a_huge_model_announced_by_a_worker_is_refused_before_it_is_built(sizes: Any) -> None:
    node = {
        "$": "module",
        "id": 0,
        "kind": "MLP",
        "args": {"$": "dict", "v": [["sizes", sizes]]},
        "parameters": [],
        "buffers": [],
        "children": [],
    }
    with pytest.raises(FrameError, match="argument is too"):
        Decoder([]).decode(node)


@pytest.mark.parametrize(
    "keys",
    [
        [n * (2**61 - 1) for n in range(3)],
        [{"$": "tuple", "v": [n]} for n in range(2_000)],
        [{"$": "tuple", "v": [[]]}],
    ],
    ids=["integers of one hash", "tuples", "lists in tuples"],
)
def test_keys_that_can_be_made_to_collide_are_refused(keys: list[Any]) -> None:
    with pytest.raises(FrameError, match="key"):
        Decoder([]).decode({"$": "dict", "v": [[key, 0] for key in keys]})


def test_a_model_of_countless_layers_is_refused() -> None:
    node = Encoder(MAX_BYTES).encode(shared.models.ResNet20())
    endless = [["blocks", [3000, 3000]], ["widths", [1, 1]]]
    with pytest.raises(FrameError):
        Decoder([]).decode({**node, "kind": "ResNet", "args": {"$": "dict", "v": endless}})


def test_lone_surrogates_are_cleaned_at_the_border() -> None:
    assert Decoder([]).decode("a\ud800b") == "a?b"


json_values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), st.text()),
    lambda inner: st.one_of(
        st.lists(inner, max_size=5),
        st.fixed_dictionaries(
            {"$": st.sampled_from(sorted(_DECODERS))},
            optional={
                "v": inner,
                "b": inner,
                "id": inner,
                "kind": st.sampled_from(["Linear", "Sequential", "MLP"]),
                "args": inner,
                "shape": inner,
                "dtype": st.sampled_from(["float32", "bool", "<f4"]),
                "children": inner,
                "parameters": inner,
                "buffers": inner,
                "name": st.just("LayerCost"),
            },
        ),
    ),
    max_leaves=12,
)


@settings(max_examples=500)
@given(json_values)
def test_any_node_gives_a_value_or_a_refusal(node: Any) -> None:
    try:
        Decoder([bytearray(4), bytearray(8)]).decode(node)
    except FrameError:
        return

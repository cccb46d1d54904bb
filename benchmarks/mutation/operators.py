"""Mutation operators: from one node of a syntax tree to the nodes that may stand in its place.

An operator is a function of a `Place` that yields replacements, each different from the node. Only
the standard library's `ast` is needed. The operators of mutmut and of Cosmic Ray were looked at:
neither swaps arguments, drops a statement or knows the functions of arrays, and both are built to
run a project's own test suite, not a grader of submissions.
"""

from __future__ import annotations

import ast
import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise


@dataclass(frozen=True)
class Place:
    """A node, the field of its parent that holds it, and the names of the function around it.

    `names` are the arguments and local variables in the order in which they first appear; `bound`
    those that are bound more than once. Both are empty outside a function.
    """

    node: ast.AST
    parent: ast.AST
    field: str
    names: tuple[str, ...] = ()
    bound: frozenset[str] = frozenset()


Operator = Callable[[Place], Iterator[ast.AST]]


def _with(node: ast.AST, **fields: object) -> ast.AST:
    """A shallow copy with other fields; parts may be shared, since nothing changes them."""
    made = copy.copy(node)
    for name, value in fields.items():
        setattr(made, name, value)
    return made


def _without(items: list[ast.expr], index: int) -> list[ast.expr]:
    return items[:index] + items[index + 1 :]


def _swapped(items: list[ast.expr], index: int) -> list[ast.expr]:
    return [*items[:index], items[index + 1], items[index], *items[index + 2 :]]


# ---- operators of the language -------------------------------------------------------------------

_ARITHMETIC: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Div,
    ast.Mod: ast.FloorDiv,
    ast.Pow: ast.Mult,
    ast.MatMult: ast.Mult,
    ast.LShift: ast.RShift,
    ast.RShift: ast.LShift,
    ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
    ast.BitXor: ast.BitOr,
}
# The boundary first, then the opposite.
_COMPARISONS: dict[type[ast.cmpop], tuple[type[ast.cmpop], ...]] = {
    ast.Lt: (ast.LtE, ast.GtE),
    ast.LtE: (ast.Lt, ast.Gt),
    ast.Gt: (ast.GtE, ast.LtE),
    ast.GtE: (ast.Gt, ast.Lt),
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,),
    ast.In: (ast.NotIn,),
    ast.NotIn: (ast.In,),
    ast.Is: (ast.IsNot,),
    ast.IsNot: (ast.Is,),
}


def arithmetic(place: Place) -> Iterator[ast.AST]:
    """`+` for `-`, also in `+=`; a sign or `~` left out."""
    node = place.node
    if isinstance(node, ast.BinOp | ast.AugAssign):
        yield _with(node, op=_ARITHMETIC[type(node.op)]())
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub | ast.Invert):
        yield node.operand


def comparison(place: Place) -> Iterator[ast.AST]:
    """`<=` and `>=` for `<`, `!=` for `==`, `not in` for `in`."""
    if isinstance(place.node, ast.Compare):
        for index, op in enumerate(place.node.ops):
            for other in _COMPARISONS[type(op)]:
                ops = [*place.node.ops[:index], other(), *place.node.ops[index + 1 :]]
                yield _with(place.node, ops=ops)


def connective(place: Place) -> Iterator[ast.AST]:
    """`or` for `and`, an operand left out, `not` left out."""
    node = place.node
    if isinstance(node, ast.BoolOp):
        yield _with(node, op=ast.Or() if isinstance(node.op, ast.And) else ast.And())
        for index in range(len(node.values)):
            rest = _without(node.values, index)
            yield rest[0] if len(rest) == 1 else _with(node, values=rest)
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        yield node.operand


def condition(place: Place) -> Iterator[ast.AST]:
    """A condition negated, one arm of a conditional expression, a filter left out."""
    node = place.node
    has_own_operator = isinstance(node, ast.Compare | ast.BoolOp) or (
        isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not)
    )
    if place.field == "test" and not has_own_operator:
        yield ast.UnaryOp(ast.Not(), node)  # type: ignore[arg-type]
    if isinstance(node, ast.IfExp):
        yield node.body
        yield node.orelse
    if isinstance(node, ast.comprehension):
        for index in range(len(node.ifs)):
            yield _with(node, ifs=_without(node.ifs, index))


# ---- values --------------------------------------------------------------------------------------


def constant(place: Place) -> Iterator[ast.AST]:
    """A whole number one higher or lower (so `dim` is another), a fraction twice or half as much,
    `False` for `True`, another word where a word is compared or is an option."""
    node = place.node
    if not isinstance(node, ast.Constant):
        return
    value = node.value
    if isinstance(value, bool):
        yield ast.Constant(not value)
    elif isinstance(value, int):
        yield ast.Constant(value + 1)
        yield ast.UnaryOp(ast.USub(), ast.Constant(1)) if value == 0 else ast.Constant(value - 1)
    elif isinstance(value, float):
        yield ast.Constant(value * 2 if value else 1.0)
        if value:
            yield ast.Constant(value / 2)
    elif isinstance(value, str) and (
        isinstance(place.parent, ast.Compare | ast.keyword | ast.MatchValue)
        or place.field == "slice"
    ):
        yield ast.Constant(value + "_")


def element(place: Place) -> Iterator[ast.AST]:
    """An entry left out of a table that is written down."""
    node = place.node
    if isinstance(node, ast.Dict) and len(node.keys) > 1:
        for index in range(len(node.keys)):
            keys = node.keys[:index] + node.keys[index + 1 :]
            yield _with(node, keys=keys, values=_without(node.values, index))
    elif isinstance(node, ast.Set | ast.List | ast.Tuple) and _is_table(node):
        for index in range(len(node.elts)):
            yield _with(node, elts=_without(node.elts, index))


def _is_table(node: ast.Set | ast.List | ast.Tuple) -> bool:
    is_data = all(isinstance(each, ast.Constant) for each in node.elts)
    return len(node.elts) > 1 and (is_data or isinstance(node, ast.Set))


def bound(place: Place) -> Iterator[ast.AST]:
    """Off by one in what ends a range or a slice; an end of a slice left out."""
    node = place.node
    if isinstance(node, ast.Slice):
        for name in ("lower", "upper", "step"):
            if getattr(node, name) is not None:
                yield _with(node, **{name: None})
    is_end = isinstance(place.parent, ast.Slice) or _is_range(place)
    if is_end and isinstance(node, ast.expr) and not isinstance(node, ast.Constant | ast.Starred):
        yield ast.BinOp(node, ast.Add(), ast.Constant(1))
        yield ast.BinOp(node, ast.Sub(), ast.Constant(1))


def _is_range(place: Place) -> bool:
    call = place.parent
    return isinstance(call, ast.Call) and place.field == "args" and _name(call.func) in _RANGES


# ---- calls ---------------------------------------------------------------------------------------

_RANGES = {"range", "arange"}
_PAIRS = (
    ("min", "max"),
    ("amin", "amax"),
    ("argmin", "argmax"),
    ("minimum", "maximum"),
    ("any", "all"),
    ("sum", "mean"),
    ("fsum", "prod"),
    ("zeros", "ones"),
    ("zeros_like", "ones_like"),
    ("add_", "sub_"),
    ("mul_", "div_"),
    ("log2", "log10"),
    ("train", "eval"),
    ("startswith", "endswith"),
    ("floor", "round"),
    ("appendleft", "append"),
)
_OTHER_NAMES = {
    **dict(_PAIRS),
    **{other: one for one, other in _PAIRS},
    "ceil": "floor",
    "log": "log2",
    "exp": "expm1",
    "unbiased": "biased",
}
_OF_ONE = {"abs", "float", "int", "round", "sorted", "reversed", "sqrt", "log"}
_SYMMETRIC = {"min", "max", "minimum", "maximum", "isclose", "gcd"}
_MODULES = {"torch", "np", "math", "nn", "F", "time", "random", "itertools", "os", "secrets"}


def _name(function: ast.expr) -> str:
    if isinstance(function, ast.Attribute):
        return function.attr
    return function.id if isinstance(function, ast.Name) else ""


def function_name(place: Place) -> Iterator[ast.AST]:
    """`max` for `min`, `round` for `floor`, `ones` for `zeros`."""
    node = place.node
    if isinstance(node, ast.Call) and (other := _OTHER_NAMES.get(_name(node.func))):
        if isinstance(node.func, ast.Attribute):
            yield _with(node, func=_with(node.func, attr=other))
        else:
            yield _with(node, func=ast.Name("int" if other == "floor" else other, ast.Load()))


def arguments(place: Place) -> Iterator[ast.AST]:
    """Neighbouring arguments swapped, the last one or a keyword left out."""
    node = place.node
    if not isinstance(node, ast.Call) or _name(node.func) == "isinstance":
        return
    pairs = [] if _name(node.func) in _SYMMETRIC else pairwise(node.args)
    for index, (one, other) in enumerate(pairs):
        is_starred = isinstance(one, ast.Starred) or isinstance(other, ast.Starred)
        if not is_starred and ast.dump(one) != ast.dump(other):
            yield _with(node, args=_swapped(node.args, index))
    if len(node.args) > 1:
        yield _with(node, args=node.args[:-1])
    for index in range(len(node.keywords)):
        yield _with(node, keywords=node.keywords[:index] + node.keywords[index + 1 :])


def call(place: Place) -> Iterator[ast.AST]:
    """The object for a method of it, the argument for a function of it."""
    node = place.node
    if not isinstance(node, ast.Call) or node.keywords or isinstance(place.parent, ast.Expr):
        return
    if not node.args and isinstance(node.func, ast.Attribute):
        owner = node.func.value
        if not (isinstance(owner, ast.Name) and owner.id in _MODULES):
            yield owner
    elif _name(node.func) in _OF_ONE and len(node.args) == 1:
        (argument,) = node.args
        if not isinstance(argument, ast.Starred | ast.GeneratorExp):
            yield argument


# ---- statements ----------------------------------------------------------------------------------


def statement(place: Place) -> Iterator[ast.AST]:
    """A statement left out: what others do not need to be there."""
    node = place.node
    match node:
        case ast.Expr() | ast.AugAssign() | ast.Raise() | ast.Break() | ast.Delete():
            yield ast.Pass()
        case ast.Return(value=ast.expr()):
            yield ast.Pass()
        case ast.Continue():
            yield ast.Pass()
            yield ast.Break()
        case ast.Assign(targets=[ast.Attribute() | ast.Subscript()]):
            yield ast.Pass()
        case ast.Assign(targets=[ast.Name(id=name)]) if name in place.bound:
            yield ast.Pass()
        case ast.With(items=[ast.withitem(optional_vars=None)], body=body):
            yield ast.If(ast.Constant(True), body, [])
        case _:
            return


def result(place: Place) -> Iterator[ast.AST]:
    """Another name returned, names that a tuple returns or takes swapped."""
    node = place.node
    if isinstance(place.parent, ast.Return) and isinstance(node, ast.Name):
        names = place.names
        if node.id in names and len(names) > 1:
            yield ast.Name(names[names.index(node.id) - 1], ast.Load())
    names_them = isinstance(place.parent, ast.Return | ast.Assign | ast.For | ast.comprehension)
    if names_them and isinstance(node, ast.Tuple) and not _are_words(node):
        for index, (one, other) in enumerate(pairwise(node.elts)):
            if ast.dump(one) != ast.dump(other):
                yield _with(node, elts=_swapped(node.elts, index))


def _are_words(node: ast.Tuple) -> bool:
    """Whether it is a list of names, whose order seldom matters."""
    return all(isinstance(e, ast.Constant) and isinstance(e.value, str) for e in node.elts)


OPERATORS: dict[str, Operator] = {
    "arithmetic": arithmetic,
    "comparison": comparison,
    "connective": connective,
    "condition": condition,
    "constant": constant,
    "element": element,
    "bound": bound,
    "function": function_name,
    "arguments": arguments,
    "call": call,
    "statement": statement,
    "result": result,
}
"""By the name that a report shows."""

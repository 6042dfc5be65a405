"""Small changes to the reference answers, to see whether the checks notice them.

``python tests/mutate.py scaling lab1`` prints the changed references that these modules' checks
still call right. Each either shows a hole in a check, or changes nothing that can be seen; the
latter stand, with the reason, in ``EQUIVALENT`` of tests/planted (see tests/test_mutants.py).
"""

from __future__ import annotations

import ast
import copy
import inspect
import sys
import textwrap
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace

from course_utils.exercises import engine

OPERATORS = {
    ast.Lt: (ast.LtE, ast.GtE), ast.LtE: (ast.Lt, ast.Gt), ast.Gt: (ast.GtE, ast.LtE), ast.GtE: (ast.Gt, ast.Lt),
    ast.Eq: (ast.NotEq,), ast.NotEq: (ast.Eq,), ast.In: (ast.NotIn,), ast.NotIn: (ast.In,),
    ast.Is: (ast.IsNot,), ast.IsNot: (ast.Is,), ast.And: (ast.Or,), ast.Or: (ast.And,),
    ast.Add: (ast.Sub,), ast.Sub: (ast.Add,), ast.Mult: (ast.Div, ast.Add), ast.Div: (ast.Mult,),
    ast.FloorDiv: (ast.Div,), ast.Mod: (ast.FloorDiv,), ast.Pow: (ast.Mult,),
    ast.BitAnd: (ast.BitOr,), ast.BitOr: (ast.BitAnd,),
}  # fmt: skip
PAIRS = (("min", "max"), ("amin", "amax"), ("argmin", "argmax"), ("minimum", "maximum"), ("any", "all"),
         ("tril", "triu"), ("floor", "ceil"), ("sum", "mean"), ("find", "rfind"), ("lstrip", "rstrip"))  # fmt: skip
TWINS = {a: b for pair in PAIRS for a, b in (pair, pair[::-1])}
WRAPPERS = {"abs", "round", "sorted", "set", "int", "reversed"}  # f(x) → x
TYPES = {"tolist", "item", "numpy", "float"}  # x.f() → x changes the type alone, and any type will do
MODULES = {"np", "torch", "math", "re", "random", "json", "ast", "F", "Counter", "yaml", "copy"}


def changes(node: ast.AST) -> Iterator[ast.AST]:
    """What may stand in a node's place: another operator, a neighbouring constant, one call less."""

    def but(**fields):
        new = copy.copy(node)
        for name, value in fields.items():
            setattr(new, name, value)
        return new

    match node:
        case ast.Compare(ops=operators):
            for n, old in enumerate(operators):
                for new in OPERATORS[type(old)]:
                    yield but(ops=[*operators[:n], new(), *operators[n + 1 :]])
        case ast.BinOp(op=old) | ast.AugAssign(op=old) | ast.BoolOp(op=old):
            for new in OPERATORS.get(type(old), ()):
                yield but(op=new())
        case ast.UnaryOp(op=ast.Not() | ast.USub() | ast.Invert(), operand=inner):
            yield inner
        case ast.Constant(value=bool(value)):
            yield but(value=not value)
        case ast.Constant(value=int(value)):
            yield but(value=value + 1)
            yield but(value=value - 1)
        case ast.Constant(value=float(value)):
            step = 1 if value == int(value) and abs(value) < 100 else abs(value) / 10
            yield but(value=value + step)
            yield but(value=value - step)
        case ast.Slice(lower=lower, upper=upper):
            if lower:
                yield but(lower=None)
            if upper:
                yield but(upper=None)
        case ast.Name(id=name) if name in TWINS:
            yield but(id=TWINS[name])
        case ast.Attribute(attr=name) if name in TWINS:
            yield but(attr=TWINS[name])
        case ast.Call(func=ast.Name(id=name), args=[inner, *_]) if name in WRAPPERS:
            yield inner
        case ast.Call(func=ast.Attribute(value=inner, attr=name)) if (
            name not in TYPES and getattr(inner, "id", "") not in MODULES
        ):
            yield inner
        case ast.Break():
            yield ast.Continue()
        case ast.IfExp(body=body, orelse=other):
            yield body
            yield other


def mutants(function: Callable) -> Iterator[tuple[str, Callable]]:
    """Each changed function, under a name that says the change: ``"a < b → a <= b"``."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    seen = Counter()
    for node in [node for statement in tree.body[0].body for node in ast.walk(statement)]:
        for new in changes(node):
            # deepcopy's memo: wherever it meets `node`, it takes `new` for the copy
            changed = ast.fix_missing_locations(copy.deepcopy(tree, {id(node): ast.copy_location(new, node)}))
            name = " → ".join(" ".join(ast.unparse(part).split()) for part in (node, new))
            seen[name] += 1
            space = dict(function.__globals__)
            exec(compile(changed, f"<mutant: {name}>", "exec"), space)
            yield name + (f" ({seen[name]})" if seen[name] > 1 else ""), space[function.__name__]


def survivors(exercise: engine.Exercise) -> tuple[list[str], int]:
    """The changes that the exercise's check calls right, and how many were tried."""
    if not callable(exercise.reference):
        return [], 0
    quick = replace(exercise, seconds=3.0)
    verdicts = [(name, engine.judge(quick, changed)[0]) for name, changed in mutants(exercise.reference)]
    return [name for name, status in verdicts if status == "right"], len(verdicts)


if __name__ == "__main__":
    total = alive = 0
    for exercise in engine._all().values():
        if exercise.notebook in sys.argv[1:] or exercise.id in sys.argv[1:]:
            names, tried = survivors(exercise)
            total, alive = total + tried, alive + len(names)
            print(f"{exercise.id}: {tried} tried, {len(names)} live")
            print("".join(f"    {name}\n" for name in names), end="")
    print(f"{total} tried, {alive} live")

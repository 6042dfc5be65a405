"""Reasoning with verifiable rewards: wrong and right answers."""

import ast
import operator
import re

from course_utils.exercises import reasoning

# ---------------------------------------------------------------- wrong


def evaluates_all(node):
    return eval(compile(ast.Expression(node), "", "eval"), {"__builtins__": {}})


OPERATORS = {ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Div: operator.truediv}


def walker(constants=(int, float), minus=True, operators=OPERATORS, unary=ast.USub, exact=False, refuse=True):
    """An evaluator with one flaw: what it takes for a number, or what it leaves out."""

    def is_number(value):
        return type(value) in constants if exact else isinstance(value, constants)

    def walk(node):
        if isinstance(node, ast.Constant) and is_number(node.value):
            return node.value
        if minus and isinstance(node, ast.UnaryOp) and isinstance(node.op, unary):
            return -walk(node.operand)
        if isinstance(node, ast.BinOp) and type(node.op) in operators:
            return operators[type(node.op)](walk(node.left), walk(node.right))
        if refuse:
            raise ValueError("not allowed")
        return None

    return walk


def plus_in_front_too(node):
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.UAdd):
        return +reasoning.tree_value(node.operand)
    return reasoning.tree_value(node)


PLANTED = {
    "shipping.4": [
        (evaluates_all, "an attribute came through"),
        (walker(constants=(int, float, str)), "a text is not a number"),
        (walker(), "True came through"),
        (walker(constants=(int, float, complex), exact=True), "no complex ones"),
        (plus_in_front_too, "not a minus"),
        (walker(exact=True, unary=ast.unaryop), "not a minus"),
        (walker(exact=True, unary=(ast.USub, ast.Invert)), "not a minus"),
        (walker(operators={**OPERATORS, ast.Pow: operator.pow}), "not on the list"),
        (walker(exact=True, operators={**OPERATORS, ast.FloorDiv: operator.floordiv}), "'5 // 2'"),
        (walker(exact=True, operators={**OPERATORS, ast.Mod: operator.mod}), "'5 % 2'"),
        (walker(minus=False), "was refused"),
        (walker(exact=True, refuse=False), "came back as None"),
        (walker(exact=True, operators={**OPERATORS, ast.Div: operator.floordiv}), "9 / 2 is 4.5"),
        (walker(constants=(int,), exact=True), "2.5 was refused"),
        (walker(exact=True, operators={**OPERATORS, ast.BitXor: operator.xor}), "not on the list"),
        (lambda node: None, "`return` missing"),
        (lambda node: eval(ast.unparse(node)) if re.fullmatch(r"[\d.+\-*/() ]+", ast.unparse(node)) else reasoning.tree_value(node), "not on the list"),
    ],
}  # fmt: skip

EQUIVALENT = {
}

# ---------------------------------------------------------------- right


def by_kind_of_node(node):
    match node:
        case ast.Constant(value=int(value) | float(value)) if not isinstance(value, bool):
            return value
        case ast.UnaryOp(op=ast.USub(), operand=inner):
            return -by_kind_of_node(inner)
        case ast.BinOp(left=left, op=op, right=right) if type(op) in OPERATORS:
            return OPERATORS[type(op)](by_kind_of_node(left), by_kind_of_node(right))
    raise ValueError(ast.dump(node))


RIGHT = {
    "shipping.4": [by_kind_of_node, walker(exact=True)],
}  # fmt: skip

"""One module's syntax tree, walked with just enough of Python's scoping to know what a name stands for.

One piece although long: resolving names and finding reads need each other at every step.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from handrail.config.reads import libraries, literals
from handrail.config.reads.model import OpenRead, Read

ENVIRON = "os.environ"
GET = "os.environ.get"
WRAPPER = "wrapper"
SETTINGS = "pydantic-settings"


@dataclass(frozen=True)
class Kind:
    """What a name stands for: the environment itself, something that reads it, or a class of settings.

    ``prefix`` comes before each name that is asked for. A wrapper (a function of the project around a read) takes the
    name as its argument ``index``; ``named`` is that parameter, ``falls_back`` its parameter for the default.
    """

    library: str
    prefix: str = ""
    scheme: Mapping[str, tuple[str, str | None]] = field(default_factory=dict)
    reader: str = ENVIRON
    index: int = 0
    named: str = ""
    falls_back: tuple[int, str] | None = None
    required: bool = False


class Source:
    """A syntax tree with what every reading of it needs: parents, imports, and values given to attributes."""

    def __init__(self, file: str, tree: ast.Module) -> None:
        self.file = file
        self.tree = tree
        self.parents: dict[ast.AST, ast.AST] = {}
        self.imports: list[ast.Import | ast.ImportFrom] = []
        self.attributes: list[ast.Assign] = []
        todo: list[ast.AST] = [tree]
        while todo:
            parent = todo.pop()
            if isinstance(parent, (ast.Import, ast.ImportFrom)):
                self.imports.append(parent)
            elif isinstance(parent, ast.Assign) and isinstance(parent.targets[0], ast.Attribute):
                self.attributes.append(parent)
            for child in ast.iter_child_nodes(parent):
                self.parents[child] = parent
                todo.append(child)


class Module(ast.NodeVisitor):
    """Reads one module; the result is in ``reads`` and ``open``.

    Args:
        source: its tree, and its path in the project.
        exports: what the other modules define, by path without ``.py``; may still grow.
    """

    def __init__(self, source: Source, exports: Mapping[str, Mapping[str, Any]]) -> None:
        self.source = source
        self.file = file = source.file
        self.exports = exports
        self.reads: list[Read] = []
        self.open: list[OpenRead] = []
        own = exports.get(file.removesuffix(".py").removesuffix("/__init__"), {})
        self.scopes: list[dict[str, Any]] = [dict(own)]
        self.imports: dict[str, str] = {}
        self.attributes: dict[str, Kind] = {}
        self.parents = source.parents
        self.functions: list[ast.AST] = []
        self.homes: dict[ast.AST, dict[str, Any]] = {}
        self._of_classes: list[dict[str, Any]] = []
        self._later: list[tuple[Any, list[dict[str, Any]], list[ast.AST]]] = []

    def read(self) -> None:
        for statement in self.source.imports:
            self._import(statement)
        for assignment in self.source.attributes:
            # ``self.env = Env()``, wherever it stands.
            goal = assignment.targets[0]
            if isinstance(goal, ast.Attribute) and (kind := self.kind(assignment.value)):
                self.attributes[goal.attr] = kind
        self.visit(self.source.tree)
        # Bodies of functions run after the module around them is complete.
        while self._later:
            node, self.scopes, self.functions = self._later.pop(0)
            for statement in node.body if isinstance(node.body, list) else [node.body]:
                self.visit(statement)

    def names_of_module(self) -> dict[str, Any]:
        """Return what others may import from here: readers, wrappers, settings classes and constants."""
        scope = self.scopes[0] if self.scopes else {}
        found = {name: self._known(dotted) for name, dotted in self.imports.items()}
        return {name: value for name, value in {**found, **scope}.items() if value is not None}

    def constants_wanted(self) -> set[str]:
        """Return the modules from which this one imports what may be a constant with a name in it."""
        return {dotted.rpartition(".")[0] for name, dotted in self.imports.items() if name.isupper() and "." in dotted}

    # What names stand for.

    def _import(self, node: ast.Import | ast.ImportFrom) -> None:
        if isinstance(node, ast.Import):
            for alias in node.names:
                self.imports[alias.asname or alias.name.split(".")[0]] = (
                    alias.name if alias.asname else alias.name.split(".")[0]
                )
            return
        module = node.module or ""
        if node.level:
            here = self.file.removesuffix(".py").split("/")[: -node.level]
            module = ".".join([*here, *([module] if module else [])])
        for alias in node.names:
            self.imports[alias.asname or alias.name] = f"{module}.{alias.name}" if module else alias.name

    def dotted(self, node: ast.AST) -> str:
        """Return the full name of what was imported, such as ``os.environ``, or ""."""
        if isinstance(node, ast.Name):
            return "" if any(node.id in scope for scope in self.scopes) else self.imports.get(node.id, "")
        if isinstance(node, ast.Attribute) and (base := self.dotted(node.value)):
            return f"{base}.{node.attr}"
        return ""

    def _known(self, dotted: str) -> Any:
        if dotted in ("os.environ", "os.environb"):
            return Kind(ENVIRON)
        if dotted in ("os.getenv", "os.getenvb"):
            return Kind(GET)
        if library := libraries.OBJECTS.get(dotted):
            return Kind(library, reader=library)
        module, _, name = dotted.rpartition(".")
        path = module.replace(".", "/")
        for known, names in self.exports.items() if module else ():
            if name in names and (known == path or known.endswith(f"/{path}")):
                return names[name]
        return None

    def value(self, node: ast.AST) -> Any:
        """Return what a name or an imported attribute stands for: a `Kind`, a tuple of texts, or None."""
        if isinstance(node, ast.Name):
            for scope in reversed(self.scopes):
                if node.id in scope:
                    return scope[node.id]
        dotted = self.dotted(node)
        return self._known(dotted) if dotted else None

    def kind(self, node: ast.AST | None) -> Kind | None:
        """Return what an expression is, as far as it has to do with the environment."""
        found = self.value(node) if isinstance(node, (ast.Name, ast.Attribute)) else None
        if isinstance(found, Kind):
            return found
        if isinstance(node, ast.Attribute):
            base = self.kind(node.value)
            if base and base.library == ENVIRON and node.attr in ("get", "pop", "setdefault"):
                return Kind(GET, required=node.attr == "pop")
            if isinstance(node.value, ast.Name) and node.value.id in ("self", "cls"):
                return self.attributes.get(node.attr)
        elif isinstance(node, ast.Call):
            return self._made(node)
        elif isinstance(node, ast.BoolOp):
            return next((kind for each in node.values if (kind := self.kind(each))), None)
        elif isinstance(node, ast.IfExp):
            return self.kind(node.body) or self.kind(node.orelse)
        elif isinstance(node, ast.NamedExpr):
            return self.kind(node.value)
        elif isinstance(node, ast.Dict):
            spread = (value for key, value in zip(node.keys, node.values, strict=True) if key is None)
            return next((kind for each in spread if (kind := self.kind(each))), None)
        return None

    def _made(self, node: ast.Call) -> Kind | None:
        if library := libraries.CLASSES.get(self.dotted(node.func)):
            scheme = libraries.scheme_of(node) if library == libraries.DJANGO_ENVIRON else {}
            prefix = next((word.value for word in node.keywords if word.arg in ("prefix", "env_prefix")), None)
            return Kind(library, literals.text(prefix) or "", scheme, library)
        if isinstance(node.func, ast.Name) and node.func.id == "dict" and node.args:
            return self.kind(node.args[0])
        if isinstance(node.func, ast.Attribute) and node.func.attr == "copy":
            return self.kind(node.func.value)
        return None

    def names(self, node: ast.AST | None) -> tuple[str, ...]:
        """Return the texts that an expression can be, as far as the source spells them out."""
        if isinstance(node, ast.Constant) and isinstance(node.value, (str, bytes)):
            return (node.value.decode("utf-8", "replace") if isinstance(node.value, bytes) else node.value,)
        if isinstance(node, (ast.Name, ast.Attribute)):
            found = self.value(node)
            return found if isinstance(found, tuple) else ()
        if isinstance(node, ast.IfExp):
            return (*self.names(node.body), *self.names(node.orelse))
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
            return tuple(one + two for one in self.names(node.left) for two in self.names(node.right))
        if isinstance(node, ast.JoinedStr):
            texts: tuple[str, ...] = ("",)
            for part in node.values:
                more = self.names(part.value if isinstance(part, ast.FormattedValue) else part)
                texts = tuple(one + two for one in texts for two in more)
            return texts
        return ()

    # What binds names.

    def visit_Assign(self, node: ast.Assign) -> None:
        for goal in node.targets:
            self._bind(goal, node.value)
        self.generic_visit(node)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        if node.value is not None:
            self._bind(node.target, node.value)
        self.generic_visit(node)

    def visit_NamedExpr(self, node: ast.NamedExpr) -> None:
        self._bind(node.target, node.value)
        self.generic_visit(node)

    def _bind(self, goal: ast.AST, value: ast.AST) -> None:
        if not isinstance(goal, ast.Name):
            return
        known: Any = self.kind(value) or self.names(value) or self._texts_in(value) or None
        if known is not None or goal.id in self.scopes[-1]:
            self.scopes[-1][goal.id] = known
        elif len(self.scopes) > 1 and self.value(goal) is not None:
            self.scopes[-1][goal.id] = None

    def _texts_in(self, node: ast.AST) -> tuple[str, ...]:
        if not isinstance(node, (ast.Tuple, ast.List, ast.Set)):
            return ()
        texts = [self.names(item) for item in node.elts]
        return tuple(text for each in texts for text in each) if all(texts) else ()

    def visit_For(self, node: ast.For) -> None:
        self._bind_items(node.target, node.iter)
        self.generic_visit(node)

    def visit_comprehension(self, node: ast.comprehension) -> None:
        self._bind_items(node.target, node.iter)
        self.generic_visit(node)

    def _bind_items(self, goal: ast.AST, items: ast.AST) -> None:
        if isinstance(goal, ast.Name):
            named = self.value(items) if isinstance(items, (ast.Name, ast.Attribute)) else None
            texts = named if isinstance(named, tuple) else self._texts_in(items)
            if texts or self.value(goal) is not None:
                self.scopes[-1][goal.id] = texts or None

    def _visit_comprehended(self, node: Any) -> None:
        # The loop is written after the expression that uses its variable.
        for loop in node.generators:
            self.visit(loop)
        for part in (node.key, node.value) if isinstance(node, ast.DictComp) else (node.elt,):
            self.visit(part)

    visit_ListComp = visit_SetComp = visit_GeneratorExp = visit_DictComp = _visit_comprehended  # noqa: N815 - of ast

    def visit_With(self, node: ast.With | ast.AsyncWith) -> None:
        """Read ``with env.prefixed("SHOP_"):`` of environs."""
        scope, before = self.scopes[-1], dict(self.scopes[-1])
        for item in node.items:
            self.visit(item)
            call = item.context_expr
            if isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute) and call.func.attr == "prefixed":
                kind, given = self.kind(call.func.value), call.args and literals.text(call.args[0])
                if kind and kind.library == libraries.ENVIRONS and given:
                    for name in (call.func.value, item.optional_vars):
                        if isinstance(name, ast.Name):
                            scope[name.id] = replace(kind, prefix=kind.prefix + given)
        for statement in node.body:
            self.visit(statement)
        for item in node.items:
            call = item.context_expr
            if isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute):
                name = call.func.value
                if isinstance(name, ast.Name) and scope.get(name.id) != before.get(name.id):
                    if name.id in before:
                        scope[name.id] = before[name.id]
                    else:
                        del scope[name.id]

    visit_AsyncWith = visit_With  # noqa: N815

    def _visit_function(self, node: Any) -> None:
        for decorator in getattr(node, "decorator_list", []):
            self.visit(decorator)
        arguments = node.args
        scope: dict[str, Any] = {}
        every = [*arguments.posonlyargs, *arguments.args]
        for argument, default in [
            *zip(reversed(every), reversed(arguments.defaults), strict=False),
            *zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True),
        ]:
            if default is not None:
                self.visit(default)
                scope[argument.arg] = self.kind(default)
        for argument in [*every, *arguments.kwonlyargs]:
            noted = libraries.CLASSES.get(self.dotted(argument.annotation)) if argument.annotation else None
            scope.setdefault(argument.arg, Kind(noted, reader=noted) if noted else None)
        self.homes[node] = self.scopes[-1]
        # Names of a class body are not seen from its methods.
        around = [each for each in self.scopes if not any(each is known for known in self._of_classes)]
        self._later.append((node, [*around, scope], [*self.functions, node]))

    visit_FunctionDef = visit_AsyncFunctionDef = visit_Lambda = _visit_function  # noqa: N815

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        from handrail.config.reads import settings

        if (kind := settings.kind_of(node, self)) is not None:
            self.scopes[-1][node.name] = kind
            self.reads += settings.fields(node, kind, self)
        for decorator in node.decorator_list:
            self.visit(decorator)
        self.scopes.append({})
        self._of_classes.append(self.scopes[-1])
        for statement in node.body:
            self.visit(statement)
        self.scopes.pop()

    # What reads.

    def visit_Subscript(self, node: ast.Subscript) -> None:
        kind = self.kind(node.value)
        if kind and kind.library == ENVIRON and isinstance(node.ctx, ast.Load):
            self._found(node, node.slice, kind, required=not literals.is_caught(node, self.parents))
        self.generic_visit(node)

    def visit_Compare(self, node: ast.Compare) -> None:
        for operator, right in zip(node.ops, node.comparators, strict=True):
            kind = self.kind(right) if isinstance(operator, (ast.In, ast.NotIn)) else None
            if kind and kind.library == ENVIRON and len(node.ops) == 1 and self.names(node.left):
                self._found(node, node.left, kind)
        self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> None:
        self._call(node)
        for word in node.keywords:
            if word.arg == "envvar":
                for name in self.names(word.value) or self._texts_in(word.value):
                    self.reads.append(Read(name, self.file, word.value.lineno, "click"))
        self.generic_visit(node)

    def _call(self, node: ast.Call) -> None:
        kind, method = self.kind(node.func), ""
        if kind is None and isinstance(node.func, ast.Attribute):
            kind, method = self.kind(node.func.value), node.func.attr
        if kind is None or kind.library in (ENVIRON, SETTINGS):
            return
        if kind.library == WRAPPER:
            self._wrapped(node, kind)
        elif kind.library == GET:
            default = literals.argument(node, 1, "default")
            needed = kind.required and default is None and not literals.is_caught(node, self.parents)
            self._found(node, literals.argument(node, 0, "key"), kind, default, required=needed)
        elif call := libraries.understand(node, kind.library, method, kind.scheme):
            self._found(node, call.name, kind, call.default, required=call.default is None, type_=call.type)

    def _wrapped(self, node: ast.Call, kind: Kind) -> None:
        default = literals.argument(node, *kind.falls_back) if kind.falls_back else None
        self._found(
            node,
            literals.argument(node, kind.index, kind.named),
            kind,
            default,
            required=kind.required and default is None,
        )

    def _found(
        self,
        node: ast.expr,
        name: ast.AST | None,
        kind: Kind,
        default: ast.AST | None = None,
        *,
        required: bool = False,
        type_: str = "",
    ) -> None:
        """Note a read of what ``name`` spells, or that it is one of a wrapper, or one with an open name."""
        if name is None:
            return
        text = literals.default_text(default) if default is not None else None
        if default is not None and text is None:
            spelled = self.names(default)
            text = spelled[0] if len(spelled) == 1 else None
        used_as, choices, fallback = literals.use_of(node, self.parents)
        names = self.names(name)
        for each in names:
            self.reads.append(
                Read(
                    name=kind.prefix + each,
                    file=self.file,
                    line=node.lineno,
                    reader=kind.reader,
                    type=type_ or used_as,
                    choices=choices if not type_ else (),
                    required=required and fallback is None,
                    default=text if text is not None else fallback,
                )
            )
        if not names and not self._is_wrapper(node, name, kind, default, required=required):
            self.open.append(OpenRead(kind.prefix + literals.beginning(name), self.file, node.lineno))

    def _is_wrapper(
        self, node: ast.expr, name: ast.AST, kind: Kind, default: ast.AST | None, *, required: bool
    ) -> bool:
        """Note the function around ``node`` as a wrapper where ``name`` is one of its parameters."""
        around = self.functions[-1] if self.functions else None
        parameter = literals.parameter_in(name)
        if not isinstance(around, (ast.FunctionDef, ast.AsyncFunctionDef)) or parameter is None:
            return False
        every = [argument.arg for argument in [*around.args.posonlyargs, *around.args.args]]
        if parameter not in every or every[0:1] == [parameter] == ["self"]:
            return False
        bound = 1 if every[:1] in (["self"], ["cls"]) else 0
        falls_back = None
        if isinstance(default, ast.Name) and default.id in every:
            falls_back = (every.index(default.id) - bound, default.id)
        wrapper = Kind(
            WRAPPER,
            kind.prefix + literals.beginning(name),
            reader=kind.reader,
            index=every.index(parameter) - bound,
            named=parameter,
            falls_back=falls_back,
            required=required,
        )
        if bound:
            self.attributes[around.name] = wrapper
        else:
            self.homes[around][around.name] = wrapper
        return True

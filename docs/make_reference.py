"""Makes the reference pages that are read off the code: `make docs`.

`reference/commands.md` comes from the commands themselves, `reference/api.md` from signatures and docstrings. A test
compares what is there with what this would write.
"""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, TypeAlias

import click

ROOT: Final = Path(__file__).parent.parent
MODULES: Final = (
    ("taskq.jobs", "jobs and what is done with them"),
    ("taskq.app", "the application"),
    ("taskq.registry", "the jobs that are known by name"),
    ("taskq.application", "the application in force"),
    ("taskq.verbs", "the same verbs, for the application in force"),
    ("taskq.failed_jobs", "failed jobs"),
    ("taskq.failed_entry", "one failed job, as it is read"),
    ("taskq.config", "the configuration"),
    ("taskq.in_job", "what a job can ask and tell"),
    ("taskq.hook", "the interface of hooks"),
    ("taskq.parts", "what a plugin may use of its application"),
    ("taskq.attempts", "counts in a payload, for those who have jobs performed again"),
    ("taskq.failure_handler", "the interface of failure handlers"),
    ("taskq.serializer", "the interface of serializers"),
    ("taskq.broker", "the interface of brokers"),
    ("taskq.plugins", "what is installed, and `override` for tests"),
    ("taskq.records", "what travels, is held, has failed"),
    ("taskq.errors", "every exception"),
    ("taskq.testing.swap", "the test kit: another backend for a test"),
    ("taskq.testing.queue", "the queues of an application under test"),
    ("taskq.testing.assertions", "what a test asks and asserts"),
    ("taskq.testing.jobs", "what a test looks at"),
    ("taskq.testing.clock", "the clock of a test"),
    ("taskq.testing.case", "the test kit in unittest"),
    ("taskq.testing.stores", "stores for tests, by backend"),
)
# Of modules that hold more than their users need.
ONLY: Final[dict[str, Sequence[str]]] = {
    "taskq.jobs": ("job", "Job", "JobWithOptions", "Verbs", "Call"),
    "taskq.failed_entry": ("FailedJob",),
    "taskq.registry": ("Registry",),
    "taskq.config": ("Config", "load"),
    "taskq.plugins": ("override", "names", "catalogue", "PluginInfo", "PluginProblem"),
    "taskq.testing.assertions": ("Assertions",),
    "taskq.testing.jobs": ("EnqueuedJob", "PerformedJob"),
    "taskq.testing.stores": ("NoStore", "Stores"),
}
LONG: Final = 90
SECTIONS: Final = ("Args", "Attributes", "Returns", "Raises")

Function: TypeAlias = "ast.FunctionDef | ast.AsyncFunctionDef"


def pages() -> dict[str, str]:
    """Each page's text, by its path within docs/."""
    return {"reference/commands.md": commands(), "reference/api.md": api()}


# ---- the command line


def commands() -> str:
    from taskq.cli.main import program

    lines = [
        "# The command line",
        "",
        "This page lists every command, its arguments and its options, as `--help` has them. It is made from the",
        "program itself (`make docs`).",
        "",
        "What stands in brackets behind an option is the variable that says the same, and the default. Options of all",
        "commands may stand before or behind a command's name. What they print is a table on a terminal, lines with",
        "tabs in a pipe, and with `--json` an object a line. Exit codes: [errors and exit codes](errors.md).",
        "",
    ]
    for context in _walk(click.Context(program, info_name="taskq", **program.context_settings)):
        lines += _of_command(context, common=_common(program))
    lines += ["Next: [configuration and environment](configuration.md); [the tutorial](../tutorial.md)."]
    return "\n".join(lines) + "\n"


def _walk(context: click.Context) -> Iterator[click.Context]:
    """The command of this context, and all within it."""
    yield context
    group = context.command
    if isinstance(group, click.Group):
        for name in group.list_commands(context):
            inner = group.get_command(context, name)
            assert inner is not None
            yield from _walk(click.Context(inner, info_name=name, parent=context))


def _common(program: click.Command) -> frozenset[str]:
    return frozenset(option.name or "" for option in program.params) - {"version"}


def _of_command(context: click.Context, *, common: frozenset[str]) -> list[str]:
    path, command = context.command_path, context.command
    usage = " ".join(command.collect_usage_pieces(context))
    lines = [f"## {path}", "", "```text", f"{path} {usage}", "```", ""]
    lines += [*inspect.cleandoc(command.help or "").replace("\b\n", "").splitlines(), ""]
    inner = path != "taskq"
    options = [
        option
        for option in command.params
        if isinstance(option, click.Option) and not (inner and option.name in common)
    ]
    if options:
        lines += ["| option | meaning |", "|---|---|", *(_of_option(option) for option in options), ""]
    if inner:
        lines += ["Also `--broker`, `--app`, `--debug`, as [every command](#taskq).", ""]
    examples = [line.strip() for line in (command.epilog or "").splitlines() if line.startswith("  ")]
    if examples:
        lines += ["```text", *examples, "```", ""]
    return lines


def _of_option(option: click.Option) -> str:
    names = ", ".join(f"`{name}`" for name in sorted(option.opts, key=len, reverse=True))
    takes = "" if option.is_flag or option.count else f" {option.metavar or 'N'}"
    said = re.sub(r"  +", " ", option.help or "")
    if option.show_default and option.default is not None:
        said += f" [{option.default}]"
    return f"| {names}{takes} | {said} |".replace("!exclusion", "`!exclusion`").replace("; *]", r"; \*]")


# ---- the API


def api() -> str:
    lines = [
        "# The API",
        "",
        "This page lists the public names with their signatures and what they promise. It is made from the code",
        "(`make docs`); what a name is for, and examples, are in the how-to pages.",
        "",
        "These are in `taskq` itself: " + ", ".join(f"`{name}`" for name in _public("taskq")) + ".",
        "",
        "Modules: " + ", ".join(f"[`{name}`](#{name.replace('.', '')})" for name, _ in MODULES) + ".",
        "",
    ]
    for module, what in MODULES:
        lines += _of_module(module, what)
    lines += ["Next: [hooks, in their order](hooks.md); [errors and exit codes](errors.md)."]
    return "\n".join(lines) + "\n"


def _public(package: str) -> Sequence[str]:
    tree = _tree(package)
    for node in tree.body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and node.targets[0].id == "__all__":
            names: list[str] = ast.literal_eval(node.value)
            return names
    raise ValueError(f"{package} has no __all__")


def _tree(module: str) -> ast.Module:
    path = ROOT.joinpath(*module.split("."))
    file = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    return ast.parse(file.read_text(encoding="utf-8"))


def _of_module(module: str, what: str) -> list[str]:
    tree = _tree(module)
    wanted = ONLY.get(module) or _public(module)
    lines = [f"## {module}", "", f"{what[:1].upper()}{what[1:]}.", ""]
    for node in tree.body:
        name = getattr(node, "name", None)
        if name not in wanted:
            continue
        if isinstance(node, ast.ClassDef):
            lines += _of_class(node)
        elif isinstance(node, ast.FunctionDef) and not _is_overload(node):
            lines += [*_signature(node.name, node), *_documented(node)]
    return lines


def _of_class(node: ast.ClassDef) -> list[str]:
    bases = ", ".join(ast.unparse(base) for base in node.bases)
    made = next((item for item in node.body if isinstance(item, ast.FunctionDef) and item.name == "__init__"), None)
    lines = [f"### {node.name}", "", "```text", f"class {node.name}" + (f"({bases})" if bases else "")]
    if made is not None:
        lines.append(f"{node.name}{_arguments(made)}")
    lines += [*_fields(node), "```", "", *_documented(node)]
    for item in node.body:
        if not isinstance(item, ast.FunctionDef | ast.AsyncFunctionDef) or item.name.startswith("_"):
            continue
        if not _is_overload(item) and ast.get_docstring(item):
            lines += [*_signature(f"{node.name}.{item.name}", item), *_documented(item)]
    return lines


def _fields(node: ast.ClassDef) -> list[str]:
    """The annotated attributes, with what is said below them."""
    lines = []
    for item, below in zip(node.body, [*node.body[1:], None], strict=True):
        if not (isinstance(item, ast.AnnAssign) and isinstance(item.target, ast.Name)) or item.target.id[0] == "_":
            continue
        if isinstance(below, ast.Expr) and isinstance(below.value, ast.Constant):
            lines += [f"    # {line}" for line in inspect.cleandoc(str(below.value.value)).splitlines()]
        lines.append(f"    {ast.unparse(item)}")
    return lines


def _is_overload(node: Function) -> bool:
    return any(ast.unparse(decorator) == "overload" for decorator in node.decorator_list)


def _signature(name: str, node: Function) -> list[str]:
    if any(ast.unparse(decorator) == "property" for decorator in node.decorator_list):
        said = f"{name}: {ast.unparse(node.returns) if node.returns else 'object'}"
    else:
        returns = f" -> {ast.unparse(node.returns)}" if node.returns else ""
        begins = "async " if isinstance(node, ast.AsyncFunctionDef) else ""
        said = f"{begins}{name}{_arguments(node)}{returns}"
    return [f"#### {name}", "", "```text", said, "```", ""]


def _arguments(node: Function) -> str:
    """The parameters, on a line each where they are long together."""
    args = node.args
    positional = [*args.posonlyargs, *args.args]
    defaults = [None] * (len(positional) - len(args.defaults)) + [*args.defaults]
    said = [_argument(*each) for each in zip(positional, defaults, strict=True)]
    if args.posonlyargs:
        said.insert(len(args.posonlyargs), "/")
    if args.vararg is not None:
        said.append(f"*{_argument(args.vararg, None)}")
    elif args.kwonlyargs:
        said.append("*")
    said += [_argument(*each) for each in zip(args.kwonlyargs, args.kw_defaults, strict=True)]
    if args.kwarg is not None:
        said.append(f"**{_argument(args.kwarg, None)}")
    if said[:1] in (["self"], ["cls"]):
        del said[: 2 if said[1:2] == ["/"] else 1]
    if sum(map(len, said)) > LONG:
        return "(\n" + "".join(f"    {each},\n" for each in said) + ")"
    return f"({', '.join(said)})"


def _argument(argument: ast.arg, default: ast.expr | None) -> str:
    annotation = f": {ast.unparse(argument.annotation)}" if argument.annotation is not None else ""
    equals = " = " if annotation else "="
    return f"{argument.arg}{annotation}" + (f"{equals}{ast.unparse(default)}" if default is not None else "")


def _documented(node: ast.ClassDef | Function) -> list[str]:
    """A docstring as Markdown: sections become lists, examples blocks."""
    lines: list[str] = []
    section = ""
    # Where a fact was read, the page of the wire tells in its own words.
    text = re.sub(r"\s+\(WIRE\.md\s[^)]*\)", "", ast.get_docstring(node) or "")
    for line in text.splitlines():
        name = line.removesuffix(":")
        if line.endswith(":") and name in SECTIONS:
            section = name
            lines += [f"*{name}*", ""]
        elif section and re.match(r"    [\w*]+: ", line):
            argument, _, meaning = line.strip().partition(": ")
            lines.append(f"- `{argument}`: {meaning}")
        elif section and line.startswith("    "):
            item = lines[-1].startswith(("- ", "  "))
            lines.append(f"  {line.strip()}" if item else line.strip())
        else:
            section = "" if line.strip() else section
            lines.append(line)
    return [*lines, ""]


def main() -> None:
    for name, text in pages().items():
        (ROOT / "docs" / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()

"""The only module that knows stevedore: it finds what is installed under a name, and says what is wrong with it.

Installed is not enabled: nothing is imported but what is asked for by name, and nothing here decides what that is.
A test puts an object of its own under a name with `override`, and needs no package for it.
Both stevedore (30 ms) and importlib.metadata are imported when the first plugin is wanted, not before.
"""

from __future__ import annotations

import contextlib
import dataclasses
import inspect
import re
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Final, Literal, TypeAlias, TypeGuard, overload

from taskq.broker import Backend, Broker
from taskq.errors import ConfigurationError, PluginError, Problem, TaskqError, nearest
from taskq.failure_handler import FailureHandler
from taskq.hook import Hook
from taskq.interfaces import misfits, misspelt, refusal
from taskq.scoped import Scoped
from taskq.serializer import Serializer
from taskq.urls import backend_name

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

__all__ = [
    "BACKENDS",
    "COMMANDS",
    "FAILURE_HANDLERS",
    "HOOKS",
    "NAMESPACES",
    "SERIALIZERS",
    "TEST_STORES",
    "PluginInfo",
    "PluginProblem",
    "catalogue",
    "create_all",
    "is_broker",
    "load",
    "load_all",
    "missing",
    "names",
    "open_broker",
    "origin",
    "override",
]

BACKENDS: Final = "taskq.backends"
"""Each names a `taskq.broker.Backend`; its name is the scheme of the URLs that it opens."""
SERIALIZERS: Final = "taskq.serializers"
"""Each names what, called without arguments, gives a `taskq.serializer.Serializer`."""
FAILURE_HANDLERS: Final = "taskq.failure_handlers"
"""Each names what, called without arguments, gives a `taskq.failure_handler.FailureHandler`."""
HOOKS: Final = "taskq.hooks"
"""Each names what, called without arguments, gives a hook (see `taskq.hook.Hook`)."""
COMMANDS: Final = "taskq.commands"
"""Each names a further command of the `taskq` program."""
TEST_STORES: Final = "taskq.test_stores"
"""Each names what makes stores of a backend for tests, see `taskq.testing.stores.Stores`."""

NAMESPACES: Final[Mapping[str, str]] = {
    BACKENDS: "backend",
    SERIALIZERS: "serializer",
    FAILURE_HANDLERS: "failure handler",
    HOOKS: "hook",
    COMMANDS: "command",
    TEST_STORES: "test store",
}
"""Every namespace of entry points that taskq reads, with the word for one plugin of it."""

_INTERFACES: Final[Mapping[str, type]] = {
    BACKENDS: Broker,
    SERIALIZERS: Serializer,
    FAILURE_HANDLERS: FailureHandler,
    HOOKS: Hook,
}
_MUST_HAVE: Final[Mapping[str, tuple[str, ...]]] = {
    BACKENDS: tuple(sorted(Broker.__abstractmethods__)),
    SERIALIZERS: ("name", "dumps", "loads"),
    FAILURE_HANDLERS: ("decide", "decided"),
}


@dataclass(frozen=True, slots=True)
class PluginProblem(Problem):
    """What is wrong with one plugin.

    Attributes:
        namespace: the namespace it was looked for in.
        name: the name that was asked for.
        distributions: what gives that name, as `name version`; empty where nothing does, two where two do. In the
            force of `override` it says so.
        cause: the exception that it raised when it was imported or made; None where it did not come to that.
        near: the name that was probably meant, where it is missing.
        install: what to give to `pip install`, where an extra or a package is missing.
    """

    namespace: str = ""
    name: str = ""
    distributions: tuple[str, ...] = ()
    cause: BaseException | None = None
    near: str | None = None
    install: str | None = None


@dataclass(frozen=True, slots=True)
class PluginInfo:
    """One installed plugin, for `taskq plugins`.

    Attributes:
        namespace: one of `NAMESPACES`.
        name: what the configuration calls it.
        target: what its entry point names, `module:object`.
        distribution: the distribution that it came with; "plugins.override(...)" for one that `override` put there.
        version: that one's version; empty where there is none.
        error: why it does not load; None where it does.
    """

    namespace: str
    name: str
    target: str
    distribution: str
    version: str
    error: str | None


@dataclass(frozen=True, slots=True)
class _Override:
    """A plugin that `override` gave: it stands where an entry point would, and looks like one."""

    name: str
    plugin: object
    dist: None = None
    extras: tuple[str, ...] = ()

    @property
    def value(self) -> str:
        """What an entry point would name."""
        kind = self.plugin if hasattr(self.plugin, "__qualname__") else type(self.plugin)
        return f"{getattr(kind, '__module__', '?')}:{getattr(kind, '__qualname__', '?')}"

    def load(self, namespace: str) -> object:
        """What an entry point would give: what makes the plugin; for a command, the command itself."""
        if namespace == BACKENDS and is_broker(self.plugin):
            return self._open
        if namespace in (BACKENDS, COMMANDS) or isinstance(self.plugin, type) or inspect.isroutine(self.plugin):
            return self.plugin
        return lambda: self.plugin

    def _open(self, source: object, /, *, namespace: str | None = None, failed_max: int | None = None) -> object:
        return self.plugin


_Entry: TypeAlias = "EntryPoint | _Override"

_overrides: Final[Scoped[Mapping[tuple[str, str], _Override]]] = Scoped("taskq_plugins")


@contextlib.contextmanager
def override(namespace: str, name: str, plugin: object, /) -> Iterator[None]:
    """Have a name mean this plugin for a while, as if it were installed.

    For the tests of a plugin that is no package yet, or to put another one in an installed one's place:
    `with override(HOOKS, "audit", Audit()):`. `taskq plugins` lists it. Who sees it: as with `using(...)`, the code
    within, and from the main thread every thread of the process. An application that had loaded its plugins before
    keeps them.

    Args:
        namespace: one of `NAMESPACES`.
        name: what a configuration calls it; for a backend the scheme of its URLs.
        plugin: what an entry point would name: a class or a function, which is called to make the plugin. Or the
            plugin itself, ready: a serializer, a failure handler, a hook, a click command; or a broker, which is then
            what every URL of that scheme means.
    """
    _check_namespace(namespace)
    if not name:
        raise ValueError("override: the name is empty. A configuration has to call the plugin something.")
    within = {**(_overrides.value() or {}), (namespace, name): _Override(name, plugin)}
    with _overrides.within(within):
        yield


def names(namespace: str) -> Sequence[str]:
    """The names that are installed in a namespace, sorted, each once. Imports none of them."""
    overridden = {name for space, name in _overrides.value() or () if space == namespace}
    return sorted({entry.name for entry in _entries(namespace)} | overridden)


def origin(namespace: str, name: str) -> str:
    """Who gives the plugins of this name, as `name version`, for an error; empty where nobody does."""
    return " and ".join(_shown(entry) for entry in _named(namespace, name))


@overload
def load(namespace: Literal["taskq.backends"], name: str, *, source: str | None = None) -> Backend: ...
@overload
def load(namespace: str, name: str, *, source: str | None = None) -> object: ...
def load(namespace: str, name: str, *, source: str | None = None) -> object:
    """What one entry point names, imported and not called.

    Args:
        namespace: one of `NAMESPACES`.
        name: the plugin's name.
        source: the place it was configured in, for the error.

    Raises:
        PluginError: it is missing, broken, there twice, or needs an extra.
    """
    return load_all(namespace, [name], source=source)[0]


def load_all(namespace: str, names: Iterable[str], *, source: str | None = None) -> list[object]:
    """What these entry points name, imported and not called, in the order of the names.

    Raises:
        PluginError: all that is wrong with any of them, one problem a plugin.
    """
    return _each(namespace, names, source, make=False)


@overload
def create_all(
    namespace: Literal["taskq.serializers"], plugins: Iterable[object], *, source: str | None = None
) -> list[Serializer]: ...
@overload
def create_all(
    namespace: Literal["taskq.failure_handlers"], plugins: Iterable[object], *, source: str | None = None
) -> list[FailureHandler]: ...
@overload
def create_all(namespace: str, plugins: Iterable[object], *, source: str | None = None) -> list[object]: ...
def create_all(
    namespace: str, plugins: Iterable[object], *, source: str | None = None
) -> list[Serializer] | list[FailureHandler] | list[object]:
    """The plugins of these names, imported and made: each entry point is called without arguments.

    What is no text is taken as a plugin that is made already, so that an application can give its own object.

    Raises:
        PluginError: all that is wrong with any of them, one problem a plugin.
    """
    return _each(namespace, plugins, source, make=True)


def is_broker(source: object) -> TypeGuard[Broker]:
    """Whether this is a broker already: it has every method that `taskq.broker.Broker` promises."""
    promised: frozenset[str] = Broker.__abstractmethods__
    return all(hasattr(source, method) for method in promised)


def open_broker(
    source: object, *, namespace: str | None = None, failed_max: int | None = None, place: str = "broker"
) -> Broker:
    """The broker of an address, by the backend that its scheme or its class names. Connects to nothing yet.

    Args:
        source: a URL, one of Resque's short forms, a client object, or a broker, which is given back as it is.
        namespace: what sets its data apart from others' in the same store; what the URL itself says wins.
        failed_max: how many entries a failed list keeps; None keeps all.
        place: where the address was configured, for the error.

    Raises:
        ConfigurationError: the address names no installed backend, or the backend cannot understand it.
        PluginError: the backend is broken, there twice, or needs an extra.
    """
    problem: Problem | None
    if is_broker(source):
        problem = _lacking(BACKENDS, source, source, place)
        if problem is not None:
            raise PluginError([problem])
        return source
    name = backend_name(source, names(BACKENDS), place=place)
    backend = load(BACKENDS, name, source=place)
    if (wrong := _unmade(BACKENDS, backend)) is not None:
        raise PluginError([_unfit(BACKENDS, name, wrong, place, unmade=True)]) from None
    try:
        broker = backend(source, namespace=namespace, failed_max=failed_max)
        problem = _lacking(BACKENDS, name, broker, place)
    except ConfigurationError as error:
        # Only we know where the address was configured; the cause is cut, for it may show the address's password.
        placed = [dataclasses.replace(problem, source=place) for problem in error.problems]
        raise type(error)(placed) from None
    except TaskqError:
        raise
    except Exception as error:
        problem = _cannot_open(name, error, place)
    if problem is not None:
        raise PluginError([problem]) from None
    return broker


def catalogue() -> list[PluginInfo]:
    """Every installed plugin of every namespace, by namespace and name. Imports each, to see whether it loads."""
    found = []
    for namespace in NAMESPACES:
        for name in names(namespace):
            entries = _named(namespace, name)
            loaded, failed = _import(namespace, entries)
            for entry in entries:
                problem: PluginProblem | None = None
                if len(entries) > 1:
                    problem = _doubled(namespace, name, entries, namespace)
                elif entry.value not in loaded:
                    problem = _broken(namespace, entry, failed[entry.value], namespace)
                elif (wrong := _unmade(namespace, loaded[entry.value])) is not None:
                    problem = _unfit(namespace, name, wrong, namespace, unmade=True)
                distribution, version = _distribution(entry)
                found.append(
                    PluginInfo(
                        namespace,
                        name,
                        entry.value,
                        distribution,
                        version,
                        None if problem is None else problem.message,
                    )
                )
    return found


def _each(namespace: str, plugins: Iterable[object], source: str | None, *, make: bool) -> list[object]:
    place = source or namespace
    found: list[object] = []
    problems: list[Problem] = []
    for plugin in plugins:
        made = _one(namespace, plugin, place, make=make) if isinstance(plugin, str) else plugin
        if not isinstance(made, PluginProblem):
            lacking = _lacking(namespace, plugin, made, place) if make else None
            if lacking is None:
                found.append(made)
                continue
            made = lacking
        problems.append(made)
    if problems:
        causes = (problem.cause for problem in problems if isinstance(problem, PluginProblem))
        raise PluginError(problems) from next((cause for cause in causes if cause is not None), None)
    return found


def _one(namespace: str, name: str, place: str, *, make: bool) -> object:
    """One plugin, or its problem: raising it here would hide those of the others."""
    entries = _named(namespace, name)
    if not entries:
        return _missing(namespace, name, place)
    if len(entries) > 1:
        return _doubled(namespace, name, entries, place)
    entry = entries[0]
    loaded, failed = _import(namespace, entries)
    if entry.value not in loaded:
        return _broken(namespace, entry, failed[entry.value], place)
    target = loaded[entry.value]
    if not make:
        return target
    try:
        # Called here and not by stevedore, whose `.driver` gives the class back where the instance is falsy.
        return target()  # type: ignore[operator]
    except Exception as error:
        return _broken(namespace, entry, error, place)


def _import(namespace: str, entries: Sequence[_Entry]) -> tuple[dict[str, object], dict[str, BaseException]]:
    """What entry points of one name give, and what those that fail raised, both by target."""
    if isinstance(entries[0], _Override):
        return {entries[0].value: entries[0].load(namespace)}, {}
    from stevedore.named import NamedExtensionManager

    failed: dict[str, BaseException] = {}
    # stevedore's own list of entry points comes from a cache on disk, up to 128 s old, and has lost the distributions.
    NamedExtensionManager.ENTRY_POINT_CACHE[namespace] = list(_entries(namespace))
    try:
        # One name at a time, read from `extensions`: so a failure belongs to a name, duplicates that do not stand side
        # by side are not missed, and nothing is looked up by name or mapped, which raises where nothing is loaded.
        extensions: NamedExtensionManager[object] = NamedExtensionManager(
            namespace,
            [entries[0].name],
            on_load_failure_callback=lambda _manager, entry, error: failed.update({entry.value: error}),
            on_missing_entrypoints_callback=None,
        )
    except (AssertionError, SystemExit) as error:
        # stevedore lets these through: a module that asserts, or that exits when it is imported.
        return {}, {entry.value: error for entry in entries}
    return {extension.entry_point.value: extension.plugin for extension in extensions.extensions}, failed


@lru_cache(maxsize=1)
def _scan(path: tuple[str, ...]) -> Mapping[str, tuple[EntryPoint, ...]]:
    """All entry points that concern taskq, by namespace, of the distributions on this `sys.path`."""
    from importlib.metadata import entry_points

    found = entry_points()
    return {namespace: tuple(found.select(group=namespace)) for namespace in NAMESPACES}


def _check_namespace(namespace: str) -> None:
    if namespace not in NAMESPACES:
        raise ValueError(f"{namespace!r} is not a namespace of taskq's plugins: {', '.join(NAMESPACES)}")


def _entries(namespace: str) -> tuple[EntryPoint, ...]:
    _check_namespace(namespace)
    return _scan(tuple(sys.path))[namespace]


def _named(namespace: str, name: str) -> list[_Entry]:
    overridden = (_overrides.value() or {}).get((namespace, name))
    if overridden is not None:
        return [overridden]
    return [entry for entry in _entries(namespace) if entry.name == name]


def _distribution(entry: _Entry) -> tuple[str, str]:
    if isinstance(entry, _Override):
        return "plugins.override(...)", ""
    return (entry.dist.name, entry.dist.version) if entry.dist is not None else ("an unknown distribution", "")


def _shown(entry: _Entry) -> str:
    return " ".join(_distribution(entry)).rstrip()


def missing(namespace: str, wanted: Iterable[str], *, source: str | None = None) -> Sequence[PluginProblem]:
    """What to say of those of these names that no installed plugin has. Loads none."""
    installed = names(namespace)
    return [_missing(namespace, name, source or namespace) for name in wanted if name not in installed]


def _missing(namespace: str, name: str, place: str) -> PluginProblem:
    kind = NAMESPACES[namespace]
    near = nearest(name, names(namespace))
    meant = f" Did you mean {near}?" if near else ""
    installed = ", ".join(names(namespace)) or "none"
    fix = "" if near else " Install the package that has it, or take the name out."
    return PluginProblem(
        setting=kind,
        source=place,
        message=f'no {kind} "{name}" is installed (namespace {namespace}).{meant} Installed: {installed}.{fix}',
        namespace=namespace,
        name=name,
        near=near,
    )


def _doubled(namespace: str, name: str, entries: Sequence[_Entry], place: str) -> PluginProblem:
    kind = NAMESPACES[namespace]
    givers = " and ".join(f"{_shown(entry)} ({entry.value})" for entry in entries)
    return PluginProblem(
        setting=kind,
        source=place,
        message=f'the {kind} "{name}" is there {len(entries)} times: {givers}. Uninstall all but one of them.',
        namespace=namespace,
        name=name,
        distributions=tuple(_shown(entry) for entry in entries),
    )


def _broken(namespace: str, entry: _Entry, cause: BaseException, place: str) -> PluginProblem:
    kind = NAMESPACES[namespace]
    install = _to_install(entry, cause)
    if isinstance(cause, ConfigurationError):
        # The plugin said itself what it needs.
        message = " ".join(problem.message for problem in cause.problems)
    elif install is not None:
        message = (
            f'the {kind} "{entry.name}" of {_shown(entry)} needs the package {getattr(cause, "name", None)}: '
            f'pip install "{install}".'
        )
    else:
        message = (
            f'the {kind} "{entry.name}" of {_shown(entry)} does not load: '
            f"{type(cause).__name__}: {cause} ({entry.value}). Mend or uninstall it, or do not enable it."
        )
    return PluginProblem(
        setting=kind,
        source=place,
        message=message,
        namespace=namespace,
        name=entry.name,
        distributions=(_shown(entry),),
        cause=cause,
        install=install,
    )


def _lacking(namespace: str, plugin: object, made: object, place: str) -> PluginProblem | None:
    """The problem of a plugin that is not what its namespace promises; None for one that is."""
    wrong = _wrong(namespace, made)
    return None if wrong is None else _unfit(namespace, plugin, wrong, place)


def _unfit(namespace: str, plugin: object, wrong: str, place: str, *, unmade: bool = False) -> PluginProblem:
    kind = NAMESPACES[namespace]
    name = plugin if isinstance(plugin, str) else _name_of(plugin)
    entries = _named(namespace, plugin) if isinstance(plugin, str) else []
    given = f" of {_shown(entries[0])}" if entries else ""
    interface = Backend if unmade and namespace == BACKENDS else _INTERFACES[namespace]
    return PluginProblem(
        setting=kind,
        source=place,
        message=f'"{name}"{given} is no {kind}: {wrong}. '
        f'What it has to have: help("{interface.__module__}.{interface.__qualname__}").',
        namespace=namespace,
        name=name,
        distributions=tuple(_shown(entry) for entry in entries),
    )


def _wrong(namespace: str, made: object) -> str | None:
    """Why this is no plugin of this namespace; None for one that is, as far as it can be seen."""
    interface = _INTERFACES.get(namespace)
    if interface is None:
        return None
    if isinstance(made, type):
        return f"{made.__qualname__} is a class. Give an object of it: {made.__qualname__}()"
    missing = [attribute for attribute in _MUST_HAVE.get(namespace, ()) if not hasattr(made, attribute)]
    return _unlike(made, interface, missing)


def _unlike(made: object, interface: type, missing: list[str]) -> str | None:
    """How a plugin differs from its interface, of which it lacks what it must have; None where it does not."""
    who = _name_of(made)
    if missing:
        return "; ".join([f"{who} has no {', '.join(missing)}", *misspelt(made, interface)])
    if interface is Hook and not _has_some(made):
        return "; ".join([f"{who} has none of the methods of one", *misspelt(made, interface)])
    return "; ".join(misfits(made, interface)) or None


def _has_some(hook: object) -> bool:
    """Whether it has any method of a hook; who inherits from `Hook` has said that it is one."""
    return any(hasattr(hook, name) for name, value in vars(Hook).items() if inspect.isfunction(value))


def _unmade(namespace: str, target: object) -> str | None:
    """What can be seen to be wrong with what an entry point names, without calling it; None for nothing."""
    interface = _INTERFACES.get(namespace)
    if interface is None:
        return None
    if not callable(target):
        return f"its entry point names an object of type {type(target).__qualname__}, and no class or function"
    of_a_backend = namespace == BACKENDS
    wrong = refusal(target, Backend.__call__ if of_a_backend else _without_arguments, method=of_a_backend)
    if wrong is not None:
        return f"{getattr(target, '__qualname__', type(target).__qualname__)} {wrong}"
    if of_a_backend or not isinstance(target, type):
        return None
    missing = [method for method in _MUST_HAVE.get(namespace, ()) if method != "name" and not hasattr(target, method)]
    return _unlike(target, interface, missing)


def _without_arguments() -> None:
    """How entry points are called whose namespace says nothing else."""


def _name_of(plugin: object) -> str:
    return plugin.__qualname__ if isinstance(plugin, type) else type(plugin).__qualname__


def _cannot_open(name: str, error: Exception, place: str) -> PluginProblem:
    """The problem of a backend that raises what no backend may, when it is given an address."""
    entry = _named(BACKENDS, name)[0]
    if isinstance(error, ImportError):  # its library is imported when it is first needed, and is not there
        return _broken(BACKENDS, entry, error, place)
    # Neither the exception's text nor the exception: either may show the address, and a password in it.
    message = (
        f'the backend "{name}" of {_shown(entry)} cannot open an address: it raised {type(error).__name__}'
        f'{_where(error)}. Mend or uninstall it. What it has to be: help("taskq.broker.Backend").'
    )
    return PluginProblem(
        setting="backend",
        source=place,
        message=message,
        namespace=BACKENDS,
        name=name,
        distributions=(_shown(entry),),
    )


def _where(error: Exception) -> str:
    """The file and line that raised it."""
    innermost = error.__traceback__
    while innermost is not None and innermost.tb_next is not None:
        innermost = innermost.tb_next
    return f" ({innermost.tb_frame.f_code.co_filename}, line {innermost.tb_lineno})" if innermost else ""


def _to_install(entry: _Entry, cause: BaseException) -> str | None:
    """What `pip install` is to be given, where a plugin fails because a package is not there; None if it is not that.

    That is the extra which the entry point states, or in which its distribution lists the missing package; or the
    package itself, where the distribution requires it in any case.
    """
    if not isinstance(cause, ModuleNotFoundError) or not cause.name or entry.dist is None:
        return None
    if entry.extras:
        return f"{entry.dist.name}[{','.join(entry.extras)}]"
    missing = _normal(cause.name.partition(".")[0])
    for requirement in entry.dist.requires or ():
        package = re.match(r"[\w.-]+", requirement)
        if package is not None and _normal(package[0]) == missing:
            extra = re.search(r"extra\s*==\s*['\"]([^'\"]+)", requirement)
            return f"{entry.dist.name}[{extra[1]}]" if extra else requirement.partition(";")[0].strip()
    return None


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from taskq import plugins
from taskq.app import TaskQ
from taskq.broker import Broker
from taskq.errors import ConfigurationError, PluginError
from taskq.hook import Hook
from taskq.plugins import PluginProblem
from taskq_memory import MemoryBroker
from tests.support.distributions import SitePackages

HOOK = "class Hook:\n    name = 'acme'\n    def flush(self): ...\n"


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SitePackages]:
    """An empty folder of distributions, first on the path. Install before the first look: a path is scanned once."""
    before = set(sys.modules)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield SitePackages(tmp_path)
    for module in set(sys.modules) - before:
        if str(tmp_path) in str(getattr(sys.modules[module], "__file__", None)):
            del sys.modules[module]


class Mine(Hook):
    name = "mine"

    def flush(self) -> None: ...


def problems_of(error: pytest.ExceptionInfo[PluginError]) -> list[PluginProblem]:
    found = [problem for problem in error.value.problems if isinstance(problem, PluginProblem)]
    assert len(found) == len(error.value.problems)
    return found


def failure(namespace: str, name: str) -> PluginProblem:
    with pytest.raises(PluginError) as caught:
        plugins.load(namespace, name, source="taskq.toml hooks")
    (problem,) = problems_of(caught)
    assert problem.source == "taskq.toml hooks"
    assert (problem.namespace, problem.name) == (namespace, name)
    return problem


class TestLoad:
    def test_it_gives_what_the_entry_point_names(self, site: SitePackages) -> None:
        site.install("acme", entry_points={"taskq.hooks": ["acme = acme_hook:Hook"]}, modules={"acme_hook": HOOK})
        assert plugins.load(plugins.HOOKS, "acme") is sys.modules["acme_hook"].Hook

    def test_it_imports_nothing_that_was_not_asked_for(self, site: SitePackages) -> None:
        site.install(
            "acme",
            entry_points={"taskq.hooks": ["other = acme_other:Hook", "acme = acme_hook:Hook"]},
            modules={"acme_hook": HOOK, "acme_other": "raise RuntimeError('imported')"},
        )
        plugins.load(plugins.HOOKS, "acme")
        assert "acme_other" not in sys.modules

    def test_a_name_that_is_missing_is_answered_with_the_nearest_and_all_that_there_are(
        self, site: SitePackages
    ) -> None:
        site.install("acme", entry_points={"taskq.hooks": ["tracing = x:Hook", "acme = x:Hook"]})
        problem = failure(plugins.HOOKS, "tracng")
        assert problem.near == "tracing"
        assert problem.distributions == ()
        assert problem.message == (
            'no hook "tracng" is installed (namespace taskq.hooks). Did you mean tracing? '
            "Installed: acme, latency, limit, logging, results, retry, tracing, unique."
        )

    def test_a_name_that_nothing_comes_near_is_answered_with_what_to_do(self) -> None:
        assert failure(plugins.HOOKS, "zzz").message == (
            'no hook "zzz" is installed (namespace taskq.hooks). Installed: latency, limit, logging, results, '
            "retry, unique. "
            "Install the package that has it, or take the name out."
        )

    @pytest.mark.parametrize(
        ("source", "cause", "said"),
        [
            ("import no_such_module", ModuleNotFoundError, "No module named 'no_such_module'"),
            ("raise RuntimeError('boom')", RuntimeError, "boom"),
            ("assert False, 'stevedore lets this through'", AssertionError, "stevedore lets this through"),
            ("raise SystemExit(3)", SystemExit, "3"),
            ("def (", SyntaxError, "invalid syntax"),
            ("", AttributeError, "Hook"),
        ],
    )
    def test_a_broken_one_names_its_distribution_and_its_cause(
        self, site: SitePackages, source: str, cause: type[BaseException], said: str
    ) -> None:
        site.install(
            "acme", "2.1", entry_points={"taskq.hooks": ["acme = acme_hook:Hook"]}, modules={"acme_hook": source}
        )
        problem = failure(plugins.HOOKS, "acme")
        assert isinstance(problem.cause, cause)
        assert problem.distributions == ("acme 2.1",)
        assert problem.install is None
        assert problem.message.startswith(f'the hook "acme" of acme 2.1 does not load: {cause.__name__}: ')
        assert said in problem.message
        assert "acme_hook:Hook" in problem.message

    def test_two_distributions_that_give_one_name_are_both_named(self, site: SitePackages) -> None:
        # Not side by side in the list of entry points, which is where stevedore misses them.
        site.install(
            "a-hooks", entry_points={"taskq.hooks": ["acme = a_hook:Hook", "b = a_hook:Hook"]}, modules={"a_hook": HOOK}
        )
        site.install("c-hooks", "3", entry_points={"taskq.hooks": ["acme = c_hook:Hook"]}, modules={"c_hook": HOOK})
        problem = failure(plugins.HOOKS, "acme")
        assert set(problem.distributions) == {"a-hooks 1.0", "c-hooks 3"}
        assert 'the hook "acme" is there 2 times' in problem.message
        assert "a-hooks 1.0 (a_hook:Hook)" in problem.message
        assert "c-hooks 3 (c_hook:Hook)" in problem.message
        assert plugins.load(plugins.HOOKS, "b") is sys.modules["a_hook"].Hook

    @pytest.mark.parametrize(
        ("entry", "requires", "install"),
        [
            ("p = acme_p:P", ['no-such.module>=1; extra == "speed"'], "acme[speed]"),
            ("p = acme_p:P", ["no_such_module >=1 ; python_version > '3'"], "no_such_module >=1"),
            ("p = acme_p:P [speed]", [], "acme[speed]"),
        ],
    )
    def test_a_missing_extra_says_what_to_install(
        self, site: SitePackages, entry: str, requires: list[str], install: str
    ) -> None:
        site.install(
            "acme",
            entry_points={"taskq.serializers": [entry]},
            modules={"acme_p": "import no_such_module"},
            requires=["other", *requires],
        )
        problem = failure(plugins.SERIALIZERS, "p")
        assert problem.install == install
        assert problem.message == (
            f'the serializer "p" of acme 1.0 needs the package no_such_module: pip install "{install}".'
        )

    def test_the_built_in_plugins_are_found_by_the_rules_of_all_others(self) -> None:
        assert plugins.names(plugins.BACKENDS) == ["memory", "redis", "rediss", "sqlite", "unix"]
        assert plugins.load(plugins.BACKENDS, "memory").__module__.startswith("taskq_memory")

    def test_a_namespace_that_taskq_has_not_is_a_mistake_in_the_program(self) -> None:
        with pytest.raises(ValueError, match=r"taskq\.hoks"):
            plugins.names("taskq.hoks")


class TestLoadAll:
    def test_it_keeps_the_order_of_the_names(self, site: SitePackages) -> None:
        site.install("acme", entry_points={"taskq.hooks": ["a = m:A", "b = m:B"]}, modules={"m": "A, B = 'A', 'B'"})
        assert plugins.load_all(plugins.HOOKS, ["b", "a"]) == ["B", "A"]
        assert plugins.load_all(plugins.HOOKS, []) == []

    def test_all_that_is_wrong_comes_at_once(self, site: SitePackages) -> None:
        site.install(
            "acme",
            entry_points={"taskq.hooks": ["good = m:A", "bad = m:missing", "worse = n:A"]},
            modules={"m": "A = 1", "n": "1 / 0"},
        )
        with pytest.raises(PluginError) as caught:
            plugins.load_all(plugins.HOOKS, ["bad", "good", "nowhere", "worse"], source="TASKQ_HOOKS")
        assert [problem.name for problem in problems_of(caught)] == ["bad", "nowhere", "worse"]
        assert str(caught.value).count("TASKQ_HOOKS: ") == 3


class TestCreateAll:
    def test_it_calls_what_the_entry_point_names(self, site: SitePackages) -> None:
        site.install("acme", entry_points={"taskq.hooks": ["acme = acme_hook:Hook"]}, modules={"acme_hook": HOOK})
        (hook,) = plugins.create_all(plugins.HOOKS, ["acme"])
        assert type(hook) is sys.modules["acme_hook"].Hook

    def test_an_instance_that_is_false_is_an_instance(self, site: SitePackages) -> None:
        module = "class Empty(list):\n    name = 'acme'\n    def flush(self): ...\n"
        site.install("acme", entry_points={"taskq.hooks": ["acme = m:Empty"]}, modules={"m": module})
        (hook,) = plugins.create_all(plugins.HOOKS, ["acme"])
        assert type(hook) is sys.modules["m"].Empty

    def test_an_object_is_taken_as_it_is(self) -> None:
        mine = Mine()
        assert plugins.create_all(plugins.HOOKS, [mine]) == [mine]

    def test_one_that_cannot_be_made_is_a_problem_like_others(self, site: SitePackages) -> None:
        site.install(
            "acme", entry_points={"taskq.hooks": ["a = m:A", "b = m:B"]}, modules={"m": "A = 1\ndef B(x): ..."}
        )
        with pytest.raises(PluginError) as caught:
            plugins.create_all(plugins.HOOKS, ["a", "b"])
        first, second = problems_of(caught)
        assert "'int' object is not callable" in first.message
        assert "missing 1 required positional argument" in second.message

    def test_a_plugin_that_says_itself_what_it_needs_is_quoted(self, site: SitePackages) -> None:
        module = (
            "from taskq.errors import ConfigurationError, Problem\n"
            "def make(): raise ConfigurationError([Problem('x', 'y', 'acme needs a key: set ACME_KEY.')])\n"
        )
        site.install("acme", entry_points={"taskq.hooks": ["acme = m:make"]}, modules={"m": module})
        with pytest.raises(PluginError) as caught:
            plugins.create_all(plugins.HOOKS, ["acme"], source="TASKQ_HOOKS")
        assert str(caught.value) == "TASKQ_HOOKS: acme needs a key: set ACME_KEY."

    def test_one_that_keeps_not_its_namespaces_promise_is_refused(self, site: SitePackages) -> None:
        module = "class S:\n    name = 's'\n    def dumps(self): ...\n"
        site.install("acme", entry_points={"taskq.serializers": ["s = m:S"]}, modules={"m": module})
        with pytest.raises(PluginError) as caught:
            plugins.create_all(plugins.SERIALIZERS, ["s", object()])
        first, second = problems_of(caught)
        assert first.message == (
            '"s" of acme 1.0 is no serializer: S has no loads. '
            'What it has to have: help("taskq.serializer.Serializer").'
        )
        assert second.message.startswith('"object" is no serializer: object has no name, dumps, loads. ')

    def test_a_hook_without_any_method_of_one_is_refused(self) -> None:
        with pytest.raises(PluginError) as caught:
            plugins.create_all(plugins.HOOKS, [object()])
        assert str(caught.value) == (
            'taskq.hooks: "object" is no hook: object has none of the methods of one. '
            'What it has to have: help("taskq.hook.Hook").'
        )

    @pytest.mark.parametrize("namespace", [plugins.SERIALIZERS, plugins.FAILURE_HANDLERS, plugins.HOOKS])
    def test_a_class_where_an_object_belongs_is_answered_with_the_object(self, namespace: str) -> None:
        with pytest.raises(PluginError, match=r"Mine is a class\. Give an object of it: Mine\(\)\."):
            plugins.create_all(namespace, [Mine])

    def test_the_cause_is_the_errors_own(self, site: SitePackages) -> None:
        site.install("acme", entry_points={"taskq.hooks": ["acme = m:A"]}, modules={"m": "1 / 0"})
        with pytest.raises(PluginError) as caught:
            plugins.create_all(plugins.HOOKS, ["acme"])
        assert isinstance(caught.value.__cause__, ZeroDivisionError)


class TestCatalogue:
    def test_it_lists_every_plugin_with_what_is_wrong_with_it(self, site: SitePackages) -> None:
        site.install(
            "one",
            entry_points={
                "taskq.hooks": ["good = m:Hook", "bad = m:B", "twice = m:Hook", "number = m:A", "wrong = m:Wrong"],
                "taskq.serializers": ["half = m:Hook"],
            },
            modules={"m": f"{HOOK}A = 1\nclass Wrong:\n    def __init__(self, size): ...\n"},
        )
        site.install("two", "2", entry_points={"taskq.hooks": ["twice = m:A"]})
        listed = {
            (info.name, info.distribution): info for info in plugins.catalogue() if info.namespace == "taskq.hooks"
        }
        [half] = [info for info in plugins.catalogue() if info.name == "half"]
        assert str(half.error).startswith('"half" of one 1.0 is no serializer: Hook has no dumps, loads.')
        assert [name for name, _ in listed] == sorted(name for name, _ in listed)
        assert listed["good", "one"] == plugins.PluginInfo("taskq.hooks", "good", "m:Hook", "one", "1.0", None)
        assert "names an object of type int" in str(listed["number", "one"].error)
        assert '"wrong" of one 1.0 is no hook: Wrong takes (size), and is called' in str(listed["wrong", "one"].error)
        assert "does not load: AttributeError" in str(listed["bad", "one"].error)
        assert "is there 2 times" in str(listed["twice", "one"].error)
        assert listed["twice", "two"].version == "2"
        assert listed["twice", "two"].error == listed["twice", "one"].error

    def test_it_has_the_built_in_plugins(self) -> None:
        ours = {(info.namespace, info.name) for info in plugins.catalogue() if info.distribution == "taskq"}
        assert {
            ("taskq.backends", "memory"),
            ("taskq.serializers", "msgpack"),
            ("taskq.failure_handlers", "broker"),
        } <= ours


BACKEND = f"""
from taskq.errors import ConfigurationError, Problem
class Client: ...
class AcmeBroker:
    def __init__(self, *said): self.said = said
for method in {sorted(Broker.__abstractmethods__)!r}:
    setattr(AcmeBroker, method, lambda self, *args, **kwargs: None)
def open_broker(source, /, *, namespace=None, failed_max=None):
    if source == 'acme://broken':
        raise ConfigurationError([Problem('broker', 'elsewhere', 'a port is missing.')])
    return AcmeBroker(source, namespace, failed_max)
"""


class TestOpenBroker:
    @pytest.fixture(autouse=True)
    def _acme(self, site: SitePackages) -> None:
        site.install(
            "acme-backend", entry_points={"taskq.backends": ["acme = acme:open_broker"]}, modules={"acme": BACKEND}
        )

    def test_a_url_is_opened_by_the_backend_of_its_scheme(self) -> None:
        broker = plugins.open_broker("acme://x", namespace="shop", failed_max=5)
        assert vars(broker) == {"said": ("acme://x", "shop", 5)}

    def test_a_client_object_is_opened_by_the_backend_of_its_package(self) -> None:
        plugins.load(plugins.BACKENDS, "acme")
        client = type("MyClient", (sys.modules["acme"].Client,), {"__module__": "shop"})()
        assert vars(plugins.open_broker(client)) == {"said": (client, None, None)}

    def test_a_broker_is_given_back_as_it_is(self) -> None:
        broker = plugins.open_broker("acme://x")
        assert plugins.open_broker(broker, namespace="other") is broker

    def test_what_lacks_a_method_is_no_broker(self) -> None:
        assert not plugins.is_broker(type("Almost", (), dict.fromkeys(sorted(Broker.__abstractmethods__)[1:]))())
        with pytest.raises(
            ConfigurationError, match=r"TASKQ_BROKER: a broker is a URL .* not an object of type object"
        ):
            plugins.open_broker(object(), place="TASKQ_BROKER")

    def test_what_the_backend_refuses_is_said_of_the_place_that_set_it(self) -> None:
        with pytest.raises(ConfigurationError) as caught:
            plugins.open_broker("acme://broken", place="taskq.toml broker")
        assert str(caught.value) == "taskq.toml broker: a port is missing."

    @pytest.mark.parametrize(
        ("target", "said"),
        [
            ("number", "its entry point names an object of type int, and no class or function."),
            ("narrow", "narrow takes (source), and is called with (source, /, *, namespace=None, failed_max=None)."),
            ("raising", "it raised ValueError ("),
            ("no_broker", "is no backend: dict has no add_failure, add_sample, check, "),
            ("missing", 'needs the package no_such_module: pip install "bad-backend[speed]".'),
        ],
    )
    def test_one_that_is_none_names_itself_and_its_distribution_and_no_password(
        self, site: SitePackages, target: str, said: str
    ) -> None:
        module = (
            "number = 1\n"
            "def narrow(source): ...\n"
            "def raising(source, /, **_): raise ValueError(source)\n"
            "def no_broker(source, /, **_): return {}\n"
            "def missing(source, /, **_): import no_such_module\n"
        )
        site.install(
            "bad-backend",
            entry_points={"taskq.backends": [f"bad = bad:{target}"]},
            modules={"bad": module},
            requires=['no-such-module; extra == "speed"'],
        )
        with pytest.raises(PluginError) as caught:
            plugins.open_broker("bad://user:hunter2@host", place="TASKQ_BROKER")
        text = str(caught.value)
        assert text.startswith("TASKQ_BROKER: ")
        assert '"bad" of bad-backend 1.0' in text
        assert said in text
        assert "hunter2" not in text + repr(caught.value.__cause__)
        assert caught.value.__suppress_context__

    def test_a_scheme_that_is_not_installed_has_its_nearest(self) -> None:
        with pytest.raises(ConfigurationError, match="Did you mean acme://x"):
            plugins.open_broker("acne://x")


class TestOverride:
    def test_a_ready_object_is_the_plugin(self) -> None:
        mine = Mine()
        with plugins.override(plugins.HOOKS, "mine", mine):
            assert "mine" in plugins.names(plugins.HOOKS)
            assert plugins.create_all(plugins.HOOKS, ["mine"]) == [mine]
        assert "mine" not in plugins.names(plugins.HOOKS)

    @pytest.mark.parametrize("maker", [Mine, lambda: Mine()], ids=["class", "function"])
    def test_a_class_or_a_function_makes_it(self, maker: object) -> None:
        with plugins.override(plugins.HOOKS, "mine", maker):
            first, second = plugins.create_all(plugins.HOOKS, ["mine", "mine"])
        assert isinstance(first, Mine)
        assert first is not second

    def test_it_stands_in_the_place_of_an_installed_one_of_its_name(self) -> None:
        mine = Mine()
        with plugins.override(plugins.HOOKS, "logging", mine):
            assert plugins.create_all(plugins.HOOKS, ["logging"]) == [mine]
            assert plugins.names(plugins.HOOKS) == ["latency", "limit", "logging", "results", "retry", "unique"]
        [installed] = plugins.create_all(plugins.HOOKS, ["logging"])
        assert installed is not mine

    def test_the_innermost_holds_and_the_outer_ones_beside_it(self) -> None:
        one, two, three = Mine(), Mine(), Mine()
        with plugins.override(plugins.HOOKS, "a", one), plugins.override(plugins.HOOKS, "b", two):
            with plugins.override(plugins.HOOKS, "a", three):
                assert plugins.create_all(plugins.HOOKS, ["a", "b"]) == [three, two]
            assert plugins.create_all(plugins.HOOKS, ["a", "b"]) == [one, two]

    def test_a_broker_is_what_every_url_of_its_scheme_means(self) -> None:
        broker = MemoryBroker()
        with plugins.override(plugins.BACKENDS, "shop", broker):
            assert plugins.open_broker("shop://anywhere", namespace="x", failed_max=3) is broker
        with pytest.raises(ConfigurationError):
            plugins.open_broker("shop://anywhere")

    def test_a_function_opens_addresses(self) -> None:
        def open_broker(source: object, /, *, namespace: str | None = None, failed_max: int | None = None) -> Broker:
            return MemoryBroker(failed_max=failed_max)

        with plugins.override(plugins.BACKENDS, "shop", open_broker):
            assert isinstance(plugins.open_broker("shop://"), MemoryBroker)

    def test_an_application_finds_it_by_its_name(self) -> None:
        with plugins.override(plugins.HOOKS, "mine", Mine), TaskQ(broker="memory://", hooks=["mine"]) as app:
            assert app.hooks.names == ("mine",)

    def test_from_the_main_thread_every_thread_sees_it(self) -> None:
        with plugins.override(plugins.HOOKS, "mine", Mine), ThreadPoolExecutor(1) as pool:
            assert "mine" in pool.submit(plugins.names, plugins.HOOKS).result()

    def test_from_another_thread_nobody_else_does(self) -> None:
        entered, looked = threading.Event(), threading.Event()

        def elsewhere() -> Sequence[str]:
            with plugins.override(plugins.HOOKS, "mine", Mine):
                entered.set()
                assert looked.wait(20)
                return plugins.names(plugins.HOOKS)

        with ThreadPoolExecutor(1) as pool:
            seen = pool.submit(elsewhere)
            assert entered.wait(20)
            here = plugins.names(plugins.HOOKS)
            looked.set()
            assert "mine" in seen.result()
        assert "mine" not in here

    def test_what_is_wrong_with_it_says_where_it_comes_from(self) -> None:
        with plugins.override(plugins.SERIALIZERS, "mine", Mine()), pytest.raises(PluginError) as caught:
            plugins.create_all(plugins.SERIALIZERS, ["mine"])
        assert '"mine" of plugins.override(...) is no serializer: Mine has no dumps, loads.' in str(caught.value)

    def test_the_catalogue_has_it(self) -> None:
        with plugins.override(plugins.HOOKS, "logging", Mine):
            known = {(info.namespace, info.name): info for info in plugins.catalogue()}
        info = known[plugins.HOOKS, "logging"]
        assert info == plugins.PluginInfo(
            plugins.HOOKS, "logging", f"{__name__}:Mine", "plugins.override(...)", "", None
        )

    def test_a_namespace_that_taskq_has_not_or_no_name_is_a_mistake_in_the_program(self) -> None:
        with pytest.raises(ValueError, match=r"taskq\.hoks"), plugins.override("taskq.hoks", "mine", Mine):
            pass
        with pytest.raises(ValueError, match="the name is empty"), plugins.override(plugins.HOOKS, "", Mine):
            pass


def test_stevedore_comes_late_and_its_cache_on_disk_is_never_asked(site: SitePackages, tmp_path: Path) -> None:
    site.install("acme", entry_points={"taskq.hooks": ["acme = acme_hook:Hook"]}, modules={"acme_hook": HOOK})
    program = """
import sys
from taskq import config, plugins
assert not {"stevedore", "tomllib", "redis"} & set(sys.modules), sorted(sys.modules)
import stevedore._cache as cache
cache._c._disable_caching = False  # as it is for an interpreter that lies in /tmp
plugins.load(plugins.HOOKS, "acme")
"""
    caches = tmp_path / "caches"
    environ = {**os.environ, "XDG_CACHE_HOME": str(caches), "PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path])}
    subprocess.run([sys.executable, "-W", "error", "-c", program], env=environ, check=True)
    assert not caches.exists()

from __future__ import annotations

import pytest

from taskq.definition import JobDefinition, of_function
from taskq.errors import DuplicateJob
from taskq.registry import Registry


def defined(name: str, *aliases: str, target: str = "", source: str = "") -> JobDefinition:
    def perform() -> None: ...

    perform.__module__, _, perform.__qualname__ = (target or f"shop.jobs:{name}").partition(":")
    made = of_function(
        perform, name=name, aliases=aliases, queue=None, secret=(), on_crash=None, timeout=None, options={}
    )
    return JobDefinition(
        name=made.name,
        aliases=made.aliases,
        queue=made.queue,
        target=made.target,
        function=made.function,
        is_async=False,
        signature=made.signature,
        source=source,
    )


def test_find_knows_names_and_aliases() -> None:
    registry = Registry()
    charge = defined("charge", "Billing::Charge", "old_charge")
    registry.add(charge)
    assert registry.find("charge") is registry.find("Billing::Charge") is registry.find("old_charge") is charge
    assert registry.find("other") is None
    assert registry.names() == ("Billing::Charge", "charge", "old_charge")


def test_find_understands_rubys_other_spellings() -> None:
    registry = Registry()
    registry.add(defined("DashedJob"))
    assert registry.find("::DashedJob") is registry.find("dashed-job") is registry.find("DashedJob")
    assert registry.find("dashedjob") is None


@pytest.mark.parametrize("second", [defined("send"), defined("deliver", "send")])
def test_add_refuses_a_name_that_is_taken_and_names_both(second: JobDefinition) -> None:
    registry = Registry()
    first = defined("send", target="shop.mail:send")
    registry.add(first)
    with pytest.raises(DuplicateJob) as caught:
        registry.add(second)
    assert str(caught.value).startswith(f'Two jobs are named "send": shop.mail:send and {second.target}.')
    assert registry.find("send") is first
    assert registry.find("deliver") is None


def test_add_takes_a_module_that_is_reloaded() -> None:
    registry = Registry()
    registry.add(defined("send"))
    again = defined("send")
    registry.add(again)
    assert registry.find("send") is again


def test_add_takes_a_script_that_is_imported_once_more_under_its_name() -> None:
    registry = Registry()
    registry.add(defined("send", target="__main__:send", source="/shop/jobs.py"))
    again = defined("send", target="jobs:send", source="/shop/jobs.py")
    registry.add(again)
    assert registry.find("send") is again


def test_it_yields_each_job_once() -> None:
    registry = Registry()
    first, second = defined("a", "b"), defined("c")
    registry.add(first)
    registry.add(second)
    assert list(registry) == [first, second]

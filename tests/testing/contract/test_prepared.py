"""What the contracts need, and what they say where it is missing."""

from __future__ import annotations

import subprocess
import sys

import pytest


@pytest.mark.parametrize("missing", ["pytest", "hypothesis"])
def test_a_missing_package_says_what_to_install(missing: str) -> None:
    script = f"import sys; sys.modules[{missing!r}] = None\nimport taskq.testing.contract"
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert ended.returncode == 1
    assert ended.stderr.strip().splitlines()[-1] == (
        f'ModuleNotFoundError: taskq.testing.contract needs the package {missing}: pip install "taskq[testing]".'
    )


def test_a_failed_assert_is_explained(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        from taskq.testing.contract import SerializerContract
        from taskq_json import JSONSerializer

        class TestMine(SerializerContract):
            def make_serializer(self):
                class Mine(JSONSerializer):
                    def dumps(self, job, names, args):
                        return "{}"
                return Mine()
        """
    )
    result = pytester.runpytest_subprocess("-p", "no:randomly", "-k", "text_of_a_list")
    result.stdout.fnmatch_lines(["*assert isinstance(json.loads(text), list)", "*where False = isinstance({}, list)"])


def test_a_factory_that_is_missing_is_asked_for(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        "from taskq.testing.contract import HookContract\nclass TestMine(HookContract): ...\n",
    )
    result = pytester.runpytest_subprocess("-p", "no:randomly", "-k", "name")
    result.stdout.fnmatch_lines(["*TestMine has no make_hook(): give one that returns a hook*"])

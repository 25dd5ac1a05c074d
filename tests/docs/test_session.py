"""What runs the pages finds what is wrong in one."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs.pages import ROOT

pytestmark = pytest.mark.redis

WRONG = {
    "an assertion": "```python\nassert 1 == 2\n```",
    "a result": "```pycon\n>>> 1 + 1\n3\n```",
    "an output": "```console\n$ echo 1\n2\n```",
    "a status": "```console\n$ false\n```",
    "a status that is shown": "```console\n$ false\n$ echo $?\n2\n```",
    "a last line that is missing": "```console\n$ echo 1\n1\n2\n```",
    "a first line that is left out": "```console\n$ echo 1; echo 2\n2\n```",
    "an end": "```console stays\n$ sh -c 'read x; exit 3'\n^C\n```",
    "a warning": "```python\nimport warnings\nwarnings.warn('no')\n```",
}
RIGHT = """
```python title="a.py"
NUMBER = 2
```

```python
import a
```

```pycon
>>> a.NUMBER
2
```

```console
$ echo one; echo 'host:28372:emails'
one
other:1:emails
$ false
$ echo $?
1
$ cat a.py
NUMBER...
$ test -t 1
```

```console stays
$ sh -c 'echo begins; echo more; exec cat a.py -'
begins
NUMBER = 2
```

```python not-run="it is wrong"
assert False
```
"""


def run(text: str, folder: Path) -> subprocess.CompletedProcess[str]:
    page = folder / "page.md"
    page.write_text(text)
    return subprocess.run(
        [sys.executable, "-W", "error", "-m", "tests.docs.session", str(page)],
        cwd=folder, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, timeout=50,
        check=False,
    )  # fmt: skip


@pytest.mark.parametrize("what", WRONG)
def test_it_finds_what_is_wrong(what: str, tmp_path: Path) -> None:
    done = run(WRONG[what], tmp_path)
    assert done.returncode != 0
    assert "page.md:2" in done.stderr


def test_it_is_content_with_what_is_right(tmp_path: Path) -> None:
    done = run(RIGHT, tmp_path)
    assert done.returncode == 0, done.stderr

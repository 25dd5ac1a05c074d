"""What lies in the list of a time: written so that Ruby takes it, read in Python and within Redis alike."""

from __future__ import annotations

import functools
import json
from pathlib import Path

import fakeredis
import pytest
import redis
from hypothesis import example, given, settings
from hypothesis import strategies as st

from taskq_redis import item
from taskq_redis.keys import to_bytes
from taskq_redis.testing import RedisServer

BODIES = [
    b'{"class":"Ok","args":[1,"\xc3\xa9",{"sym":1.0}]}', b"{}", b" { } ", b'{"a":1 }\n', b'\t{"a":{"queue":"b"}}',
    b'{"class":"Ok","args":[],"queue":"mine"}', b'{"queue":"mine","class":"Ok"}', b'{"queue":5}', b'{"queue":{"a":[]}}',
    b'{"class":"Ok","args":["}\\"],\\"queue\\":\\"x\\"}"]}', b'{"a":"\\\\"}', b'{"a":",\\"queue\\":\\"x"}',
    b'{"class":"","args":[],"raw":"eA=="}', b'{"class":"","args":[],"raw":"eA==","queue":"q"}',
    b'{"a":' + b"9" * 6000 + b"}", b'{"a":' + b"[" * 80 + b"]" * 80 + b"}",
]  # fmt: skip
"""JSON objects, some that look like what is done to them."""

RUBBISH = [
    b"", b"rubbish", b"null", b"[]", b"5", b'"x"', b"{", b'{"a":1}}', b'\xef\xbb\xbf{"a":1}', b'{"a":NaN}', b'{"a":1.}',
    b'{"a":"\xff"}', b'{"a":"\x01"}', b'{"a":"\\ud800"}', b'{"a":"\\udc00\\ud800"}', b"\x00\xff", b'{"a":-Infinity}',
    b'{"a":' + b"[" * 90 + b"]" * 90 + b"}", b"[" * 5000,
]  # fmt: skip
"""What Ruby's parser ends at, or is no object."""

QUEUES = ["q", "a b", 'a"b', "a\\b", "é✓😀", "a\nb", ",", "queue", "caf\udce9", "\ufffd"]


class Lua:
    """`split` as it is in Redis: an item's queue and body as one answer."""

    def __init__(self, client: redis.Redis) -> None:
        part = Path(item.__file__).with_name("scripts") / "parts" / "item.lua"
        self._client = client
        self._script = part.read_text("utf-8") + (
            "\nlocal queue, body = split(ARGV[1])\nreturn queue and { queue, body } or {}"
        )

    def __call__(self, raw: bytes) -> list[bytes]:
        answer: list[bytes] = self._client.eval(self._script, 0, raw)
        return answer


@functools.cache
def lua_of_fakeredis() -> Lua:
    return Lua(fakeredis.FakeRedis())


def agree(lua: Lua, raw: bytes) -> None:
    queue, body = item.split(raw)
    assert lua(raw) == ([to_bytes(queue), body] if queue else [])


def test_an_item_gives_back_its_queue_and_its_very_bytes() -> None:
    for body in BODIES + RUBBISH:
        for queue in QUEUES:
            assert item.split(item.join(queue, body)) == (queue, body)


def test_whatever_is_scheduled_is_an_object_with_the_queue_last_to_ruby() -> None:
    for body in BODIES + RUBBISH:
        members = json.loads(item.join("q", body).decode(), parse_int=str, object_pairs_hook=list)
        assert members[-1] == ("queue", "q")
        if body in RUBBISH:
            assert members[:2] == [("class", ""), ("args", [])]


def test_a_payload_stands_as_ruby_writes_it() -> None:
    assert item.join("jobs", b'{"class":"Ok","args":[1]}') == b'{"class":"Ok","args":[1],"queue":"jobs"}'


@pytest.mark.parametrize(
    ("raw", "queue", "body"),
    [
        (b'{"queue":"odd","id":"x","args":[1.0],"class":"Ok"}', "odd", b'{"id":"x","args":[1.0],"class":"Ok"}'),
        (b'{"class":"Ok","queue":"q","args":[1]}', "q", b'{"class":"Ok","args":[1]}'),
        (b'{ "class" : "Ok" , "queue" : "q" }', "q", b'{ "class" : "Ok"  }'),
        (b'{ "queue" : "q" , "class" : "Ok" }', "q", b'{ "class" : "Ok" }'),
        (b'{"queue":"a","args":[{"queue":"no"}],"queue":"b"}', "b", b'{"queue":"a","args":[{"queue":"no"}]}'),
        (b'{"queue":"\\u00e9\\n","class":"Ok"}', "é\n", b'{"class":"Ok"}'),
        (b'{"class":"queue","args":["queue"],"queue":"queue"}', "queue", b'{"class":"queue","args":["queue"]}'),
        (b'{"queue":"q"}', "q", b"{}"),
        (b'{"class":"Ok","args":[3]}', "", None),
        (b'{"class":"Ok","queue":""}', "", None),
        (b'{"class":"Ok","queue":null}', "", None),
        (b'{"class":"Ok","queue":7}', "", None),
        (b'{"class":"Ok","queue":{"queue":"q"}}', "", None),
        (b"not json", "", None),
        (b'[{"queue":"q"}]', "", None),
        (b"", "", None),
    ],
)  # fmt: skip
def test_what_others_wrote_is_read(raw: bytes, queue: str, body: bytes | None) -> None:
    assert item.split(raw) == (queue, raw if body is None else body)
    agree(lua_of_fakeredis(), raw)


@pytest.mark.redis
def test_redis_and_python_read_an_item_alike(redis_server: RedisServer) -> None:
    with redis_server.client() as client:
        lua = Lua(client)
        for body in BODIES + RUBBISH:
            agree(lua, body)
            for queue in QUEUES:
                agree(lua, item.join(queue, body))


TEXTS = st.one_of(st.sampled_from(["queue", "", '"', "\\", ',"queue":"', "}", "{", "raw"]), st.text(max_size=5))
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=150, deadline=None)
@given(
    st.dictionaries(TEXTS, VALUES, max_size=4), st.sampled_from([(",", ":"), (" , ", " : ")]), st.sampled_from(QUEUES)
)
@example({}, (",", ":"), "q")
def test_any_object_is_taken_apart_alike(found: dict[str, object], separators: tuple[str, str], queue: str) -> None:
    body = json.dumps(found, separators=separators, ensure_ascii=False).encode("utf-8", "replace")
    assert item.split(item.join(queue, body)) == (queue, body)
    agree(lua_of_fakeredis(), body)
    agree(lua_of_fakeredis(), item.join(queue, body))

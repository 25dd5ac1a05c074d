from __future__ import annotations

import fakeredis
import pytest
import redis
from hypothesis import given
from hypothesis import strategies as st

from taskq.errors import ConfigurationError
from taskq.urls import backend_name, redacted

INSTALLED = ["memory", "redis", "rediss", "unix"]


def name_of(source: object) -> str:
    return backend_name(source, INSTALLED)


def complaint(source: object) -> str:
    try:
        return f"no complaint: {name_of(source)}"
    except ConfigurationError as error:
        return str(error)


def refusal(source: object, **options: str) -> str:
    with pytest.raises(ConfigurationError) as caught:
        backend_name(source, INSTALLED, **options)
    (problem,) = caught.value.problems
    assert problem.setting == "broker"
    return str(problem)


class TestBackendName:
    @pytest.mark.parametrize(
        ("url", "backend"),
        [
            ("redis://localhost:6379/0?namespace=resque", "redis"),
            ("rediss://u:p@host", "rediss"),
            ("unix:///run/redis.sock", "unix"),
            ("memory://", "memory"),
            ("REDIS://host", "redis"),
        ],
    )
    def test_a_urls_scheme_is_the_name(self, url: str, backend: str) -> None:
        assert name_of(url) == backend

    @pytest.mark.parametrize(
        "text",
        ["host", "host:6379", "host:6379:3", "host:6379/ns", "host:6379:4/my/ns", "host:6379/", "host:6379:0/a:b",
         "127.0.0.1", "redis", "redis:6379", "redis:6379/ns", "redis/ns", "memory:6379", "[::1]:6379", "localhost:abc"],
    )  # fmt: skip
    def test_resques_short_forms_mean_redis(self, text: str) -> None:
        assert name_of(text) == "redis"

    @pytest.mark.parametrize(
        "client", [redis.Redis(), redis.StrictRedis(), fakeredis.FakeRedis()], ids=lambda client: type(client).__name__
    )
    def test_a_client_object_is_known_by_the_package_of_its_class_or_a_base(self, client: object) -> None:
        assert name_of(client) == "redis"

    def test_a_scheme_mistyped_is_answered_with_the_url_that_was_meant(self) -> None:
        said = refusal("redsi://app:s3cret@db:6379/0", place="TASKQ_BROKER")
        assert said == (
            "TASKQ_BROKER: no backend is installed for the scheme of redsi://***@db:6379/0. "
            "Did you mean redis://***@db:6379/0? Installed: memory, redis, rediss, unix."
        )

    def test_a_scheme_like_none_lists_what_is_installed(self) -> None:
        said = refusal("amqp://host")
        assert "Did you mean" not in said
        assert "Installed: memory, redis, rediss, unix." in said

    @pytest.mark.parametrize(
        ("text", "meant"),
        [("memory", "memory://"), ("memory:", "memory://"), ("redis:", "redis://"), ("redis:/host:1", "redis://..."),
         ("unix:/run/x", "unix://..."), ("redis:host", "redis://..."), ("Memory", "memory://"),
         ("redis//:s3cret@h", "redis://..."), ("redsi//h", "redis://...")],
    )  # fmt: skip
    def test_a_scheme_without_its_slashes_is_no_host(self, text: str, meant: str) -> None:
        assert refusal(text).endswith(f"as in {meant}")

    @pytest.mark.parametrize("text", ["", "  ", "//host", "/run/redis.sock"])
    def test_a_text_that_names_no_host_is_refused(self, text: str) -> None:
        assert "redis://localhost:6379/0" in refusal(text)

    def test_an_object_of_no_backend_is_named_by_its_type_and_never_shown(self) -> None:
        said = refusal({"password": "s3cret"})
        assert "type dict" in said
        assert "s3cret" not in said


class TestRedacted:
    @pytest.mark.parametrize(
        ("url", "shown"),
        [
            ("redis://host:6379/0", "redis://host:6379/0"),
            ("redis://:pw@host:6379/0", "redis://***@host:6379/0"),
            ("redis://user:pw@host/0?namespace=a", "redis://***@host/0?namespace=a"),
            ("redis://pw@host", "redis://***@host"),
            ("redis://user:p/w@host/0", "redis://***@host/0"),
            ("redis://user:p?w#x@y@host", "redis://***@host"),
            ("redis://:1234/56@host", "redis://***@host"),
            ("redis://host?password=pw&db=1", "redis://host?password=***&db=1"),
            ("redis://host?db=1;pass%77ord=pw", "redis://host?db=1;pass%77ord=***"),
            ("redis://host?AUTH_TOKEN=pw#secret=pw", "redis://host?AUTH_TOKEN=***#secret=***"),
            ("user:pw@host:6379", "***@host:6379"),
            ("user:pw@host://x", "***@host://x"),
            ("host:6379:3/ns", "host:6379:3/ns"),
            ("", ""),
        ],
    )
    def test_it_shows_all_but_what_is_secret(self, url: str, shown: str) -> None:
        assert redacted(url) == shown

    @given(st.text(alphabet=":/?#&=%@. x", max_size=6), st.text(alphabet=":/?#&=%@", max_size=4))
    def test_no_password_shows_whatever_is_forgotten_to_be_escaped(self, before: str, after: str) -> None:
        password = f"{before}s3cret{after}"
        for url in (f"redis://user:{password}@host:6379/0", f"redis://:{password}@host", f"user:{password}@host"):
            assert "s3cret" not in redacted(url)
            for text in (url, url.replace("redis", "redsi", 1)):
                assert "s3cret" not in complaint(text)

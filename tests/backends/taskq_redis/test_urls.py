"""Every form of address that Resque takes, URLs and client objects (WIRE.md section 12, vector 34)."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fakeredis
import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry
from redis.sentinel import Sentinel

from taskq.errors import BrokerRefused, BrokerUnavailable, ConfigurationError
from taskq.testing.contract.broker.holder import ONE
from taskq_redis import open_broker
from taskq_redis.testing import RedisServer
from tests.support.proxy import Proxy
from tests.support.vectors import vector

RECORDED = [
    (found[1], one["returned"]["keys"])
    for one in vector("34")["returns"]
    if isinstance(one["returned"], dict)
    and "keys" in one["returned"]
    and (found := re.fullmatch(r'Resque\.redis = "([^"]+)"', one["call"]))
    and "6379" in found[1]
]


NO_SENTINEL: Any = Sentinel([])  # type: ignore[no-untyped-call]


def reached(server: RedisServer) -> set[str]:
    """Every key there is, with its database."""
    found: set[str] = set()
    for db in range(16):
        with server.client(db=db) as client:
            keys: Any = client.keys("*")
            found |= {f"db{db} {key.decode()}" for key in keys}
    return found


def test_there_are_recordings() -> None:
    assert len(RECORDED) >= 12


@pytest.mark.redis
@pytest.mark.parametrize(("address", "keys"), RECORDED, ids=[address for address, _ in RECORDED])
def test_a_form_reaches_what_resque_reaches(redis_server: RedisServer, address: str, keys: list[str]) -> None:
    broker = open_broker(address.replace("6379", str(redis_server.port)))
    broker.push("q", [b"1"])
    broker.close()
    assert reached(redis_server) == set(keys)


@pytest.mark.redis
@pytest.mark.parametrize(
    ("address", "keyword", "keys"),
    [
        ("redis://127.0.0.1:PORT/2?namespace=x", "y", "db2 x"),
        ("redis://127.0.0.1:PORT/2", "y", "db2 y"),
        ("redis://127.0.0.1:PORT?namespace=a%2Fb:c", None, "db0 a/b:c"),
        ("127.0.0.1:PORT/x", "y", "db0 x"),
        ("127.0.0.1:PORT:3", "y", "db3 y"),
        ("unix://SOCKET", None, "db0 resque"),
        ("unix://SOCKET?db=4&namespace=x", None, "db4 x"),
        ("redis://localhost:PORT", None, "db0 resque"),
        ("redis://[::1]:PORT", None, None),
    ],
)
def test_where_else_an_address_leads(
    redis_server: RedisServer, address: str, keyword: str | None, keys: str | None
) -> None:
    address = address.replace("PORT", str(redis_server.port)).replace("SOCKET", str(redis_server.socket))
    broker = open_broker(address, namespace=keyword)
    if keys is None:  # the server listens on 127.0.0.1 alone
        with pytest.raises(BrokerUnavailable, match=r"Redis at \[::1\]:"):
            broker.push("q", [b"1"])
        return
    broker.push("q", [b"1"])
    broker.close()
    assert reached(redis_server) == {f"{keys}:queue:q", f"{keys}:queues"}


def test_failed_max_may_stand_in_the_url() -> None:
    assert open_broker("redis://localhost?failed_max=5", failed_max=9)._failed_max == b"5"
    assert open_broker("redis://localhost", failed_max=9)._failed_max == b"9"


@pytest.mark.parametrize(
    ("address", "parts"),
    [
        ("", ["an empty text"]),
        ("redis://a..b:6379/0", ["host that can be none"]),
        ("redis://" + "a" * 64, ["host that can be none"]),
        ("a" * 64 + ".example:6379", ["host that can be none"]),
        ("redis://h\udcff:6379", ["host that can be none"]),
        ("h\udcff:6379", ["host that can be none"]),
        ("redis://h%00:6379", ["host that can be none"]),
        ("redis://pw%40h:6379", ["host that can be none"]),
        ("127.0.0.1:abc", ["abc", "port"]),
        ("127.0.0.1:6379:x", ['"x"', "database"]),
        ("127.0.0.1:99999", ["port"]),
        ("redis://host:0", ["port"]),
        ("redis://host:99999", ["port between 1 and 65535"]),
        ("redis://host?namespce=x", ['"namespce"', "Did you mean namespace?"]),
        ("redis://host?socket_timeout=soon&failed_max=0", ['"socket_timeout"', '"failed_max"']),
        ("redis://host?socket_timeout=1e12", ['"socket_timeout"']),
        ("redis://host?ssl_ca_certs=x", ['"ssl_ca_certs"']),
        ("unix://host/path", ["unix:///run/redis.sock"]),
        ("unix://", ["unix:///run/redis.sock"]),
        ("http://host", ["redis://localhost:6379/0"]),
        (NO_SENTINEL, ["Sentinel", "master_for"]),
        (7, ["builtins.int", "redis.Redis"]),
        (redis.asyncio.Redis(), ["asyncio", "redis.Redis"]),
    ],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)
def test_what_is_no_address_is_told(address: object, parts: list[str]) -> None:
    with pytest.raises(ConfigurationError) as raised:
        open_broker(address)
    for part in parts:
        assert part in str(raised.value)


@pytest.mark.parametrize(
    "address",
    [
        "s3cret@host:6379",
        "s3cret@host/ns",
        "redis://s3cret%40host:6379",
        "redis://u:s3cret@host:99999",
        "redis://:s3cret@host?x=1",
        "u:s3cret@host:x",
        "rediss://u:s3cret@[host",
    ],
)
def test_a_password_is_in_no_error(address: str) -> None:
    with pytest.raises(ConfigurationError) as raised:
        open_broker(address)
    assert "s3cret" not in str(raised.value)


def test_a_password_in_a_clients_host_is_not_shown() -> None:
    broker = open_broker(redis.Redis(host="s3cret@127.0.0.1", port=1))
    with pytest.raises(BrokerUnavailable) as raised:
        broker.check()
    assert "s3cret" not in str(raised.value)


def test_addresses_are_for_people() -> None:
    assert open_broker("redis://u:s3cret@h:1/2").address == "Redis at h:1 (database 2)"
    assert open_broker("redis://[::1]").address == "Redis at [::1]:6379"
    assert open_broker("unix:///run/s").address == "Redis at /run/s"
    assert open_broker(redis.Redis(host="h", port=7)).address == "Redis at h:7"


# ---- client objects


@pytest.mark.redis
def test_a_clients_retries_are_not_taken(redis_server: RedisServer) -> None:
    with Proxy(("127.0.0.1", redis_server.port)) as proxy:
        client = redis.Redis(port=proxy.port, db=1, retry=Retry(NoBackoff(), 10), decode_responses=True, protocol=3)
        broker = open_broker(client, namespace="x")
        broker.push("q", [b"1"])
        proxy.lose_answer(b"the one")
        with pytest.raises(BrokerUnavailable):
            broker.push("q", [b"the one"])
        assert list(broker.peek("q", 0, 9)) == [b"1", b"the one"]
        broker.close()
        client.close()
    assert reached(redis_server) == {"db1 x:queue:q", "db1 x:queues"}


@pytest.mark.redis
def test_more_connections_than_a_clients_pool_has_may_be_made_one_after_another(redis_server: RedisServer) -> None:
    client = redis.Redis(unix_socket_path=str(redis_server.socket), max_connections=1)
    broker = open_broker(client)
    for _ in range(5):
        broker.check()
    broker.close()
    client.close()


def test_a_fakeredis_is_a_client() -> None:
    broker = open_broker(fakeredis.FakeRedis())
    broker.push("q", [ONE])
    assert broker.size("q") == 1
    broker.close()


@pytest.mark.redis
def test_a_sentinels_master_is_found_again(redis_server: RedisServer, tmp_path: Path) -> None:
    configuration = tmp_path / "sentinel.conf"
    configuration.write_text(f"sentinel monitor mymaster 127.0.0.1 {redis_server.port} 1\n")
    with RedisServer(str(configuration), "--sentinel") as sentinel:
        found: Any = Sentinel([("127.0.0.1", sentinel.port)])  # type: ignore[no-untyped-call]
        broker = open_broker(found.master_for("mymaster"))
        assert broker.address == "Redis (Sentinel's mymaster)"
        broker.push("q", [ONE])
        assert broker.size("q") == 1
        broker.close()
        missing = open_broker(found.master_for("nobody"))
        with pytest.raises(BrokerUnavailable, match="no master found"):
            missing.check()


# ---- TLS


def certificate(folder: Path) -> None:
    command = [
        "openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-keyout", "key.pem",
        "-out", "cert.pem", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1",
    ]  # fmt: skip
    try:
        subprocess.run(command, cwd=folder, check=True, capture_output=True)
    except FileNotFoundError:
        pytest.skip("openssl is not there to make a certificate")


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[RedisServer, Path]]:
    folder = tmp_path_factory.mktemp("tls")
    certificate(folder)
    options: dict[str, Any] = {
        "tls_cert_file": str(folder / "cert.pem"),
        "tls_key_file": str(folder / "key.pem"),
        "tls_ca_cert_file": str(folder / "cert.pem"),
        "tls_auth_clients": "no",
    }
    server = RedisServer(**options)
    server.options |= {"tls-port": str(server.port), "port": "0"}
    try:
        server.start()
    except RuntimeError:
        pytest.skip(f"{server.program} knows no TLS")
    yield server, folder / "cert.pem"
    server.__exit__(None, None, None)


@pytest.mark.redis
def test_tls_with_a_trusted_certificate(tls: tuple[RedisServer, Path]) -> None:
    server, authority = tls
    broker = open_broker(f"rediss://localhost:{server.port}?ssl_ca_certs={authority}")
    broker.push("q", [ONE])
    assert broker.wait(["q"], 5)
    assert not broker.wait(["q"], 0.05)
    with server.client() as client:
        client.rpush("resque:queue:q", ONE)
    assert broker.wait(["q"], 20)
    broker.close()


@pytest.mark.redis
def test_tls_with_a_certificate_that_nobody_vouches_for(tls: tuple[RedisServer, Path]) -> None:
    server, _ = tls
    with pytest.raises(BrokerRefused, match="its certificate is not trusted"):
        open_broker(f"rediss://localhost:{server.port}").check()


@pytest.mark.redis
def test_a_tls_redis_spoken_to_in_plain(tls: tuple[RedisServer, Path]) -> None:
    server, _ = tls
    with pytest.raises(BrokerUnavailable):
        open_broker(f"redis://localhost:{server.port}?socket_timeout=0.5").check()

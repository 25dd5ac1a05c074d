"""Serializers that break one promise each."""

from __future__ import annotations

import base64
import itertools
import json
import time
from typing import Any

from taskq.envelope import dump, tag, tagged, untagged
from taskq.errors import InvalidPayload, UnserializableArgument
from taskq.serializer import Serializer
from taskq.testing.contract import SerializerContract
from taskq_json import JSONSerializer
from tests.testing.contract.judge import names

_NUMBERS = itertools.count()


class _Broken(JSONSerializer):
    """As it should be: what each of those below breaks."""


class WrongName(SerializerContract):
    """Its name is no tag."""

    caught_by = names("name_can_be_a_tag")

    def make_serializer(self) -> Serializer:
        class Named(_Broken):
            name = "not a tag"

        return Named()


class WrongText(SerializerContract):
    """It writes an object where a list belongs."""

    caught_by = names("dumps_makes_the_text_of_a_list_that_json_reads")

    def make_serializer(self) -> Serializer:
        class AsObject(_Broken):
            def dumps(self, job: str, names: tuple[str, ...], args: tuple[object, ...]) -> str:
                return json.dumps({"args": args})

        return AsObject()


class WrongEnvelope(SerializerContract):
    """It writes what is no JSON."""

    caught_by = names("dumps_leaves_the_payload_to_whoever_reads_json")

    def make_serializer(self) -> Serializer:
        class AsPython(_Broken):
            def dumps(self, job: str, names: tuple[str, ...], args: tuple[object, ...]) -> str:
                return repr(args)

        return AsPython()


class WrongTag(SerializerContract):
    """It packs, and does not say so."""

    caught_by = names("dumps_of_other_than_json_is_one_tagged_text")

    def make_serializer(self) -> Serializer:
        class Packed(_Broken):
            def dumps(self, job: str, names: tuple[str, ...], args: tuple[object, ...]) -> str:
                return json.dumps([base64.b64encode(super().dumps(job, names, args).encode()).decode()])

        return Packed()


class WrongSalt(SerializerContract):
    """It never writes the same twice."""

    caught_by = names("dumps_of_equal_arguments_is_equal")

    def make_serializer(self) -> Serializer:
        class Salted(_Broken):
            name = "salted"

            def dumps(self, job: str, names: tuple[str, ...], args: tuple[object, ...]) -> str:
                return tagged(self.name, dump([next(_NUMBERS), list(args)]).encode())

        return Salted()


class WrongCare(SerializerContract):
    """It sorts what it is given, in place."""

    caught_by = names("dumps_changes_no_argument")

    def make_serializer(self) -> Serializer:
        class Tidying(_Broken):
            def dumps(self, job: str, names: tuple[str, ...], args: tuple[object, ...]) -> str:
                text = super().dumps(job, names, args)
                for arg in args:
                    if isinstance(arg, list):
                        arg.clear()
                return text

        return Tidying()


class WrongEquality(SerializerContract):
    """What JSON turns into something else it lets JSON turn into something else; and it counts only to 2 ** 53."""

    caught_by = names("dumps_refuses_what_would_not_come_back loads_gives_back_what_dumps_was_given")

    def make_serializer(self) -> Serializer:
        class Careless(_Broken):
            def dumps(self, job: str, names: tuple[str, ...], args: tuple[object, ...]) -> str:
                return json.dumps([float(arg) if type(arg) is int else arg for arg in args], default=str)

        return Careless()


class WrongDepth(SerializerContract):
    """It looks at arguments and not into them."""

    caught_by = names("dumps_refuses_it_wherever_it_is")

    def make_serializer(self) -> Serializer:
        class Shallow(_Broken):
            def dumps(self, job: str, names: tuple[str, ...], args: tuple[object, ...]) -> str:
                for arg in args:
                    if not isinstance(arg, list | dict):
                        super().dumps(job, names, (arg,))
                return json.dumps(args, default=str)

        return Shallow()


class _Refusing(_Broken):
    """Refuses everything that it refuses by one name."""

    def dumps(self, job: str, names: tuple[str, ...], args: tuple[object, ...]) -> str:
        try:
            return super().dumps(job, names, args)
        except UnserializableArgument as refused:
            raise UnserializableArgument(job, "an argument", refused.type_name, "JSON", "Send less.") from None


class WrongBlame(SerializerContract):
    """It does not say which argument it was."""

    caught_by = names("""
        dumps_refuses_what_would_not_come_back
        dumps_refuses_it_wherever_it_is
        dumps_names_a_keyword_by_its_name
        dumps_counts_arguments_that_have_no_name
        dumps_refuses_a_circle
    """)

    def make_serializer(self) -> Serializer:
        return _Refusing()


class WrongCircle(SerializerContract):
    """It follows a circle until Python stops it."""

    caught_by = names("dumps_refuses_a_circle")

    def make_serializer(self) -> Serializer:
        class Dizzy(_Broken):
            def dumps(self, job: str, names: tuple[str, ...], args: tuple[object, ...]) -> str:
                return json.dumps(args)

        return Dizzy()


class WrongTwice(SerializerContract):
    """It takes for a circle what it has seen before; and it remembers, also for other calls."""

    caught_by = names("dumps_carries_one_value_seen_twice dumps_is_none_the_worse_for_a_refusal")

    def make_serializer(self) -> Serializer:
        class Remembering(_Broken):
            def __init__(self) -> None:
                self.seen: list[int] = []

            def dumps(self, job: str, names: tuple[str, ...], args: tuple[object, ...]) -> str:
                self.walk(job, args)
                text = json.dumps(args)
                self.seen.clear()
                return text

            def walk(self, job: str, value: object) -> None:
                if not isinstance(value, list | dict | tuple):
                    return
                if id(value) in self.seen:
                    raise UnserializableArgument(job, "when", "list that contains itself", "JSON", "Send a copy.")
                self.seen.append(id(value))
                for inner in value.values() if isinstance(value, dict) else value:
                    self.walk(job, inner)

        return Remembering()


class WrongState(SerializerContract):
    """It keeps what it works on in itself."""

    caught_by = names("dumps_side_by_side")

    def make_serializer(self) -> Serializer:
        class Stateful(_Broken):
            def dumps(self, job: str, names: tuple[str, ...], args: tuple[object, ...]) -> str:
                self.args = args
                time.sleep(0.0001)  # another thread's turn
                return super().dumps(job, names, self.args)

        return Stateful()


class WrongLimit(SerializerContract):
    """It gives up earlier than a payload does."""

    caught_by = names("dumps_carries_the_deepest_that_a_payload_may_be")

    def make_serializer(self) -> Serializer:
        class Flat(_Broken):
            def dumps(self, job: str, names: tuple[str, ...], args: tuple[object, ...]) -> str:
                text = super().dumps(job, names, args)
                if text.startswith("[" * 50):
                    raise UnserializableArgument(job, "when", "list", "JSON", "Send flatter data.")
                return text

        return Flat()


class WrongPromise(SerializerContract):
    """It says that it carries bytes, and refuses them."""

    caught_by = names("loads_gives_back_the_further_types_of_this_serializer")
    more = (b"bytes",)

    def make_serializer(self) -> Serializer:
        return JSONSerializer()


class WrongClaim(SerializerContract):
    """It reads what bears another's tag, and raises its library's own errors."""

    caught_by = names("loads_leaves_what_bears_another_tag loads_raises_nothing_but_invalid_payload")

    def make_serializer(self) -> Serializer:
        class Greedy(_Broken):
            name = "greedy"

            def loads(self, args: list[object]) -> tuple[object, ...] | None:
                if tag(args) is None:
                    return tuple(args)
                try:
                    read: Any = json.loads(untagged(args))
                except UnicodeDecodeError:
                    return ()
                except InvalidPayload:
                    return ()
                return tuple(read)

        return Greedy()

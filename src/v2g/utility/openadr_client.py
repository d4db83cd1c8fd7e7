"""A virtual end node (VEN) of OpenADR 3: token, registration, programs, events. Blocks: for a thread of its own.

Follows the OpenAPI documents 3.0.1 and 3.1: which one a VTN has is seen from its answers. The token is of the OAuth
2.0 client credentials grant (RFC 6749, 4.4), asked for anew before it expires, and once when it is refused.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, TypeVar
from urllib.parse import urlencode

import msgspec

from v2g.clock import Clock
from v2g.host.bounded_http import Answer
from v2g.utility.openadr_events import Target, target_set
from v2g.utility.openadr_http import split_url
from v2g.utility.openadr_wire import (
    AuthServer,
    Event,
    Program,
    Token,
    Ven,
    WireError,
    decode,
    decode_list,
    problem_words,
)

PAGE = 50
"""The most that a VTN gives at once (``limit``)."""
_MOST_PAGES = 40
_TOKEN_LIFE_S = 3600.0
"""Where the authorisation server tells none."""
_RENEWED_AT = 0.8


class VtnError(Exception):
    """The VTN refuses or answers what cannot be read; the message names the request and the remedy."""


class Transport(Protocol):
    def exchange(self, method: str, url: str, headers: Mapping[str, str], body: bytes | None = None) -> Answer: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """Where the VTN is and as whom we speak to it. ``program`` empty: all that it shows us.

    ``token_url`` empty: ``<url>/auth/token``, or where there is none the one that ``<url>/auth/server`` (3.1) tells.
    """

    url: str
    client_id: str
    secret: str = field(repr=False)
    ven_name: str
    token_url: str = ""
    program: str = ""
    scope: str = ""


@dataclass(frozen=True, slots=True)
class Polled:
    events: tuple[Event, ...]
    programs: Mapping[str, Program]
    targets: frozenset[Target]
    """That the VTN has on record for this VEN."""
    notes: tuple[str, ...]
    unread: frozenset[str] = frozenset()
    """Ids of events that are there and cannot be read."""


T = TypeVar("T", Event, Program, Ven)
D = TypeVar("D")


class VtnClient:
    """:meth:`poll` does all that is due. Its errors are :class:`VtnError` and those of the transport."""

    def __init__(self, account: Account, transport: Transport, clock: Clock) -> None:
        self._account = account
        self._transport = transport
        self._clock = clock
        self._token = ""
        self._token_url = account.token_url or f"{account.url}/auth/token"
        self._renew_at_s = 0.0
        self.ven_id = ""

    def poll(self) -> Polled:
        """All events for this VEN as they are now: what is not among them has been deleted."""
        notes: list[str] = []
        ven = self._ven(notes)
        targets = target_set(ven.targets) if ven is not None else frozenset[Target]()
        asked = [target for target in sorted(targets, key=str) if isinstance(target, str)]
        programs = self._programs(asked, notes)
        wanted = self._program_id(programs)
        query: list[tuple[str, str]] = [("programID", wanted)] if wanted else []
        # With targets a VTN of 3.1 may leave out what has none, without them what has some.
        unread: set[str] = set()
        found = {event.id: event for event in self._list("/events", query, Event, notes, unread)}
        if asked:
            targeted = [*query, *(("targets", target) for target in asked)]
            found |= {event.id: event for event in self._list("/events", targeted, Event, notes, unread)}
        events = tuple(event for event in found.values() if not wanted or event.program_id == wanted)
        by_id = {program.id: program for program in programs}
        return Polled(events, by_id, targets, tuple(dict.fromkeys(notes)), frozenset(unread))

    def _ven(self, notes: list[str]) -> Ven | None:
        """The VTN's record of this VEN, made where there is none."""
        name = self._account.ven_name
        try:
            found = next((ven for ven in self._list("/vens", [], Ven, notes) if ven.name == name), None)
            if found is None:
                found = self._register()
        except _Forbidden as error:
            notes.append(f"this VEN is not registered, and asks for events all the same: {error}")
            return None
        self.ven_id = found.id
        return found

    def _register(self) -> Ven:
        name = self._account.ven_name
        # 3.1 wants to be told who writes the object, 3.0.1 knows no such word.
        for body in ({"objectType": "VEN_VEN_REQUEST", "venName": name}, {"venName": name}):
            answer = self._send("POST", "/vens", msgspec.json.encode(body))
            if answer.status != 400:
                break
        if answer.status == 409:
            raise VtnError(
                f"the VTN has a VEN named {name!r} that belongs to another client: choose another "
                "utility.openadr.ven_name, or have it removed there"
            )
        self._require(answer, "POST /vens", (200, 201))
        return self._decode(answer, Ven, "POST /vens")

    def _programs(self, targets: Sequence[str], notes: list[str]) -> list[Program]:
        found = {program.id: program for program in self._list("/programs", [], Program, notes)}
        if targets:
            query = [("targets", target) for target in targets]
            found |= {program.id: program for program in self._list("/programs", query, Program, notes)}
        return list(found.values())

    def _program_id(self, programs: Sequence[Program]) -> str:
        wanted = self._account.program
        if not wanted:
            return ""
        for program in programs:
            if program.name == wanted:
                return program.id
        shown = ", ".join(repr(program.name) for program in programs[:5]) or "none"
        raise VtnError(f"the VTN shows no program {wanted!r} (but {shown}): check utility.openadr.program, and enrol")

    def _list(
        self,
        path: str,
        query: Sequence[tuple[str, str]],
        kind: type[T],
        notes: list[str],
        unread: set[str] | None = None,
    ) -> list[T]:
        """All pages. A list that goes on for ever is a :class:`VtnError`: half of the events would look like all."""
        items: list[T] = []
        for page in range(_MOST_PAGES):
            params = [*query, ("skip", str(page * PAGE)), ("limit", str(PAGE))]
            answer = self._send("GET", f"{path}?{urlencode(params)}")
            self._require(answer, f"GET {path}", (200,))
            try:
                members = decode_list(answer.body, kind)
            except WireError as error:
                raise VtnError(f"GET {path}: {error}") from None
            notes += members.notes
            if unread is not None:
                unread |= members.unread
            known = len(items)
            ids = {item.id for item in items}
            items += [item for item in members.items if item.id not in ids]
            # A VTN that does not know of pages gives the same again, or all at once.
            if members.count != PAGE or len(items) == known:
                return items
        raise VtnError(f"GET {path}: the VTN has more than {_MOST_PAGES * PAGE} of them: narrow it by a program")

    def _send(self, method: str, path: str, body: bytes | None = None) -> Answer:
        answer = self._with_token(method, path, body)
        if answer.status == 401:
            self._renew_at_s = 0.0
            answer = self._with_token(method, path, body)
        return answer

    def _with_token(self, method: str, path: str, body: bytes | None) -> Answer:
        if self._clock.monotonic_s() >= self._renew_at_s:
            self._fetch_token()
        headers = {"Authorization": f"Bearer {self._token}"}
        if body is not None:
            headers["Content-Type"] = "application/json"
        return self._transport.exchange(method, self._account.url + path, headers, body)

    def _fetch_token(self) -> None:
        account = self._account
        form = {
            "grant_type": "client_credentials",
            "client_id": account.client_id,
            "client_secret": account.secret,
            **({"scope": account.scope} if account.scope else {}),
        }
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        body = urlencode(form).encode()
        answer = self._transport.exchange("POST", self._token_url, headers, body)
        if answer.status in (404, 405, 501) and not account.token_url:
            self._token_url = self._told_token_url()
            answer = self._transport.exchange("POST", self._token_url, headers, body)
        if answer.status in (400, 401, 403):
            words = problem_words(answer.body) or f"status {answer.status}"
            raise VtnError(
                f"{self._token_url} gives no token to client {account.client_id!r} ({words}): check "
                "utility.openadr.client_id and client_secret_file"
            )
        self._require(answer, f"POST {self._token_url}", (200, 201))
        token = self._decode(answer, Token, f"POST {self._token_url}")
        if token.token_type.lower() != "bearer":
            raise VtnError(f"POST {self._token_url}: token type {token.token_type!r} is not Bearer")
        self._token = token.access_token
        life_s = token.expires_in if token.expires_in is not None else _TOKEN_LIFE_S
        self._renew_at_s = self._clock.monotonic_s() + _RENEWED_AT * life_s

    def _told_token_url(self) -> str:
        what = f"GET {self._account.url}/auth/server"
        answer = self._transport.exchange("GET", f"{self._account.url}/auth/server", {})
        if answer.status != 200:
            raise VtnError(
                f"{self._token_url} is not there, and {what} tells no other (status {answer.status}): set "
                "utility.openadr.token_url"
            )
        told = self._decode(answer, AuthServer, what).token_url
        try:
            split_url(told)
        except ValueError as error:
            raise VtnError(f"{what} tells where tokens are had, but {error}") from None
        return told

    def _require(self, answer: Answer, what: str, statuses: Sequence[int]) -> None:
        if answer.status in statuses:
            return
        words = problem_words(answer.body)
        text = f"{what}: status {answer.status}{f' ({words})' if words else ''}"
        if answer.status in (401, 403):
            raise _Forbidden(f"{text}: client {self._account.client_id!r} may not do this, ask the VTN's operator")
        if 300 <= answer.status < 400:
            raise VtnError(f"{text}: redirects are not followed, give the final URL in utility.openadr.url")
        if answer.status == 404:
            raise VtnError(f"{text}: check utility.openadr.url, which is the base with the version in it")
        raise VtnError(text)

    def _decode(self, answer: Answer, kind: type[D], what: str) -> D:
        try:
            return decode(answer.body, kind)
        except WireError as error:
            raise VtnError(f"{what}: {error}") from None


class _Forbidden(VtnError):
    pass

"""A conversation under a Hypothesis state machine: two real workers on real stores, and a model that they must agree with.

What is asked at once may be applied in any order, so an answer is right if it is the model's answer somewhere along the order
that the log says the entries have. `MODEL_EXAMPLES=` says how many sequences.
"""

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Final

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test
from uuid6 import uuid7

from shared.callers import Caller
from shared.commands import CommandOutcome, MarkRead, OpenDispute
from shared.fields import Side
from shared.orders import Customer, Seller
from tests.made import close_dispute, mark_read, open_dispute, post, snapshot
from tests.model.conversation import MAKES_AN_ENTRY, Conversation, Picture, ThreadCommand
from tests.model.workers import Loop, Office, Seen, running
from tests.servers.parley import Parley

SEQUENCES: Final = int(os.environ.get("MODEL_EXAMPLES", "80"))
# Two workers race differently each time, so looking for a shorter sequence takes minutes and finds little; MODEL_SHRINK=1 tries.
PHASES: Final = (Phase.generate, Phase.shrink) if os.environ.get("MODEL_SHRINK") else (Phase.generate,)
MIN_STEPS: Final = 25
MAX_STEPS: Final = 26
AT_ONCE: Final = 6

DONE_WITH_ENTRY: Final = {"post": 201, "open": 201, "close": 200}
SIDES: Final[tuple[Side, ...]] = ("customer", "seller", "shop")
PEOPLE: Final = ("customer", "bob", "bea", "ann", "amy")


@dataclass(frozen=True)
class Wish:
    """What a person wants to do; how it becomes a command depends on what they see then."""

    who: str
    what: str
    number: int

    def command(self, callers: dict[str, Caller], order_id: str, picture: Picture) -> ThreadCommand:
        by = callers[self.who]
        match self.what:
            case "post":
                return post(f"text {self.number}", by=by, order_id=order_id)
            case "open":
                return open_dispute(by=by, order_id=order_id, expected=self._etag(picture))
            case "close":
                return close_dispute(by=by, order_id=order_id, expected=self._etag(picture))
            case _:
                return mark_read(self.number % (picture.length + 2), by=by, order_id=order_id)

    def _etag(self, picture: Picture) -> str | None:
        return (None, picture.etag, "*", '"none"')[self.number % 4]


WISHES: Final = st.builds(
    Wish,
    who=st.sampled_from(PEOPLE),
    what=st.sampled_from(("post", "post", "post", "open", "close", "read", "read")),
    number=st.integers(0, 99),
)


@dataclass
class Figures:
    """What happened in all sequences together."""

    steps: list[int] = field(default_factory=list)
    counted: Counter[str] = field(default_factory=Counter)


class ConversationMachine(RuleBasedStateMachine):
    """One order, from its first snapshot on."""

    loop: ClassVar[Loop]
    office: ClassVar[Office]
    figures: ClassVar[Figures]

    def __init__(self) -> None:
        super().__init__()
        self.figures.steps.append(0)
        name = f"o-{len(self.figures.steps)}"
        self.order_id, self.name = name, name
        self.model = Conversation(customer_id=f"g-{name}")
        self.stamps: list[str] = []
        self.sent: list[ThreadCommand] = []
        self.first_answers: dict[str, CommandOutcome] = {}
        self.is_behind = False
        seller = f"s-{name}"
        self.callers = {
            "customer": Caller(role="guest", id=f"g-{name}", name="Guest", order_id=name),
            "bob": Caller(role="seller", id="bob", name="Bob", seller_id=seller),
            "bea": Caller(role="seller", id="bea", name="Bea", seller_id=seller),
            "ann": Caller(role="admin", id="ann", name="Ann"),
            "amy": Caller(role="admin", id="amy", name="Amy"),
        }

    def _step(self, name: str) -> None:
        self.figures.steps[-1] += 1
        self.figures.counted[name] += 1
        self.stamps.append(str(uuid7()))

    @initialize()
    def the_order_is_placed(self) -> None:
        customer = Customer(id=f"g-{self.name}", name="Guest", guest=True)
        self.loop.run(self.office.order(self._snapshot(1, customer)))

    def _snapshot(self, version: int, customer: Customer) -> Any:
        seller = Seller(id=f"s-{self.name}", name="Fine Things", email="seller@example.com")
        return snapshot(self.order_id, version=version, customer=customer, seller=seller)

    # What may happen.

    @rule(wish=WISHES)
    def somebody_does_something(self, wish: Wish) -> None:
        self._step("one")
        self._ask([wish.command(self.callers, self.order_id, self.model.picture)])

    @rule(wishes=st.lists(WISHES, min_size=2, max_size=AT_ONCE), doubled=st.booleans())
    def several_do_something_at_once(self, wishes: list[Wish], doubled: bool) -> None:
        """`doubled`: the first command comes twice, as after a connection that broke."""
        self._step("at once")
        commands = [wish.command(self.callers, self.order_id, self.model.picture) for wish in wishes]
        if doubled:
            self.figures.counted["redeliveries"] += 1
            commands.append(commands[0])
        self._ask(commands)

    @precondition(lambda self: self.sent)
    @rule(data=st.data())
    def an_earlier_command_comes_again(self, data: st.DataObject) -> None:
        self._step("again")
        self.figures.counted["redeliveries"] += 1
        command = data.draw(st.sampled_from(self.sent))
        self._expect_first_answer(command, command)

    @precondition(lambda self: self.sent)
    @rule(data=st.data())
    def a_client_repeats_an_earlier_request(self, data: st.DataObject) -> None:
        """Under the same Idempotency-Key: the same id, accepted anew."""
        self._step("repeated")
        command = data.draw(st.sampled_from(self.sent))
        self._expect_first_answer(command, command.model_copy(update={"stamp": str(uuid7())}))

    @precondition(lambda self: self.sent)
    @rule(data=st.data())
    def other_content_comes_under_a_known_id(self, data: st.DataObject) -> None:
        self._step("other content")
        known = data.draw(st.sampled_from(self.sent))
        other = post("something else", by=known.data.caller, order_id=self.order_id, id=known.id)
        [answer] = self.loop.run(self.office.ask_all([other]))
        assert answer.problem is not None
        assert (answer.status, answer.problem.code) == (409, "idempotency_conflict")
        self._expect_entries([])

    @precondition(lambda self: len(self.stamps) > 1)
    @rule(data=st.data(), who=st.sampled_from(PEOPLE), number=st.integers(0, 99))
    def a_read_mark_comes_late(self, data: st.DataObject, who: str, number: int) -> None:
        """It was accepted earlier than others that are applied already."""
        self._step("late")
        stamp = data.draw(st.sampled_from(self.stamps))
        up_to = number % (self.model.picture.length + 1)
        self._ask([mark_read(up_to, by=self.callers[who], order_id=self.order_id, stamp=stamp)])

    @precondition(lambda self: not self.is_behind)
    @rule(who=st.sampled_from(PEOPLE))
    def a_worker_dies_after_an_insert(self, who: str) -> None:
        """So the projection, where deciding begins, is one entry behind the log until the next entry."""
        self._step("behind")
        stale = self.loop.run(self.office.projection(self.order_id))
        command = post("then it died", by=self.callers[who], order_id=self.order_id)
        self._ask([command])
        self.loop.run(self.office.fall_behind(stale, command.id))
        self.is_behind = True

    @precondition(lambda self: self.model.is_guests)
    @rule()
    def the_guest_becomes_an_account(self) -> None:
        self._step("account")
        self.callers["customer"] = Caller(role="customer", id=f"c-{self.name}", name="Ada")
        customer = Customer(id=f"c-{self.name}", name="Ada", email="ada@example.com")
        self.loop.run(self.office.order(self._snapshot(2, customer)))
        self.model.is_guests = False

    @precondition(lambda self: not self.model.is_guests)
    @rule()
    def the_old_guest_link_is_used(self) -> None:
        self._step("old link")
        guest = Caller(role="guest", id=f"g-{self.name}", name="Guest", order_id=self.name)
        [answer] = self.loop.run(
            self.office.ask_all([post("from the link", by=guest, order_id=self.order_id)], refused_at_once=True)
        )
        assert answer.status == 404
        self._expect_entries([])

    @precondition(lambda self: not self.is_behind)
    @rule(who=st.sampled_from(PEOPLE))
    def somebody_looks(self, who: str) -> None:
        self._step("look")
        self._compare(who)

    def teardown(self) -> None:
        """At the end everybody sees what the model says."""
        if self.is_behind:
            self._ask([post("the last one", by=self.callers["bob"], order_id=self.order_id)])
        for who in PEOPLE:
            self._compare(who)

    # What must come of it.

    def _ask(self, commands: Sequence[ThreadCommand]) -> None:
        """Asks all of these at once, and holds the answers and the log against the model."""
        answers = self.loop.run(self.office.ask_all(list(commands)))
        pictures = self._expect_entries(commands)
        for command, answer in self._without_late_copies(commands, answers, pictures):
            self._check_answer(command, answer, pictures)
            first = self.first_answers.setdefault(command.id, answer)
            if not isinstance(command, MarkRead):
                assert answer == first
            elif answer.status == 200 and first.status == 422:
                # Two copies in two workers' hands: one was looked at before the entry was there. That it was applied is what stays.
                self.first_answers[command.id] = answer
        self.sent += [command for command in dict.fromkeys(commands, None) if command not in self.sent]

    def _without_late_copies(
        self, commands: Sequence[ThreadCommand], answers: Sequence[CommandOutcome], pictures: list[Picture]
    ) -> list[tuple[ThreadCommand, CommandOutcome]]:
        """Two copies of a step of a dispute in two workers' hands: one may have been answered, as is right of the state before, when the
        other one made the entry. The entry's answer is the one that stays; with it the other copy's is left out, and counted.
        """
        made = {line.id for line in self.model.lines}
        entries_answer = {
            command.id
            for command, answer in zip(commands, answers, strict=True)
            if command.id in made and answer.status == DONE_WITH_ENTRY["open"]
        }
        kept = []
        for command, answer in zip(commands, answers, strict=True):
            is_step = isinstance(command, OpenDispute) and command.id in entries_answer
            if is_step and answer.status != DONE_WITH_ENTRY["open"]:
                verdicts = {self.model.verdict(command, picture) for picture in pictures} - {MAKES_AN_ENTRY}
                assert answer.status in verdicts, (answer, verdicts)
                self.figures.counted["late copies"] += 1
            else:
                kept.append((command, answer))
        return kept

    def _expect_entries(self, commands: Sequence[ThreadCommand]) -> list[Picture]:
        """Adds to the model what the log has got, each entry only where the model allows it; the pictures on the way."""
        new = self.loop.run(self.office.ids_in_order(self.order_id, above=len(self.model.lines)))
        asked = {command.id: command for command in commands}
        assert set(new) <= set(asked), "an entry that nobody has asked for"
        pictures = [self.model.picture]
        for entry_id in new:
            command = asked[entry_id]
            assert self.model.verdict(command, self.model.picture) == MAKES_AN_ENTRY
            self.model.add(command)
            pictures.append(self.model.picture)
        if new:
            self.is_behind = False
        return pictures

    def _check_answer(self, command: ThreadCommand, answer: CommandOutcome, pictures: list[Picture]) -> None:
        made = [line.id for line in self.model.lines]
        if command.id in made:
            self._check_entry_answer(command, answer, made.index(command.id) + 1)
            return
        verdicts = {self.model.verdict(command, picture) for picture in pictures} - {MAKES_AN_ENTRY}
        assert answer.status in verdicts, (answer, verdicts)
        known = self.first_answers.get(command.id)
        if isinstance(command, MarkRead) and answer.status == 200 and (known is None or known.status == 422):
            self.figures.counted["late reads"] += self.model.mark(command)
        elif answer.status == 200 and not isinstance(command, MarkRead):
            assert answer.result is not None
            assert answer.result["id"] in {picture.dispute_id for picture in pictures if picture.is_open}

    def _check_entry_answer(self, command: ThreadCommand, answer: CommandOutcome, seq: int) -> None:
        result = answer.result
        assert result is not None, answer
        kind = self.model.lines[seq - 1].kind
        if kind == "text":
            assert (answer.status, result["id"], result["seq"]) == (201, command.id, seq)
        elif kind == "dispute_opened":
            assert (answer.status, result["id"], result["opened_seq"]) == (201, command.id, seq)
        else:
            assert (answer.status, result["state"], result["closed_seq"]) == (200, "closed", seq)

    def _expect_first_answer(self, command: ThreadCommand, again: ThreadCommand) -> None:
        [answer] = self.loop.run(self.office.ask_all([again]))
        assert answer == self.first_answers[command.id]
        self._expect_entries([])

    def _compare(self, who: str) -> None:
        """What this person is shown, against the model."""
        caller = self.callers[who]
        side = caller.side
        assert side is not None
        seen, model = self.loop.run(self.office.look(caller, self.order_id)), self.model
        new = model.new_for(caller.person)
        self._compare_history(seen, caller, new)
        thread = seen.order.thread
        assert (thread.last_seq, thread.unread, thread.new_for_me) == (len(model.lines), model.unread(side), len(new))
        assert seen.first_new_seq == (new[0] if new else None)
        dispute = thread.dispute
        shown = (None, False) if dispute is None else (dispute.id, dispute.state == "open")
        assert shown == (model.picture.dispute_id, model.picture.is_open)
        assert ("close_dispute" in seen.order.available_actions) == (model.picture.is_open and side != "seller")
        if side != "shop":
            assert seen.me.unread.messages == model.unread(side)
            assert seen.me.open_disputes.threads == int(model.picture.is_open)

    def _compare_history(self, seen: Seen, caller: Caller, new: list[int]) -> None:
        lines = self.model.lines
        assert [item.seq for item in seen.history] == list(range(1, len(lines) + 1))
        shown = [(item.id, item.kind, item.author.side, item.text) for item in seen.history]
        assert shown == [(line.id, line.kind, line.side, line.text) for line in lines]
        assert [item.mine for item in seen.history] == [line.person == caller.person for line in lines]
        assert [item.seq for item in seen.history if item.new] == new


@pytest.mark.timeout(1_200)
def test_two_workers_and_the_model_agree_on_every_conversation(
    parley: Parley, capsys: pytest.CaptureFixture[str]
) -> None:
    with running(parley) as (loop, office):
        figures = Figures()
        ConversationMachine.loop, ConversationMachine.office, ConversationMachine.figures = loop, office, figures
        run_state_machine_as_test(
            ConversationMachine,
            settings=settings(
                max_examples=SEQUENCES,
                stateful_step_count=MAX_STEPS,
                deadline=None,
                database=None,
                print_blob=True,
                phases=PHASES,
                suppress_health_check=list(HealthCheck),
            ),
            _min_steps=MIN_STEPS,
        )
        collisions = office.collisions
    long = [steps for steps in figures.steps if steps >= MIN_STEPS]
    counted = figures.counted
    with capsys.disabled():
        print(
            f"\nmodel: {len(long)} sequences of at least {MIN_STEPS} steps ({sum(figures.steps)} steps), 0 differences"
        )
        print(
            f"model: {collisions} collisions, {counted['redeliveries']} redeliveries, {counted['late reads']} late reads, "
            f"{counted['late copies']} late copies"
        )
        print(f"model: steps by kind: {dict(counted)}")
    assert len(long) >= SEQUENCES
    assert collisions > 0
    assert counted["redeliveries"] > 0
    assert counted["late reads"] > 0

"""What the supervisor does next: one literal table of states, inputs and effects.

The supervisor, its tests and the diagram in docs/supervisor.md read it; an input that a state does not
list changes nothing.
"""

from __future__ import annotations

from enum import Enum


class State(Enum):
    """Where the service stands."""

    WAITING = "waiting"  # no run; a change starts one
    RUNNING = "running"
    HELD = "held"  # a run is up; a change is known and waits
    STOPPING = "stopping"  # the stop signal is out; grace runs
    KILLING = "killing"  # SIGKILL is out
    BACKOFF = "backoff"  # no run; a deadline or a change starts one
    CLOSING = "closing"  # the run is being stopped for good
    CLOSED = "closed"


class Input(Enum):
    """What can happen to it."""

    CHANGE = "change"  # a batch settled, or someone asked for a restart
    HOLD = "hold"  # a batch settled and is to wait
    ENDED = "ended"  # the child ended by itself
    TIME = "time"  # the deadline is reached
    CLOSE = "close"  # reloaderd is to end
    # The run is over, nothing of it is left, and the plan is to
    AGAIN = "again"  # start the next one
    LATER = "later"  # start it after a delay
    REST = "rest"  # wait for a change
    DONE = "done"  # end


class Effect(Enum):
    """What it does about it."""

    START = "start"
    KEEP = "keep"  # leave the run as it is
    STOP = "stop"  # send the stop signal, set the deadline
    SWEEP = "sweep"  # the same to what an ended child left
    KILL = "kill"
    COMPLAIN = "complain"  # SIGKILL did not end it either
    RENEW = "renew"  # after the stop, start
    DELAY = "delay"
    REST = "rest"
    FINISH = "finish"


S, In, Do = State, Input, Effect

TRANSITIONS: dict[tuple[State, Input], tuple[State, Effect]] = {
    (S.WAITING, In.CHANGE): (S.RUNNING, Do.START),
    (S.WAITING, In.CLOSE): (S.CLOSED, Do.FINISH),
    (S.BACKOFF, In.CHANGE): (S.RUNNING, Do.START),
    (S.BACKOFF, In.TIME): (S.RUNNING, Do.START),
    (S.BACKOFF, In.CLOSE): (S.CLOSED, Do.FINISH),
    (S.BACKOFF, In.REST): (S.WAITING, Do.REST),  # another run serves: core.overlap
    (S.RUNNING, In.CHANGE): (S.STOPPING, Do.STOP),
    (S.RUNNING, In.HOLD): (S.HELD, Do.KEEP),
    (S.RUNNING, In.ENDED): (S.STOPPING, Do.SWEEP),
    (S.RUNNING, In.CLOSE): (S.CLOSING, Do.STOP),
    (S.HELD, In.CHANGE): (S.STOPPING, Do.STOP),
    (S.HELD, In.ENDED): (S.STOPPING, Do.SWEEP),
    (S.HELD, In.CLOSE): (S.CLOSING, Do.STOP),
    # A start that failed: there never was a child.
    (S.RUNNING, In.LATER): (S.BACKOFF, Do.DELAY),
    (S.RUNNING, In.REST): (S.WAITING, Do.REST),
    (S.RUNNING, In.DONE): (S.CLOSED, Do.FINISH),
    (S.STOPPING, In.CHANGE): (S.STOPPING, Do.RENEW),
    (S.STOPPING, In.TIME): (S.KILLING, Do.KILL),
    (S.STOPPING, In.CLOSE): (S.CLOSING, Do.STOP),
    (S.STOPPING, In.AGAIN): (S.RUNNING, Do.START),
    (S.STOPPING, In.LATER): (S.BACKOFF, Do.DELAY),
    (S.STOPPING, In.REST): (S.WAITING, Do.REST),
    (S.STOPPING, In.DONE): (S.CLOSED, Do.FINISH),
    (S.KILLING, In.CHANGE): (S.KILLING, Do.RENEW),
    (S.KILLING, In.TIME): (S.KILLING, Do.COMPLAIN),
    (S.KILLING, In.CLOSE): (S.CLOSING, Do.KILL),
    (S.KILLING, In.AGAIN): (S.RUNNING, Do.START),
    (S.KILLING, In.LATER): (S.BACKOFF, Do.DELAY),
    (S.KILLING, In.REST): (S.WAITING, Do.REST),
    (S.KILLING, In.DONE): (S.CLOSED, Do.FINISH),
    # A second CLOSE (Ctrl-C again) does not wait for the grace.
    (S.CLOSING, In.CLOSE): (S.CLOSING, Do.KILL),
    (S.CLOSING, In.TIME): (S.CLOSING, Do.KILL),
    (S.CLOSING, In.DONE): (S.CLOSED, Do.FINISH),
}
"""(state, input) -> (next state, effect)."""

del S, In, Do

UP = frozenset({State.RUNNING, State.HELD})
"""The states of a run that nobody ends."""

ALIVE = UP | {State.STOPPING, State.KILLING, State.CLOSING}
"""The states of a run that is not over."""

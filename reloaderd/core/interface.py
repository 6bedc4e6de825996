"""The interfaces of the control socket in varlink's own language: what can be asked, and what is answered.

The specification is at https://varlink.org/Interface-Definition.  A test holds the answers to it.
"""

from __future__ import annotations

SERVICE = """\
# What every varlink service answers.
interface org.varlink.service

# Tells what implements the service, and which interfaces it has.
method GetInfo() -> (
  vendor: string,
  product: string,
  version: string,
  url: string,
  interfaces: []string
)

# Gives the description of an interface.
method GetInterfaceDescription(interface: string) -> (description: string)

error InterfaceNotFound (interface: string)
error MethodNotFound (method: string)
error MethodNotImplemented (method: string)
error InvalidParameter (parameter: string)

# The method has many answers: call it with "more".
error ExpectedMore ()
"""

RELOADERD = """\
# Speaks with a reloaderd that runs: what it does and why, and what it is to do.
# Times are seconds since 1970, durations seconds, or milliseconds where the name ends in _ms.
interface io.reloaderd

# A part of what is watched that is looked at again and again, and why.
type Polled (
  path: string,
  why: string
)

# A change: what became of the file, the rule by which it counts, and where that stands.
type Change (
  path: string,
  what: (made, changed, gone),
  rule: string,
  origin: string
)

# One run of a service.
type Run (
  service: string,
  run: int,

  # Why it was started; by: the signal or "control" where somebody asked, or how the run before ended.
  cause: (start, configuration, change, asked, ended, failed),
  by: string,

  # The first of the changes that it was started for, and how many there were.
  changes: []Change,
  count: int,

  # When it was decided, when the command was executed, and as which process.
  time: float,
  started: ?float,
  pid: ?int,

  # With --checkpoints: the file before whose import the copy was made that it went on from.  Nothing that
  # changed had been read by then.
  checkpoint: ?string,

  # From the first change to the start; of that, the end of the run before, and the start itself.
  all_ms: ?float,
  stop_ms: ?float,
  start_ms: ?float,

  # The signal that it was told to end by, and whether it had to be killed.
  stopped: ?string,
  killed: bool,

  # When it ended, how, and after how long.
  ended: ?float,
  status: ?int,
  signal: ?string,
  seconds: ?float,

  # Why it could not be started.
  failed: ?string,

  # With --overlap: why it did not take over from the run before, which goes on.
  unready: ?string
)

type Service (
  name: string,
  state: (waiting, running, held, stopping, killing, backoff, closing, closed),
  dry_run: bool,
  command: []string,

  # The latest run; pid and seconds (since its start) where there is one now.
  run: int,
  pid: ?int,
  seconds: ?float,

  # What is watched, and by which means.  missing: those of the roots that are not there, and are waited for.
  roots: []string,
  missing: []string,
  source: string,
  directories: int,
  watches: int,
  polled: []Polled,

  # Whether a Python command tells what it loads, or why not; and how much that is.
  followed: bool,
  not_followed: ?string,
  modules: int,
  data: int,
  libraries: int,

  # Whether batches are held by Pause; why changes wait (paused, syntax, ...), and how many.
  paused: bool,
  hold: ?string,
  waiting: int,

  last: ?Run
)

# What a change of a file would do, by the rules of one service, and what is known of the file.
type Verdict (
  service: string,
  path: string,
  concerned: bool,
  action: string,
  rule: string,
  origin: string,
  watched: ?string,
  why: ?string,
  loaded: ?(module, data),
  waiting: ?string
)

method Status() -> (
  name: string,
  pid: int,
  version: string,
  seconds: float,
  directory: string,
  config: ?string,
  services: []Service
)

# The latest runs, oldest first: of these services (all), and so many of each (all that are remembered).
method Why(services: ?[]string, count: ?int) -> (runs: []Run)

# Each log line from now on, as with --log-format json.  To be called with "more".
method Events() -> (entry: object)

# Restart these services (all) now.  Answered when it is on its way.
method Restart(services: ?[]string) -> (services: []string)

# Hold every batch of changes of these services (all), while their commands go on.
method Pause(services: ?[]string) -> (services: []string)

# Let go of what is held.
method Resume(services: ?[]string) -> (services: []string)

# End all of it, as SIGTERM does.  Answered when it is on its way.
method Stop() -> ()

# What a change of this file or directory would do.  real: its path without symlinks.
method Explain(path: string, real: ?string, directory: ?bool) -> (services: []Verdict)

error NoSuchService (service: string, services: []string)

# Nothing is started with --dry-run.
error DryRun ()

# It cannot answer: maybe another version was installed while it runs.
error Failed (reason: string)
"""

DESCRIPTIONS = {"io.reloaderd": RELOADERD, "org.varlink.service": SERVICE}

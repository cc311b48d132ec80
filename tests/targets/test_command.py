"""The command adapter against the contract suite, and what only it does: commands, files, orphans.

`tool.py` stands for the owner's programs; it does what its arguments say.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import psutil
import pytest

from targets.adapter import Adapter, CancelToken, Snapshot
from targets.command.adapter import CommandAdapter
from targets.errors import (
    ApplyFailed,
    Cancelled,
    HarnessFailed,
    InvalidSetting,
    Rejected,
    TargetDown,
    TimedOut,
    WorkloadFailed,
)
from targets.testing import AdapterContract

TOOL = """
import json, os, pathlib, subprocess, sys, time
act, rest = sys.argv[1], sys.argv[2:]
if act == "set":            # FILE then NAME=VALUE...
    pathlib.Path(rest[0]).write_text(json.dumps(dict(item.split("=", 1) for item in rest[1:])))
elif act == "cat":
    print(pathlib.Path(rest[0]).read_text())
elif act == "arguments":
    pathlib.Path("arguments.json").write_text(json.dumps({"argv": rest, "env": dict(os.environ)}))
elif act == "measure":
    print(json.dumps({"speed": float(rest[0])}))
elif act == "print":
    print(rest[0])
elif act == "fail":
    print("the disk is on fire", file=sys.stderr); sys.exit(3)
elif act == "sleep-then-set":
    pathlib.Path("started").touch()
    time.sleep(float(rest[0]))
    pathlib.Path(rest[1]).write_text("late")
elif act == "wait":
    subprocess.run([sys.executable, "-c", "import time; time.sleep(60)"])
elif act == "daemonise":
    subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
elif act == "flood":
    sys.stdout.write("x" * 3_000_000)
"""

FILE_TOML = """
[target]
name = "file target"
booleans = ["off", "on"]

[knobs.size]
type = "integer"
low = 1
high = 100
default = 10
help = "how large"
special = [{value = -1, meaning = "automatic"}]

[knobs.ratio]
type = "real"
low = 0.0000001
high = 1.0
scale = "log"
default = 0.5
help = "how much"

[knobs.fast]
type = "boolean"
default = false
help = "whether"

[knobs.mode]
type = "categorical"
levels = ["plain", "--fancy"]
default = "plain"
effect = "restart"
help = "which"

[[constraints]]
expression = "size < 60 or fast"

[[render]]
path = "target.conf"
text = '''
server { # braces stay
  size = {size}
  ratio {ratio};
  fast: {fast}
  mode "{mode}"
}
'''

[apply]
argv = ["{lontra.python}", "tool.py", "set", "loaded", "size={size}"]
timeout_seconds = 20

[measure]
argv = ["{lontra.python}", "tool.py", "measure", "2.5"]
window_seconds = 1

[[objectives]]
name = "speed"
direction = "max"
deterministic = true
from = "json:$.speed"
"""

ARGUMENTS_TOML = """
[target]
name = "program"

[knobs.level]
type = "integer"
low = -3
high = 9
default = 1
help = "how hard it tries"

[measure]
argv = ["{lontra.python}", "tool.py", "print", "--", "{level}"]
window_seconds = 1

[[objectives]]
name = "duration"
direction = "min"
unit = "s"
from = "exit-time"
"""


def write(folder: Path, toml: str) -> Path:
    (folder / "tool.py").write_text(TOOL)
    file = folder / "target.toml"
    file.write_text(toml)
    return file


def make(folder: Path, toml: str) -> CommandAdapter:
    return CommandAdapter({"file": str(write(folder, toml))}, folder / "work")


def minimal(**tables: str) -> str:
    """A definition with one knob `n`, whose tables can be given whole."""
    given = {
        "target": 'name = "t"',
        "apply": 'argv = ["{lontra.python}", "tool.py", "set", "loaded", "n={n}"]',
        "measure": 'argv = ["{lontra.python}", "tool.py", "measure", "1"]\nwindow_seconds = 1',
        **tables,
    }
    return (
        '[knobs.n]\ntype = "integer"\nlow = 1\nhigh = 9\ndefault = 1\nhelp = "n"\n'
        + "".join(f"[{name}]\n{textwrap.dedent(body)}\n" for name, body in given.items() if body)
        + ("" if "objectives" in "".join(tables.values()) else objective("json:$.speed"))
    )


def objective(source: str) -> str:
    return f'[[objectives]]\nname = "speed"\ndirection = "max"\nfrom = {json.dumps(source)}\n'


class TestByFile(AdapterContract):
    def make_adapter(self, workdir: Path) -> Adapter:
        return make(workdir, FILE_TOML)


class TestByArguments(AdapterContract):
    def make_adapter(self, workdir: Path) -> Adapter:
        return make(workdir, ARGUMENTS_TOML)


# -- what reaches the target


def test_values_stay_within_their_argument_and_the_environment_is_the_owners(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LONTRA_TOKEN", "a secret of the agent's")
    monkeypatch.setenv("PASSWORD", "handed on")
    monkeypatch.setenv("NOT_NAMED", "kept back")
    toml = FILE_TOML.replace(
        '"set", "loaded", "size={size}"]',
        '"arguments", "--x={mode} {size}", "{{size}}", "{"]\nenv = {RATIO = "r{ratio}"}',
    ).replace("booleans", 'inherit = ["PASSWORD"]\nenv = {FIXED = "1"}\nbooleans')
    adapter = make(tmp_path, toml)
    adapter.apply({"size": -1, "ratio": 0.0000015, "fast": True, "mode": "--fancy"})
    seen = json.loads((tmp_path / "arguments.json").read_text())
    assert seen["argv"] == ["--x=--fancy -1", "{size}", "{"]
    assert seen["env"]["RATIO"] == "r0.0000015"
    assert seen["env"]["FIXED"] == "1"
    assert seen["env"]["PASSWORD"] == "handed on"
    assert seen["env"]["PATH"] == os.environ["PATH"]
    assert not {"LONTRA_TOKEN", "NOT_NAMED"} & set(seen["env"])


def test_rendered_file_keeps_its_mode_and_comes_back_to_the_byte(tmp_path: Path) -> None:
    theirs = tmp_path / "target.conf"
    original = b'# mine\xff\n  size =   20\nratio 0.25;\nfast: on\nmode "plain" \nother = 1\n'
    theirs.write_bytes(original)
    theirs.chmod(0o640)
    adapter = make(tmp_path, FILE_TOML)
    assert adapter.read() == {"size": 20, "ratio": 0.25, "fast": True, "mode": "plain"}
    snapshot = adapter.snapshot()
    applied = adapter.apply({"size": 5, "ratio": 1.0, "fast": False, "mode": "--fancy"})
    assert theirs.read_text() == (
        'server { # braces stay\n  size = 5\n  ratio 1.0;\n  fast: off\n  mode "--fancy"\n}\n'
    )
    assert applied.restarted
    assert not adapter.apply({**applied.in_force, "size": 6}).restarted
    adapter.restore(snapshot)
    assert theirs.read_bytes() == original
    assert theirs.stat().st_mode & 0o777 == 0o640
    assert json.loads((tmp_path / "loaded").read_text()) == {"size": "20"}


def test_rendered_file_that_was_not_there_is_removed_again(tmp_path: Path) -> None:
    adapter = make(tmp_path, FILE_TOML)
    snapshot = adapter.snapshot()
    adapter.apply({**adapter.read(), "size": 5})
    assert (tmp_path / "target.conf").exists()
    adapter.restore(snapshot)
    assert not (tmp_path / "target.conf").exists()
    assert adapter.read() == snapshot.configuration


def test_rendered_file_behind_a_link_is_replaced_and_the_link_stays(tmp_path: Path) -> None:
    (tmp_path / "real.conf").write_text('size = 20\nratio 0.25;\nfast: on\nmode "plain"\n')
    (tmp_path / "target.conf").symlink_to("real.conf")
    adapter = make(tmp_path, FILE_TOML)
    adapter.apply({**adapter.read(), "size": 21})
    assert (tmp_path / "target.conf").is_symlink()
    assert "size = 21" in (tmp_path / "real.conf").read_text()


def test_change_by_hand_is_seen_even_out_of_the_domain(tmp_path: Path) -> None:
    adapter = make(tmp_path, FILE_TOML)
    adapter.apply(adapter.read())
    conf = tmp_path / "target.conf"
    conf.write_text(conf.read_text().replace("size = 10", "size = 4000"))
    assert adapter.read()["size"] == 4000


@pytest.mark.parametrize("bad", ["size = many", "size = 1\nsize = 2", "siez = 1"])
def test_file_that_cannot_be_understood_is_told_not_guessed(tmp_path: Path, bad: str) -> None:
    adapter = make(tmp_path, FILE_TOML)
    adapter.apply(adapter.read())
    conf = tmp_path / "target.conf"
    conf.write_text(conf.read_text().replace("size = 10", bad))
    with pytest.raises(HarnessFailed, match=r"target\.conf.*size"):
        adapter.read()


def test_failed_apply_puts_the_files_back(tmp_path: Path) -> None:
    (tmp_path / "target.conf").write_text('size = 20\nratio 0.25;\nfast: on\nmode "plain"\n')
    toml = FILE_TOML.replace('"set", "loaded", "size={size}"', '"fail"')
    adapter = make(tmp_path, toml)
    with pytest.raises(ApplyFailed, match=r"\[apply\].*exit status 3.*the disk is on fire"):
        adapter.apply({**adapter.read(), "size": 21})
    assert "size = 20" in (tmp_path / "target.conf").read_text()


def test_snapshot_of_another_file_is_refused(tmp_path: Path) -> None:
    adapter = make(tmp_path, FILE_TOML)
    elsewhere = tmp_path / "elsewhere"
    data = {"files": {str(elsewhere): {"content_base64": "eA==", "mode": 0o644}}}
    with pytest.raises(ApplyFailed, match="elsewhere"):
        adapter.restore(Snapshot(configuration=adapter.read(), data=data))
    assert not elsewhere.exists()


# -- what is in force


def test_read_waits_until_the_target_has_settled(tmp_path: Path) -> None:
    """The target takes its file over only after a while, as after a SIGHUP."""
    toml = minimal(
        read='argv = ["{lontra.python}", "tool.py", "cat", "loaded"]\nsettle_seconds = 20'
    )
    toml = toml.replace('"loaded", "n={n}"', '"asked", "n={n}"')
    adapter = make(tmp_path, toml)
    (tmp_path / "loaded").write_text('{"n": 1}')
    done = threading.Event()

    def take_over() -> None:
        while not done.is_set():
            if (tmp_path / "asked").exists():
                time.sleep(0.3)
                (tmp_path / "asked").replace(tmp_path / "loaded")
                return
            time.sleep(0.01)

    target = threading.Thread(target=take_over)
    target.start()
    try:
        assert adapter.apply({"n": 7}).in_force == {"n": 7}
    finally:
        done.set()
        target.join()


def test_what_is_in_force_is_what_the_target_says(tmp_path: Path) -> None:
    toml = minimal(
        read='argv = ["{lontra.python}", "tool.py", "print", "n = 3"]\nformat = "lines"\n'
        "settle_seconds = 0.1"
    )
    adapter = make(tmp_path, toml)
    assert adapter.read() == {"n": 3}
    assert adapter.apply({"n": 7}).in_force == {"n": 3}
    with pytest.raises(ApplyFailed, match="restored, and yet"):
        adapter.restore(Snapshot(configuration={"n": 7}))


def test_target_that_is_down_can_be_brought_up_by_apply(tmp_path: Path) -> None:
    adapter = make(tmp_path, minimal(read='argv = ["{lontra.python}", "tool.py", "cat", "loaded"]'))
    with pytest.raises(TargetDown, match=r"(?s)\[read\].*FileNotFoundError"):
        adapter.read()
    assert adapter.apply({"n": 7}).in_force == {"n": 7}


def test_check_decides_on_health(tmp_path: Path) -> None:
    adapter = make(tmp_path, minimal(check='argv = ["{lontra.python}", "tool.py", "fail"]'))
    assert "the disk is on fire" in adapter.healthy()
    with pytest.raises(TargetDown, match=r"\[check\]"):
        adapter.apply({"n": 7})


def test_version_names_the_target(tmp_path: Path) -> None:
    toml = minimal(version='argv = ["{lontra.python}", "tool.py", "print", "4.2\\nmore"]')
    assert make(tmp_path, toml).describe().version == "t 4.2"


# -- measuring


@pytest.mark.parametrize(
    ("source", "value"),
    [("regex:speed: ([0-9.]+)", 7.5), ("regex:(?P<what>speed): (?P<value>\\S+)", 7.5)],
)
def test_objective_by_regex(tmp_path: Path, source: str, value: float) -> None:
    argv = ["{lontra.python}", "tool.py", "print", "all went well\nspeed: 7.5\n"]
    toml = minimal(measure=f"argv = {json.dumps(argv)}")
    toml = toml.replace('"json:$.speed"', json.dumps(source))
    assert make(tmp_path, toml).measure().objectives == {"speed": value}


def test_objective_and_metrics_by_json_path(tmp_path: Path) -> None:
    printed = json.dumps({"a b": {"c": [0, {"d": 2.5}]}, "errors": "none"})
    argv = ["{lontra.python}", "tool.py", "print", printed]
    toml = minimal(measure=f"argv = {json.dumps(argv)}")
    toml = toml.replace('"json:$.speed"', json.dumps('json:$["a b"].c[1].d'))
    toml += '[[metrics]]\nname = "errors"\nfrom = "json:$.errors"\n'
    window = make(tmp_path, toml).measure()
    assert window.objectives == {"speed": 2.5}
    assert list(window.metrics) == ["errors"] and window.metrics["errors"] != 0  # NaN: unknown


def test_observed_counters_become_rates(tmp_path: Path) -> None:
    script = (
        "import pathlib; p = pathlib.Path('count'); n = int(p.read_text() or 0) if p.exists() "
        "else 0; p.write_text(str(n + 1000)); print(n)"
    )
    toml = minimal(observe=f'argv = ["{{lontra.python}}", "-c", {json.dumps(script)}]')
    toml += '[[metrics]]\nname = "done"\nkind = "counter"\nfrom = "regex:(.+)"\n'
    adapter = make(tmp_path, toml)
    assert adapter.observe() == {"done": 0.0}
    window = adapter.measure()
    assert window.metrics["done"] == pytest.approx(1000 / window.seconds)


@pytest.mark.parametrize("value", ["nan", "inf", "-1", "0"])
def test_objective_that_no_ratio_can_be_made_of_is_a_wrong_result(
    tmp_path: Path, value: str
) -> None:
    toml = minimal(measure=f'argv = ["{{lontra.python}}", "tool.py", "print", "v {value}"]')
    adapter = make(tmp_path, toml.replace('"json:$.speed"', '"regex:v (.+)"'))
    with pytest.raises(WorkloadFailed, match="objective speed"):
        adapter.measure()


@pytest.mark.parametrize(
    "printed", ["nothing", '{"sped": 1}', '{"speed": null}', '{"speed": true}']
)
def test_objective_that_is_not_printed_is_not_the_configurations_fault(
    tmp_path: Path, printed: str
) -> None:
    argv = ["{lontra.python}", "tool.py", "print", printed]
    adapter = make(tmp_path, minimal(measure=f"argv = {json.dumps(argv)}"))
    with pytest.raises(HarnessFailed, match=r"\[measure\]"):
        adapter.measure()


def test_seed_and_purpose_reach_the_measuring(tmp_path: Path) -> None:
    argv = ["{lontra.python}", "tool.py", "print", "{lontra.purpose}: {lontra.seed}"]
    toml = minimal(measure=f"argv = {json.dumps(argv)}")
    toml = toml.replace('"json:$.speed"', '"regex:search: (.+)"')
    assert make(tmp_path, toml).measure(seed=41).objectives == {"speed": 41.0}


def test_failing_measure_is_the_workloads(tmp_path: Path) -> None:
    adapter = make(tmp_path, minimal(measure='argv = ["{lontra.python}", "tool.py", "fail"]'))
    with pytest.raises(WorkloadFailed, match="exit status 3"):
        adapter.measure()


def test_endless_output_is_bounded(tmp_path: Path) -> None:
    adapter = make(tmp_path, minimal(measure='argv = ["{lontra.python}", "tool.py", "flood"]'))
    with pytest.raises(HarnessFailed, match="more than 1048576 bytes"):
        adapter.measure()


# -- commands that do not end


def living(folder: Path) -> list[psutil.Process]:
    """The processes of commands that run in this folder."""
    return [
        process
        for process in psutil.process_iter(["cwd", "status"])
        if process.info["cwd"] == str(folder)
        and process.info["status"] != psutil.STATUS_ZOMBIE
        and process.pid != os.getpid()
    ]


def test_command_that_outlives_its_time_is_killed_with_its_children(tmp_path: Path) -> None:
    toml = minimal(
        apply='argv = ["{lontra.python}", "tool.py", "wait", "{n}"]\ntimeout_seconds = 1'
    )
    adapter = make(tmp_path, toml)
    with pytest.raises(TimedOut, match=r"\[apply\].*killed after 1 s"):
        adapter.apply({"n": 7})
    assert living(tmp_path) == []


def test_cancelled_measure_is_killed(tmp_path: Path) -> None:
    toml = minimal(measure='argv = ["{lontra.python}", "tool.py", "sleep-then-set", "60", "late"]')
    adapter = make(tmp_path, toml)
    cancel = CancelToken()

    def cancel_once_started() -> None:
        while not (tmp_path / "started").exists():
            time.sleep(0.01)
        cancel.cancel("enough")

    threading.Thread(target=cancel_once_started, daemon=True).start()
    with pytest.raises(Cancelled, match="enough"):
        adapter.measure(cancel=cancel)
    assert living(tmp_path) == []


def test_daemon_started_by_a_command_lives_on(tmp_path: Path) -> None:
    toml = minimal(apply='argv = ["{lontra.python}", "tool.py", "daemonise", "{n}"]')
    adapter = make(tmp_path, toml)
    started = time.monotonic()
    adapter.apply({"n": 7})
    assert time.monotonic() - started < 30, "waited for the daemon to end"
    (daemon,) = living(tmp_path)
    daemon.kill()


def test_restore_ends_what_a_killed_agent_left_running(tmp_path: Path) -> None:
    """An agent is killed in the middle of [apply]: its orphan must not have the last word."""
    toml = minimal(
        apply='argv = ["{lontra.python}", "tool.py", "sleep-then-set", "{n}", "loaded"]',
        restore='argv = ["{lontra.python}", "tool.py", "set", "loaded", "n={n}"]',
    )
    file = write(tmp_path, toml)
    agent = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import sys, pathlib; from targets.command.adapter import CommandAdapter as C;"
            f"C({{'file': {str(file)!r}}}, pathlib.Path({str(tmp_path / 'work')!r}))"
            ".apply({'n': 9})",
        ]
    )
    deadline = time.monotonic() + 60
    while not (tmp_path / "started").exists():
        assert time.monotonic() < deadline
        time.sleep(0.01)
    agent.send_signal(signal.SIGKILL)
    agent.wait()
    assert len(living(tmp_path)) == 1, "the orphan lives"
    adapter = CommandAdapter({"file": str(file)}, tmp_path / "work")
    adapter.restore(Snapshot(configuration={"n": 1}))
    assert living(tmp_path) == []
    assert json.loads((tmp_path / "loaded").read_text()) == {"n": "1"}
    assert list((tmp_path / "work" / "running").iterdir()) == []


def test_rejected_before_anything_is_run(tmp_path: Path) -> None:
    adapter = make(tmp_path, minimal(apply='argv = ["{lontra.python}", "tool.py", "fail", "{n}"]'))
    with pytest.raises(Rejected, match="n=10"):
        adapter.apply({"n": 10})


DONE = '[[metrics]]\nname = "done"\nkind = "counter"\nfrom = "json:$.done"\n'


@pytest.mark.parametrize(
    ("metrics", "says"),
    [
        ("", "accounted_by=done, which is no counter of the target; these are: none"),
        (DONE.replace("counter", "gauge"), "these are: none"),
        (DONE, "before and after each window: add \\[observe\\]"),
    ],
)
def test_an_account_wants_a_counter_that_the_target_tells(
    tmp_path: Path, metrics: str, says: str
) -> None:
    with pytest.raises(InvalidSetting, match=says):
        make(tmp_path, minimal() + 'accounted_by = "done"\n' + metrics)
    observe = 'argv = ["{lontra.python}", "tool.py", "measure", "1"]'
    make(tmp_path, minimal(observe=observe) + 'accounted_by = "done"\n' + DONE)

"""up, down, status, doctor and the keeper, against the real server."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import time

import httpx2

from handrail.cli import finding
from tests.cli.conftest import Cli
from tests.whole.house import alive


def gone(pid: int) -> bool:
    end = time.monotonic() + 5
    while alive(pid) and time.monotonic() < end:
        time.sleep(0.02)
    return not alive(pid)


def answers(cli: Cli, pid: int) -> bool:
    """A server other than `pid` answers."""
    address = finding.read_address(cli.data)
    if address is None or address.pid == pid:
        return False
    try:
        return httpx2.get(f"{address.url}/health", timeout=5, verify=False).status_code == 200
    except httpx2.TransportError:
        return False


def test_up_status_down(cli: Cli) -> None:
    assert "no server runs on" in cli.run("status").stdout
    assert cli.json("status")["running"] is False
    assert "the server is up after" in cli.run("up").stdout
    told = cli.json("status")
    assert told["running"] is True
    assert told["data"] == str(cli.data)
    assert "the server was running" in cli.run("up").stdout
    keeper = int((cli.data / "keeper.lock").read_text())
    assert alive(keeper)
    assert cli.run("down").stdout == "the server is down\n"
    assert gone(told["pid"])
    assert gone(keeper)
    assert "no server runs on" in cli.run("down").stdout


def test_any_verb_starts_the_server_and_says_nothing_in_a_pipe(cli: Cli) -> None:
    done = cli.run("sessions", "--json")
    assert json.loads(done.stdout)["sessions"] == []
    assert done.stderr == ""
    assert cli.json("status")["running"] is True


def test_two_at_once_start_one_server(cli: Cli) -> None:
    running = [cli.start("status" if at else "up") if at > 1 else cli.start("sessions", "--json") for at in range(4)]
    told = [process.communicate("", timeout=30) for process in running]
    assert [process.returncode for process in running] == [0] * 4, told
    pid = cli.json("status")["pid"]
    assert f"process {pid}" in cli.run("up").stdout


def test_a_killed_server_comes_back_by_itself(cli: Cli) -> None:
    cli.run("up")
    for _ in range(3):
        pid = cli.json("status")["pid"]
        begin = time.monotonic()
        os.kill(pid, signal.SIGKILL)
        while not answers(cli, pid):
            assert time.monotonic() - begin < 10
            time.sleep(0.01)
    assert cli.json("status")["running"] is True


def test_down_ends_a_server_between_two_lives(cli: Cli) -> None:
    cli.run("up")
    keeper = int((cli.data / "keeper.lock").read_text())
    os.kill(cli.json("status")["pid"], signal.SIGKILL)
    cli.run("down")
    assert gone(keeper)
    assert "no server runs on" in cli.run("status").stdout


def test_the_server_survives_its_terminal(cli: Cli) -> None:
    with cli.start("up") as process:
        process.communicate("", timeout=30)
        pid = cli.json("status")["pid"]
        assert os.getsid(pid) != os.getsid(0)
        assert os.getpgid(pid) != os.getpgid(0)


def test_foreground_ends_with_ctrl_c_and_leaves_nothing(cli: Cli) -> None:
    with cli.start("up", "--foreground", "--port", "0") as process:
        end = time.monotonic() + 20
        while finding.read_address(cli.data) is None and time.monotonic() < end:
            time.sleep(0.02)
        address = finding.read_address(cli.data)
        assert address is not None
        assert "a server already runs" in cli.run("up", "--foreground", code=2).stderr
        # a terminal sends it to the whole group: to the keeper, which waits, and to the server
        process.send_signal(signal.SIGINT)
        os.kill(address.pid, signal.SIGINT)
        process.communicate("", timeout=20)
        assert process.returncode == 0
        assert gone(address.pid)


def test_a_taken_port_is_one_sentence(cli: Cli) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = cli.run("up", "--port", str(port), code=None)
    assert done.returncode in {1, 2}
    assert done.stderr.startswith("handrail: the server did not start: ")
    assert str(port) in done.stderr
    assert done.stderr.count("\n") == 1
    assert not finding.held(cli.data / "keeper.lock")


def test_bad_configuration_is_one_sentence(cli: Cli) -> None:
    cli.data.mkdir()
    (cli.data / "config.toml").write_text("prot = 1\n")
    done = cli.run("sessions", code=None)
    assert "the server did not start" in done.stderr
    assert "prot" in done.stderr
    assert done.stderr.count("\n") == 1


def test_tcp_and_the_token_are_the_way_without_a_socket(living: Cli) -> None:
    living.run("up")
    file = living.data / "server.json"
    told = json.loads(file.read_text())
    file.write_text(json.dumps(told | {"socket": str(living.data / "gone.sock")}))
    assert living.json("status")["pid"] == told["pid"]
    file.write_text(json.dumps(told | {"socket": None, "token": "wrong"}))
    done = living.run("sessions", code=2)
    assert done.stderr.count("\n") == 1
    file.write_text(json.dumps(told))


def test_doctor_names_what_it_looked_at(living: Cli) -> None:
    done = living.run("doctor", "--json", code=None)
    checks = json.loads(done.stdout)["checks"]
    assert checks
    assert done.returncode == int(not all(check["ok"] for check in checks))


def test_what_is_not_there_is_one_sentence(living: Cli) -> None:
    for words in (["show", "nosuch"], ["diff", "nosuch"], ["end", "nosuch"], ["approve", "nosuch"], ["take"]):
        done = living.run(*words, code=2)
        assert done.stderr.startswith("handrail: ")
        assert done.stderr.count("\n") == 1
    assert living.run("agents", "check", "nosuch", code=2).stderr.count("\n") == 1


def test_an_agent_is_checked_by_trying_what_it_says(living: Cli) -> None:
    first, head, *rows = living.run("agents", "check", "handrail", "--deep").stdout.splitlines()
    assert " works (" in first
    assert head.split() == ["capability", "advertised", "tried", "detail"]
    told = [re.split(r"  +", row)[:3] for row in rows]
    assert ["asks before it acts", "-", "yes"] in told
    assert ["images", "no", "-"] in told
    assert ["bring a session back", "yes", "yes"] in told


def test_secrets_are_set_from_stdin_and_never_shown(living: Cli) -> None:
    how = ("--host", "api.example.com", "--header", "X-Api-Key: {}", "--allow", "GET /v1")
    said = living.run("secrets", "set", "SEARCH_KEY", *how, "--value-stdin", stdin="live-secret-1\n").stdout
    shown = living.run("secrets").stdout
    assert "SEARCH_KEY" in shown
    assert "api.example.com:443" in shown
    assert "live-secret" not in said + shown + living.run("secrets", "--json").stdout
    assert (
        "name:" in living.run("secrets", "set", "PATH", *how, "--value-stdin", stdin="live-secret-1\n", code=2).stderr
    )
    living.run("secrets", "remove", "SEARCH_KEY")
    assert "no secrets yet" in living.run("secrets").stdout


def test_providers_are_set_from_stdin_or_a_variable_and_never_show_the_key(living: Cli) -> None:
    living.run("providers", "set", "work", "--wire", "anthropic", "--key-stdin", "--model", "m", stdin="sk-secret-1\n")
    shown = living.run("providers").stdout
    assert "work" in shown
    assert "sk-secret" not in shown + living.run("providers", "--json").stdout
    assert living.run("providers", "set", "w", "--wire", "anthropic", "--key-stdin", stdin="", code=2).stderr
    living.run("providers", "remove", "work")
    assert "work" not in living.run("providers").stdout
    secret = (living.data / "handrail.db").read_bytes() + (living.data / "logs" / "server.log").read_bytes()
    assert b"sk-secret-1" not in secret


def test_reading_verbs_print_json_and_nothing_else(living: Cli) -> None:
    for words, key in (
        (["agents"], "agents"),
        (["providers"], "providers"),
        (["spend"], "total_nano"),
        (["sessions"], "sessions"),
        (["inbox"], "approvals"),
    ):
        assert key in living.json(*words)

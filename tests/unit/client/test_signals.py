"""SIGTERM ends the process, also where its default effect does not."""

from __future__ import annotations

from pathlib import Path

from tests.support.client_harness import train
from tests.support.left_journals import left_events


def test_sigterm_ends_a_process_on_which_the_default_effect_has_none(journal_home: Path) -> None:
    # Process 1 of a container ignores it; blocked in all threads, it has no effect either.
    done = train(
        """
        import signal
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
        import gateway
        gateway.start_run(run_id="r")
        gateway.emit("loss", 1.0)
        signal.getsignal(signal.SIGTERM)(signal.SIGTERM, None)
        gateway.emit("loss", 2.0)
        """,
        {"GATEWAY_URL": "none:", "GATEWAY_CAPTURE": "none"},
    )

    assert done.returncode == 128 + 15, done.stderr
    events = left_events(journal_home)
    assert list(events) == ["r"]
    assert [event.kind for event in events["r"]] == ["run_started", "metrics", "run_killed", "producer_closed"]


def test_a_child_that_is_ended_at_once_ends(journal_home: Path) -> None:
    # The child of a multiprocessing.Pool is, when the pool has nothing left to do.
    done = train(
        """
        import os, signal
        import gateway
        gateway.start_run(run_id="r")
        ends = []
        for _ in range(50):
            child = os.fork()
            if not child:
                signal.alarm(5)  # what ends a child that has missed SIGTERM
                while True:
                    signal.pause()
            os.kill(child, signal.SIGTERM)
            ends.append(os.WTERMSIG(os.waitpid(child, 0)[1]))
            if ends[-1] != signal.SIGTERM:
                break
        print({int(one) for one in ends})
        """,
        {"GATEWAY_URL": "none:", "GATEWAY_CAPTURE": "none"},
    )

    assert done.stdout.strip() == "{15}", done.stderr


def test_ctrl_c_during_a_fork_leaves_sigterm_to_parent_and_child(journal_home: Path) -> None:
    # Python handles pending signals when it has changed the mask, so the call raises although it had its effect.
    done = train(
        """
        import os, signal
        import gateway
        gateway.start_run(run_id="r")
        change = signal.pthread_sigmask

        def interrupted(how, signals):
            before = change(how, signals)
            if how == signal.SIG_BLOCK and signals:
                raise KeyboardInterrupt
            return before

        signal.pthread_sigmask = interrupted
        child = os.fork()
        is_held = signal.SIGTERM in change(signal.SIG_BLOCK, ())
        if not child:
            os._exit(is_held)
        print(int(is_held), os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
        """,
        {"GATEWAY_URL": "none:", "GATEWAY_CAPTURE": "none"},
    )

    assert done.stdout.strip() == "0 0", done.stderr


def test_a_process_of_a_launcher_waits_at_sigterm_for_a_server_that_comes_back(journal_home: Path) -> None:
    done = train(
        """
        import os, signal, socket, threading, time
        server = socket.socket()
        server.bind(("127.0.0.1", 0))
        os.environ["GATEWAY_URL"] = f"http://127.0.0.1:{server.getsockname()[1]}"
        import gateway
        from gateway.client.run import registry
        run = gateway.start_run()
        assert not run.is_owner
        gateway.emit("loss", 1.0)
        while not run.recorder.shipper.last_error:
            time.sleep(0.01)

        def come_back():
            while not registry.is_terminating:
                time.sleep(0.01)
            server.listen()
            server.accept()
            os.write(1, b"asked")
            os._exit(0)

        threading.Thread(target=come_back, daemon=True).start()
        os.kill(os.getpid(), signal.SIGTERM)
        """,
        {"GATEWAY_RUN_ID": "r", "GATEWAY_JOIN": "r", "GATEWAY_CAPTURE": "none"},
    )

    assert done.stdout.strip() == "asked", done.stderr


def test_a_child_does_not_wait_for_a_server_that_is_away(journal_home: Path) -> None:
    # A pipeline ends its children after each parallel part, and would wait for the bound of each.
    done = train(
        """
        import os, signal, time
        import gateway
        run = gateway.start_run(run_id="r")
        ready, told = os.pipe()
        child = os.fork()
        if not child:
            gateway.emit("loss", 1.0)
            while not run.recorder.shipper.last_error:
                time.sleep(0.01)
            signal.alarm(5)  # half of what it would wait
            os.write(told, b"1")
            while True:
                signal.pause()
        os.read(ready, 1)
        os.kill(child, signal.SIGTERM)
        print(int(os.WTERMSIG(os.waitpid(child, 0)[1])), flush=True)
        os._exit(0)
        """,
        {"GATEWAY_URL": "http://127.0.0.1:9", "GATEWAY_CAPTURE": "none"},
    )

    assert done.stdout.strip() == "15", done.stderr
    assert "metrics" in [event.kind for event in left_events(journal_home)["r"]]

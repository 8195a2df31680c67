"""What people expect of any command: defaults of their own, pipes, completions, a manual, help of two lengths."""

import io
import json
import os
import select
import shutil
import subprocess
import sys
from dataclasses import fields
from pathlib import Path, PureWindowsPath
from typing import Any

import pytest
from conftest import random_image
from PIL import Image

from impasto.cli.commands import app, main
from impasto.cli.config import with_defaults
from impasto.cli.manual import commands_of, options_of
from impasto.cli.options import SELDOM, Files
from impasto.cli.pipes import piped, refuse_addresses
from impasto.errors import ImpastoError, SettingsError
from impasto.images.writing import write_image
from impasto.settings import Settings


@pytest.fixture
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    """An empty working directory, and an empty folder of one's settings."""
    here, own = tmp_path / "here", tmp_path / "own"
    here.mkdir()
    (own / "impasto").mkdir(parents=True)
    monkeypatch.chdir(here)
    monkeypatch.setattr("impasto.cli.config.user_config_path", lambda name, appauthor: own / name)
    return here, own / "impasto"


def test_defaults_are_read_and_what_is_nearer_counts(folders: tuple[Path, Path]):
    here, own = folders
    (own / "impasto.toml").write_text('strength = 70\nquality = "draft"\nstyle-weight = [2, 1]\n')
    (here / "impasto.toml").write_text("strength = 20\n")
    assert with_defaults({"size": 64, "strength": None}) == {
        "size": 64,
        "strength": 20,
        "quality": "draft",
        "style_weight": (2, 1),
    }
    assert with_defaults({"strength": 90.0})["strength"] == 90.0
    assert "strength" not in with_defaults({}, preset="portrait")  # which has one of its own
    assert with_defaults({}, preset="portrait")["quality"] == "draft"
    assert with_defaults({"size": 64}, like=Path("picture.png")) == {"size": 64}
    assert with_defaults({}, names=("quality",)) == {"quality": "draft"}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("strong = 3", "sets 'strong', which is no setting; choose from: "),
        ("strength = 300", "strength=300 is out of range"),
        ("strength = ", "cannot be read"),
        ("x = {" * 3000, "cannot be read"),
        ("a." * 23_000 + "b = 1", "it has 46,005 bytes, and 16,384 at most are read"),
        ("size = " + "9" * 4000, "99... is out of range"),
        ('cluster = "203.0.113.5:6379"', "which only your own file may"),
    ],
)
def test_a_wrong_file_of_defaults_is_named(folders: tuple[Path, Path], text: str, words: str):
    path = folders[0] / "impasto.toml"
    path.write_text(text)
    with pytest.raises(SettingsError) as error:
        with_defaults({})
    assert words in str(error.value)
    assert str(path) in str(error.value)


def test_ones_own_file_may_name_a_cluster(folders: tuple[Path, Path]):
    (folders[1] / "impasto.toml").write_text('cluster = "203.0.113.5:6379"\n')
    assert with_defaults({}) == {"cluster": "203.0.113.5:6379"}


def test_config_says_where_and_what(folders: tuple[Path, Path], capsys: pytest.CaptureFixture[str]):
    assert main(["config"]) == 0
    assert "no defaults of your own" in capsys.readouterr().out
    (folders[0] / "impasto.toml").write_text("size = 300\n")
    assert main(["config", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [file["exists"] for file in found["files"]] == [False, True]
    assert found["settings"] == {"size": 300}
    assert main(["config"]) == 0
    assert "(not there)" in (words := capsys.readouterr().out)
    assert "size = 300" in words


@pytest.mark.parametrize("address", ["https://example.com/a.jpg", "http://x/y", "file:///a.jpg", "s3://b/c.png"])
def test_addresses_are_refused_in_a_sentence(address: str, capsys: pytest.CaptureFixture[str]):
    assert main(["paint", address, "nocturne"]) == 2
    assert "download the picture and give the file" in capsys.readouterr().err
    if not address.startswith("file"):
        with pytest.raises(ImpastoError, match=f"^{address} is an address"):
            refuse_addresses([PureWindowsPath(address)])
    assert main(["paint", "photo.jpg", address]) == 2
    assert "fetches nothing" in capsys.readouterr().err


def test_what_only_looks_like_an_address_is_not():
    refuse_addresses(["a:b.jpg", "c:/pictures/a.jpg", Path("nocturne"), "odd://name".replace("://", ":")])


class Bytes(io.TextIOWrapper):
    """Standard input or output that is no terminal."""

    def isatty(self) -> bool:
        return False


def test_a_picture_comes_in_and_goes_out_by_pipes(monkeypatch: pytest.MonkeyPatch):
    sent, received = io.BytesIO(b"a photograph"), io.BytesIO()
    monkeypatch.setattr(sys, "stdin", Bytes(sent))
    out = Bytes(received)
    monkeypatch.setattr(sys, "stdout", out)
    with piped(Path("-"), Files(output=Path("-"))) as (content, files):
        assert content.read_bytes() == b"a photograph"
        assert files.checkpoint == Path("none")
        assert files.output is not None
        files.output.write_bytes(b"a picture")
    assert received.getvalue() == b"a picture"
    assert not content.exists()


def test_pipes_that_lead_nowhere_are_refused(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sys, "stdin", Bytes(io.BytesIO()))
    with pytest.raises(ImpastoError, match="nothing came"), piped(Path("-"), Files()):
        pass
    with (
        pytest.raises(ImpastoError, match="both want standard output"),
        piped(Path("a"), Files(output=Path("-"), json=True)),
    ):
        pass
    monkeypatch.setattr(Bytes, "isatty", lambda self: True)
    with pytest.raises(ImpastoError, match="is a terminal; give a file"), piped(Path("-"), Files()):
        pass
    monkeypatch.setattr(sys, "stdout", Bytes(io.BytesIO()))
    with pytest.raises(ImpastoError, match="redirect it"), piped(Path("a"), Files(output=Path("-"))):
        pass


@pytest.mark.slow
def test_the_whole_command_paints_between_pipes(tmp_path: Path):
    write_image(tmp_path / "photo.png", random_image(48, 64))
    command = [
        sys.executable,
        "-m",
        "impasto",
        "paint",
        "-",
        "nocturne",
        "--size",
        "64",
        "--quality",
        "draft",
        "-q",
        "-o",
        "-",
    ]
    done = subprocess.run(
        command, input=(tmp_path / "photo.png").read_bytes(), capture_output=True, timeout=120, cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    with Image.open(io.BytesIO(done.stdout)) as picture:
        assert picture.format == "PNG"
        assert picture.size == (64, 48)
    assert [path.name for path in tmp_path.iterdir()] == ["photo.png"]


def test_help_is_short_and_help_all_is_whole(capsys: pytest.CaptureFixture[str]):
    assert main(["paint", "--help"]) == 0
    short = capsys.readouterr().out
    assert main(["paint", "--help-all"]) == 0
    whole = capsys.readouterr().out
    options = {f"--{f.name.replace('_', '-')}" for f in fields(Settings)}
    assert {one for one in options if f" {one} " in whole} == options
    assert len(SELDOM) == sum(f" --{name.replace('_', '-')} " in whole for name in SELDOM)
    assert not [name for name in SELDOM if f" --{name.replace('_', '-')} " in short]
    assert "more, which few need" in short
    assert "more, which few need" not in whole
    assert " --strength X" in short
    assert short.count("\n") < 0.75 * whole.count("\n")


def test_the_manual_holds_every_command_and_option(capsys: pytest.CaptureFixture[str]):
    assert main(["man"]) == 0
    page = capsys.readouterr().out
    for command in commands_of(app):
        assert f".SH IMPASTO {command.upper()}\n" in page
    plain = page.replace("\\-", "-")
    for f in fields(Settings):
        assert f"--{f.name.replace('_', '-')}" in plain
        assert f.metadata["help"] in plain
    assert {option.names.split(" ")[0] for option in options_of(app, "web")} >= {"--host", "--port", "--auth"}
    if shutil.which("man") and shutil.which("groff"):
        found = subprocess.run(
            ["groff", "-man", "-Tascii", "-P-cbou", "-ww"], input=page, capture_output=True, text=True, timeout=60
        )
        assert not found.stderr
        assert "IMPASTO PAINT" in found.stdout


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish", "powershell"])
def test_completions_are_printed_and_are_the_shells_own_language(shell: str, capsys: pytest.CaptureFixture[str]):
    assert main(["completion", shell]) == 0
    script = capsys.readouterr().out
    assert "style-scale" in script
    if shell in ("bash", "zsh", "fish") and shutil.which(shell):
        checked = subprocess.run([shell, "-n"], input=script, capture_output=True, text=True, timeout=60)
        assert checked.returncode == 0, checked.stderr


@pytest.mark.skipif(not shutil.which("bash"), reason="needs bash")
@pytest.mark.parametrize(
    ("typed", "expected"),
    [("impasto pai", "paint"), ("impasto paint --style-sc", "--style-scale"), ("impasto paint --quality dr", "draft")],
)
def test_bash_completes(typed: str, expected: str, capsys: pytest.CaptureFixture[str]):
    main(["completion", "bash"])
    script = capsys.readouterr().out
    words = typed.split(" ")
    ask = (
        f"{script}\nCOMP_WORDS=({typed}); COMP_CWORD={len(words) - 1}\n"
        f"COMP_LINE='{typed}'; COMP_POINT=${{#COMP_LINE}}\n"
        f'set -- $(complete -p impasto); while [ $# -gt 1 ]; do [ "$1" = -F ] && f=$2; shift; done\n'
        f"$f impasto '{words[-1]}' '{words[-2]}'; printf '%s\\n' \"${{COMPREPLY[@]}}\""
    )
    done = subprocess.run(["bash", "--norc", "-c", ask], capture_output=True, text=True, timeout=60)
    assert expected in done.stdout.split(), (done.stdout, done.stderr)


@pytest.mark.skipif(not shutil.which("fish"), reason="needs fish")
@pytest.mark.parametrize(
    ("typed", "expected"),
    [("impasto pai", "paint"), ("impasto paint --style-sc", "--style-scale"), ("impasto paint --quality dr", "draft")],
)
def test_fish_completes(typed: str, expected: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    main(["completion", "fish"])
    (tmp_path / "impasto.fish").write_text(capsys.readouterr().out)
    ask = ["fish", "--no-config", "-c", f"source {tmp_path}/impasto.fish; complete -C '{typed}'"]
    done = subprocess.run(ask, capture_output=True, text=True, timeout=60, env={**os.environ, "HOME": str(tmp_path)})
    assert done.stdout.split("\t")[0] == expected, (done.stdout, done.stderr)


@pytest.mark.skipif(not shutil.which("zsh"), reason="needs zsh")
@pytest.mark.parametrize("way", ["fpath=({folder} $fpath); {begin}", "{begin}; source {folder}/_impasto"])
def test_zsh_completes(way: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """From a folder of functions, and sourced: typed into a shell of its own, which completes at a terminal only."""
    import pty

    main(["completion", "zsh"])
    (tmp_path / "_impasto").write_text(capsys.readouterr().out)
    shell, terminal = pty.openpty()
    environment = {**os.environ, "TERM": "dumb", "PS1": "ready> ", "HOME": str(tmp_path)}
    zsh = subprocess.Popen(
        ["zsh", "-f", "-i"], stdin=terminal, stdout=terminal, stderr=terminal, env=environment, start_new_session=True
    )
    os.close(terminal)

    def until(words: bytes) -> None:
        seen = b""
        while words not in seen:
            assert select.select([shell], [], [], 60)[0], seen
            seen += os.read(shell, 4096)

    try:
        until(b"ready> ")
        begin = "autoload -Uz compinit; compinit -u -D"
        os.write(shell, f"{way.format(folder=tmp_path, begin=begin)}; PS1='to''ld> '\n".encode())
        until(b"told> ")
        os.write(shell, b"impasto paint --quality dra\t")
        until(b"draft")
    finally:
        zsh.kill()
        zsh.wait()
        os.close(shell)


def test_a_finished_picture_is_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """By the desktop's own opener: here one that notes what it was given."""
    if sys.platform in ("win32", "darwin"):
        pytest.skip("xdg-open is Linux's")
    from impasto.cli.showing import open_file

    note = tmp_path / "opened"
    opener = tmp_path / "xdg-open"
    opener.write_text(f'#!/bin/sh\nprintf %s "$1" > {note}.part && mv {note}.part {note}\n')
    opener.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    started: list[Any] = []
    popen = subprocess.Popen
    monkeypatch.setattr(subprocess, "Popen", lambda *given, **named: started.append(popen(*given, **named)))
    open_file(Path("out.png"))
    started[0].wait(60)
    assert note.read_text() == "out.png"


@pytest.mark.skipif(sys.platform == "win32", reason="pseudo-terminals are POSIX's")
def test_a_picture_is_shown_in_a_terminal_that_knows_only_colours(tmp_path: Path):
    import fcntl
    import pty
    import struct
    import termios

    write_image(tmp_path / "picture.png", random_image(24, 32))
    parent, child = pty.openpty()
    fcntl.ioctl(child, termios.TIOCSWINSZ, struct.pack("HHHH", 30, 40, 400, 600))  # rows, columns, width, height
    show = "import sys; from pathlib import Path; from impasto.cli.showing import *; refuse_what_cannot_be_shown();"
    done = subprocess.Popen(
        [sys.executable, "-c", show + "show_in_terminal(Path(sys.argv[1]))", tmp_path / "picture.png"],
        stdin=child,
        stdout=child,
        env={**os.environ, "TERM": "xterm-256color", "COLORTERM": "truecolor", "COLUMNS": "40", "LINES": "30"},
    )
    os.close(child)
    told = b""
    try:
        while part := os.read(parent, 4096):
            told += part
    except OSError:  # how Linux says that nobody holds the other end any more
        pass
    finally:
        os.close(parent)
    assert done.wait(60) == 0
    rows = [row for row in told.decode().splitlines() if "▄" in row or "▀" in row]
    assert len(rows) == 15  # 40 cells, each twice as high as wide, of a picture of 4:3
    assert rows[0].count("\x1b[38;2;") >= 20


@pytest.mark.parametrize("installed", [True, False])
def test_show_without_a_terminal_or_its_extra_is_refused_before_the_work(
    installed: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setattr("impasto.cli.showing.find_spec", lambda name: installed or None)
    assert main(["demo", "--show"]) == 2
    assert ("there is none" if installed else "pip install 'impasto[terminal]'") in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (
            ["paint", "a.jpg", "--style", "b.jpg"],
            "there is no --style here: the painting is given without an option: impasto paint",
        ),
        (["grid", "a.jpg", "--style=b.jpg", "-o", "c.png"], "impasto grid PHOTO PAINTING -o SHEET.png"),
        (["texture", "--style", "b.jpg", "-o", "c.png"], "impasto texture PAINTING -o OUT.png"),
        (
            ["paint", "--content", "a.jpg", "b.jpg"],
            "the photograph is given first, without an option: impasto paint PHOTO",
        ),
        (["paint", "a.jpg", "b.jpg", "--stength", "3"], "Unknown option: --stength. Did you mean --strength?"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_options_of_other_tools_are_answered_with_what_is_meant(
    arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]
):
    assert main(arguments) == 2
    said = capsys.readouterr().err
    assert words in said
    assert "--style-mask" not in said

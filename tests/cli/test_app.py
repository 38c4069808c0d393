from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import typer

from mtctl import __version__
from mtctl.cli import app, errors
from mtctl.errors import ExitCode

HEAVY = ("torch", "pydantic", "yaml", "numpy", "gymnasium", "rich")
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run the command line in this process; return exit code, stdout and stderr."""
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)

    def mtctl(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["mtctl", *arguments])
        with pytest.raises(SystemExit) as left:
            app.main()
        captured = capsys.readouterr()
        assert isinstance(left.value.code, int)
        return left.value.code, captured.out, captured.err

    return mtctl


def python(
    code: str, *, stdout: int = subprocess.PIPE, **environment: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code],
        stdout=stdout,
        stderr=subprocess.PIPE,
        encoding="utf-8",
        check=False,
        env={**os.environ, **environment},
    )


def with_verb(body: str, *arguments: str) -> str:
    """Return a program that runs `mtctl boom`, a verb with the given body."""
    return f"""
import sys
from mtctl.cli import app
from mtctl.errors import MtctlError

@app.app.command()
def boom() -> None:
    {body}

sys.argv = ["mtctl", *{arguments!r}]
app.main()
"""


def loaded(*arguments: str) -> str:
    return python(
        f"""
import sys
from mtctl.cli.app import main
sys.argv = ["mtctl", *{arguments!r}]
try:
    main()
except SystemExit as left:
    print(left.code, *[name for name in {HEAVY!r} if name in sys.modules])
"""
    ).stdout.splitlines()[-1]


def test_the_version_has_a_short_option(run: Run) -> None:
    assert run("-V") == run("--version") == (0, f"mtctl {__version__}\n", "")


@pytest.mark.parametrize("arguments", [["--help"], ["-h"], []])
def test_help_imports_nothing_heavy(arguments: list[str]) -> None:
    assert loaded(*arguments) == "0"


@pytest.mark.parametrize(
    "arguments", [["train", "--help"], ["eval", "-h"], ["recipes", "--help"], ["--version"]]
)
def test_the_help_of_a_verb_imports_no_more_than_typer_does(arguments: list[str]) -> None:
    assert loaded(*arguments) in ("0", "0 pydantic")


def test_verbs_are_listed_under_what_they_are_for(run: Run) -> None:
    code, out, err = run("--help")
    assert (code, err) == (0, "")
    sections = [line for line in out.splitlines() if line.endswith(":") and not line.startswith(" ")]
    assert sections == ["Options:", "Run:", "Understand:", "Measure:", "Set up:"]
    for verb in ("train", "eval", "compare", "bench", "recipes"):
        assert f"\n  {verb} " in out


def test_no_verb_shows_the_help(run: Run) -> None:
    assert run() == run("--help")


def test_version(run: Run) -> None:
    assert run("--version") == (0, f"mtctl {__version__}\n", "")


def test_python_dash_m() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "mtctl", "--version"], capture_output=True, encoding="utf-8", check=True
    )
    assert done.stdout == f"mtctl {__version__}\n"


@pytest.mark.parametrize(
    ("arguments", "said", "hint"),
    [
        (["trian"], "error: no such command 'trian'. Did you mean 'train'?", "hint: `mtctl --help` shows"),
        (["recipes", "lits"], "Did you mean 'list'?", "hint: `mtctl recipes --help` shows how it is used"),
        (["recipes", "list", "--jsn"], "error: no such option: --jsn", "`mtctl recipes list --help`"),
        (["recipes", "show"], "error: missing argument 'RECIPE'", "`mtctl recipes show --help`"),
    ],
)  # fmt: skip
def test_wrong_usage(run: Run, arguments: list[str], said: str, hint: str) -> None:
    code, out, err = run(*arguments)
    assert (code, out) == (2, "")
    assert said in err
    assert hint in err
    assert "Traceback" not in err


def test_an_explained_error_goes_to_stderr_without_a_traceback(run: Run) -> None:
    assert run("recipes", "show", "gradnorm_blnd") == (
        2,
        "",
        "error: there is no recipe `gradnorm_blnd`, neither a file nor built in\n"
        "hint: did you mean `gradnorm_blind`? `mtctl recipes list` shows the built-in ones\n",
    )


@pytest.mark.parametrize(
    "arguments",
    [
        ["-v", "recipes", "show", "nope"],
        ["recipes", "-v", "show", "nope"],
        ["recipes", "show", "nope", "--verbose"],
    ],
)
def test_verbose_shows_the_traceback_wherever_it_stands(run: Run, arguments: list[str]) -> None:
    code, _, err = run(*arguments)
    assert code == 2
    assert "Traceback (most recent call last)" in err
    assert "error: there is no recipe `nope`" in err


def test_after_two_dashes_everything_is_an_argument(run: Run) -> None:
    code, _, err = run("recipes", "show", "--", "-v")
    assert code == 2
    assert "there is no recipe `-v`" in err
    assert "Traceback" not in err


def test_an_internal_error_says_how_to_report_it_and_keeps_its_traceback(tmp_path: Path) -> None:
    done = python(with_verb("raise RuntimeError('first\\nsecond')", "boom"), TMPDIR=str(tmp_path))
    assert (done.returncode, done.stdout) == (1, "")
    (kept,) = tmp_path.iterdir()
    assert done.stderr == (
        f"internal error: RuntimeError: first\nhint: this is a bug in mtctl {__version__}; "
        f"please report it with the command and the traceback in {kept}\n"
    )
    text = kept.read_text(encoding="utf-8")
    assert "\nmtctl boom\n" in text
    assert text.endswith("RuntimeError: first\nsecond\n")


def test_an_internal_error_has_a_traceback_on_request(tmp_path: Path) -> None:
    done = python(with_verb("raise RuntimeError", "boom", "-v"), TMPDIR=str(tmp_path))
    assert done.returncode == 1
    assert not list(tmp_path.iterdir())
    assert "Traceback (most recent call last)" in done.stderr
    assert "internal error: RuntimeError: no message" in done.stderr


def test_an_interruption_leaves_with_130() -> None:
    done = python(with_verb("raise KeyboardInterrupt", "boom"))
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")


def test_an_error_chooses_its_exit_code() -> None:
    done = python(with_verb("raise MtctlError('the run failed', code=1)", "boom"))
    assert (done.returncode, done.stderr) == (1, "error: the run failed\n")


@pytest.mark.parametrize("verb", [["recipes", "schema"], ["recipes", "list"], ["--version"], ["--help"]])
def test_a_reader_that_has_left_is_no_news(verb: list[str]) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    code = f"import sys\nfrom mtctl.cli.app import main\nsys.argv = ['mtctl', *{verb!r}]\nmain()"
    try:
        done = python(code, stdout=writer)
    finally:
        os.close(writer)
    assert (done.returncode, done.stderr) == (ExitCode.FAILED, "")


def test_no_color_is_respected() -> None:
    failing = with_verb("raise MtctlError('wrong')", "boom")
    assert "\x1b[1;31merror" in python(failing, FORCE_COLOR="1", NO_COLOR="").stderr
    assert "31m" not in python(failing, FORCE_COLOR="1", NO_COLOR="1").stderr


def test_an_encoding_without_the_character_is_no_obstacle() -> None:
    done = python(with_verb("print('a → b')", "boom"), PYTHONIOENCODING="latin-1")
    assert (done.returncode, done.stdout) == (0, "a \\u2192 b\n")


def test_text_from_a_file_cannot_steer_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    errors.show("error", "a\x1b[2Jb\tc", "d\x07")
    assert capsys.readouterr().err == "error: a\\x1b[2Jb\\tc\nhint: d\\x07\n"


def test_brackets_are_not_markup_and_lines_are_not_wrapped(capsys: pytest.CaptureFixture[str]) -> None:
    errors.show("error", f"[bold]{'x' * 300}")
    assert capsys.readouterr().err == f"error: [bold]{'x' * 300}\n"


@pytest.mark.parametrize(("result", "code"), [(None, 0), (0, 0), (2, 2), ("text", 0)])
def test_what_a_command_returns_is_the_exit_code(result: object, code: int) -> None:
    assert errors.guarded(lambda: result, verbose=False) == code


def test_what_cannot_be_explained_is_left_to_python() -> None:
    def command() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        errors.guarded(command, verbose=False)


def test_an_error_without_a_place_in_the_command_line_has_no_hint(capsys: pytest.CaptureFixture[str]) -> None:
    def command() -> None:
        raise typer.BadParameter("Nope.")

    assert errors.guarded(command, verbose=False) == 2
    assert capsys.readouterr().err == "error: invalid value: Nope\n"


def test_an_interrupt_as_the_process_leaves_changes_nothing() -> None:
    code = "import atexit, os, signal\natexit.register(os.kill, os.getpid(), signal.SIGINT)\n"
    done = python(code + with_verb("raise MtctlError('wrong')", "boom"))
    assert (done.returncode, done.stderr) == (2, "error: wrong\n")

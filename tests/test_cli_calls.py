"""What all commands have in common: options, exit statuses, streams that lack something."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import pandas as pd
import pytest
from command import COMMANDS, ENVIRONMENT, prodcat

from prodcat_index.cli.values import output_file, output_folder
from prodcat_index.progress import progress_bar, verbosity

SHORT = {"-h": "--help", "-q": "--quiet", "-v": "--verbose"}
SHORT |= {"-f": "--format", "-i": "--index", "-k": "--k", "-o": "--output"}
# One meaning, with a word more about it in some commands.
VARIED = {
    "--allow-new-categories": "categories that the index lacks, of cards or of decisions",
    "--encoder": "an encoder of a modality; finetune trains one",
    "--explain": "why an answer is as it is; in info, why cards are searched as they are",
    "--image-root": "where pictures are; info stores it in the index",
    "--index": "an index folder; in build-index the kind of its search",
    "--k": "how many neighbours; in predict they vote",
    "--output": "where the result is written; its kind depends on the command",
    "--precision": "a target precision; predict keeps it, report marks it",
    "--valid": "the share of the valid part, and what it is for",
}


def test_an_option_means_the_same_in_every_command() -> None:
    """What a user learned of one command would be wrong for the next."""
    texts: dict[str, set[object]] = defaultdict(set)
    long_of: dict[str, set[str]] = defaultdict(set)
    for command in COMMANDS.values():
        for option in command.params:
            if option.param_type_name == "option":
                long = max(option.opts, key=len)
                kind = (option.help, option.metavar, option.type_descriptor.annotation)
                texts[long].add(kind)
                for short in set(option.opts) - {long}:
                    long_of[short].add(long)
    assert {long for long, meanings in texts.items() if len(meanings) > 1} == {*VARIED}
    assert {short: {long} for short, long in SHORT.items() if short != "-h"} == long_of


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_the_common_options_and_clear_names_of_values(name: str) -> None:
    """A usage line such as [[SPEC]...]... tells nothing."""
    command = COMMANDS[name]
    if not hasattr(command, "commands"):
        options = {option for parameter in command.params for option in parameter.opts}
        assert {"--quiet", "-q", "--verbose", "-v", "--debug"} <= options
    for parameter in command.params:
        has_choices = parameter.type_descriptor.choices is not None
        if not has_choices and not getattr(parameter, "is_flag", False):
            assert parameter.metavar, (name, parameter.name)
            assert "[" not in parameter.metavar


@pytest.fixture(scope="module")
def cards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a catalogue of 400 cards in a file with a Russian name of a category."""
    folder = tmp_path_factory.mktemp("cards")
    rows = [f"c{n},kettle {n} ≈ 2 l,Кухня > Чайники" for n in range(400)]
    (folder / "cards.csv").write_text("id,title,category\n" + "\n".join(rows), encoding="utf-8")
    return folder


def test_help_is_also_h_and_needs_no_command(cards: Path) -> None:
    for call in (["-h"], ["--help"], ["predict", "-h"], ["cache", "info", "-h"]):
        done = prodcat(*call, cwd=cards)
        assert (done.code, done.err) == (0, "") and "-h, --help" in done.out
    assert "[SPEC]..." in prodcat("encoders", "-h", cwd=cards).out.splitlines()[0]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_shell_can_complete_commands_and_options(shell: str, cards: Path) -> None:
    """Long option names would have to be typed."""
    shown = {"env": {**ENVIRONMENT, "_PRODCAT_COMPLETE": f"source_{shell}"}}
    script = run_raw([], cards, **shown)
    assert script.returncode == 0 and b"prodcat" in script.stdout
    if shell == "bash":
        words = {"COMP_WORDS": "prodcat evaluate --obj", "COMP_CWORD": "2"}
        asked = {**ENVIRONMENT, **words, "_PRODCAT_COMPLETE": "complete_bash"}
        assert b"--objective" in run_raw([], cards, env=asked).stdout


def run_raw(
    arguments: list[str], cwd: Path, env: dict[str, str] | None = None
) -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-m", "prodcat_index", *arguments]
    return subprocess.run(command, cwd=cwd, capture_output=True, env=env or ENVIRONMENT)


@pytest.mark.parametrize("encoding", ["ascii", "cp1251", "latin-1"])
@pytest.mark.parametrize("form", ["table", "json", "csv"])
def test_a_stdout_of_few_characters_ends_nothing(encoding: str, form: str, cards: Path) -> None:
    """On a Windows console or in a cron job the command would end with a traceback."""
    to = f"split-{encoding}-{form}.csv"
    done = prodcat("split", "cards.csv", "-o", to, "-f", form, cwd=cards, encoding=encoding)
    assert done.code == 0, done.err
    assert "train" in done.out and "Traceback" not in done.err


def test_json_is_whole_where_stdout_holds_only_ascii(cards: Path) -> None:
    built = prodcat("build-index", "cards.csv", "-o", "index", "--projection", "none", cwd=cards)
    assert built.code == 0, built.err
    call = ["query", "--text", "kettle", "-i", "index", "-k", "1", "-f", "json"]
    done = run_raw(call, cards, {**ENVIRONMENT, "PYTHONIOENCODING": "ascii"})
    [found] = json.loads(done.stdout.decode("ascii"))
    assert found["category"] == "Кухня > Чайники" and " ≈ 2 l" in found["title"]


@pytest.mark.parametrize("name", ["Size, colour", "a=b", "Größe [cm]", "../x", "learned", "scores"])
def test_a_text_column_of_any_name_is_embedded_and_weighed_or_refused(
    name: str, cards: Path, tmp_path: Path
) -> None:
    """The command would end in a traceback, or the column could not be weighed."""
    rows = [{"id": f"c{n}", "category": f"k{n % 2}", name: f"w{n % 2} v{n}"} for n in range(120)]
    pd.DataFrame(rows).to_csv(tmp_path / "named.csv", index=False)
    call = ["build-index", "named.csv", "-o", "named", "--text-column", name]
    built = prodcat(*call, "--encoder", f"{name}=lexical:8", cwd=tmp_path)
    if name in ("learned", "scores"):
        assert built.code == 1 and f"A modality is called {name}" in built.err
        return
    assert built.code == 0, built.err
    asked = ["predict", "named.csv", "-i", "named", "--weights", f"{name}=1", "-f", "json"]
    done = prodcat(*asked, "-k", "5", cwd=tmp_path)
    assert done.code == 0, done.err
    assert {card["category"] for card in done.json} == {"k0", "k1"}


def test_predictions_are_written_in_the_format_of_the_ending(cards: Path, tmp_path: Path) -> None:
    """`-o x.json` would hold CSV."""
    index = tmp_path / "index"
    assert prodcat("build-index", "cards.csv", "-o", index, cwd=cards).code == 0
    (tmp_path / "new.csv").write_text("id,title\nn1,kettle 5\nn2,kettle 7\n")
    found = {}
    for name in ("new/x.csv", "new/x.json", "new/x.jsonl"):
        done = prodcat("predict", "new.csv", "-i", index, "-o", name, cwd=tmp_path)
        assert (done.code, done.out) == (0, ""), done.err
        found[name] = (tmp_path / name).read_text(encoding="utf-8")
    as_csv = pd.read_csv(tmp_path / "new/x.csv")
    as_json = json.loads(found["new/x.json"])
    as_lines = [json.loads(line) for line in found["new/x.jsonl"].splitlines()]
    assert as_json == as_lines and found["new/x.jsonl"].endswith("}\n")
    assert [row["id"] for row in as_json] == list(as_csv["id"]) == ["n1", "n2"]
    assert [row["category"] for row in as_json] == list(as_csv["category"])
    done = prodcat("predict", "new.csv", "-i", index, "-o", "y", "-f", "csv", cwd=tmp_path)
    assert (tmp_path / "y").read_text(encoding="utf-8") == found["new/x.csv"]


def test_a_reader_that_leaves_ends_nothing(cards: Path) -> None:
    """`prodcat predict ... | head -1` would print an error, or lose the work."""
    read, write = os.pipe()
    os.close(read)
    command = [sys.executable, "-m", "prodcat_index", "split", "cards.csv", "-o", "piped.csv"]
    done = subprocess.run(
        command, cwd=cards, stdout=write, stderr=subprocess.PIPE, text=True, env=ENVIRONMENT
    )
    os.close(write)
    assert done.returncode == 0 and (cards / "piped.csv").is_file()
    assert "Broken" not in done.stderr and "Traceback" not in done.stderr


def test_a_reader_of_stderr_that_leaves_does_not_end_the_work(cards: Path) -> None:
    """`prodcat build-index ... 2>&1 | head` would lose the index."""
    read, write = os.pipe()
    os.close(read)
    command = [sys.executable, "-m", "prodcat_index", "split", "cards.csv", "-o", "deaf.csv", "-v"]
    done = subprocess.run(command, cwd=cards, stdout=write, stderr=write, env=ENVIRONMENT)
    os.close(write)
    assert done.returncode == 0 and (cards / "deaf.csv").is_file()


@pytest.fixture(scope="module")
def indexed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a catalogue of two cards and an index of it."""
    folder = tmp_path_factory.mktemp("indexed")
    (folder / "cards.csv").write_text("id,title,category\n1,boots,A\n2,lamp,B\n")
    assert prodcat("build-index", "cards.csv", "-o", "index", cwd=folder).code == 0
    return folder


@pytest.mark.skipif(os.name != "posix", reason="closes a stream as shells do")
def test_a_closed_stdout_is_named_and_a_closed_stderr_ends_nothing(indexed: Path) -> None:
    """A job would fail with a traceback, or for nothing where its result goes into a file."""
    program = f"{sys.executable} -m prodcat_index"

    def run(command: str) -> subprocess.CompletedProcess[str]:
        command = f"{program} {command}"
        return subprocess.run(
            command, shell=True, cwd=indexed, capture_output=True, text=True, env=ENVIRONMENT
        )

    closed = "prodcat: stdout is closed, and the result is printed there; leave it open.\n"
    query = "query --text boots --index index"
    done = run(f"{query} --format json >&-")
    assert (done.returncode, done.stderr) == (1, closed)
    assert run("predict cards.csv --index index -o answers.csv >&-").returncode == 0
    answers = run(f"{query} 2>&-")
    assert answers.returncode == 0
    assert answers.stdout == prodcat(*query.split(), cwd=indexed).out


@pytest.mark.parametrize("command", ["predict --index index", "explore", "info"])
@pytest.mark.parametrize("name", ["loop", "a" * 300 + ".csv"])
def test_a_path_that_leads_nowhere_is_named(command: str, name: str, indexed: Path) -> None:
    """A link to itself, or too long a name, ended in a traceback."""
    if not (indexed / "loop").is_symlink():
        (indexed / "loop").symlink_to("loop")
    done = prodcat(*command.split(), name, cwd=indexed)
    assert done.code in (1, 2) and name.removesuffix(".csv") in done.err.splitlines()[-1]
    assert "Traceback" not in done.err and "Errno" not in done.err
    moved = prodcat("info", "index", "--image-root", name, cwd=indexed)
    assert moved.code == 1 and "Traceback" not in moved.err


@pytest.mark.parametrize("content", ["[]", "null", '"boots"', "42", "id,title"])
def test_stdin_without_a_card_is_said_to_have_none(content: str, indexed: Path) -> None:
    """ "Columns but no cards under them" is a riddle to whoever sent JSON."""
    done = prodcat("predict", "-", "--index", "index", cwd=indexed, stdin=content)
    header = content.strip('"').replace(",", ", ")
    what = "no cards" if content == "[]" else f"a header ({header}) and no rows"
    assert done.code == 1 and f"stdin has {what}." in done.err


def test_labels_that_contradict_each_other_or_are_empty_give_no_score(indexed: Path) -> None:
    """The last of two labels would be scored, or no score printed without a word."""
    new = ("predict", "cards.csv", "--index", "index", "--labels", "labels.csv")
    (indexed / "labels.csv").write_text("id,category\n1,A\n2,A\n1,B\n2,A\n")
    done = prodcat(*new, cwd=indexed)
    assert done.code == 1 and done.out == ""
    assert "1 id has more than one category in labels.csv (1): leave one of each." in done.err
    (indexed / "labels.csv").write_text("id,category\n1,\n2,\n")
    done = prodcat(*new, cwd=indexed)
    assert done.code == 1 and "No row of labels.csv has both an id" in done.err


def test_quiet_leaves_results_alone_and_verbose_names_the_phases(cards: Path) -> None:
    """A cron job would send a mail each night, and a long build in a log would look dead."""
    quiet = prodcat("-q", "split", "cards.csv", "-o", "quiet.csv", cwd=cards)
    assert quiet.err == "" and "train" in quiet.out
    assert prodcat("split", "cards.csv", "-o", "quiet.csv", "--quiet", cwd=cards).err == ""
    usual = prodcat("split", "cards.csv", "-o", "usual.csv", cwd=cards)
    assert "Wrote usual.csv" in usual.err and "cleaning title" not in usual.err
    verbose = prodcat("split", "cards.csv", "-o", "verbose.csv", "-v", cwd=cards)
    assert "cleaning title: 400 texts\n" in verbose.err
    assert prodcat("-q", "info", "nowhere", cwd=cards).err.startswith("prodcat: There is no index")


def test_a_phase_is_named_once_and_only_when_it_takes_long(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A log would be empty for hours, or full of lines about moments."""
    now = [0.0]
    monkeypatch.setattr("prodcat_index.progress.time.monotonic", lambda: now[0])
    monkeypatch.setattr(verbosity, "quiet", False)
    monkeypatch.setattr(verbosity, "lines_after", 1.0)
    monkeypatch.setattr(verbosity, "last", "")
    with progress_bar(3, "embedding title", "text") as bar:
        bar.update()
        assert capsys.readouterr().err == ""
        now[0] = 1.5
        bar.update()
        bar.update()
    with progress_bar(3, "embedding title", "text") as bar:
        now[0] = 3.0
        bar.update()
    assert capsys.readouterr().err == "embedding title: 3 texts\n"
    monkeypatch.setattr(verbosity, "quiet", True)
    with progress_bar(3, "embedding image", "picture") as bar:
        now[0] = 6.0
        bar.update()
    assert capsys.readouterr().err == "", "--quiet writes no line, however long it takes"
    monkeypatch.setattr(verbosity, "quiet", False)
    monkeypatch.setattr(verbosity, "lines_after", None)
    with progress_bar(3, "embedding title", "text") as bar:
        now[0] = 9.0
        bar.update()
    assert capsys.readouterr().err == "", "a program that uses the library gets no lines"


def test_outputs_are_checked_where_they_would_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A typing mistake would be noticed after hours of work."""
    check = output_file(".csv", ".json")
    for fine in (None, tmp_path / "new" / "deep" / "x.CSV", tmp_path / "x", Path("x.json")):
        assert check(fine) == fine
    (tmp_path / "file").touch()
    (tmp_path / "loop.csv").symlink_to("loop.csv")
    for path, why in [
        (tmp_path, "is a folder"),
        (tmp_path / "x.txt", "must end in .csv or .json"),
        (tmp_path / "file" / "x.csv", "file is a file"),
        (tmp_path / "loop.csv", "Too many levels of symbolic links"),
        (tmp_path / f"{'a' * 300}.csv", "File name too long"),
    ]:
        with pytest.raises(Exception, match=why):
            check(path)
    monkeypatch.setattr("prodcat_index.cli.values.os.access", lambda *_: False)
    with pytest.raises(Exception, match="is read-only"):
        check(tmp_path / "x.csv")
    monkeypatch.undo()
    assert output_folder(None) is None and output_folder(tmp_path) == tmp_path
    with pytest.raises(Exception, match="is a file; name a folder"):
        output_folder(tmp_path / "file")

"""`python -m spacy luke --help` is for somebody who does not know the package yet."""

from __future__ import annotations

import re
from pathlib import Path

from typer.testing import CliRunner

from spacy_luke.cli import luke_cli

ROOT = Path(__file__).parents[2]
HELP = CliRunner().invoke(luke_cli, ["--help"], env={"COLUMNS": "80"}).output


def test_every_command_is_told_in_a_line_that_is_not_cut():
    shown = HELP.split("Commands:\n")[1].split("\n\n")[0].splitlines()
    assert [line.split()[0] for line in shown] == sorted(str(command.name) for command in luke_cli.registered_commands)
    assert all(line.endswith(".") and not line.endswith("...") for line in shown)


def test_it_says_how_to_train():
    [config] = re.findall(r"spacy train (\S+\.cfg)", HELP)
    assert (ROOT / config).is_file()

"""The command line is frozen: commands, arguments, options and defaults."""

import inspect
import json
import subprocess
import sys
from pathlib import Path

import pytest

from unlazy.catalog import find
from unlazy.cli import main

GOLDEN = Path(__file__).with_name("command_line.json")


def described() -> dict[str, dict[str, str]]:
    from unlazy.cli import app

    found = {}
    for command in sorted(name for name in app if not name.startswith("-")):
        arguments = app[command].assemble_argument_collection()
        found[command] = {
            " ".join(argument.names): "required"
            if argument.field_info.default is inspect.Parameter.empty
            else repr(argument.field_info.default)
            for argument in arguments
            if not argument.children
        }
    return found


def test_commands_options_and_defaults_are_as_frozen():
    assert described() == json.loads(GOLDEN.read_text())


def test_help_needs_no_heavy_import():
    program = (
        "import sys; from unlazy.cli import app\n"
        "try: app(['--help'])\nexcept SystemExit: pass\n"
        "heavy = {'torch', 'timm', 'torchvision', 'numpy', 'matplotlib'} & set(sys.modules)\n"
        "print('HEAVY', sorted(heavy))"
    )
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert "HEAVY []" in run.stdout
    assert "report" in run.stdout


def test_the_module_is_the_command():
    run = subprocess.run(
        [sys.executable, "-m", "unlazy", "list", "recipes"], capture_output=True, text=True
    )
    names = [line.split()[0] for line in run.stdout.splitlines()]
    assert {"tiny_label", "tiny_label_lazystrike"} <= set(names)


@pytest.mark.parametrize(
    "kind", ["data", "measures", "fixes", "benchmarks", "probes", "recipes", "tables"]
)
def test_a_list_says_what_each_name_is(kind, capsys):
    with pytest.raises(SystemExit):
        main(["list", kind])
    lines = capsys.readouterr().out.splitlines()
    assert lines
    for line in lines:
        name, _, about = line.partition("  ")
        assert find(kind, name)
        assert len(about.split()) > 1, line

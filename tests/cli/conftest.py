"""The command line, run in this process."""

import pytest

from promptgraft import cli


@pytest.fixture
def command(capsys):
    """Run a command: its exit code, standard output and standard error."""

    def run(*words):
        with pytest.raises(SystemExit) as left:
            cli.main(words)
        return (left.value.code, *capsys.readouterr())

    return run

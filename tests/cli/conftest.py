"""Running a command in this process, and looking at everything it said and left behind."""

from dataclasses import dataclass

import pytest

from mcrisk.cli.app import execute


@dataclass(frozen=True)
class Outcome:
    code: int
    out: str
    err: str

    @property
    def text(self) -> str:
        return self.out + self.err


@pytest.fixture
def mcrisk(capsys, monkeypatch, tmp_path):
    """`mcrisk("run", …)` in an empty working directory; no traceback may ever be printed."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.delenv("MCRISK_DEBUG", raising=False)

    def call(*arguments):
        code = execute([str(argument) for argument in arguments])
        said = capsys.readouterr()
        assert "Traceback" not in said.out + said.err
        return Outcome(code, said.out, said.err)

    return call

"""The papers' tables and figures as studies: each a name, and a function that measures and writes.

A study keeps what it measured in its folder, so that one which was stopped goes on where it was.
"""

from promptgraft.studies.declared import STUDIES
from promptgraft.studies.setting import Setting
from promptgraft.studies.study import Study, run

__all__ = ["STUDIES", "Setting", "Study", "run"]

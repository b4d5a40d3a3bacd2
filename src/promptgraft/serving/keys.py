"""Who may use which prompts, how often and how much: API keys, of which a file holds the hashes."""

import hashlib
import secrets
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path

import yaml
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from promptgraft.errors import ConfigError

DAY, MINUTE = 86_400.0, 60.0


class Key(BaseModel):
    """One holder of a key."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    sha256: str = Field(pattern="^[0-9a-f]{64}$")
    prompts: tuple[str, ...] = ("*",)
    """Globs of the prompts it may use."""
    requests_per_minute: int | None = Field(default=None, gt=0)
    tokens_per_day: int | None = Field(default=None, gt=0)
    """Read and written together."""

    def may_use(self, prompt: str) -> bool:
        """Whether one of the globs fits a prompt's name."""
        return any(fnmatchcase(prompt, glob) for glob in self.prompts)


def new_key(name: str) -> tuple[str, str]:
    """A key to hand out, and the lines for the file of keys."""
    secret = f"pg-{secrets.token_urlsafe(24)}"
    entry = [{"name": name, "sha256": _hash(secret), "prompts": ["*"]}]
    return secret, yaml.safe_dump(entry, sort_keys=False)


@dataclass
class _Use:
    """What a holder has used: tokens left in a bucket that refills, and those of the day."""

    allowed: float
    refilled: float
    day: float
    tokens: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)


class Keys:
    """The keys of a file, and how much of each is used up.

    Raises ConfigError for a file that cannot be read or is not a list of keys.
    """

    def __init__(self, file: Path, clock: Callable[[], float] = time.monotonic) -> None:
        try:
            loaded = yaml.safe_load(file.read_text("utf-8"))
            keys = TypeAdapter(list[Key]).validate_python(loaded)
        except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
            raise ConfigError(f"Cannot read the keys in {file}: {error}") from None
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(map(str, first["loc"]))
            raise ConfigError(f"{file}: {where}: {first['msg']}") from None
        self.clock = clock
        self.by_hash = {key.sha256: key for key in keys}
        self.used = {
            key.sha256: _Use(float(key.requests_per_minute or 0), clock(), clock()) for key in keys
        }

    def holder(self, secret: str | None) -> Key | None:
        """Whose key this is; None if nobody's."""
        return self.by_hash.get(_hash(secret)) if secret else None

    def wait(self, key: Key) -> float:
        """Take one request from the holder's allowance: 0, or the seconds until there is one."""
        use = self.used[key.sha256]
        with use.lock:
            now = self.clock()
            if now - use.day >= DAY:
                use.day, use.tokens = now, 0
            if key.tokens_per_day is not None and use.tokens >= key.tokens_per_day:
                return use.day + DAY - now
            rate = key.requests_per_minute
            if rate is None:
                return 0.0
            use.allowed = min(rate, use.allowed + (now - use.refilled) * rate / MINUTE)
            use.refilled = now
            if use.allowed < 1.0:
                return (1.0 - use.allowed) * MINUTE / rate
            use.allowed -= 1.0
            return 0.0

    def spend(self, key: Key, tokens: int) -> None:
        """Count tokens towards the holder's day."""
        use = self.used[key.sha256]
        with use.lock:
            use.tokens += tokens


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()

"""An account of an iTwin Platform: where it is, who we are there, and how the network lies between."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from airflow_provider_itwin import __version__
from airflow_provider_itwin.api.credentials import Credentials, digest
from airflow_provider_itwin.api.environment import Environment

DEFAULT_TIMEOUT = 60.0


@dataclass(frozen=True, slots=True)
class Network:
    """
    How requests reach the service.

    :param timeout: seconds that one request may take, and a sixth of it for the connect
    :param verify: whether to verify TLS certificates, or the path of a bundle of authorities to verify them with
    :param proxies: proxy URL for each scheme, as ``requests`` takes them; they may hold a password, so they are never shown
    """

    timeout: float = DEFAULT_TIMEOUT
    verify: bool | str = True
    proxies: tuple[tuple[str, str], ...] = field(default=(), repr=False)

    @property
    def fingerprint(self) -> str:
        """A text that is the same for the same network, and tells nothing of its passwords."""
        return digest("network", repr((self.timeout, self.verify, self.proxies)))


@dataclass(frozen=True, slots=True)
class Limits:
    """
    How often the account may ask, over all who share it in this process.

    :param per_minute: requests in any minute; 0 for no limit
    :param per_hour: requests in any hour; 0 for no limit
    """

    per_minute: float = 0
    per_hour: float = 0


@dataclass(frozen=True, slots=True)
class Account:
    """
    What every conversation with the service needs to know; the clocks are parameters so that tests need no time.

    :param clock: seconds that only ever go forward
    :param wall: seconds since 1970
    :param chance: random numbers from 0 up to 1
    """

    environment: Environment
    credentials: Credentials
    network: Network = Network()
    limits: Limits = Limits()
    clock: Callable[[], float] = time.monotonic
    wall: Callable[[], float] = time.time
    chance: Callable[[], float] = random.random
    user_agent: str = f"airflow-provider-itwin/{__version__}"

    @property
    def identity(self) -> tuple[object, ...]:
        """
        What two accounts have in common when one token and one budget serve both; holds no secret.

        The clock belongs to it, since moments of the one mean nothing on another.
        """
        return (self.environment, self.credentials.fingerprint, self.limits, self.clock)

    @property
    def key(self) -> tuple[object, ...]:
        """What two accounts have in common when one session can serve both; holds no secret."""
        return (self.environment, self.credentials.fingerprint, self.network.fingerprint, self.limits)

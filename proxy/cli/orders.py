"""What a running server is told from outside: by signals it hears, and to its supervisor it answers."""

import asyncio
import signal
import socket
import time
from contextlib import suppress

STOPS = (signal.SIGTERM, signal.SIGINT)
RELOADS = signal.SIGHUP


class Orders:
    """The orders that came by signal."""

    def __init__(self) -> None:
        """Begin without any."""
        self.stop = asyncio.Event()
        """Set by the first SIGTERM or SIGINT."""
        self.hurry = asyncio.Event()
        """Set by the second."""
        self.reload = asyncio.Event()
        """Set by a SIGHUP; whoever carries it out clears it."""

    def hear(self) -> None:
        """Listen for signals from now on."""
        loop = asyncio.get_running_loop()
        for number in STOPS:
            loop.add_signal_handler(number, self._stop)
        loop.add_signal_handler(RELOADS, self.reload.set)

    def _stop(self) -> None:
        (self.hurry if self.stop.is_set() else self.stop).set()


class Supervisor:
    """Who started the server, where that is somebody who wants to hear how it is: sd_notify(3)."""

    def __init__(self, address: str | None) -> None:
        """Take the address of its socket, `NOTIFY_SOCKET` of the environment; None where nobody wants to hear."""
        self._address = address

    def tell_ready(self) -> None:
        """Tell that clients are served, with the settings that were asked for."""
        self._tell("READY=1")

    def tell_reloading(self) -> None:
        """Tell that the settings are being read again; `tell_ready` ends it."""
        self._tell("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")

    def tell_stopping(self, seconds: float) -> None:
        """Tell that the end has begun, and how long it may take."""
        self._tell("STOPPING=1", f"EXTEND_TIMEOUT_USEC={int(seconds * 1_000_000)}")

    def _tell(self, *lines: str) -> None:
        if not self._address:
            return
        # A leading @ stands for the zero byte of Linux's abstract names.
        address = f"\0{self._address[1:]}" if self._address.startswith("@") else self._address
        with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sending:
            sending.setblocking(False)
            sending.sendto("\n".join(lines).encode(), address)

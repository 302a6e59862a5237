"""The machine names that pages use, and their replacements in the tests.

Every name a page mentions is replaced in its commands, in the files it has its reader write and in the output it shows:
this is the only difference between a page and what runs. `LAB` is the lab's registry, under a repository of the
page's own; a service is started when a page mentions its name.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

LAB: Final = "lab"

NAMES: Final[Mapping[str, str]] = {
    "registry.example.org": LAB,
    "mirror.example.net": LAB,
    # Where `examples/` publish: a repository of the page's own, so that pages and tests stay apart.
    "localhost:5000/hello": LAB,
    "localhost:5000/kube-proxy": LAB,
    "registry.internal:5443": "a registry behind a login and a CA of its own",
    "registry.lan:5000": "a registry that speaks plain http",
    "tcp://amd64-host.example.org:1234": "BuildKit of the lab's engine, at a TCP port",
    "tcp://arm64-host.example.org:1234": "BuildKit of the lab's engine, at another TCP port",
}

BASES: Final[Mapping[str, str]] = {
    # The lab cannot pull from Docker Hub; its base image is busybox for twelve platforms.
    "busybox:1.37": "{registry}/base:latest",
}


def mentioned(text: str) -> tuple[str, ...]:
    """Return the names of services that a page mentions."""
    return tuple(name for name, kind in NAMES.items() if kind != LAB and name in text)


def translated(text: str, *, registry: str, prefix: str, services: Mapping[str, str]) -> str:
    """Replace names: `registry` is the lab's host, `prefix` the page's own part of it."""
    for name, address in services.items():
        text = text.replace(name, address)
    for name, base in BASES.items():
        text = text.replace(name, base.format(registry=registry))
    for name, kind in NAMES.items():
        if kind != LAB:
            continue
        if "/" in name:
            text = text.replace(name, f"{registry}/{prefix}/{name.partition('/')[2]}")
            continue
        # With a path it is a repository; alone it is the registry itself.
        text = re.sub(rf"{re.escape(name)}(?=/)", f"{registry}/{prefix}/{name}", text)
        text = re.sub(rf"(?<!/){re.escape(name)}(?!/)", registry, text)
    return text

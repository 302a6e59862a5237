"""A fake buildx that only prints, and the build stage that reads it: BuildKit itself truncates logs at 2 MiB a step."""

from __future__ import annotations

import asyncio
import base64
import json
import sys
from datetime import UTC, datetime
from pathlib import Path

from bench.project import REGISTRY, TWELVE

CHUNK = 4096
LINE = b"gcc -O2 -Wall -c -o build/obj/some/directory/file.o src/some/directory/file.c\n"
DIGEST = f"sha256:{'0' * 64}"


def talk(megabytes: float, metadata: Path) -> None:
    """Print that much log in chunks, as `--progress rawjson` does, and write a digest as metadata."""
    data = base64.b64encode((LINE * (CHUNK // len(LINE) + 1))[:CHUNK]).decode()
    vertex = {"digest": DIGEST, "name": "[2/2] RUN make", "started": "2026-01-01T00:00:00Z"}
    print(json.dumps({"vertexes": [vertex]}), file=sys.stderr)
    log = json.dumps({"logs": [{"vertex": DIGEST, "data": data, "timestamp": "2026-01-01T00:00:00Z"}]})
    for _ in range(int(megabytes * 1_000_000 / CHUNK)):
        print(log, file=sys.stderr)
    print(json.dumps({"vertexes": [{**vertex, "completed": "2026-01-01T00:01:00Z"}]}), file=sys.stderr)
    metadata.write_text(json.dumps({"containerimage.digest": DIGEST}))


def orchestrate(scratch: Path, megabytes: float) -> None:
    """Run the build stage of twelve platforms on that buildx, and print what this process used."""
    # A whole run has loaded these by then.
    import httpx  # noqa: F401
    import python_on_whales  # noqa: F401

    from bench.own import print_own_use
    from multibuild.builds.failover import Failover
    from multibuild.builds.stage import SharedBuilds, build_children
    from multibuild.cli.display.display import make_display
    from multibuild.config.cli_overrides import Overrides
    from multibuild.config.load import load_config
    from multibuild.journal.journal import Journal
    from multibuild.journal.recorder import Recorder
    from multibuild.journal.runs import State
    from multibuild.plan.host_facts import HostFacts, Node
    from multibuild.plan.plan import make_plan
    from multibuild.platforms import Platform

    scratch.mkdir(parents=True, exist_ok=True)
    (scratch / "Dockerfile").write_text("FROM scratch\n")
    config = {"version": 1, "image": f"{REGISTRY}/talk", "platforms": list(TWELVE), "jobs": len(TWELVE)}
    (scratch / "multibuild.yaml").write_text(json.dumps(config))
    loaded = load_config(
        scratch / "multibuild.yaml", environ={}, overrides=Overrides(), now=datetime.now(UTC)
    )
    buildx = (sys.executable, "-m", "bench.talk", "talk", str(megabytes / len(TWELVE)))
    node = Node(builder="talker", driver="docker", native=Platform.parse("linux/amd64"))
    facts = HostFacts(nodes=(node,), cpus=2, memory=2**34, buildx=buildx)
    run = State(scratch / "state").new_run(datetime.now(UTC))
    with Journal(run.journal_path) as journal:
        recorder = Recorder(journal, make_display("quiet", quiet=True, run=run.path))
        plan = make_plan(loaded, facts)
        failover = Failover.of(plan, recorder.say)
        results = asyncio.run(build_children(plan, run, recorder, shared=SharedBuilds.of([plan], failover)))
    assert all(result.built for result in results), [result.failure for result in results]
    assert sum(path.stat().st_size for path in run.logs.iterdir()) > megabytes * 900_000
    print_own_use()


if __name__ == "__main__":
    if sys.argv[1] == "talk":
        words = sys.argv
        talk(float(words[2]), Path(words[words.index("--metadata-file") + 1]))
    else:
        orchestrate(Path(sys.argv[2]), float(sys.argv[3]))

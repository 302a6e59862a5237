"""A `docker` on PATH that records its argv and answers from a table: the exact commands, without an engine."""

import json
import os
import stat
import sys
from pathlib import Path
from typing import Any

_SCRIPT = """#!{python}
import json, os, shutil, sys, time
def outputs(argv):
    if argv[1] != "bake":
        return [argv[argv.index("--output") + 1]]
    with open(argv[argv.index("--file") + 1]) as file:
        return [target["output"][0] for target in json.load(file)["target"].values()]
here = os.path.dirname(os.path.abspath(__file__))
argv = [os.path.basename(sys.argv[0]), *sys.argv[1:]]
with open(os.path.join(here, "calls.jsonl"), "a") as calls:
    calls.write(json.dumps(argv) + "\\n")
for answer in json.load(open(os.path.join(here, "answers.json"))):
    if argv[1 : 1 + len(answer["begin"])] == answer["begin"]:
        digest = "sha256:" + "a" * 64
        if answer["layout"]:
            digest = json.load(open(os.path.join(answer["layout"], "index.json")))["manifests"][0]["digest"]
            for output in outputs(argv):
                dest = output.split("dest=")[1].split(",")[0]
                if dest.endswith(tuple(answer["exports"])):
                    shutil.copytree(answer["layout"], dest, dirs_exist_ok=True)
        if "--metadata-file" in argv:
            with open(argv[argv.index("--metadata-file") + 1], "w") as metadata:
                text = answer["metadata"]
                metadata.write(json.dumps({{"containerimage.digest": digest}}) if text is None else text)
        sys.stdout.write(answer["stdout"])
        sys.stderr.write(answer["stderr"])
        sys.stderr.flush()
        time.sleep(answer["seconds"])
        open(os.path.join(here, "completed"), "a").write(argv[1] + "\\n")
        sys.exit(answer["code"])
sys.exit("unexpected: " + json.dumps(argv))
"""

INFO = {
    "ServerVersion": "28.5.2",
    "Name": "host",
    "OSType": "linux",
    "Architecture": "x86_64",
    "NCPU": 2,
    "MemTotal": 8 * 1024**3,
    "DriverStatus": [["driver-type", "io.containerd.snapshotter.v1"]],
    "ClientInfo": {
        "Context": "default",
        "Plugins": [{"Name": "buildx", "Path": "BUILDX", "Version": "0.29.1"}],
    },
}
BUILDERS = (
    json.dumps(
        {
            "Name": "default",
            "Driver": "docker",
            "Current": True,
            "Nodes": [
                {"Name": "default", "Endpoint": "default", "Status": "running", "Platforms": ["linux/amd64"]}
            ],
        }
    )
    + "\n"
)


class FakeDocker:
    """Writes the fakes into a folder; `answer(*begin, …)` adds a row, and the first match answers."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._answers: list[dict[str, object]] = []
        for name in ("docker", "docker-buildx"):
            path = folder / name
            path.write_text(_SCRIPT.format(python=sys.executable))
            path.chmod(path.stat().st_mode | stat.S_IXUSR)
        self._save()

    @property
    def path(self) -> str:
        """Return PATH with the fake first."""
        return f"{self.folder}:{os.environ['PATH']}"

    def answer(self, *begin: str, stdout: str = "", stderr: str = "", code: int = 0, **more: Any) -> None:
        """Answer commands whose arguments begin with `begin`.

        `metadata=` goes into their metadata file; `layout=` is exported to destinations that end with one of
        `exports=` (default: all). They exit `seconds=` after their answer.
        """
        output = {"stdout": stdout, "stderr": stderr, "code": code}
        rest = {"metadata": None, "seconds": 0.0, "layout": None, "exports": [""]}
        self._answers.append({"begin": list(begin), **output, **rest, **more})
        self._save()

    def engine(self) -> None:
        """Answer like an engine with a builder."""
        info = json.dumps(INFO).replace("BUILDX", str(self.folder / "docker-buildx"))
        self.answer("info", stdout=info)
        self.answer("buildx", "ls", stdout=BUILDERS)
        self.answer("ls", stdout=BUILDERS)  # from the plugin's own binary

    def calls(self) -> list[list[str]]:
        """Return the argv of every call, program name first."""
        path = self.folder / "calls.jsonl"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    def completed(self) -> list[str]:
        """Return the first argument of every call that was not ended before its exit."""
        path = self.folder / "completed"
        return path.read_text().split() if path.exists() else []

    def _save(self) -> None:
        (self.folder / "answers.json").write_text(json.dumps(self._answers, default=str))

"""A `docker` on PATH that notes its argv and answers from a table: the exact commands, without an engine."""

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
                said = answer["metadata"]
                metadata.write(json.dumps({{"containerimage.digest": digest}}) if said is None else said)
        sys.stdout.write(answer["stdout"])
        sys.stderr.write(answer["stderr"])
        sys.stderr.flush()
        time.sleep(answer["seconds"])
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
    """Writes itself into a folder; `answer(*begin, …)` adds a row, the first that fits is taken."""

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
        """PATH with the fake first."""
        return f"{self.folder}:{os.environ['PATH']}"

    def answer(self, *begin: str, stdout: str = "", stderr: str = "", code: int = 0, **more: Any) -> None:
        """Answer commands whose arguments begin so.

        `metadata=` is for those that have a file for it; `layout=` is what they export, to destinations that end with
        one of `exports=` (all). They end `seconds=` after their answer.
        """
        said = {"stdout": stdout, "stderr": stderr, "code": code}
        rest = {"metadata": None, "seconds": 0.0, "layout": None, "exports": [""]}
        self._answers.append({"begin": list(begin), **said, **rest, **more})
        self._save()

    def engine(self) -> None:
        """Answer as an engine with a builder does."""
        info = json.dumps(INFO).replace("BUILDX", str(self.folder / "docker-buildx"))
        self.answer("info", stdout=info)
        self.answer("buildx", "ls", stdout=BUILDERS)
        self.answer("ls", stdout=BUILDERS)  # asked of the plugin itself

    def calls(self) -> list[list[str]]:
        """Give the argv of every call, program name first."""
        path = self.folder / "calls.jsonl"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    def _save(self) -> None:
        (self.folder / "answers.json").write_text(json.dumps(self._answers, default=str))

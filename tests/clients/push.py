"""Pushes an image with oras, a client of OCI registries that is not ours: a configuration with a label, and one layer.

push.py REGISTRY/REPOSITORY:TAG LABEL=VALUE ... prints the digest; the password of the user AWS is read from standard input.
"""

import gzip
import hashlib
import io
import json
import pathlib
import sys
import tarfile
import tempfile

from oras.client import OrasClient

IMAGE = "application/vnd.oci.image"


def layer(tag: str) -> bytes:
    """An archive with one file in it."""
    content = f"the program {tag}\n".encode()
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as files:
        entry = tarfile.TarInfo("app/program")
        entry.size = len(content)
        files.addfile(entry, io.BytesIO(content))
    return archive.getvalue()


def main() -> None:
    target, labels = sys.argv[1], dict(label.split("=", 1) for label in sys.argv[2:])
    registry, tag = target.split("/", 1)[0], target.rsplit(":", 1)[1]
    files = layer(tag)
    configuration = {
        "architecture": "amd64",
        "os": "linux",
        "config": {"Labels": labels, "Entrypoint": ["/app/program"]},
        "rootfs": {"type": "layers", "diff_ids": ["sha256:" + hashlib.sha256(files).hexdigest()]},
    }
    client = OrasClient(hostname=registry, insecure=True, auth_backend="basic")
    client.auth.set_basic_auth("AWS", sys.stdin.read().strip())
    with tempfile.TemporaryDirectory() as folder:
        paths = {"layer": pathlib.Path(folder, "layer.tar.gz"), "config": pathlib.Path(folder, "config.json")}
        paths["layer"].write_bytes(gzip.compress(files, mtime=0))
        paths["config"].write_text(json.dumps(configuration))
        response = client.push(
            target=target,
            files=[f"{paths['layer']}:{IMAGE}.layer.v1.tar+gzip"],
            manifest_config=f"{paths['config']}:{IMAGE}.config.v1+json",
            disable_path_validation=True,
        )
    print(response.headers["docker-content-digest"])


main()

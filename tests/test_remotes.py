"""Data sets and checkpoints in a DVC remote: a folder, and a real S3 API on loopback."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest
from helpers.sweeping import call, environment, git, make_repository, stages_run
from moto.server import ThreadedMotoServer


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository whose pipeline has run and is committed, bytes in DVC's cache only."""
    root = make_repository(tmp_path_factory.mktemp("finished") / "root")
    status, printed = call(root, "-m", "dvc", "repro")
    assert status == 0, printed
    git(root, "add", "--all")
    git(root, "commit", "--quiet", "--message", "a run")
    return root


@pytest.fixture(scope="module")
def s3() -> Iterator[tuple[str, dict[str, str]]]:
    """Address of an S3 server with the bucket `team`, and the environment that opens it."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    address = f"http://{host}:{port}"
    keys = {"AWS_ACCESS_KEY_ID": "planted-id", "AWS_SECRET_ACCESS_KEY": "planted-secret"}
    boto3.client(
        "s3",
        endpoint_url=address,
        region_name="us-east-1",
        aws_access_key_id=keys["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=keys["AWS_SECRET_ACCESS_KEY"],
    ).create_bucket(Bucket="team")
    yield address, keys
    server.stop()


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["folder", "s3"])
def test_a_fresh_clone_pulls_and_runs_nothing(
    finished: Path, tmp_path: Path, s3: tuple[str, dict[str, str]], kind: str
) -> None:
    address, keys = s3
    root = Path(shutil.copytree(finished, tmp_path / "root"))
    where = str(tmp_path / "store") if kind == "folder" else "s3://team/longwriter"
    commands = [["remote", "add", "--default", "store", where]]
    if kind == "s3":
        commands += [["remote", "modify", "store", "endpointurl", address]]
    for command in [*commands, ["push"]]:
        status, printed = call(root, "-m", "dvc", *command, **keys)
        assert status == 0, printed
    git(root, "commit", "--all", "--quiet", "--message", "a remote")

    clone = tmp_path / "clone/root"
    git(tmp_path, "clone", "--quiet", str(root), str(clone))
    assert not (clone / "models").exists()
    status, printed = call(clone, "-m", "dvc", "pull", **keys)
    assert status == 0, printed
    for name in ("models/sft", "data/sft/train.jsonl", "data/agentwrite/drafts.jsonl"):
        assert (clone / name).read_bytes() == (root / name).read_bytes()
    status, printed = call(clone, "-m", "dvc", "repro", **keys)
    assert status == 0, printed
    assert stages_run(clone) == []  # but for the report, which nobody pushed
    assert Path(environment(clone)["RAN"]).read_text() == "report\n"
    assert git(clone, "status", "--porcelain") == ""

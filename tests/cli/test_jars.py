"""Jars are installed whole and checked, or not at all. Nothing here uses a network."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import pytest

from cli.ivy import fetch, in_place, install, ivy_jar, java, read_lock
from cli.jars import DELTA, JARS, KAFKA, S3A
from conf.errors import ConfigError, DataError, RetryableError
from tests.cli.conftest import Topshelf

CONTENT = {"a.jar": b"first", "b.jar": b"second"}
LOCK = {name: hashlib.sha256(content).hexdigest() for name, content in CONTENT.items()}


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "source"
    folder.mkdir()
    for name, content in {**CONTENT, "unwanted.jar": b"third"}.items():
        (folder / name).write_bytes(content)
    return folder


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_only_the_locked_jars_are_installed_in_place_of_what_was_there(source: Path, tmp_path: Path) -> None:
    target = tmp_path / "deep" / "jars"
    target.mkdir(parents=True)
    (target / "old.jar").write_bytes(b"old")
    assert not in_place(target, LOCK)
    install(JARS, source, target, LOCK)
    assert names(target) == set(CONTENT)
    assert names(target.parent) == {"jars"}
    assert in_place(target, LOCK)


def test_a_jar_that_was_changed_is_refused_and_the_old_ones_stay(source: Path, tmp_path: Path) -> None:
    target = tmp_path / "jars"
    install(JARS, source, target, LOCK)
    (source / "b.jar").write_bytes(b"tampered")
    with pytest.raises(DataError, match=r"b\.jar in .* differ from conf/jars\.lock"):
        install(JARS, source, target, LOCK)
    assert in_place(target, LOCK)
    (target / "b.jar").write_bytes(b"tampered")
    assert not in_place(target, LOCK)


def test_a_missing_jar_is_named(source: Path, tmp_path: Path) -> None:
    (source / "a.jar").unlink()
    with pytest.raises(DataError, match=r"lacks a\.jar"):
        install(JARS, source, tmp_path / "jars", LOCK)


def fake_java(folder: Path, script: str) -> dict[str, str]:
    program = folder / "jdk" / "bin" / "java"
    program.parent.mkdir(parents=True)
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    return {"JAVA_HOME": str(folder / "jdk")}


def test_what_ivy_retrieves_is_checked_and_installed(source: Path, tmp_path: Path) -> None:
    # The pattern of the files to write is Ivy's last argument.
    env = fake_java(tmp_path, f'for last; do :; done; cp {source}/*.jar "$(dirname "$last")"')
    target = tmp_path / "env" / "jars"
    fetch(JARS, target, LOCK, env)
    assert names(target) == set(CONTENT)
    assert names(target.parent) == {"jars"}


def test_a_failing_fetch_gives_the_reason_and_the_way_out(tmp_path: Path) -> None:
    env = fake_java(tmp_path, 'echo "                :: io.delta#delta-spark;4: not found"')
    with pytest.raises(RetryableError, match=r"io\.delta#delta-spark;4: not found.*topshelf jars --from FOLDER"):
        fetch(JARS, tmp_path / "jars", LOCK, env)
    assert not (tmp_path / "jars").exists()


def test_without_java_it_says_which_is_needed(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="install Java 17"):
        java({"PATH": str(tmp_path)})


def test_the_command_does_nothing_when_all_is_in_place(topshelf: Topshelf) -> None:
    result = topshelf("jars")
    assert result.exit_code == 0
    assert f"the {len(read_lock(JARS.lock_file))} Spark jars are in place" in result.stdout


def test_the_lock_the_package_and_the_coordinates_name_one_version() -> None:
    project = (Path(__file__).parents[2] / "pyproject.toml").read_text()
    pinned = re.search(r'"delta-spark==([\d.]+)"', project)
    assert pinned is not None
    assert pinned.group(1) == DELTA[2]
    assert f"{DELTA[1]}-{DELTA[2]}.jar" in read_lock(JARS.lock_file)
    assert all(f"{artifact}-{version}.jar" in read_lock(JARS.lock_file) for _, artifact, version in KAFKA)
    spark = re.search(r'"pyspark==([\d.]+)"', project)
    assert spark is not None
    assert {version for group, _, version in KAFKA if group == "org.apache.spark"} == {spark.group(1)}


def test_the_jars_for_object_storage_fit_the_hadoop_that_pyspark_brings() -> None:
    lock = read_lock(S3A.lock_file)
    assert all(f"{artifact}-{version}.jar" in lock for _, artifact, version in (S3A.module, *S3A.alone))
    (hadoop,) = ivy_jar().parent.glob("hadoop-client-api-*.jar")
    assert hadoop.name.replace("hadoop-client-api", "hadoop-aws") in lock


def test_on_object_storage_the_command_looks_after_both_sets(topshelf: Topshelf) -> None:
    result = topshelf("jars", "--set", "lake.root=s3a://bucket/lake")
    assert result.exit_code == 0
    assert f"the {len(read_lock(S3A.lock_file))} jars for object storage are in place" in result.stdout

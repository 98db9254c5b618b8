"""What Cassandra wants to be told before it starts: its settings file and what of Java it needs opened."""

from __future__ import annotations

from pathlib import Path

import yaml

MAIN = "org.apache.cassandra.service.CassandraDaemon"
_EXPORTS = (
    *("java.base/jdk.internal.misc", "java.base/java.lang.ref", "java.sql/java.sql", "jdk.unsupported/sun.misc"),
    *("java.management.rmi/com.sun.jmx.remote.internal.rmi", "java.rmi/sun.rmi.registry", "java.rmi/sun.rmi.server"),
)
_OPENS = (
    *("java.base/java.io", "java.base/java.lang", "java.base/java.lang.module", "java.base/java.lang.reflect"),
    *("java.base/java.util", "java.base/jdk.internal.loader", "java.base/jdk.internal.math"),
    *("java.base/jdk.internal.module", "java.base/jdk.internal.ref", "java.base/jdk.internal.reflect"),
    *("java.base/jdk.internal.util.jar", "java.base/sun.nio.ch", "jdk.management/com.sun.management.internal"),
)
JAVA_FLAGS = (
    *(f"--add-exports={name}=ALL-UNNAMED" for name in _EXPORTS),
    *(f"--add-opens={name}=ALL-UNNAMED" for name in _OPENS),
    "-Djava.security.manager=allow",  # it sets one of its own, which Java 18 and newer refuse otherwise
    "-Djdk.attach.allowAttachSelf=true",
    "-Djava.net.preferIPv4Stack=true",
    "-Dio.netty.tryReflectionSetAccessible=true",
    "-XX:+ExitOnOutOfMemoryError",
    "-Dcassandra-foreground=yes",
    # It is alone: there are no others whose state would have to arrive first.
    "-Dcassandra.skip_wait_for_gossip_to_settle=0",
    "-Dcassandra.ring_delay_ms=100",
    "-Dcassandra.superuser_setup_delay_ms=0",
)


def write_settings(folder: Path, port: int, storage_port: int) -> Path:
    """Write cassandra.yaml for a lone node whose data are in `folder`; both ports are on 127.0.0.1.

    The storage port, which nodes use among themselves, may differ from one start to the next.
    """
    seeds = {"seeds": f"127.0.0.1:{storage_port}"}
    settings = {
        "cluster_name": "topshelf",
        "partitioner": "org.apache.cassandra.dht.Murmur3Partitioner",
        "num_tokens": 1,
        "endpoint_snitch": "SimpleSnitch",
        "seed_provider": [{"class_name": "org.apache.cassandra.locator.SimpleSeedProvider", "parameters": [seeds]}],
        "listen_address": "127.0.0.1",
        "storage_port": storage_port,
        "rpc_address": "127.0.0.1",
        "native_transport_port": port,
        # "periodic" forgets the last tenth of a second in a crash, and a lone node has no replica that remembers.
        "commitlog_sync": "batch",
        "commitlog_segment_size": "8MiB",
        "hinted_handoff_enabled": False,
        "auto_snapshot": False,
        "data_file_directories": [str(folder / "data")],
        "commitlog_directory": str(folder / "commitlog"),
        "hints_directory": str(folder / "hints"),
        "saved_caches_directory": str(folder / "saved_caches"),
        "cdc_raw_directory": str(folder / "cdc_raw"),
    }
    path = folder / "cassandra.yaml"
    path.write_text(yaml.safe_dump(settings, sort_keys=False))
    return path

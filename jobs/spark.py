"""The one Spark session of a run, and the jars and the code it needs."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path

from py4j.protocol import Py4JError
from pyspark.errors import PySparkException
from pyspark.sql import SparkSession

from conf.errors import ConfigError, RetryableError
from conf.loading import CONF_DIR
from conf.settings import Settings
from jobs.shipping import write_archive

LOG_FILE = CONF_DIR / "log4j2.properties"
JAVA_WARNINGS = "-Xlog:disable -Xlog:all=warning:stderr"
"""Java writes its own warnings to standard output, where they would stand among a command's JSON."""
LOOPBACK = "127.0.0.1"


def default_jars_dir() -> Path:
    """Where `topshelf jars` puts the jars: inside the Python environment."""
    return Path(sys.prefix) / "share" / "topshelf" / "jars"


def jar_folders(settings: Settings) -> list[Path]:
    """Where the jars are: Delta's and Kafka's; then, where the lake is on object storage, those for it."""
    base = Path(settings.spark.jars_dir) if settings.spark.jars_dir else default_jars_dir()
    return [base, base.with_name(f"{base.name}-s3a")] if _on_s3a(settings) else [base]


def spark_conf(settings: Settings, env: Mapping[str, str]) -> dict[str, str]:
    """Spark's own settings, by their own names.

    env: AWS_ENDPOINT_URL and AWS_REGION, as every other reader of object storage takes them from there.

    Raises:
        ConfigError: the jars are not there.
    """
    spark = settings.spark
    jars: list[str] = []
    for folder in jar_folders(settings):
        found = sorted(str(jar) for jar in folder.glob("*.jar"))
        if not found:
            raise ConfigError(f"no jars in {folder}: fetch them with `topshelf jars`, or set spark.jars_dir")
        jars += found
    loopback = {"spark.driver.host": LOOPBACK, "spark.driver.bindAddress": LOOPBACK}
    return {
        "spark.master": spark.master,
        "spark.jars": ",".join(jars),
        "spark.driver.memory": spark.driver_memory,
        "spark.sql.extensions": "io.delta.sql.DeltaSparkSessionExtension",
        "spark.sql.catalog.spark_catalog": "org.apache.spark.sql.delta.catalog.DeltaCatalog",
        "spark.sql.shuffle.partitions": str(spark.shuffle_partitions),
        # Of listings, such as a vacuum's: the default of 10,000 tasks takes minutes a table on one machine.
        "spark.sql.sources.parallelPartitionDiscovery.parallelism": str(spark.shuffle_partitions),
        "spark.sql.session.timeZone": "UTC",
        "spark.sql.warehouse.dir": str(settings.home / "spark-warehouse"),
        "spark.sql.execution.arrow.pyspark.enabled": "true",
        "spark.databricks.delta.snapshotPartitions": "2",
        "spark.driver.extraJavaOptions": f"-Dlog4j2.configurationFile={LOG_FILE.as_uri()} {JAVA_WARNINGS}",
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
        **(_s3a(env) if _on_s3a(settings) else {}),
        **(loopback if is_local(spark.master) or f"//{LOOPBACK}:" in spark.master else {}),
        **spark.conf,
    }


def _on_s3a(settings: Settings) -> bool:
    return settings.lake_root.startswith("s3a://")


def _s3a(env: Mapping[str, str]) -> dict[str, str]:
    """Credentials S3A finds in the environment by itself; for these two it has names of its own."""
    conf = {}
    if region := env.get("AWS_REGION"):
        conf["spark.hadoop.fs.s3a.endpoint.region"] = region
    if endpoint := env.get("AWS_ENDPOINT_URL"):
        # Servers other than Amazon's rarely have a host name for each bucket.
        conf |= {"spark.hadoop.fs.s3a.endpoint": endpoint, "spark.hadoop.fs.s3a.path.style.access": "true"}
    return conf


def is_local(master: str) -> bool:
    """Whether all of Spark is in the driver's process."""
    return master.startswith("local[") or master == "local"


def executors_python(settings: Settings) -> str:
    """Path of the Python that Spark's workers run."""
    return settings.spark.python or os.environ.get("PYSPARK_PYTHON", sys.executable)


def spark_session(settings: Settings, app: str = "topshelf") -> SparkSession:
    """Start, or join, the process's Spark session. The executors of a cluster are sent the code of this process.

    Raises:
        ConfigError: the jars are not there.
        RetryableError: the cluster cannot be reached, or its executors do not start.
    """
    builder = SparkSession.builder.appName(app)
    for name, value in spark_conf(settings, os.environ).items():
        builder = builder.config(name, value)
    # PySpark takes the workers' Python from the environment alone; without it they would run the system's.
    os.environ["PYSPARK_PYTHON"] = executors_python(settings)
    try:
        session = builder.getOrCreate()
    except (Py4JError, PySparkException) as error:
        if is_local(settings.spark.master):
            raise
        raise RetryableError(
            f"no session on {settings.spark.master}, which is spark.master: is it up, with workers that are free, and "
            "can they reach this machine? Why Spark gave up is on stderr"
        ) from error
    session.sparkContext.setLogLevel("ERROR")
    if not is_local(settings.spark.master):
        session.sparkContext.addPyFile(str(write_archive(settings.home / "spark")))
    return session

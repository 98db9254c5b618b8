"""The one Spark session of a run, and the jars it needs."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from pyspark.sql import SparkSession

from conf.errors import ConfigError
from conf.loading import CONF_DIR
from conf.settings import Settings

LOG_FILE = CONF_DIR / "log4j2.properties"
JAVA_WARNINGS = "-Xlog:disable -Xlog:all=warning:stderr"
"""Java writes its own warnings to standard output, where they would stand among a command's JSON."""


def default_jars_dir() -> Path:
    """Where `topshelf jars` puts the jars: inside the Python environment."""
    return Path(sys.prefix) / "share" / "topshelf" / "jars"


def spark_session(settings: Settings, app: str = "topshelf") -> SparkSession:
    """Start, or join, the process's Spark session.

    Raises:
        ConfigError: the jars are not there.
    """
    spark = settings.spark
    jars_dir = Path(spark.jars_dir) if spark.jars_dir else default_jars_dir()
    jars = sorted(str(jar) for jar in jars_dir.glob("*.jar"))
    if not jars:
        raise ConfigError(f"no jars in {jars_dir}: fetch them with `topshelf jars`, or set spark.jars_dir")
    # PySpark takes the workers' Python from the environment alone; without it they would run the system's.
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    builder = (
        SparkSession.builder.appName(app)
        .master(spark.master)
        .config("spark.jars", ",".join(jars))
        .config("spark.driver.memory", spark.driver_memory)
        .config("spark.sql.extensions", "io.delta.sql.DeltaSparkSessionExtension")
        .config("spark.sql.catalog.spark_catalog", "org.apache.spark.sql.delta.catalog.DeltaCatalog")
        .config("spark.sql.shuffle.partitions", spark.shuffle_partitions)
        # Of listings, such as a vacuum's: the default of 10,000 tasks takes minutes a table on one machine.
        .config("spark.sql.sources.parallelPartitionDiscovery.parallelism", spark.shuffle_partitions)
        .config("spark.sql.session.timeZone", "UTC")
        .config("spark.sql.warehouse.dir", str(settings.home / "spark-warehouse"))
        .config("spark.sql.execution.arrow.pyspark.enabled", "true")
        .config("spark.databricks.delta.snapshotPartitions", 2)
        .config("spark.driver.extraJavaOptions", f"-Dlog4j2.configurationFile={LOG_FILE.as_uri()} {JAVA_WARNINGS}")
        .config("spark.ui.enabled", "false")
        .config("spark.ui.showConsoleProgress", "false")
    )
    if spark.master.startswith("local"):
        builder = builder.config("spark.driver.host", "127.0.0.1").config("spark.driver.bindAddress", "127.0.0.1")
    for name, value in spark.conf.items():
        builder = builder.config(name, value)
    session = builder.getOrCreate()
    session.sparkContext.setLogLevel("ERROR")
    return session

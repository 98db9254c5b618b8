"""The jars that Spark needs for Delta and Kafka, as conf/jars.lock pins them; for object storage, conf/s3a.lock.

What else comes with delta-spark (a second Hadoop, a second Scala) is left out. Of what Spark's connector to Kafka needs
only that is fetched which Spark itself lacks. hadoop-aws asks for all of Amazon's services in one jar of 600 MB: the
few modules that it uses are taken in its stead.
"""

from __future__ import annotations

from cli.ivy import JarSet

DELTA = ("io.delta", "delta-spark_4.2_2.13", "4.4.0")
KAFKA = (
    ("org.apache.spark", "spark-sql-kafka-0-10_2.13", "4.2.0"),
    ("org.apache.spark", "spark-token-provider-kafka-0-10_2.13", "4.2.0"),
    ("org.apache.kafka", "kafka-clients", "3.9.2"),
    ("org.apache.commons", "commons-pool2", "2.13.1"),
)
JARS = JarSet("Spark jars", DELTA, "conf/jars.lock", by_hand="topshelf jars --from FOLDER", alone=KAFKA)
AMAZON = "2.57.8"
S3A = JarSet(
    "jars for object storage",
    ("software.amazon.awssdk", "s3-transfer-manager", AMAZON),
    "conf/s3a.lock",
    by_hand="topshelf --set lake.root=s3a://… jars --from FOLDER",
    alone=(
        ("org.apache.hadoop", "hadoop-aws", "3.5.0"),
        ("software.amazon.awssdk", "sts", AMAZON),
        ("software.amazon.awssdk", "apache-client", AMAZON),
        ("software.amazon.s3.analyticsaccelerator", "analyticsaccelerator-s3", "1.3.1"),
    ),
)

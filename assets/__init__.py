"""One thin Dagster asset a job: resources in, `run(...)`, metadata out."""

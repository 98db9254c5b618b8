"""What Dagster's history says of people who were forgotten."""

import dagster as dg

from conf.settings import Settings
from dagster_project.forgetting import forget
from dagster_project.instance import prepare_instance

ANN, BOB = "ann-who-leaves@example.com", "7"


def test_runs_that_name_a_user_go_with_their_bytes_and_others_stay(settings: Settings) -> None:
    assert forget(settings, [ANN]) == {}
    home = prepare_instance(settings)

    @dg.op
    def judge(context: dg.OpExecutionContext) -> None:
        context.log.info(context.run.tags["says"])

    @dg.job
    def gate() -> None:
        judge()

    said = {"of ann": f"item m1 for user {ANN}", "of bob": "item m2 for user 7", "of 77": "user 77 has 7 items"}
    with dg.DagsterInstance.from_config(str(home)) as instance:
        for name, text in said.items():
            gate.execute_in_process(instance=instance, tags={"says": text, "name": name})
    assert named(settings, ANN)
    assert forget(settings, [ANN, BOB, "cat"]) == {ANN: 1, BOB: 1}
    assert named(settings, ANN) == named(settings, "user 7 ") == []
    with dg.DagsterInstance.from_config(str(home)) as instance:
        assert [run.tags["name"] for run in instance.get_runs()] == ["of 77"]


def named(settings: Settings, text: str) -> list[str]:
    """Files of the instance that a text stands in."""
    files = (path for path in settings.dagster_home.rglob("*") if path.is_file())
    return [path.name for path in files if text.encode() in path.read_bytes()]

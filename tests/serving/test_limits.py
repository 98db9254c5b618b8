from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from serving.limits import MAX_SUBJECTS, RateLimit

EVENTS = "/api/v1/events"
HOME = "/api/v1/recommendations"


class Clock:
    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


def test_a_burst_is_let_in_and_then_so_many_a_second():
    clock = Clock()
    limit = RateLimit(2.0, 3, clock)
    assert [limit.take("ann") for _ in range(4)] == [0.0, 0.0, 0.0, 0.5]
    clock.now += 0.5
    assert [limit.take("ann"), limit.take("ann")] == [0.0, 0.5]
    assert limit.take("bob") == 0.0


def test_a_batch_draws_for_each_and_a_whole_bucket_at_most():
    limit = RateLimit(1.0, 10, Clock())
    assert limit.take("ann", 9) == 0.0
    assert limit.take("ann", 3) == 2.0
    assert limit.take("bob", 500) == 0.0
    assert limit.take("bob", 1) == 1.0


@given(
    rate=st.sampled_from([0.5, 3.0, 7.0, 50.0]),
    burst=st.integers(1, 20),
    pauses=st.lists(st.floats(0, 2), max_size=60),
)
def test_no_stretch_of_time_lets_more_in_than_burst_and_rate(rate, burst, pauses):
    clock = Clock()
    limit = RateLimit(rate, burst, clock)
    let_in = []
    for pause in pauses:
        clock.now += pause
        if limit.take("ann") == 0.0:
            let_in.append(clock.now)
    for first, start in enumerate(let_in):
        for count, end in enumerate(let_in[first:], start=1):
            assert count <= burst + rate * (end - start) + 1e-6


def test_who_waits_as_told_is_let_in():
    clock = Clock()
    limit = RateLimit(7.0, 3, clock)
    for _ in range(100):
        wait = limit.take("ann")
        clock.now += wait
        assert wait == 0.0 or limit.take("ann") == 0.0


def test_memory_is_bounded_however_many_call():
    limit = RateLimit(0.001, 1, Clock())
    for number in range(3 * MAX_SUBJECTS):
        limit.take(str(number))
    assert len(limit._full_at) + len(limit._before) <= 2 * MAX_SUBJECTS
    assert limit.take(str(3 * MAX_SUBJECTS - 1)) > 0


def test_one_who_sends_too_many_is_told_when_to_come_back_and_nobody_else_is(world, make_client):
    serving = world.settings.serving.model_copy(update={"requests_per_second": 0.5, "burst": 2})
    clock = Clock()
    client = make_client(settings=world.settings.model_copy(update={"serving": serving}), ticks=clock)
    assert [client(HOME).status_code, client("/api/v1/home").status_code] == [200, 200]
    for path, method in ((HOME, "GET"), (EVENTS, "POST"), ("/api/v1/items/m0/similar", "GET")):
        answer = client(path, method=method)
        assert (answer.status_code, answer.headers["Retry-After"]) == (429, "2")
        assert answer.json["type"] == "/problems/too-many-requests"
    assert client.count("topshelf_refused", scope="user") == 3
    assert client(HOME, user="kid").status_code == 200
    assert client("/api/v1/users/ann/recommendations", scope="service").status_code == 200
    clock.now += 2
    assert client(HOME).status_code == 200


def test_all_who_have_no_token_share_one_limit(world, make_client):
    serving = world.settings.serving.model_copy(update={"anonymous_requests_per_second": 0.5, "anonymous_burst": 2})
    clock = Clock()
    client = make_client(settings=world.settings.model_copy(update={"serving": serving}), ticks=clock)

    def asked(address):
        return client("/api/v1/items/m0/similar", user=None, environ_base={"REMOTE_ADDR": address})

    assert [asked(f"10.0.0.{host}").status_code for host in range(2)] == [200, 200]
    answer = asked("10.0.0.2")
    assert (answer.status_code, answer.headers["Retry-After"]) == (429, "2")
    assert "without a token" in answer.json["detail"]
    assert client.count("topshelf_refused", scope="anonymous") == 1
    assert client("/api/v1/items/m0/similar").status_code == 200
    clock.now += 2
    assert asked("10.0.0.2").status_code == 200


def test_a_batch_counts_its_users(world, make_client):
    update = {"service_requests_per_second": 1.0, "service_burst": 5}
    serving = world.settings.serving.model_copy(update=update)
    client = make_client(settings=world.settings.model_copy(update={"serving": serving}), ticks=Clock())
    batch = {"method": "POST", "scope": "service", "json": {"user_ids": ["ann", "kid", "bob"]}}
    path = "/api/v1/users/recommendations"
    assert [client(path, **batch).status_code for _ in range(2)] == [200, 429]

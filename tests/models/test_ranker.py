import torch

from models.ranker import ItemSide, Ranker, RankerShape, UserSide, genre_shares

SHAPE = RankerShape(dim=4, genres=2, profile=(1, 0, 0, 0), pages=3, positions=5, hidden=(8, 4), dropout=0.1)


def sides(users=3, items=5):
    maker = torch.Generator().manual_seed(1)

    def some(*shape):
        return torch.randn(*shape, generator=maker)

    user = UserSide(some(users, 4), some(users, 2), torch.zeros(users, 4, dtype=torch.long), torch.arange(users))
    item = ItemSide(
        some(users, items, 4), some(users, items, 2), some(users, items), torch.ones(users, items),
        some(users, items, 2),
    )  # fmt: skip
    return user, item


def dot(user, item):
    return torch.einsum("bd,bcd->bc", user.vectors, item.vectors)


def test_untrained_it_ranks_as_the_towers_do_and_contexts_say_nothing():
    ranker = Ranker(SHAPE).eval()
    user, item = sides()
    assert torch.equal(ranker.deep(user, item), dot(user, item))
    assert not ranker.context_rows(*(torch.zeros(3, dtype=torch.long) for _ in range(4))).any()


def test_items_in_many_rows_have_the_logits_they_have_alone():
    ranker = Ranker(SHAPE).eval()
    torch.nn.init.normal_(ranker.last.weight)
    user, item = sides()
    catalogue, places = item.take(torch.tensor(0)), torch.tensor([[0, 1], [1, 4], [1, 1]])
    plain, deep = ranker.deep_at(user, catalogue, places)
    assert torch.allclose(plain, dot(user, catalogue.take(places)), atol=1e-6)
    assert torch.allclose(deep, ranker.deep(user, catalogue.take(places)), atol=1e-6)
    assert not torch.allclose(deep, plain)


def test_an_items_unknown_popularity_is_not_read():
    _, item = sides()
    unknown = ItemSide(item.vectors, item.genres, item.popularity, torch.zeros_like(item.popularity), item.years)
    other = ItemSide(item.vectors, item.genres, item.popularity + 9, torch.zeros_like(item.popularity), item.years)
    assert torch.equal(unknown.features(), other.features())


def test_genre_shares_divide_the_history():
    genres = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    history = torch.tensor([[-1, 0, 0, 0, 1], [-1, -1, -1, -1, -1]])
    assert genre_shares(history, genres).tolist() == [[0.75, 0.25], [0, 0]]

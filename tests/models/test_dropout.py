import pytest
import torch

from models.dropout import Dropout

ONES = torch.ones(999, 1001)


def dropped(p: float, seed: int = 1) -> torch.Tensor:
    torch.manual_seed(seed)
    found: torch.Tensor = Dropout(p).train()(ONES)
    return found


@pytest.mark.parametrize("p", [0.1, 0.5, 0.9])
def test_so_many_are_zeros_and_the_mean_stays(p):
    found = dropped(p)
    assert (found == 0).float().mean().item() == pytest.approx(p, abs=0.005)
    assert found.mean().item() == pytest.approx(1, abs=0.01)
    assert len(found.unique()) == 2


def test_neighbours_fall_apart_from_each_other():
    zeros = (dropped(0.5) == 0).float().flatten()
    together = [(zeros[:-lag] * zeros[lag:]).mean().item() for lag in (1, 2, 4, 8)]
    assert together == pytest.approx([0.25] * 4, abs=0.005)


def test_a_seed_decides():
    assert torch.equal(dropped(0.1), dropped(0.1))
    assert not torch.equal(dropped(0.1), dropped(0.1, seed=2))


def test_it_is_learnt_through_by_what_was_kept():
    rows = torch.ones(100, 10, requires_grad=True)
    found = Dropout(0.5).train()(rows)
    found.sum().backward()
    assert torch.equal(rows.grad, found.detach())


@pytest.mark.parametrize(("p", "training"), [(0.5, False), (0.0, True)])
def test_nothing_is_dropped(p, training):
    assert torch.equal(Dropout(p).train(training)(ONES), ONES)


def test_all_is_dropped():
    assert not dropped(1.0).any()

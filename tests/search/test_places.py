"""Which nodes get lanes, what makes a node another's, and which addresses are refused: no Ray runs here."""

import socket
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from archsearch.reading.errors import InputError
from archsearch.search.deciding.messages import GoOn, HandOver, Rest, Wait
from archsearch.search.running import versions
from archsearch.search.running.address import refuse_if_unusable
from archsearch.search.running.conductor import Conductor
from archsearch.search.running.environment import RayFailed
from archsearch.search.running.lanes import NOBODY, Lanes, next_node
from archsearch.search.running.nodes import Node, bundles_of
from archsearch.space.settings import ResourceSettings


def node(name: str, cpus: float, gpus: float = 0.0) -> Node:
    return Node(id=name, name=name, cpus=cpus, gpus=gpus)


def fill(nodes: list[Node], resources: ResourceSettings, most: int = 1000) -> Counter[str]:
    taken: Counter[str] = Counter()
    while (chosen := next_node(nodes, taken, resources, most)) is not None:
        taken[chosen.id] += 1
    return taken


def test_each_node_holds_what_fits_there_and_not_what_fits_into_the_sum() -> None:
    two = ResourceSettings(cpus_per_trial=2, gpus_per_trial=0)
    assert fill([node("a", 3), node("b", 3)], two) == {"a": 1, "b": 1}
    assert fill([node("head", 0), node("b", 8), node("c", 2)], two) == {"b": 4, "c": 1}
    shared = ResourceSettings(cpus_per_trial=1, gpus_per_trial=0.25)
    assert fill([node("a", 16, 1), node("b", 2, 8), node("c", 64, 0)], shared) == {"a": 4, "b": 2}
    uneven = ResourceSettings(cpus_per_trial=1, gpus_per_trial=0.16)
    assert fill([node("a", 64, 8)], uneven) == {"a": 48}, "a share lies on one GPU: six of 0.16 fit there"
    assert fill([node("a", 64, 8)], ResourceSettings(cpus_per_trial=1, gpus_per_trial=0.3333)) == {"a": 24}
    assert fill([node("a", 64, 8)], ResourceSettings(cpus_per_trial=1, gpus_per_trial=1)) == {"a": 8}


def test_few_lanes_are_spread_and_those_of_gone_nodes_do_not_count() -> None:
    one = ResourceSettings(cpus_per_trial=1, gpus_per_trial=0)
    assert fill([node("a", 4), node("b", 4)], one, most=2) == {"a": 1, "b": 1}
    assert next_node([node("b", 1)], Counter({"gone": 7}), one, limit=2) is not None
    assert next_node([], Counter(), one, limit=2) is None


def test_an_autoscaler_is_asked_for_what_the_search_can_use_and_learn_with() -> None:
    one, shared = (ResourceSettings(cpus_per_trial=2, gpus_per_trial=0),
                   ResourceSettings(gpus_per_trial=0.25, max_concurrent=3))  # fmt: skip
    assert bundles_of(one, trials=100) == [{"CPU": 2.0}] * 25
    assert bundles_of(one, trials=3) == [{"CPU": 2.0}]
    assert len(bundles_of(one, trials=100_000)) == 1000
    assert bundles_of(shared, trials=100) == [{"CPU": 1.0, "GPU": 0.25}] * 3


@dataclass
class Given:
    nodes: list[Node] = field(default_factory=list)
    grows: bool = True

    def admitted(self) -> list[Node]:
        return self.nodes

    def want(self, bundles: Sequence[Mapping[str, float]]) -> None:
        pass

    def has_lost(self, node: str) -> bool:
        return False

    def stop(self) -> None:
        pass


def test_a_lane_that_is_gone_makes_room_and_a_late_node_gets_its_share(monkeypatch: pytest.MonkeyPatch) -> None:
    conductor, given = Conductor(search=None, workers_are_up=lambda: None), Given([node("a", 1)])  # type: ignore[arg-type]
    lanes = Lanes(conductor, given, ResourceSettings(cpus_per_trial=1, gpus_per_trial=0), trials=10)
    assert lanes.suggest("1") == {"node": "a", "name": "a"}
    assert lanes.suggest("2") is None
    given.nodes.append(node("b", 1))
    assert lanes.suggest("2") == {"node": "b", "name": "b"}
    lanes.on_trial_complete("1", error=True)
    assert lanes.suggest("3") == {"node": "a", "name": "a"}
    conductor.failure = RayFailed("workers died")
    with pytest.raises(RayFailed, match="workers died"):
        lanes.suggest("4")
    conductor.failure = None
    given.nodes.clear()
    assert lanes.suggest("4") is None
    monkeypatch.setattr("archsearch.search.running.lanes.time.monotonic", lambda: lanes._last_room + NOBODY + 1)
    with pytest.raises(RayFailed, match="no node"):
        lanes.suggest("4")


def test_a_search_is_over_when_one_rests_and_nobody_is_at_work() -> None:
    conductor = Conductor(search=None, workers_are_up=lambda: None)  # type: ignore[arg-type]
    conductor.instructions = {"a": Wait(), "b": GoOn(number=1)}
    assert not conductor.over(), "nobody rests"
    conductor.rested = True
    assert not conductor.over(), "one trains"
    conductor.instructions = {"a": Rest(), "b": HandOver(number=1)}
    assert not conductor.over(), "one hands its weights over"
    conductor.instructions["b"] = Wait()
    assert conductor.over()


def test_versions_are_what_python_finds_and_differ_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here = versions.installed()
    assert set(here) == {"python", "torch", "ray", "archsearch"}
    assert "not installed" not in here.values() and "source" in here["archsearch"]
    assert versions.differences(here, versions.installed([__file__])) == []
    (tmp_path / "torch-1.0.dist-info").mkdir()
    (tmp_path / "torch-1.0.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: torch\nVersion: 1.0\n")
    monkeypatch.syspath_prepend(tmp_path)
    there = versions.installed(["/nowhere/a.png", __file__])
    assert versions.differences(here, there) == [f"torch 1.0 (here {here['torch']})", "no /nowhere/a.png"]


@pytest.mark.parametrize("address", ["somewhere", "ray://127.0.0.1:10001", "127.0.0.1", "127.0.0.1:66000", ":6379"])
def test_what_is_no_address_is_refused(address: str) -> None:
    with pytest.raises(InputError, match=r"--address: .*; allowed: auto, or HOST:PORT"):
        refuse_if_unusable(address)


def test_an_address_that_others_reach_needs_a_token_or_the_users_word(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RAY_AUTH_MODE", raising=False)
    for address in ("10.1.2.3:6379", "[2001:db8::1]:6379", "head.example:6379", "0.0.0.0:6379"):
        with pytest.raises(InputError, match="RAY_AUTH_MODE is not set; allowed: RAY_AUTH_MODE=token"):
            refuse_if_unusable(address)
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        refuse_if_unusable(f"127.0.0.1:{listening.getsockname()[1]}")
        monkeypatch.setenv("RAY_ADDRESS", "10.1.2.3:6379")
        with pytest.raises(InputError, match=r"10\.1\.2\.3:6379"):
            refuse_if_unusable("auto")
        port = listening.getsockname()[1]
    with pytest.raises(InputError, match="no Ray answers"):
        refuse_if_unusable(f"localhost:{port}")

"""Where lanes run, and which nodes and GPUs are left out: those that cannot be used, or at which trials are lost."""

from __future__ import annotations

from dataclasses import dataclass, field

LOSSES = 2  # in a row at one site, after which it is left out
DEADLY = f"{LOSSES} workers in a row died there before they finished an epoch"


@dataclass(frozen=True, kw_only=True)
class Site:
    """A node, by its id and its name for people, or one of its GPUs, by Ray's id of it (empty: the node as a whole)."""

    node: str
    name: str
    gpu: str = ""

    def __str__(self) -> str:
        return f"node {self.name}, GPU {self.gpu}" if self.gpu else f"node {self.name}"


@dataclass
class Sites:
    """The sites of the lanes. `left_out` has those that get no more trials, and why.

    A lane that dies before it has finished an epoch is a loss of its site. After two in a row the site is left out,
    where there is another that is not. A trial that is lost at a second site is at fault itself: its losses count
    against no site any more. So neither a GPU that fell off takes trial after trial, nor such a trial GPU after GPU.
    """

    left_out: dict[Site, str] = field(default_factory=dict)
    _of: dict[str, Site] = field(default_factory=dict)  # by lane
    _lost: dict[Site, list[int | None]] = field(default_factory=dict)  # trials in a row; None: the lane had none
    _at_fault: set[int] = field(default_factory=set)  # trials

    def runs(self, lane: str, site: Site) -> None:
        """The lane runs at this site."""
        self._of[lane] = site

    def admits(self, node: str) -> bool:
        """Whether the node of this id may get lanes."""
        return not any(site.node == node and not site.gpu for site in self.left_out)

    def idles(self, lane: str) -> bool:
        """Whether the lane runs at a site that is left out: it holds its share, so that no other begins there."""
        return self._of.get(lane) in self.left_out

    def leave_out(self, lane: str, reason: str) -> Site | None:
        """The lane's site cannot be used. Returns it where that is news."""
        site = self._of[lane]
        if site in self.left_out:
            return None
        self.left_out[site] = reason
        return site

    def trained(self, lane: str) -> None:
        """The lane has finished an epoch: its site, and its node, are not at fault for what was lost there."""
        if (site := self._of.get(lane)) is not None:
            for sound in (site, Site(node=site.node, name=site.name)):
                self._lost.pop(sound, None)
                self.left_out.pop(sound, None)

    def lost(self, lane: str, trial: int | None, site: Site) -> tuple[Site, list[int]] | None:
        """The lane died with this trial; `site` is where it was placed, in case that it had not reported yet. Returns
        the site that is left out for that, with the trials of the earlier losses there; None where none is."""
        site = self._of.pop(lane, site)
        if trial is not None and self._is_at_fault(trial, site):
            return None
        trials = self._lost.setdefault(site, [])
        trials.append(trial)
        if len(trials) < LOSSES or site in self.left_out or not self._others(site):
            return None
        self.left_out[site] = DEADLY
        return site, [number for number in trials[:-1] if number is not None]

    def _is_at_fault(self, trial: int, site: Site) -> bool:
        """Whether the trial was lost at another site too; then that one is no longer at fault for it."""
        for other in [other for other, trials in self._lost.items() if other != site and trial in trials]:
            self._at_fault.add(trial)
            self._lost[other] = [number for number in self._lost[other] if number != trial]
            if len(self._lost[other]) < LOSSES and self.left_out.get(other) == DEADLY:
                del self.left_out[other]
        return trial in self._at_fault

    def _others(self, site: Site) -> set[Site]:
        """The sites that a search can do with in the place of this one: of its GPU those of the same node too."""
        return {
            other
            for other in self._of.values()
            if other not in self.left_out and (other.node != site.node or (site.gpu and other.gpu != site.gpu))
        }

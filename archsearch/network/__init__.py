"""Ops -> nn.Module: the layers torch lacks, the builder, initialisation. Needs torch alone."""

from archsearch.network.build import Network, build

__all__ = ["Network", "build"]

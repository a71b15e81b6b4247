"""The report of a search: one page that opens anywhere, made from the ledger and the experiment's folder alone."""

from archsearch.analysis.report.document import document
from archsearch.analysis.report.figures import Document
from archsearch.analysis.report.page import page
from archsearch.analysis.report.reading import Context, Reading, read_experiment

__all__ = ["Context", "Document", "Reading", "document", "page", "read_experiment"]

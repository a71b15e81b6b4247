"""How a search and a training are shown while they go on: live tables, bars, lines; figures and tables as text."""

"""An epoch's draws and rates, decided before its first step."""

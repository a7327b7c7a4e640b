"""The sandbox's Git host: sample repositories with a history, served over HTTP."""

"""Git's other side: sample repositories with a history, served over HTTP."""

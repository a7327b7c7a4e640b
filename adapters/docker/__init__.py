"""A Docker engine: building images, pushing them, and the room that they take.

`engine.py` connects and asks; `building.py` builds with BuildKit or the classic builder; `session.py` hands BuildKit secrets and
credentials; `context.py` makes the context from a revision; `pushing.py` pushes; `disk.py` looks after old images.
"""
